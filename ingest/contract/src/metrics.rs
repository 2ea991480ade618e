//! Metrics that document themselves.
//!
//! A stage declares its metrics through a [`MetricSet`]; the same declaration registers them and feeds
//! `docs/metrics.md`, so that the page can't name a metric that the binary lacks.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, core::Collector};

/// One metric, as documented.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricDoc {
    /// Full name.
    pub name: String,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// Label names.
    pub labels: Vec<String>,
    /// Help text.
    pub help: String,
}

/// Where stages declare their metrics. Cloning shares it.
#[derive(Debug, Clone, Default)]
pub struct MetricSet {
    registry: Registry,
    docs: Arc<Mutex<Vec<MetricDoc>>>,
    shared: Arc<Mutex<HashMap<String, IntCounterVec>>>,
}

impl MetricSet {
    /// An empty set with a registry of its own.
    pub fn new() -> Self {
        Self::default()
    }

    /// The registry, for the endpoint that encodes it.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Everything declared so far, in order of declaration.
    pub fn docs(&self) -> Vec<MetricDoc> {
        self.docs.lock().expect("no panic while documenting").clone()
    }

    /// A counter with labels; `name` ends in `_total`.
    pub fn counter(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        let metric = IntCounterVec::new(Opts::new(name, help), labels).expect("metric names are constants");
        self.declare("counter", name, help, labels, metric)
    }

    /// A counter that several stages count in: the first call declares it, later ones get the same.
    pub fn shared_counter(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        let mut shared = self.shared.lock().expect("no panic while declaring");
        let counter = shared.entry(name.to_owned()).or_insert_with(|| self.counter(name, help, labels));
        counter.clone()
    }

    /// A gauge with labels.
    pub fn gauge(&self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        let metric = IntGaugeVec::new(Opts::new(name, help), labels).expect("metric names are constants");
        self.declare("gauge", name, help, labels, metric)
    }

    /// A gauge without labels.
    pub fn plain_gauge(&self, name: &str, help: &str) -> IntGauge {
        let metric = IntGauge::with_opts(Opts::new(name, help)).expect("metric names are constants");
        self.declare("gauge", name, help, &[], metric)
    }

    /// A histogram with labels, in seconds from 1 ms to about 2 minutes.
    pub fn seconds(&self, name: &str, help: &str, labels: &[&str]) -> HistogramVec {
        let buckets = prometheus::exponential_buckets(0.001, 2.0, 18).expect("bucket bounds are constants");
        let metric = HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets), labels).expect("constants");
        self.declare("histogram", name, help, labels, metric)
    }

    fn declare<M: Collector + Clone + 'static>(
        &self,
        kind: &'static str,
        name: &str,
        help: &str,
        labels: &[&str],
        metric: M,
    ) -> M {
        self.registry.register(Box::new(metric.clone())).expect("each metric is declared once");
        self.docs.lock().expect("no panic while documenting").push(MetricDoc {
            name: name.to_owned(),
            kind,
            labels: labels.iter().map(|label| (*label).to_owned()).collect(),
            help: help.to_owned(),
        });
        metric
    }
}

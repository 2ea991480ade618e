//! The endpoint for Prometheus and for Kubernetes' probes: `/metrics`, `/healthz`, `/readyz`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use prometheus::{IntGauge, TextEncoder};
use weir_contract::memory::MemoryBudget;
use weir_contract::metrics::MetricSet;

/// Whether the process takes part in the work. Cloning shares it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Readiness(Arc<AtomicBool>);

impl Readiness {
    /// Sets whether `/readyz` answers 200.
    pub(crate) fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Release);
    }

    fn get(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// The process's own gauges.
#[derive(Debug, Clone)]
pub(crate) struct ProcessMetrics {
    in_flight: IntGauge,
    budget: IntGauge,
    waiting: IntGauge,
}

impl ProcessMetrics {
    /// Declares them in `set`.
    pub(crate) fn new(set: &MetricSet) -> Self {
        Self {
            in_flight: set.plain_gauge("weir_in_flight_bytes", "Bytes held between source and acknowledgement"),
            budget: set.plain_gauge("weir_memory_budget_bytes", "Bytes that may be in flight before sources wait"),
            waiting: set.plain_gauge("weir_backpressure", "1 while a source waits for memory, else 0"),
        }
    }

    fn observe(&self, budget: &MemoryBudget) {
        self.in_flight.set(i64::try_from(budget.used()).unwrap_or(i64::MAX));
        self.budget.set(i64::try_from(budget.limit()).unwrap_or(i64::MAX));
        self.waiting.set(i64::from(budget.is_under_pressure()));
    }
}

struct Shared {
    metrics: MetricSet,
    process: ProcessMetrics,
    budget: MemoryBudget,
    ready: Readiness,
}

/// Binds `listen` and serves until the process ends. Returns the address (with the port that was chosen for port 0).
pub(crate) async fn serve(
    listen: SocketAddr,
    metrics: MetricSet,
    process: ProcessMetrics,
    budget: MemoryBudget,
    ready: Readiness,
) -> anyhow::Result<SocketAddr> {
    let listener = tokio::net::TcpListener::bind(listen)
        .await
        .with_context(|| format!("cannot listen on {listen} for metrics; choose another `metrics.listen`"))?;
    let address = listener.local_addr()?;
    let app = Router::new()
        .route("/metrics", get(encode))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readiness))
        .with_state(Arc::new(Shared { metrics, process, budget, ready }));
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, app).await {
            tracing::error!(error = %error, "the metrics endpoint ended");
        }
    });
    tracing::info!(address = %address, "metrics at /metrics, probes at /healthz and /readyz");
    Ok(address)
}

async fn encode(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    shared.process.observe(&shared.budget);
    match TextEncoder::new().encode_to_string(&shared.metrics.registry().gather()) {
        Ok(text) => (StatusCode::OK, [(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn readiness(State(shared): State<Arc<Shared>>) -> (StatusCode, &'static str) {
    if shared.ready.get() {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "starting or draining\n")
    }
}

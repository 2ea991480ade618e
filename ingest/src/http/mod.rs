//! The HTTP source: senders post JSON, or events of Splunk's HTTP Event Collector.
//!
//! A request is answered with success only when what it brought is durable in the buffer (`crate::push`); from there on
//! no crash of ours loses it. Bodies are not parsed here further than an answer needs: `plain` takes them as they are,
//! [`collector`] cuts them into events.

mod body;
pub mod collector;
mod config;
mod plain;
mod tokens;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use weir_contract::batch::RawBatch;
use weir_contract::memory::MemoryBudget;
use weir_contract::position::SourceName;

use crate::http::tokens::Tokens;
use crate::metrics::IngestMetrics;
use crate::push::delivery::Delivery;
use crate::push::intake::{self, Intake};
use crate::push::listener::{Connections, Rules, acceptor, bind};
use crate::source::{Source, SourceError};

pub use config::{CollectorConfig, HttpConfig};

/// How long requests that are under way at the stop may take.
const GRACE: Duration = Duration::from_secs(5);

/// A source that listens for HTTP requests.
#[derive(Debug)]
pub struct HttpSource {
    name: SourceName,
    config: HttpConfig,
    state: PathBuf,
    budget: MemoryBudget,
    metrics: IngestMetrics,
    until_end: bool,
}

/// What every request handler sees.
struct Shared {
    intake: Intake,
    config: HttpConfig,
    tokens: Tokens,
    collector: collector::Acknowledgements,
}

impl HttpSource {
    /// A source that keeps its buffer in a folder of its name below `state`. Nothing is opened yet.
    ///
    /// # Errors
    ///
    /// A value out of range.
    pub fn new(
        name: SourceName,
        config: HttpConfig,
        state: PathBuf,
        budget: MemoryBudget,
        metrics: IngestMetrics,
    ) -> Result<Self, SourceError> {
        if let Some((key, problem)) = config.faults().into_iter().next() {
            return Err(SourceError::Config { source_name: name, key, problem });
        }
        Ok(Self { name, config, state, budget, metrics, until_end: false })
    }

    /// With `true`, the source does not listen: it hands over what its buffer holds, then ends.
    #[must_use]
    pub fn read_to_end(mut self, until_end: bool) -> Self {
        self.until_end = until_end;
        self
    }
}

#[async_trait::async_trait]
impl Source for HttpSource {
    fn name(&self) -> &SourceName {
        &self.name
    }

    async fn run(self: Box<Self>, out: mpsc::Sender<RawBatch>, stop: CancellationToken) -> Result<(), SourceError> {
        let Self { name, config, state, budget, metrics, until_end } = *self;
        let fault = |key: &str, problem: String| SourceError::Config {
            source_name: name.clone(),
            key: key.to_owned(),
            problem,
        };
        let tokens = Tokens::read(&config.tokens).map_err(|error| fault("tokens", error))?;
        let tls = config.tls.as_ref().map(acceptor).transpose().map_err(|error| fault("tls", error))?;
        let buffer = intake::open(&name, &config.buffer, &state, &metrics.push).await?;
        let delivery = Delivery {
            name: name.clone(),
            buffer: buffer.clone(),
            budget: budget.clone(),
            metrics: metrics.clone(),
            until_end,
        };
        if until_end {
            return delivery.run(out, stop).await;
        }
        // Set aside for as long as the source runs: the pipeline may fill the rest, and requests are still taken in.
        let memory = config.request_memory.as_usize();
        let _share = budget.charge(memory);
        // Whatever ends first ends the other.
        let stop = stop.child_token();
        let push = metrics.push.clone();
        let intake = Intake::new(name.clone(), buffer, &config.buffer, MemoryBudget::new(memory), push, stop.clone());
        let listener = bind(&intake, config.listen).await?;
        let rules = Rules { most: config.max_connections, idle: config.idle_timeout.0, tls };
        let listening = Connections::new(listener, rules, intake.clone()).map_err(|error| SourceError::Service {
            source_name: name.clone(),
            problem: "cannot listen".to_owned(),
            retryable: true,
            source: Some(Box::new(error)),
        })?;
        tracing::info!(source = %name, listen = %config.listen, tls = config.tls.is_some(), "listening for HTTP");
        let shared = Arc::new(Shared { intake, tokens, collector: collector::Acknowledgements::default(), config });
        let connected = metrics.connected.with_label_values(&[name.as_ref()]);
        connected.set(1);
        let ended = stop.clone();
        let serving = async {
            let serve = axum::serve(listening, router(shared)).with_graceful_shutdown(ended.clone().cancelled_owned());
            let late = async {
                ended.cancelled().await;
                tokio::time::sleep(GRACE).await;
            };
            tokio::select! {
                _ = serve.into_future() => {}
                () = late => {}
            }
        };
        let delivering = async {
            let result = delivery.run(out, stop.clone()).await;
            stop.cancel();
            result
        };
        let ((), result) = tokio::join!(serving, delivering);
        connected.set(0);
        result
    }
}

fn router(shared: Arc<Shared>) -> Router {
    let mut router = Router::new().route("/", axum::routing::post(plain::post));
    if shared.config.collector.is_some() {
        router = router.merge(collector::routes());
    }
    router.with_state(shared)
}

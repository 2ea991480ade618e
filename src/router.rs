//! Which batches go where.

use std::collections::HashMap;
use std::sync::Arc;

use globset::{Glob, GlobMatcher};
use tokio::sync::mpsc;
use weir_contract::batch::{Batch, RowKind};
use weir_contract::memory::MemoryBudget;

use crate::config::{RouteConfig, SinkName};

/// Sends batches to the sinks that their table is routed to.
#[derive(Debug)]
pub(crate) struct Router {
    rules: Vec<Rule>,
    /// Remembers the decision per table and kind; there are few of them.
    decided: HashMap<(Arc<str>, RowKind), Arc<Decision>>,
    lake: Option<mpsc::Sender<Batch>>,
    sentinel: Option<mpsc::Sender<Batch>>,
    /// Takes dead letters where there is no lake.
    dead_letters: mpsc::Sender<Batch>,
    budget: MemoryBudget,
}

#[derive(Debug)]
struct Rule {
    name: Arc<str>,
    tables: Vec<GlobMatcher>,
    to: Vec<SinkName>,
}

#[derive(Debug)]
struct Decision {
    to: Vec<SinkName>,
    rule: Arc<str>,
}

/// What became of a routed batch.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Routed {
    /// It is on its way to at least one sink.
    Sent,
    /// The named route drops it; its acknowledgement is answered.
    Dropped(Arc<str>),
}

/// A sink took no more batches: it has failed, and says why itself.
#[derive(Debug, thiserror::Error)]
#[error("the sink `{0}` takes no more batches")]
pub(crate) struct SinkGone(&'static str);

impl Router {
    /// A router over the given queues. `dead_letters` is the queue that dead letters go to: the lake's, if there is
    /// one.
    pub(crate) fn new(
        routes: &[RouteConfig],
        lake: Option<mpsc::Sender<Batch>>,
        sentinel: Option<mpsc::Sender<Batch>>,
        dead_letters: mpsc::Sender<Batch>,
        budget: MemoryBudget,
    ) -> anyhow::Result<Self> {
        let mut rules = Vec::with_capacity(routes.len());
        for route in routes {
            let tables = route.tables.iter().map(|t| Ok(Glob::new(t)?.compile_matcher()));
            rules.push(Rule {
                name: route.name.clone().unwrap_or_else(|| route.tables.join(",")).into(),
                tables: tables.collect::<anyhow::Result<_>>()?,
                to: route.to.clone(),
            });
        }
        Ok(Self { rules, decided: HashMap::new(), lake, sentinel, dead_letters, budget })
    }

    /// Sends `batch` where it belongs; waits while a queue is full.
    pub(crate) async fn route(&mut self, batch: Batch) -> Result<Routed, SinkGone> {
        if batch.kind == RowKind::DeadLetter {
            return self.dead_letters.send(batch).await.map(|()| Routed::Sent).map_err(|_| SinkGone("dead letters"));
        }
        let decision = self.decide(&batch);
        let Some((last, others)) = decision.to.split_last() else {
            batch.ack.done();
            return Ok(Routed::Dropped(Arc::clone(&decision.rule)));
        };
        for sink in others {
            let copy = Batch {
                table: Arc::clone(&batch.table),
                kind: batch.kind,
                rows: batch.rows.clone(),
                origin: Arc::clone(&batch.origin),
                raw_bytes: batch.raw_bytes,
                ack: batch.ack.split(),
                permit: self.budget.charge(batch.permit.bytes()),
            };
            self.send(*sink, copy).await?;
        }
        self.send(*last, batch).await?;
        Ok(Routed::Sent)
    }

    async fn send(&self, sink: SinkName, batch: Batch) -> Result<(), SinkGone> {
        let (queue, name) = match sink {
            SinkName::Lake => (&self.lake, "lake"),
            SinkName::Sentinel => (&self.sentinel, "sentinel"),
        };
        let queue = queue.as_ref().ok_or(SinkGone(name))?;
        queue.send(batch).await.map_err(|_| SinkGone(name))
    }

    fn decide(&mut self, batch: &Batch) -> Arc<Decision> {
        let key = (Arc::clone(&batch.table), batch.kind);
        if let Some(decision) = self.decided.get(&key) {
            return Arc::clone(decision);
        }
        let named = self.rules.iter().find(|rule| rule.tables.iter().any(|glob| glob.is_match(&*batch.table)));
        let decision = match named {
            Some(rule) => Decision { to: rule.to.clone(), rule: Arc::clone(&rule.name) },
            None => {
                // A table that no route names: all that is configured, but the workspace only gets ASIM rows.
                let mut to = Vec::new();
                if self.lake.is_some() {
                    to.push(SinkName::Lake);
                }
                if self.sentinel.is_some() && batch.kind == RowKind::Normalized {
                    to.push(SinkName::Sentinel);
                }
                if to.is_empty() {
                    tracing::warn!(
                        table = &*batch.table,
                        "no sink takes this table's rows: there is no lake and no route names it; they are counted \
                         and dropped"
                    );
                }
                Decision { to, rule: "default".into() }
            }
        };
        let decision = Arc::new(decision);
        self.decided.insert(key, Arc::clone(&decision));
        decision
    }
}

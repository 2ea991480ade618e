//! Which batches go where.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::compute::filter_record_batch;
use globset::{Glob, GlobMatcher};
use tokio::sync::mpsc;
use weir_contract::batch::{Batch, RowKind};
use weir_contract::position::RowPosition;

use crate::config::{RouteConfig, SinkName};

/// What the decision on tables is called that no route names.
pub(crate) const DEFAULT_ROUTE: &str = "default";

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
    ) -> anyhow::Result<Self> {
        let mut rules = Vec::with_capacity(routes.len());
        for route in routes {
            let tables = route.tables.iter().map(|t| Ok(Glob::new(t)?.compile_matcher()));
            // A sink that is named twice gets the rows once.
            let both = [SinkName::Lake, SinkName::Sentinel];
            let to = both.into_iter().filter(|sink| route.to.contains(sink)).collect();
            rules.push(Rule {
                name: route.name.clone().unwrap_or_else(|| route.tables.join(",")).into(),
                tables: tables.collect::<anyhow::Result<_>>()?,
                to,
            });
        }
        Ok(Self { rules, decided: HashMap::new(), lake, sentinel, dead_letters })
    }

    /// Sends `batch` where it belongs; waits while a queue is full.
    pub(crate) async fn route(&mut self, mut batch: Batch) -> Result<Routed, SinkGone> {
        if batch.kind == RowKind::DeadLetter {
            batch.ack = batch.ack.for_lake();
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
                positions: Arc::clone(&batch.positions),
                mapping: batch.mapping.clone(),
                has_more: batch.has_more,
                raw_bytes: batch.raw_bytes,
                ack: batch.ack.split(),
                permit: batch.permit.share(),
            };
            self.send(*sink, copy).await?;
        }
        self.send(*last, batch).await?;
        Ok(Routed::Sent)
    }

    async fn send(&self, sink: SinkName, mut batch: Batch) -> Result<(), SinkGone> {
        let (queue, name) = match sink {
            SinkName::Lake => {
                batch.ack = batch.ack.for_lake();
                (&self.lake, "lake")
            }
            SinkName::Sentinel => {
                batch.ack = batch.ack.for_workspace();
                leave_out_delivered(&mut batch);
                (&self.sentinel, "sentinel")
            }
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
                Decision { to, rule: DEFAULT_ROUTE.into() }
            }
        };
        let decision = Arc::new(decision);
        self.decided.insert(key, Arc::clone(&decision));
        decision
    }
}

/// Takes out the rows that the workspace has, as the source's stored position says.
fn leave_out_delivered(batch: &mut Batch) {
    let ranges = &batch.origin.ranges;
    let is_new = |position: &RowPosition| {
        ranges.get(position.partition as usize).is_none_or(|range| position.offset >= range.delivered)
    };
    if batch.positions.iter().all(is_new) {
        return;
    }
    let kept: Vec<bool> = batch.positions.iter().map(is_new).collect();
    let positions = batch.positions.iter().copied().filter(is_new).collect();
    batch.rows = filter_record_batch(&batch.rows, &kept.into()).expect("the mask has one value per row");
    batch.positions = positions;
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_contract::ack::{self, AckReport, Answered};
    use weir_contract::memory::MemoryBudget;
    use weir_contract::position::{Origin, Repeats};
    use weir_contract::schema::{Column, ColumnType, TableSchema};

    /// A router over queues that are read here.
    struct Bench {
        router: Router,
        lake: mpsc::Receiver<Batch>,
        sentinel: mpsc::Receiver<Batch>,
        reports: mpsc::UnboundedReceiver<AckReport>,
        acks: ack::AckSender,
        budget: MemoryBudget,
    }

    fn route(tables: &[&str], to: &[SinkName]) -> RouteConfig {
        RouteConfig { name: None, tables: tables.iter().map(|t| (*t).to_owned()).collect(), to: to.to_vec() }
    }

    fn bench(routes: &[RouteConfig], has_lake: bool, has_sentinel: bool) -> Bench {
        let (lake_tx, lake) = mpsc::channel(8);
        let (sentinel_tx, sentinel) = mpsc::channel(8);
        let budget = MemoryBudget::new(1 << 20);
        let router =
            Router::new(routes, has_lake.then(|| lake_tx.clone()), has_sentinel.then_some(sentinel_tx), lake_tx);
        let (acks, reports) = ack::channel();
        Bench { router: router.expect("valid patterns"), lake, sentinel, reports, acks, budget }
    }

    impl Bench {
        /// Where a batch of `table` goes: what the router says, and which queues have it.
        async fn sent(&mut self, table: &str, kind: RowKind) -> (Routed, Vec<&'static str>) {
            let schema = TableSchema { name: table.into(), columns: vec![Column::new("N", ColumnType::Long)] };
            let batch = Batch {
                table: table.into(),
                kind,
                positions: RowPosition::numbered(0, 0),
                mapping: None,
                has_more: false,
                rows: arrow_rows(&schema),
                origin: Arc::new(Origin { source: "test".into(), ranges: Vec::new(), positions: Repeats::Unrelated }),
                raw_bytes: 0,
                ack: self.acks.issue(1),
                permit: self.budget.charge(100),
            };
            let routed = self.router.route(batch).await.expect("queues are open");
            let mut seen = Vec::new();
            for (name, queue) in [("lake", &mut self.lake), ("sentinel", &mut self.sentinel)] {
                while let Ok(batch) = queue.try_recv() {
                    assert!(self.reports.try_recv().is_err(), "nothing is answered before every sink is done");
                    batch.ack.done();
                    seen.push(name);
                }
            }
            assert_eq!(
                self.reports.try_recv(),
                Ok(AckReport { batch: 1, of: Answered::All, durable: true }),
                "answered once, in the end"
            );
            assert_eq!(self.budget.used(), 0, "no permit is kept");
            (routed, seen)
        }
    }

    fn arrow_rows(schema: &TableSchema) -> arrow::record_batch::RecordBatch {
        arrow::record_batch::RecordBatch::new_empty(schema.arrow())
    }

    #[tokio::test]
    async fn tables_that_no_route_names_go_to_the_lake_and_asim_tables_to_both() {
        let mut both = bench(&[], true, true);
        assert_eq!(
            both.sent("ASimProcessEventLogs", RowKind::Normalized).await,
            (Routed::Sent, vec!["lake", "sentinel"])
        );
        assert_eq!(both.sent("DeviceInfo", RowKind::Raw).await, (Routed::Sent, vec!["lake"]));
        assert_eq!(both.sent("NewTable", RowKind::Unknown).await, (Routed::Sent, vec!["lake"]));
        // A name alone does not make rows ASIM rows.
        assert_eq!(both.sent("ASimDnsActivityLogs", RowKind::Unknown).await, (Routed::Sent, vec!["lake"]));
        let mut lake = bench(&[], true, false);
        assert_eq!(lake.sent("ASimProcessEventLogs", RowKind::Normalized).await, (Routed::Sent, vec!["lake"]));
        let mut sentinel = bench(&[], false, true);
        assert_eq!(sentinel.sent("ASimProcessEventLogs", RowKind::Normalized).await, (Routed::Sent, vec!["sentinel"]));
        let dropped = (Routed::Dropped(DEFAULT_ROUTE.into()), vec![]);
        assert_eq!(sentinel.sent("DeviceInfo", RowKind::Raw).await, dropped);
    }

    #[tokio::test]
    async fn the_first_route_that_matches_wins() {
        let routes = [
            route(&["ASimFile*", "ASimRegistryEventLogs"], &[SinkName::Sentinel]),
            route(&["ASim*"], &[SinkName::Lake]),
            route(&["*"], &[SinkName::Lake, SinkName::Sentinel]),
        ];
        let mut bench = bench(&routes, true, true);
        assert_eq!(bench.sent("ASimFileEventLogs", RowKind::Normalized).await.1, ["sentinel"]);
        assert_eq!(bench.sent("ASimRegistryEventLogs", RowKind::Normalized).await.1, ["sentinel"]);
        assert_eq!(bench.sent("ASimProcessEventLogs", RowKind::Normalized).await.1, ["lake"]);
        assert_eq!(bench.sent("DeviceInfo", RowKind::Raw).await.1, ["lake", "sentinel"]);
        assert_eq!(bench.sent("asimProcessEventLogs", RowKind::Unknown).await.1, ["lake", "sentinel"], "case counts");
    }

    #[tokio::test]
    async fn a_route_without_sinks_drops_and_says_under_which_name() {
        let mut named = route(&["DeviceInfo"], &[]);
        named.name = Some("noise".to_owned());
        let mut bench = bench(&[named, route(&["Cloud*", "Email*"], &[])], true, false);
        assert_eq!(bench.sent("DeviceInfo", RowKind::Raw).await, (Routed::Dropped("noise".into()), vec![]));
        assert_eq!(bench.sent("EmailEvents", RowKind::Raw).await, (Routed::Dropped("Cloud*,Email*".into()), vec![]));
        assert_eq!(bench.sent("DeviceEvents", RowKind::Raw).await.1, ["lake"]);
    }

    #[tokio::test]
    async fn a_sink_that_a_route_names_twice_gets_the_rows_once() {
        let mut bench = bench(&[route(&["*"], &[SinkName::Lake, SinkName::Sentinel, SinkName::Lake])], true, true);
        assert_eq!(bench.sent("DeviceInfo", RowKind::Raw).await.1, ["lake", "sentinel"]);
    }

    #[tokio::test]
    async fn dead_letters_follow_no_route() {
        let mut dropping = bench(&[route(&["*"], &[])], true, true);
        assert_eq!(dropping.sent("dead_letters", RowKind::DeadLetter).await, (Routed::Sent, vec!["lake"]));
        let mut sentinel_only = bench(&[route(&["*"], &[SinkName::Sentinel])], false, true);
        assert_eq!(sentinel_only.sent("dead_letters", RowKind::DeadLetter).await.1, ["lake"], "a lake of their own");
    }

    #[tokio::test]
    async fn a_sink_that_is_gone_fails_the_batch() {
        let mut bench = bench(&[], true, true);
        bench.sentinel.close();
        let batch = Batch {
            table: "ASimFileEventLogs".into(),
            kind: RowKind::Normalized,
            positions: RowPosition::numbered(0, 0),
            mapping: None,
            has_more: false,
            rows: arrow_rows(&TableSchema { name: "T".into(), columns: Vec::new() }),
            origin: Arc::new(Origin { source: "test".into(), ranges: Vec::new(), positions: Repeats::Unrelated }),
            raw_bytes: 0,
            ack: bench.acks.issue(1),
            permit: bench.budget.charge(100),
        };
        let error = bench.router.route(batch).await.expect_err("closed").to_string();
        assert!(error.contains("`sentinel`"), "{error}");
        bench.lake.try_recv().expect("the lake has its part").ack.done();
        assert_eq!(bench.reports.try_recv(), Ok(AckReport { batch: 1, of: Answered::All, durable: false }));
    }
}

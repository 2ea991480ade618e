//! The Sentinel sink: rows to a workspace through the Logs Ingestion API.
//!
//! ```text
//! Batch → select columns → encode → Packer (one per table) → Payload → gzip → POST → ack
//!         definition.rs    encode   pack.rs                  delivery.rs: client.rs, decide.rs
//! ```
//!
//! Encoding and compression run on blocking threads, requests on the runtime, all of them bounded: at most
//! two batches are encoded at a time, at most `concurrency` payloads are under way, and no batch is taken while
//! as many wait behind them. Encoded rows are held by the batches' memory permits, shrunk to their new size.
//!
//! A batch may go out in several payloads, a payload may hold rows of several batches. Each run of rows carries its part
//! of the acknowledgement and answers it when it is delivered (any 2xx); a row that the workspace refuses, or that fits
//! into no request, becomes a dead letter that carries the part on to the lake. So do the rows of a raw table that a route
//! sends here and no rule takes: such tables come with the data, and data must not stop the stream. The API knows no idempotence: a request
//! whose answer was lost is sent again, so rows may be in the workspace twice, never not at all.
//!
//! The service itself loses without a word what it can't store (undeclared columns, values of another type, all but the
//! first 64 KiB of a value). [`definition`] turns the first two into errors; the third is counted, and the lake keeps
//! such values whole.

pub mod client;
pub mod config;
pub mod decide;
pub mod definition;
pub mod delivery;
pub mod encode;
pub mod event_id;
pub mod metrics;
pub mod pack;
pub mod routing;

use std::collections::{HashMap, HashSet, VecDeque};
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::Schema;
use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::FuturesOrdered;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinHandle, JoinSet};
use tokio::time::{Instant, sleep_until};
use weir_contract::ack::Ack;
use weir_contract::batch::{Batch, RowKind};
use weir_contract::dead_letter::DeadLetterMetrics;
use weir_contract::memory::MemoryBudget;

use crate::billing::{self, SizeModel};
use crate::sentinel::config::{Packing, SentinelConfig};
use crate::sentinel::delivery::Courier;
use crate::sentinel::encode::EncodedRows;
use crate::sentinel::metrics::SentinelMetrics;
use crate::sentinel::pack::{CameFrom, Packed, PackedBatch, Packer, Payload, Segment};
use crate::sentinel::routing::{Destination, Routing};
use crate::sink::{Sink, SinkError, SinkSummary, chain};

/// The sink's name in metrics and logs.
const SINK: &str = "sentinel";

/// Batches that are encoded at the same time. Encoding is several times faster than compression and the network, so two
/// keep the requests fed.
const ENCODERS: usize = 2;

/// Writes to one workspace. See the [module](self).
pub struct SentinelSink {
    config: SentinelConfig,
    routing: Routing,
    courier: Arc<Courier>,
    budget: MemoryBudget,
    metrics: SentinelMetrics,
    tables: HashMap<Arc<str>, Table>,
    /// The column of the rows' ids.
    event_id: Arc<str>,
    /// Tables of which the log has said that the workspace has no place for them.
    told_unfit: HashSet<Arc<str>>,
}

/// A table that rows came for.
struct Table {
    to: Arc<Destination>,
    packer: Packer,
    /// When the oldest row that waits came; `None` if none waits.
    waiting_since: Option<Instant>,
    /// Whether the log has said which columns are withheld.
    told_withheld: bool,
}

/// A batch as JSON.
struct Encoded {
    to: Arc<Destination>,
    batch: Arc<PackedBatch>,
    ack: Ack,
    withheld: Vec<String>,
    took: Duration,
}

/// A batch that the workspace has no place for, as dead letters.
struct Unfit {
    table: Arc<str>,
    letters: Batch,
    why: SinkError,
}

/// A payload that waits for its turn.
type Ready = VecDeque<(Arc<Destination>, Payload)>;

impl SentinelSink {
    /// A sink as configured; reads the rules' definitions, sends nothing.
    ///
    /// Rows that the workspace can't take go out through `dead_letters`, each with its part of its batch's
    /// acknowledgement: whoever receives them must make them durable and answer. The sender is dropped when the sink
    /// ends.
    ///
    /// # Errors
    ///
    /// [`SinkError::Config`] with all faults of the config at once.
    pub fn new(
        config: SentinelConfig,
        budget: MemoryBudget,
        metrics: SentinelMetrics,
        dead_letters: mpsc::Sender<Batch>,
    ) -> Result<Self, SinkError> {
        let routing = Routing::new(&config)?;
        let courier = Arc::new(Courier::new(&config, metrics.clone(), budget.clone(), dead_letters)?);
        Ok(Self {
            event_id: config.event_id.as_str().into(),
            config,
            routing,
            courier,
            budget,
            metrics,
            tables: HashMap::new(),
            told_unfit: HashSet::new(),
        })
    }

    /// Makes sure that `table` has a rule, and that its stream declares every column of `schema` with a fitting type.
    ///
    /// For the start-up, with the tables and columns that the mappings emit. Without a rule's `definition` only the
    /// first half can be checked.
    ///
    /// # Errors
    ///
    /// [`SinkError::Config`] or [`SinkError::Schema`], which name table, stream and column.
    pub fn check_table(&self, table: &str, schema: &Schema) -> Result<(), SinkError> {
        let to = self.routing.destination(table)?;
        definition::check(schema.fields(), table, &to.stream, to.columns.as_deref())
    }

    /// The table's state, made at its first batch.
    fn table(&mut self, name: &Arc<str>) -> Result<&mut Table, SinkError> {
        if !self.tables.contains_key(name) {
            let to = Arc::new(self.routing.destination(name)?);
            let table = Table { to, packer: Packer::default(), waiting_since: None, told_withheld: false };
            self.tables.insert(Arc::clone(name), table);
        }
        Ok(self.tables.get_mut(name).expect("inserted above"))
    }

    /// Starts to encode a batch. `None` for one without rows, which is durable as it stands.
    fn encode(&mut self, batch: Batch) -> Result<Option<Encoding>, SinkError> {
        if batch.rows.num_rows() == 0 {
            batch.ack.done();
            return Ok(None);
        }
        self.metrics.shared.buffered_rows.with_label_values(&[SINK]).add(batch.rows.num_rows() as i64);
        let to = match self.table(&batch.table) {
            Ok(table) => Ok(Arc::clone(&table.to)),
            Err(why) if batch.kind == RowKind::Normalized => return Err(why),
            Err(why) => Err(why),
        };
        let (budget, counted) = (self.budget.clone(), self.metrics.dead_letters.clone());
        let event_id = Arc::clone(&self.event_id);
        Ok(Some(tokio::task::spawn_blocking(move || match to {
            Ok(to) => encode(batch, to, &event_id, &budget, &counted),
            Err(why) => unfit(batch, why, &budget, &counted).map(Err),
        })))
    }

    /// Makes dead letters of a batch that the workspace has no place for.
    async fn refuse(&mut self, unfit: Unfit) -> Result<(), SinkError> {
        let Unfit { table, letters, why } = unfit;
        if self.told_unfit.insert(Arc::clone(&table)) {
            tracing::error!(
                table = &*table,
                error = %why,
                "the workspace has no place for these rows; they become dead letters"
            );
        }
        self.courier.refuse(&table, letters).await
    }

    /// Queues encoded rows and moves full payloads to `ready`.
    async fn enqueue(&mut self, encoded: Encoded, ready: &mut Ready) -> Result<(), SinkError> {
        let Encoded { to, batch, ack, withheld, took } = encoded;
        self.metrics.shared.encode_seconds.with_label_values(&[SINK]).observe(took.as_secs_f64());
        self.metrics.truncated_fields.with_label_values(&[&*to.table]).inc_by(batch.rows.long_values);
        self.metrics.omitted_values.with_label_values(&[&*to.table]).inc_by(batch.rows.omitted_reals);
        let segment = Segment::whole(batch, ack);
        self.metrics.shared.buffered_bytes.with_label_values(&[SINK]).add(segment.json().len() as i64);
        let table = self.table(&to.table)?;
        if !withheld.is_empty() && !table.told_withheld {
            table.told_withheld = true;
            tracing::warn!(table = &*to.table, columns = ?withheld, "the workspace fills these columns in itself; they are not sent");
        }
        table.packer.push(segment);
        table.waiting_since.get_or_insert_with(Instant::now);
        self.cut(&to.table, false, "size", ready).await
    }

    /// Moves payloads of a table to `ready`: the full ones, or with `flush` all. Rows that fit nowhere become dead
    /// letters.
    async fn cut(
        &mut self,
        name: &Arc<str>,
        flush: bool,
        reason: &'static str,
        ready: &mut Ready,
    ) -> Result<(), SinkError> {
        let packing = self.config.packing;
        let table = self.table(name)?;
        let to = Arc::clone(&table.to);
        let mut taken = 0;
        let mut too_large = Vec::new();
        loop {
            let limit = to.target_bytes(packing);
            match table.packer.next(limit, flush) {
                Some(Packed::Payload(payload)) => {
                    taken += 1;
                    ready.push_back((Arc::clone(&to), payload));
                }
                // The target may have shrunk below what the service takes; only a row over the mode's limit is hopeless.
                Some(Packed::TooLarge(row)) if row.json().len() < packing.max_raw() => {
                    taken += 1;
                    ready.push_back((Arc::clone(&to), Payload::single(row)));
                }
                Some(Packed::TooLarge(row)) => too_large.push(row),
                None => break,
            }
        }
        if taken > 0 || flush || table.packer.rows() == 0 {
            table.waiting_since = (table.packer.rows() > 0).then(Instant::now);
        }
        self.metrics.shared.flushes.with_label_values(&[SINK, reason]).inc_by(taken);
        for row in too_large {
            let detail = too_large_detail(&row, packing);
            self.courier.bury(&to, row, "row_too_large", detail).await?;
        }
        Ok(())
    }

    /// Moves all payloads of the tables that `due` picks to `ready`.
    async fn flush(
        &mut self,
        reason: &'static str,
        due: impl Fn(&Table) -> bool,
        ready: &mut Ready,
    ) -> Result<(), SinkError> {
        let names: Vec<_> =
            self.tables.iter().filter(|(_, table)| due(table)).map(|(name, _)| Arc::clone(name)).collect();
        for name in names {
            self.cut(&name, true, reason, ready).await?;
        }
        Ok(())
    }

    /// When the next rows have waited long enough.
    fn next_due(&self) -> Option<Instant> {
        let oldest = self.tables.values().filter_map(|table| table.waiting_since).min();
        oldest.map(|since| since + self.config.max_wait.0)
    }
}

#[async_trait]
impl Sink for SentinelSink {
    fn name(&self) -> &str {
        SINK
    }

    async fn check(&mut self) -> Result<(), SinkError> {
        if let Err(error) = self.config.credential.check() {
            return Err(SinkError::config(format!("`credential`: {}", chain(&error))));
        }
        if self.config.probe {
            self.courier.sign_in().await?;
            for to in self.routing.known() {
                self.courier.probe(&to).await?;
            }
        }
        Ok(())
    }

    async fn run(mut self: Box<Self>, mut input: mpsc::Receiver<Batch>) -> Result<SinkSummary, SinkError> {
        let concurrency = self.config.concurrency;
        let mut encoding = FuturesOrdered::new();
        let mut ready = Ready::new();
        let mut posts: JoinSet<Result<(), SinkError>> = JoinSet::new();
        let mut is_open = true;
        loop {
            if !is_open && encoding.is_empty() {
                self.flush("end", |table| table.packer.rows() > 0, &mut ready).await?;
            }
            while posts.len() < concurrency
                && let Some((to, payload)) = ready.pop_front()
            {
                let courier = Arc::clone(&self.courier);
                posts.spawn(async move { courier.deliver(&to, payload).await });
            }
            let is_idle = posts.is_empty() && ready.is_empty();
            if !is_open && encoding.is_empty() && is_idle {
                return Ok(self.courier.totals());
            }
            let waits = self.tables.values().any(|table| table.packer.rows() > 0);
            // While payloads wait for their turn, rows may as well wait for more of their kind.
            let due = self.next_due().filter(|_| ready.is_empty());
            tokio::select! {
                Some(posted) = posts.join_next(), if !posts.is_empty() => unpanicked(posted)??,
                Some(encoded) = encoding.next(), if !encoding.is_empty() => {
                    match unpanicked(encoded)?? {
                        Ok(encoded) => self.enqueue(encoded, &mut ready).await?,
                        Err(unfit) => self.refuse(unfit).await?,
                    }
                }
                batch = input.recv(), if is_open && encoding.len() < ENCODERS && ready.len() < concurrency => match batch {
                    Some(batch) => encoding.extend(self.encode(batch)?),
                    None => is_open = false,
                },
                () = async { match due { Some(due) => sleep_until(due).await, None => pending().await } } => {
                    let (now, max_wait) = (Instant::now(), self.config.max_wait.0);
                    let is_due = |table: &Table| table.waiting_since.is_some_and(|since| since + max_wait <= now);
                    self.flush("interval", is_due, &mut ready).await?;
                }
                // Requests under way free memory by themselves; only an idle sink holds it back.
                () = self.budget.pressure(), if waits && is_idle && encoding.is_empty() => {
                    self.flush("pressure", |table| table.packer.rows() > 0, &mut ready).await?;
                }
            }
        }
    }
}

/// A batch that is being encoded: as JSON in the end, or as dead letters.
type Encoding = JoinHandle<Result<Result<Encoded, Unfit>, SinkError>>;

fn encode(
    batch: Batch,
    to: Arc<Destination>,
    event_id: &str,
    budget: &MemoryBudget,
    counted: &DeadLetterMetrics,
) -> Result<Result<Encoded, Unfit>, SinkError> {
    let start = std::time::Instant::now();
    let selected = match definition::select(&batch.rows, &batch.table, &to.stream, to.columns.as_deref()) {
        Ok(selected) => selected,
        // What a mapping makes was compared with the rule at the start.
        Err(why) if batch.kind == RowKind::Normalized => return Err(why),
        Err(why) => return unfit(batch, why, budget, counted).map(Err),
    };
    let place = event_id::place(event_id, &batch, to.columns.as_deref());
    let Batch { table, rows, origin, positions, mapping, ack, mut permit, .. } = batch;
    drop(rows);
    let rows = event_id::add(selected.rows, &place, &origin, &positions, mapping.as_deref())
        .map_err(|cause| SinkError::encode(&table, cause))?;
    let encoded = EncodedRows::encode(&rows).map_err(|cause| SinkError::encode(&table, cause))?;
    let mut billed = billing::row_sizes(&rows, SizeModel::Text);
    billing::add_arrival_time(&rows, SizeModel::Text, &mut billed);
    drop(rows);
    permit.resize(encoded.memory() + billed.capacity() * size_of::<u64>() + size_of_val(&*positions));
    let came = CameFrom { origin, positions, mapping };
    let batch = Arc::new(PackedBatch::new(encoded, billed, came, permit));
    Ok(Ok(Encoded { to, batch, ack, withheld: selected.withheld, took: start.elapsed() }))
}

/// One dead letter for each row of `batch`, with the batch's acknowledgement.
fn unfit(batch: Batch, why: SinkError, budget: &MemoryBudget, counted: &DeadLetterMetrics) -> Result<Unfit, SinkError> {
    let Batch { table, rows, origin, positions, mapping, ack, .. } = batch;
    let encoded = EncodedRows::encode(&rows).map_err(|cause| SinkError::encode(&table, cause))?;
    let reason = if matches!(why, SinkError::Schema { .. }) { "not_declared" } else { "no_rule" };
    let came = CameFrom { origin, positions, mapping };
    let letter = |row| delivery::letter(&came, row, &table, reason, why.to_string(), encoded.row(row));
    let letters: Vec<_> = (0..encoded.len()).map(letter).collect();
    counted.count(&letters);
    let letters = delivery::letters(&letters, &came, 0, ack, budget);
    Ok(Unfit { table, letters, why })
}

fn too_large_detail(row: &Segment, packing: Packing) -> String {
    format!("the row takes {} bytes as JSON; a request takes {}", row.json().len() + 1, packing.max_raw())
}

/// What a task returned; its panic, if any, as an error.
fn unpanicked<T>(joined: Result<T, JoinError>) -> Result<T, SinkError> {
    joined.map_err(|cause| SinkError::encode("", cause))
}

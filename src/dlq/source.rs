//! Dead letters as a source of records, or of rows for the workspace.
//!
//! The partition of a replay is made of what it replays, its offsets count the letters: a replay that was interrupted
//! before anything was noted has the same positions when it is repeated.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use async_trait::async_trait;
use bytes::Bytes;
use futures::TryStreamExt as _;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use weir_contract::ack::{self, AckReport, AckSender};
use weir_contract::batch::{Batch, Framing, RawBatch, RawRecord, RowKind};
use weir_contract::dead_letter::{Form, hash_id};
use weir_contract::memory::{MemoryBudget, Permit, unique_bytes};
use weir_contract::position::{Offset, OffsetRange, Origin, Repeats, RowPosition, SourceName};
use weir_contract::schema::ColumnType;
use weir_ingest::source::{Source, SourceError};
use weir_normalize::asim;
use weir_normalize::check::rows::columns_by;
use weir_sink::lake::read::LakeTable;

use super::letters::Columns;

/// The name of the source of replayed letters.
pub(super) const SOURCE: &str = "dlq";
/// Rows of the table that are read together.
const BATCH_ROWS: usize = 64;

/// What one replay sends: letters by position, each with the letters that make it up (more than one for pieces).
#[derive(Debug, Clone)]
pub(super) struct Plan {
    /// The partition of its positions.
    pub(super) partition: String,
    /// The ids of each record, in the order in which they are sent.
    pub(super) records: Vec<Vec<String>>,
}

impl Plan {
    /// A plan for `records`; `times` is how often they were replayed before, so that a wanted repetition is another
    /// replay.
    pub(super) fn new(records: Vec<Vec<String>>, times: u64) -> Self {
        let ids = records.iter().flatten().map(|id| id.as_bytes());
        let times = times.to_le_bytes();
        let parts: Vec<&[u8]> = ids.chain([&times[..]]).collect();
        Self { partition: format!("dead_letters/{}", hash_id(&parts)), records }
    }

    fn origin(&self, at: usize) -> Arc<Origin> {
        let at = at as u64;
        let range = OffsetRange {
            partition: self.partition.as_str().into(),
            start: Offset(at),
            next: Offset(at + 1),
            delivered: Offset(0),
        };
        Arc::new(Origin { source: SOURCE.into(), ranges: vec![range], positions: Repeats::Same })
    }
}

/// The records of a plan whose rows are durable, by position.
pub(super) type Durable = Arc<Mutex<Vec<usize>>>;

/// A letter that is ready to be sent.
struct Ready {
    at: usize,
    form: Form,
    table: Option<String>,
    payload: Bytes,
    permit: Permit,
}

/// Reads the letters of a plan; waits for room in memory before each.
struct Reader {
    table: LakeTable,
    plan: Plan,
    budget: MemoryBudget,
}

impl Reader {
    /// Sends the records in the order of their positions; stops early if nobody takes more. Waits for room in memory,
    /// except amid a record in pieces, which must fit whole.
    async fn send(&self, out: &mpsc::Sender<Ready>, stop: &CancellationToken) -> anyhow::Result<()> {
        let mut wanted: HashMap<&str, (usize, usize)> = HashMap::new();
        for (at, ids) in self.plan.records.iter().enumerate() {
            wanted.extend(ids.iter().enumerate().map(|(piece, id)| (&**id, (at, piece))));
        }
        // Pieces of records that are not whole yet.
        let mut open: HashMap<usize, BTreeMap<usize, (Vec<u8>, Permit)>> = HashMap::new();
        let mut rows = std::pin::pin!(self.table.read(BATCH_ROWS));
        while let Some(batch) = rows.try_next().await? {
            let columns = Columns::of(&batch)?;
            for (letter, payload) in columns.letters() {
                // Removed, so that a letter that a crash has doubled is sent once.
                let Some((at, piece)) = wanted.remove(&*letter.id) else { continue };
                // To wait while pieces are held could wait for what only the next piece sets free.
                let permit = match open.is_empty() {
                    false => self.budget.charge(payload.len()),
                    true => tokio::select! {
                        permit = self.budget.reserve(payload.len()) => permit,
                        () = stop.cancelled() => return Ok(()),
                    },
                };
                let pieces = open.entry(at).or_default();
                pieces.insert(piece, (payload, permit));
                if pieces.len() < self.plan.records[at].len() {
                    continue;
                }
                let pieces = open.remove(&at).expect("inserted above");
                let bytes: usize = pieces.values().map(|(payload, _)| payload.len()).sum();
                let payload: Vec<u8> = pieces.into_values().flat_map(|(payload, _)| payload).collect();
                let permit = self.budget.charge(bytes);
                let ready = Ready { at, form: letter.form, table: letter.table, payload: payload.into(), permit };
                if out.send(ready).await.is_err() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

/// Waits until everything that was handed over is answered; the first position that is not durable is the error.
async fn settle(mut reports: mpsc::UnboundedReceiver<AckReport>, durable: Durable) -> Result<(), u64> {
    let mut failed = None;
    while let Some(report) = reports.recv().await {
        match report.durable {
            true => {
                let at = usize::try_from(report.batch).expect("a position in memory");
                durable.lock().expect("no panic while noting").push(at);
            }
            false => failed = failed.or(Some(report.batch)),
        }
    }
    failed.map_or(Ok(()), Err)
}

/// The source of letters that go through the whole pipeline.
pub(super) struct LetterSource {
    name: SourceName,
    reader: Reader,
    durable: Durable,
}

impl LetterSource {
    pub(super) fn new(table: LakeTable, plan: Plan, budget: MemoryBudget, durable: Durable) -> Self {
        Self { name: SOURCE.into(), reader: Reader { table, plan, budget }, durable }
    }
}

#[async_trait]
impl Source for LetterSource {
    fn name(&self) -> &SourceName {
        &self.name
    }

    async fn run(self: Box<Self>, out: mpsc::Sender<RawBatch>, stop: CancellationToken) -> Result<(), SourceError> {
        let Self { name, reader, durable } = *self;
        let (acks, reports) = ack::channel();
        let noting = tokio::spawn(settle(reports, durable));
        let (ready, mut letters) = mpsc::channel(1); // letters
        let plan = reader.plan.clone();
        let reading = tokio::spawn(async move { reader.send(&ready, &stop).await });
        while let Some(letter) = letters.recv().await {
            let framing = match letter.form {
                Form::Csv => Framing::Csv,
                // Joined, an oversized record is one like any other.
                Form::Document | Form::Piece | Form::Row => Framing::Document,
            };
            let batch = RawBatch {
                origin: plan.origin(letter.at),
                framing,
                default_table: letter.table.map(Into::into),
                records: vec![RawRecord { payload: letter.payload, partition: 0, offset: Offset(letter.at as u64) }],
                ack: acks.issue(letter.at as u64),
                permit: letter.permit,
            };
            if out.send(batch).await.is_err() {
                return Err(SourceError::Closed { source_name: name });
            }
        }
        drop((out, acks));
        let failed = |problem: String| SourceError::Service {
            source_name: name.clone(),
            problem,
            retryable: true,
            source: None,
        };
        reading
            .await
            .map_err(|error| failed(error.to_string()))?
            .map_err(|error| failed(format!("the table of dead letters cannot be read: {error:#}")))?;
        let settled = noting.await.map_err(|error| failed(error.to_string()))?;
        settled.map_err(|batch| SourceError::NotDurable { source_name: name.clone(), batch })
    }
}

/// Sends the rows of a plan's letters to the workspace's queue as they are, and waits for their acknowledgement.
/// `type_of` tells the type of a column of a table that is none of ASIM's.
pub(super) async fn send_rows(
    table: LakeTable,
    plan: Plan,
    budget: MemoryBudget,
    durable: Durable,
    out: mpsc::Sender<Batch>,
    stop: CancellationToken,
    type_of: impl Fn(&str, &str) -> Option<ColumnType> + Send + Sync,
) -> anyhow::Result<()> {
    let (acks, reports) = ack::channel();
    let noting = tokio::spawn(settle(reports, durable));
    let reader = Reader { table, plan: plan.clone(), budget: budget.clone() };
    let (ready, mut letters) = mpsc::channel(1); // letters
    let reading = tokio::spawn(async move { reader.send(&ready, &stop).await });
    while let Some(letter) = letters.recv().await {
        let batch = row_batch(letter, &plan, &acks, &budget, &type_of)?;
        // A sink that stopped says why itself.
        if out.send(batch).await.is_err() {
            return Ok(());
        }
    }
    drop((out, acks));
    reading.await.context("the reader of dead letters panicked")??;
    // What is not durable was not noted; the sink's own error ends the run.
    let _ = noting.await.context("the notes of a replay panicked")?;
    Ok(())
}

fn row_batch(
    letter: Ready,
    plan: &Plan,
    acks: &AckSender,
    budget: &MemoryBudget,
    type_of: &(impl Fn(&str, &str) -> Option<ColumnType> + Send + Sync),
) -> anyhow::Result<Batch> {
    let id = &plan.records[letter.at][0];
    let row = serde_json::from_slice(&letter.payload).with_context(|| {
        format!("the dead letter {id} is no JSON object, as rows of a sink are; look at it with `weir dlq show {id}`")
    })?;
    let table = letter.table.unwrap_or_default();
    let native = asim::table(&table);
    let rows = columns_by(
        |column| match native.and_then(|native| native.schema.column(column)) {
            Some(column) => Some(column.ty),
            None => type_of(&table, column),
        },
        &[row],
    );
    let permit = budget.charge(unique_bytes(&rows));
    drop(letter.permit);
    Ok(Batch {
        table: table.into(),
        // Of no kind that must fit its rule: what does not becomes a dead letter again, and stops nothing.
        kind: RowKind::Unknown,
        rows,
        origin: plan.origin(letter.at),
        positions: RowPosition::numbered(letter.at as u64, 1),
        mapping: None,
        has_more: false,
        raw_bytes: 0,
        ack: acks.issue(letter.at as u64),
        permit,
    })
}

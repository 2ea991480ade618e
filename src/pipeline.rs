//! The way of an event, from source to sink, in one place.
//!
//! ```text
//! sources ──raw batches (2)──▶ workers (rayon) ──in order (workers)──▶ router ──batches (8)──▶ lake
//!                              decode, normalise                         │                      ▲ dead letters
//!                                                                        └────batches (8)──▶ sentinel
//! ```
//!
//! Every queue is bounded by the number given, and the bytes in all of them by one [`MemoryBudget`]; a sink that slows
//! down fills its queue, then the router's, then the workers', and the sources wait. Batches leave the workers in the
//! order in which they came, so that each table sees a partition's offsets rise.
//!
//! The end flows the same way: a source that is done drops its queue, the next stage drains and drops its own, the
//! sinks flush and acknowledge, and the sources, which wait for that, store their progress and return.

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use arrow::record_batch::RecordBatch;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use weir_contract::ack::Ack;
use weir_contract::batch::{Batch, RawBatch, RowKind};
use weir_contract::datetime;
use weir_contract::dead_letter::{self, DEAD_LETTERS, DeadLetter, DeadLetterMetrics, Form, Stage};
use weir_contract::memory::{MemoryBudget, unique_bytes};
use weir_contract::position::{Offset, Origin, RowPosition};
use weir_ingest::decode::{Decoder, Located, Origins};
use weir_ingest::source::{Source, SourceError};
use weir_normalize::normalizer::{Normalized, Normalizer, RefusedRow};
use weir_sink::billing;
use weir_sink::sentinel::encode::EncodedRows;
use weir_sink::sink::{Sink, SinkSummary};

use crate::router::{Routed, Router, SinkGone};
use crate::shutdown;
use crate::summary::Totals;

/// Raw batches that wait for a worker: enough to bridge a read. More would only be decoded, and grow, after the memory is
/// used up.
pub(crate) const RAW_QUEUE: usize = 2;
/// Batches that wait for a sink.
pub(crate) const SINK_QUEUE: usize = 8;

/// Everything that runs, ready to be started.
pub(crate) struct Pipeline {
    pub(crate) sources: Vec<Box<dyn Source>>,
    pub(crate) replayed: Option<Replayed>,
    pub(crate) stages: Arc<Stages>,
    pub(crate) router: Router,
    pub(crate) sinks: Vec<(Box<dyn Sink>, mpsc::Receiver<Batch>)>,
    pub(crate) workers: usize,
}

/// Batches that skip the decoder: a raw table of the lake that is replayed.
pub(crate) struct Replayed {
    pub(crate) rows: mpsc::Receiver<Batch>,
    /// The task that reads them.
    pub(crate) reader: JoinHandle<anyhow::Result<()>>,
}

/// The CPU-bound stages; shared by all workers.
pub(crate) struct Stages {
    pub(crate) decoder: Decoder,
    pub(crate) normalizer: Normalizer,
    pub(crate) budget: MemoryBudget,
    pub(crate) metrics: PipelineMetrics,
}

/// What the wiring itself counts.
#[derive(Debug, Clone)]
pub(crate) struct PipelineMetrics {
    billed: prometheus::IntCounterVec,
    dropped: prometheus::IntCounterVec,
    dead_letters: DeadLetterMetrics,
}

impl PipelineMetrics {
    /// Declares them in `set`.
    pub(crate) fn new(set: &weir_contract::metrics::MetricSet) -> Self {
        Self {
            billed: set.counter(
                "weir_billed_bytes_total",
                "Bytes that the workspace would bill for the normalised rows, by Microsoft's published rule (an \
                 estimate, whether or not they are sent)",
                &["table"],
            ),
            dropped: set.counter(
                "weir_route_dropped_rows_total",
                "Rows that a route with an empty list of sinks dropped",
                &["route", "table"],
            ),
            dead_letters: DeadLetterMetrics::new(set),
        }
    }
}

/// What a pipeline did, and how it ended.
pub(crate) struct Outcome {
    pub(crate) totals: Totals,
    pub(crate) sinks: Vec<(String, SinkSummary)>,
}

/// Runs until every source is done, or until `stop`, then drains; at most `deadline` long from the stop.
///
/// The first stage that fails stops the sources, so that the process ends instead of reading for nobody; the other
/// sinks still write what they have. A damaged file alone stops nothing: the other sources go on, and its error is
/// returned in the end.
///
/// # Errors
///
/// The first cause, rather than an error that followed from it in another stage; or that the deadline passed.
pub(crate) async fn run(pipeline: Pipeline, stop: CancellationToken, deadline: Duration) -> anyhow::Result<Outcome> {
    let mut failure = Failure::default();
    let ended = tokio::select! {
        ended = drive(pipeline, &stop, &mut failure) => Some(ended?),
        () = shutdown::deadline_after(&stop, deadline) => None,
    };
    match (ended, failure.error) {
        (Some(outcome), None) => Ok(outcome),
        (Some(_), Some(error)) => Err(error),
        (None, cause) => {
            let late = format!(
                "not everything was durable {} after the stop; the rest is read again at the next start (raise \
                 `shutdown.deadline` to wait longer)",
                humantime::format_duration(deadline)
            );
            Err(match cause {
                None => anyhow!(late),
                Some(error) => {
                    tracing::error!("{late}");
                    error
                }
            })
        }
    }
}

/// Why a run failed.
#[derive(Default)]
struct Failure {
    error: Option<anyhow::Error>,
    is_consequence: bool,
}

impl Failure {
    /// Notes an error; `is_consequence` says that another stage must have failed before it.
    fn note(&mut self, error: anyhow::Error, is_consequence: bool) {
        if self.error.is_none() || (self.is_consequence && !is_consequence) {
            *self = Self { error: Some(error), is_consequence };
        }
    }
}

/// Starts every stage and waits for all of them.
async fn drive(pipeline: Pipeline, stop: &CancellationToken, failure: &mut Failure) -> anyhow::Result<Outcome> {
    let Pipeline { sources, replayed, stages, router, sinks, workers } = pipeline;
    let (raw_tx, raw_rx) = mpsc::channel(RAW_QUEUE); // raw batches
    let (worked_tx, worked_rx) = mpsc::channel(workers); // results of workers, in order

    let mut reading = JoinSet::new();
    for source in sources {
        reading.spawn(source.run(raw_tx.clone(), stop.clone()));
    }
    drop(raw_tx);
    let (replayed, replay_reader) = replayed.map(|replayed| (replayed.rows, replayed.reader)).unzip();
    let working = tokio::spawn(work(raw_rx, replayed, stages.clone(), worked_tx));
    let mut writing = JoinSet::new();
    for (sink, input) in sinks {
        writing.spawn(async move {
            let name = sink.name().to_owned();
            let result = sink.run(input).await;
            (name, result)
        });
    }
    let mut routing = tokio::spawn(route(worked_rx, router, stages.metrics.clone()));

    let mut summaries = Vec::new();
    let mut totals = None;
    while totals.is_none() || !writing.is_empty() || !reading.is_empty() {
        tokio::select! {
            Some(joined) = writing.join_next() => {
                let (name, result) = joined.context("a sink's task panicked")?;
                match result {
                    Ok(summary) => summaries.push((name, summary)),
                    Err(error) => {
                        tracing::error!(
                            sink = name,
                            error = %error,
                            "the sink failed; sources stop, what it held is not acknowledged"
                        );
                        failure.note(anyhow::Error::new(error).context(format!("the sink `{name}` failed")), false);
                        stop.cancel();
                    }
                }
            }
            Some(joined) = reading.join_next() => {
                if let Err(error) = joined.context("a source's task panicked")? {
                    let is_consequence =
                        matches!(error, SourceError::NotDurable { .. } | SourceError::Closed { .. });
                    if is_about_one_file(&error) {
                        tracing::error!(error = %error, "a source ended early; the others go on");
                    } else {
                        tracing::error!(error = %error, "a source failed; all sources stop");
                        stop.cancel();
                    }
                    failure.note(error.into(), is_consequence);
                }
            }
            routed = &mut routing, if totals.is_none() => {
                totals = Some(match routed.context("the router panicked")? {
                    Ok(totals) => totals,
                    Err((totals, error)) => {
                        let is_consequence = error.is::<SinkGone>();
                        failure.note(error, is_consequence);
                        // Nobody takes batches any more; an idle source would never notice.
                        stop.cancel();
                        totals
                    }
                });
            }
        }
    }
    working.await.context("the workers' dispatcher panicked")?;
    if let Some(reader) = replay_reader
        && let Err(error) = reader.await.context("the reader of the replayed table panicked")?
    {
        failure.note(error, false);
    }
    summaries.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(Outcome { totals: totals.unwrap_or_default(), sinks: summaries })
}

/// Whether an error is about a file's content, and so no reason to stop the other sources.
fn is_about_one_file(error: &SourceError) -> bool {
    matches!(error, SourceError::Read { .. } | SourceError::Corrupt { .. })
}

/// Hands each raw batch to a rayon worker; the receivers of their results keep the order.
async fn work(
    mut raw: mpsc::Receiver<RawBatch>,
    replayed: Option<mpsc::Receiver<Batch>>,
    stages: Arc<Stages>,
    results: mpsc::Sender<oneshot::Receiver<Worked>>,
) {
    let dispatch = |job: Box<dyn FnOnce(&Stages) -> Worked + Send>| {
        let (done, result) = oneshot::channel();
        let stages = Arc::clone(&stages);
        let results = results.clone();
        async move {
            // Room first: the queue's capacity bounds the batches that are decoded at once.
            let Ok(slot) = results.reserve().await else { return false };
            rayon::spawn(move || {
                // The router is gone only if a sink failed; the dropped result fails its acknowledgement.
                let _ = done.send(job(&stages));
            });
            slot.send(result);
            true
        }
    };
    while let Some(batch) = raw.recv().await {
        if !dispatch(Box::new(move |stages| stages.decode_and_normalize(batch))).await {
            return;
        }
    }
    let Some(mut replayed) = replayed else { return };
    while let Some(batch) = replayed.recv().await {
        if !dispatch(Box::new(move |stages| stages.normalize_again(batch))).await {
            return;
        }
    }
}

/// What a worker made of one batch.
struct Worked {
    batches: Vec<Batch>,
    totals: Totals,
}

impl Stages {
    fn decode_and_normalize(&self, raw: RawBatch) -> Worked {
        let from = Origins::of(&raw);
        // The records stay, for the rows that a mapping refuses; they are paid for until the rows are made.
        let held = self.budget.charge(raw.bytes());
        let decoded = self.decoder.decode(raw, &self.budget);
        let mut totals = Totals::default();
        let mut batches = Vec::with_capacity(decoded.batches.len() + 1);
        let mut letters = decoded.dead_letters;
        totals.count_dead_letters(&letters);
        let mut tables = Vec::with_capacity(decoded.batches.len());
        for batch in &decoded.batches {
            totals.count_decoded(batch);
            tables.push((Arc::clone(&batch.table), batch.rows.clone()));
        }
        // Rows of each table in the batches before.
        let mut rows_before: HashMap<Arc<str>, usize> = HashMap::new();
        for ((table, rows), normalized) in tables.iter().zip(self.normalizer.normalize_all(decoded.batches)) {
            let first = rows_before.entry(Arc::clone(table)).or_default();
            letters.extend(self.letters_of(table, &normalized.refused, &from.origin, rows, |refused| {
                let refused: Vec<usize> = refused.iter().map(|row| *first + row).collect();
                self.decoder.locate(&from, table, &refused)
            }));
            *first += rows.num_rows();
            self.take_over(table, normalized, &mut batches, &mut totals);
        }
        drop(held);
        if !letters.is_empty() {
            batches.insert(0, self.keep(&letters, &decoded.origin, decoded.ack.split()));
        }
        decoded.ack.done();
        mark_what_follows(&mut batches);
        Worked { batches, totals }
    }

    /// Normalises rows that stand in the lake under their raw table: what no mapping claims stays where it is.
    fn normalize_again(&self, batch: Batch) -> Worked {
        let mut totals = Totals::default();
        let mut made = Vec::new();
        totals.count_decoded(&batch);
        let (table, rows, origin, ack) =
            (Arc::clone(&batch.table), batch.rows.clone(), Arc::clone(&batch.origin), batch.ack.split());
        let normalized = self.normalizer.normalize(batch);
        let letters = self.letters_of(&table, &normalized.refused, &origin, &rows, |rows| vec![None; rows.len()]);
        self.take_over(&table, normalized, &mut made, &mut totals);
        let mut batches = Vec::with_capacity(made.len());
        match letters.is_empty() {
            true => ack.done(),
            false => batches.push(self.keep(&letters, &origin, ack)),
        }
        for batch in made {
            if batch.kind == RowKind::Normalized {
                batches.push(batch);
            } else {
                batch.ack.done();
            }
        }
        mark_what_follows(&mut batches);
        Worked { batches, totals }
    }

    /// The dead letters of rows that mappings failed at. `locate` finds the records of rows by their rising numbers;
    /// where a record is not known, the raw row itself is kept, as the record that would be decoded to it.
    fn letters_of(
        &self,
        table: &Arc<str>,
        refused: &[RefusedRow],
        origin: &Origin,
        rows: &RecordBatch,
        locate: impl FnOnce(&[usize]) -> Vec<Option<Located>>,
    ) -> Vec<DeadLetter> {
        if refused.is_empty() {
            return Vec::new();
        }
        let mut numbers: Vec<usize> = refused.iter().map(|refused| refused.row).collect();
        numbers.sort_unstable();
        numbers.dedup();
        let located = locate(&numbers);
        let letters: Vec<DeadLetter> = refused
            .iter()
            .map(|refused| {
                let at = numbers.binary_search(&refused.row).expect("every refused row is among the numbers");
                let record = located[at].clone().unwrap_or_else(|| as_record(rows, refused.row, origin));
                DeadLetter {
                    source: origin.source.clone(),
                    partition: record.partition,
                    offset: record.offset,
                    table: Some(Arc::clone(table)),
                    mapping: Some(refused.by.clone()),
                    stage: Stage::Normalize,
                    reason: refused.reason,
                    detail: refused.detail.clone(),
                    form: record.form,
                    payload: record.payload,
                }
            })
            .collect();
        self.metrics.dead_letters.count(&letters);
        letters
    }

    /// The batch that brings `letters` to the lake.
    fn keep(&self, letters: &[DeadLetter], origin: &Arc<Origin>, ack: Ack) -> Batch {
        let rows = dead_letter::to_rows(letters, now_us());
        Batch {
            table: DEAD_LETTERS.into(),
            kind: RowKind::DeadLetter,
            permit: self.budget.charge(unique_bytes(&rows)),
            rows,
            positions: positions_of_letters(letters, origin),
            mapping: None,
            has_more: false,
            origin: Arc::clone(origin),
            raw_bytes: 0,
            ack,
        }
    }

    /// Counts what became of a batch of the raw table `table`, and adds it to `batches`.
    fn take_over(&self, table: &str, normalized: Normalized, batches: &mut Vec<Batch>, totals: &mut Totals) {
        totals.count_normalized(table, &normalized);
        for batch in &normalized.batches {
            if batch.kind == RowKind::Normalized {
                let billed = billing::billed_bytes(&batch.rows);
                self.metrics.billed.with_label_values(&[&*batch.table]).inc_by(billed);
                totals.count_billed(&batch.table, billed);
            }
        }
        batches.extend(normalized.batches);
    }
}

/// Sends the workers' batches to the sinks, in the order of the sources, and sums up.
async fn route(
    mut worked: mpsc::Receiver<oneshot::Receiver<Worked>>,
    mut router: Router,
    metrics: PipelineMetrics,
) -> Result<Totals, (Totals, anyhow::Error)> {
    let mut totals = Totals::default();
    while let Some(result) = worked.recv().await {
        let Ok(worked) = result.await else {
            let error = anyhow!("a worker panicked; the batch it held was not acknowledged and will be read again");
            return Err((totals, error));
        };
        totals.add(worked.totals);
        for batch in worked.batches {
            let (table, rows) = (Arc::clone(&batch.table), batch.rows.num_rows() as u64);
            match router.route(batch).await {
                Ok(Routed::Sent) => {}
                Ok(Routed::Dropped(route)) => {
                    metrics.dropped.with_label_values(&[&*route, &*table]).inc_by(rows);
                    totals.count_dropped(&route, rows);
                }
                Err(error) => return Err((totals, error.into())),
            }
        }
    }
    Ok(totals)
}

/// A raw row as a record of its table, at the first position of its batch.
fn as_record(rows: &RecordBatch, row: usize, origin: &Origin) -> Located {
    let text = EncodedRows::encode(&rows.slice(row, 1)).map(|encoded| encoded.row(0).to_vec());
    let (partition, offset) = match origin.ranges.first() {
        Some(range) => (range.partition.clone(), range.start),
        None => ("unknown".into(), Offset(0)),
    };
    Located { partition, offset, form: Form::Document, payload: text.unwrap_or_default().into() }
}

/// Tells each batch of one raw batch whether another one of its table follows.
fn mark_what_follows(batches: &mut [Batch]) {
    let mut seen: HashSet<Arc<str>> = HashSet::new();
    for batch in batches.iter_mut().rev().filter(|batch| batch.rows.num_rows() > 0) {
        batch.has_more = !seen.insert(Arc::clone(&batch.table));
    }
}

/// Where the refused records stood.
fn positions_of_letters(letters: &[DeadLetter], origin: &Origin) -> Arc<[RowPosition]> {
    let position = |(row, letter): (usize, &DeadLetter)| {
        let partition = origin.ranges.iter().position(|range| range.partition == letter.partition).unwrap_or_default();
        RowPosition { offset: letter.offset, partition: partition as u32, row: row as u32 }
    };
    letters.iter().enumerate().map(position).collect()
}

pub(crate) fn now_us() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX / datetime::SECOND_US) * datetime::SECOND_US
        + i64::from(since.subsec_micros())
}

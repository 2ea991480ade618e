//! Which dead letters were replayed: the table `dead_letters_replayed` beside them.
//!
//! A row is added after what became of the letter is durable, so that an interrupted replay takes up the rest the next
//! time. Appending to a Delta table is safe for several processes. A letter that was refused again under the same id
//! later than its replay counts as not replayed.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::{RecordBatch, StringViewArray, TimestampMicrosecondArray};
use futures::TryStreamExt as _;
use tokio::sync::mpsc;
use weir_contract::ack::Ack;
use weir_contract::batch::{Batch, RowKind};
use weir_contract::memory::{MemoryBudget, unique_bytes};
use weir_contract::metrics::MetricSet;
use weir_contract::position::{Origin, Repeats, RowPosition};
use weir_sink::lake::LakeSink;
use weir_sink::lake::config::LakeConfig;
use weir_sink::lake::read::Lake;
use weir_sink::metrics::SinkMetrics;
use weir_sink::sink::Sink as _;

use super::letters::{Columns, Letter};

/// The table's name.
const TABLE: &str = "dead_letters_replayed";

/// What was replayed, and how often.
#[derive(Debug, Default)]
pub(super) struct Replays {
    by_id: HashMap<String, (i64, u64)>,
}

impl Replays {
    /// When the letter was last replayed, if it was not refused again since.
    pub(super) fn time(&self, letter: &Letter) -> Option<i64> {
        self.by_id.get(&letter.id).map(|(time, _)| *time).filter(|time| *time >= letter.time_us)
    }

    pub(super) fn has(&self, letter: &Letter) -> bool {
        self.time(letter).is_some()
    }

    /// How often the id was replayed.
    pub(super) fn count(&self, id: &str) -> u64 {
        self.by_id.get(id).map_or(0, |(_, count)| *count)
    }
}

/// Reads the table.
pub(super) async fn read(lake: &LakeConfig) -> anyhow::Result<Replays> {
    let mut replays = Replays::default();
    let Some(table) = Lake::open(lake)?.table(TABLE).await? else { return Ok(replays) };
    let mut rows = std::pin::pin!(table.read(8192));
    while let Some(batch) = rows.try_next().await? {
        for (id, time) in Columns::of(&batch)?.replays() {
            let (newest, count) = replays.by_id.entry(id).or_insert((time, 0));
            *newest = time.max(*newest);
            *count += 1;
        }
    }
    Ok(replays)
}

/// Notes that `ids` were replayed by the replay `plan` that began at `began_us`; `refused` are those that were refused
/// again. Returns once that is durable.
pub(super) async fn note(
    lake: &LakeConfig,
    began_us: i64,
    plan: &str,
    ids: &[String],
    refused: &BTreeSet<String>,
) -> anyhow::Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let time = TimestampMicrosecondArray::from_iter_values(ids.iter().map(|_| began_us)).with_timezone("UTC");
    let result = |id: &String| if refused.contains(id) { "refused" } else { "done" };
    let rows = RecordBatch::try_from_iter([
        ("TimeGenerated", Arc::new(time) as arrow::array::ArrayRef),
        ("Id", Arc::new(StringViewArray::from_iter_values(ids))),
        ("Replay", Arc::new(StringViewArray::from_iter_values(ids.iter().map(|_| plan)))),
        ("Result", Arc::new(StringViewArray::from_iter_values(ids.iter().map(result)))),
    ])?;
    let budget = MemoryBudget::new(usize::MAX >> 1);
    let sink = LakeSink::new(lake.clone(), budget.clone(), SinkMetrics::new(&MetricSet::new()))?;
    let (batches, queue) = mpsc::channel(1);
    let batch = Batch {
        table: TABLE.into(),
        kind: RowKind::DeadLetter,
        permit: budget.charge(unique_bytes(&rows)),
        rows,
        origin: Arc::new(Origin {
            source: super::source::SOURCE.into(),
            ranges: Vec::new(),
            positions: Repeats::Unrelated,
        }),
        positions: RowPosition::numbered(0, ids.len()),
        mapping: None,
        has_more: false,
        raw_bytes: 0,
        ack: Ack::detached(),
    };
    batches.send(batch).await.map_err(|_| anyhow::anyhow!("the lake takes no rows"))?;
    drop(batches);
    Box::new(sink).run(queue).await?;
    Ok(())
}

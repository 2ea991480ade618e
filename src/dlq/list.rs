//! `weir dlq list`: one line per dead letter, or sums of them.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringViewArray, TimestampMicrosecondArray};
use clap::Args;
use futures::StreamExt as _;
use weir_contract::schema::{Column, ColumnType, TableSchema};
use weir_hunt::Answer;

use super::letters::Letter;
use super::{FilterArgs, PlaceArgs, replayed};
use crate::rows::{self, RowsFormat};
use crate::run;

/// Arguments of `weir dlq list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    place: PlaceArgs,
    #[command(flatten)]
    filter: FilterArgs,
    /// Print at most this many.
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
    /// Sum them up by stage, reason and table instead.
    #[arg(long)]
    count: bool,
    /// How to print [default: a table on a terminal, else JSON].
    #[arg(long, value_name = "FORMAT")]
    format: Option<RowsFormat>,
}

pub(super) fn run(args: ListArgs) -> anyhow::Result<ExitCode> {
    run::block_on(async {
        let (config, table) = super::open(&args.place.config).await?;
        let found = match &table {
            Some(table) => super::find(table, &args.filter).await?,
            None => Vec::new(),
        };
        let replayed = replayed::read(&super::lake_of(&config)).await?;
        let is_replayed = |letter: &Letter| replayed.has(letter);
        let answer = if args.count {
            sums(&found, is_replayed)
        } else {
            let shown = &found[..found.len().min(args.limit)];
            if shown.len() < found.len() {
                eprintln!("{} of {} dead letters; raise `--limit` to see more", shown.len(), found.len());
            }
            lines(shown, is_replayed)
        };
        rows::print(answer?, args.format).await?;
        Ok(ExitCode::SUCCESS)
    })
}

fn lines(letters: &[Letter], is_replayed: impl Fn(&Letter) -> bool) -> anyhow::Result<Answer> {
    let text = |of: &dyn Fn(&Letter) -> Option<String>| -> ArrayRef {
        Arc::new(StringViewArray::from_iter(letters.iter().map(of)))
    };
    let long = |of: fn(&Letter) -> i64| -> ArrayRef { Arc::new(Int64Array::from_iter_values(letters.iter().map(of))) };
    let times = TimestampMicrosecondArray::from_iter_values(letters.iter().map(|letter| letter.time_us));
    answer([
        ("Id", ColumnType::String, text(&|letter| Some(letter.id.clone()))),
        ("Time", ColumnType::Datetime, Arc::new(times.with_timezone("UTC"))),
        ("Source", ColumnType::String, text(&|letter| Some(letter.source.clone()))),
        ("Partition", ColumnType::String, text(&|letter| Some(letter.partition.clone()))),
        ("Offset", ColumnType::Long, long(|letter| letter.offset)),
        ("Stage", ColumnType::String, text(&|letter| Some(letter.stage.clone()))),
        ("Reason", ColumnType::String, text(&|letter| Some(letter.reason.clone()))),
        ("Table", ColumnType::String, text(&|letter| letter.table.clone())),
        ("Mapping", ColumnType::String, text(&|letter| letter.mapping.clone())),
        ("Replayed", ColumnType::String, text(&|letter| Some(if is_replayed(letter) { "yes" } else { "no" }.into()))),
        ("Bytes", ColumnType::Long, long(|letter| letter.bytes as i64)),
        ("Payload", ColumnType::String, text(&|letter| Some(beginning(&letter.head)))),
    ])
}

fn sums(letters: &[Letter], is_replayed: impl Fn(&Letter) -> bool) -> anyhow::Result<Answer> {
    let mut sums: BTreeMap<(&str, &str, &str), (i64, i64)> = BTreeMap::new();
    for letter in letters {
        let key = (&*letter.stage, &*letter.reason, letter.table.as_deref().unwrap_or_default());
        let (count, replayed) = sums.entry(key).or_default();
        *count += 1;
        *replayed += i64::from(is_replayed(letter));
    }
    let text = |of: fn(&(&str, &str, &str)) -> String| -> ArrayRef {
        Arc::new(StringViewArray::from_iter_values(sums.keys().map(of)))
    };
    answer([
        ("Stage", ColumnType::String, text(|key| key.0.to_owned())),
        ("Reason", ColumnType::String, text(|key| key.1.to_owned())),
        ("Table", ColumnType::String, text(|key| key.2.to_owned())),
        ("Letters", ColumnType::Long, Arc::new(Int64Array::from_iter_values(sums.values().map(|sum| sum.0)))),
        ("Replayed", ColumnType::Long, Arc::new(Int64Array::from_iter_values(sums.values().map(|sum| sum.1)))),
    ])
}

fn answer<const N: usize>(columns: [(&str, ColumnType, ArrayRef); N]) -> anyhow::Result<Answer> {
    let schema = TableSchema {
        name: "dead_letters".into(),
        columns: columns.iter().map(|(name, ty, _)| Column::new(name, *ty)).collect(),
    };
    let arrays = columns.into_iter().map(|(_, _, array)| array).collect();
    let batch = RecordBatch::try_new(schema.arrow(), arrays)?;
    Ok(Answer { schema, rows: futures::stream::iter([Ok(batch)]).boxed() })
}

/// The first characters of a payload, in one line.
fn beginning(head: &[u8]) -> String {
    let text = String::from_utf8_lossy(head);
    text.chars().take(80).map(|char| if char.is_control() { ' ' } else { char }).collect()
}

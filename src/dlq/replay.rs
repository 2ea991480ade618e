//! `weir dlq replay`: dead letters through the pipeline as it is now.
//!
//! What was received goes through the decoder, the mappings and the routes again. A record that one mapping failed at is
//! run through that mapping alone: the others have made their rows of it. A row that the workspace refused goes to the
//! workspace alone, as it was: the lake has it.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, bail};
use arrow::array::{Array as _, AsArray as _, RecordBatch, StringViewArray};
use arrow::datatypes::Int64Type;
use clap::Args;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use weir_contract::batch::{Batch, RowKind};
use weir_contract::dead_letter::Form;
use weir_ingest::schema::RawTables;
use weir_sink::lake::config::LakeConfig;
use weir_sink::lake::read::LakeTable;

use super::letters::{self, Letter};
use super::replayed::{self, Replays};
use super::source::{Durable, LetterSource, Plan, SOURCE, send_rows};
use super::{FilterArgs, PlaceArgs};
use crate::assembly::Assembly;
use crate::config::Config;
use crate::pipeline::{Replayed, SINK_QUEUE, now_us};
use crate::{run, shutdown};

/// Arguments of `weir dlq replay`.
#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    #[command(flatten)]
    place: PlaceArgs,
    #[command(flatten)]
    filter: FilterArgs,
    /// Only those with these ids, or with ids that begin so.
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// Also those that were replayed before.
    #[arg(long)]
    again: bool,
}

/// What letters are replayed as, in one run of the pipeline.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    /// From the decoder on; with a name, by that mapping alone.
    Records(Option<String>),
    /// To the workspace.
    Rows,
}

/// Sums over all runs.
#[derive(Debug, Default)]
struct Sums {
    done: usize,
    refused: usize,
    written: BTreeMap<(String, String), u64>,
}

pub(super) fn run(args: ReplayArgs) -> anyhow::Result<ExitCode> {
    run::block_on(async {
        let (mut config, table) = super::open(&args.place.config).await?;
        let Some(table) = table else {
            println!("there are no dead letters");
            return Ok(ExitCode::SUCCESS);
        };
        let lake = super::lake_of(&config);
        config.sources.clear();
        // The process that runs beside this one has the port.
        config.metrics.listen = None;
        let replays = replayed::read(&lake).await?;
        let chosen = choose(&table, &args, &replays).await?;
        let ways = plan(&table, &chosen, &replays).await?;
        let stop = CancellationToken::new();
        shutdown::on_signal(stop.clone())?;
        let mut sums = Sums::default();
        for (way, plan) in ways {
            if stop.is_cancelled() {
                break;
            }
            if way == Way::Rows && config.sentinel.is_none() {
                let count = plan.records.len();
                eprintln!("{count} rows were refused by a workspace; the config has no `sentinel:` to send them to");
                continue;
            }
            replay(&config, &lake, &table, way, plan, &stop, &mut sums).await?;
        }
        println!("{} of {} dead letters replayed", sums.done, chosen.len());
        for ((sink, table), rows) in &sums.written {
            println!("{sink}: {rows} rows of {table}");
        }
        if sums.refused > 0 {
            println!(
                "{} were refused again: they are dead letters of the source `{SOURCE}` now, whose `Detail` names the old \
                 id",
                sums.refused
            );
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// The letters that are meant and were not replayed; all pieces of a record with one of them.
async fn choose(table: &LakeTable, args: &ReplayArgs, replays: &Replays) -> anyhow::Result<Vec<Letter>> {
    let mut all = Vec::new();
    letters::scan(table, |letter, _| all.push(letter)).await?;
    let all = letters::distinct(all);
    let mut ids = HashSet::new();
    for given in &args.ids {
        ids.insert(super::resolve(&all, given)?);
    }
    let now_us = now_us();
    let fits = |letter: &Letter| {
        (args.again || !replays.has(letter))
            && args.filter.fits(letter, now_us)
            && (ids.is_empty() || ids.contains(&letter.id))
    };
    let mut chosen: HashSet<String> =
        all.iter().filter(|letter| fits(letter)).map(|letter| letter.id.clone()).collect();
    for record in letters::records_of_pieces(&all) {
        if record.iter().any(|id| chosen.contains(id)) {
            chosen.extend(record);
        }
    }
    Ok(all.into_iter().filter(|letter| chosen.contains(&letter.id)).collect())
}

/// What is sent on which way; positions follow the order of the table.
async fn plan(table: &LakeTable, chosen: &[Letter], replays: &Replays) -> anyhow::Result<Vec<(Way, Plan)>> {
    let mut whole: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for record in letters::records_of_pieces(chosen) {
        whole.extend(record.iter().map(|id| (id.clone(), record.clone())));
    }
    let known: HashSet<&str> = chosen.iter().map(|letter| &*letter.id).collect();
    let mut seen = HashSet::new();
    let mut ways: BTreeMap<Way, Vec<Vec<String>>> = BTreeMap::new();
    letters::scan(table, |letter, _| {
        if !known.contains(&*letter.id) || !seen.insert(letter.id.clone()) {
            return;
        }
        let record = whole.get(&letter.id).cloned().unwrap_or_else(|| vec![letter.id.clone()]);
        // A record in pieces stands where its last piece is read.
        if record.iter().all(|id| seen.contains(id)) {
            let way = match letter.form {
                Form::Row => Way::Rows,
                Form::Document | Form::Csv | Form::Piece => Way::Records(letter.mapping),
            };
            ways.entry(way).or_default().push(record);
        }
    })
    .await?;
    let plan = |records: Vec<Vec<String>>| {
        let times = records.iter().flatten().map(|id| replays.count(id)).sum();
        Plan::new(records, times)
    };
    Ok(ways.into_iter().map(|(way, records)| (way, plan(records))).collect())
}

/// Runs the pipeline over the letters of one plan, and notes those whose rows are durable.
async fn replay(
    config: &Config,
    lake: &LakeConfig,
    table: &LakeTable,
    way: Way,
    plan: Plan,
    stop: &CancellationToken,
    sums: &mut Sums,
) -> anyhow::Result<()> {
    let began_us = now_us();
    let durable = Durable::default();
    let refused: Arc<Mutex<BTreeSet<String>>> = Arc::default();
    let summary = run::execute(config, true, stop.clone(), |mut assembly: Assembly| {
        let budget = assembly.budget.clone();
        tell_old_ids(&mut assembly, plan.clone(), Arc::clone(&refused));
        match &way {
            Way::Records(mapping) => {
                let stages = Arc::get_mut(&mut assembly.pipeline.stages).context("the stages run already")?;
                if let Some(mapping) = mapping {
                    stages.normalizer.run_only(mapping);
                }
                let source = LetterSource::new(table.clone(), plan.clone(), budget, Arc::clone(&durable));
                assembly.pipeline.sources.push(Box::new(source));
            }
            Way::Rows => {
                let (tx, rx) = mpsc::channel(SINK_QUEUE); // rows for the workspace
                let sentinel = assembly.pipeline.sinks.iter_mut().find(|(sink, _)| sink.name() == "sentinel");
                let Some((_, queue)) = sentinel else { bail!("the config has no `sentinel:`") };
                *queue = rx;
                let tables = RawTables::builtin();
                let type_of = move |table: &str, column: &str| Some(tables.schema(table)?.column(column)?.ty);
                let sending =
                    send_rows(table.clone(), plan.clone(), budget, Arc::clone(&durable), tx, stop.clone(), type_of);
                // Nothing else is replayed; the wiring waits for the reader and tells its error.
                let (_, none) = mpsc::channel(1);
                assembly.pipeline.replayed = Some(Replayed { rows: none, reader: tokio::spawn(sending) });
            }
        }
        Ok(assembly)
    })
    .await;
    // Also after an error: what is durable by now must not be sent again.
    let ids: Vec<String> = {
        let durable = durable.lock().expect("no panic while noting");
        durable.iter().flat_map(|at| plan.records[*at].iter().cloned()).collect()
    };
    let refused = refused.lock().expect("no panic while noting").clone();
    replayed::note(lake, began_us, &plan.partition, &ids, &refused)
        .await
        .context("what was replayed could not be noted; the next replay would take it again")?;
    sums.done += ids.len();
    sums.refused += ids.iter().filter(|id| refused.contains(*id)).count();
    for (sink, tables) in summary?.sinks {
        for (table, written) in tables {
            *sums.written.entry((sink.clone(), table)).or_default() += written.rows;
        }
    }
    Ok(())
}

/// Writes the old id into the detail of letters that are refused again, on their way to the lake.
fn tell_old_ids(assembly: &mut Assembly, plan: Plan, refused: Arc<Mutex<BTreeSet<String>>>) {
    let Some((_, queue)) = assembly.pipeline.sinks.iter_mut().find(|(sink, _)| sink.name() == "lake") else { return };
    let (tx, rx) = mpsc::channel(1); // batches
    let mut batches = std::mem::replace(queue, rx);
    tokio::spawn(async move {
        while let Some(mut batch) = batches.recv().await {
            if batch.kind == RowKind::DeadLetter {
                with_old_ids(&mut batch, &plan, &refused);
            }
            // A lake that stopped says why itself.
            if tx.send(batch).await.is_err() {
                return;
            }
        }
    });
}

fn with_old_ids(batch: &mut Batch, plan: &Plan, refused: &Mutex<BTreeSet<String>>) {
    let schema = batch.rows.schema();
    let (Ok(at), Ok(detail)) = (schema.index_of("Offset"), schema.index_of("Detail")) else { return };
    let offsets = batch.rows.column(at).as_primitive::<Int64Type>().clone();
    let details = batch.rows.column(detail).as_string_view().clone();
    let old = |row: usize| usize::try_from(offsets.value(row)).ok().and_then(|at| plan.records.get(at));
    let told = (0..batch.rows.num_rows()).map(|row| match old(row) {
        Some(ids) => {
            refused.lock().expect("no panic while noting").extend(ids.iter().cloned());
            Some(format!(
                "replay of {}: {}",
                ids.join(" "),
                if details.is_valid(row) { details.value(row) } else { "" }
            ))
        }
        None => details.is_valid(row).then(|| details.value(row).to_owned()),
    });
    let told = StringViewArray::from_iter(told);
    let mut columns = batch.rows.columns().to_vec();
    columns[detail] = Arc::new(told);
    batch.rows = RecordBatch::try_new(schema, columns).expect("one column of the same type is exchanged");
}

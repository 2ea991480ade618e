//! `weir replay`: files, or a raw table of the lake, through the pipeline again.
//!
//! After a mapping was added or mended, rows that had passed through raw can become ASIM rows. Replayed rows of a raw
//! table that still no mapping claims stay where they are: they are not written again.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::bail;
use clap::Args;
use futures::StreamExt as _;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use weir_contract::ack;
use weir_contract::batch::{Batch, RowKind};
use weir_contract::memory::{MemoryBudget, unique_bytes};
use weir_contract::position::{Offset, OffsetRange, Origin, Repeats, RowPosition};
use weir_ingest::file::FileConfig;
use weir_sink::lake::read::{Lake, LakeTable};

use crate::assembly::Assembly;
use crate::config::{self, SourceConfig};
use crate::pipeline::{RAW_QUEUE, Replayed};
use crate::summary::SummaryFormat;
use crate::{run, shutdown};

/// Rows that are read and normalised together.
const BATCH_ROWS: usize = 8192;

/// Arguments of `weir replay`.
#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// The config file; its sources are not read.
    #[arg(short, long, value_name = "FILE", default_value = "weir.yaml")]
    config: PathBuf,
    /// Files, folders or globs to replay.
    #[arg(value_name = "PATH", required_unless_present = "table", conflicts_with = "table")]
    paths: Vec<String>,
    /// A raw table of the lake to replay, such as `DeviceEvents`.
    #[arg(long, value_name = "TABLE")]
    table: Option<String>,
    /// How to sum up at the end.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    summary: SummaryFormat,
}

/// Runs the replay.
pub(crate) fn run(args: ReplayArgs) -> anyhow::Result<ExitCode> {
    let mut config = config::load(&args.config)?;
    config.sources.clear();
    if !args.paths.is_empty() {
        // A replay reads all of its files, however often.
        let files = FileConfig { remember: false, ..FileConfig::new(args.paths.iter().cloned()) };
        let name = "replay".to_owned();
        config.sources.push(SourceConfig { name, kafka: None, files: Some(files), objects: None, http: None });
    }
    let summary = run::block_on(async {
        let stop = CancellationToken::new();
        shutdown::on_signal(stop.clone())?;
        let Some(table) = &args.table else {
            return run::execute(&config, true, stop, Ok).await;
        };
        let Some(lake) = config.lake.clone() else {
            bail!("the config has no `lake:`; a table can only be replayed from one");
        };
        let lake = Lake::open(&lake)?;
        let Some(table) = lake.table(table).await? else {
            let known = lake.tables().await?;
            bail!("the lake has no table `{table}`; it has: {}", known.join(", "));
        };
        run::execute(&config, true, stop.clone(), |mut assembly: Assembly| {
            if assembly.pipeline.stages.normalizer.library().of_table(table.name()).is_empty() {
                bail!(
                    "no mapping in force reads `{}`, so nothing would become of its rows; add one in a folder under \
                     `mappings.directories`",
                    table.name()
                );
            }
            let (tx, rx) = mpsc::channel(RAW_QUEUE); // batches of the raw table
            let reader = tokio::spawn(read_table(table, assembly.budget.clone(), tx, stop));
            assembly.pipeline.replayed = Some(Replayed { rows: rx, reader });
            Ok(assembly)
        })
        .await
    })?;
    run::print_summary(&summary, args.summary)?;
    Ok(ExitCode::SUCCESS)
}

/// Reads a lake table in batches, as rows that the decoder would have made.
async fn read_table(
    table: LakeTable,
    budget: MemoryBudget,
    out: mpsc::Sender<Batch>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let name: Arc<str> = table.name().into();
    let range = OffsetRange {
        partition: table.name().into(),
        start: Offset(0),
        next: Offset(table.rows()),
        delivered: Offset(0),
    };
    let origin = Arc::new(Origin { source: "replay".into(), ranges: vec![range], positions: Repeats::Unrelated });
    // Nothing is stored for a replay, so nobody listens to its acknowledgements; the sinks' own errors end the run.
    let (acks, _) = ack::channel();
    let mut rows = std::pin::pin!(table.read(BATCH_ROWS));
    let mut read = 0;
    while let Some(batch) = rows.next().await {
        let batch = batch?;
        let permit = tokio::select! {
            permit = budget.reserve(unique_bytes(&batch)) => permit,
            () = stop.cancelled() => return Ok(()),
        };
        let batch = Batch {
            table: Arc::clone(&name),
            kind: RowKind::Raw,
            positions: RowPosition::numbered(read, batch.num_rows()),
            mapping: None,
            has_more: false,
            rows: batch,
            origin: Arc::clone(&origin),
            raw_bytes: 0,
            ack: acks.issue(0),
            permit,
        };
        read += batch.rows.num_rows() as u64;
        if out.send(batch).await.is_err() {
            break;
        }
    }
    Ok(())
}

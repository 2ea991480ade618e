//! `weir dlq`: what was refused, and a second chance for it.
//!
//! Dead letters stand in the table `dead_letters` of the config's lake, or of the lake at `dead_letters.url`. Nothing
//! here changes or removes one; which were replayed is kept in a table beside it (`replayed`).

mod letters;
mod list;
mod replay;
mod replayed;
mod show;
mod source;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use clap::{Args, Subcommand};
use weir_contract::dead_letter::DEAD_LETTERS;
use weir_sink::lake::config::LakeConfig;
use weir_sink::lake::read::{Lake, LakeTable};

use crate::config::{self, Config};
use crate::pipeline::now_us;

use self::letters::Letter;

/// The commands on dead letters.
#[derive(Debug, Subcommand)]
pub(crate) enum DlqCommand {
    /// List dead letters, newest first.
    List(list::ListArgs),
    /// Show one dead letter with its payload.
    Show(show::ShowArgs),
    /// Send dead letters through the present pipeline again.
    Replay(replay::ReplayArgs),
}

/// Where dead letters are.
#[derive(Debug, Args)]
struct PlaceArgs {
    /// The config file; its lake, or `dead_letters.url`, has the dead letters.
    #[arg(short, long, value_name = "FILE", default_value = "weir.yaml")]
    config: PathBuf,
}

/// Which dead letters are meant: those that fit everything that is given.
#[derive(Debug, Args)]
struct FilterArgs {
    /// Refused at most so long ago, such as `24h` or `7d`.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    since: Option<Duration>,
    /// Of this source.
    #[arg(long)]
    source: Option<String>,
    /// Refused by this stage: `source`, `decode`, `normalize` or `sink`.
    #[arg(long)]
    stage: Option<String>,
    /// Refused for this reason, such as `invalid_json`.
    #[arg(long)]
    reason: Option<String>,
    /// On the way to this table.
    #[arg(long)]
    table: Option<String>,
}

impl FilterArgs {
    fn fits(&self, letter: &Letter, now_us: i64) -> bool {
        let is = |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|wanted| wanted == found);
        let since = self.since.map(|since| now_us.saturating_sub(i64::try_from(since.as_micros()).unwrap_or(i64::MAX)));
        since.is_none_or(|since| letter.time_us >= since)
            && is(&self.source, &letter.source)
            && is(&self.stage, &letter.stage)
            && is(&self.reason, &letter.reason)
            && is(&self.table, letter.table.as_deref().unwrap_or_default())
    }
}

/// Runs a command on dead letters.
pub(crate) fn run(command: DlqCommand) -> anyhow::Result<ExitCode> {
    match command {
        DlqCommand::List(args) => list::run(args),
        DlqCommand::Show(args) => show::run(args),
        DlqCommand::Replay(args) => replay::run(args),
    }
}

/// The lake that keeps the dead letters of `config`.
fn lake_of(config: &Config) -> LakeConfig {
    config.lake.clone().unwrap_or_else(|| LakeConfig::at(config.dead_letters.url.clone()))
}

/// The table of dead letters; `None` where nothing was refused yet.
async fn open(path: &Path) -> anyhow::Result<(Config, Option<LakeTable>)> {
    let config = config::load(path)?;
    let table = Lake::open(&lake_of(&config))?.table(DEAD_LETTERS).await?;
    Ok((config, table))
}

/// All dead letters that fit, newest first; one that a crash has doubled stands once.
async fn find(table: &LakeTable, filter: &FilterArgs) -> anyhow::Result<Vec<Letter>> {
    let now_us = now_us();
    let mut found = Vec::new();
    letters::scan(table, |letter, _| {
        if filter.fits(&letter, now_us) {
            found.push(letter);
        }
    })
    .await?;
    Ok(letters::distinct(found))
}

/// The ids of `all` that begin with what was given.
fn resolve(all: &[Letter], given: &str) -> anyhow::Result<String> {
    let mut fitting = all.iter().filter(|letter| letter.id.starts_with(given)).map(|letter| &letter.id);
    match (fitting.next(), fitting.next()) {
        (Some(id), None) => Ok(id.clone()),
        (Some(_), Some(_)) => bail!("several dead letters have an id that begins with `{given}`; give more of it"),
        (None, _) => bail!("no dead letter has the id `{given}`; `weir dlq list` lists them"),
    }
}

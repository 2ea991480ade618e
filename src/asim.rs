//! `weir asim`: ASIM content.

mod import;

use std::process::ExitCode;

use clap::Subcommand;

/// What `weir asim` does.
#[derive(Debug, Subcommand)]
pub(crate) enum AsimCommand {
    /// Make mappings of ASIM parsers, KQL queries and data collection rules.
    Import(import::ImportArgs),
}

/// Runs a command.
pub(crate) fn run(command: AsimCommand) -> anyhow::Result<ExitCode> {
    match command {
        AsimCommand::Import(args) => import::run(&args),
    }
}

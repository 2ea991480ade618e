//! `weir asim`: the ASIM schemas and what others have written for them.

mod check;
mod coverage;
mod import;

use std::process::ExitCode;

use clap::Subcommand;

/// What `weir asim` does.
#[derive(Debug, Subcommand)]
pub(crate) enum AsimCommand {
    /// Make mappings of ASIM parsers, KQL queries and data collection rules.
    Import(import::ImportArgs),
    /// Hold rows against the ASIM schemas: the official testers' rules, and those that they leave out.
    Check(check::CheckArgs),
    /// Print what the mappings of a folder cover: which events, how many of the schemas' fields, and why not the others.
    Coverage(coverage::CoverageArgs),
}

/// Runs a command.
pub(crate) fn run(command: AsimCommand) -> anyhow::Result<ExitCode> {
    match command {
        AsimCommand::Import(args) => import::run(&args),
        AsimCommand::Check(args) => check::run(args),
        AsimCommand::Coverage(args) => coverage::run(&args),
    }
}

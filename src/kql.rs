//! `weir kql`: tools for those who write KQL.

mod files;
mod run;

use std::process::ExitCode;

use clap::Subcommand;

/// What `weir kql` does.
#[derive(Debug, Subcommand)]
pub(crate) enum KqlCommand {
    /// Run a query over files, or over the tables that it makes itself.
    Run(run::RunArgs),
}

/// Runs a command.
pub(crate) fn run(command: KqlCommand) -> anyhow::Result<ExitCode> {
    match command {
        KqlCommand::Run(args) => run::run(&args),
    }
}

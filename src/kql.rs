//! `weir kql`: tools for those who write KQL.

mod check;
mod files;
pub(crate) mod find;
mod fmt;
mod parse;
mod queries;
mod reference;
pub(crate) mod report;
mod run;

use std::process::ExitCode;

use clap::Subcommand;

/// What `weir kql` does.
#[derive(Debug, Subcommand)]
pub(crate) enum KqlCommand {
    /// Check queries, stored functions and mapping files: syntax, names, types. Tells every fault, and what comes out.
    Check(check::CheckArgs),
    /// Rewrite queries in the one layout.
    Fmt(fmt::FmtArgs),
    /// Check the syntax alone.
    Parse(parse::ParseArgs),
    /// Print the reference page, as `docs/kql.md` has it.
    Reference,
    /// Run a query over files, or over the tables that it makes itself.
    Run(run::RunArgs),
}

/// Runs a command.
pub(crate) fn run(command: KqlCommand) -> anyhow::Result<ExitCode> {
    match command {
        KqlCommand::Check(args) => check::run(&args),
        KqlCommand::Fmt(args) => fmt::run(&args),
        KqlCommand::Parse(args) => parse::run(&args),
        KqlCommand::Reference => reference::print(),
        KqlCommand::Run(args) => run::run(&args),
    }
}

//! `weir kql`: tools for those who write KQL.

mod check;
mod files;
mod find;
mod fmt;
mod parse;
mod queries;
mod reference;
mod report;
mod run;
mod samples;

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
    /// Run mappings over the samples beside them, and compare with the expected rows.
    Test(samples::TestArgs),
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
        KqlCommand::Test(args) => samples::run(&args),
        KqlCommand::Reference => reference::print(),
        KqlCommand::Run(args) => run::run(&args),
    }
}

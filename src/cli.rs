//! The command line.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::terminal::EXIT_USAGE;
use crate::{
    asim, config, demo, diff, dlq, documents, drift, explain, hunt, kql, replay, run, stand_in, terminal, test,
};

/// Normalises security logs to ASIM at ingest; writes them to an open lake and to Microsoft Sentinel.
#[derive(Debug, Parser)]
#[command(name = "weir", version, propagate_version = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) log: terminal::LogArgs,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the pipeline.
    Run(run::RunArgs),
    /// Generate events, run them into a local lake and a stand-in workspace, and sum up.
    Demo(demo::DemoArgs),
    /// Send files, or a raw table of the lake, through the pipeline again.
    Replay(replay::ReplayArgs),
    /// List, show and replay dead letters: records that were refused and kept whole.
    #[command(subcommand)]
    Dlq(dlq::DlqCommand),
    /// Query the tables of a lake in KQL.
    Hunt(hunt::HuntArgs),
    /// Check a config and its mappings; tells every fault at once.
    Check(run::CheckArgs),
    /// Explain what becomes of a record: every column, where it comes from, what it costs.
    Explain(explain::ExplainArgs),
    /// Run mappings over their samples and compare with the expected rows.
    Test(test::TestArgs),
    /// Run two versions of a mapping over samples and show which columns change, for how many rows.
    Diff(diff::DiffArgs),
    /// List columns and tables that no schema knows, with a proposed mapping line and stream column for each.
    Drift(drift::DriftArgs),
    /// Work with ASIM content: import parsers and transformations as mappings, check rows against the schemas.
    #[command(subcommand)]
    Asim(asim::AsimCommand),
    /// Serve a local stand-in for a Sentinel workspace.
    StandIn(stand_in::StandInArgs),
    /// Check, format and run KQL.
    #[command(subcommand)]
    Kql(kql::KqlCommand),
    /// Print what is known of the config file.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// What `weir config` prints.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// The JSON Schema of the config file, for editors.
    Schema,
    /// The metrics page, as `docs/metrics.md` has it.
    Metrics,
}

/// Runs a command.
pub(crate) fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Run(args) => or_faults(run::run(args)),
        Command::Demo(args) => or_faults(demo::run(args)),
        Command::Replay(args) => or_faults(replay::run(args)),
        Command::Dlq(command) => or_faults(dlq::run(command)),
        Command::Hunt(args) => or_faults(hunt::run(args)),
        Command::Check(args) => or_faults(run::check(args)),
        Command::Explain(args) => or_faults(explain::run(args)),
        Command::Test(args) => or_faults(test::run(args)),
        Command::Diff(args) => or_faults(diff::run(args)),
        Command::Drift(args) => or_faults(drift::run(args)),
        Command::Asim(command) => or_faults(asim::run(command)),
        Command::StandIn(args) => stand_in::run(args),
        Command::Kql(command) => or_faults(kql::run(command)),
        Command::Config(ConfigCommand::Schema) => documents::print_config_schema(),
        Command::Config(ConfigCommand::Metrics) => documents::print_metrics(),
        Command::Completions { shell } => {
            let mut command = <Cli as clap::CommandFactory>::command();
            clap_complete::generate(shell, &mut command, "weir", &mut std::io::stdout());
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Prints config faults as such and exits with [`EXIT_USAGE`]; passes other errors on.
fn or_faults(result: anyhow::Result<ExitCode>) -> anyhow::Result<ExitCode> {
    result.or_else(|error| match error.downcast::<config::ConfigFaults>() {
        Ok(faults) => {
            eprintln!("{faults}");
            let count = faults.len();
            eprintln!("{count} {} to mend; nothing was started", if count == 1 { "fault" } else { "faults" });
            Ok(ExitCode::from(EXIT_USAGE))
        }
        Err(error) => Err(error),
    })
}

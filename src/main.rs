//! Weir: raw security logs in, an ASIM lake and a Sentinel workspace out.
//!
//! The binary only wires: sources and decoders are in `weir-ingest`, mappings in `weir-normalize`, sinks in
//! `weir-sink`. Read [`pipeline`] to see the whole way of an event.

use std::process::ExitCode;

use clap::Parser as _;
use mimalloc::MiMalloc;

mod asim;
mod assembly;
mod cli;
mod config;
mod demo;
mod diff;
mod dlq;
mod documents;
mod drift;
mod explain;
mod hunt;
mod kql;
mod pipeline;
mod progress;
mod records;
mod replay;
mod router;
mod rows;
mod run;
mod samples;
mod schema_file;
mod server;
mod shutdown;
mod stand_in;
mod summary;
mod terminal;
mod test;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    terminal::start_logging(&cli.log);
    match cli::run(cli.command) {
        Ok(code) => code,
        Err(error) => {
            terminal::print_error(&error);
            ExitCode::FAILURE
        }
    }
}

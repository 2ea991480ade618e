//! `weir stand-in`: serves the local stand-in for a workspace until a signal comes.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use tokio_util::sync::CancellationToken;
use weir_normalize::asim;
use weir_stand_in::{StandIn, StandInConfig, rule_for_tables};

use crate::{run, shutdown};

/// Arguments of `weir stand-in`.
#[derive(Debug, Args)]
pub(crate) struct StandInArgs {
    /// Address and port; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:7080", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// A data collection rule as JSON; may be given several times. Without one, rules for every ASIM table.
    #[arg(long = "rule", value_name = "FILE")]
    rules: Vec<PathBuf>,
}

/// Runs the server.
pub(crate) fn run(args: StandInArgs) -> anyhow::Result<ExitCode> {
    run::runtime()?.block_on(async {
        let stop = CancellationToken::new();
        shutdown::on_signal(stop.clone())?;
        let config = StandInConfig { listen: args.listen, ..StandInConfig::default() };
        let server = StandIn::start(config)
            .await
            .with_context(|| format!("cannot listen on {}; choose another address with `--listen`", args.listen))?;
        let mut rules = Vec::new();
        for path in &args.rules {
            let text = std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
            let rule = serde_json::from_str(&text).with_context(|| format!("`{}` is no JSON", path.display()))?;
            rules.push((path.display().to_string(), rule));
        }
        if rules.is_empty() {
            rules = asim_rules().into_iter().map(|rule| ("built-in rule".to_owned(), rule)).collect();
        }
        println!("stand-in workspace at {}", server.url());
        for (name, rule) in rules {
            for rule in server.state().add_rule(rule).with_context(|| name.clone())? {
                println!("rule {} ({name})", rule.immutable_id);
            }
        }
        stop.cancelled().await;
        server.shutdown().await;
        Ok(ExitCode::SUCCESS)
    })
}

/// Rules that declare a stream for every ASIM table, native and custom.
pub(crate) fn asim_rules() -> Vec<serde_json::Value> {
    let tables = asim::tables().chain(asim::custom_tables());
    let names: Vec<&str> = tables.map(|table| &*table.schema.name).collect();
    // A rule has at most ten flows.
    names.chunks(10).map(rule_for_tables).collect()
}

//! Pages that are made from the code, so that they can't differ from it.

use std::fmt::Write as _;
use std::process::ExitCode;

use crate::assembly::Declared;
use crate::config;

/// Prints the JSON Schema of the config file.
pub(crate) fn print_config_schema() -> anyhow::Result<ExitCode> {
    println!("{}", serde_json::to_string_pretty(&config::json_schema())?);
    Ok(ExitCode::SUCCESS)
}

/// Prints `docs/metrics.md`.
pub(crate) fn print_metrics() -> anyhow::Result<ExitCode> {
    print!("{}", metrics_page());
    Ok(ExitCode::SUCCESS)
}

fn metrics_page() -> String {
    let mut page = String::from(
        "# Metrics\n\n\
         Served at `/metrics` in the Prometheus text format, on the address of `metrics.listen`. This page is made\n\
         from the code: `weir config metrics > docs/metrics.md`.\n\n\
         Counters only rise, and start at 0 with the process. `weir_billed_bytes_total` and\n\
         `weir_sink_billed_bytes_total` follow the rule that Microsoft publishes for billed size; they are an\n\
         estimate, not an invoice.\n\n\
         | metric | kind | labels | what it says |\n| --- | --- | --- | --- |\n",
    );
    let mut docs = Declared::new().set.docs();
    docs.sort_by(|a, b| a.name.cmp(&b.name));
    for doc in docs {
        let labels = doc.labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
        let _ = writeln!(page, "| `{}` | {} | {labels} | {} |", doc.name, doc.kind, doc.help);
    }
    page
}

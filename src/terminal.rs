//! What the process says to a person or a log collector.

use std::io::IsTerminal as _;

use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

/// The exit status of a faulty config or command line (`EX_USAGE` of sysexits.h).
pub(crate) const EXIT_USAGE: u8 = 64;

/// How a report is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people; coloured on a terminal.
    Text,
    /// One JSON object.
    Json,
}

/// The marks around parts of a text; empty where nobody would see colours.
pub(crate) struct Style {
    pub(crate) bold: &'static str,
    pub(crate) dim: &'static str,
    pub(crate) value: &'static str,
    pub(crate) warn: &'static str,
    pub(crate) more: &'static str,
    pub(crate) less: &'static str,
    pub(crate) off: &'static str,
}

impl Style {
    /// The style of standard output.
    pub(crate) fn of_output() -> Self {
        if std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
            Self {
                bold: "\x1b[1m",
                dim: "\x1b[2m",
                value: "\x1b[36m",
                warn: "\x1b[33m",
                more: "\x1b[32m",
                less: "\x1b[31m",
                off: "\x1b[0m",
            }
        } else {
            Self { bold: "", dim: "", value: "", warn: "", more: "", less: "", off: "" }
        }
    }
}

/// At most so many characters of a text.
pub(crate) fn cut_to(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// What is logged, and how.
#[derive(Debug, Args)]
pub(crate) struct LogArgs {
    /// What to log: a level, or a filter such as `info,weir_sink=debug`.
    #[arg(long, global = true, env = "WEIR_LOG", default_value = "info", value_name = "FILTER")]
    pub(crate) log: String,
    /// How to log.
    #[arg(long, global = true, env = "WEIR_LOG_FORMAT", default_value = "text", value_name = "FORMAT")]
    pub(crate) log_format: LogFormat,
}

/// A format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line, for collectors.
    Json,
}

/// The Delta kernel tells of each snapshot that it reads, several per commit. Named in the user's filter, it tells again.
const QUIET: &str = "buoyant_kernel=warn";

/// Starts logging to standard error. A filter that cannot be parsed falls back to `info` and says so.
pub(crate) fn start_logging(args: &LogArgs) {
    let (filter, fault) = match EnvFilter::try_new(format!("{QUIET},{}", args.log)) {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new(format!("{QUIET},info")), Some(error)),
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_span_events(FmtSpan::NONE)
        .with_ansi(std::io::stderr().is_terminal());
    match args.log_format {
        LogFormat::Text => builder.with_target(false).init(),
        LogFormat::Json => builder.json().init(),
    }
    if let Some(error) = fault {
        tracing::warn!(filter = args.log, error = %error, "the log filter is not valid; logging at `info`");
    }
}

/// Prints an error and its whole chain of causes.
pub(crate) fn print_error(error: &anyhow::Error) {
    eprintln!("error: {error}");
    let mut last = error.to_string();
    for cause in error.chain().skip(1) {
        // Some libraries repeat their source in their own text.
        let text = cause.to_string();
        if !last.contains(&text) {
            eprintln!("  because: {text}");
        }
        last = text;
    }
}

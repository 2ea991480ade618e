//! `weir dlq show`: everything about one dead letter.

use std::collections::HashMap;
use std::io::Write as _;
use std::process::ExitCode;

use clap::Args;
use weir_contract::datetime::format_iso;
use weir_contract::dead_letter::Form;

use super::letters::{self, Letter};
use super::{PlaceArgs, replayed};
use crate::run;

/// Arguments of `weir dlq show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    #[command(flatten)]
    place: PlaceArgs,
    /// The id, or as much of it as tells it from others.
    #[arg(value_name = "ID")]
    id: String,
    /// Write the payload's bytes to standard output, and nothing else.
    #[arg(long)]
    raw: bool,
}

pub(super) fn run(args: ShowArgs) -> anyhow::Result<ExitCode> {
    run::block_on(async {
        let (config, table) = super::open(&args.place.config).await?;
        let Some(table) = table else { anyhow::bail!("there are no dead letters") };
        let mut all = Vec::new();
        letters::scan(&table, |letter, _| all.push(letter)).await?;
        let all = letters::distinct(all);
        let id = super::resolve(&all, &args.id)?;
        let records = letters::records_of_pieces(&all);
        let ids = records.into_iter().find(|record| record.contains(&id)).unwrap_or_else(|| vec![id.clone()]);
        let mut payloads = HashMap::new();
        letters::scan(&table, |letter, payload| {
            if ids.contains(&letter.id) {
                payloads.insert(letter.id, payload.to_vec());
            }
        })
        .await?;
        let payload: Vec<u8> = ids.iter().filter_map(|id| payloads.remove(id)).flatten().collect();
        let letter = all.iter().find(|letter| letter.id == id).expect("its id was found among them");
        let mut out = std::io::stdout().lock();
        if args.raw {
            out.write_all(&payload)?;
        } else {
            let replayed = replayed::read(&super::lake_of(&config)).await?;
            write!(out, "{}", describe(letter, ids.len(), replayed.time(letter), &payload))?;
        }
        out.flush()?;
        Ok(ExitCode::SUCCESS)
    })
}

fn describe(letter: &Letter, pieces: usize, replayed: Option<i64>, payload: &[u8]) -> String {
    let or_none = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
    let mapping = match (&letter.mapping, &letter.mapping_version) {
        (Some(name), Some(version)) => format!("{name}, version {version}"),
        (name, _) => or_none(name),
    };
    let form = match letter.form {
        Form::Document => "a document as received".to_owned(),
        Form::Csv => "a row of a CSV file, behind its header".to_owned(),
        Form::Row => "a row as it was to be written, as JSON".to_owned(),
        Form::Piece => format!("{pieces} {} of one record, joined", if pieces == 1 { "piece" } else { "pieces" }),
    };
    let lines = [
        ("id", letter.id.clone()),
        ("time", format_iso(letter.time_us)),
        ("source", letter.source.clone()),
        ("partition", letter.partition.clone()),
        ("offset", letter.offset.to_string()),
        ("stage", letter.stage.clone()),
        ("reason", letter.reason.clone()),
        ("detail", letter.detail.clone()),
        ("table", or_none(&letter.table)),
        ("mapping", mapping),
        ("weir", or_none(&letter.weir_version)),
        ("replayed", replayed.map_or_else(|| "no".to_owned(), format_iso)),
        ("payload", format!("{} bytes: {form}", payload.len())),
    ];
    let mut text: String = lines.iter().map(|(name, value)| format!("{name:<10} {value}\n")).collect();
    text.push('\n');
    match std::str::from_utf8(payload) {
        Ok(payload) => text.push_str(payload.trim_end_matches('\n')),
        Err(_) => text.push_str(&hex_dump(payload)),
    }
    text + "\n"
}

/// Sixteen bytes a line: their position, their values, and what of them is printable.
fn hex_dump(bytes: &[u8]) -> String {
    let lines = bytes.chunks(16).enumerate().map(|(number, chunk)| {
        let values: Vec<String> = chunk.iter().map(|byte| format!("{byte:02x}")).collect();
        let printable = chunk.iter().map(|byte| if byte.is_ascii_graphic() { char::from(*byte) } else { '.' });
        format!("{:08x}  {:<47}  {}", number * 16, values.join(" "), printable.collect::<String>())
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_text_are_shown_in_hexadecimal() {
        let dump = hex_dump(b"{\"a\":\"\xff\xfe\"}........");
        let first = "00000000  7b 22 61 22 3a 22 ff fe 22 7d 2e 2e 2e 2e 2e 2e  {\"a\":\"..\"}......";
        assert_eq!(dump.lines().next(), Some(first));
        assert_eq!(dump.lines().count(), 2);
    }
}

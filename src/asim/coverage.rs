//! `weir asim coverage`: what the mappings of a folder cover, as a page.
//!
//! Exit status: 0 if every gap and warning has its reason and the check finds no error, else 1, with what is left to be
//! done on standard error.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use weir_ingest::schema::{action_types, streamed_tables};
use weir_normalize::check::{Class, Finding, Rule, Severity, Target};
use weir_normalize::coverage::notes::LakeOnly;
use weir_normalize::coverage::{Coverage, Fill, Gap, Kind, Warning};

/// Longest line of running text.
const LINE_CHARS: usize = 120;
/// Most values of a warning that are shown, and their longest text.
const SHOWN_VALUES: usize = 2;
const VALUE_CHARS: usize = 40;

/// Arguments of `weir asim coverage`.
#[derive(Debug, Args)]
pub(crate) struct CoverageArgs {
    /// A folder of mapping files with `expected/` rows beside them, `lake_only.csv` and `reasons.csv`.
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

/// Prints the page.
pub(crate) fn run(args: &CoverageArgs) -> anyhow::Result<ExitCode> {
    let coverage = Coverage::of_folder(&args.folder)?;
    print!("{}", page(&coverage, &args.folder.display().to_string()));
    let faults = coverage.faults();
    faults.iter().for_each(|fault| eprintln!("{fault}"));
    Ok(if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn page(coverage: &Coverage, folder: &str) -> String {
    let mut page = format!(
        "# Coverage\n\n\
         What becomes of each kind of event: the ASIM table that it goes to, how many of the schema's fields it fills, and\n\
         why not the others; and what goes to the lake as it is. This page is made from the mappings, the expected rows of\n\
         their samples, and the lists beside them: `weir asim coverage {folder} > docs/coverage.md`.\n\n\
         A field counts if the table stores it and a sender may fill it: no aliases, none that the workspace or Microsoft\n\
         fills. It is filled if an expected row has it. What has no field is kept in `AdditionalFields`: no value of a raw\n\
         row is dropped.\n\n"
    );
    summary(&mut page, coverage);
    lake_only(&mut page, &coverage.lake_only);
    findings(&mut page, coverage);
    gaps(&mut page, &coverage.gaps());
    unfilled(&mut page, coverage);
    kinds(&mut page, coverage);
    page
}

/// The raw tables, what is made of them, and how many fields that fills.
fn summary(page: &mut String, coverage: &Coverage) {
    let tables = coverage.by_table();
    let whole: Vec<&str> =
        coverage.lake_only.iter().filter(|left| left.action_type.is_none()).map(|left| &*left.table).collect();
    let streamed: Vec<&str> = streamed_tables().collect();
    let mapped = streamed.iter().filter(|table| tables.contains_key(*table)).count();
    let left = streamed.iter().filter(|table| whole.contains(table)).count();
    let rows: usize = coverage.mappings.iter().map(|of| of.rows.len()).sum();
    let _ = write!(
        page,
        "## Tables\n\nOf the {} tables that Defender XDR streams, {mapped} have mappings and {left} go to the lake as they are.\n\
         {} mappings make {rows} expected rows of the samples.\n\n\
         | raw table | ASIM table | action types | mandatory | recommended | optional |\n\
         | --- | --- | --- | --- | --- | --- |\n",
        streamed.len(),
        coverage.mappings.len(),
    );
    for (table, mappings) in &tables {
        for of in mappings {
            let known = of.kinds().iter().filter(|kind| kind.action_type.is_some()).count();
            let types = if known == 0 { "no types".to_owned() } else { known.to_string() };
            let fills = of.fills();
            let cells = CLASSES.map(|is_of| share(&fills, is_of));
            let _ = writeln!(page, "| {table} | {} | {types} | {} |", of.mapping.target_table, cells.join(" | "));
        }
        let left = coverage.lake_only.iter().filter(|left| left.table == **table && left.rows.is_none()).count();
        if left > 0 {
            let _ = writeln!(page, "| {table} | (lake only) | {left} | | | |");
        }
    }
    for table in whole {
        let _ = writeln!(page, "| {table} | (lake only) | all rows | | | |");
    }
    let known: BTreeSet<(&str, String)> =
        action_types().filter(|(table, _)| tables.contains_key(table)).map(|(t, a)| (t, a.to_lowercase())).collect();
    let _ = write!(
        page,
        "\n\"38 of 40\" means that some row fills 38 of the 40 fields of that class; conditional fields count as optional.\n\
         Action types are compared without regard to case. All {} that are known of these tables have a sample.\n\n",
        known.len()
    );
}

/// The classes as the page tells them apart: mandatory, recommended, and the others.
const CLASSES: [fn(Class) -> bool; 3] = [
    |class| class == Class::Mandatory,
    |class| class == Class::Recommended,
    |class| !matches!(class, Class::Mandatory | Class::Recommended),
];

fn share(fills: &[Fill], is_of: fn(Class) -> bool) -> String {
    let of_class = || fills.iter().filter(|fill| is_of(fill.class));
    format!("{} of {}", of_class().filter(|fill| fill.rows > 0).count(), of_class().count())
}

/// What no schema fits, a line a reason.
fn lake_only(page: &mut String, lake_only: &[LakeOnly]) {
    page.push_str(
        "## What no schema fits\n\nThese rows go to the lake under their raw table's name, with all their columns.\n\n| raw table | rows | reason |\n| --- | --- | --- |\n",
    );
    let mut by_reason: Vec<((&str, &str), Vec<String>)> = Vec::new();
    for left in lake_only {
        let rows = match (&left.action_type, &left.rows) {
            (None, _) => "all".to_owned(),
            (Some(action), None) => format!("`{action}`"),
            (Some(action), Some(rows)) => format!("`{action}` ({rows})"),
        };
        let key = (&*left.table, &*left.reason);
        match by_reason.iter_mut().find(|(of, _)| *of == key) {
            Some((_, all)) => all.push(rows),
            None => by_reason.push((key, vec![rows])),
        }
    }
    for ((table, reason), rows) in by_reason {
        let _ = writeln!(page, "| {table} | {} | {} |", rows.join(", "), cell(reason));
    }
    page.push_str("\nA row whose action type no mapping lists is not guessed at, and goes the same way.\n\n");
}

/// What the check says of the expected rows.
fn findings(page: &mut String, coverage: &Coverage) {
    let all: Vec<&Finding> = coverage.mappings.iter().flat_map(|of| &of.findings).collect();
    let of = |severity: Severity| all.iter().filter(|finding| finding.rule.severity() == severity).count();
    let with = |rules: &[Rule]| all.iter().filter(|finding| rules.contains(&finding.rule)).count();
    let warnings = coverage.warnings();
    let _ = write!(
        page,
        "## What the check says\n\n[`weir asim check`](asim-check.md) over the expected rows, mapping by mapping: {} errors, {} \
         warnings, {} infos.\n\n\
         - Of the warnings, {} are about empty fields (S2, D2) and {} about values; those stand here.\n\
         - Of the infos, {} are about recommended fields that some rows leave empty (D3), {} about optional fields\n  \
           that some rows (D4) or all (S10) leave empty: sources fill those as they have them. Below stand those that no\n  \
           source fills, and the fields that each mapping does fill.\n\n\
         | rule | field | mapping | rows | values | reason |\n| --- | --- | --- | --- | --- | --- |\n",
        of(Severity::Error),
        of(Severity::Warning),
        of(Severity::Info),
        with(&[Rule::S2, Rule::D2]),
        warnings.len(),
        with(&[Rule::D3]),
        with(&[Rule::D4, Rule::S10]),
    );
    let mut lines: BTreeMap<(Rule, &str, &str), Vec<&Warning<'_>>> = BTreeMap::new();
    for warning in &warnings {
        let reason = warning.reason.map_or("**none given**", |reason| &reason.text);
        lines.entry((warning.finding.rule, &*warning.finding.field, reason)).or_default().push(warning);
    }
    for ((rule, field, reason), warnings) in lines {
        let names: Vec<String> = warnings.iter().map(|warning| format!("`{}`", warning.of.stem())).collect();
        let rows: u64 = warnings.iter().map(|warning| warning.finding.count).sum();
        let values: BTreeSet<&str> =
            warnings.iter().flat_map(|warning| &warning.finding.values).map(String::as_str).collect();
        let more = if values.len() > SHOWN_VALUES { ", …" } else { "" };
        let values: Vec<String> =
            values.iter().take(SHOWN_VALUES).map(|text| format!("`{}`", cell(&short(text)))).collect();
        let _ = writeln!(
            page,
            "| {rule} {} | `{field}` | {} | {rows} | {}{more} | {} |",
            rule.name(),
            names.join(", "),
            values.join(", "),
            cell(reason)
        );
    }
    page.push('\n');
}

/// The mandatory and recommended fields that stay empty, a line a reason and mappings.
fn gaps(page: &mut String, gaps: &[Gap<'_>]) {
    page.push_str(
        "## Mandatory and recommended fields that stay empty\n\n\"3 of 8\" are rows without the field, of the mapping's \
         expected rows; a name alone: all of them.\n\n",
    );
    let mut by_table: BTreeMap<&str, Vec<&Gap<'_>>> = BTreeMap::new();
    for gap in gaps {
        by_table.entry(&gap.of.mapping.target_table).or_default().push(gap);
    }
    for (table, gaps) in by_table {
        let _ = write!(page, "### {table}\n\n| fields | mappings | reason |\n| --- | --- | --- |\n");
        let mut fields: BTreeMap<(&str, bool, &str), Vec<String>> = BTreeMap::new();
        for gap in gaps {
            let reason = gap.reason.map_or("**none given**", |reason| &reason.text);
            let mapping = match gap.of.rows.len() {
                _ if gap.fill.rows == 0 => format!("`{}`", gap.of.stem()),
                rows => format!("`{}` ({} of {rows})", gap.of.stem(), rows - gap.fill.rows),
            };
            fields.entry((gap.fill.field, gap.fill.class == Class::Mandatory, reason)).or_default().push(mapping);
        }
        let mut lines: Vec<((String, &str), Vec<String>)> = Vec::new();
        for ((field, is_mandatory, reason), mappings) in fields {
            let field = if is_mandatory { format!("`{field}` (mandatory)") } else { format!("`{field}`") };
            let key = (mappings.join(", "), reason);
            match lines.iter_mut().find(|(of, _)| *of == key) {
                Some((_, fields)) => fields.push(field),
                None => lines.push((key, vec![field])),
            }
        }
        for ((mappings, reason), fields) in lines {
            let _ = writeln!(page, "| {} | {mappings} | {} |", fields.join(", "), cell(reason));
        }
        page.push('\n');
    }
}

/// The optional fields of each table that no mapping fills.
fn unfilled(page: &mut String, coverage: &Coverage) {
    page.push_str(
        "## Optional fields that no mapping fills\n\nNo source that is mapped tells them, of each table.\n\n",
    );
    let mut by_table: BTreeMap<&str, Vec<Fill>> = BTreeMap::new();
    for of in &coverage.mappings {
        let fills = of.fills();
        match by_table.get_mut(&*of.mapping.target_table) {
            Some(sums) => sums.iter_mut().zip(fills).for_each(|(sum, fill)| sum.rows += fill.rows),
            None => {
                by_table.insert(&of.mapping.target_table, fills);
            }
        }
    }
    for (table, sums) in by_table {
        let is_asked = |fill: &&Fill| matches!(fill.class, Class::Mandatory | Class::Recommended);
        named(page, table, sums.iter().filter(|fill| fill.rows == 0 && !is_asked(fill)));
    }
}

/// Each mapping: its action types, how many fields they fill, and which.
fn kinds(page: &mut String, coverage: &Coverage) {
    page.push_str(
        "## Mappings, action type by action type\n\n\"fields\" are those that some row of the action type fills, of those that \
         could be filled.\n\n",
    );
    for of in &coverage.mappings {
        let fills = of.fills();
        let _ = write!(page, "### {} → {}\n\n", of.mapping.source_table, of.mapping.target_table);
        let schema = of.target.as_ref().map_or("none", Target::schema);
        let _ = write!(page, "`{}`, schema {schema}, {}.\n\n", of.file, counted(of.rows.len(), "expected row"));
        page.push_str("| action types | event type | fields |\n| --- | --- | --- |\n");
        for ((filled, event_types), actions) in alike(of.kinds()) {
            let actions = if actions.is_empty() { "(the table has no types)".to_owned() } else { actions.join(", ") };
            let _ = writeln!(page, "| {} | {event_types} | {filled} of {} |", cell(&actions), fills.len());
        }
        page.push('\n');
        let rows = of.rows.len();
        named(page, "In every row", fills.iter().filter(|fill| fill.rows == rows));
        named(page, "In some rows", fills.iter().filter(|fill| (1..rows).contains(&fill.rows)));
    }
    // One line end at the end of the page.
    page.pop();
}

/// Action types with the same event types and the same number of filled fields, the fullest first.
fn alike(kinds: Vec<Kind>) -> Vec<((usize, String), Vec<String>)> {
    let mut groups: BTreeMap<(std::cmp::Reverse<usize>, String), Vec<String>> = BTreeMap::new();
    for kind in kinds {
        let event_types: Vec<String> = kind.event_types.into_iter().collect();
        let group = groups.entry((std::cmp::Reverse(kind.filled), event_types.join(", "))).or_default();
        group.extend(kind.action_type.map(|action| format!("`{action}`")));
    }
    groups.into_iter().map(|((filled, types), actions)| ((filled.0, types), actions)).collect()
}

/// A paragraph of field names.
fn named<'a>(page: &mut String, title: &str, fills: impl Iterator<Item = &'a Fill>) {
    let names: Vec<&str> = fills.map(|fill| fill.field).collect();
    if names.is_empty() {
        return;
    }
    let mut line = format!("{title} ({}):", names.len());
    for (at, name) in names.iter().enumerate() {
        let end = if at + 1 == names.len() { "." } else { "," };
        if line.chars().count() + name.len() + 2 > LINE_CHARS {
            let _ = writeln!(page, "{line}");
            line = format!("{name}{end}");
        } else {
            let _ = write!(line, " {name}{end}");
        }
    }
    let _ = write!(page, "{line}\n\n");
}

fn short(text: &str) -> String {
    match text.char_indices().nth(VALUE_CHARS) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("{count} {noun}") } else { format!("{count} {noun}s") }
}

/// A pipe would end the cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

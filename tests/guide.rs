//! The mapping authors' page does what it says: every fenced block of it is put to use, in order, in one folder.
//!
//! | block | what happens |
//! | --- | --- |
//! | `yaml PATH`, `json PATH`, `csv PATH` | becomes that file |
//! | `kql` | parses, and stands in the one layout |
//! | `console` | each `$ ` line runs in a shell; what it prints is the lines below it |
//!
//! In expected output, `…` stands for any text, and a line of nothing else for any lines.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::weir::{Workplace, text};

struct Block {
    line: usize,
    info: String,
    text: String,
}

fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (number, line) in page.lines().enumerate() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(info), None) => {
                open = Some(Block { line: number + 1, info: info.to_owned(), text: String::new() });
            }
            (None, Some(block)) => block.text += &format!("{line}\n"),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "the last block is closed");
    blocks
}

/// Runs a command line in a folder, with the binary on the path; gives what it prints, errors included.
fn shell(folder: &Path, command: &str) -> String {
    let binary = Path::new(env!("CARGO_BIN_EXE_weir"));
    let path = std::env::var("PATH").unwrap_or_default();
    let output = Command::new("sh")
        // Standard error and output into one pipe, in the order in which they are written.
        .args(["-c", &format!("{{ {command}\n}} 2>&1")])
        .current_dir(folder)
        .env("PATH", format!("{}:{path}", binary.parent().unwrap().display()))
        .env("WEIR_LOG", "error")
        .env_remove("WEIR_LOG_FORMAT")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    text(&output.stdout)
}

/// Whether `text` is `pattern`, whose `…` stand for any text.
fn fits(pattern: &str, text: &str) -> bool {
    let mut pieces = pattern.split('…');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut pieces: Vec<&str> = pieces.collect();
    let Some(last) = pieces.pop() else { return rest.is_empty() };
    for piece in pieces {
        match rest.find(piece) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

fn lines_fit(expected: &[&str], printed: &[&str]) -> bool {
    match expected.split_first() {
        None => printed.is_empty(),
        Some((&"…", rest)) => (0..=printed.len()).any(|skipped| lines_fit(rest, &printed[skipped..])),
        Some((line, rest)) => {
            printed.split_first().is_some_and(|(first, others)| fits(line, first) && lines_fit(rest, others))
        }
    }
}

fn run_console(place: &Workplace, block: &Block, faults: &mut Vec<String>) -> usize {
    let mut commands = 0;
    let mut lines = block.text.lines().peekable();
    assert!(lines.peek().is_some_and(|line| line.starts_with("$ ")), "line {}: a command comes first", block.line);
    while let Some(line) = lines.next() {
        let command = line.strip_prefix("$ ").unwrap();
        let mut expected: Vec<&str> = Vec::new();
        while let Some(line) = lines.next_if(|line| !line.starts_with("$ ")) {
            expected.push(line);
        }
        let printed = shell(&place.path(""), command);
        commands += 1;
        if !lines_fit(&expected, &printed.lines().collect::<Vec<_>>()) {
            let (line, expected) = (block.line, expected.join("\n"));
            faults.push(format!("line {line}: `{command}` prints\n{printed}\nbut the page says\n{expected}\n"));
        }
    }
    commands
}

#[test]
fn every_example_of_the_mapping_authors_page_runs_as_it_says() {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/mappings.md")).unwrap();
    let place = Workplace::new();
    let mut faults = Vec::new();
    let mut commands = 0;
    for block in blocks(&page) {
        match block.info.split_once(' ').unwrap_or((&block.info, "")) {
            ("yaml" | "json" | "csv", path) if !path.is_empty() => {
                place.write(path, &block.text);
            }
            ("kql", "") => {
                place.write("block.kql", &block.text);
                let printed = shell(&place.path(""), "weir kql fmt --check block.kql");
                commands += 1;
                if !printed.is_empty() {
                    faults.push(format!("line {}: not in the one layout: {printed}", block.line));
                }
            }
            ("console", "") => commands += run_console(&place, &block, &mut faults),
            // What stands for commands and keys whose tests are their own (`asim_import`).
            ("text", "") => {}
            _ => faults.push(format!("line {}: no test knows what a block `{}` is", block.line, block.info)),
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(commands >= 10, "the page shows how to write, check, test and ship");
    // The mapping of the page stands in the layout that the page asks for.
    assert_eq!(shell(&place.path(""), "weir kql fmt --check mappings"), "");
}

#[test]
fn expected_output_has_wildcards_and_nothing_else_is_forgiven() {
    assert!(lines_fit(&["a … c", "…", "z"], &["a bb c", "x", "y", "z"]));
    assert!(lines_fit(&["…"], &[]));
    assert!(!lines_fit(&["a"], &["a", "b"]));
    assert!(!lines_fit(&["a", "b"], &["a"]));
    assert!(!lines_fit(&["a… c"], &["a bb d"]));
}

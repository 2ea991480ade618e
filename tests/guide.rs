//! The mapping authors' page and the hunters' page do what they say: every fenced block is put to use, in order, in one
//! folder.
//!
//! | block | what happens |
//! | --- | --- |
//! | `yaml PATH`, `json PATH`, `csv PATH`, `kusto PATH` | becomes that file |
//! | `kql` | parses, and stands in the one layout |
//! | `console` | each `$ ` line runs in a shell; what it prints is the lines below it |
//!
//! In expected output, `…` stands for any text, and a line of nothing else for any lines. With `UPDATE=1`, what a command
//! prints takes the place of output that differs; read the difference before you commit it.

use std::path::Path;
use std::process::{Command, Stdio};

use weir_normalize::check::Target;

use crate::support::weir::{Workplace, text};

/// What a page's blocks did.
#[derive(Default)]
struct Tried {
    commands: usize,
    faults: Vec<String>,
    /// The page with what commands really printed.
    page: String,
}

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

fn run_console(place: &Workplace, block: &Block, tried: &mut Tried) {
    let mut lines = block.text.lines().peekable();
    assert!(lines.peek().is_some_and(|line| line.starts_with("$ ")), "line {}: a command comes first", block.line);
    while let Some(line) = lines.next() {
        let command = line.strip_prefix("$ ").unwrap();
        let mut expected: Vec<&str> = Vec::new();
        while let Some(line) = lines.next_if(|line| !line.starts_with("$ ")) {
            expected.push(line);
        }
        let printed = shell(&place.path(""), command);
        tried.commands += 1;
        if !lines_fit(&expected, &printed.lines().collect::<Vec<_>>()) {
            let expected: String = expected.iter().map(|line| format!("{line}\n")).collect();
            let (command, line) = (format!("$ {command}\n"), block.line);
            tried.faults.push(format!("line {line}: {command}prints\n{printed}but the page says\n{expected}"));
            tried.page = tried.page.replacen(&format!("{command}{expected}"), &format!("{command}{printed}"), 1);
        }
    }
}

/// Puts the blocks of a page to use in `place`; `shown` are kinds of blocks that stand for what has tests of its own.
fn try_page(name: &str, place: &Workplace, shown: &[&str]) -> usize {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
    let page = std::fs::read_to_string(&path).unwrap();
    let mut tried = Tried { page: page.clone(), ..Tried::default() };
    for block in blocks(&page) {
        match block.info.split_once(' ').unwrap_or((&block.info, "")) {
            ("yaml" | "json" | "csv" | "kusto", path) if !path.is_empty() => {
                place.write(path, &block.text);
            }
            ("kql", "") => {
                place.write("block.kql", &block.text);
                let printed = shell(&place.path(""), "weir kql fmt --check block.kql");
                tried.commands += 1;
                if !printed.is_empty() {
                    tried.faults.push(format!("line {}: not in the one layout: {printed}", block.line));
                }
            }
            ("console", "") => run_console(place, &block, &mut tried),
            (kind, "") if shown.contains(&kind) => {}
            _ => tried.faults.push(format!("line {}: no test knows what a block `{}` is", block.line, block.info)),
        }
    }
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &tried.page).unwrap();
        return tried.commands;
    }
    assert!(tried.faults.is_empty(), "{name}: {}", tried.faults.join("\n"));
    tried.commands
}

#[test]
fn every_example_of_the_mapping_authors_page_runs_as_it_says() {
    let place = Workplace::new();
    // Text is for commands and keys whose tests are their own (`asim_import`).
    let commands = try_page("mappings.md", &place, &["text"]);
    assert!(commands >= 10, "the page shows how to write, check, test and ship");
    // The mapping of the page stands in the layout that the page asks for.
    assert_eq!(shell(&place.path(""), "weir kql fmt --check mappings"), "");
}

#[test]
fn every_question_of_the_hunting_page_has_the_answer_that_it_shows() {
    let place = Workplace::new();
    let families = Path::new(env!("CARGO_MANIFEST_DIR")).join("normalize");
    std::os::unix::fs::symlink(families, place.path("normalize")).unwrap();
    // The command lines and the JSON at the page's start have tests of their own (`hunt`).
    let commands = try_page("hunting.md", &place, &["sh", "json"]);
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/hunting.md")).unwrap();
    assert!(commands > 10, "a question for each schema");
    // Each schema that some mapping makes rows of is asked by its function, and the answer has rows.
    for mapping in weir_normalize::library::builtin().unwrap() {
        let target = Target::of_table(&mapping.target_table).unwrap();
        assert!(page.contains(&format!("\n_Im_{}(", target.schema())), "no question calls _Im_{}", target.schema());
    }
    assert!(!page.contains("\n0 rows\n") && !page.contains("\nerror: "), "an answer without rows answers nothing");
}

#[test]
fn expected_output_has_wildcards_and_nothing_else_is_forgiven() {
    assert!(lines_fit(&["a … c", "…", "z"], &["a bb c", "x", "y", "z"]));
    assert!(lines_fit(&["…"], &[]));
    assert!(!lines_fit(&["a"], &["a", "b"]));
    assert!(!lines_fit(&["a", "b"], &["a"]));
    assert!(!lines_fit(&["a… c"], &["a bb d"]));
}

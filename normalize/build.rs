//! Embeds the mapping files of `families/`, with their samples and expected rows, so that the binary needs no data
//! directory beside it, neither to run them nor to prove them.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR").expect("set by cargo"));
    let families = root.join("families");
    println!("cargo::rerun-if-changed={}", families.display());
    let mut files = Vec::new();
    collect(&families, &mut files);
    files.sort();
    let (mappings, samples): (Vec<_>, Vec<_>) =
        files.into_iter().partition(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    let mut code = String::new();
    for (name, what, files) in
        [("FILES", "The built-in mapping files", mappings), ("SAMPLES", "Their samples and expected rows", samples)]
    {
        writeln!(code, "/// {what}: path below `families/`, text.").expect("writes to memory");
        writeln!(code, "pub(crate) const {name}: &[(&str, &str)] = &[").expect("writes to memory");
        for file in &files {
            println!("cargo::rerun-if-changed={}", file.display());
            let name = file.strip_prefix(&families).expect("found below it").display().to_string();
            writeln!(code, "    ({name:?}, include_str!({:?})),", file.display().to_string())
                .expect("writes to memory");
        }
        code.push_str("];\n");
    }
    let out = PathBuf::from(env::var("OUT_DIR").expect("set by cargo")).join("families.rs");
    fs::write(out, code).expect("the build's own folder is writable");
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            println!("cargo::rerun-if-changed={}", path.display());
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "yaml" || extension == "json") {
            files.push(path);
        }
    }
}

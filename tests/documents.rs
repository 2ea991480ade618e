//! The documents say what is true.

use std::path::Path;

use crate::support::weir::{text, weir};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_metrics_page_is_the_one_that_the_code_makes() {
    let made = weir(&["config", "metrics"]).output().unwrap();
    let page = std::fs::read_to_string(root().join("docs/metrics.md")).unwrap();
    assert_eq!(text(&made.stdout), page, "run `weir config metrics > docs/metrics.md`");
}

#[test]
fn the_kql_page_is_the_one_that_the_code_makes() {
    let made = weir(&["kql", "reference"]).output().unwrap();
    let page = std::fs::read_to_string(root().join("docs/kql.md")).unwrap();
    assert_eq!(text(&made.stdout), page, "run `weir kql reference > docs/kql.md`");
}

#[test]
fn every_path_that_the_architecture_names_exists() {
    let page = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let mut named = 0;
    for code in page.split('`').skip(1).step_by(2) {
        let is_path = code.contains('/') && !code.contains([' ', '<', '*', '{', ':']) && !code.starts_with('/');
        if is_path {
            named += 1;
            assert!(root().join(code.trim_end_matches('/')).exists(), "ARCHITECTURE.md names `{code}`");
        }
    }
    assert!(named > 10, "the page names the parts of the tree");
}

#[test]
fn every_example_config_passes_the_check() {
    for entry in std::fs::read_dir(root().join("deploy/examples")).unwrap().flatten() {
        let path = entry.path();
        let output = weir(&["check", "-c", &path.display().to_string()]).output().unwrap();
        assert!(output.status.success(), "{}: {}", path.display(), text(&output.stderr));
    }
}

#[test]
fn the_mappings_page_lists_every_built_in_mapping() {
    let page = std::fs::read_to_string(root().join("docs/mappings.md")).unwrap();
    let mappings = weir_normalize::library::builtin().unwrap();
    for mapping in &mappings {
        let row = format!("| `{}.yaml` | {} | {} |", mapping.name, mapping.source_table, mapping.target_table);
        assert!(page.contains(&row), "docs/mappings.md lacks {row}");
    }
    let listed = page.lines().filter(|line| line.starts_with("| `") && line.contains(".yaml` |")).count();
    assert_eq!(listed, mappings.len(), "docs/mappings.md lists a mapping that is not there");
}

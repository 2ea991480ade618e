//! The differences that stay, by class, each with who is right and why. `docs/kql-differences.md` shows the same.

use crate::repository;

/// Where our answer and another one's differ: a query, and what each makes of it.
#[derive(Debug)]
pub(crate) struct Difference {
    pub(crate) query: String,
    /// The result as text, or why it is refused.
    pub(crate) ours: Result<String, String>,
    pub(crate) theirs: Result<String, String>,
}

/// Who is right by KQL's documentation, or by what was measured on Microsoft's engine.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Right {
    Weir,
    /// The other one.
    Other,
    /// Neither a page nor a measurement says.
    Open,
}

impl Right {
    fn text(self) -> &'static str {
        match self {
            Self::Weir => "Weir",
            Self::Other => "the other",
            Self::Open => "open",
        }
    }
}

pub(crate) struct Class {
    pub(crate) name: &'static str,
    /// What shows it; asked with the other queries.
    pub(crate) example: &'static str,
    pub(crate) right: Right,
    pub(crate) why: &'static str,
    pub(crate) is: fn(&Difference) -> bool,
}

/// Asserts that each difference is of a class, and that each class has one; prints how many.
///
/// With `WEIR_KQL_REPORT`, all differences are written to the file of that name with `.` and `comparison` behind it.
pub(crate) fn assert_listed(comparison: &str, classes: &[Class], differences: &[Difference]) {
    let mut found = vec![0; classes.len()];
    let mut wrong = Vec::new();
    let mut report = String::new();
    for difference in differences {
        let class = classes.iter().position(|class| (class.is)(difference));
        let name = class.map_or("UNLISTED", |class| classes[class].name);
        let Difference { query, ours, theirs } = difference;
        report.push_str(&format!("[{name}] {query}\n    ours   {ours:?}\n    theirs {theirs:?}\n"));
        match class {
            Some(class) => found[class] += 1,
            None => wrong.push(format!("no class knows this difference: {difference:#?}")),
        }
    }
    if let Ok(path) = std::env::var("WEIR_KQL_REPORT") {
        std::fs::write(format!("{path}.{comparison}"), report).expect("the report is written");
    }
    for (class, found) in classes.iter().zip(found) {
        println!("    {found:4} {} (right: {})", class.name, class.right.text());
        if found == 0 {
            wrong.push(format!("`{}` differs no more in `{}`: strike the class out", class.name, class.example));
        }
    }
    assert!(wrong.is_empty(), "{} of {} differences:\n{}", wrong.len(), differences.len(), wrong.join("\n"));
}

/// Asserts that the section of `docs/kql-differences.md` under `heading` lists the classes, and no others.
pub(crate) fn assert_documented(heading: &str, classes: &[Class]) {
    let page = std::fs::read_to_string(repository().join("docs/kql-differences.md")).expect("the page is there");
    let section =
        page.split("\n## ").find(|section| heading.strip_prefix("## ").is_some_and(|text| section.starts_with(text)));
    let section = section.unwrap_or_else(|| panic!("docs/kql-differences.md has no `{heading}`"));
    let found: Vec<&str> = section.lines().filter(|line| line.starts_with("| ")).skip(2).collect();
    let rows: Vec<String> = classes.iter().map(row).collect();
    assert_eq!(found, rows, "write into docs/kql-differences.md under `{heading}`:\n{}", rows.join("\n"));
}

fn row(class: &Class) -> String {
    let example = class.example.replace('|', "\\|");
    format!("| {} | `{example}` | {} | {} |", class.name, class.right.text(), class.why.replace('|', "\\|"))
}

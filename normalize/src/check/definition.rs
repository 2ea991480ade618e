//! What the schemas define, from two sources: `data/asim_fields.csv`, the schemas' pages with what the testers add, and
//! `data/asim_tester.csv`, the official testers' own definitions. `scripts/gen_asim_tables.py` writes both.

use std::collections::HashMap;
use std::sync::LazyLock;

const DOCUMENTED: &str = include_str!("../../data/asim_fields.csv");
const TESTER: &str = include_str!("../../data/asim_tester.csv");

/// The pseudo-schema of the testers whose fields every schema has.
pub(super) const COMMON: &str = "Common";

/// How much a schema asks for a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// In every row.
    Mandatory,
    /// In every row whose source knows it.
    Recommended,
    /// As the source has it.
    Optional,
    /// Where the field that it qualifies is filled.
    Conditional,
    /// Has the value of another field.
    Alias,
}

/// A field of a schema.
#[derive(Debug, Clone)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) class: Class,
    /// The type as text: `real` columns of a few fields are `double` in the testers.
    pub(super) ty: &'static str,
    pub(super) logical: &'static str,
    /// The allowed values, joined by `|`; empty: any.
    pub(super) list: &'static str,
    /// The testers' list where it has fewer values; equal to `list` elsewhere.
    pub(super) tester_list: &'static str,
    /// The fields that an alias stands for.
    pub(super) alias_of: Vec<&'static str>,
    /// The fields of which one, filled, makes a conditional field required.
    pub(super) conditional_on: Vec<&'static str>,
    /// The testers' one entry for both, as it stands there.
    pub(super) aliased: &'static str,
    /// `array`, `dictionary` or empty.
    pub(super) shape: &'static str,
    /// The type of an array's elements, or empty.
    pub(super) elements: &'static str,
}

/// The fields of a schema, in order, each name once.
#[derive(Debug, Default)]
pub(super) struct Fields {
    fields: Vec<Field>,
    by_name: HashMap<&'static str, usize>,
}

impl Fields {
    pub(super) fn get(&self, name: &str) -> Option<&Field> {
        self.by_name.get(name).map(|at| &self.fields[*at])
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Field> {
        self.fields.iter()
    }

    /// Adds a field unless one of that name is there already.
    fn add(&mut self, field: Field) {
        let next = self.fields.len();
        if *self.by_name.entry(field.name).or_insert(next) == next {
            self.fields.push(field);
        }
    }

    /// The fields that hold the value of `name`: itself, and what it stands for if it is an alias.
    pub(super) fn sources_of(&self, name: &'static str) -> Vec<&'static str> {
        let mut sources = vec![name];
        sources.extend(self.get(name).into_iter().flat_map(|field| field.alias_of.iter().copied()));
        sources
    }
}

/// The names of all schemas, sorted; without [`COMMON`].
pub(super) fn schemas() -> Vec<&'static str> {
    let mut names: Vec<_> = BY_PAGE.keys().copied().collect();
    names.sort_unstable();
    names
}

/// The exact name of a schema that is written in any case.
pub(super) fn schema_named(name: &str) -> Option<&'static str> {
    BY_PAGE.keys().copied().find(|known| known.eq_ignore_ascii_case(name))
}

/// A schema by its pages.
pub(super) fn documented(schema: &str) -> Option<&'static Fields> {
    BY_PAGE.get(schema)
}

/// A schema by the testers' own rows; also [`COMMON`].
pub(super) fn tester(schema: &str) -> Option<&'static Fields> {
    BY_TESTER.get(schema)
}

/// A schema by the testers' own rows and, where it has none for a field, the common ones.
pub(super) fn tester_with_common(schema: &str) -> Option<&'static Fields> {
    MERGED.get(schema)
}

static BY_TESTER: LazyLock<HashMap<&'static str, Fields>> = LazyLock::new(|| {
    let mut schemas: HashMap<_, Fields> = HashMap::new();
    for line in TESTER.lines().skip(1) {
        let [schema, name, class, ty, logical, list, aliased, shape, elements] = cells(line);
        let (alias_of, conditional_on) = match class {
            "Alias" => (alternatives(aliased), Vec::new()),
            "Conditional" => (Vec::new(), alternatives(aliased)),
            _ => (Vec::new(), Vec::new()),
        };
        schemas.entry(schema).or_default().add(Field {
            name,
            class: class_named(class),
            ty,
            logical,
            list,
            tester_list: list,
            alias_of,
            conditional_on,
            aliased,
            shape,
            elements,
        });
    }
    schemas
});

static MERGED: LazyLock<HashMap<&'static str, Fields>> = LazyLock::new(|| {
    let common = &BY_TESTER[COMMON];
    let merge = |(schema, own): (&&'static str, &Fields)| {
        let mut merged = Fields::default();
        own.iter().chain(common.iter()).for_each(|field| merged.add(field.clone()));
        (*schema, merged)
    };
    BY_TESTER.iter().map(merge).collect()
});

static BY_PAGE: LazyLock<HashMap<&'static str, Fields>> = LazyLock::new(|| {
    let mut schemas: HashMap<_, Fields> = HashMap::new();
    for line in DOCUMENTED.lines().skip(1) {
        let [schema, name, class, ty, logical, list, alias_of, conditional_on] = cells(line);
        let tester = BY_TESTER.get(schema).and_then(|fields| fields.get(name));
        schemas.entry(schema).or_default().add(Field {
            name,
            class: class_named(class),
            ty,
            logical,
            list,
            tester_list: tester.map(|field| field.list).filter(|list| !list.is_empty()).unwrap_or(list),
            alias_of: alternatives(alias_of),
            conditional_on: alternatives(conditional_on),
            aliased: "",
            shape: tester.map_or("", |field| field.shape),
            elements: tester.map_or("", |field| field.elements),
        });
    }
    schemas
});

/// The cells of a line; neither file quotes any.
fn cells<const N: usize>(line: &'static str) -> [&'static str; N] {
    let mut cells = [""; N];
    cells.iter_mut().zip(line.split(',')).for_each(|(cell, text)| *cell = text);
    cells
}

fn alternatives(cell: &'static str) -> Vec<&'static str> {
    cell.split('|').filter(|name| !name.is_empty()).collect()
}

fn class_named(name: &str) -> Class {
    match name {
        "Mandatory" => Class::Mandatory,
        "Recommended" => Class::Recommended,
        "Conditional" => Class::Conditional,
        "Alias" => Class::Alias,
        _ => Class::Optional,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_files_are_read_whole() {
        let rows = |text: &str| text.lines().count() - 1;
        let fields =
            |schemas: &HashMap<&str, Fields>| schemas.values().map(|fields| fields.iter().count()).sum::<usize>();
        // The testers have AssetEntity.AssetPath twice.
        assert_eq!(fields(&BY_TESTER), rows(TESTER) - 1);
        assert_eq!(fields(&BY_PAGE), rows(DOCUMENTED));
        assert_eq!((schemas().len(), BY_TESTER.len()), (14, 15));
        assert!(!TESTER.contains('"') && !DOCUMENTED.contains('"'), "a quoted cell would be cut at its commas");
        assert_eq!(schema_named("processevent"), Some("ProcessEvent"));
    }

    #[test]
    fn a_schema_has_the_common_fields_that_it_does_not_define() {
        let process = tester_with_common("ProcessEvent").expect("a schema");
        assert!(tester("ProcessEvent").expect("a schema").get("EventVendor").is_none());
        assert_eq!(process.get("EventVendor").map(|field| field.class), Some(Class::Mandatory));
        assert!(
            process.get("EventType").expect("its own").list.starts_with("Process"),
            "its own row beats the common one"
        );
    }
}

//! What rows are held against: a schema, and how their table stores it.

use std::sync::Arc;

use crate::asim::{self, AsimTable, Forbidden};
use crate::check::definition::{self, Class, Field};

/// The schema that rows belong to, and the table that they stand in.
#[derive(Debug, Clone)]
pub struct Target {
    pub(super) schema: &'static str,
    pub(super) table: Option<Arc<str>>,
    pub(super) storage: Storage,
}

/// How a table stores its schema.
#[derive(Debug, Clone, Copy)]
pub(super) enum Storage {
    /// A native table: its own columns and types; aliases are made at query time.
    Native(&'static AsimTable),
    /// A custom table: the schema's fields; aliases are made at query time, too.
    Custom,
    /// The output of a parser or a view: all of the schema, with its aliases.
    View,
}

impl Target {
    /// The target of rows of a table: a native ASIM table, or a custom one whose name tells the schema, such as
    /// `ASimEmailEventLogs_CL`. `None` if the name tells no schema.
    pub fn of_table(name: &str) -> Option<Self> {
        let native = asim::table(name);
        let plain = name.strip_suffix("_CL").unwrap_or(name);
        if native.is_none() && (plain.len() == name.len() || !plain.starts_with("ASim")) {
            return None;
        }
        let schema = definition::schema_named(asim::schema_of(plain))?;
        Some(Self { schema, table: Some(name.into()), storage: native.map_or(Storage::Custom, Storage::Native) })
    }

    /// The target of a custom table `name` that holds rows of `schema`, in any case. `None` if there is no such schema.
    pub fn of_custom_table(name: &str, schema: &str) -> Option<Self> {
        let schema = definition::schema_named(schema)?;
        Some(Self { schema, table: Some(name.into()), storage: Storage::Custom })
    }

    /// The target of a parser's or a view's output, by its schema's name in any case. `None` if there is no such
    /// schema.
    pub fn of_schema(name: &str) -> Option<Self> {
        Some(Self { schema: definition::schema_named(name)?, table: None, storage: Storage::View })
    }

    /// The target of rows that tell no schema: the official data tester holds them against the common fields.
    pub fn unknown() -> Self {
        Self { schema: definition::COMMON, table: None, storage: Storage::View }
    }

    pub(super) fn is_unknown(&self) -> bool {
        self.schema == definition::COMMON
    }

    /// The names of all schemas, sorted.
    pub fn schemas() -> Vec<&'static str> {
        definition::schemas()
    }

    /// The schema's name.
    pub fn schema(&self) -> &'static str {
        self.schema
    }

    /// Whether the rows are a table's, rather than a parser's or a view's.
    pub fn is_table(&self) -> bool {
        self.table.is_some()
    }

    /// What findings call it: the table, or the schema of a view.
    pub fn label(&self) -> Arc<str> {
        self.table.clone().unwrap_or_else(|| self.schema.into())
    }

    /// The KQL type that column `name` must have, if it is one of the table's or the schema's.
    pub fn type_of(&self, name: &str) -> Option<&'static str> {
        if let Storage::Native(table) = self.storage
            && let Some(column) = table.schema.column(name)
        {
            return Some(column.ty.name());
        }
        let field = definition::documented(self.schema)?.get(name)?;
        Some(field.ty)
    }

    /// The fields that a sender may fill here, in the order of the schema, with their classes.
    pub fn fillable(&self) -> Vec<(&'static str, Class)> {
        let fields = definition::documented(self.schema).into_iter().flat_map(|fields| fields.iter());
        fields.filter(|field| self.stores(field)).map(|field| (field.name, field.class)).collect()
    }

    /// Whether a sender may fill the field here.
    pub(super) fn stores(&self, field: &Field) -> bool {
        match self.storage {
            Storage::Native(table) => table.schema.column(field.name).is_some(),
            Storage::Custom => {
                let is_computed = field.class == Class::Alias || !field.alias_of.is_empty() || field.name == "Type";
                !is_computed && !is_reserved(field.name)
            }
            Storage::View => !is_reserved(field.name),
        }
    }

    /// Whether a field that is absent is missed: native tables' stubs compute `Dvc` and the like if they are empty.
    pub(super) fn asks_for(&self, field: &Field) -> bool {
        self.stores(field) && (self.native().is_none() || field.alias_of.is_empty())
    }

    /// Why a column must stay empty here, if it must.
    pub(super) fn forbidden(&self, name: &str) -> Option<Forbidden> {
        match self.storage {
            Storage::Native(table) => table.forbidden(name).or_else(|| {
                let field = definition::documented(self.schema)?.get(name)?;
                // Most aliases are not even columns of the table.
                let is_alias = field.class == Class::Alias && table.schema.column(name).is_none();
                is_alias.then_some(Forbidden::Alias)
            }),
            Storage::Custom => (name == "Type").then_some(Forbidden::Workspace),
            Storage::View => None,
        }
    }

    pub(super) fn native(&self) -> Option<&'static AsimTable> {
        match self.storage {
            Storage::Native(table) => Some(table),
            _ => None,
        }
    }
}

/// Whether a field is one of those that only Microsoft fills.
pub(super) fn is_reserved(name: &str) -> bool {
    asim::is_reserved(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_native_table_is_a_target_and_so_is_a_custom_one() {
        for table in asim::tables() {
            let target = Target::of_table(&table.schema.name).unwrap_or_else(|| panic!("{}", table.schema.name));
            assert!(target.native().is_some());
        }
        assert_eq!(Target::of_table("ASimEmailEventLogs_CL").map(|target| target.schema()), Some("EmailEvent"));
        let own = Target::of_table("ASimDnsActivityLogs_CL").expect("custom");
        assert_eq!((own.schema(), own.native().is_some()), ("Dns", false));
        assert!(Target::of_table("DeviceEvents").is_none() && Target::of_table("Firewall_CL").is_none());
        assert_eq!(Target::of_schema("dns").map(|target| target.schema()), Some("Dns"));
    }
}

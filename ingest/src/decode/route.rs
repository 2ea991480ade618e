//! Which table a record belongs to.
//!
//! In this order: the envelope's `category`; a key that names a known table (`Type`, `$table`, `SourceTable`,
//! `TableName`); the table that the source's config gives; the one known table that has rows of the record's
//! `ActionType` (of several, the one that lacks the fewest of the record's keys); the shape of a CloudTrail record.
//! A record that none of these places is kept whole under [`UNROUTED`].

use std::sync::{Arc, Mutex};

use ahash::HashSet;
use weir_contract::dead_letter::DEAD_LETTERS;

use crate::schema::{CLOUD_TRAIL, RawTable, RawTables};

/// The table of records that name no table.
pub const UNROUTED: &str = "UnroutedEvents";

/// How many table names without a schema are accepted, so that damaged input cannot make a table per record.
const MAX_UNKNOWN_TABLES: usize = 256;

/// Keys of a flat row whose value names its table.
pub(crate) const NAMING_KEYS: [&str; 4] = ["Type", "$table", "SourceTable", "TableName"];

/// What a record shows of its table.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Hints<'a> {
    /// The envelope's `category`.
    pub(crate) category: Option<&'a str>,
    /// Whether `properties` stands beside it.
    pub(crate) has_envelope: bool,
    /// The values under [`NAMING_KEYS`].
    pub(crate) named: [Option<&'a str>; 4],
    /// The value of `ActionType`.
    pub(crate) action_type: Option<&'a str>,
    /// How many of `eventVersion`, `eventSource` and `eventName` it has.
    pub(crate) cloud_trail_keys: u8,
}

/// The table of a record.
#[derive(Debug)]
pub(crate) enum Route<'a> {
    Known(&'a Arc<RawTable>),
    /// A table without a schema, by name.
    Unknown(&'a str),
}

/// Decides on tables. One per decoder, shared by its threads.
#[derive(Debug)]
pub(crate) struct Router {
    tables: Arc<RawTables>,
    unknown: Mutex<HashSet<Box<str>>>,
}

impl<'a> Hints<'a> {
    /// Takes note of a record's field, if it tells about the table.
    pub(crate) fn note(&mut self, key: &str, text: Option<&'a str>) {
        match key {
            "category" => self.category = text,
            "Type" => self.named[0] = text,
            "$table" => self.named[1] = text,
            "SourceTable" => self.named[2] = text,
            "TableName" => self.named[3] = text,
            "ActionType" => self.action_type = text,
            "eventVersion" | "eventSource" | "eventName" => self.cloud_trail_keys += 1,
            _ => {}
        }
    }
}

impl Router {
    pub(crate) fn new(tables: Arc<RawTables>) -> Self {
        Self { tables, unknown: Mutex::default() }
    }

    /// The table of a record. `filled_keys` calls back with each key of the record that has a value.
    pub(crate) fn route<'a>(
        &'a self,
        hints: &Hints<'a>,
        default_table: Option<&'a str>,
        filled_keys: impl Fn(&mut dyn FnMut(&str)),
    ) -> Route<'a> {
        let by_category = hints.category.map(|category| category.strip_prefix("AdvancedHunting-").unwrap_or(category));
        if let Some(table) = by_category.and_then(|name| self.tables.get(name)) {
            return Route::Known(table);
        }
        if hints.has_envelope {
            return self.unknown(by_category);
        }
        if let Some(table) = hints.named.iter().flatten().find_map(|name| self.tables.get(name)) {
            return Route::Known(table);
        }
        if let Some(name) = default_table {
            return self.tables.get(name).map_or(Route::Unknown(name), Route::Known);
        }
        if let Some(table) = hints.action_type.and_then(|action| self.of_action_type(action, &filled_keys)) {
            return Route::Known(table);
        }
        if hints.cloud_trail_keys == 3
            && let Some(table) = self.tables.get(CLOUD_TRAIL)
        {
            return Route::Known(table);
        }
        self.unknown(by_category)
    }

    fn of_action_type(&self, action: &str, filled_keys: &impl Fn(&mut dyn FnMut(&str))) -> Option<&Arc<RawTable>> {
        let candidates = self.tables.of_action_type(action);
        if let [table] = candidates {
            return Some(table);
        }
        let lacking = |table: &Arc<RawTable>| {
            let mut lacking = 0;
            filled_keys(&mut |key| lacking += usize::from(table.keys().find(key).is_none()));
            lacking
        };
        let lacking: Vec<_> = candidates.iter().map(|table| (lacking(table), table)).collect();
        let fewest = lacking.iter().map(|(count, _)| *count).min()?;
        let mut best = lacking.iter().filter(|(count, _)| *count == fewest);
        match (best.next(), best.next()) {
            (Some((_, table)), None) => Some(table),
            _ => None,
        }
    }

    fn unknown<'a>(&self, name: Option<&'a str>) -> Route<'a> {
        let Some(name) = name.filter(|name| is_table_name(name) && !is_reserved(name)) else {
            return Route::Unknown(UNROUTED);
        };
        let mut unknown = self.unknown.lock().expect("no panic while the names are held");
        if !unknown.contains(name) {
            if unknown.len() >= MAX_UNKNOWN_TABLES {
                return Route::Unknown(UNROUTED);
            }
            tracing::warn!(table = name, "table has no schema, its records are passed through whole");
            unknown.insert(name.into());
        }
        Route::Unknown(name)
    }
}

/// What is wrong with a table's name in the config, if anything.
pub(crate) fn table_name_fault(name: &str) -> Option<String> {
    let text = "which is no table name; write a letter, then up to 63 letters, digits or `_`";
    (!is_table_name(name)).then(|| format!("is `{name}`, {text}"))
}

/// Whether a name may become a table: it becomes a folder of the lake and a metric's label.
fn is_table_name(name: &str) -> bool {
    name.len() <= 64
        && name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Whether a table of this name holds what Weir itself makes: a record can't claim to be one of its rows.
fn is_reserved(name: &str) -> bool {
    let begins_asim = name.get(..4).is_some_and(|begin| begin.eq_ignore_ascii_case("ASim"));
    begins_asim || name.eq_ignore_ascii_case(DEAD_LETTERS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route_of(hints: Hints<'_>, default_table: Option<&str>, keys: &[&str]) -> String {
        let router = Router::new(Arc::new(RawTables::builtin()));
        let route = router.route(&hints, default_table, |call| keys.iter().for_each(|key| call(key)));
        match route {
            Route::Known(table) => table.name().to_string(),
            Route::Unknown(name) => format!("?{name}"),
        }
    }

    fn category(category: &str) -> Hints<'_> {
        Hints { category: Some(category), has_envelope: true, ..Hints::default() }
    }

    #[test]
    fn the_category_decides() {
        assert_eq!(route_of(category("AdvancedHunting-DeviceInfo"), Some("AlertInfo"), &[]), "DeviceInfo");
        assert_eq!(route_of(category("AdvancedHunting-NewTable"), None, &[]), "?NewTable");
        assert_eq!(route_of(category("AdvancedHunting-../../etc"), None, &[]), "?UnroutedEvents");
        assert_eq!(route_of(category("SignInLogs"), None, &[]), "?SignInLogs");
        assert_eq!(
            route_of(category("dead_letters"), None, &[]),
            "?UnroutedEvents",
            "Weir's own tables are no input's"
        );
        assert_eq!(route_of(category("AdvancedHunting-ASimDnsActivityLogs"), None, &[]), "?UnroutedEvents");
    }

    #[test]
    fn rows_without_an_envelope_are_placed_by_what_they_hold() {
        let named = |name| Hints { named: [Some(name), None, None, None], ..Hints::default() };
        assert_eq!(route_of(named("DeviceEvents"), Some("AlertInfo"), &[]), "DeviceEvents");
        assert_eq!(route_of(named("User"), Some("IdentityInfo"), &[]), "IdentityInfo");
        let action = |action| Hints { action_type: Some(action), ..Hints::default() };
        assert_eq!(route_of(action("DnsConnectionInspected"), None, &[]), "DeviceNetworkEvents");
        assert_eq!(route_of(action("ProcessCreated"), None, &["DeviceId", "SHA256"]), "DeviceProcessEvents");
        assert_eq!(route_of(action("ProcessCreated"), None, &["ContainerId"]), "CloudProcessEvents");
        assert_eq!(route_of(action("ProcessCreated"), None, &["Timestamp"]), "?UnroutedEvents");
        assert_eq!(route_of(Hints { cloud_trail_keys: 3, ..Hints::default() }, None, &[]), "AWSCloudTrail");
        assert_eq!(route_of(Hints::default(), None, &[]), "?UnroutedEvents");
    }

    #[test]
    fn the_number_of_unknown_tables_is_bounded() {
        let router = Router::new(Arc::new(RawTables::builtin()));
        for number in 0..MAX_UNKNOWN_TABLES {
            let name = format!("T{number}");
            let route = router.route(&category(&name), None, |_| {});
            assert!(matches!(route, Route::Unknown(found) if found == name));
        }
        let route = router.route(&category("OneMore"), None, |_| {});
        assert!(matches!(route, Route::Unknown(UNROUTED)));
    }
}

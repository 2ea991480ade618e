//! Schemas of the raw tables: which columns a table has, and which keys of a record fill them.
//!
//! They are data (`ingest/schemas/`, see the README there), compiled in and read once at the start. A key is looked up
//! by its exact name; a key path may lead into nested objects (`userIdentity.arn`), so the keys of a table form a
//! small tree. Lookup is by hash; the decoder mostly avoids it by guessing that a record's keys come in the order of the
//! record before.

use std::collections::HashMap as StdHashMap;
use std::sync::Arc;

use ahash::HashMap;
use arrow::datatypes::SchemaRef;
use weir_contract::schema::{Column, ColumnType, TableSchema};

/// Event time of every raw row.
pub const TIME_GENERATED: &str = "TimeGenerated";
/// What the schema has no place for, as one JSON object per row, or null.
pub const UNKNOWN_COLUMNS: &str = "UnknownColumns";
/// The envelope's tenant.
pub const TENANT_ID: &str = "TenantId";
/// When the export service published the record.
pub const PUBLISHED_TIME: &str = "PublishedTime";
/// When the Defender cloud received the event.
pub const TIME_RECEIVED: &str = "TimeReceivedBySvc";
/// The key of the event time in Defender's rows.
pub const TIMESTAMP: &str = "Timestamp";
/// The table of AWS CloudTrail records.
pub const CLOUD_TRAIL: &str = "AWSCloudTrail";

const DEFENDER_CSV: &str = include_str!("../schemas/defender.csv");
const AWS_CSV: &str = include_str!("../schemas/aws.csv");
const ACTION_TYPES_CSV: &str = include_str!("../schemas/action_types.csv");
const STREAMED_CSV: &str = include_str!("../schemas/streamed.csv");

/// The tables that Defender XDR's streaming export sends, sorted.
pub fn streamed_tables() -> impl Iterator<Item = &'static str> {
    STREAMED_CSV.lines().skip(1)
}

/// The known values of `ActionType`, each with its table: `(table, action type)`.
pub fn action_types() -> impl Iterator<Item = (&'static str, &'static str)> {
    ACTION_TYPES_CSV.lines().skip(1).map(|line| {
        // An action type may hold a comma; a table name does not.
        let (action, table) = line.rsplit_once(',').expect("action type rows have two cells");
        (table, action.trim_matches('"'))
    })
}

/// All raw tables that the decoder knows.
#[derive(Debug)]
pub struct RawTables {
    by_name: HashMap<Arc<str>, Arc<RawTable>>,
    by_folded_name: HashMap<String, Arc<RawTable>>,
    by_action_type: HashMap<Box<str>, Vec<Arc<RawTable>>>,
}

/// One raw table.
#[derive(Debug)]
pub struct RawTable {
    schema: TableSchema,
    arrow: SchemaRef,
    keys: Keys,
    time_generated: usize,
    timestamp: Option<usize>,
    unknown_columns: usize,
    envelope: Option<EnvelopeColumns>,
    needs_time: bool,
}

/// Where the envelope's fields go, as column positions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EnvelopeColumns {
    pub(crate) tenant_id: usize,
    pub(crate) published_time: usize,
    pub(crate) time_received: usize,
}

/// What the value under a key fills.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    /// The column that takes the value itself.
    pub(crate) column: Option<usize>,
    /// Columns that take values inside of it, if it is an object.
    pub(crate) inner: Option<Box<Keys>>,
}

/// The keys of one object: slots, and the slot of each key.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    slots: Vec<(Box<str>, Slot)>,
    by_key: HashMap<Box<str>, usize>,
}

impl RawTables {
    /// The tables compiled into this build.
    pub fn builtin() -> Self {
        let mut columns: Vec<(&str, Vec<[&str; 3]>)> = Vec::new();
        for line in DEFENDER_CSV.lines().skip(1).chain(AWS_CSV.lines().skip(1)) {
            let mut cells = line.split(',');
            let mut cell = || cells.next().expect("schema rows have four cells");
            let (table, rest) = (cell(), [cell(), cell(), cell()]);
            match columns.last_mut() {
                Some((name, rows)) if *name == table => rows.push(rest),
                _ => columns.push((table, vec![rest])),
            }
        }
        let tables: Vec<_> = columns.into_iter().map(|(name, rows)| Arc::new(RawTable::new(name, &rows))).collect();
        let by_name: HashMap<_, _> = tables.iter().map(|table| (table.name().clone(), table.clone())).collect();
        let by_folded_name = tables.iter().map(|table| (table.name().to_ascii_lowercase(), table.clone())).collect();
        let mut by_action_type: HashMap<Box<str>, Vec<_>> = HashMap::default();
        for (table, action) in action_types() {
            let table: &Arc<RawTable> = by_name.get(table).expect("action types belong to known tables");
            by_action_type.entry(action.into()).or_default().push(table.clone());
        }
        Self { by_name, by_folded_name, by_action_type }
    }

    /// Adds tables that this build does not know; a table that it knows stays as it is. The decoder's own columns come to
    /// those that are declared.
    #[must_use]
    pub fn with_declared(mut self, declared: &[TableSchema]) -> Self {
        for schema in declared {
            if self.by_name.contains_key(&schema.name) {
                continue;
            }
            let rows: Vec<[&str; 3]> = schema
                .columns
                .iter()
                .filter(|column| &*column.name != UNKNOWN_COLUMNS)
                .map(|column| [&*column.name, column.ty.name(), ""])
                .collect();
            let table = Arc::new(RawTable::new(&schema.name, &rows));
            self.by_folded_name.insert(schema.name.to_ascii_lowercase(), Arc::clone(&table));
            self.by_name.insert(Arc::clone(&schema.name), table);
        }
        self
    }

    /// The table called `name`; case counts, unless no table is called exactly so.
    pub fn get(&self, name: &str) -> Option<&Arc<RawTable>> {
        self.by_name.get(name).or_else(|| self.by_folded_name.get(&name.to_ascii_lowercase()))
    }

    /// Columns of the table called `name`, in order, with those that the decoder adds.
    pub fn schema(&self, name: &str) -> Option<&TableSchema> {
        self.by_name.get(name).map(|table| &table.schema)
    }

    /// All tables, sorted by name.
    pub fn all(&self) -> Vec<&Arc<RawTable>> {
        let mut tables: Vec<_> = self.by_name.values().collect();
        tables.sort_by(|a, b| a.name().cmp(b.name()));
        tables
    }

    /// The tables that have rows of this `ActionType`.
    pub(crate) fn of_action_type(&self, action_type: &str) -> &[Arc<RawTable>] {
        self.by_action_type.get(action_type).map_or(&[], Vec::as_slice)
    }
}

impl RawTable {
    fn new(name: &str, rows: &[[&str; 3]]) -> Self {
        let is_cloud_trail = name == CLOUD_TRAIL;
        let has = |column: &str| rows.iter().any(|row| row[0] == column);
        let mut columns = Vec::with_capacity(rows.len() + 5);
        let mut sources: StdHashMap<usize, &str> = StdHashMap::new();
        if !has(TIME_GENERATED) {
            columns.push(Column::new(TIME_GENERATED, ColumnType::Datetime));
        }
        for [column, ty, source] in rows {
            sources.insert(columns.len(), source);
            columns.push(Column::new(column, ty.parse().expect("schema files use KQL's type names")));
        }
        if !is_cloud_trail {
            for (added, ty) in [
                (TENANT_ID, ColumnType::String),
                (PUBLISHED_TIME, ColumnType::Datetime),
                (TIME_RECEIVED, ColumnType::Datetime),
            ] {
                if !has(added) {
                    columns.push(Column::new(added, ty));
                }
            }
        }
        columns.push(Column::new(UNKNOWN_COLUMNS, ColumnType::Dynamic));

        let mut keys = Keys::default();
        for (position, column) in columns.iter().enumerate() {
            // `UnknownColumns` of a replayed row is merged with what is unknown to this build, not overwritten.
            if &*column.name != UNKNOWN_COLUMNS {
                keys.insert(&column.name, position);
            }
            for path in sources.get(&position).copied().unwrap_or_default().split('|').filter(|path| !path.is_empty()) {
                keys.insert(path, position);
            }
        }
        let schema = TableSchema { name: name.into(), columns };
        let at = |name: &str| schema.columns.iter().position(|column| &*column.name == name);
        let added = |name: &str| at(name).expect("the decoder's columns were added above");
        Self {
            arrow: schema.arrow(),
            time_generated: added(TIME_GENERATED),
            timestamp: at(TIMESTAMP),
            unknown_columns: added(UNKNOWN_COLUMNS),
            envelope: (!is_cloud_trail).then(|| EnvelopeColumns {
                tenant_id: added(TENANT_ID),
                published_time: added(PUBLISHED_TIME),
                time_received: added(TIME_RECEIVED),
            }),
            needs_time: at(TIMESTAMP).is_some() || is_cloud_trail,
            keys,
            schema,
        }
    }

    /// The table's name.
    pub fn name(&self) -> &Arc<str> {
        &self.schema.name
    }

    /// Columns in order.
    pub fn schema(&self) -> &TableSchema {
        &self.schema
    }

    /// Columns in order, as Arrow fields.
    pub fn arrow(&self) -> &SchemaRef {
        &self.arrow
    }

    /// Whether a row without an event time is refused: the table's rows are events with a time of their own.
    pub fn needs_time(&self) -> bool {
        self.needs_time
    }

    pub(crate) fn keys(&self) -> &Keys {
        &self.keys
    }

    pub(crate) fn time_generated(&self) -> usize {
        self.time_generated
    }

    pub(crate) fn timestamp(&self) -> Option<usize> {
        self.timestamp
    }

    pub(crate) fn unknown_columns(&self) -> usize {
        self.unknown_columns
    }

    pub(crate) fn envelope(&self) -> Option<EnvelopeColumns> {
        self.envelope
    }
}

impl Keys {
    fn insert(&mut self, path: &str, column: usize) {
        let (key, rest) = path.split_once('.').map_or((path, None), |(key, rest)| (key, Some(rest)));
        let at = match self.by_key.get(key) {
            Some(at) => *at,
            None => {
                self.slots.push((key.into(), Slot::default()));
                self.by_key.insert(key.into(), self.slots.len() - 1);
                self.slots.len() - 1
            }
        };
        let slot = &mut self.slots[at].1;
        match rest {
            None => slot.column = Some(column),
            Some(rest) => slot.inner.get_or_insert_default().insert(rest, column),
        }
    }

    /// Position of the slot of `key`, for [`Keys::slot`].
    pub(crate) fn find(&self, key: &str) -> Option<usize> {
        self.by_key.get(key).copied()
    }

    /// Whether the slot at `at` belongs to `key`: a cheap check of a guess.
    pub(crate) fn is(&self, at: usize, key: &str) -> bool {
        self.slots.get(at).is_some_and(|(name, _)| **name == *key)
    }

    pub(crate) fn slot(&self, at: usize) -> &Slot {
        &self.slots[at].1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builtin_tables_are_complete_and_have_no_names_that_differ_only_in_case() {
        let tables = RawTables::builtin();
        assert!(tables.all().len() > 60);
        for table in tables.all() {
            let mut folded: Vec<_> =
                table.schema.columns.iter().map(|column| column.name.to_ascii_lowercase()).collect();
            folded.sort();
            folded.dedup();
            assert_eq!(folded.len(), table.schema.columns.len(), "{}", table.name());
            assert!(table.schema.columns.iter().all(|column| column.ty != ColumnType::Timespan));
        }
    }

    #[test]
    fn types_are_those_of_the_stream() {
        let tables = RawTables::builtin();
        let ty = |table: &str, column: &str| tables.schema(table).and_then(|t| t.column(column)).map(|c| c.ty);
        assert_eq!(ty("DeviceProcessEvents", "ReportId"), Some(ColumnType::Long));
        assert_eq!(ty("DeviceProcessEvents", "AdditionalFields"), Some(ColumnType::Dynamic));
        assert_eq!(ty("DeviceProcessEvents", "MachineGroup"), Some(ColumnType::String));
        assert_eq!(ty("DeviceProcessEvents", "TimeGenerated"), Some(ColumnType::Datetime));
        assert_eq!(ty("CloudAppEvents", "ReportId"), Some(ColumnType::String));
        assert_eq!(ty("CloudAppEvents", "IsAdminOperation"), Some(ColumnType::Bool));
        assert_eq!(ty("EmailEvents", "To"), Some(ColumnType::Dynamic));
        assert_eq!(ty("AWSCloudTrail", "UserIdentityArn"), Some(ColumnType::String));
        assert_eq!(ty("AWSCloudTrail", "TenantId"), None);
    }

    #[test]
    fn a_path_leads_to_the_column_of_a_nested_value() {
        let tables = RawTables::builtin();
        let table = tables.get("awscloudtrail").expect("case does not matter where no other table is meant");
        let slot = table.keys().slot(table.keys().find("userIdentity").expect("a key"));
        assert!(slot.column.is_some(), "the object itself is kept as well");
        let inner = slot.inner.as_ref().expect("nested keys");
        let arn = inner.slot(inner.find("arn").expect("a key")).column.expect("a column");
        assert_eq!(&*table.schema().columns[arn].name, "UserIdentityArn");
    }
}

//! What was received, refused and changed, counted exactly whatever the number of rows kept.

use std::collections::BTreeMap;

use serde::Serialize;

/// Distinct names that one counter keeps; further ones are added up under [`OTHER_NAMES`].
const MAX_NAMES: usize = 1_000;
/// Key of the rest of an overfull counter. No JSON property of a real row is called so.
pub const OTHER_NAMES: &str = "(other names)";

/// Counts by column name.
pub type ByName = BTreeMap<String, u64>;

/// What happened to one table. All counts run since the start or the last `DELETE /stand-in/rows`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct TableCounters {
    /// Calls that were accepted with 204.
    pub requests: u64,
    /// Calls that were refused, by status, where the stream was known.
    pub refusals: BTreeMap<u16, u64>,
    /// Rows stored.
    pub rows: u64,
    /// Bytes of the accepted calls' bodies as sent.
    pub wire_bytes: u64,
    /// Bytes of the accepted calls' bodies after gunzip.
    pub raw_bytes: u64,
    /// Sum of the stored rows' `_BilledSize`, in bytes.
    pub billed_bytes: u64,
    /// Values dropped because the stream does not declare the column, or the table has none of that name.
    pub dropped_columns: ByName,
    /// Values that became null because their JSON type does not fit the declared one.
    pub mismatched_values: ByName,
    /// Numbers, booleans, objects and arrays that became text in a string column.
    pub converted_values: ByName,
    /// Values cut at 64 KB.
    pub truncated_values: ByName,
    /// Rows that came without `TimeGenerated` and got the receive time.
    pub time_missing: u64,
    /// Rows whose `TimeGenerated` was too old or too far ahead and became the receive time.
    pub time_rewritten: u64,
    /// Rows that carry a non-null alias or a reserved column, which a native table forbids.
    pub alias_columns: u64,
    /// The same by column.
    pub forbidden_columns: ByName,
    /// Accepted calls whose rows are gone because they unpack to more than the service's later stages take.
    pub lost_calls: u64,
}

/// What happened to the whole server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Calls of the ingestion endpoint, scripted answers and cut connections included.
    pub requests: u64,
    /// Calls accepted with 204 (also those whose answer a fault swallowed).
    pub accepted: u64,
    /// Calls refused, by status.
    pub refusals: BTreeMap<u16, u64>,
    /// Calls whose connection a fault reset before the body was read.
    pub resets: u64,
    /// Accepted calls whose answer a fault swallowed.
    pub lost_responses: u64,
    /// Tokens issued.
    pub tokens: u64,
    /// Token requests refused.
    pub token_refusals: u64,
}

impl TableCounters {
    /// Adds what one call did.
    pub(crate) fn add(&mut self, call: Self) {
        self.requests += call.requests;
        self.rows += call.rows;
        self.wire_bytes += call.wire_bytes;
        self.raw_bytes += call.raw_bytes;
        self.billed_bytes += call.billed_bytes;
        self.time_missing += call.time_missing;
        self.time_rewritten += call.time_rewritten;
        self.alias_columns += call.alias_columns;
        self.lost_calls += call.lost_calls;
        for (status, count) in call.refusals {
            *self.refusals.entry(status).or_default() += count;
        }
        let names = [
            (&mut self.dropped_columns, call.dropped_columns),
            (&mut self.mismatched_values, call.mismatched_values),
            (&mut self.converted_values, call.converted_values),
            (&mut self.truncated_values, call.truncated_values),
            (&mut self.forbidden_columns, call.forbidden_columns),
        ];
        for (into, from) in names {
            for (name, count) in from {
                count_name(into, &name, count);
            }
        }
    }
}

/// Adds `count` under `name`, or under [`OTHER_NAMES`] once the counter is full: names come from outside.
pub(crate) fn count_name(counter: &mut ByName, name: &str, count: u64) {
    if let Some(known) = counter.get_mut(name) {
        *known += count;
    } else if counter.len() < MAX_NAMES {
        counter.insert(name.to_owned(), count);
    } else {
        *counter.entry(OTHER_NAMES.to_owned()).or_default() += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_from_outside_cannot_grow_a_counter_without_bound() {
        let mut counter = ByName::new();
        for i in 0..MAX_NAMES as u64 + 5 {
            count_name(&mut counter, &format!("column{i}"), 1);
        }
        count_name(&mut counter, "column0", 1);
        assert_eq!(counter.len(), MAX_NAMES + 1);
        assert_eq!((counter[OTHER_NAMES], counter["column0"]), (5, 2));
    }
}

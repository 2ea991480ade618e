//! `_BilledSize` by the text model.
//!
//! The bill counts the text form of the values of a record, without column names; null and empty values count
//! nothing. Microsoft documents the rule, but no table of bytes per type; the forms used here are the longest ones in
//! use (times with seven decimals, integers in decimal digits). The standard columns that are free (`Type`,
//! `_ResourceId`…) never come from a sender here, so none needs to be taken out. Written apart from the sink's own
//! estimate, so that the two can be held against each other.

/// Bytes of a time: `2026-11-20T08:00:00.0000000Z`.
pub(crate) const DATETIME_BYTES: u64 = 28;

/// Bytes of `true` or `false`.
pub(crate) fn boolean(value: bool) -> u64 {
    if value { 4 } else { 5 }
}

/// Bytes of a real in its shortest text that reads back as the same real, as JSON writers print it (`5.0`, `1e21`).
pub(crate) fn real(value: f64) -> u64 {
    serde_json::Number::from_f64(value).map_or(0, |number| number.to_string().len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reals_count_their_shortest_text() {
        for (value, text) in
            [(5.0, "5.0"), (0.25, "0.25"), (-1.5, "-1.5"), (1e-7, "1e-7"), (0.1 + 0.2, "0.30000000000000004")]
        {
            assert_eq!(real(value), text.len() as u64, "{value}");
        }
    }
}

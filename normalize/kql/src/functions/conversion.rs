//! `tostring`, `toint` and the other conversions. They never fail: what cannot be read is null.
//!
//! Whole numbers wrap from long to int and saturate from real; times turn into 100 ns ticks (Kusto's unit, since the
//! year 1) and back.

use arrow::array::ArrayRef;
use weir_contract::datetime::push_iso;
use weir_contract::schema::ColumnType::{self, Bool, Datetime, Dynamic, Guid, Int, Long, Real, String, Timespan};

use super::args::{Args, Texts};
use super::{Function, Returns, Want, function};
use crate::scalar::Value;
use crate::{convert, json, text};

const ANY: &[Want] = &[Want::Any];
const TEXT: &[Want] = &[Want::StrOrDynamic];

/// 1970-01-01 in microseconds since the year 1.
const EPOCH_US: i64 = 62_135_596_800_000_000;

pub(super) const FUNCTIONS: &[Function] = &[
    function(
        "tostring",
        ANY,
        Returns::Ty(String),
        to_string,
        "`tostring(a)`: the value's text; null gives the empty text",
    ),
    function("toint", ANY, Returns::Ty(Int), to_int, "`toint(a)`: 32-bit integer or null"),
    function(
        "tolong",
        ANY,
        Returns::Ty(Long),
        to_long,
        "`tolong(a)`: 64-bit integer or null; a time gives its 100 ns ticks",
    ),
    function(
        "toreal",
        ANY,
        Returns::Ty(Real),
        to_real,
        "`toreal(a)`: real or null; `todecimal` gives a real, too: there is no decimal type",
    ),
    function(
        "tobool",
        ANY,
        Returns::Ty(Bool),
        to_bool,
        "`tobool(a)`: `true`/`false` in any case, or a number that is not 0",
    ),
    function(
        "todatetime",
        ANY,
        Returns::Ty(Datetime),
        to_datetime,
        "`todatetime(a)`: ISO 8601, RFC 822, RFC 850 or `MM/DD/YYYY`; else null",
    ),
    function(
        "totimespan",
        ANY,
        Returns::Ty(Timespan),
        to_timespan,
        "`totimespan(a)`: `[-][d.]hh:mm:ss[.fffffff]`, or a number of ticks of 100 ns; else null",
    ),
    function("toguid", TEXT, Returns::Ty(Guid), to_guid, "`toguid(a)`: a GUID in lower case with dashes; else null"),
    function(
        "todynamic",
        TEXT,
        Returns::Ty(Dynamic),
        to_dynamic,
        "`parse_json(text)`: the JSON value; text that is no JSON becomes a dynamic string",
    ),
    function(
        "gettype",
        ANY,
        Returns::Ty(String),
        get_type,
        "`gettype(a)`: the type's name; of a dynamic, the kind of its value",
    ),
];

/// The name of the function that converts to `ty`.
pub(crate) fn converter(ty: ColumnType) -> &'static str {
    match ty {
        Bool => "tobool",
        Int => "toint",
        Long => "tolong",
        Real => "toreal",
        String => "tostring",
        Datetime => "todatetime",
        Timespan => "totimespan",
        Guid => "toguid",
        Dynamic => "todynamic",
    }
}

fn to_string(args: &Args<'_>) -> ArrayRef {
    match args.types[0] {
        Dynamic => {
            let values = args.text(0);
            args.texts(|row, out| out.push_str(&text::dynamic_text(values.get(row))))
        }
        String | Guid => match &args.values[0] {
            Value::Array(array) => ArrayRef::clone(array),
            Value::Scalar(_) => {
                let values = args.text(0);
                args.texts(|row, out| out.push_str(values.get(row)))
            }
        },
        Long => {
            let (values, mut digits) = (args.long(0), itoa::Buffer::new());
            args.append(|row, out| out.append_value(values.get(row).map_or("", |value| digits.format(value))))
        }
        _ => {
            let print = Printer::new(args, 0);
            args.texts(|row, out| print.text(row, out))
        }
    }
}

/// Prints the values of one argument as text or JSON.
pub(crate) struct Printer<'a> {
    column: Column<'a>,
}

enum Column<'a> {
    Bool(super::args::Bools<'a>),
    Int(super::args::Numbers<'a, i32>),
    Long(super::args::Numbers<'a, i64>),
    Real(super::args::Numbers<'a, f64>),
    Datetime(super::args::Numbers<'a, i64>),
    Timespan(super::args::Numbers<'a, i64>),
    String(Texts<'a>),
    Guid(Texts<'a>),
    Dynamic(Texts<'a>),
}

impl<'a> Printer<'a> {
    pub(crate) fn new(args: &Args<'a>, n: usize) -> Self {
        let column = match args.types[n] {
            Bool => Column::Bool(args.bool(n)),
            Int => Column::Int(args.int(n)),
            Long => Column::Long(args.long(n)),
            Real => Column::Real(args.real(n)),
            Datetime => Column::Datetime(args.long(n)),
            Timespan => Column::Timespan(args.long(n)),
            String => Column::String(args.text(n)),
            Guid => Column::Guid(args.text(n)),
            Dynamic => Column::Dynamic(args.text(n)),
        };
        Self { column }
    }

    /// Appends the text of `row`; nothing for null.
    pub(crate) fn text(&self, row: usize, out: &mut std::string::String) {
        match &self.column {
            Column::Bool(values) => out.push_str(values.get(row).map_or("", text::bool_text)),
            Column::Int(values) => {
                if let Some(value) = values.get(row) {
                    out.push_str(itoa::Buffer::new().format(value));
                }
            }
            Column::Long(values) => {
                if let Some(value) = values.get(row) {
                    out.push_str(itoa::Buffer::new().format(value));
                }
            }
            Column::Real(values) => {
                if let Some(value) = values.get(row) {
                    text::write_real(value, out);
                }
            }
            Column::Datetime(values) => {
                if let Some(value) = values.get(row) {
                    push_iso(value, out);
                }
            }
            Column::Timespan(values) => {
                if let Some(value) = values.get(row) {
                    out.push_str(&text::timespan(value));
                }
            }
            Column::String(values) | Column::Guid(values) => out.push_str(values.get(row)),
            Column::Dynamic(values) => out.push_str(&text::dynamic_text(values.get(row))),
        }
    }

    /// Appends the value of `row` as JSON; `null` for null.
    pub(crate) fn json(&self, row: usize, out: &mut std::string::String) {
        let start = out.len();
        match &self.column {
            Column::Bool(values) => {
                out.push_str(values.get(row).map_or("null", |value| if value { "true" } else { "false" }));
            }
            Column::Int(_) | Column::Long(_) => self.text(row, out),
            Column::Real(values) => {
                if let Some(value) = values.get(row) {
                    text::write_real_json(value, out);
                }
            }
            Column::Datetime(values) | Column::Timespan(values) => {
                if values.get(row).is_some() {
                    out.push('"');
                    self.text(row, out);
                    out.push('"');
                }
            }
            Column::String(values) => json::write_string(out, values.get(row)),
            Column::Guid(values) => {
                if let Some(value) = values.opt(row) {
                    json::write_string(out, value);
                }
            }
            // Raw columns come as the decoder checked them; a text that is no JSON would break the whole bag.
            Column::Dynamic(values) => out.push_str(values.get(row).trim_ascii()),
        }
        if out.len() == start {
            out.push_str("null");
        }
    }

    /// Appends `before` and the value of `row` as JSON; does nothing, and tells so, where the row holds nothing and
    /// `keep_empty` is not set.
    #[inline]
    pub(crate) fn member(
        &self,
        row: usize,
        keep_empty: bool,
        before: [&str; 2],
        out: &mut std::string::String,
    ) -> bool {
        // Most members are texts: those are looked at once.
        if let Column::String(values) = &self.column {
            let value = values.get(row);
            if value.is_empty() && !keep_empty {
                return false;
            }
            before.iter().for_each(|text| out.push_str(text));
            json::write_string(out, value);
            return true;
        }
        if !keep_empty && self.is_nothing(row) {
            return false;
        }
        before.iter().for_each(|text| out.push_str(text));
        self.json(row, out);
        true
    }

    /// Whether no row holds anything, as far as it can be told soon.
    pub(crate) fn is_nothing_everywhere(&self, rows: usize) -> bool {
        fn null<T: Copy>(values: &super::args::Numbers<'_, T>) -> bool {
            match values {
                super::args::Numbers::One(value) => value.is_none(),
                super::args::Numbers::Many(values, nulls) => {
                    nulls.is_some_and(|nulls| nulls.null_count() == values.len())
                }
            }
        }
        match &self.column {
            Column::Bool(values) => match values {
                super::args::Bools::One(value) => value.is_none(),
                super::args::Bools::Many(_) => (0..rows).all(|row| self.is_nothing(row)),
            },
            Column::Int(values) => null(values),
            Column::Long(values) | Column::Datetime(values) | Column::Timespan(values) => null(values),
            Column::Real(values) => null(values),
            Column::String(Texts::Many(array)) | Column::Guid(Texts::Many(array)) => {
                array.lengths().all(|length| length == 0)
            }
            Column::String(_) | Column::Guid(_) | Column::Dynamic(_) => (0..rows).all(|row| self.is_nothing(row)),
        }
    }

    /// Whether `row` holds nothing: null, an empty text, array or object.
    pub(crate) fn is_nothing(&self, row: usize) -> bool {
        match &self.column {
            Column::Bool(values) => values.get(row).is_none(),
            Column::Int(values) => values.get(row).is_none(),
            Column::Long(values) | Column::Datetime(values) | Column::Timespan(values) => values.get(row).is_none(),
            Column::Real(values) => values.get(row).is_none(),
            Column::String(values) | Column::Guid(values) => values.is_empty(row),
            Column::Dynamic(values) => values.is_empty(row) || json::is_empty(values.get(row)),
        }
    }
}

/// What a dynamic value holds, as far as conversions care.
enum Inner<'a> {
    Text(std::borrow::Cow<'a, str>),
    Bool(bool),
    /// The digits.
    Number(&'a str),
    Nothing,
}

fn inner(value: &str) -> Inner<'_> {
    let value = value.trim_ascii();
    match value.as_bytes().first() {
        Some(b'"') => Inner::Text(json::unquote(value)),
        Some(b't') if value == "true" => Inner::Bool(true),
        Some(b'f') if value == "false" => Inner::Bool(false),
        Some(b'-' | b'0'..=b'9') => Inner::Number(value),
        _ => Inner::Nothing,
    }
}

fn real_to_long(value: f64) -> Option<i64> {
    value.is_finite().then_some(value as i64)
}

fn long_of_number(digits: &str) -> Option<i64> {
    digits.parse().ok().or_else(|| real_to_long(digits.parse().ok()?))
}

fn to_long(args: &Args<'_>) -> ArrayRef {
    match args.types[0] {
        Int => {
            let values = args.int(0);
            args.longs(|row| values.get(row).map(i64::from))
        }
        Long => {
            let values = args.long(0);
            args.longs(|row| values.get(row))
        }
        Real => {
            let values = args.real(0);
            args.longs(|row| real_to_long(values.get(row)?))
        }
        Bool => {
            let values = args.bool(0);
            args.longs(|row| values.get(row).map(i64::from))
        }
        Datetime => {
            let values = args.long(0);
            args.longs(|row| Some((values.get(row)?.wrapping_add(EPOCH_US)).wrapping_mul(10)))
        }
        Timespan => {
            let values = args.long(0);
            args.longs(|row| Some(values.get(row)?.wrapping_mul(10)))
        }
        String | Guid => {
            let values = args.text(0);
            args.longs(|row| convert::long_of_text(values.get(row)))
        }
        Dynamic => {
            let values = args.text(0);
            args.longs(|row| match inner(values.get(row)) {
                Inner::Text(text) => convert::long_of_text(&text),
                Inner::Bool(value) => Some(i64::from(value)),
                Inner::Number(digits) => long_of_number(digits),
                Inner::Nothing => None,
            })
        }
    }
}

fn to_int(args: &Args<'_>) -> ArrayRef {
    match args.types[0] {
        Int => {
            let values = args.int(0);
            args.ints(|row| values.get(row))
        }
        Long => {
            let values = args.long(0);
            args.ints(|row| values.get(row).map(|value| value as i32))
        }
        Real => {
            let values = args.real(0);
            args.ints(|row| values.get(row).filter(|value| value.is_finite()).map(|value| value as i32))
        }
        Bool => {
            let values = args.bool(0);
            args.ints(|row| values.get(row).map(i32::from))
        }
        Datetime => {
            let values = args.long(0);
            args.ints(|row| Some(values.get(row)?.wrapping_add(EPOCH_US).wrapping_mul(10) as i32))
        }
        Timespan => {
            let values = args.long(0);
            args.ints(|row| Some(values.get(row)?.wrapping_mul(10) as i32))
        }
        String | Guid => {
            let values = args.text(0);
            args.ints(|row| convert::int_of_text(values.get(row)))
        }
        Dynamic => {
            let values = args.text(0);
            args.ints(|row| match inner(values.get(row)) {
                Inner::Text(text) => convert::int_of_text(&text),
                Inner::Bool(value) => Some(i32::from(value)),
                Inner::Number(digits) => {
                    digits.parse::<i64>().map(|value| value as i32).ok().or_else(|| {
                        digits.parse::<f64>().ok().filter(|value| value.is_finite()).map(|value| value as i32)
                    })
                }
                Inner::Nothing => None,
            })
        }
    }
}

fn to_real(args: &Args<'_>) -> ArrayRef {
    match args.types[0] {
        Int => {
            let values = args.int(0);
            args.reals(|row| values.get(row).map(f64::from))
        }
        Long => {
            let values = args.long(0);
            args.reals(|row| values.get(row).map(|value| value as f64))
        }
        Real => {
            let values = args.real(0);
            args.reals(|row| values.get(row))
        }
        Bool => {
            let values = args.bool(0);
            args.reals(|row| values.get(row).map(|value| f64::from(u8::from(value))))
        }
        Datetime => {
            let values = args.long(0);
            args.reals(|row| Some((values.get(row)?.wrapping_add(EPOCH_US)) as f64 * 10.0))
        }
        Timespan => {
            let values = args.long(0);
            args.reals(|row| Some(values.get(row)? as f64 * 10.0))
        }
        String | Guid => {
            let values = args.text(0);
            args.reals(|row| convert::real_of_text(values.get(row)))
        }
        Dynamic => {
            let values = args.text(0);
            args.reals(|row| match inner(values.get(row)) {
                Inner::Text(text) => convert::real_of_text(&text),
                Inner::Bool(value) => Some(f64::from(u8::from(value))),
                Inner::Number(digits) => digits.parse().ok(),
                Inner::Nothing => None,
            })
        }
    }
}

fn to_bool(args: &Args<'_>) -> ArrayRef {
    match args.types[0] {
        Bool => {
            let values = args.bool(0);
            args.opt_bools(|row| values.get(row))
        }
        Int => {
            let values = args.int(0);
            args.opt_bools(|row| values.get(row).map(|value| value != 0))
        }
        Long | Datetime | Timespan => {
            let values = args.long(0);
            args.opt_bools(|row| values.get(row).map(|value| value != 0))
        }
        Real => {
            let values = args.real(0);
            args.opt_bools(|row| values.get(row).map(|value| value != 0.0))
        }
        String | Guid => {
            let values = args.text(0);
            args.opt_bools(|row| convert::bool_of_text(values.get(row)))
        }
        Dynamic => {
            let values = args.text(0);
            args.opt_bools(|row| match inner(values.get(row)) {
                Inner::Text(text) => convert::bool_of_text(&text),
                Inner::Bool(value) => Some(value),
                Inner::Number(digits) => digits.parse::<f64>().ok().map(|value| value != 0.0),
                Inner::Nothing => None,
            })
        }
    }
}

fn to_datetime(args: &Args<'_>) -> ArrayRef {
    let of_ticks = |ticks: i64| (0..3_155_378_976_000_000_000).contains(&ticks).then(|| ticks / 10 - EPOCH_US);
    match args.types[0] {
        Datetime => {
            let values = args.long(0);
            args.datetimes(|row| values.get(row))
        }
        Long => {
            let values = args.long(0);
            args.datetimes(|row| of_ticks(values.get(row)?))
        }
        String => {
            let values = args.text(0);
            args.datetimes(|row| convert::datetime_of_text(values.get(row)))
        }
        Dynamic => {
            let values = args.text(0);
            args.datetimes(|row| match inner(values.get(row)) {
                Inner::Text(text) => convert::datetime_of_text(&text),
                Inner::Number(digits) => of_ticks(digits.parse().ok()?),
                _ => None,
            })
        }
        _ => args.datetimes(|_| None),
    }
}

fn to_timespan(args: &Args<'_>) -> ArrayRef {
    match args.types[0] {
        Timespan => {
            let values = args.long(0);
            args.timespans(|row| values.get(row))
        }
        Long => {
            let values = args.long(0);
            args.timespans(|row| Some(values.get(row)? / 10))
        }
        Int => {
            let values = args.int(0);
            args.timespans(|row| Some(i64::from(values.get(row)?) / 10))
        }
        Real => {
            let values = args.real(0);
            args.timespans(|row| Some(real_to_long(values.get(row)?)? / 10))
        }
        // One tick is less than the microseconds that we keep.
        Bool => {
            let values = args.bool(0);
            args.timespans(|row| values.get(row).map(|_| 0))
        }
        Datetime => {
            let values = args.long(0);
            args.timespans(|row| values.get(row)?.checked_add(EPOCH_US))
        }
        String => {
            let values = args.text(0);
            args.timespans(|row| convert::timespan_of_text(values.get(row)))
        }
        Dynamic => {
            let values = args.text(0);
            args.timespans(|row| match inner(values.get(row)) {
                Inner::Text(text) => convert::timespan_of_text(&text),
                Inner::Number(digits) => long_of_number(digits).map(|ticks| ticks / 10),
                Inner::Bool(_) => Some(0),
                Inner::Nothing => None,
            })
        }
        Guid => args.timespans(|_| None),
    }
}

fn to_guid(args: &Args<'_>) -> ArrayRef {
    let print = Printer::new(args, 0);
    let mut buffer = std::string::String::new();
    args.opt_texts(|row, out| {
        buffer.clear();
        print.text(row, &mut buffer);
        let guid = convert::guid_of_text(&buffer);
        out.push_str(guid.as_deref().unwrap_or(""));
        guid.is_some()
    })
}

fn to_dynamic(args: &Args<'_>) -> ArrayRef {
    match args.types[0] {
        Dynamic => args.values[0].materialise(args.rows),
        String => {
            let values = args.text(0);
            args.opt_texts(|row, out| {
                let value = values.get(row);
                let trimmed = value.trim_ascii();
                if matches!(trimmed, "" | "null") {
                    return false;
                }
                if json::is_valid(trimmed) {
                    out.push_str(&json::compact(trimmed));
                } else {
                    json::write_string(out, value);
                }
                true
            })
        }
        _ => {
            let print = Printer::new(args, 0);
            args.opt_texts(|row, out| {
                print.json(row, out);
                out != "null"
            })
        }
    }
}

fn get_type(args: &Args<'_>) -> ArrayRef {
    if args.types[0] != Dynamic {
        let name = args.types[0].name();
        return args.slices(|_| Some(name));
    }
    let values = args.text(0);
    args.one_of(&["null", "dictionary", "array", "string", "bool", "double", "long"], |row| {
        let value = values.get(row).trim_ascii();
        match value.as_bytes().first() {
            None | Some(b'n') => 0,
            Some(b'{') => 1,
            Some(b'[') => 2,
            Some(b'"') => 3,
            Some(b't' | b'f') => 4,
            Some(_) if value.bytes().any(|b| matches!(b, b'.' | b'e' | b'E')) => 5,
            Some(_) => 6,
        }
    })
}

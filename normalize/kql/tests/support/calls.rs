//! Random calls of every scalar function and operator, over the table of [`super::random`]. The same calls each time.

use std::collections::BTreeMap;

use weir_kql::reference;

use super::random::{COLUMNS, Random};

/// What a call may have for an argument: columns, and constants where functions insist on them.
const ARGUMENTS: &[&str] = &[
    "s",
    "u",
    "i",
    "l",
    "r",
    "b",
    "t",
    "p",
    "d",
    "g",
    "'a'",
    "','",
    "'.'",
    "'day'",
    "'(.)(b)?'",
    "'yyyy-MM-dd HH:mm'",
    "''",
    "0",
    "1",
    "2",
    "-1",
    "7",
    "0.5",
    "2h",
    "1d",
    "true",
    "datetime(2025-06-01)",
    "dynamic([1,'a',null])",
    "dynamic({'a':1})",
    "typeof(long)",
    "'10.0.0.0/8'",
    "'fe80::1'",
    "dynamic(['a','b'])",
    "'a.b'",
    "3",
];

const PARTS: &[&str] = &["'year'", "'quarter'", "'month'", "'day'", "'hour'", "'second'", "'microsecond'"];

/// Functions whose value is not that of their arguments alone.
const OF_THE_MOMENT: [&str; 3] = ["now", "ago", "ingestion_time"];

const ATTEMPTS: usize = 6000;

/// Up to `count` calls of each function that `takes` takes, by function.
pub(crate) fn calls(count: usize, takes: impl Fn(&str) -> bool) -> BTreeMap<&'static str, Vec<String>> {
    let mut random = Random::new();
    let mut calls: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
    for function in reference().iter().filter(|function| !OF_THE_MOMENT.contains(&function.name)) {
        let found = calls.entry(function.name).or_default();
        for _ in 0..ATTEMPTS {
            let call = random.call(function.name);
            if !found.contains(&call) && takes(&call) {
                found.push(call);
            }
            if found.len() == count {
                break;
            }
        }
    }
    calls
}

impl Random {
    fn argument(&mut self) -> &'static str {
        // Mostly columns.
        let limit = if self.below(3) > 0 { COLUMNS.len() } else { ARGUMENTS.len() };
        let argument: &&str = self.pick(&ARGUMENTS[..limit]);
        argument
    }

    fn call(&mut self, name: &str) -> String {
        match name {
            "[]" => return format!("{}[{}]", self.argument(), self.argument()),
            "case of a text" => {
                return format!(
                    "case(s == 'a', {}, s == '', {}, {})",
                    self.argument(),
                    self.argument(),
                    self.argument()
                );
            }
            "bag_merge of a pack" => {
                let pack = ["bag_pack", "pack_nonempty"][self.below(2)];
                return format!(
                    "bag_merge({pack}('a', {}, 'name', {}), d, {})",
                    self.argument(),
                    self.argument(),
                    self.argument()
                );
            }
            "pi" => return format!("pi() + {}", self.argument()),
            // The first of several arguments must be one of a few words.
            "datetime_part" => return format!("{name}({}, {})", self.pick(PARTS), self.argument()),
            "datetime_add" | "datetime_diff" => {
                return format!("{name}({}, {}, {})", self.pick(PARTS), self.argument(), self.argument());
            }
            "geo_point_in_circle" => {
                let arguments: Vec<&str> = (0..5).map(|_| self.argument()).collect();
                return format!("{name}({})", arguments.join(", "));
            }
            "!in" | "!in~" => return format!("{} {name} ({}, {})", self.argument(), self.argument(), self.argument()),
            name if !name.starts_with(|c: char| c.is_ascii_alphabetic()) => {
                return format!("{} {name} {}", self.argument(), self.argument());
            }
            _ => {}
        }
        match self.below(6) {
            0 => format!("{} {name} {}", self.argument(), self.argument()),
            1 => format!("{} {name} ({}, {})", self.argument(), self.argument(), self.argument()),
            2 => format!("{name}({})", self.argument()),
            arity => {
                let arguments: Vec<&str> = (1..arity).map(|_| self.argument()).collect();
                format!("{name}({})", arguments.join(", "))
            }
        }
    }
}

//! Mutates queries by tokens, so that many mutants still parse and bind. Shared by the test and the fuzz targets.

use std::path::Path;

#[path = "../differential/generator.rs"]
mod generator;
#[path = "../support/random.rs"]
pub(crate) mod random;

pub(crate) use self::random::Random;

/// What a mutation puts in beside function names: keywords, operators, odd literals.
const WORDS: &[&str] = &[
    "|",
    "where",
    "extend",
    "project",
    "project-away",
    "project-keep",
    "project-rename",
    "project-reorder",
    "parse",
    "parse-where",
    "parse-kv",
    "mv-expand",
    "mv-apply",
    "lookup",
    "join",
    "kind=inner",
    "kind=leftouter",
    "kind=leftanti",
    "kind=fullouter",
    "kind=regex",
    "kind=relaxed",
    "union",
    "withsource=x",
    "isfuzzy=true",
    "summarize",
    "distinct",
    "top",
    "sort",
    "order",
    "by",
    "on",
    "asc",
    "desc",
    "nulls",
    "first",
    "take",
    "limit",
    "count",
    "serialize",
    "range",
    "print",
    "datatable",
    "let",
    "invoke",
    "as",
    "with",
    "to",
    "typeof",
    "from",
    "step",
    "in",
    "in~",
    "!in",
    "has_any",
    "has_all",
    "between",
    "!between",
    "matches",
    "regex",
    "and",
    "or",
    "dynamic",
    "datetime",
    "timespan",
    "guid",
    "int",
    "long",
    "real",
    "bool",
    "string",
    "decimal",
    "true",
    "false",
    "null",
    "make-series",
    "evaluate",
    "materialize",
    "toscalar",
    "search",
    "find",
    "getschema",
    "sample",
    "with_itemindex",
    "default",
    "pair_delimiter",
    "greedy",
    "$left",
    "$right",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    ";",
    ":",
    "..",
    "*",
    "=",
    "==",
    "!=",
    "=~",
    "<",
    ">=",
    "+",
    "-",
    "/",
    "%",
    "=>",
    ".",
    "@'",
    "h'",
    "```",
    "'",
    "\"",
    "//",
    "\n",
    "T",
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
    "d.a",
    "d[0]",
    "d[-1]",
    "d['a']",
    "d[s]",
    "(int)null",
    "int(null)",
    "long(null)",
    "real(nan)",
    "real(+inf)",
    "0",
    "1",
    "-1",
    "9223372036854775807",
    "-9223372036854775808",
    "2147483648",
    "1e308",
    "0x7fffffffffffffff",
    "1000000000",
    "1tick",
    "106751991d",
    "datetime(null)",
    "datetime(0001-01-01)",
    "datetime(9999-12-31T23:59:59.9999999)",
    "''",
    "'a'",
    "'\\\\'",
    "@'(a|b)*c'",
    "'[\"a\",{\"b\":[1,null]}]'",
    "dynamic([1,'a',{'b':[]}])",
    "dynamic({'a':{'b':1}})",
    "dynamic(null)",
    "'\u{e9}\u{1F600}'",
    "x = ",
    "y = ",
];

/// Queries and words that mutants are made from.
pub(crate) struct Mutator {
    seeds: Vec<String>,
    words: Vec<String>,
}

impl Mutator {
    /// Takes `seeds`, the queries in this repository below `kql` (the folder of the crate), and some of the generator's.
    pub(crate) fn new(kql: &Path, seeds: &[&str]) -> Self {
        let mut all: Vec<String> = seeds.iter().map(|seed| (*seed).to_owned()).collect();
        all.extend(generator::queries(300));
        for file in ["constructs.rs", "queries.rs", "semantics.rs", "plan.rs"] {
            let text = std::fs::read_to_string(kql.join("tests").join(file)).unwrap_or_default();
            all.extend(text.split('"').filter(|part| part.contains('|')).map(|part| part.replace('\\', "")));
        }
        let mut folders = vec![kql.join("../families")];
        while let Some(folder) = folders.pop() {
            for path in std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "yaml") {
                    let text = std::fs::read_to_string(&path).unwrap_or_default();
                    let block = text.lines().skip_while(|line| *line != "ParserQuery: |").skip(1);
                    let lines: Vec<&str> = block.take_while(|line| line.is_empty() || line.starts_with(' ')).collect();
                    all.push(lines.join("\n"));
                }
            }
        }
        let functions = weir_kql::reference().iter().map(|function| function.name);
        let mut words: Vec<String> = functions.map(|name| format!("{name}(")).collect();
        words.extend(WORDS.iter().map(|word| (*word).to_owned()));
        Self { seeds: all, words }
    }

    /// A seed.
    pub(crate) fn seed(&self, random: &mut Random) -> &str {
        random.pick(&self.seeds).as_str()
    }

    /// `query` changed in one to four places, of at most `max_bytes`.
    pub(crate) fn mutate(&self, query: &str, max_bytes: usize, random: &mut Random) -> String {
        let mut tokens: Vec<&str> = tokens(query);
        for _ in 0..=random.below(4) {
            self.change(&mut tokens, random);
        }
        let mut text = String::new();
        for token in tokens {
            if text.len() + token.len() + 1 > max_bytes {
                break;
            }
            // Two words would become one.
            if text.ends_with(is_word) && token.starts_with(is_word) {
                text.push(' ');
            }
            text.push_str(token);
        }
        text
    }

    fn change<'a>(&'a self, tokens: &mut Vec<&'a str>, random: &mut Random) {
        let (from, to) = range(tokens.len(), random);
        match random.below(9) {
            0 => tokens.insert(from, random.pick(&self.words).as_str()),
            1 | 2 => drop(tokens.splice(from..to.min(from + 1), [random.pick(&self.words).as_str()])),
            3 => drop(tokens.drain(from..to)),
            4 => {
                let times = [1, 1, 1, 2, 20, 200][random.below(6)];
                let copy = tokens[from..to].repeat(times);
                tokens.splice(from..from, copy);
            }
            5 => {
                let other = self::tokens(self.seed(random));
                let (start, end) = range(other.len(), random);
                tokens.splice(from..to, other[start..end].iter().copied());
            }
            6 => {
                let other = self::tokens(self.seed(random));
                let (start, _) = range(other.len(), random);
                tokens.truncate(from);
                tokens.extend(&other[start..]);
            }
            7 => {
                let (open, close) =
                    *random.pick(&[("(", ")"), ("[", "]"), ("{", "}"), ("strcat(", ",s)"), ("(T|", ")")]);
                tokens.insert(to, close);
                tokens.insert(from, open);
            }
            _ if !tokens.is_empty() => {
                let (a, b) = (random.below(tokens.len()), random.below(tokens.len()));
                tokens.swap(a, b);
            }
            _ => {}
        }
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// A range of up to eight tokens.
fn range(length: usize, random: &mut Random) -> (usize, usize) {
    let from = random.below(length + 1);
    (from, from + random.below((length - from).min(8) + 1))
}

/// Words, texts in quotes, blanks and single characters.
fn tokens(query: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = query;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '\'' | '"' => rest[1..].find(first).map_or(1, |end| end + 2),
            _ if is_word(first) => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
            _ if first.is_whitespace() => rest.find(|c: char| !c.is_whitespace()).unwrap_or(rest.len()),
            _ => first.len_utf8(),
        };
        tokens.push(&rest[..length]);
        rest = &rest[length..];
    }
    tokens
}

//! Random queries over one table: mostly well typed, sometimes not. The same number gives the same queries.

use super::random::{COLUMNS, Random};

/// (name, arguments, result). `any` stands for every type.
const FUNCTIONS: &[(&str, &[&str], &str)] = &[
    ("strlen", &["string"], "long"),
    ("toupper", &["string"], "string"),
    ("tolower", &["string"], "string"),
    ("strcat", &["any", "any"], "string"),
    ("substring", &["string", "long"], "string"),
    ("indexof", &["string", "string"], "long"),
    ("split", &["string", "string"], "dynamic"),
    ("replace_string", &["string", "string", "string"], "string"),
    ("trim", &["string", "string"], "string"),
    ("tostring", &["any"], "string"),
    ("toint", &["any"], "int"),
    ("tolong", &["any"], "long"),
    ("toreal", &["any"], "real"),
    ("tobool", &["any"], "bool"),
    ("todatetime", &["string"], "datetime"),
    ("totimespan", &["string"], "timespan"),
    ("todynamic", &["string"], "dynamic"),
    ("toguid", &["string"], "guid"),
    ("isempty", &["any"], "bool"),
    ("isnotempty", &["any"], "bool"),
    ("isnull", &["any"], "bool"),
    ("isnotnull", &["any"], "bool"),
    ("not", &["bool"], "bool"),
    ("abs", &["long"], "long"),
    ("round", &["real"], "real"),
    ("ceiling", &["real"], "real"),
    ("pow", &["real", "real"], "real"),
    ("sqrt", &["real"], "real"),
    ("bin", &["long", "long"], "long"),
    ("startofday", &["datetime"], "datetime"),
    ("hourofday", &["datetime"], "long"),
    ("getyear", &["datetime"], "long"),
    ("ago", &["timespan"], "datetime"),
    ("array_length", &["dynamic"], "long"),
    ("pack_array", &["any", "any"], "dynamic"),
    ("bag_keys", &["dynamic"], "dynamic"),
    ("bag_merge", &["dynamic", "dynamic"], "dynamic"),
    ("strcat_array", &["dynamic", "string"], "string"),
    ("array_slice", &["dynamic", "long", "long"], "dynamic"),
    ("hash_sha256", &["any"], "string"),
    ("base64_encode_tostring", &["string"], "string"),
    ("parse_ipv4", &["string"], "long"),
    ("url_decode", &["string"], "string"),
    ("parse_url", &["string"], "dynamic"),
    ("countof", &["string", "string"], "long"),
    ("datetime_part", &["string", "datetime"], "long"),
    ("format_datetime", &["datetime", "string"], "string"),
    ("gettype", &["any"], "string"),
    ("coalesce", &["same", "same"], "same"),
    ("iff", &["bool", "same", "same"], "same"),
    ("min_of", &["same", "same"], "same"),
    ("case", &["bool", "same", "same"], "same"),
    ("unixtime_seconds_todatetime", &["long"], "datetime"),
    ("tohex", &["long"], "string"),
    ("binary_and", &["long", "long"], "long"),
    ("extract", &["string", "long", "string"], "string"),
    ("set_union", &["dynamic", "dynamic"], "dynamic"),
    ("now", &[], "datetime"),
    ("bag_pack", &["string", "any"], "dynamic"),
];

pub(crate) const TYPES: &[&str] = &["string", "int", "long", "real", "bool", "datetime", "timespan", "dynamic", "guid"];

/// `count` queries.
pub(crate) fn queries(count: usize) -> Vec<String> {
    let mut random = Random::new();
    (0..count).map(|_| random.query()).collect()
}

impl Random {
    fn query(&mut self) -> String {
        let mut query = "T".to_owned();
        for _ in 0..=self.below(2) {
            let operator = self.operator();
            query.push_str(" | ");
            query.push_str(&operator);
        }
        query
    }

    fn operator(&mut self) -> String {
        match self.below(12) {
            0 | 1 => format!("where {}", self.expr("bool", 3)),
            2..=4 => {
                let ty = self.ty();
                format!("extend {}", self.assignment(ty))
            }
            5 | 6 => {
                let (a, b) = (self.ty(), self.ty());
                format!("project s, l, d, t, b, i, r, u, p, g, x1 = {}, {}", self.expr(a, 2), self.expr(b, 2))
            }
            7 => (*self.pick(&[
                "project-away g",
                "project-away g*, p",
                "project-keep *",
                "project-reorder t, s",
                "project-rename w = g",
            ]))
            .to_owned(),
            8 => (*self.pick(&[
                "parse s with 'a' w:long 'b' v",
                "parse kind=regex s with @'x' w",
                "parse-where u with * ':' w:datetime *",
                "parse-kv s as (w:string, v:long) with (pair_delimiter=' ', kv_delimiter='=')",
            ]))
            .to_owned(),
            9 => (*self.pick(&[
                "mv-expand d",
                "mv-expand e = d.items to typeof(string)",
                "mv-apply e = d to typeof(long) on (where e > 1)",
                "mv-apply e = d.x on (summarize m = make_list(tostring(e.y)), count())",
            ]))
            .to_owned(),
            10 => (*self.pick(&[
                "lookup (datatable(s:string, k:long)['a', 1]) on s",
                "join kind=inner (datatable(l:long, s:string)[1, 'x']) on l",
                "lookup (datatable(k:string)['a']) on $left.u == $right.k",
                "join kind=leftanti (datatable(l:long)[1]) on l",
                "lookup (datatable(l:string)['a']) on l",
            ]))
            .to_owned(),
            _ => format!("union (T | extend {})", self.assignment("long")),
        }
    }

    fn assignment(&mut self, ty: &str) -> String {
        let name = *self.pick(&["x = ", "y = ", "", "", "s = "]);
        format!("{name}{}", self.expr(ty, 3))
    }

    fn ty(&mut self) -> &'static str {
        TYPES[self.below(TYPES.len())]
    }

    /// An expression of a type; now and then of another one.
    pub(crate) fn expr(&mut self, ty: &str, depth: usize) -> String {
        let ty = if self.below(40) == 0 { self.ty() } else { ty };
        let ty = if ty == "any" { self.ty() } else { ty };
        if depth == 0 || self.below(4) == 0 {
            return self.leaf(ty);
        }
        if self.below(3) > 0
            && let Some(operator) = self.infix(ty, depth)
        {
            return operator;
        }
        let fitting: Vec<_> = FUNCTIONS.iter().filter(|(_, _, result)| *result == ty || *result == "same").collect();
        let (name, args, _) = **self.pick(&fitting);
        let args: Vec<String> =
            args.iter().map(|arg| self.expr(if *arg == "same" { ty } else { arg }, depth - 1)).collect();
        format!("{name}({})", args.join(", "))
    }

    fn infix(&mut self, ty: &str, depth: usize) -> Option<String> {
        let depth = depth - 1;
        Some(match ty {
            "bool" => match self.below(6) {
                0 => format!("{} and {}", self.expr("bool", depth), self.expr("bool", depth)),
                1 => format!("({} or {})", self.expr("bool", depth), self.expr("bool", depth)),
                2 => {
                    let operator = *self.pick(&[
                        "has",
                        "contains",
                        "startswith",
                        "!has",
                        "=~",
                        "matches regex",
                        "hasprefix",
                        "!endswith_cs",
                    ]);
                    format!("{} {operator} {}", self.leaf("string"), self.leaf("string"))
                }
                3 => format!("{} in ({}, {})", self.leaf("string"), self.leaf("string"), self.leaf("string")),
                4 => format!("{} between ({} .. {})", self.leaf("long"), self.leaf("long"), self.leaf("long")),
                _ => {
                    let ty = self.ty();
                    let operator = *self.pick(&["==", "!=", "<", ">="]);
                    format!("({} {operator} {})", self.expr(ty, depth), self.expr(ty, depth))
                }
            },
            "int" | "long" | "real" => {
                let other = *self.pick(&["int", "long", "real"]);
                let operator = *self.pick(&["+", "-", "*", "/", "%"]);
                format!("({} {operator} {})", self.expr(ty, depth), self.expr(other, depth))
            }
            "datetime" => format!("({} + {})", self.expr("datetime", depth), self.expr("timespan", depth)),
            "timespan" => match self.below(3) {
                0 => format!("({} - {})", self.expr("datetime", depth), self.expr("datetime", depth)),
                1 => format!("({} * {})", self.expr("timespan", depth), self.leaf("long")),
                _ => format!("({} + {})", self.expr("timespan", depth), self.expr("timespan", depth)),
            },
            "dynamic" => (*self.pick(&["d.a", "d.a.b", "d[0]", "d['k']", "d[s]", "d[-1].x"])).to_owned(),
            _ => return None,
        })
    }

    fn leaf(&mut self, ty: &str) -> String {
        if self.below(3) > 0 {
            let fitting: Vec<_> = COLUMNS.iter().filter(|(_, column)| column.to_string() == ty).collect();
            return self.pick(&fitting).0.to_owned();
        }
        match ty {
            "string" => *self.pick(&["'a'", "\"b c\"", "@'\\d+'"]),
            "int" => "int(7)",
            "long" => *self.pick(&["1", "0x10", "-3"]),
            "real" => *self.pick(&["1.5", "real(null)"]),
            "bool" => *self.pick(&["true", "false"]),
            "datetime" => "datetime(2020-01-02)",
            "timespan" => *self.pick(&["1d", "2.5h", "timespan(null)"]),
            "dynamic" => *self.pick(&["dynamic({'a': 1})", "dynamic([1, 2])"]),
            _ => "guid(74be27de-1e4e-49d9-b579-fe0b331d3642)",
        }
        .to_owned()
    }
}

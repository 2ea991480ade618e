//! Every construct that the public ASIM parsers use, each with a query that needs it and the rows that it gives.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, StringViewArray, TimestampMicrosecondArray};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use weir_contract::schema::{Column, ColumnType, TableSchema};
use weir_kql::{Catalog, Mode, compile_with};

/// The raw table `T`: two rows.
fn table() -> TableSchema {
    let columns = [
        ("S", ColumnType::String),
        ("N", ColumnType::Long),
        ("D", ColumnType::Dynamic),
        ("Kv", ColumnType::String),
        ("At", ColumnType::Datetime),
    ];
    TableSchema { name: "T".into(), columns: columns.map(|(name, ty)| Column::new(name, ty)).to_vec() }
}

fn batch() -> RecordBatch {
    let s: ArrayRef = Arc::new(StringViewArray::from(vec![Some("Alpha.beta-01"), Some("")]));
    let n: ArrayRef = Arc::new(Int64Array::from(vec![Some(5), None]));
    let d: ArrayRef = Arc::new(StringViewArray::from(vec![
        Some(r#"{"a":{"b":7},"l":["x","y","z"],"k":"a","o":[{"n":"u","v":1},{"n":"w","v":2}]}"#),
        Some("{}"),
    ]));
    let kv: ArrayRef =
        Arc::new(StringViewArray::from(vec![Some(r#"user="bob b",port=80"#), Some(r#"<Data Name="u">{eve}</Data>"#)]));
    let at: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![Some(0), None]).with_timezone("UTC"));
    RecordBatch::try_from_iter([("S", s), ("N", n), ("D", d), ("Kv", kv), ("At", at)]).expect("a batch")
}

fn catalog() -> Catalog {
    let mut catalog = Catalog::default();
    let types: ArrayRef = Arc::new(StringArray::from(vec!["Dns", "Web"]));
    let sources: ArrayRef = Arc::new(StringArray::from(vec!["Alpha.beta-01", "other"]));
    let rows = RecordBatch::try_from_iter([("SourceType", types), ("Source", sources)]).expect("a watchlist");
    catalog.add_watchlist("ASimSourceType", rows);
    catalog
}

/// Column names and rows, `|` between cells.
fn rows(query: &str) -> Result<Vec<String>, String> {
    let program = compile_with(query, &table(), Mode::Lenient, &catalog())
        .map_err(|errors| errors.iter().map(|error| error.render("q", query, 1)).collect::<String>())?;
    let result = program.run(&batch()).map_err(|error| error.to_string())?;
    let options = FormatOptions::default();
    let columns: Vec<ArrayFormatter<'_>> =
        result.columns().iter().map(|column| ArrayFormatter::try_new(column, &options).expect("printable")).collect();
    let cells = |row: usize| columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().join("|");
    let names: Vec<&str> = program.output().columns.iter().map(|column| &*column.name).collect();
    Ok(std::iter::once(names.join("|")).chain((0..result.num_rows()).map(cells)).collect())
}

/// (construct, query, names and rows). Many queries keep the first row alone: `F` stands for `T | where N == 5`.
#[rustfmt::skip]
const CASES: &[(&str, &str, &[&str])] = &[
    ("extend", "F | extend X = N | project X", &["X", "5"]),
    ("where", "T | where isnull(N) | project S", &["S", ""]),
    ("let function + call", "let f = (x:long) { x * 2 }; F | project X = f(N)", &["X", "10"]),
    ("project-rename", "F | project-rename M = N | project M", &["M", "5"]),
    ("iff()", "T | project X = iff(N == 5, 'y', 'n')", &["X", "y", "n"]),
    ("==", "T | where N == 5 | project N", &["N", "5"]),
    ("project-away", "F | project-away S, D, Kv, At", &["N", "5"]),
    ("not()", "T | where not(N == 5) | project X = 1", &["X", "1"]),
    ("let function default arguments", "let f = (x:long, by:long = 3) { x + by }; F | project X = f(N)", &["X", "8"]),
    ("tostring()", "F | project X = strcat(tostring(N), tostring(true))", &["X", "5True"]),
    ("lookup", "let L = datatable(N:long, W:string)[5, 'five', 5, 'again']; T | project N | lookup L on N", &["N|W", "5|five", "5|again", "|"]),
    ("source datatable", "datatable(a:string, b:int)['x', 1, 'y', 2,] | project b, a", &["b|a", "1|x", "2|y"]),
    ("named call arguments", "let f = (a:string, b:string) { strcat(a, b) }; F | project X = f(b = 'B', a = 'A')", &["X", "AB"]),
    ("case()", "T | project X = case(N == 1, 'one', N == 5, 'five', 'else')", &["X", "five", "else"]),
    ("toint()", "F | project X = toint('12') + toint(N)", &["X", "17"]),
    ("and", "T | where N == 5 and S != '' | project N", &["N", "5"]),
    ("split()", "F | project X = split(S, '.')", &["X", r#"["Alpha","beta-01"]"#]),
    ("coalesce()", "T | project X = coalesce(S, 'none')", &["X", "Alpha.beta-01", "none"]),
    ("dynamic index [n]", "F | project X = tostring(D.l[1])", &["X", "y"]),
    ("parse", "F | parse S with A '.' B '-' C:int | project A, B, C", &["A|B|C", "Alpha|beta|1"]),
    ("literal @\"verbatim\"", r#"print X = @"a\b""#, &["X", r"a\b"]),
    ("project-* wildcards", "F | project-away D*, *v, At, S", &["N", "5"]),
    ("or", "T | where N == 5 or isempty(S) | project X = 1", &["X", "1", "1"]),
    ("union", "union (F | project A = 1), (F | project A = 2)", &["A", "1", "2"]),
    ("isnotempty()", "T | where isnotempty(S) | project N", &["N", "5"]),
    ("in", "T | where N in (4, 5) | project N", &["N", "5"]),
    ("workspace (stored) function", "F | invoke _ASIM_ResolveDvcFQDN('S') | project DvcHostname, DvcDomain, DvcDomainType, DvcFQDN", &["DvcHostname|DvcDomain|DvcDomainType|DvcFQDN", "Alpha|beta-01|FQDN|Alpha.beta-01"]),
    ("has", "T | where S has 'BETA' | project N", &["N", "5"]),
    ("unary -", "F | project X = -N", &["X", "-5"]),
    ("isempty()", "T | project X = isempty(S)", &["X", "false", "true"]),
    ("let function tabular argument", "let f = (X:(N:long), y:long) { X | where N == y }; f(T, 5) | project N", &["N", "5"]),
    ("dynamic path a.b", "F | project X = D.a.b", &["X", "7"]),
    ("column_ifexists()", "F | project X = column_ifexists('N', 0), Y = column_ifexists('Nope', 'dflt')", &["X|Y", "5|dflt"]),
    ("invoke", "let f = (X:(*), y:long) { X | extend Y = y }; F | invoke f(3) | project Y", &["Y", "3"]),
    ("startswith", "T | where S startswith 'alpha' | project N", &["N", "5"]),
    ("let tabular", "let A = T | where N == 5; A | project N", &["N", "5"]),
    (">", "T | where N > 4 | project N", &["N", "5"]),
    ("contains", "T | where S contains 'ETA' | project N", &["N", "5"]),
    ("array_slice()", "F | project X = array_slice(D.l, 1, -1)", &["X", r#"["y","z"]"#]),
    ("strcat_array()", "F | project X = strcat_array(D.l, '+')", &["X", "x+y+z"]),
    ("!=", "T | where N != 5 | project X = 1", &["X", "1"]),
    ("strcat()", "F | project X = strcat(S, '/', N)", &["X", "Alpha.beta-01/5"]),
    ("array_length()", "F | project X = array_length(D.l)", &["X", "3"]),
    ("todatetime()", "F | project X = todatetime('2020-01-02') > At", &["X", "true"]),
    ("tolong()", "F | project X = tolong('41') + 1", &["X", "42"]),
    ("parse-kv", r#"F | parse-kv Kv as (user:string, port:long) with (pair_delimiter=',', kv_delimiter='=', quote='"') | project user, port"#, &["user|port", "bob b|80"]),
    ("project", "F | project N, M = N + 1", &["N|M", "5|6"]),
    ("union isfuzzy", "union isfuzzy=true F, Unknown | project N", &["N", "5"]),
    ("literal dynamic()", "print X = dynamic({'a': [1, 'b']})", &["X", r#"{"a":[1,"b"]}"#]),
    ("endswith", "T | where S endswith '01' | project N", &["N", "5"]),
    ("toupper()", "F | project X = toupper(S)", &["X", "ALPHA.BETA-01"]),
    ("extract()", "F | project X = extract(@'(\\w+)\\.(\\w+)', 2, S)", &["X", "beta"]),
    ("let scalar", "let x = 5; T | where N == x | project N", &["N", "5"]),
    ("has_any", "T | where S has_any ('nope', 'beta') | project N", &["N", "5"]),
    ("dynamic index [-n]", "F | project X = tostring(D.l[-1])", &["X", "z"]),
    ("bag_pack()", "F | project X = bag_pack('n', N, 's', 't')", &["X", r#"{"n":5,"s":"t"}"#]),
    ("unixtime_milliseconds_todatetime()", "F | project X = unixtime_milliseconds_todatetime(1000) - At == 1s", &["X", "true"]),
    ("lookup $left/$right", "F | project N | lookup (datatable(K:long, W:string)[5, 'w']) on $left.N == $right.K", &["N|W", "5|w"]),
    ("trim()", "F | project X = trim('[A01]+', S)", &["X", "lpha.beta-"]),
    ("has_all", "T | where S has_all ('alpha', 'beta') | project N", &["N", "5"]),
    ("literal typed null", "print X = isnull(int(null))", &["X", "true"]),
    ("matches regex", "T | where S matches regex @'^A.*\\d{2}$' | project N", &["N", "5"]),
    ("extract_all()", "F | project X = extract_all(@'(\\w)\\w+', S)", &["X", r#"["A","b","0"]"#]),
    ("literal adjacent-string concatenation", "print X = 'a' \"b\" @'c'", &["X", "abc"]),
    ("*", "F | project X = N * 2", &["X", "10"]),
    ("name ['quoted']", "F | extend ['odd name'] = 1 | project ['odd name']", &["odd name", "1"]),
    ("+", "F | project X = N + 2", &["X", "7"]),
    ("-", "F | project X = N - 2", &["X", "3"]),
    ("dynamic index [expr]", "F | project X = dynamic({'a': 'A', 'b': 'B'})[tostring(D.k)]", &["X", r#""A""#]),
    ("todynamic()", "F | project X = todynamic('{\"q\":[1]}').q[0]", &["X", "1"]),
    ("dynamic index ['key']", "F | project X = D['a']['b']", &["X", "7"]),
    ("host-provided workspace function (watchlist)", "T | where S in (_ASIM_GetSourceBySourceType('Dns')) | project N", &["N", "5"]),
    ("parse-kv regex=", r#"T | where isnull(N) | parse-kv Kv as (u:string) with (regex=@'<Data Name="(\w+)">{?([^<]*?)}?</Data>') | project u"#, &["u", "eve"]),
    ("!has", "T | where S !has 'beta' | project X = 1", &["X", "1"]),
    ("<", "T | where N < 6 | project N", &["N", "5"]),
    (">=", "T | where N >= 5 | project N", &["N", "5"]),
    ("between", "T | where N between (5 .. 6) | project N", &["N", "5"]),
    ("ingestion_time()", "F | project X = ingestion_time() > datetime(2020-01-01)", &["X", "true"]),
    ("replace_string()", "F | project X = replace_string(S, 'beta', 'g')", &["X", "Alpha.g-01"]),
    ("tobool()", "F | project X = tobool('true')", &["X", "true"]),
    ("trim_end()", "F | project X = trim_end(@'\\d+', S)", &["X", "Alpha.beta-"]),
    ("summarize", "let C = datatable(k:string, v:long)['a', 1, 'b', 2, 'a', 3]; C | summarize V = sum(v) by k", &["k|V", "a|4", "b|2"]),
    ("!in", "T | where S !in ('', 'x') | project N", &["N", "5"]),
    ("agg make_set", "datatable(v:string)['q', 'p', 'q'] | summarize X = make_set(v)", &["X", r#"["q","p"]"#]),
    ("expr toscalar", "let C = datatable(v:long)[4, 5]; T | where N in (toscalar(C | summarize make_set(v))) | project N", &["N", "5"]),
    ("array_index_of()", "F | project X = array_index_of(D.l, 'z')", &["X", "2"]),
    ("isnull()", "T | project X = isnull(N)", &["X", "false", "true"]),
    ("pack_array()", "F | project X = pack_array(N, 'a')", &["X", r#"[5,"a"]"#]),
    ("toreal()", "F | project X = toreal('1.5') + N", &["X", "6.5"]),
    ("unixtime_seconds_todatetime()", "F | project X = unixtime_seconds_todatetime(0) == At", &["X", "true"]),
    ("literal typeof", "F | mv-expand L = D.l to typeof(string) | project L", &["L", "x", "y", "z"]),
    ("parse kind=regex", "F | parse kind=regex S with @'\\w+\\.' X:string '-' * | project X", &["X", "beta"]),
    ("literal datetime", "F | project X = At < datetime(1970-01-01 00:00:01)", &["X", "true"]),
    ("literal timespan", "F | project X = tostring(At + 1d)", &["X", "1970-01-02T00:00:00.0000000Z"]),
    ("parse-where", "T | parse-where S with A '.' * | project A", &["A", "Alpha"]),
    ("project-keep", "F | project-keep N", &["N", "5"]),
    ("/", "F | project X = N / 2", &["X", "2"]),
    ("=~", "T | where S =~ 'ALPHA.BETA-01' | project N", &["N", "5"]),
    ("isnotnull()", "T | where isnotnull(N) | project N", &["N", "5"]),
    ("pack()", "F | project X = pack('n', N)", &["X", r#"{"n":5}"#]),
    ("todouble()", "F | project X = todouble('2.5')", &["X", "2.5"]),
    ("tohex()", "F | project X = tohex(255 + N)", &["X", "104"]),
    ("tolower()", "F | project X = tolower(S)", &["X", "alpha.beta-01"]),
    ("!startswith", "T | where S !startswith 'alpha' | project X = 1", &["X", "1"]),
    ("<=", "T | where N <= 5 | project N", &["N", "5"]),
    ("in~", "T | where S in~ ('alpha.BETA-01') | project N", &["N", "5"]),
    ("agg arg_min", "datatable(k:string, v:long, w:string)['a', 2, 'late', 'a', 1, 'early'] | summarize arg_min(v, *) by k", &["k|v|w", "a|1|early"]),
    ("expr materialize", "let M = materialize(F | project N); M", &["N", "5"]),
    ("bag_merge()", "F | project X = bag_merge(dynamic({'p': 1}), D.a)", &["X", r#"{"p":1,"b":7}"#]),
    ("countof()", "F | project X = countof(S, 'a')", &["X", "2"]),
    ("indexof()", "F | project X = indexof(S, '.')", &["X", "5"]),
    ("ipv4_is_match()", "F | project X = ipv4_is_match('10.1.2.3', '10.0.0.0/8')", &["X", "true"]),
    ("pack_dictionary()", "F | project X = pack_dictionary('n', N)", &["X", r#"{"n":5}"#]),
    ("parse_json()", "F | project X = parse_json('[3]')[0]", &["X", "3"]),
    ("parse_url()", "F | project X = tostring(parse_url('https://h.x/p?q=1').Host)", &["X", "h.x"]),
    ("strlen()", "F | project X = strlen(S)", &["X", "13"]),
    ("substring()", "F | project X = substring(S, 6, 4)", &["X", "beta"]),
    ("totimespan()", "F | project X = tostring(totimespan('01:00:00'))", &["X", "01:00:00"]),
    ("trim_start()", "F | project X = trim_start('Alpha', S)", &["X", ".beta-01"]),
    ("url_decode()", "F | project X = url_decode('a%2Fb')", &["X", "a/b"]),
    ("distinct", "datatable(v:string)['q', 'p', 'q'] | distinct v", &["v", "q", "p"]),
    ("join", "datatable(k:long)[1, 1, 2] | join (datatable(k:long, w:string)[1, 'one']) on k", &["k|k1|w", "1|1|one"]),
    ("join $left/$right", "F | project N | join kind=inner (datatable(K:long, W:string)[5, 'w']) on $left.N == $right.K", &["N|K|W", "5|5|w"]),
    ("join kind=inner", "T | project N | join kind=inner (datatable(N:long)[5]) on N", &["N|N1", "5|5"]),
    ("parse flags=", "F | parse kind=regex flags=i S with 'ALPHA.' X:string | project X", &["X", "beta-01"]),
    ("project-reorder", "F | project S, N | project-reorder N", &["N|S", "5|Alpha.beta-01"]),
    ("!~", "T | where S !~ 'alpha.beta-01' | project X = 1", &["X", "1"]),
    ("has_cs", "T | where S has_cs 'Alpha' and not(S has_cs 'alpha') | project N", &["N", "5"]),
    ("hassuffix", "T | where S hassuffix 'LPHA' | project N", &["N", "5"]),
    // Beyond the list: what newer parsers use.
    ("mv-apply", "F | mv-apply E = D.o on (summarize V = anyif(tostring(E.v), E.n == 'w')) | project N, V", &["N|V", "5|2"]),
    ("mv-apply of a row without elements", "T | mv-apply E = D.l to typeof(string) on (summarize C = count(), L = make_list(E)) | project N, C, L", &["N|C|L", r#"5|3|["x","y","z"]"#, "|1|[\"\"]"]),
    ("mv-apply where, extend and project", "F | mv-apply E = D.l to typeof(string) on (where E != 'y' | extend U = strcat(E, N) | project U) | project N, U", &["N|U", "5|x5", "5|z5"]),
    ("mv-apply by groups, top and sort", "F | mv-apply E = D.o on (summarize Most = max(tolong(E.v)) by Name = tostring(E.n) | top 1 by Most) | project Name, Most", &["Name|Most", "w|2"]),
    ("in (tabular let)", "let L = datatable(v:long)[5]; T | where N in (L) | project N", &["N", "5"]),
    ("join kind=leftanti", "T | project N | join kind=leftanti (datatable(N:long)[5]) on N", &["N", ""]),
    ("join kind=leftsemi", "T | project N | join kind=leftsemi (datatable(N:long)[5, 5]) on N", &["N", "5"]),
    ("top, sort and take over constants", "datatable(v:long)[1, 3, 2, long(null)] | top 3 by v asc | sort by v | take 2", &["v", "2", "1"]),
    ("getschema", "T | getschema | where ColumnName == 'At' | project ColumnOrdinal, ColumnType", &["ColumnOrdinal|ColumnType", "4|datetime"]),
    ("path of a call's result", "F | project X = split(S, '.')[1]", &["X", r#""beta-01""#]),
    ("nested aggregates", "datatable(v:long)[1, 2, 4] | summarize X = round(avg(v), 1), Y = strcat_array(make_list(v), '-')", &["X|Y", "2.3|1-2-4"]),
    ("helpers of numbers", "F | project A = _ASIM_LookupDnsQueryType(28), B = _ASIM_LookupDnsQueryType(999), C = _ASIM_LookupNetworkProtocol(N + 1), D = _ASIM_LookupHTTPStatusCode(404), E = _ASIM_LookupDnsResponseCode(3), F = _ASIM_LookupICMPType(8)", &["A|B|C|D|E|F", "AAAA|TYPE999|TCP|Not Found|NXDOMAIN|Echo"]),
    ("helpers that resolve numbers", "F | extend P = 17 | invoke _ASIM_ResolveNetworkProtocol('P') | invoke _ASIM_ResolveDnsQueryType('N') | project NetworkProtocolNumber, NetworkProtocol, DnsQueryType, DnsQueryTypeName", &["NetworkProtocolNumber|NetworkProtocol|DnsQueryType|DnsQueryTypeName", "17|UDP|5|CNAME"]),
    ("helpers of users", r"print A = _ASIM_GetUsernameType('a@b.c'), B = _ASIM_GetUsernameType('D\\u'), C = _ASIM_GetUsernameType('u'), D = _ASIM_GetUsernameType('CN=x,DC=y'), E = _ASIM_GetWindowsUserType('x', 'S-1-5-18'), F = _ASIM_GetWindowsUserType('PC$', ''), G = _ASIM_GetUserType('x', 'S-1-5-21-1-2-3-500')", &["A|B|C|D|E|F|G", "UPN|Windows|Simple|DN|System|Machine|Admin"]),
    ("helpers of names", r"datatable(H:string)['h.d.e', 'D\\h', 'h', '10.0.0.1', ''] | invoke _ASIM_ResolveFQDN('H') | project ExtractedHostname, Domain, DomainType, FQDN", &["ExtractedHostname|Domain|DomainType|FQDN", "h|d.e|FQDN|h.d.e", r"h|D|Windows|D\h", "h|||", "10.0.0.1|||", "|||"]),
    ("a stored function that does not know its watchlist", "F | where not(toscalar(_ASIM_GetDisabledParsers('x'))) | project N", &["N", "5"]),
];

#[test]
fn every_construct_of_public_parsers_gives_its_rows() {
    let mut wrong = Vec::new();
    for (construct, query, expected) in CASES {
        let query = query
            .replace("F | ", "T | where N == 5 | ")
            .replace("union isfuzzy=true F,", "union isfuzzy=true (T | where N == 5),");
        match rows(&query) {
            Ok(found) if found == *expected => {}
            Ok(found) => wrong.push(format!("{construct}: {query}\n  expected {expected:?}\n  found    {found:?}")),
            Err(error) => wrong.push(format!("{construct}: {error}")),
        }
    }
    assert!(wrong.is_empty(), "{} of {} wrong:\n{}", wrong.len(), CASES.len(), wrong.join("\n"));
}

#[test]
fn the_list_of_constructs_is_complete() {
    // 129 constructs were counted over the public parsers; the first of our cases are those.
    let first: Vec<&str> = CASES.iter().map(|(construct, ..)| *construct).take(129).collect();
    assert_eq!((first[0], first[128]), ("extend", "hassuffix"));
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/kql/constructs.csv");
    let Ok(list) = std::fs::read_to_string(path) else {
        eprintln!("skipped the comparison: {path} is not there");
        return;
    };
    for (line, ours) in list.lines().skip(1).zip(first) {
        let (_, rest) = line.split_once(',').expect("rank and construct");
        let (construct, _) = rest.rsplit_once(',').expect("construct and count");
        let quoted = construct.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        let construct = quoted.unwrap_or(construct).replace("\"\"", "\"");
        assert_eq!(construct, ours);
    }
}

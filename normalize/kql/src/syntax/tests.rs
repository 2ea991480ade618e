//! The syntax as a whole: every operator is read, several errors come out of one pass, and the formatter loses nothing.

use proptest::prelude::*;

use super::format::format as formatted;
use super::parser::parse;

/// One query, or more, for every operator and statement of the language, and for its oddities.
const QUERIES: &[&str] = &[
    "T",
    "T;",
    "print 1",
    "set notruncation; set query_now = datetime(2020-01-01); T | count",
    "declare query_parameters(a:string = 'x', b:long = 5); T | where A == a",
    "alias database d = cluster('c').database('d'); T",
    "restrict access to (T, database('x').*); T | take 1",
    "declare pattern app = (applicationId:string)[eventType:string] { ('a').['b'] = { T | where x == 1 }; }; T",
    "T | where a == 1 and (b has 'x' or c !in ('y', 'z')) and d between (1 .. 5) and e !between (1d .. 2d)",
    "T | where a !contains 'x' and a !in~ ('b') and a matches regex @'\\d+' and b has_any ('x', dynamic(['y'])) and c has_all ('z')",
    "T | extend a = -1, b = - c, (d, e) = f(x), g = h.i['j'][0][-1].k, ['odd name'] = 1",
    "T | summarize hint.strategy=shuffle count(), a = dcount(x), round(avg(y), 2) by bin(t, 1h), kind = z",
    "T | summarize by a, b",
    "T | distinct *",
    "T | distinct a, b",
    "T | count | as n",
    "T | sort by a asc nulls last, b desc, c",
    "T | order by a",
    "T | top 5 by a desc nulls first",
    "T | take 5 | limit 3 | sample 2",
    "T | sample-distinct 5 of a",
    "T | top-hitters 5 of a by b",
    "T | top-nested 2 of a with others = 'rest' by sum(b), top-nested 1 of c by count() asc",
    "T | project a, b = c + 1 | project-away d*, *e, f | project-keep a | project-rename x = a | project-reorder b, * asc, c granny-asc",
    "T | join (U | where x == 1) on a, $left.b == $right.c",
    "T | join kind=leftanti hint.remote=auto U on $left.a == $right.b and $left.c == $right.d",
    "T | lookup kind=inner (datatable(a:string, b:long)['x', 1, 'y', 2,]) on a",
    "union kind=outer withsource=src isfuzzy=true T, (U | where a), V*, database('d').W",
    "union *",
    "T | union (U), V",
    "T | parse a with 'x' b:long * 'y' c",
    "T | parse kind=regex flags=Ui a with @'\\d' b:date \"z\"",
    "T | parse-where kind = relaxed a with * 'k=' v:int",
    "T | parse-kv a as (k:string, ['odd key']:long) with (pair_delimiter=';', kv_delimiter='=', quote='\"')",
    "T | mv-expand bagexpansion=array with_itemindex=i a = b to typeof(long), c limit 5",
    "T | mv-apply x = a to typeof(string), y = b limit 3 on (where x has 'k' | summarize m = make_list(x))",
    "T | make-series n = count() default=0, avg(x) on t from ago(1d) to now() step 1h by a",
    "T | make-series sum(x) on t in range(ago(1d), now(), 1h)",
    "T | evaluate bag_unpack(d, 'p_') : (a:string, *)",
    "evaluate plugin(1)",
    "T | reduce by a with threshold=0.35, characters=':'",
    "T | render timechart with (title='x', ysplit=panels)",
    "search 'text' and (a:'b' or x == 1)",
    "search in (T, U*) kind=case_sensitive 'text'",
    "T | search '*x'",
    "find withsource=s in (T, U) where a == 'x' project a, b:string",
    "find where a has 'x' project-smart",
    "T | facet by a, b with (where c == 1 | take 2)",
    "T | fork n = (where a == 1 | project b) (summarize count())",
    "T | partition hint.strategy=native by a (top 2 by b | extend c = 1)",
    "T | partition by a { U | where b == a }",
    "T | scan with_match_id=m order by t asc partition by u declare (n:long = 0) with (step s1 output=all: x == 1 => n = s1.n + 1; step s2 optional: y == 2)",
    "T | serialize r = row_number() | consume",
    "T | getschema",
    "T | invoke f(1, b = 'c')",
    "T | make-graph a --> b with N on id | graph-match (x)-[e*1..3]->(y) where x.n == 'k' project x.n, y.n",
    "externaldata(a:string, b:long)[@'https://x/y.csv', 'z'] with (format='csv', ignoreFirstRecord=true) | where a == 'b'",
    "range x from 1 to 10 step 1",
    "let f = (a:string, T:(*), b:long = 5, U:(x:string, y:long)) { let g = view () { T }; g() | where x == a }; f(b = 3, a = 'q', T, U)",
    "let x = toscalar(T | summarize max(a)); let y = materialize(U | where b == x); y",
    "print a = 'x' 'y' \"z\", b = @'c\\d', c = h'secret', d = ```multi\nline```, e = dynamic({'a': [1, 2, {'b': null}], \"c\": datetime(2020-01-01)})",
    "print 1d, 2.5h, 100ms, 0x1F, 1e10, 1.5, int(null), guid(74be27de-1e4e-49d9-b579-fe0b331d3642), real(-inf), bool(true), time(1.02:03:04)",
    "T | where * has 'x' | project a=b, c = (d) | where not(e) and f in (U | project g) and h in~ ('i')",
    "T | extend a = iif (b, 'c', 'd') | where $left == 1",
    "T|where a==1// tail\n// own line\n|extend b=2 // more\n, c = 3\n\n// last",
    "// head\n\n\nlet a = 1; // one\n\n// two\nlet b = 2;\nT\n// before a pipe\n| where x == a\n| project\n  y, // why\n  // because\n  z",
    "let Names = datatable(a:string, b:string, c:long) [ // rows\n 'one', 'eins', 1, // first\n 'two', 'zwei', 2,\n];\nNames | where a == 'one' | project b | take 5",
    "T | where AVeryLongColumnName == 'a long text' and AnotherLongColumnName in ('some', 'long', 'list') or AThirdLongColumnName has 'something'",
    "T | extend Result = case(AVeryLongColumnName == 'a long text', 'the first long answer', AnotherLongColumnName == 'x', 'the second', 'otherwise'), B = 1",
    "union (T | where a == 1 | project b, c | take 5), (U | where d == 2 | extend e = strcat('a', 'b') | project e), V",
];

/// The tree without the places that its parts came from.
fn shape(query: &str) -> String {
    let tree = parse(query).unwrap_or_else(|errors| panic!("{query}\n{errors:?}"));
    let spans = regex::Regex::new(r"\d+\.\.\d+").expect("a pattern");
    spans.replace_all(&format!("{tree:?}"), "_").into_owned()
}

#[test]
fn every_operator_and_oddity_is_read() {
    let failed: Vec<String> =
        QUERIES.iter().filter_map(|query| parse(query).err().map(|errors| errors[0].render("q", query, 1))).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn formatting_keeps_the_tree_and_is_stable() {
    for query in QUERIES {
        let once = formatted(query).expect("formats");
        assert_eq!(shape(query), shape(&once), "{query}\nbecame\n{once}");
        assert_eq!(formatted(&once).expect("formats"), once, "{query}");
        let comments = |text: &str| {
            let lexed = super::lexer::lex(text);
            lexed.comments.into_iter().map(|span| text[span].to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(comments(query), comments(&once), "{query}\nbecame\n{once}");
    }
}

#[test]
fn formatted_queries_look_as_they_should() {
    let result = formatted(
        "let f=(a:string='x',b:long){let c=toscalar(T|summarize max(d));T|where e==a and g>b|extend h=c};\n\n\n// the rest\nunion (f('y',1)),(datatable(k:string,v:long)['one',1,'two',2]|extend   z=-1)|where h  !in('p','q')// why\n|project-away k*",
    )
    .expect("formats");
    assert_eq!(
        result,
        "let f = (a:string=\'x\', b:long) {
    let c = toscalar(T | summarize max(d));
    T
    | where e == a and g > b
    | extend h = c
};

// the rest
union (f('y', 1)), (datatable(k:string, v:long) ['one', 1, 'two', 2] | extend z = -1)
| where h !in ('p', 'q') // why
| project-away k*
"
    );
}

#[test]
fn one_pass_finds_several_errors() {
    let errors = |query: &str| -> Vec<String> {
        parse(query).expect_err("has errors").into_iter().map(|error| error.message).collect()
    };
    assert_eq!(
        errors("T | where == 1 | extend a = | wehre b | project c d | take 5"),
        [
            "expected an expression, found `==`",
            "expected an expression, found `|`",
            "unknown operator `wehre`",
            "expected `|`, `;` or the end of the query, found `d`",
        ]
    );
    assert_eq!(
        errors("let a = ; let b = (x:strin) { T }; U | where (c | extend d = )"),
        [
            "expected an expression, found `;`",
            "`strin` is no column type; expected bool, int, long, real, string, datetime, timespan, guid or dynamic",
            "unknown operator `d`",
        ]
        .map(str::to_owned)
        .into_iter()
        .filter(|message| !message.contains("operator `d`"))
        .chain(["expected an expression, found `)`".to_owned()])
        .collect::<Vec<_>>()
    );
    assert_eq!(
        errors("T | union (U | where ) | extend x = 'abc\n | where ["),
        [
            "expected an expression, found `)`",
            "the text is never closed: expected ' on the same line",
            "expected a name, found `[`",
        ]
    );
}

#[test]
fn a_megabyte_of_faults_ends_soon_with_a_few_errors() {
    for piece in ["| ( ", "| where ", "let a = ; ", "| make-graph ( ", "| extend a = f( ", "| union (T ", "'"] {
        let query = format!("T {}", piece.repeat(1_000_000 / piece.len()));
        let errors = parse(&query).expect_err("is faulty");
        assert!((1..200).contains(&errors.len()), "{piece}: {} errors", errors.len());
    }
}

#[test]
fn a_path_of_too_many_steps_is_refused() {
    let level = |inner: &str| format!("(-{inner}{})", ".a".repeat(90));
    let deep = (0..90).fold("d".to_owned(), |inner, _| level(&inner));
    for path in [format!("d{}", ".a".repeat(20_000)), format!("d{}", "[0]".repeat(20_000)), deep] {
        let errors = parse(&format!("print {path}")).expect_err("is too deep");
        assert!(errors[0].message.contains("more than"), "{}", errors[0].message);
    }
    assert!(parse(&format!("print d{}, e{0}", ".a".repeat(150))).is_ok());
}

#[test]
fn a_long_query_is_formatted() {
    let conditions: Vec<String> = (0..5_000).map(|n| format!("a == 'value {n}'")).collect();
    let query = format!("T | where {} | take 1", conditions.join(" or "));
    let once = formatted(&query).expect("formats");
    assert_eq!(once.lines().count(), 5_003);
}

fn mutated() -> impl Strategy<Value = String> {
    (0..QUERIES.len(), any::<prop::sample::Index>(), any::<prop::sample::Index>(), "[ \\n|;,()a-z'/=*.-]{0,4}")
        .prop_map(|(query, at, length, insert)| {
            let mut chars: Vec<char> = QUERIES[query].chars().collect();
            let start = at.index(chars.len());
            let end = start + length.index((chars.len() - start).min(8) + 1);
            chars.splice(start..end, insert.chars());
            chars.into_iter().collect()
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn whatever_parses_is_formatted_without_loss(query in mutated()) {
        match formatted(&query) {
            Ok(once) => {
                prop_assert_eq!(shape(&query), shape(&once), "{}\nbecame\n{}", query, once);
                let twice = formatted(&once).expect("what was formatted parses");
                prop_assert_eq!(&twice, &once, "{}", query);
            }
            Err(errors) => prop_assert!(!errors.is_empty()),
        }
    }
}

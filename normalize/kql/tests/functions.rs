//! Functions of series, units, places, compressed texts and digests: each expression with its text as KQL prints it.
//! Every expression runs folded at compile time, and over a column.

use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Schema;
use weir_contract::schema::{Column, ColumnType, TableSchema};
use weir_kql::{Mode, compile};

/// The cells of the first row, as texts.
fn first_row(query: &str) -> Vec<String> {
    let table = TableSchema { name: "T".into(), columns: vec![Column::new("unused", ColumnType::String)] };
    let program = match compile(query, &table, Mode::Strict) {
        Ok(program) => program,
        Err(errors) => panic!("{}", errors.iter().map(|error| error.render("q", query, 1)).collect::<String>()),
    };
    let result = program.run(&RecordBatch::new_empty(Arc::new(Schema::empty()))).expect("runs");
    let cell = |column: &Arc<dyn Array>| {
        let column = column.as_string_view();
        if column.is_null(0) { String::new() } else { column.value(0).to_owned() }
    };
    result.columns().iter().map(cell).collect()
}

/// `a` and `b` are series, `m` has missing values, `s` is a text, `x` and `y` a point.
const ROW: &str = r#"datatable(a:dynamic, b:dynamic, m:dynamic, s:string, x:real, y:real)
    [dynamic([1,2,4]), dynamic([2.0,2.0,null]), dynamic([null,1,null,4,null]), "1234567890qwertyuiop",
     -122.407628, 47.578557]"#;

fn check(cases: &[(&str, &str)]) {
    let mut wrong = Vec::new();
    for (expression, expected) in cases {
        // The second form moves the call out of reach of constant folding.
        let over_column = format!("{ROW} | mv-expand n = range(1, 1) | project r = tostring({expression})");
        for query in [format!("{ROW} | project r = tostring({expression})"), over_column] {
            let found = first_row(&query).remove(0);
            if found != *expected {
                wrong.push(format!("{expression}\n  expected {expected}\n  found    {found}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn series_are_computed_element_by_element() {
    check(&[
        ("series_add(a, a)", "[2,4,8]"),
        ("series_add(a, b)", "[3.0,4.0,null]"),
        ("series_subtract(a, 1)", "[0,1,3]"),
        ("series_multiply(2.5, a)", "[2.5,5.0,10.0]"),
        ("series_divide(a, 2)", "[0.5,1.0,2.0]"),
        ("series_divide(a, 0)", r#"["Infinity","Infinity","Infinity"]"#),
        ("series_pow(a, 2)", "[1,4,16]"),
        ("series_greater(a, b)", "[false,false,null]"),
        ("series_greater_equals(a, b)", "[false,true,null]"),
        ("series_less(a, 2)", "[true,false,false]"),
        ("series_less_equals(a, 2)", "[true,true,false]"),
        ("series_equals(a, b)", "[false,true,null]"),
        ("series_not_equals(a, b)", "[true,false,null]"),
        ("series_add(a, dynamic([1]))", "[2,null,null]"),
        ("series_abs(series_subtract(1, a))", "[0,1,3]"),
        ("series_sign(dynamic([-2.5,0,3]))", "[-1.0,0,1]"),
        ("series_floor(dynamic([1.5,-1.5]))", "[1.0,-2.0]"),
        ("series_sum(a)", "7.0"),
        ("series_sum(m)", ""),
        ("series_product(a)", "8.0"),
        ("series_dot_product(a, a)", "21.0"),
        ("series_magnitude(dynamic([3,4]))", "5.0"),
    ]);
}

#[test]
fn missing_values_of_series_are_filled() {
    check(&[
        ("series_fill_const(m, 0)", "[0,1,0,4,0]"),
        ("series_fill_const(a, -1, 2)", "[1,-1,4]"),
        ("series_fill_forward(m)", "[null,1,1,4,4]"),
        ("series_fill_backward(m)", "[1,1,4,4,null]"),
        ("series_fill_forward(a, 4)", "[1,2,2]"),
        ("series_fill_linear(m)", "[1.0,1.0,2.5,4.0,4.0]"),
        ("series_fill_linear(m, real(null), false)", "[null,1.0,2.5,4.0,null]"),
        ("series_fill_linear(dynamic([0,-1,-1,6]), -1)", "[0.0,2.0,4.0,6.0]"),
        ("series_fill_linear(dynamic([null,null]), real(null), true, 7)", "[7.0,7.0]"),
        ("series_fill_const(dynamic({}), 0)", ""),
    ]);
}

#[test]
fn statistics_come_as_a_bag_or_as_columns() {
    check(&[
        (
            "series_stats_dynamic(dynamic([2,9,4]))",
            r#"{"min":2.0,"min_idx":0,"max":9.0,"max_idx":1,"avg":5.0,"stdev":3.605551275463989,"variance":13.0,"sum":15.0,"len":3}"#,
        ),
        ("series_stats_dynamic(m).max", ""),
        ("series_stats_dynamic(m, true).max", "4.0"),
    ]);
    let query =
        format!("{ROW} | extend series_stats(a) | project strcat(series_stats_a_min_idx, ' ', series_stats_a_max)");
    assert_eq!(first_row(&query), ["0 4.0"]);
    let query =
        format!("{ROW} | project (lo, at, hi) = series_stats(a) | project strcat(lo, hi, series_stats_a_max_idx)");
    assert_eq!(first_row(&query), ["1.04.02"]);
    // Several arrays in the order of the first.
    let query = "print x = dynamic([3,1,2]), y = dynamic(['c','a','b']) | project (p, q) = array_sort_desc(x, y) \
                 | project tostring(p), tostring(q)";
    assert_eq!(first_row(query), ["[3,2,1]", r#"["c","b","a"]"#]);
    let query =
        "print x = dynamic([3,1]), y = dynamic(['c','a']) | extend array_sort_asc(x, y) | project tostring(y_sorted)";
    assert_eq!(first_row(query), [r#"["a","c"]"#]);
}

#[test]
fn units_convert_by_their_definitions() {
    check(&[
        ("round(convert_angle(180, 'Degree', 'Radian'), 6)", "3.141593"),
        ("convert_angle(1, 'Revolution', 'Gradian')", "400.0"),
        ("convert_energy(1, 'KilowattHour', 'Joule')", "3600000.0"),
        ("convert_force(1, 'KilogramForce', 'Newton')", "9.80665"),
        ("convert_length(1, 'Mile', 'Yard')", "1760.0"),
        ("convert_mass(16, 'Ounce', 'Pound')", "1.0"),
        ("convert_speed(36, 'KilometerPerHour', 'MeterPerSecond')", "10.0"),
        ("round(convert_temperature(212, 'DegreeFahrenheit', 'DegreeCelsius'), 9)", "100.0"),
        ("round(convert_temperature(0, 'DegreeDelisle', 'DegreeCelsius'), 9)", "100.0"),
        ("round(convert_temperature(33, 'DegreeNewton', 'DegreeCelsius'), 9)", "100.0"),
        ("round(convert_temperature(60, 'DegreeRoemer', 'DegreeCelsius'), 9)", "100.0"),
        ("round(convert_temperature(80, 'DegreeReaumur', 'DegreeCelsius'), 9)", "100.0"),
        ("convert_volume(1, 'CubicMeter', 'Liter')", "1000.0"),
        ("convert_length(1, 'Mile', 'Parrot')", ""),
        ("convert_speed(1, 'MilePerFortnight', 'Knot')", ""),
    ]);
}

#[test]
fn places_have_distances_and_cells() {
    check(&[
        ("round(geo_distance_2points(x, y, -118.275287, 34.019056), 3)", "1546754.352"),
        ("geo_distance_2points(x, y, x, y)", "0.0"),
        ("geo_distance_2points(x, 91, x, y)", ""),
        ("geo_point_in_circle(x, y, x, 47.57, 1000)", "True"),
        ("geo_point_in_circle(x, y, x, 47.57, 900)", "False"),
        ("geo_point_to_geohash(-80.195829, 25.802215, 8)", "dhwfz15h"),
        ("geo_point_to_geohash(-80.195829, 25.802215)", "dhwfz"),
        ("geo_point_to_geohash(x, y, 19)", ""),
        ("geo_point_to_s2cell(-80.195829, 25.802215, 8)", "88d9b"),
        ("geo_point_to_s2cell(0, 0, 0)", "1"),
        ("geo_point_to_s2cell(-180, -90, 31)", ""),
    ]);
}

#[test]
fn points_are_in_polygons_and_near_them() {
    // The pages' examples: the corner of Central Park, part of Manhattan, and polygons that break a rule each.
    let park = "dynamic({'type':'Polygon','coordinates':[[[-73.9495,40.7969],[-73.95807266235352,40.80068603561921],[-73.98201942443848,40.76825672305777],[-73.97317886352539,40.76455136505513],[-73.9495,40.7969]]]})";
    let square = |rings: &str| format!("dynamic({{'type':'Polygon','coordinates':[{rings}]}})");
    let outer = "[[0,0],[10,0],[10,10],[0,10],[0,0]]";
    let hole = "[[4,4],[4,6],[6,6],[6,4],[4,4]]";
    let holed = square(&format!("{outer},{hole}"));
    let two =
        format!("dynamic({{'coordinates':[[{outer},{hole}],[[[20,0],[30,0],[30,10],[20,0]]]],'type':'MultiPolygon'}})");
    let inside = |place: &str, polygon: &str| format!("geo_point_in_polygon({place}, {polygon})");
    let cases = [
        (format!("round(geo_distance_point_to_polygon(-73.9839, 40.7705, {park}), 6)"), "259.940756"),
        (inside("-73.9839, 40.7705", park), "False"),
        (inside("-73.9655, 40.7812", park), "True"),
        (format!("geo_distance_point_to_polygon(-73.9655, 40.7812, {park})"), "0.0"),
        (inside("3, 3", &holed), "True"),
        (inside("5, 5", &holed), "False"),
        (inside("29, 5", &two), "True"),
        (inside("5, 5", &two), "False"),
        (inside("3, 3", &format!("todynamic(strcat(tostring({holed}), ''))")), "True"),
        // Altitudes may follow.
        (inside("1, 2", &square("[[0,0,5],[10,0,5],[10,10,5],[0,0,5]]")), "False"),
        (inside("2, 1", &square("[[0,0,5],[10,0,5],[10,10,5],[0,0,5]]")), "True"),
        (inside("500, 1", &holed), ""),
        (format!("geo_distance_point_to_polygon(500, 1, {})", square("[[0,0],[10,10],[10,1],[0,0]]")), ""),
        // A point twice, an open ring, a point off the globe, an edge between antipodes, no ring, and no polygon.
        (format!("geo_distance_point_to_polygon(1, 1, {})", square("[[0,0],[10,10],[10,10],[0,0]]")), ""),
        (inside("1, 1", &square("[[0,0],[10,0],[10,10],[0,10]]")), ""),
        (inside("1, 1", &square("[[0,0],[10,0],[10,91],[0,0]]")), ""),
        (inside("1, 1", &square("[[0,0],[180,0],[10,10],[0,0]]")), ""),
        (inside("1, 1", &square("")), ""),
        (inside("1, 1", "dynamic({'type':'Point','coordinates':[1,1]})"), ""),
        (inside("1, 1", "dynamic([1,2])"), ""),
        (inside("1, 1", "dynamic(null)"), ""),
    ];
    let cases: Vec<(&str, &str)> = cases.iter().map(|(expression, expected)| (&**expression, *expected)).collect();
    check(&cases);
}

#[test]
fn buffers_are_polygons_around_circles() {
    check(&[
        ("geo_point_buffer(x, y, 20000).type", "Polygon"),
        // cos(pi/n) = tan(r)/tan(r + t): with the radius 20 km and 10 m, n = 99.35.
        ("array_length(geo_point_buffer(x, y, 20000).coordinates[0])", "101"),
        ("array_length(geo_point_buffer(x, y, 20000, 10).coordinates[0])", "101"),
        ("array_length(geo_point_buffer(x, y, 300, 0.1).coordinates[0])", "123"),
        ("geo_point_in_polygon(x, y, geo_point_buffer(x, y, 100))", "True"),
        ("isnull(geo_point_buffer(200, 1, 0.1))", "True"),
        ("isnull(geo_point_buffer(10, 10, -1))", "True"),
        ("isnull(geo_point_buffer(10, 10, 1000, 0.0001))", "True"),
        ("isnull(geo_point_buffer(10, 10, real(null)))", "True"),
        ("isnull(geo_point_buffer(10, 10, 100, real(null)))", "True"),
    ]);
}

#[test]
fn h3_cells_are_those_of_the_published_examples() {
    // The function pages' examples, those of H3's own documentation, and Snowflake's of the Brandenburg Gate.
    check(&[
        ("geo_point_to_h3cell(-74.04450446039874, 40.689250859314974)", "862a1072fffffff"),
        ("geo_point_to_h3cell(-73.956683, 40.807907, 5)", "852a100bfffffff"),
        ("geo_point_to_h3cell(-122.418307, 37.775938, 9)", "8928308280fffff"),
        ("tolong(strcat('0x', geo_point_to_h3cell(13.377704, 52.516262, 8)))", "613036919424548863"),
        ("geo_point_to_h3cell(300, 1, 8)", ""),
        ("geo_point_to_h3cell(1, 1, 16)", ""),
        ("geo_point_to_h3cell(1, 1, -1)", ""),
        ("geo_point_to_h3cell(1, 1, int(null))", ""),
        ("geo_h3cell_level('862a1072fffffff')", "6"),
        ("gettype(geo_h3cell_level('862a1072fffffff'))", "int"),
        ("geo_h3cell_level(geo_point_to_h3cell(1, 1, 10))", "10"),
        ("geo_h3cell_level('abc')", ""),
        ("geo_h3cell_level('+62a1072fffffff')", ""),
        ("geo_h3cell_level('')", ""),
        ("geo_h3cell_parent('862a1072fffffff')", "852a1073fffffff"),
        ("geo_h3cell_parent('862a1072fffffff', 1)", "812a3ffffffffff"),
        ("geo_h3cell_parent('862a1072fffffff', 6)", "862a1072fffffff"),
        ("geo_h3cell_parent('862a1072fffffff', 7)", ""),
        ("geo_h3cell_parent('862a1072fffffff', 100)", ""),
        ("geo_h3cell_parent(geo_point_to_h3cell(1, 1, 15), 15)", ""),
        ("geo_h3cell_parent(geo_point_to_h3cell(1, 1, 0))", ""),
        ("geo_h3cell_parent('123')", ""),
        (
            "geo_h3cell_children('862a1072fffffff')",
            r#"["872a10728ffffff","872a10729ffffff","872a1072affffff","872a1072bffffff","872a1072cffffff","872a1072dffffff","872a1072effffff"]"#,
        ),
        ("array_length(geo_h3cell_children('862a1072fffffff', 9))", "343"),
        // A pentagon has five neighbors, and one child less.
        ("array_length(geo_h3cell_children('8009fffffffffff'))", "6"),
        ("array_length(geo_h3cell_neighbors('8009fffffffffff'))", "5"),
        ("geo_h3cell_children('862a1072fffffff', 6)", r#"["862a1072fffffff"]"#),
        ("isnull(geo_h3cell_children('862a1072fffffff', 5))", "True"),
        ("isnull(geo_h3cell_children('862a1072fffffff', 12))", "True"),
        ("isnull(geo_h3cell_children('8009fffffffffff', 0))", "True"),
        ("isnull(geo_h3cell_children(geo_point_to_h3cell(1, 1, 15)))", "True"),
        ("isnull(geo_h3cell_children('abc'))", "True"),
        (
            "geo_h3cell_neighbors('862a1072fffffff')",
            r#"["862a10727ffffff","862a10707ffffff","862a1070fffffff","862a10777ffffff","862a100dfffffff","862a100d7ffffff"]"#,
        ),
        ("isnull(geo_h3cell_neighbors('abc'))", "True"),
        (
            "geo_h3cell_rings('861f8894fffffff', 2)",
            r#"[["861f8894fffffff"],["861f88947ffffff","861f8895fffffff","861f88867ffffff","861f8d497ffffff","861f8d4b7ffffff","861f8896fffffff"],["861f88967ffffff","861f88977ffffff","861f88957ffffff","861f8882fffffff","861f88877ffffff","861f88847ffffff","861f8886fffffff","861f8d49fffffff","861f8d487ffffff","861f8d4a7ffffff","861f8d59fffffff","861f8d597ffffff"]]"#,
        ),
        ("geo_h3cell_rings('861f8894fffffff', 0)", r#"[["861f8894fffffff"]]"#),
        ("array_length(geo_h3cell_rings('861f8894fffffff', 142)[142])", "852"),
        ("isnull(geo_h3cell_rings('861f8894fffffff', 143))", "True"),
        ("isnull(geo_h3cell_rings('abc', 3))", "True"),
        ("geo_h3cell_to_central_point('862a1072fffffff').type", "Point"),
        ("round(toreal(geo_h3cell_to_central_point('862a1072fffffff').coordinates[0]), 12)", "-74.016008479792"),
        ("round(toreal(geo_h3cell_to_central_point('862a1072fffffff').coordinates[1]), 12)", "40.70416790835"),
        ("isnull(geo_h3cell_to_central_point('1'))", "True"),
        ("array_length(geo_h3cell_to_polygon('862a1072fffffff').coordinates[0])", "7"),
        ("round(toreal(geo_h3cell_to_polygon('862a1072fffffff').coordinates[0][2][1]), 12)", "40.696775140349"),
        ("isnull(geo_h3cell_to_polygon('@'))", "True"),
        ("geo_point_in_polygon(-74.0445, 40.68925, geo_h3cell_to_polygon('862a1072fffffff'))", "True"),
    ]);
}

#[test]
fn compressed_texts_unpack_to_themselves() {
    check(&[
        ("gzip_compress_to_base64_string(s)", "H4sIAAAAAAAA/wEUAOv/MTIzNDU2Nzg5MHF3ZXJ0eXVpb3A6m7f2FAAAAA=="),
        ("gzip_decompress_from_base64_string(gzip_compress_to_base64_string(s))", "1234567890qwertyuiop"),
        (
            "zlib_decompress_from_base64_string(zlib_compress_to_base64_string(strcat(s, s, s, s, s)))",
            "1234567890qwertyuiop".repeat(5).as_str(),
        ),
        // As another zlib wrote it.
        ("zlib_decompress_from_base64_string('eJwLSS0uUSguKcrMS1cwNDIGACxqBQ4=')", "Test string 123"),
        ("zlib_decompress_from_base64_string('no base64')", ""),
        ("gzip_decompress_from_base64_string(base64_encode_tostring(s))", ""),
    ]);
}

#[test]
fn digests_and_canonical_texts_are_exact() {
    assert_eq!(
        first_row(
            "range x from 1 to 100 step 1 | summarize t = tdigest(x), w = tdigest(x, iff(x == 100, 1000, 1)), h = hll(x % 7) \
             | project tostring(percentile_tdigest(t, 90)), tostring(percentile_tdigest(w, 50)), tostring(rank_tdigest(t, 10)), \
             tostring(percentrank_tdigest(t, 25)), tostring(dcount_hll(h))"
        ),
        ["90.0", "100.0", "10.0", "25.0", "7"]
    );
    assert_eq!(
        first_row(
            "range x from 1 to 100 step 1 | summarize t = tdigest(x), h = hll(x % 7) by x % 3 \
             | summarize t = tdigest_merge(t), h = hll_merge(h) \
             | project tostring(percentile_tdigest(t, 50)), tostring(dcount_hll(h))"
        ),
        ["50.0", "7"]
    );
    check(&[
        (r#"dynamic_to_json(dynamic({"b":[{"z":1,"y":2}],"a":"x"}))"#, r#"{"a":"x","b":[{"y":2,"z":1}]}"#),
        ("dynamic_to_json(a)", "[1,2,4]"),
        ("indexof('abcabc', 'c', 0, 3, 2)", "5"),
        ("indexof('abc', '', 0, -1, 9)", "-1"),
        ("indexof('äöüö', 'ö', 2)", "3"),
        ("toguid('0123456789ab-cdef-0123-456789abcdef')", "01234567-89ab-cdef-0123-456789abcdef"),
        ("isnull(toguid('0123456789abcdef'))", "True"),
    ]);
}

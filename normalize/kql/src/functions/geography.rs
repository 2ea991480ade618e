//! Points on Earth: longitude and latitude in degrees, distances in meters on a sphere.
//!
//! Rules: the functions' pages below <https://learn.microsoft.com/kusto/query/geospatial-grid-systems>. Cells are Google's S2
//! (<https://s2geometry.io/devguide/s2cell_hierarchy>) and Niemeyer's geohash. A point off the globe gives null or the empty
//! text.

use arrow::array::ArrayRef;
use weir_contract::schema::ColumnType::{Bool, Real, String as Str};

use super::args::Args;
use super::{Function, Returns, Want, function};
use crate::sphere::Point;

#[rustfmt::skip]
pub(super) const FUNCTIONS: &[Function] = &[
    function("geo_distance_2points", &[Want::Real; 4], Returns::Ty(Real), |args| {
        args.reals(|row| Some(point(args, 0, row)?.distance(point(args, 2, row)?)))
    }, "`geo_distance_2points(longitude, latitude, longitude, latitude)`: meters"),
    function("geo_point_in_circle", &[Want::Real; 5], Returns::Ty(Bool), |args| {
        args.opt_bools(|row| Some(point(args, 0, row)?.distance(point(args, 2, row)?) <= args.real(4).get(row)?))
    }, "`geo_point_in_circle(longitude, latitude, center longitude, center latitude, meters)`"),
    function("geo_point_to_geohash", &[Want::Real, Want::Real, Want::Whole], Returns::Ty(Str), |args| cell(args, 5, geohash),
        "`geo_point_to_geohash(longitude, latitude[, accuracy])`: 1 to 18 characters, 5 without it").requires(2),
    function("geo_point_to_s2cell", &[Want::Real, Want::Real, Want::Whole], Returns::Ty(Str), |args| cell(args, 11, s2_token),
        "`geo_point_to_s2cell(longitude, latitude[, level])`: the cell's token; level 0 to 30, 11 without it").requires(2),
];

/// The place that argument `n`, a longitude, and the next one, a latitude, give.
pub(super) fn point(args: &Args<'_>, n: usize, row: usize) -> Option<Point> {
    Point::new(args.real(n).get(row)?, args.real(n + 1).get(row)?)
}

/// The cell of a point by a grid, at the level that argument 2 gives; the empty text where there is none.
pub(super) fn cell(args: &Args<'_>, default: i64, token: fn(Point, i64) -> Option<String>) -> ArrayRef {
    let level = args.long_or(2, default);
    args.texts(|row, out| {
        let token = point(args, 0, row).zip(level.get(row)).and_then(|(point, level)| token(point, level));
        out.extend(token);
    })
}

/// Halves the globe in turn by longitude and latitude; five bits are a character.
fn geohash(point: Point, accuracy: i64) -> Option<String> {
    const DIGITS: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
    let accuracy = usize::try_from(accuracy).ok().filter(|accuracy| (1..=18).contains(accuracy))?;
    let mut ranges = [(-180.0, 180.0), (-90.0, 90.0)];
    let mut hash = String::with_capacity(accuracy);
    let mut turn = 0;
    for _ in 0..accuracy {
        let mut digit = 0;
        for _ in 0..5 {
            let value = if turn == 0 { point.longitude } else { point.latitude };
            let (low, high): (f64, f64) = ranges[turn];
            let middle = (low + high) / 2.0;
            digit = digit * 2 + usize::from(value >= middle);
            ranges[turn] = if value >= middle { (middle, high) } else { (low, middle) };
            turn = 1 - turn;
        }
        hash.push(char::from(DIGITS[digit]));
    }
    Some(hash)
}

/// The number of the cell in hexadecimal, without the zeros at its end.
fn s2_token(point: Point, level: i64) -> Option<String> {
    let level = u32::try_from(level).ok().filter(|level| *level <= 30)?;
    let (face, u, v) = face_of(point.vector());
    let (i, j) = (grid(u), grid(v));
    // Along the Hilbert curve, from the face's quarters down: how the curve runs in a quarter depends on where it is.
    let mut position = 0_u64;
    let mut orientation = face & SWAP;
    for depth in (0..30).rev() {
        let quarter = (((i >> depth) & 1) << 1 | ((j >> depth) & 1)) as usize;
        let along = QUARTER_TO_POSITION[orientation][quarter];
        position = position << 2 | along as u64;
        orientation ^= POSITION_TO_ORIENTATION[along];
    }
    // Face, position, a one, zeros: the one's place tells the level.
    let leaf = (face as u64) << 61 | position << 1 | 1;
    let last = 1_u64 << (2 * (30 - level));
    let cell = leaf & last.wrapping_neg() | last;
    let digits = format!("{cell:016x}");
    Some(digits.trim_end_matches('0').to_owned())
}

const SWAP: usize = 1;
/// For each orientation of the curve (1: axes swapped, 2: both inverted), the place of each quarter along it.
const QUARTER_TO_POSITION: [[usize; 4]; 4] = [[0, 1, 3, 2], [0, 3, 1, 2], [2, 3, 1, 0], [2, 1, 3, 0]];
/// How the orientation changes within the quarter at each place.
const POSITION_TO_ORIENTATION: [usize; 4] = [1, 0, 0, 3];

/// The face of the cube that a point is seen through, and where.
fn face_of([x, y, z]: [f64; 3]) -> (usize, f64, f64) {
    let axis = if x.abs() >= y.abs() && x.abs() >= z.abs() {
        0
    } else if y.abs() >= z.abs() {
        1
    } else {
        2
    };
    match (axis, [x, y, z][axis] < 0.0) {
        (0, false) => (0, y / x, z / x),
        (1, false) => (1, -x / y, z / y),
        (2, false) => (2, -x / z, -y / z),
        (0, true) => (3, z / x, y / x),
        (1, true) => (4, z / y, -x / y),
        _ => (5, -y / z, -x / z),
    }
}

/// The place among 2^30 along an edge, by S2's quadratic projection, which makes cells more alike in size.
fn grid(u: f64) -> u64 {
    let s = if u >= 0.0 { 0.5 * (1.0 + 3.0 * u).sqrt() } else { 1.0 - 0.5 * (1.0 - 3.0 * u).sqrt() };
    let cells = f64::from(1_u32 << 30);
    (s * cells).floor().clamp(0.0, cells - 1.0) as u64
}

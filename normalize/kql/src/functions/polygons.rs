//! Polygons as GeoJSON (RFC 7946): around points, with points inside, and near points.
//!
//! Rules: <https://learn.microsoft.com/kusto/query/geo-point-in-polygon-function> and the pages of the others. Edges are great
//! circles on a sphere. A polygon that the page's rules forbid gives null; that its rings do not cross is not checked.

use arrow::array::ArrayRef;
use weir_contract::schema::ColumnType::{Bool, Dynamic, Real};

use super::args::{Args, Numbers};
use super::arrays::write_list;
use super::geography::point;
use super::prepared::Prepared;
use super::{Function, Returns, Want, function};
use crate::scalar::Scalar;
use crate::sphere::{Point, Polygon, circle};
use crate::{json, text};

/// Meters that a polygon around a point may deviate from the circle unless the call says otherwise.
const DEFAULT_TOLERANCE_M: f64 = 10.0;

const LOCATED: &[Want] = &[Want::Real, Want::Real, Want::Dynamic];

#[rustfmt::skip]
pub(super) const FUNCTIONS: &[Function] = &[
    function("geo_point_buffer", &[Want::Real; 4], Returns::Ty(Dynamic), buffer,
        "`geo_point_buffer(longitude, latitude, radius[, tolerance])`: a GeoJSON polygon around the circle, with vertices at most `tolerance` meters (10 without it) outside").requires(3),
    function("geo_point_in_polygon", LOCATED, Returns::Ty(Bool), |args| {
        let mut polygons = Polygons::new(args);
        args.opt_bools(|row| Some(polygons.get(row)?.contains(point(args, 0, row)?)))
    }, "`geo_point_in_polygon(longitude, latitude, polygon)`: a GeoJSON polygon or multipolygon; every point of a border belongs to one of the polygons that meet there").prepared(constant_polygon),
    function("geo_distance_point_to_polygon", LOCATED, Returns::Ty(Real), |args| {
        let mut polygons = Polygons::new(args);
        args.reals(|row| Some(polygons.get(row)?.distance(point(args, 0, row)?)))
    }, "`geo_distance_point_to_polygon(longitude, latitude, polygon)`: meters, 0 inside").prepared(constant_polygon),
];

/// The numbers of the polygons (from 0) that a place is in, or near, as an array: what the plugin `geo_polygon_lookup` calls,
/// whose polygons the binder reads. Null where there is none and rows without one are wanted, too.
pub(crate) static MATCHES: Function = function(
    "geo_polygon_lookup",
    &[Want::Real, Want::Real],
    Returns::Ty(Dynamic),
    |args| {
        let Prepared::PolygonTable(table) = args.prepared else {
            unreachable!("the binder prepares the polygons that it looks points up in")
        };
        args.opt_texts(|row, out| {
            let found: Vec<String> = point(args, 0, row).map_or_else(Vec::new, |point| {
                let numbered =
                    table.polygons.iter().enumerate().filter_map(|(n, polygon)| Some((n, polygon.as_ref()?)));
                let matching = numbered.filter(|(_, polygon)| match table.radius_m {
                    Some(radius) => polygon.is_within(point, radius),
                    None => polygon.contains(point),
                });
                matching.map(|(number, _)| number.to_string()).collect()
            });
            if found.is_empty() && table.return_unmatched {
                return false;
            }
            write_list(out, found.iter().map(String::as_str));
            true
        })
    },
    "`evaluate geo_polygon_lookup(table, polygon, longitude, latitude)`",
);

fn buffer(args: &Args<'_>) -> ArrayRef {
    let tolerance = if args.len() > 3 { args.real(3) } else { Numbers::One(Some(DEFAULT_TOLERANCE_M)) };
    let radius = args.real(2);
    args.opt_texts(|row, out| {
        let ring = point(args, 0, row)
            .zip(radius.get(row).zip(tolerance.get(row)))
            .and_then(|(center, (radius, tolerance))| circle(center, radius, tolerance));
        ring.map(|ring| write_polygon(&ring, out)).is_some()
    })
}

/// The polygons of argument 2. A constant one is read once, and equal neighbors are.
struct Polygons<'a> {
    args: &'a Args<'a>,
    last: Option<(&'a str, Option<Polygon>)>,
}

impl<'a> Polygons<'a> {
    fn new(args: &'a Args<'a>) -> Self {
        Self { args, last: None }
    }

    fn get(&mut self, row: usize) -> Option<&Polygon> {
        if let Prepared::Polygon(polygon) = self.args.prepared {
            return polygon.as_ref();
        }
        let text = self.args.text(2).get(row);
        if self.last.as_ref().is_none_or(|(last, _)| *last != text) {
            self.last = Some((text, read_polygon(text)));
        }
        self.last.as_ref()?.1.as_ref()
    }
}

fn constant_polygon(constants: &[Option<Scalar>], _: &[weir_contract::schema::ColumnType]) -> Result<Prepared, String> {
    Ok(match &constants[2] {
        Some(Scalar::Dynamic(text)) => Prepared::Polygon(read_polygon(text)),
        Some(_) => Prepared::Polygon(None),
        None => Prepared::Nothing,
    })
}

/// A GeoJSON polygon or multipolygon.
pub(crate) fn read_polygon(text: &str) -> Option<Polygon> {
    let (mut kind, mut coordinates) = (None, None);
    json::members(text, |name, value| match &*json::unquote(name) {
        "type" => kind = Some(json::unquote(value)),
        "coordinates" => coordinates = Some(value),
        _ => {}
    })?;
    let mut rings = Vec::new();
    match &*kind? {
        "Polygon" => read_rings(coordinates?, &mut rings)?,
        "MultiPolygon" => {
            for polygon in items(coordinates?)? {
                read_rings(polygon, &mut rings)?;
            }
        }
        _ => return None,
    }
    Polygon::new(rings)
}

fn read_rings(polygon: &str, rings: &mut Vec<Vec<Point>>) -> Option<()> {
    for ring in items(polygon)? {
        rings.push(items(ring)?.into_iter().map(read_position).collect::<Option<_>>()?);
    }
    Some(())
}

/// Longitude, latitude, and what may follow them.
fn read_position(position: &str) -> Option<Point> {
    let numbers = items(position)?;
    let [longitude, latitude, ..] = numbers.as_slice() else { return None };
    Point::new(longitude.parse().ok()?, latitude.parse().ok()?)
}

fn items(array: &str) -> Option<Vec<&str>> {
    let mut items = Vec::new();
    json::elements(array, |item| items.push(item))?;
    Some(items)
}

/// Appends a GeoJSON point.
pub(super) fn write_point(point: Point, out: &mut String) {
    out.push_str(r#"{"type":"Point","coordinates":"#);
    write_position(point, out);
    out.push('}');
}

/// Appends a GeoJSON polygon of one closed ring.
pub(super) fn write_polygon(ring: &[Point], out: &mut String) {
    out.push_str(r#"{"type":"Polygon","coordinates":[["#);
    for (number, point) in ring.iter().enumerate() {
        if number > 0 {
            out.push(',');
        }
        write_position(*point, out);
    }
    out.push_str("]]}");
}

fn write_position(point: Point, out: &mut String) {
    out.push('[');
    text::write_real_json(point.longitude, out);
    out.push(',');
    text::write_real_json(point.latitude, out);
    out.push(']');
}

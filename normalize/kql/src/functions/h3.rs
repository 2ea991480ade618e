//! Cells of H3, the grid of hexagons (and twelve pentagons) by Uber.
//!
//! Rules: <https://h3geo.org/docs/>, and the functions' pages below
//! <https://learn.microsoft.com/kusto/query/geo-point-to-h3cell-function>. What is no cell, and a resolution or distance out
//! of the documented range, give null or the empty text. Where a pentagon distorts the rings around a cell, they are
//! complete; the service may leave out cells there.

use arrow::array::ArrayRef;
use h3o::{CellIndex, LatLng, Resolution};
use weir_contract::schema::ColumnType::{Dynamic, Int, String as Str};

use super::args::Args;
use super::arrays::write_list;
use super::geography::cell;
use super::polygons::{write_point, write_polygon};
use super::{Function, Returns, Want, function};
use crate::sphere::Point;

/// Most levels between a cell and its children, which may be seven times as many at each.
const MAX_LEVELS_DOWN: u8 = 5;
/// Most rings around a cell.
const MAX_RINGS: i64 = 142;

const DYNAMIC: Returns = Returns::Ty(Dynamic);

#[rustfmt::skip]
pub(super) const FUNCTIONS: &[Function] = &[
    function("geo_point_to_h3cell", &[Want::Real, Want::Real, Want::Long], Returns::Ty(Str), |args| cell(args, 6, h3_token),
        "`geo_point_to_h3cell(longitude, latitude[, resolution])`: the cell's token; resolution 0 to 15, 6 without it").requires(2),
    function("geo_h3cell_to_central_point", &[Want::Str], DYNAMIC, |args| of_cell(args, |cell, out| {
        write_point(place(LatLng::from(cell))?, out);
        Some(())
    }), "`geo_h3cell_to_central_point(cell)`: a GeoJSON point"),
    function("geo_h3cell_to_polygon", &[Want::Str], DYNAMIC, |args| of_cell(args, |cell, out| {
        let mut ring = cell.boundary().iter().map(|corner| place(*corner)).collect::<Option<Vec<_>>>()?;
        ring.push(ring[0]);
        write_polygon(&ring, out);
        Some(())
    }), "`geo_h3cell_to_polygon(cell)`: a GeoJSON polygon"),
    function("geo_h3cell_level", &[Want::Str], Returns::Ty(Int), |args| {
        let cells = args.text(0);
        args.ints(|row| Some(i32::from(u8::from(h3_cell(cells.get(row))?.resolution()))))
    }, "`geo_h3cell_level(cell)`: its resolution"),
    function("geo_h3cell_parent", &[Want::Str, Want::Long], Returns::Ty(Str), |args| {
        let (cells, given) = (args.text(0), given_resolution(args));
        args.texts(|row, out| {
            let parent = h3_cell(cells.get(row)).and_then(|cell| match given {
                Some(resolution) => cell.parent(resolution(row).filter(|parent| *parent < Resolution::Fifteen)?),
                None => cell.parent(cell.resolution().pred()?),
            });
            out.extend(parent.map(|parent| parent.to_string()));
        })
    }, "`geo_h3cell_parent(cell[, resolution])`: the cell around it, one level up without a resolution").requires(1),
    function("geo_h3cell_children", &[Want::Str, Want::Long], DYNAMIC, |args| {
        let (cells, given) = (args.text(0), given_resolution(args));
        args.opt_texts(|row, out| {
            let children = h3_cell(cells.get(row)).and_then(|cell| {
                let resolution = match given {
                    Some(resolution) => resolution(row).filter(|child| *child > Resolution::Zero)?,
                    None => cell.resolution().succ()?,
                };
                let levels = u8::from(resolution).checked_sub(u8::from(cell.resolution()))?;
                (levels <= MAX_LEVELS_DOWN).then(|| cell.children(resolution))
            });
            children.map(|children| write_cells(children, out)).is_some()
        })
    }, "`geo_h3cell_children(cell[, resolution])`: the cells inside it, one level down without a resolution, at most five").requires(1),
    function("geo_h3cell_neighbors", &[Want::Str], DYNAMIC, |args| of_cell(args, |cell, out| {
        write_cells(cell.grid_disk::<Vec<_>>(1).into_iter().filter(|neighbor| *neighbor != cell), out);
        Some(())
    }), "`geo_h3cell_neighbors(cell)`: the cells that touch it"),
    function("geo_h3cell_rings", &[Want::Str, Want::Long], DYNAMIC, |args| {
        let distance = args.long(1);
        let cells = args.text(0);
        args.opt_texts(|row, out| {
            let distance = distance.get(row).filter(|distance| (0..=MAX_RINGS).contains(distance));
            let Some((cell, distance)) = h3_cell(cells.get(row)).zip(distance) else { return false };
            write_rings(cell, distance as u32, out);
            true
        })
    }, "`geo_h3cell_rings(cell, distance)`: an array of the cell, of its neighbors, of theirs, and so on; distance 0 to 142"),
];

fn h3_token(point: Point, resolution: i64) -> Option<String> {
    let place = LatLng::new(point.latitude, point.longitude).ok()?;
    Some(place.to_cell(h3_resolution(resolution)?).to_string())
}

fn h3_resolution(resolution: i64) -> Option<Resolution> {
    Resolution::try_from(u8::try_from(resolution).ok()?).ok()
}

fn h3_cell(token: &str) -> Option<CellIndex> {
    // A sign is no part of a token, though numbers have it.
    token.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| token.parse().ok())?
}

/// Reads argument 1, a resolution; `None`: it is not there.
fn given_resolution<'a>(args: &Args<'a>) -> Option<impl Fn(usize) -> Option<Resolution> + Copy + use<'a>> {
    let given = (args.len() > 1).then(|| args.long(1))?;
    Some(move |row: usize| h3_resolution(given.get(row)?))
}

fn place(place: LatLng) -> Option<Point> {
    Point::new(place.lng(), place.lat())
}

/// A dynamic that `write` makes of each cell; null where it gives `None`.
fn of_cell(args: &Args<'_>, write: fn(CellIndex, &mut String) -> Option<()>) -> ArrayRef {
    let cells = args.text(0);
    args.opt_texts(|row, out| h3_cell(cells.get(row)).and_then(|cell| write(cell, out)).is_some())
}

fn write_cells(cells: impl Iterator<Item = CellIndex>, out: &mut String) {
    let tokens: Vec<String> = cells.map(|cell| format!("\"{cell}\"")).collect();
    write_list(out, tokens.iter().map(String::as_str));
}

fn write_rings(cell: CellIndex, distance: u32, out: &mut String) {
    let mut rings: Vec<Vec<CellIndex>> = vec![Vec::new(); distance as usize + 1];
    for (cell, ring) in cell.grid_disk_distances::<Vec<_>>(distance) {
        rings[ring as usize].push(cell);
    }
    let lists: Vec<String> = rings
        .into_iter()
        .map(|ring| {
            let mut list = String::new();
            write_cells(ring.into_iter(), &mut list);
            list
        })
        .collect();
    write_list(out, lists.iter().map(String::as_str));
}

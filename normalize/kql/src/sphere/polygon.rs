//! Polygons whose edges are the shorter great circles between their vertices.
//!
//! A ring divides the globe into two regions and means the smaller one; a point is in a polygon if an odd number of its
//! rings hold it, so holes are rings like others. The edges that cross the point's meridian north of it are counted. Each
//! edge decides by the same arithmetic whichever way it is walked, and takes the points of its western end's meridian and
//! not those of its eastern end's: where polygons cover the globe without overlap, every point is in exactly one of
//! them, those on edges and vertices too.

use std::f64::consts::TAU;

use super::{Point, RADIUS_M, Vector, cross, dot};

/// How far an area may be from half of the globe (steradians) and still count as half of it: then the region on the
/// left of the ring is meant, as S2 has it.
const HALF_SLACK: f64 = 1e-9;

/// Slack of the quick test by the polygon's cap, in radians: 64 cm. An arc cosine near 1 is good to 13 cm.
const CAP_SLACK: f64 = 1e-7;

#[derive(Debug, Clone)]
pub(crate) struct Polygon {
    rings: Vec<Ring>,
    /// Middle and half angle (radians) of a cap around all of the polygon; `None`: no cap smaller than half of the globe.
    cap: Option<(Vector, f64)>,
}

#[derive(Debug, Clone)]
struct Ring {
    edges: Vec<Edge>,
    holds_north_pole: bool,
}

/// An edge by its ends; a pole as an end has the longitude of the other end.
#[derive(Debug, Clone, Copy)]
struct Edge {
    west: Point,
    east: Point,
    /// It passes longitude 180.
    wraps: bool,
}

impl Polygon {
    /// A polygon of its rings, each closed: its last point is its first.
    ///
    /// `None`: no ring, or one with less than three distinct points, with a point twice, or with an edge between
    /// antipodes. Rings that cross themselves or each other are not looked for.
    pub(crate) fn new(rings: Vec<Vec<Point>>) -> Option<Self> {
        if rings.is_empty() {
            return None;
        }
        let cap = cap_of(rings.iter().flatten().map(|point| point.vector()));
        let rings = rings.into_iter().map(Ring::new).collect::<Option<_>>()?;
        Some(Self { rings, cap })
    }

    /// Whether a point is inside.
    pub(crate) fn contains(&self, point: Point) -> bool {
        let point = point.canonical();
        self.may_reach(point, 0.0) && self.rings.iter().filter(|ring| ring.contains(point)).count() % 2 == 1
    }

    /// Meters from a point to the polygon: 0 inside.
    pub(crate) fn distance(&self, point: Point) -> f64 {
        if self.contains(point) {
            return 0.0;
        }
        let vector = point.vector();
        let edges = self.rings.iter().flat_map(|ring| &ring.edges);
        RADIUS_M * edges.map(|edge| edge.angle(point, vector)).fold(f64::INFINITY, f64::min)
    }

    /// Whether a point is at most `radius` meters away.
    pub(crate) fn is_within(&self, point: Point, radius: f64) -> bool {
        self.may_reach(point, radius / RADIUS_M) && self.distance(point) <= radius
    }

    /// False: the point is certainly farther away than that angle.
    fn may_reach(&self, point: Point, angle: f64) -> bool {
        self.cap.is_none_or(|(middle, half)| {
            dot(middle, point.vector()).clamp(-1.0, 1.0).acos() <= half + angle.max(0.0) + CAP_SLACK
        })
    }
}

/// Around all vertices. If it is smaller than half of the globe, the edges are inside, too, and what is outside of it is on
/// one side of every ring: on the larger one.
fn cap_of(vertices: impl Iterator<Item = Vector> + Clone) -> Option<(Vector, f64)> {
    let mut sum = [0.0; 3];
    for vertex in vertices.clone() {
        sum = [sum[0] + vertex[0], sum[1] + vertex[1], sum[2] + vertex[2]];
    }
    let length = dot(sum, sum).sqrt();
    let middle = sum.map(|axis| axis / length);
    let least = vertices.map(|vertex| dot(middle, vertex)).fold(1.0, f64::min);
    (length > 1e-9 && least > 1e-3).then(|| (middle, least.acos()))
}

impl Ring {
    fn new(points: Vec<Point>) -> Option<Self> {
        let points: Vec<Point> = points.into_iter().map(Point::canonical).collect();
        let (last, corners) = points.split_last()?;
        if corners.len() < 3 || corners[0] != *last {
            return None;
        }
        let mut sorted = corners.to_vec();
        sorted.sort_by(|a, b| a.longitude.total_cmp(&b.longitude).then(a.latitude.total_cmp(&b.latitude)));
        if sorted.windows(2).any(|pair| pair[0] == pair[1]) {
            return None;
        }
        let is_pole = |point: &Point| point.latitude.abs() == 90.0;
        // On the map a pole is a line. An edge that goes to one, or over it, is followed by a stretch of that line.
        let mut path = Vec::with_capacity(points.len() + 4);
        for (number, point) in corners.iter().enumerate() {
            let next = corners[(number + 1) % corners.len()];
            if is_pole(point) {
                let before = corners[(number + corners.len() - 1) % corners.len()];
                path.extend([before, next].map(|end| Point { longitude: end.longitude, ..*point }));
            } else {
                path.push(*point);
            }
            let over_pole = (next.longitude - point.longitude).abs() == 180.0 && !is_pole(point) && !is_pole(&next);
            if over_pole && point.latitude == -next.latitude || is_pole(point) && is_pole(&next) {
                return None;
            }
            if over_pole {
                let latitude = 90.0_f64.copysign(point.latitude + next.latitude);
                path.extend([*point, next].map(|end| Point { latitude, ..end }));
            }
        }
        let (mut edges, mut turned, mut area) = (Vec::with_capacity(path.len()), 0.0, 0.0);
        for (number, from) in path.iter().enumerate() {
            let edge = Edge::new(*from, path[(number + 1) % path.len()]);
            let sign = if edge.west == *from { 1.0 } else { -1.0 };
            turned += sign * edge.width();
            area += sign * edge.area_to_north_pole();
            edges.push(edge);
        }
        // The sum is the area of the region without the south pole, positive if that is on the left. It holds the north
        // pole if the ring goes around the axis.
        let means_that_region = if (area.abs() - TAU).abs() < HALF_SLACK { area > 0.0 } else { area.abs() < TAU };
        let goes_around = turned.abs() > 180.0;
        Some(Self { edges, holds_north_pole: means_that_region == goes_around })
    }

    fn contains(&self, point: Point) -> bool {
        let crossed = self.edges.iter().filter(|edge| edge.covers(point.longitude) && edge.is_north_of(point));
        (crossed.count() % 2 == 1) != self.holds_north_pole
    }
}

impl Edge {
    fn new(a: Point, b: Point) -> Self {
        let (low, high) = if a.longitude <= b.longitude { (a, b) } else { (b, a) };
        // Between antipodal meridians, along a pole's line, it does not wrap.
        let wraps = high.longitude - low.longitude > 180.0;
        if wraps { Self { west: high, east: low, wraps } } else { Self { west: low, east: high, wraps } }
    }

    /// Degrees of longitude from end to end.
    fn width(&self) -> f64 {
        eastward(self.west.longitude, self.east.longitude)
    }

    fn covers(&self, longitude: f64) -> bool {
        let (after_west, before_east) = (self.west.longitude <= longitude, longitude < self.east.longitude);
        if self.wraps { after_west || before_east } else { after_west && before_east }
    }

    /// Whether the edge is north of a point whose longitude it covers.
    ///
    /// With w and e for the edge's ends, A and B for the longitudes from w to p and from p to e, it is where
    /// tan p sin(A + B) < tan w sin B + tan e sin A. Written with differences of tangents, and
    /// sin A + sin B - sin(A + B) = 4 sin(A/2) sin(B/2) sin((A + B)/2), no digits cancel, however near the points are.
    fn is_north_of(&self, point: Point) -> bool {
        let a = eastward(self.west.longitude, point.longitude).to_radians();
        let b = eastward(point.longitude, self.east.longitude).to_radians();
        let above = |end: Point| (end.latitude - point.latitude).to_radians().sin();
        let (cos_w, cos_e) = (self.west.latitude.to_radians().cos(), self.east.latitude.to_radians().cos());
        let bulge = 4.0 * (a / 2.0).sin() * (b / 2.0).sin() * ((a + b) / 2.0).sin();
        let up = above(self.west) * cos_e * b.sin()
            + above(self.east) * cos_w * a.sin()
            + point.latitude.to_radians().sin() * cos_w * cos_e * bulge;
        up > 0.0
    }

    /// Steradians between the edge and the north pole: the lune from pole to equator, less what is between the equator
    /// and the edge (a spherical trapezium).
    fn area_to_north_pole(&self) -> f64 {
        let width = self.width().to_radians();
        let half_tan = |end: Point| (end.latitude.to_radians() / 2.0).tan();
        let (west, east) = (half_tan(self.west), half_tan(self.east));
        width - 2.0 * ((width / 2.0).tan() * (west + east)).atan2(1.0 + west * east)
    }

    /// Radians to a point, whose vector is given.
    fn angle(&self, point: Point, vector: Vector) -> f64 {
        let (a, b) = (self.west.vector(), self.east.vector());
        let to_ends = self.west.angle(point).min(self.east.angle(point));
        // Twice the cross product of the ends, without losing the digits of a short edge.
        let (sum, difference) = ([a[0] + b[0], a[1] + b[1], a[2] + b[2]], [b[0] - a[0], b[1] - a[1], b[2] - a[2]]);
        let normal = cross(sum, difference);
        let length = dot(normal, normal).sqrt();
        let is_beside = dot(cross(normal, a), vector) > 0.0 && dot(cross(b, normal), vector) > 0.0;
        if is_beside { to_ends.min((dot(normal, vector).abs() / length).min(1.0).asin()) } else { to_ends }
    }
}

/// Degrees from one longitude east to another: 0 to 360.
fn eastward(from: f64, to: f64) -> f64 {
    if to >= from { to - from } else { to - from + 360.0 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::at;
    use super::*;

    fn polygon(corners: &[(f64, f64)]) -> Polygon {
        let ring = corners.iter().chain(corners.first()).map(|(longitude, latitude)| at(*longitude, *latitude));
        Polygon::new(vec![ring.collect()]).expect("a polygon")
    }

    fn inside(corners: &[(f64, f64)], place: (f64, f64)) -> bool {
        polygon(corners).contains(at(place.0, place.1))
    }

    #[test]
    fn edges_are_great_circles() {
        // Between longitudes 0 and 60 on latitude 60, the great circle rises to atan(tan 60 / cos 30) = 63.435 degrees.
        let corners = [(0.0, 0.0), (60.0, 0.0), (60.0, 60.0), (0.0, 60.0)];
        assert!(inside(&corners, (30.0, 63.434)));
        assert!(!inside(&corners, (30.0, 63.436)));
    }

    #[test]
    fn a_ring_means_the_smaller_region_either_way_round() {
        let mut corners = vec![(170.0, -10.0), (-170.0, -10.0), (-170.0, 10.0), (170.0, 10.0)];
        for _ in 0..2 {
            for (place, expected) in
                [((180.0, 0.0), true), ((-180.0, 0.0), true), ((175.0, 0.0), true), ((0.0, 0.0), false)]
            {
                assert_eq!(inside(&corners, place), expected, "{place:?}");
            }
            assert!(!inside(&corners, (0.0, 90.0)) && !inside(&corners, (0.0, -90.0)));
            corners.reverse();
        }
        // Around the poles.
        for sign in [1.0, -1.0] {
            let cap = [(0.0, 70.0 * sign), (120.0, 70.0 * sign), (-120.0, 70.0 * sign)];
            assert!(inside(&cap, (77.0, 90.0 * sign)) && inside(&cap, (0.0, 80.0 * sign)));
            assert!(!inside(&cap, (77.0, -90.0 * sign)) && !inside(&cap, (0.0, 60.0 * sign)));
        }
        // A band from pole to pole, except for one gap, is smaller than what it leaves.
        let band = [(0.0, -89.0), (20.0, -89.0), (20.0, 89.0), (0.0, 89.0)];
        assert!(inside(&band, (10.0, 0.0)) && !inside(&band, (30.0, 0.0)) && !inside(&band, (-170.0, 0.0)));
        // Half of the globe: the region on the left.
        let equator = [(0.0, 0.0), (120.0, 0.0), (-120.0, 0.0)];
        assert!(inside(&equator, (5.0, 1.0)) && !inside(&equator, (5.0, -1.0)));
        let backwards = [(0.0, 0.0), (-120.0, 0.0), (120.0, 0.0)];
        assert!(!inside(&backwards, (5.0, 1.0)) && inside(&backwards, (5.0, -1.0)));
    }

    #[test]
    fn poles_may_be_corners_and_lie_on_edges() {
        let octant = [(0.0, 0.0), (90.0, 0.0), (33.0, 90.0)];
        assert!(inside(&octant, (45.0, 45.0)) && inside(&octant, (45.0, 89.999)));
        assert!(!inside(&octant, (-45.0, 45.0)) && !inside(&octant, (91.0, 89.999)) && !inside(&octant, (45.0, -1.0)));
        // An edge over the north pole, from longitude 0 to 180.
        let over = [(0.0, 80.0), (90.0, 80.0), (180.0, 80.0)];
        assert!(inside(&over, (90.0, 85.0)) && inside(&over, (1.0, 89.0)) && !inside(&over, (-90.0, 85.0)));
        let south = [(0.0, -80.0), (90.0, -80.0), (180.0, -80.0)];
        assert!(inside(&south, (90.0, -85.0)) && !inside(&south, (-90.0, -85.0)));
    }

    #[test]
    fn distances_are_to_the_nearest_border() {
        let corners = [(0.0, 0.0), (10.0, 0.0), (10.0, 10.0), (0.0, 10.0)];
        let square = polygon(&corners);
        let degree = RADIUS_M.to_radians();
        for (place, degrees) in [((5.0, -2.0), 2.0), ((5.0, 5.0), 0.0), ((10.0, -3.0), 3.0), ((5.0, -90.0), 90.0)] {
            let found = square.distance(at(place.0, place.1)) / degree;
            assert!((found - degrees).abs() < 1e-9, "{place:?} {found}");
        }
        assert!((square.distance(at(-1.0, -1.0)) - at(-1.0, -1.0).distance(at(0.0, 0.0))).abs() < 1e-6);
        assert!(square.is_within(at(5.0, -2.0), 2.1 * degree) && !square.is_within(at(5.0, -2.0), 1.9 * degree));
    }

    /// Latitudes and longitudes of a grid over the globe, poles and longitude 180 included.
    fn grid(columns: &[f64], rows: &[f64]) -> Vec<Polygon> {
        let mut cells = Vec::new();
        for (n, west) in columns.iter().enumerate() {
            let east = columns[(n + 1) % columns.len()];
            for pair in rows.windows(2) {
                let (south, north) = (pair[0], pair[1]);
                cells.push(match (south == -90.0, north == 90.0) {
                    (true, true) => continue,
                    (true, false) => polygon(&[(*west, -90.0), (east, north), (*west, north)]),
                    (false, true) => polygon(&[(*west, south), (east, south), (east, 90.0)]),
                    (false, false) => polygon(&[(*west, south), (east, south), (east, north), (*west, north)]),
                });
            }
        }
        cells
    }

    proptest! {
        #[test]
        fn every_point_is_in_one_polygon_of_a_cover(
            // Points with whole and half degrees meet borders and corners.
            longitude in prop_oneof![-180.0..=180.0, (-360..=360).prop_map(|n| f64::from(n) / 2.0)],
            latitude in prop_oneof![-90.0..=90.0, (-180..=180).prop_map(|n| f64::from(n) / 2.0)],
            // No two columns are 180 degrees apart: edges go the short way.
            first in -180..-90, second in -60..0, third in 95..120,
            low in -89..0, high in 1..90,
        ) {
            let cover = grid(
                &[first, second, third].map(f64::from),
                &[-90.0, f64::from(low), f64::from(high), 90.0],
            );
            prop_assert_eq!(cover.len(), 9);
            let place = at(longitude, latitude);
            prop_assert_eq!(cover.iter().filter(|cell| cell.contains(place)).count(), 1);
        }

        #[test]
        fn corners_of_a_fan_belong_to_one_triangle(
            longitude in -180.0..180.0, latitude in -89.0..89.0, radius in 1.0..5e6,
        ) {
            let center = at(longitude, latitude);
            let rim = super::super::circle(center, radius, radius * 0.05).expect("a circle");
            let whole = Polygon::new(vec![rim.clone()]).expect("a polygon");
            let fan: Vec<Polygon> = rim
                .windows(2)
                .map(|side| Polygon::new(vec![vec![center, side[0], side[1], center]]).expect("a triangle"))
                .collect();
            for place in rim.iter().chain([&center]) {
                let count = fan.iter().filter(|triangle| triangle.contains(*place)).count();
                prop_assert_eq!(count, usize::from(whole.contains(*place)), "{:?}", place);
            }
        }
    }
}

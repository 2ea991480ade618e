//! Geometry on the sphere: points, distances, circles, and polygons with great circles as edges.
//!
//! Longitudes and latitudes are in degrees, lengths in meters, and Earth is a sphere of its mean radius.

mod polygon;

pub(crate) use polygon::Polygon;

/// Earth's mean radius in meters, as S2 and Kusto take it.
pub(crate) const RADIUS_M: f64 = 6_371_010.0;

/// Least deviation that a circle's polygon may be asked for, as a part of the radius
/// (<https://learn.microsoft.com/kusto/query/geo-point-buffer-function>).
const LEAST_TOLERANCE: f64 = 1e-6;

/// A place on the globe.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Point {
    pub(crate) longitude: f64,
    pub(crate) latitude: f64,
}

pub(crate) type Vector = [f64; 3];

impl Point {
    /// `None`: off the globe.
    pub(crate) fn new(longitude: f64, latitude: f64) -> Option<Self> {
        let is_on_globe = (-180.0..=180.0).contains(&longitude) && (-90.0..=90.0).contains(&latitude);
        is_on_globe.then_some(Self { longitude, latitude })
    }

    /// The one name of the place: its longitude is in [-180, 180), and 0 at the poles; no zero is negative.
    fn canonical(self) -> Self {
        let longitude = if self.latitude.abs() == 90.0 || self.longitude == 0.0 {
            0.0
        } else if self.longitude == 180.0 {
            -180.0
        } else {
            self.longitude
        };
        Self { longitude, latitude: if self.latitude == 0.0 { 0.0 } else { self.latitude } }
    }

    /// The angle to another point in radians, by the haversine formula, which keeps its digits for near points.
    fn angle(self, other: Self) -> f64 {
        let (from, to) = (self.latitude.to_radians(), other.latitude.to_radians());
        let across = (other.longitude - self.longitude).to_radians();
        let (up, across) = (((to - from) / 2.0).sin(), (across / 2.0).sin());
        let half_chord = up * up + from.cos() * to.cos() * across * across;
        2.0 * half_chord.sqrt().min(1.0).asin()
    }

    /// Meters to another point.
    pub(crate) fn distance(self, other: Self) -> f64 {
        RADIUS_M * self.angle(other)
    }

    /// The unit vector, with x through longitude 0 on the equator, y through longitude 90, z through the north pole.
    pub(crate) fn vector(self) -> Vector {
        let ((sin_lng, cos_lng), (sin_lat, cos_lat)) =
            (self.longitude.to_radians().sin_cos(), self.latitude.to_radians().sin_cos());
        [cos_lng * cos_lat, sin_lng * cos_lat, sin_lat]
    }

    fn of_vector([x, y, z]: Vector) -> Option<Self> {
        Self::new(y.atan2(x).to_degrees(), z.atan2(x.hypot(y)).to_degrees())
    }
}

/// A regular polygon around the circle of `radius` meters: the circle touches its edges, and its vertices are at most
/// `tolerance` meters outside. Counterclockwise, and the first point again at the end. A tolerance beyond the radius
/// counts as the largest below it.
///
/// `None`: a radius that is not positive or takes in half of the globe (no polygon says that), a tolerance below a
/// millionth of the radius, or a circle too small for coordinates to tell its vertices apart.
pub(crate) fn circle(center: Point, radius: f64, tolerance: f64) -> Option<Vec<Point>> {
    let quarter = std::f64::consts::FRAC_PI_2;
    let is_allowed = radius > 0.0 && radius / RADIUS_M < quarter && tolerance >= radius * LEAST_TOLERANCE;
    if !is_allowed {
        return None;
    }
    let inner = radius / RADIUS_M;
    let outer = inner + tolerance.min(radius.next_down()) / RADIUS_M;
    // A vertex stays on the center's side of the globe.
    let outer = outer.min(f64::midpoint(inner, quarter));
    // The right triangle of center, an edge's middle and a vertex (Napier's rules).
    let half_step = (inner.tan() / outer.tan()).acos();
    let count = (std::f64::consts::PI / half_step).ceil().max(3.0);
    let to_vertex = (inner.tan() / (std::f64::consts::PI / count).cos()).atan();

    let ((sin_lng, cos_lng), (sin_lat, cos_lat)) =
        (center.longitude.to_radians().sin_cos(), center.latitude.to_radians().sin_cos());
    let [up, north, east] = [
        [cos_lng * cos_lat, sin_lng * cos_lat, sin_lat],
        [-cos_lng * sin_lat, -sin_lng * sin_lat, cos_lat],
        [-sin_lng, cos_lng, 0.0],
    ];
    let (sin_out, cos_out) = to_vertex.sin_cos();
    let mut points = Vec::with_capacity(count as usize + 1);
    for step in 0..count as usize {
        let (sin_turn, cos_turn) = (std::f64::consts::TAU * step as f64 / count).sin_cos();
        // From north by west, which is counterclockwise.
        let axis = |n: usize| up[n] * cos_out + (north[n] * cos_turn - east[n] * sin_turn) * sin_out;
        points.push(Point::of_vector([axis(0), axis(1), axis(2)])?);
    }
    points.push(points[0]);
    points.windows(2).all(|pair| pair[0] != pair[1]).then_some(points)
}

fn dot(a: Vector, b: Vector) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

fn cross(a: Vector, b: Vector) -> Vector {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(super) fn at(longitude: f64, latitude: f64) -> Point {
        Point::new(longitude, latitude).expect("on the globe")
    }

    /// The least and the greatest distance of the ring's edges from the center.
    fn reach(ring: &[Point], center: Point) -> (f64, f64) {
        let outer = ring.iter().map(|vertex| vertex.distance(center)).fold(0.0, f64::max);
        let middle = |pair: &[Point]| {
            let (a, b) = (pair[0].vector(), pair[1].vector());
            Point::of_vector([a[0] + b[0], a[1] + b[1], a[2] + b[2]]).expect("between them").distance(center)
        };
        (ring.windows(2).map(middle).fold(f64::MAX, f64::min), outer)
    }

    #[test]
    fn what_no_polygon_says_is_no_circle() {
        let center = at(10.0, 10.0);
        for (radius, tolerance) in [
            (0.0, 1.0),
            (-1.0, 1.0),
            (f64::NAN, 1.0),
            (1.1e7, 1.0),
            (1000.0, 0.000_9),
            (1000.0, f64::NAN),
            (1e-12, 1e-12),
        ] {
            assert_eq!(circle(center, radius, tolerance), None, "{radius} {tolerance}");
        }
        // The coarsest one is a triangle with vertices at nearly twice the radius.
        let triangle = circle(center, 1000.0, f64::INFINITY).expect("a triangle");
        assert_eq!(triangle.len(), 4);
        assert!((reach(&triangle, center).1 - 2000.0).abs() < 0.01);
    }

    proptest! {
        #[test]
        fn a_circle_touches_its_edges_and_vertices_are_within_the_tolerance(
            longitude in -180.0..180.0, latitude in -90.0..=90.0, radius in 1.0..9e6, part in 0.000_01..2.0,
        ) {
            let (center, tolerance) = (at(longitude, latitude), radius * part);
            let ring = circle(center, radius, tolerance).expect("a circle");
            prop_assert_eq!(ring.first(), ring.last());
            let (inner, outer) = reach(&ring, center);
            // Coordinates are good to a few nanometers.
            prop_assert!((inner - radius).abs() < 1e-7 * radius.max(1.0), "{inner} {radius}");
            prop_assert!(outer <= radius + tolerance + 1e-6, "{outer} {radius} {tolerance}");
            let polygon = Polygon::new(vec![ring]).expect("a polygon");
            prop_assert!(polygon.contains(center));
        }
    }
}

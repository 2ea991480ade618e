//! Conversions between units of measure.
//!
//! The units' names are those of the functions' pages below <https://learn.microsoft.com/kusto/query/> (`convert_length` and
//! its kin); the factors, those of SI, of the international yard and pound, and of the 2019 definition of the electron volt.

use arrow::array::ArrayRef;
use weir_contract::schema::ColumnType::Real;

use super::args::Args;
use super::{Function, Returns, Want, function};

const PARAMS: &[Want] = &[Want::Real, Want::Str, Want::Str];
const REAL: Returns = Returns::Ty(Real);

#[rustfmt::skip]
pub(super) const FUNCTIONS: &[Function] = &[
    function("convert_angle", PARAMS, REAL, |args| convert(args, |unit| find(ANGLES, unit)), "`convert_angle(value, from, to)`: null for an unknown unit"),
    function("convert_energy", PARAMS, REAL, |args| convert(args, |unit| find(ENERGIES, unit)), "`convert_energy(value, from, to)`"),
    function("convert_force", PARAMS, REAL, |args| convert(args, |unit| find(FORCES, unit)), "`convert_force(value, from, to)`"),
    function("convert_length", PARAMS, REAL, |args| convert(args, |unit| find(LENGTHS, unit)), "`convert_length(value, from, to)`"),
    function("convert_mass", PARAMS, REAL, |args| convert(args, |unit| find(MASSES, unit)), "`convert_mass(value, from, to)`"),
    function("convert_speed", PARAMS, REAL, |args| convert(args, speed), "`convert_speed(value, from, to)`"),
    function("convert_temperature", PARAMS, REAL, |args| convert(args, temperature), "`convert_temperature(value, from, to)`"),
    function("convert_volume", PARAMS, REAL, |args| convert(args, |unit| find(VOLUMES, unit)), "`convert_volume(value, from, to)`"),
];

/// A unit: so many base units, after so many are added.
type Unit = (f64, f64);

fn convert(args: &Args<'_>, unit: fn(&str) -> Option<Unit>) -> ArrayRef {
    let (value, from, to) = (args.real(0), args.text(1), args.text(2));
    args.reals(|row| {
        let ((scale, offset), (to_scale, to_offset)) = (unit(from.get(row))?, unit(to.get(row))?);
        Some((value.get(row)? + offset) * scale / to_scale - to_offset)
    })
}

fn find(units: &[(&str, f64)], name: &str) -> Option<Unit> {
    units.iter().find(|(unit, _)| *unit == name).map(|(_, scale)| (*scale, 0.0))
}

/// `KilometerPerHour` and its kin; base meter per second.
fn speed(name: &str) -> Option<Unit> {
    match name {
        "Knot" => return Some((1_852.0 / 3_600.0, 0.0)),
        // At sea level, 15 °C.
        "Mach" => return Some((340.29, 0.0)),
        _ => {}
    }
    let (length, time) = name.split_once("Per")?;
    let seconds = match time {
        "Hour" => 3_600.0,
        "Minute" => 60.0,
        "Second" => 1.0,
        _ => return None,
    };
    find(LENGTHS, length).map(|(meters, _)| (meters / seconds, 0.0))
}

/// Base kelvin.
fn temperature(name: &str) -> Option<Unit> {
    Some(match name {
        "Kelvin" => (1.0, 0.0),
        "DegreeCelsius" => (1.0, 273.15),
        "MillidegreeCelsius" => (1e-3, 273_150.0),
        "DegreeDelisle" => (-2.0 / 3.0, -559.725),
        "DegreeFahrenheit" => (5.0 / 9.0, 459.67),
        "DegreeNewton" => (100.0 / 33.0, 90.139_5),
        "DegreeRankine" => (5.0 / 9.0, 0.0),
        "DegreeReaumur" => (1.25, 218.52),
        "DegreeRoemer" => (40.0 / 21.0, 135.903_75),
        "SolarTemperature" => (5_778.0, 0.0),
        _ => return None,
    })
}

/// One radian in degrees.
const RADIAN: f64 = 180.0 / std::f64::consts::PI;

/// In degrees.
#[rustfmt::skip]
const ANGLES: &[(&str, f64)] = &[
    ("Arcminute", 1.0 / 60.0),
    ("Arcsecond", 1.0 / 3_600.0),
    ("Centiradian", 0.01 * RADIAN),
    ("Deciradian", 0.1 * RADIAN),
    ("Degree", 1.0),
    ("Gradian", 0.9),
    ("Microdegree", 1e-6),
    ("Microradian", 1e-6 * RADIAN),
    ("Millidegree", 1e-3),
    ("Milliradian", 1e-3 * RADIAN),
    ("Nanodegree", 1e-9),
    ("Nanoradian", 1e-9 * RADIAN),
    ("NatoMil", 360.0 / 6_400.0),
    ("Radian", RADIAN),
    ("Revolution", 360.0),
];

/// In joules.
#[rustfmt::skip]
const ENERGIES: &[(&str, f64)] = &[
    ("BritishThermalUnit", 1_055.055_852_62),
    ("Calorie", 4.184),
    ("ElectronVolt", 1.602_176_634e-19),
    ("Erg", 1e-7),
    ("FootPound", 1.355_817_948_331_400_4),
    ("GigabritishThermalUnit", 1.055_055_852_62e12),
    ("GigaelectronVolt", 1.602_176_634e-10),
    ("Gigajoule", 1e9),
    ("GigawattDay", 8.64e13),
    ("GigawattHour", 3.6e12),
    ("HorsepowerHour", 2.684_519_537_696_173e6),
    ("Joule", 1.0),
    ("KilobritishThermalUnit", 1.055_055_852_62e6),
    ("Kilocalorie", 4_184.0),
    ("KiloelectronVolt", 1.602_176_634e-16),
    ("Kilojoule", 1e3),
    ("KilowattDay", 8.64e7),
    ("KilowattHour", 3.6e6),
    ("MegabritishThermalUnit", 1.055_055_852_62e9),
    ("Megacalorie", 4.184e6),
    ("MegaelectronVolt", 1.602_176_634e-13),
    ("Megajoule", 1e6),
    ("MegawattDay", 8.64e10),
    ("MegawattHour", 3.6e9),
    ("Millijoule", 1e-3),
    ("TeraelectronVolt", 1.602_176_634e-7),
    ("Terajoule", 1e12),
    ("TerawattDay", 8.64e16),
    ("TerawattHour", 3.6e15),
    ("ThermEc", 1.055_055_852_62e8),
    ("ThermUs", 1.054_804e8),
    ("WattDay", 86_400.0),
    ("WattHour", 3_600.0),
];

/// In newtons.
#[rustfmt::skip]
const FORCES: &[(&str, f64)] = &[
    ("Decanewton", 10.0),
    ("Dyn", 1e-5),
    ("KiloPond", 9.806_65),
    ("KilogramForce", 9.806_65),
    ("Kilonewton", 1e3),
    ("KilopoundForce", 4_448.221_615_260_5),
    ("Meganewton", 1e6),
    ("Micronewton", 1e-6),
    ("Millinewton", 1e-3),
    ("Newton", 1.0),
    ("OunceForce", 0.278_013_850_953_781_2),
    ("PoundForce", 4.448_221_615_260_5),
    ("Poundal", 0.138_254_954_376),
    ("ShortTonForce", 8_896.443_230_521),
    ("TonneForce", 9_806.65),
];

/// In meters.
#[rustfmt::skip]
const LENGTHS: &[(&str, f64)] = &[
    ("Angstrom", 1e-10),
    ("AstronomicalUnit", 1.495_978_707e11),
    ("Centimeter", 0.01),
    ("Chain", 20.1168),
    ("Decameter", 10.0),
    ("Decimeter", 0.1),
    ("Fathom", 1.8288),
    ("Foot", 0.3048),
    ("Hand", 0.1016),
    ("Hectometer", 100.0),
    ("Inch", 0.0254),
    ("Kilometer", 1e3),
    ("LightYear", 9.460_730_472_580_8e15),
    ("Meter", 1.0),
    ("Microinch", 2.54e-8),
    ("Micrometer", 1e-6),
    ("Mil", 2.54e-5),
    ("Mile", 1_609.344),
    ("Millimeter", 1e-3),
    ("Nanometer", 1e-9),
    ("NauticalMile", 1_852.0),
    ("Parsec", 3.085_677_581_491_367e16),
    ("Shackle", 27.432),
    ("UsSurveyFoot", 1_200.0 / 3_937.0),
    ("Yard", 0.9144),
];

/// In kilograms.
#[rustfmt::skip]
const MASSES: &[(&str, f64)] = &[
    ("Centigram", 1e-5),
    ("Decagram", 0.01),
    ("Decigram", 1e-4),
    ("Grain", 6.479_891e-5),
    ("Gram", 1e-3),
    ("Hectogram", 0.1),
    ("Kilogram", 1.0),
    ("Kilopound", 453.592_37),
    ("Kilotonne", 1e6),
    ("LongHundredweight", 50.802_345_44),
    ("LongTon", 1_016.046_908_8),
    ("Megapound", 453_592.37),
    ("Megatonne", 1e9),
    ("Microgram", 1e-9),
    ("Milligram", 1e-6),
    ("Nanogram", 1e-12),
    ("Ounce", 0.028_349_523_125),
    ("Pound", 0.453_592_37),
    ("ShortHundredweight", 45.359_237),
    ("ShortTon", 907.184_74),
    ("Slug", 14.593_902_937_206_36),
    ("Stone", 6.350_293_18),
    ("Tonne", 1e3),
];

/// In cubic meters.
#[rustfmt::skip]
const VOLUMES: &[(&str, f64)] = &[
    ("AcreFoot", 1_233.481_837_547_52),
    ("BoardFoot", 0.002_359_737_216),
    ("Centiliter", 1e-5),
    ("CubicCentimeter", 1e-6),
    ("CubicDecimeter", 1e-3),
    ("CubicFoot", 0.028_316_846_592),
    ("CubicHectometer", 1e6),
    ("CubicInch", 1.638_706_4e-5),
    ("CubicKilometer", 1e9),
    ("CubicMeter", 1.0),
    ("CubicMicrometer", 1e-18),
    ("CubicMile", 4.168_181_825_440_579_6e9),
    ("CubicMillimeter", 1e-9),
    ("CubicYard", 0.764_554_857_984),
    ("Deciliter", 1e-4),
    ("Hectoliter", 0.1),
    ("ImperialGallon", 4.546_09e-3),
    ("ImperialOunce", 2.841_306_25e-5),
    ("ImperialPint", 5.682_612_5e-4),
    ("Kiloliter", 1.0),
    ("Liter", 1e-3),
    ("Megaliter", 1e3),
    ("Microliter", 1e-9),
    ("Milliliter", 1e-6),
    ("OilBarrel", 0.158_987_294_928),
    ("UsCustomaryCup", 2.365_882_365e-4),
    ("UsGallon", 3.785_411_784e-3),
    ("UsOunce", 2.957_352_956_25e-5),
    ("UsPint", 4.731_764_73e-4),
    ("UsQuart", 9.463_529_46e-4),
    ("UsTablespoon", 1.478_676_478_125e-5),
    ("UsTeaspoon", 4.928_921_593_75e-6),
];

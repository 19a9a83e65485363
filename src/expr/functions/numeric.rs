//! Functions of numbers.
//!
//! DOUBLE follows IEEE 754, so LN(-1) is NaN and no note; whole numbers wrap; a DECIMAL that does not
//! fit its type is NULL and a note.

use super::call::*;
use super::rounding::{round_double, trunc_double};
use crate::expr::function::{Arg, Binding, Category, Function};
use crate::types::SqlType;
use crate::value::Value;

const fn numeric(
    name: &'static str,
    usage: &'static str,
    summary: &'static str,
    resolve: fn(&[Arg]) -> Resolved,
) -> Function {
    Function { name, category: Category::Numeric, usage, summary, binding: Binding::Plain, resolve }
}

/// Functions from DOUBLE to DOUBLE: one line each.
macro_rules! doubles {
    ($($name:ident $usage:literal $summary:literal $f:expr;)+) => {$(
        pub const $name: Function = numeric(stringify!($name), $usage, $summary, |args| {
            let f: fn(f64) -> f64 = $f;
            unary::<Double, Double>(args, move |x| some(f(x)))
        });
    )+};
}

doubles! {
    ACOS "ACOS(x) → DOUBLE" "The arc cosine, in radians." f64::acos;
    ASIN "ASIN(x) → DOUBLE" "The arc sine, in radians." f64::asin;
    ATAN "ATAN(x) → DOUBLE" "The arc tangent, in radians." f64::atan;
    CBRT "CBRT(x) → DOUBLE" "The cube root." f64::cbrt;
    COS "COS(x) → DOUBLE" "The cosine of an angle in radians." f64::cos;
    COSH "COSH(x) → DOUBLE" "The hyperbolic cosine." f64::cosh;
    COT "COT(x) → DOUBLE" "The cotangent of an angle in radians." |x| 1.0 / x.tan();
    DEGREES "DEGREES(x) → DOUBLE" "An angle in radians, in degrees." f64::to_degrees;
    EXP "EXP(x) → DOUBLE" "e to the power of x." f64::exp;
    LN "LN(x) → DOUBLE" "The natural logarithm." f64::ln;
    RADIANS "RADIANS(x) → DOUBLE" "An angle in degrees, in radians." f64::to_radians;
    SIN "SIN(x) → DOUBLE" "The sine of an angle in radians." f64::sin;
    SINH "SINH(x) → DOUBLE" "The hyperbolic sine." f64::sinh;
    SQRT "SQRT(x) → DOUBLE" "The square root." f64::sqrt;
    TAN "TAN(x) → DOUBLE" "The tangent of an angle in radians." f64::tan;
    TANH "TANH(x) → DOUBLE" "The hyperbolic tangent." f64::tanh;
}

pub const ABS: Function =
    numeric("ABS", "ABS(x) → the argument's type", "The value without its sign.", |args| {
        one_of(
            args,
            &[
                |args| unary::<Int, Int>(args, |x| some(x.wrapping_abs())),
                |args| unary::<Bigint, Bigint>(args, |x| some(x.wrapping_abs())),
                |args| decimal(args, "ABS", 1, |x, _, _| x.abs()),
                |args| unary::<Double, Double>(args, |x| some(x.abs())),
            ],
        )
    });

pub const CEIL: Function =
    numeric("CEIL", "CEIL(x) → the argument's type", "The least whole number that is not less.", |args| {
        one_of(
            args,
            &[
                |args| unary::<Int, Int>(args, some),
                |args| unary::<Bigint, Bigint>(args, some),
                |args| decimal(args, "CEIL", 1, |x, unit, _| -(-x).div_euclid(unit) * unit),
                |args| unary::<Double, Double>(args, |x| some(x.ceil())),
            ],
        )
    });

pub const FLOOR: Function = numeric(
    "FLOOR",
    "FLOOR(x) → the argument's type",
    "The greatest whole number that is not greater.",
    |args| {
        one_of(
            args,
            &[
                |args| unary::<Int, Int>(args, some),
                |args| unary::<Bigint, Bigint>(args, some),
                |args| decimal(args, "FLOOR", 1, |x, unit, _| x.div_euclid(unit) * unit),
                |args| unary::<Double, Double>(args, |x| some(x.floor())),
            ],
        )
    },
);

pub const ROUND: Function = numeric(
    "ROUND",
    "ROUND(x) → BIGINT, or DECIMAL for a DECIMAL\nROUND(x, places) → DOUBLE, or DECIMAL for a DECIMAL",
    "The nearest number with so many places; the half is rounded up, towards the greater number.",
    |args| match args.len() {
        1 => one_of(
            args,
            &[
                |args| unary::<Bigint, Bigint>(args, some),
                |args| whole_decimal(args, "ROUND", round_to),
                |args| unary::<Double, Bigint>(args, |x| some(round_half_up(x))),
            ],
        ),
        2 => one_of(
            args,
            &[
                |args| decimal(args, "ROUND", 2, |x, _, unit| round_to(x, unit) * unit),
                |args| binary::<Double, Int, Double>(args, |x, places| some(round_double(x, places))),
            ],
        ),
        _ => count(args, "1 or 2"),
    },
);

pub const TRUNC: Function = numeric(
    "TRUNC",
    "TRUNC(x) → BIGINT, or DECIMAL for a DECIMAL\nTRUNC(x, places) → DOUBLE, or DECIMAL for a DECIMAL",
    "The number cut off behind so many places.",
    |args| match args.len() {
        1 => one_of(
            args,
            &[
                |args| unary::<Bigint, Bigint>(args, some),
                |args| whole_decimal(args, "TRUNC", |x, unit| x / unit),
                |args| unary::<Double, Bigint>(args, |x| some(x as i64)),
            ],
        ),
        2 => one_of(
            args,
            &[
                |args| decimal(args, "TRUNC", 2, |x, _, unit| x / unit * unit),
                |args| binary::<Double, Int, Double>(args, |x, places| some(trunc_double(x, places))),
            ],
        ),
        _ => count(args, "1 or 2"),
    },
);

pub const SIGN: Function = numeric("SIGN", "SIGN(x) → INTEGER", "-1, 0 or 1.", |args| {
    one_of(
        args,
        &[
            |args| unary::<Bigint, Int>(args, |x| some(x.signum() as i32)),
            |args| unary::<Double, Int>(args, |x| some((x > 0.0) as i32 - (x < 0.0) as i32)),
        ],
    )
});

pub const ATAN2: Function =
    numeric("ATAN2", "ATAN2(y, x) → DOUBLE", "The angle of a point, in radians.", |args| {
        binary::<Double, Double, Double>(args, |y, x| some(y.atan2(x)))
    });

pub const POWER: Function =
    numeric("POWER", "POWER(base, exponent) → DOUBLE", "The power of a base.", |args| {
        binary::<Double, Double, Double>(args, |base, exponent| some(base.powf(exponent)))
    });

pub const LOG: Function = numeric(
    "LOG",
    "LOG(x) → DOUBLE\nLOG(base, x) → DOUBLE",
    "The logarithm to a base; without one, the natural logarithm.",
    |args| match args.len() {
        1 => unary::<Double, Double>(args, |x| some(x.ln())),
        2 => binary::<Double, Double, Double>(args, |base, x| some(x.ln() / base.ln())),
        _ => count(args, "1 or 2"),
    },
);

pub const PI: Function =
    numeric("PI", "PI() → DOUBLE", "The ratio of a circle's circumference to its diameter.", |args| {
        values(args, vec![], SqlType::Double, |_| some(Value::Double(std::f64::consts::PI)))
    });

pub const GEO_DISTANCE: Function = numeric(
    "GEO_DISTANCE",
    "GEO_DISTANCE(latitude1, longitude1, latitude2, longitude2[, unit]) → DOUBLE",
    "The length of the great circle between two places in degrees, in 'KM', as without a unit, or 'MI'.",
    |args| {
        let mut types = vec![SqlType::Double; 4];
        match args.len() {
            4 => {}
            5 => types.push(SqlType::Varchar),
            _ => return count(args, "4 or 5"),
        }
        values_or_null(args, types, SqlType::Double, |given| {
            let [
                Value::Double(lat1),
                Value::Double(lon1),
                Value::Double(lat2),
                Value::Double(lon2),
                unit @ ..,
            ] = given
            else {
                return Ok(None);
            };
            let radius = match unit {
                [Value::Varchar(unit)] => earth_radius(unit)?,
                _ => EARTH_KM,
            };
            great_circle([*lat1, *lon1], [*lat2, *lon2]).map(|angle| Some(Value::Double(radius * angle)))
        })
    },
);

pub const GENERATE_SERIES: Function = numeric(
    "GENERATE_SERIES",
    "GENERATE_SERIES(first, last[, step]) → ARRAY<INTEGER> or ARRAY<BIGINT>",
    "The numbers from the first to the last, which is in it.",
    |args| {
        if !(2..=3).contains(&args.len()) {
            return count(args, "2 or 3");
        }
        let ends = common_type(&args[..2])?;
        let mut types = vec![ends.clone(), ends.clone(), SqlType::Int];
        types.truncate(args.len());
        match ends {
            SqlType::Int => values(args, types, SqlType::Array(Box::new(ends)), |given| {
                series(given).map(|all| Some(Value::Array(all.map(|n| Value::Int(n as i32)).collect())))
            }),
            SqlType::Bigint => values(args, types, SqlType::Array(Box::new(ends)), |given| {
                series(given).map(|all| Some(Value::Array(all.map(Value::Bigint).collect())))
            }),
            _ => misfit(args, 0, "INTEGER or BIGINT"),
        }
    },
);

/// Ties go to the greater number, and what is out of range to the end of the range, as in Java.
fn round_half_up(x: f64) -> i64 {
    let floor = x.floor();
    (if x - floor >= 0.5 { floor + 1.0 } else { floor }) as i64
}

/// How many units: the nearest, ties to the greater.
fn round_to(x: i128, unit: i128) -> i128 {
    let rest = x.rem_euclid(unit);
    x.div_euclid(unit) + (rest >= unit - rest) as i128
}

fn decimal_type(args: &[Arg]) -> Result<(SqlType, u8, u8), String> {
    match args.first().and_then(|arg| arg.ty) {
        Some(ty @ &SqlType::Decimal { precision, scale }) => Ok((ty.clone(), precision, scale)),
        _ => misfit(args, 0, "a number"),
    }
}

/// A function of a DECIMAL that keeps its scale, and has one digit more since 9.9 may become 10.0: of the digits, the digits that make 1 and, where
/// `arity` is 2, the digits that make one unit of the last place asked for.
fn decimal(args: &[Arg], name: &'static str, arity: usize, f: fn(i128, i128, i128) -> i128) -> Resolved {
    let (ty, precision, scale) = decimal_type(args)?;
    let mut types = vec![ty, SqlType::Int];
    types.truncate(arity);
    let precision = if name == "ABS" { precision } else { precision.saturating_add(1).min(38) };
    let returns = SqlType::Decimal { precision, scale };
    values(args, types, returns, move |given| {
        let (Value::Decimal(x, _), places) = (&given[0], given.get(1)) else { return Ok(None) };
        let places = if let Some(Value::Int(places)) = places { *places } else { 0 };
        // A unit beyond all digits leaves zero, whatever its size.
        let power = (scale as i32).saturating_sub(places).clamp(0, 38) as u32;
        let result = f(*x, 10i128.pow(scale as u32), 10i128.pow(power));
        fit(name, *x, scale, result, precision).map(|result| Some(Value::Decimal(result, scale)))
    })
}

/// A function from a DECIMAL to a DECIMAL without places.
fn whole_decimal(args: &[Arg], name: &'static str, f: fn(i128, i128) -> i128) -> Resolved {
    let (ty, precision, scale) = decimal_type(args)?;
    // One digit more, since 9.9 becomes 10.
    let whole = precision.saturating_sub(scale).saturating_add(1).min(38);
    let returns = SqlType::Decimal { precision: whole, scale: 0 };
    values(args, vec![ty], returns, move |given| {
        let Value::Decimal(x, _) = given[0] else { return Ok(None) };
        let result = f(x, 10i128.pow(scale as u32));
        fit(name, x, scale, result, whole).map(|result| Some(Value::Decimal(result, 0)))
    })
}

fn fit(name: &str, x: i128, scale: u8, result: i128, precision: u8) -> Result<i128, String> {
    if result.unsigned_abs() < 10u128.pow(precision as u32) {
        return Ok(result);
    }
    let digits = 10f64.powi(scale as i32);
    Err(format!("{name}: the result for {} does not fit {precision} digits", x as f64 / digits))
}

const EARTH_KM: f64 = 6_371.0;
const EARTH_MILES: f64 = 3_959.0;

fn earth_radius(unit: &str) -> Result<f64, String> {
    let unit_lower = unit.to_ascii_lowercase();
    if unit_lower.starts_with("km") || unit_lower.starts_with("kilomet") {
        Ok(EARTH_KM)
    } else if unit_lower.starts_with("mi") {
        Ok(EARTH_MILES)
    } else {
        Err(format!("GEO_DISTANCE: unknown unit {}; hint: 'KM' or 'MI'", shown(unit)))
    }
}

/// The angle between two places by the haversine formula.
fn great_circle(a: [f64; 2], b: [f64; 2]) -> Result<f64, String> {
    for [latitude, longitude] in [a, b] {
        if !(-90.0..=90.0).contains(&latitude) {
            return Err(format!("GEO_DISTANCE: latitude {latitude} is not within -90 and 90"));
        }
        if !(-180.0..=180.0).contains(&longitude) {
            return Err(format!("GEO_DISTANCE: longitude {longitude} is not within -180 and 180"));
        }
    }
    // The steps and their order are those of Java's, so that the last digits are too.
    let radians = |degrees: f64| degrees / 180.0 * std::f64::consts::PI;
    let half_sine = |from: f64, to: f64| (radians(to - from) / 2.0).sin().powi(2);
    let across = half_sine(a[1], b[1]) * radians(a[0]).cos() * radians(b[0]).cos();
    Ok(2.0 * (half_sine(a[0], b[0]) + across).sqrt().min(1.0).asin())
}

/// The longest series; ends from columns are no reason to fill the memory.
const SERIES_MAX: i128 = 100_000;

fn series(given: &[Value]) -> Result<impl Iterator<Item = i64> + use<>, String> {
    let whole = |value: Option<&Value>| match value {
        Some(Value::Int(n)) => Some(*n as i64),
        Some(Value::Bigint(n)) => Some(*n),
        _ => None,
    };
    let (first, last) = (whole(given.first()).unwrap_or(0), whole(given.get(1)).unwrap_or(0));
    let step = whole(given.get(2)).unwrap_or(if first <= last { 1 } else { -1 });
    if step == 0 {
        return Err("GENERATE_SERIES: a step of 0 leads nowhere".into());
    }
    let steps = (last as i128 - first as i128) / step as i128;
    if steps < 0 || (steps == 0 && (last - first).signum() == -step.signum()) {
        return Err(format!("GENERATE_SERIES: steps of {step} do not lead from {first} to {last}"));
    }
    if steps >= SERIES_MAX {
        return Err(format!("GENERATE_SERIES: more than {SERIES_MAX} numbers from {first} to {last}"));
    }
    Ok((0..=steps as i64).map(move |i| first + i * step))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{check, check_errors, s};
    use super::EARTH_KM;
    use crate::value::Value::*;

    #[test]
    fn cases() {
        check(&[
            ("ABS", &[Int(-3)], Int(3)),
            ("ABS", &[Int(i32::MIN)], Int(i32::MIN)),
            ("ABS", &[Bigint(-3)], Bigint(3)),
            ("ABS", &[Decimal(-15, 1)], Decimal(15, 1)),
            ("ABS", &[Double(-1.5)], Double(1.5)),
            ("CEIL", &[Double(1.2)], Double(2.0)),
            ("CEIL", &[Decimal(-15, 1)], Decimal(-10, 1)),
            ("CEIL", &[Decimal(11, 1)], Decimal(20, 1)),
            ("CEIL", &[Decimal(9_999_999_999, 1)], Decimal(10_000_000_000, 1)),
            ("FLOOR", &[Decimal(-5, 10)], Decimal(-10_000_000_000, 10)),
            ("ROUND", &[Decimal(9_995_000_000, 10), Int(2)], Decimal(10_000_000_000, 10)),
            ("FLOOR", &[Decimal(-15, 1)], Decimal(-20, 1)),
            ("FLOOR", &[Int(3)], Int(3)),
            ("ROUND", &[Double(2.5)], Bigint(3)),
            ("ROUND", &[Double(-2.5)], Bigint(-2)),
            ("ROUND", &[Double(0.49999999999999994)], Bigint(0)),
            ("ROUND", &[Double(1e300)], Bigint(i64::MAX)),
            ("ROUND", &[Int(7)], Bigint(7)),
            ("ROUND", &[Decimal(995, 1)], Decimal(100, 0)),
            ("ROUND", &[Decimal(12345, 3), Int(1)], Decimal(12300, 3)),
            ("ROUND", &[Decimal(12350, 3), Int(1)], Decimal(12400, 3)),
            ("ROUND", &[Double(1.005), Int(2)], Double(1.01)),
            ("ROUND", &[Int(1250), Int(-2)], Double(1300.0)),
            ("TRUNC", &[Double(-2.7)], Bigint(-2)),
            ("TRUNC", &[Double(2.77), Int(1)], Double(2.7)),
            ("TRUNC", &[Decimal(-279, 2)], Decimal(-2, 0)),
            ("TRUNC", &[Decimal(-279, 2), Int(1)], Decimal(-270, 2)),
            ("SIGN", &[Double(-0.5)], Int(-1)),
            ("SIGN", &[Bigint(0)], Int(0)),
            ("SQRT", &[Int(2)], Double(std::f64::consts::SQRT_2)),
            ("LN", &[Double(-1.0)], Double(f64::NAN)),
            ("LOG", &[Int(2), Int(8)], Double(3.0)),
            ("COT", &[Double(std::f64::consts::FRAC_PI_4)], Double(1.0)),
            ("ATAN2", &[Int(1), Int(0)], Double(std::f64::consts::FRAC_PI_2)),
            ("POWER", &[Int(2), Int(10)], Double(1024.0)),
            ("DEGREES", &[Double(std::f64::consts::PI)], Double(180.0)),
            ("PI", &[], Double(std::f64::consts::PI)),
            ("EXP", &[Null], Null),
            // A quarter of the equator.
            (
                "GEO_DISTANCE",
                &[Int(0), Int(0), Int(0), Int(90)],
                Double(EARTH_KM * std::f64::consts::FRAC_PI_2),
            ),
            (
                "GEO_DISTANCE",
                &[Double(53.8), Double(-1.55), Double(53.79), Double(-1.75), Null],
                Double(13.183_010_932_973_595),
            ),
            ("GENERATE_SERIES", &[Int(3), Int(1)], Array(vec![Int(3), Int(2), Int(1)])),
            ("GENERATE_SERIES", &[Int(1), Bigint(6), Int(3)], Array(vec![Bigint(1), Bigint(4)])),
        ]);
        check_errors(&[
            ("GENERATE_SERIES", &[Int(1), Int(2), Int(-1)], "steps of -1 do not lead from 1 to 2"),
            ("GENERATE_SERIES", &[Int(1), Int(1_000_000)], "GENERATE_SERIES: more than"),
            ("GENERATE_SERIES", &[Int(1), Int(2), Int(0)], "a step of 0 leads nowhere"),
            ("GENERATE_SERIES", &[Double(1.0), Int(2)], "argument 1 is DOUBLE, needs INTEGER or BIGINT"),
            ("GEO_DISTANCE", &[Int(91), Int(0), Int(0), Int(0)], "latitude 91 is not within"),
            ("GEO_DISTANCE", &[Int(1), Int(0), Int(0), Int(0), s("ell")], "unknown unit 'ell'"),
        ]);
    }
}

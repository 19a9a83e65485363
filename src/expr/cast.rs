//! CAST: which type goes to which, and the kernels between single values.
//!
//! NULL stays NULL. A value that the target cannot hold, or text that does not say one, becomes NULL
//! and a note. Reading text is in `cast/parse.rs`, writing it in `cast/print.rs`, ARRAY, MAP and
//! STRUCT in `cast/nested.rs`.

mod nested;
mod parse;
mod print;

pub(crate) use parse::{double, truth};
pub use print::{text, write_text};

use super::decimal::{self, fit, rescale};
use super::node::{Kernel1, primitive, try_map1};
use crate::number_text;
use crate::time::civil::DAY_MS;
use crate::types::SqlType;
use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{Array, ArrowPrimitiveType};
use std::sync::Arc;

/// Whether CAST goes from one type to the other at all.
pub fn castable(from: &SqlType, to: &SqlType) -> bool {
    kernel(from, to).is_some()
}

/// What turns an array of one type into one of the other.
pub(crate) fn kernel(from: &SqlType, to: &SqlType) -> Option<Kernel1> {
    use SqlType::*;
    if from == to {
        return Some(Box::new(|array, _| Arc::clone(array)));
    }
    match (from, to) {
        (Varchar, _) => parse::kernel(to),
        (_, Varchar) => print::kernel(from),
        (Array(_), _) | (Map(..), _) | (Struct(_), _) => nested::kernel(from, to),
        (Int, _) => from_int(to),
        (Bigint, _) => from_bigint(to),
        (Double, _) => from_double(to),
        (Decimal { scale, .. }, _) => from_decimal(from, *scale, to),
        (Date, Timestamp) => {
            Some(total::<Date32Type, TimestampMillisecondType>(to, |days| days as i64 * DAY_MS))
        }
        (Timestamp, Date) => Some(partial::<TimestampMillisecondType, Date32Type>(
            to,
            |ms| i32::try_from(ms.div_euclid(DAY_MS)).ok(),
            |ms| ms.to_string(),
        )),
        (Timestamp, Time) => Some(total::<TimestampMillisecondType, Time32MillisecondType>(to, |ms| {
            ms.rem_euclid(DAY_MS) as i32
        })),
        (Timestamp, Bigint) => Some(total::<TimestampMillisecondType, Int64Type>(to, |ms| ms)),
        _ => None,
    }
}

fn from_int(to: &SqlType) -> Option<Kernel1> {
    match *to {
        SqlType::Bigint => Some(total::<Int32Type, Int64Type>(to, |v| v as i64)),
        SqlType::Double => Some(total::<Int32Type, Float64Type>(to, |v| v as f64)),
        SqlType::Decimal { precision, scale } => Some(partial::<Int32Type, Decimal128Type>(
            to,
            move |v| fit(rescale(v as i128, 0, scale)?, precision),
            |v| v.to_string(),
        )),
        _ => None,
    }
}

fn from_bigint(to: &SqlType) -> Option<Kernel1> {
    match *to {
        // Wraps, as arithmetic does.
        SqlType::Int => Some(total::<Int64Type, Int32Type>(to, |v| v as i32)),
        SqlType::Double => Some(total::<Int64Type, Float64Type>(to, |v| v as f64)),
        SqlType::Decimal { precision, scale } => Some(partial::<Int64Type, Decimal128Type>(
            to,
            move |v| fit(rescale(v as i128, 0, scale)?, precision),
            |v| v.to_string(),
        )),
        SqlType::Timestamp => Some(total::<Int64Type, TimestampMillisecondType>(to, |v| v)),
        _ => None,
    }
}

fn from_double(to: &SqlType) -> Option<Kernel1> {
    // The bounds are powers of two, exact in DOUBLE; NaN is in no range.
    let int = |v: f64| (v > -2_147_483_649.0 && v < 2_147_483_648.0).then_some(v as i32);
    let bigint = |v: f64| (-(2f64.powi(63))..2f64.powi(63)).contains(&v).then_some(v as i64);
    match *to {
        SqlType::Int => Some(partial::<Float64Type, Int32Type>(to, int, number_text::double)),
        SqlType::Bigint => Some(partial::<Float64Type, Int64Type>(to, bigint, number_text::double)),
        SqlType::Decimal { precision, scale } => Some(partial::<Float64Type, Decimal128Type>(
            to,
            move |v| fit(decimal::from_double(v, scale)?, precision),
            number_text::double,
        )),
        _ => None,
    }
}

fn from_decimal(from: &SqlType, has: u8, to: &SqlType) -> Option<Kernel1> {
    let show = move |v| number_text::decimal(v, has);
    let whole = move |v: i128| v / decimal::power(has);
    match *to {
        SqlType::Int => {
            Some(partial::<Decimal128Type, Int32Type>(to, move |v| i32::try_from(whole(v)).ok(), show))
        }
        SqlType::Bigint => {
            Some(partial::<Decimal128Type, Int64Type>(to, move |v| i64::try_from(whole(v)).ok(), show))
        }
        SqlType::Double => {
            Some(total::<Decimal128Type, Float64Type>(to, move |v| decimal::to_double(v, has)))
        }
        SqlType::Decimal { precision, scale } if from != to => {
            Some(partial::<Decimal128Type, Decimal128Type>(
                to,
                move |v| fit(rescale(v, has, scale)?, precision),
                show,
            ))
        }
        _ => None,
    }
}

/// A conversion that every value survives.
fn total<A: ArrowPrimitiveType, B: ArrowPrimitiveType>(
    to: &SqlType,
    f: impl Fn(A::Native) -> B::Native + 'static,
) -> Kernel1 {
    let ty = to.arrow();
    Box::new(move |array, _| {
        let array = array.as_primitive::<A>();
        primitive::<B>(array.values().iter().map(|v| f(*v)).collect(), array.nulls().cloned(), &ty)
    })
}

/// A conversion that some values do not survive; `show` prints those.
fn partial<A: ArrowPrimitiveType, B: ArrowPrimitiveType>(
    to: &SqlType,
    f: impl Fn(A::Native) -> Option<B::Native> + 'static,
    show: impl Fn(A::Native) -> String + 'static,
) -> Kernel1 {
    let (ty, name) = (to.arrow(), to.to_string());
    Box::new(move |array, report| {
        let array = array.as_primitive::<A>();
        let reason = |v| format!("CAST: {} does not fit {name}", show(v));
        let (values, nulls) = try_map1(array.values(), array.nulls(), &f, reason, report);
        primitive::<B>(values, nulls, &ty)
    })
}

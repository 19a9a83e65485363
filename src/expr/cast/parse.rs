//! Text → values. Text is trimmed first; what it does not say is NULL and a note.

use crate::expr::decimal::{self, fit, rescale};
use crate::expr::node::{Kernel1, Report, exclude, primitive};
use crate::expr::texts::Texts;
use crate::time::iso;
use crate::types::SqlType;
use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, BooleanArray, StringViewArray};
use arrow_buffer::{BooleanBuffer, NullBuffer};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::sync::Arc;

pub(super) fn kernel(to: &SqlType) -> Option<Kernel1> {
    match *to {
        SqlType::Boolean => Some(boolean(to)),
        SqlType::Int => Some(values::<Int32Type>(to, |text| text.parse().ok())),
        SqlType::Bigint => Some(values::<Int64Type>(to, |text| text.parse().ok())),
        SqlType::Double => Some(values::<Float64Type>(to, double)),
        SqlType::Decimal { precision, scale } => Some(values::<Decimal128Type>(to, move |text| {
            let (digits, has) = decimal::parse(text, scale)?;
            fit(rescale(digits, has, scale)?, precision)
        })),
        SqlType::Bytes => Some(bytes(to)),
        SqlType::Date => Some(values::<Date32Type>(to, |text| iso::parse_date(text.as_bytes()))),
        SqlType::Time => Some(values::<Time32MillisecondType>(to, |text| iso::parse_time(text.as_bytes()))),
        SqlType::Timestamp => {
            Some(values::<TimestampMillisecondType>(to, |text| iso::parse_timestamp(text.as_bytes())))
        }
        _ => None,
    }
}

fn values<P: ArrowPrimitiveType<Native: Default>>(
    to: &SqlType,
    f: impl Fn(&str) -> Option<P::Native> + 'static,
) -> Kernel1 {
    let (ty, name) = (to.arrow(), to.to_string());
    Box::new(move |array, report| {
        let array = array.as_string_view();
        let mut values = Vec::with_capacity(array.len());
        let nulls = parse_rows(array, &name, report, |text| match text.and_then(|text| f(text.trim())) {
            Some(value) => {
                values.push(value);
                true
            }
            None => {
                values.push(P::Native::default());
                false
            }
        });
        primitive::<P>(values, nulls, &ty)
    })
}

/// Calls `parse` for every row, with `None` for NULLs; what it says false to is NULL and a note.
fn parse_rows(
    array: &StringViewArray,
    name: &str,
    report: &mut Report,
    mut parse: impl FnMut(Option<&str>) -> bool,
) -> Option<NullBuffer> {
    let mut failed = Vec::new();
    for row in 0..array.len() {
        let text = array.is_valid(row).then(|| array.value(row));
        if !parse(text) && text.is_some() {
            report.note(row, || format!("CAST: {} is not {name}", quoted(array.value(row))));
            failed.push(row);
        }
    }
    if failed.is_empty() {
        return array.nulls().cloned();
    }
    exclude(array.nulls().cloned(), array.len(), |row| failed.binary_search(&row).is_ok())
}

/// A text for a note: whole when it is short.
fn quoted(text: &str) -> String {
    const SHOWN_MAX: usize = 80;
    match text.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("'{}…'", &text[..end]),
        None => format!("'{text}'"),
    }
}

/// Digits, or Java's names `NaN` and `Infinity`.
pub(crate) fn double(text: &str) -> Option<f64> {
    match text.trim_start_matches(['+', '-']) {
        "NaN" | "Infinity" => text.parse().ok(),
        // Rust reads `inf` and `nan` too; the dialect does not.
        body if body.starts_with(|c: char| c.is_ascii_digit() || c == '.') => text.parse().ok(),
        _ => None,
    }
}

fn boolean(to: &SqlType) -> Kernel1 {
    let name = to.to_string();
    Box::new(move |array, report| {
        let array = array.as_string_view();
        let mut values = Vec::with_capacity(array.len());
        let nulls = parse_rows(array, &name, report, |text| {
            let value = text.and_then(|text| truth(text.trim()));
            values.push(value == Some(true));
            value.is_some()
        });
        let bits = BooleanBuffer::collect_bool(values.len(), |row| values[row]);
        Arc::new(BooleanArray::new(bits, nulls)) as ArrayRef
    })
}

/// Any beginning of true, yes, false, no, in any case.
pub(crate) fn truth(text: &str) -> Option<bool> {
    let begins = |word: &str| {
        !text.is_empty() && word.get(..text.len()).is_some_and(|start| start.eq_ignore_ascii_case(text))
    };
    if begins("true") || begins("yes") {
        Some(true)
    } else if begins("false") || begins("no") {
        Some(false)
    } else {
        None
    }
}

/// Base64.
fn bytes(to: &SqlType) -> Kernel1 {
    let name = to.to_string();
    Box::new(move |array, report| {
        let array = array.as_string_view();
        let mut out = Texts::with_capacity(array.len(), 0);
        let nulls = parse_rows(array, &name, report, |text| {
            let decoded = text.map(|text| STANDARD.decode_vec(text.trim(), &mut out.buffer));
            let good = matches!(decoded, Some(Ok(())));
            if good {
                out.commit()
            } else {
                out.skip()
            }
            good
        });
        out.bytes(nulls)
    })
}

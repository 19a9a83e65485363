//! The cells of a batch as binary formats write them: what a column holds is found out once, not for
//! each cell.

use super::fault::{Fault, Parsed};
use super::typed::rescale;
use crate::batch::Column;
use crate::number_text;
use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{Array, ArrayRef, BinaryViewArray, BooleanArray, Decimal128Array, StringViewArray};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, TimeUnit};
use std::ops::Range;

/// The cells of a column, or of a part of one.
pub struct Cells<'b> {
    nulls: Option<&'b NullBuffer>,
    /// All rows have the first cell.
    is_constant: bool,
    values: Values<'b>,
}

enum Values<'b> {
    Boolean(&'b BooleanArray),
    /// Of INT, DATE and TIME.
    Int32(&'b [i32]),
    /// Of BIGINT and TIMESTAMP.
    Int64(&'b [i64]),
    Double(&'b [f64]),
    Text(&'b StringViewArray),
    Bytes(&'b BinaryViewArray),
    Decimal(&'b Decimal128Array),
    Struct(Vec<Cells<'b>>),
    /// Where the items of each cell begin, and where those of the last one end.
    List(&'b [i32], Box<Cells<'b>>),
    /// The same of its entries: keys, and values.
    Map(&'b [i32], [Box<Cells<'b>>; 2]),
}

impl<'b> Cells<'b> {
    pub fn of(columns: &'b [Column]) -> Vec<Cells<'b>> {
        let cells = |column: &'b Column| {
            let is_constant = matches!(column, Column::Const(_));
            Cells { is_constant, ..Cells::of_array(column.at(0).0) }
        };
        columns.iter().map(cells).collect()
    }

    fn of_array(array: &'b ArrayRef) -> Cells<'b> {
        use DataType as D;
        let boxed = |array| Box::new(Cells::of_array(array));
        let values = match array.data_type() {
            D::Boolean => Values::Boolean(array.as_boolean()),
            D::Int32 => Values::Int32(array.as_primitive::<Int32Type>().values()),
            D::Date32 => Values::Int32(array.as_primitive::<Date32Type>().values()),
            D::Time32(TimeUnit::Millisecond) => {
                Values::Int32(array.as_primitive::<Time32MillisecondType>().values())
            }
            D::Int64 => Values::Int64(array.as_primitive::<Int64Type>().values()),
            D::Timestamp(TimeUnit::Millisecond, _) => {
                Values::Int64(array.as_primitive::<TimestampMillisecondType>().values())
            }
            D::Float64 => Values::Double(array.as_primitive::<Float64Type>().values()),
            D::Utf8View => Values::Text(array.as_string_view()),
            D::BinaryView => Values::Bytes(array.as_binary_view()),
            D::Decimal128(..) => Values::Decimal(array.as_primitive::<Decimal128Type>()),
            D::Struct(_) => Values::Struct(array.as_struct().columns().iter().map(Cells::of_array).collect()),
            D::List(_) => {
                let list = array.as_list::<i32>();
                Values::List(list.value_offsets(), boxed(list.values()))
            }
            D::Map(..) => {
                let map = array.as_map();
                Values::Map(map.value_offsets(), [boxed(map.keys()), boxed(map.values())])
            }
            other => unreachable!("no column has {other}"),
        };
        Cells { nulls: array.nulls(), is_constant: false, values }
    }

    /// The cell of a row.
    pub fn at(&self, row: usize) -> Cell<'_, 'b> {
        Cell { cells: self, i: if self.is_constant { 0 } else { row } }
    }
}

#[derive(Clone, Copy)]
pub struct Cell<'c, 'b> {
    cells: &'c Cells<'b>,
    i: usize,
}

/// All but [`Cell::is_null`] are for cells that are not NULL, and of the type that was planned.
impl<'c, 'b> Cell<'c, 'b> {
    pub fn is_null(self) -> bool {
        self.cells.nulls.is_some_and(|nulls| nulls.is_null(self.i))
    }

    pub fn boolean(self) -> bool {
        match self.cells.values {
            Values::Boolean(values) => values.value(self.i),
            _ => unreachable!("it was planned to be a boolean"),
        }
    }

    /// A number; a time in units of which `per_ms` are a millisecond.
    pub fn integer(self, per_ms: i64) -> Parsed<i64> {
        let value = match self.cells.values {
            Values::Int32(values) => values[self.i].into(),
            Values::Int64(values) => values[self.i],
            _ => unreachable!("it was planned to be an integer"),
        };
        let scaled = value.checked_mul(per_ms);
        scaled.ok_or_else(|| {
            Fault::new(format!("{value} milliseconds have no place in the schema's finer units"))
        })
    }

    pub fn double(self) -> f64 {
        match self.cells.values {
            Values::Double(values) => values[self.i],
            _ => unreachable!("it was planned to be a double"),
        }
    }

    /// The nearest of 32 bits.
    pub fn float(self) -> Parsed<f32> {
        let wide = self.double();
        let narrow = wide as f32;
        match narrow.is_infinite() && wide.is_finite() {
            true => Err(Fault::new(format!("{} does not fit the schema's float", number_text::double(wide)))),
            false => Ok(narrow),
        }
    }

    pub fn bytes(self) -> &'b [u8] {
        match self.cells.values {
            Values::Text(values) => values.value(self.i).as_bytes(),
            Values::Bytes(values) => values.value(self.i),
            _ => unreachable!("it was planned to be bytes"),
        }
    }

    pub fn text(self) -> &'b str {
        match self.cells.values {
            Values::Text(values) => values.value(self.i),
            _ => unreachable!("it was planned to be a text"),
        }
    }

    /// The digits of a DECIMAL at a schema's precision and scale, big-endian in two's complement.
    pub fn digits(self, precision: u8, scale: u8) -> Parsed<[u8; 16]> {
        let Values::Decimal(decimal) = self.cells.values else {
            unreachable!("it was planned to be a decimal")
        };
        let rescaled = rescale(decimal.value(self.i), decimal.scale().into(), precision, scale);
        let rescaled = rescaled.ok_or_else(|| {
            let value = decimal.value_as_string(self.i);
            Fault::new(format!("{value} does not fit the schema's decimal({precision}, {scale})"))
        })?;
        Ok(rescaled.to_be_bytes())
    }

    /// A field of a STRUCT.
    pub fn field(self, field: usize) -> Cell<'c, 'b> {
        match &self.cells.values {
            Values::Struct(fields) => Cell { cells: &fields[field], i: self.i },
            _ => unreachable!("it was planned to be a struct"),
        }
    }

    /// The items of an ARRAY.
    pub fn items(self) -> impl ExactSizeIterator<Item = Cell<'c, 'b>> {
        match &self.cells.values {
            Values::List(offsets, items) => range(offsets, self.i).map(|i| Cell { cells: items, i }),
            _ => unreachable!("it was planned to be an array"),
        }
    }

    /// The entries of a MAP: keys and values.
    pub fn entries(self) -> impl ExactSizeIterator<Item = [Cell<'c, 'b>; 2]> {
        match &self.cells.values {
            Values::Map(offsets, [keys, values]) => {
                range(offsets, self.i).map(|i| [Cell { cells: keys, i }, Cell { cells: values, i }])
            }
            _ => unreachable!("it was planned to be a map"),
        }
    }
}

fn range(offsets: &[i32], i: usize) -> Range<usize> {
    offsets[i] as usize..offsets[i + 1] as usize
}

/// Without leading bytes that say nothing but the sign; at least one byte.
pub fn shortest(digits: &[u8; 16]) -> &[u8] {
    let needless = |pair: &[u8]| matches!((pair[0], pair[1]), (0, ..0x80) | (0xff, 0x80..));
    let start = digits.windows(2).take_while(|pair| needless(pair)).count();
    &digits[start..]
}

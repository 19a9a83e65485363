//! SUM, AVG, SUM_LIST, and the moments of variances and correlations, over a batch: dense sums by type.

use super::dense::{Dense, Rows, clear, fold, values};
use super::exact::ExactSum;
use super::groups::Slots;
use super::moments::ProductSum;
use super::state::Writer;
use super::view::{Cells, View};
use super::wide::Wide;
use crate::batch::Column;
use crate::types::SqlType;
use arrow_array::UInt32Array;
use arrow_array::cast::AsArray;
use arrow_select::take::take;

/// SUM of INT and BIGINT. INT is summed in 64 bits: the low 32 bits wrap alike.
#[derive(Default)]
pub struct Wrapping(Vec<i64>);

impl Dense for Wrapping {
    fn grow(&mut self, groups: usize) {
        self.0.resize(groups, 0);
    }

    fn add(&mut self, column: &View, rows: &Rows) {
        match &column.cells {
            Cells::Int(_, all) => fold(&mut self.0, rows, column.nulls, values(column, all), |sum, v| {
                *sum = sum.wrapping_add(v as i64)
            }),
            Cells::Long(_, all) => fold(&mut self.0, rows, column.nulls, values(column, all), |sum, v| {
                *sum = sum.wrapping_add(v)
            }),
            _ => {}
        }
    }

    fn write(&self, slot: usize, _present: i64, writer: &mut Writer) {
        writer.sum_wrapping(self.0[slot]);
    }

    fn clear(&mut self) {
        clear(&mut self.0);
    }

    fn heap_bytes(&self) -> usize {
        8 * self.0.len()
    }
}

/// AVG of INT: 64 bits hold the sum of all rows that can come between two flushes.
#[derive(Default)]
pub struct AvgInt(Vec<i64>);

impl Dense for AvgInt {
    fn grow(&mut self, groups: usize) {
        self.0.resize(groups, 0);
    }

    fn add(&mut self, column: &View, rows: &Rows) {
        if let Cells::Int(_, all) = &column.cells {
            fold(&mut self.0, rows, column.nulls, values(column, all), |sum, v| *sum += v as i64);
        }
    }

    fn write(&self, slot: usize, present: i64, writer: &mut Writer) {
        let mut sum = Wide::default();
        sum.add(self.0[slot] as i128);
        writer.avg_wide(present, sum);
    }

    fn clear(&mut self) {
        clear(&mut self.0);
    }

    fn heap_bytes(&self) -> usize {
        8 * self.0.len()
    }
}

/// AVG of BIGINT, SUM and AVG of DECIMAL.
pub struct WideSums {
    pub avg: bool,
    pub sums: Vec<Wide>,
}

impl Dense for WideSums {
    fn grow(&mut self, groups: usize) {
        self.sums.resize(groups, Wide::default());
    }

    fn add(&mut self, column: &View, rows: &Rows) {
        match &column.cells {
            Cells::Long(_, all) => {
                fold(&mut self.sums, rows, column.nulls, values(column, all), |sum, v| sum.add(v as i128))
            }
            Cells::Decimal(all, _) => {
                fold(&mut self.sums, rows, column.nulls, values(column, all), |sum, v| sum.add(v))
            }
            _ => {}
        }
    }

    fn write(&self, slot: usize, present: i64, writer: &mut Writer) {
        let sum = self.sums[slot];
        if self.avg { writer.avg_wide(present, sum) } else { writer.sum_wide(sum) }
    }

    fn clear(&mut self) {
        clear(&mut self.sums);
    }

    fn heap_bytes(&self) -> usize {
        size_of::<Wide>() * self.sums.len()
    }
}

/// SUM and AVG of DOUBLE.
pub struct ExactSums {
    pub avg: bool,
    pub sums: Vec<ExactSum>,
}

impl Dense for ExactSums {
    fn grow(&mut self, groups: usize) {
        self.sums.resize_with(groups, ExactSum::default);
    }

    fn add(&mut self, column: &View, rows: &Rows) {
        if let Cells::Double(all) = column.cells {
            fold(&mut self.sums, rows, column.nulls, values(column, all), |sum, v| sum.add(v));
        }
    }

    fn write(&self, slot: usize, present: i64, writer: &mut Writer) {
        let sum = &self.sums[slot];
        if self.avg { writer.avg_exact(present, sum) } else { writer.sum_exact(sum) }
    }

    fn clear(&mut self) {
        clear(&mut self.sums);
    }

    fn heap_bytes(&self) -> usize {
        self.sums.iter().map(|sum| size_of::<ExactSum>() + sum.heap_bytes()).sum()
    }
}

/// Variances and correlations: the sums of the values and of their products.
pub struct Moments {
    /// Whether values are integers, or DECIMAL's unscaled digits.
    integers: bool,
    /// One column: Σx, Σx². Two: Σx, Σy, Σx², Σy², Σxy.
    sums: usize,
    /// So many a slot.
    all: Vec<ProductSum>,
}

impl Moments {
    pub fn new(of: &SqlType, columns: usize) -> Moments {
        Moments { integers: *of != SqlType::Double, sums: if columns == 1 { 2 } else { 5 }, all: Vec::new() }
    }

    fn zero(&self) -> ProductSum {
        if self.integers { ProductSum::of_integers() } else { ProductSum::of_doubles() }
    }

    /// One value, or one pair.
    #[inline]
    fn add_doubles(&mut self, slot: usize, x: f64, y: Option<f64>) {
        let sums = &mut self.all[slot * self.sums..][..self.sums];
        products(sums, x, y, 1.0, |sum, x, y| sum.add_doubles(x, y, 1));
    }

    #[inline]
    fn add_integers(&mut self, slot: usize, x: i128, y: Option<i128>) {
        let sums = &mut self.all[slot * self.sums..][..self.sums];
        products(sums, x, y, 1, |sum, x, y| sum.add_integers(x, y, 1));
    }
}

/// Adds to each sum the product that belongs in it.
pub fn products<T: Copy>(
    sums: &mut [ProductSum],
    x: T,
    y: Option<T>,
    one: T,
    mut add: impl FnMut(&mut ProductSum, T, T),
) {
    match (sums, y) {
        ([sum, squares], None) => {
            add(sum, x, one);
            add(squares, x, x);
        }
        ([sum_x, sum_y, squares_x, squares_y, both], Some(y)) => {
            add(sum_x, x, one);
            add(sum_y, y, one);
            add(squares_x, x, x);
            add(squares_y, y, y);
            add(both, x, y);
        }
        _ => {}
    }
}

/// A number of a column, as it is added up.
enum Number {
    Double(f64),
    Integer(i128),
}

fn number(column: &View, row: usize) -> Option<Number> {
    let i = column.index(row);
    match &column.cells {
        Cells::Int(_, all) => Some(Number::Integer(all[i] as i128)),
        Cells::Long(_, all) => Some(Number::Integer(all[i] as i128)),
        Cells::Decimal(all, _) => Some(Number::Integer(all[i])),
        Cells::Double(all) => Some(Number::Double(all[i])),
        _ => None,
    }
}

impl Dense for Moments {
    fn grow(&mut self, groups: usize) {
        let zero = self.zero();
        self.all.resize(groups * self.sums, zero);
    }

    fn add(&mut self, column: &View, rows: &Rows) {
        for row in (0..rows.len).filter(|&row| !column.is_null(row)) {
            let slot = rows.slot(row);
            let (x, y) = match &column.cells {
                // The fields have no constants of their own: they are as long as the struct is.
                Cells::Struct(fields) => match fields.as_slice() {
                    [x, y] => (number(x, column.index(row)), number(y, column.index(row))),
                    _ => continue,
                },
                _ => (number(column, row), None),
            };
            match (x, y) {
                (Some(Number::Double(x)), None) => self.add_doubles(slot, x, None),
                (Some(Number::Double(x)), Some(Number::Double(y))) => self.add_doubles(slot, x, Some(y)),
                (Some(Number::Integer(x)), None) => self.add_integers(slot, x, None),
                (Some(Number::Integer(x)), Some(Number::Integer(y))) => self.add_integers(slot, x, Some(y)),
                _ => {}
            }
        }
    }

    fn write(&self, slot: usize, present: i64, writer: &mut Writer) {
        writer.moments(present, &self.all[slot * self.sums..][..self.sums]);
    }

    fn clear(&mut self) {
        clear(&mut self.all);
    }

    fn heap_bytes(&self) -> usize {
        self.all.iter().map(|sum| size_of::<ProductSum>() + sum.heap_bytes()).sum()
    }
}

/// SUM_LIST: the items of arrays, added to the sum that their type has.
pub struct ListSums(pub Box<dyn Dense>);

impl Dense for ListSums {
    fn grow(&mut self, groups: usize) {
        self.0.grow(groups);
    }

    fn add(&mut self, column: &View, rows: &Rows) {
        let Cells::Nested(array) = column.cells else { return };
        let Some(lists) = array.as_list_opt::<i32>() else { return };
        let offsets = lists.value_offsets();
        let (mut slots, mut places) = (Vec::new(), Vec::new());
        for row in (0..rows.len).filter(|&row| !column.is_null(row)) {
            let i = column.index(row);
            places.extend(offsets[i] as u32..offsets[i + 1] as u32);
            slots.resize(places.len(), rows.slot(row) as u32);
        }
        let items =
            take(lists.values(), &UInt32Array::from(places), None).expect("places are within the lists");
        let len = slots.len();
        let items = Column::Array(items);
        self.0.add(&View::of(&items), &Rows { slots: Slots::Each(&slots), len, groups: rows.groups });
    }

    fn write(&self, slot: usize, present: i64, writer: &mut Writer) {
        self.0.write(slot, present, writer);
    }

    fn clear(&mut self) {
        self.0.clear();
    }

    fn heap_bytes(&self) -> usize {
        self.0.heap_bytes()
    }
}

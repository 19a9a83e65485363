//! SUM, AVG and STDDEV_SAMP over a batch: dense sums by type.

use super::dense::{Dense, Rows, clear, fold, values};
use super::exact::ExactSum;
use super::state::Writer;
use super::view::{Cells, View};
use super::wide::Wide;

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

/// STDDEV_SAMP: the sums of the values and of their squares.
#[derive(Default)]
pub struct Deviations(Vec<(ExactSum, ExactSum)>);

impl Dense for Deviations {
    fn grow(&mut self, groups: usize) {
        self.0.resize_with(groups, Default::default);
    }

    fn add(&mut self, column: &View, rows: &Rows) {
        if let Cells::Double(all) = column.cells {
            fold(&mut self.0, rows, column.nulls, values(column, all), |(sum, squares), v| {
                sum.add(v);
                add_square(squares, v, 1);
            });
        }
    }

    fn write(&self, slot: usize, present: i64, writer: &mut Writer) {
        let (sum, squares) = &self.0[slot];
        writer.deviation(present, sum, squares);
    }

    fn clear(&mut self) {
        clear(&mut self.0);
    }

    fn heap_bytes(&self) -> usize {
        let one = |(a, b): &(ExactSum, ExactSum)| 2 * size_of::<ExactSum>() + a.heap_bytes() + b.heap_bytes();
        self.0.iter().map(one).sum()
    }
}

/// Adds x² without rounding: the product, and what rounding took from it.
pub fn add_square(squares: &mut ExactSum, x: f64, times: i64) {
    let square = x * x;
    squares.add_times(square, times);
    if square.is_finite() {
        squares.add_times(x.mul_add(x, -square), times);
    }
}

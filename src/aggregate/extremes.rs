//! MIN, MAX, TOPK and TOPKDISTINCT over a batch.
//!
//! The order is `Value`'s: NaN is the greatest DOUBLE, -0.0 is 0.0, text goes by its UTF-8 bytes.

use super::dense::{Dense, Rows, Values, clear, fold, values};
use super::packed;
use super::state::Writer;
use super::view::{Cells, View};

/// MIN or MAX of the types that 64 ordered bits hold; DOUBLE by a key that orders as its values do.
pub struct Extreme64 {
    max: bool,
    best: Vec<i64>,
    form: Form,
}

/// How a 64-bit key becomes a packed value again.
#[derive(Clone, Copy)]
pub enum Form {
    Boolean,
    Integer(u8),
    Double,
}

impl Extreme64 {
    pub fn new(max: bool, form: Form) -> Extreme64 {
        Extreme64 { max, best: Vec::new(), form }
    }

    #[inline(always)]
    fn fold<T: Copy>(&mut self, column: &View, rows: &Rows, values: Values<T>, key: impl Fn(T) -> i64) {
        if self.max {
            fold(&mut self.best, rows, column.nulls, values, |best, v| *best = (*best).max(key(v)));
        } else {
            fold(&mut self.best, rows, column.nulls, values, |best, v| *best = (*best).min(key(v)));
        }
    }
}

impl Dense for Extreme64 {
    fn grow(&mut self, groups: usize) {
        self.best.resize(groups, if self.max { i64::MIN } else { i64::MAX });
    }

    fn add(&mut self, column: &View, rows: &Rows) {
        match column.cells {
            Cells::Int(_, all) => self.fold(column, rows, values(column, all), |v| v as i64),
            Cells::Long(_, all) => self.fold(column, rows, values(column, all), |v| v),
            Cells::Double(all) => self.fold(column, rows, values(column, all), double_key),
            Cells::Boolean(all) => {
                let all: Vec<bool> = all.values().iter().collect();
                self.fold(column, rows, values(column, &all), |v| v as i64);
            }
            _ => {}
        }
    }

    fn write(&self, slot: usize, present: i64, writer: &mut Writer) {
        let out = writer.extreme(self.max, present > 0);
        if present > 0 {
            let key = self.best[slot];
            match self.form {
                Form::Boolean => out.push(if key == 1 { packed::TRUE } else { packed::FALSE }),
                Form::Integer(tag) => packed::pack_integer(tag, key, out),
                Form::Double => packed::pack_double(double_of(key), out),
            }
        }
    }

    fn clear(&mut self) {
        clear(&mut self.best);
    }

    fn heap_bytes(&self) -> usize {
        8 * self.best.len()
    }
}

/// Negative doubles have their order reversed among integers, so their lower bits are flipped.
#[inline(always)]
fn double_key(value: f64) -> i64 {
    let bits = (value + 0.0).to_bits() as i64;
    let key = bits ^ ((bits >> 63) as u64 >> 1) as i64;
    if value.is_nan() { i64::MAX } else { key }
}

fn double_of(key: i64) -> f64 {
    f64::from_bits((key ^ ((key >> 63) as u64 >> 1) as i64) as u64)
}

/// MIN or MAX of DECIMAL, by the unscaled digits: all have one scale.
pub struct ExtremeDecimal {
    pub max: bool,
    pub best: Vec<i128>,
    pub scale: u8,
}

impl Dense for ExtremeDecimal {
    fn grow(&mut self, groups: usize) {
        self.best.resize(groups, if self.max { i128::MIN } else { i128::MAX });
    }

    fn add(&mut self, column: &View, rows: &Rows) {
        let Cells::Decimal(all, _) = column.cells else { return };
        if self.max {
            fold(&mut self.best, rows, column.nulls, values(column, all), |best, v| *best = v.max(*best));
        } else {
            fold(&mut self.best, rows, column.nulls, values(column, all), |best, v| *best = v.min(*best));
        }
    }

    fn write(&self, slot: usize, present: i64, writer: &mut Writer) {
        let out = writer.extreme(self.max, present > 0);
        if present > 0 {
            packed::pack_decimal(self.best[slot], self.scale, out);
        }
    }

    fn clear(&mut self) {
        clear(&mut self.best);
    }

    fn heap_bytes(&self) -> usize {
        16 * self.best.len()
    }
}

/// MIN or MAX of VARCHAR and BYTES.
pub struct ExtremeBytes {
    max: bool,
    tag: u8,
    best: Vec<Option<Box<[u8]>>>,
    held: usize,
}

impl ExtremeBytes {
    pub fn new(max: bool, tag: u8) -> ExtremeBytes {
        ExtremeBytes { max, tag, best: Vec::new(), held: 0 }
    }

    #[inline(always)]
    fn take<'v>(&mut self, column: &View, rows: &Rows, value: impl Fn(usize) -> &'v [u8]) {
        for row in (0..rows.len).filter(|&row| !column.is_null(row)) {
            let value = value(column.index(row));
            let best = &mut self.best[rows.slot(row)];
            match best {
                Some(best) if (*value <= **best) == self.max || *value == **best => {}
                _ => {
                    self.held += value.len();
                    self.held -= best.as_ref().map_or(0, |best| best.len());
                    *best = Some(value.into());
                }
            }
        }
    }
}

impl Dense for ExtremeBytes {
    fn grow(&mut self, groups: usize) {
        self.best.resize(groups, None);
    }

    fn add(&mut self, column: &View, rows: &Rows) {
        match &column.cells {
            Cells::Text(all) => self.take(column, rows, |i| all.value(i).as_bytes()),
            Cells::Bytes(all) => self.take(column, rows, |i| all.value(i)),
            _ => {}
        }
    }

    fn write(&self, slot: usize, _present: i64, writer: &mut Writer) {
        let best = &self.best[slot];
        let out = writer.extreme(self.max, best.is_some());
        if let Some(best) = best {
            packed::pack_bytes(self.tag, best, out);
        }
    }

    fn clear(&mut self) {
        clear(&mut self.best);
        self.held = 0;
    }

    fn heap_bytes(&self) -> usize {
        16 * self.best.len() + self.held
    }
}

/// TOPK and TOPKDISTINCT: packed values, the greatest first.
pub struct Top {
    pub distinct: bool,
    pub k: u64,
    pub best: Vec<Vec<Box<[u8]>>>,
}

impl Dense for Top {
    fn grow(&mut self, groups: usize) {
        self.best.resize_with(groups, Vec::new);
    }

    fn add(&mut self, column: &View, rows: &Rows) {
        let mut value = Vec::new();
        for row in (0..rows.len).filter(|&row| !column.is_null(row)) {
            value.clear();
            column.pack(row, &mut value);
            let best = &mut self.best[rows.slot(row)];
            let full = best.len() as u64 >= self.k;
            if full && best.last().is_some_and(|last| packed::compare(last, &value).is_ge()) {
                continue;
            }
            let at = best.partition_point(|other| packed::compare(other, &value).is_ge());
            if self.distinct && at > 0 && *best[at - 1] == *value {
                continue;
            }
            best.insert(at, value.as_slice().into());
            best.truncate(self.k as usize);
        }
    }

    fn write(&self, slot: usize, _present: i64, writer: &mut Writer) {
        writer.top(self.distinct, self.k, self.best[slot].iter().map(|value| &**value));
    }

    fn clear(&mut self) {
        clear(&mut self.best);
    }

    fn heap_bytes(&self) -> usize {
        let one = |values: &Vec<Box<[u8]>>| 24 + values.iter().map(|v| 16 + v.len()).sum::<usize>();
        self.best.iter().map(one).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn double_keys_order_as_doubles_do() {
        let sorted = [f64::NEG_INFINITY, -2.5, -5e-324, 0.0, 5e-324, 1.0, f64::MAX, f64::INFINITY];
        assert!(sorted.is_sorted_by_key(|v| double_key(*v)));
        assert!(sorted.iter().all(|v| double_of(double_key(*v)) == *v && double_key(*v) < i64::MAX));
        assert_eq!(double_key(-0.0), double_key(0.0));
        assert!(double_of(double_key(-f64::NAN)).is_nan());
    }
}

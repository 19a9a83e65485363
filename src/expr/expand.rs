//! Table functions: EXPLODE and CUBE_EXPLODE make several rows of one.
//!
//! Several of them stand side by side: the n-th row has the n-th item of each, and NULL where one has no
//! more. A row of which none has items is gone. Rows come in pieces, so that one batch of long arrays does
//! not become one huge batch.

use super::{Expr, Notes, Projection};
use crate::batch::{Batch, Column};
use crate::error::{Error, Result};
use crate::types::SqlType;
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, ListArray, UInt32Array, new_null_array};
use arrow_buffer::OffsetBuffer;
use arrow_schema::DataType;
use arrow_select::take::take;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// One entry of the list of table functions.
pub struct TableFunction {
    /// Upper case.
    pub name: &'static str,
    pub usage: &'static str,
    pub summary: &'static str,
    /// A call of it, with its result.
    pub example: (&'static str, &'static str),
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Kind {
    Explode,
    Cube,
}

/// Every table function, sorted by name.
pub static ALL: &[TableFunction] = &[
    TableFunction {
        name: "CUBE_EXPLODE",
        usage: "CUBE_EXPLODE(array) → rows of ARRAY",
        summary: "A row for each way to replace items by NULL; items that are NULL already stay so. At most 16 \
                  others.",
        example: ("CUBE_EXPLODE(ARRAY[1, 2])", "[null, null], [null, 2], [1, null], [1, 2]"),
        kind: Kind::Cube,
    },
    TableFunction {
        name: "EXPLODE",
        usage: "EXPLODE(array) → rows of the items' type",
        summary: "A row for each item; none of an empty array, or of NULL.",
        example: ("EXPLODE(ARRAY[1, 2])", "1, 2"),
        kind: Kind::Explode,
    },
];

/// Looks a table function up by its upper-case name.
pub fn find(name: &str) -> Option<&'static TableFunction> {
    ALL.iter().find(|function| function.name == name)
}

/// A bound call: plain data in a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TableCall {
    kind: Kind,
    /// Of an ARRAY type, over the rows that are expanded.
    pub arg: Expr,
    /// The type of the column that the call makes.
    pub returns: SqlType,
}

impl TableFunction {
    /// A call with these bound arguments.
    pub fn call(&self, args: Vec<Expr>) -> Result<TableCall> {
        let wrong = |reason: String| Error::statement(format!("{}: {reason}", self.name)).hint(self.usage);
        let [arg] = <[Expr; 1]>::try_from(args)
            .map_err(|args| wrong(format!("takes 1 argument, not {}", args.len())))?;
        let SqlType::Array(item) = &arg.ty else {
            return Err(wrong(format!("argument 1 is {}, needs an ARRAY", arg.ty)));
        };
        let returns = if self.kind == Kind::Explode { (**item).clone() } else { arg.ty.clone() };
        Ok(TableCall { kind: self.kind, arg, returns })
    }
}

impl TableCall {
    pub fn name(&self) -> &'static str {
        match self.kind {
            Kind::Explode => "EXPLODE",
            Kind::Cube => "CUBE_EXPLODE",
        }
    }
}

/// The most rows of one piece.
pub const ROWS_MAX: usize = 16 << 10;
/// The most items that CUBE_EXPLODE makes rows of: they are 2 to the power of them.
const CUBED_MAX: usize = 16;

/// Calls that stand side by side, compiled; one a call site and worker.
pub struct Expander {
    args: Projection,
    kinds: Vec<Kind>,
}

impl Expander {
    pub fn compile(calls: &[TableCall]) -> Result<Expander> {
        let args: Vec<Expr> = calls.iter().map(|call| call.arg.clone()).collect();
        Ok(Expander {
            args: Projection::compile(&args)?,
            kinds: calls.iter().map(|call| call.kind).collect(),
        })
    }

    /// The rows that the batch becomes: its columns, and behind them one of each call. A row whose
    /// arguments fail leaves a note and, where nothing else has items for it, no row.
    pub fn expand(&mut self, batch: &Batch, notes: &mut Notes) -> Expansion {
        let columns = self.args.eval(batch, notes);
        let lists: Vec<ListArray> = self
            .kinds
            .iter()
            .zip(&columns)
            .map(|(kind, column)| {
                let array = column.to_array(batch.len);
                let list = array.as_list::<i32>();
                if *kind == Kind::Cube { cubes(list, notes) } else { list.clone() }
            })
            .collect();
        let length = |row: usize| lists.iter().map(|list| items(list, row)).max().unwrap_or(0);
        let mut ends = Vec::with_capacity(batch.len);
        let mut end = 0;
        for row in 0..batch.len {
            end += length(row);
            ends.push(end);
        }
        Expansion { batch: batch.clone(), lists, ends, next: 0 }
    }
}

fn items(list: &ListArray, row: usize) -> usize {
    if list.is_null(row) { 0 } else { list.value_length(row) as usize }
}

/// Rows in pieces of at most [`ROWS_MAX`].
pub struct Expansion {
    batch: Batch,
    lists: Vec<ListArray>,
    /// How many rows the rows up to each, itself included, become.
    ends: Vec<usize>,
    next: usize,
}

impl Expansion {
    /// How many of the rows become at least one.
    pub fn sources(&self) -> usize {
        let starts = std::iter::once(&0).chain(&self.ends);
        starts.zip(&self.ends).filter(|(start, end)| start < end).count()
    }

    /// How many rows come in all.
    pub fn rows(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }
}

impl Iterator for Expansion {
    type Item = Batch;

    fn next(&mut self) -> Option<Batch> {
        let len = ROWS_MAX.min(self.rows() - self.next);
        if len == 0 {
            return None;
        }
        let (mut rows, mut nth) = (Vec::with_capacity(len), Vec::with_capacity(len));
        let mut row = self.ends.partition_point(|end| *end <= self.next);
        let mut start = if row == 0 { 0 } else { self.ends[row - 1] };
        for place in self.next..self.next + len {
            while self.ends[row] <= place {
                start = self.ends[row];
                row += 1;
            }
            rows.push(row as u32);
            nth.push((place - start) as u32);
        }
        self.next += len;
        Some(self.piece(&rows, &nth))
    }
}

impl Expansion {
    /// The `nth` row made of each of `rows`.
    fn piece(&self, rows: &[u32], nth: &[u32]) -> Batch {
        let indices = UInt32Array::from(rows.to_vec());
        let own = self.batch.columns.iter().map(|column| match column {
            Column::Array(array) => Column::Array(taken(array, &indices)),
            other => other.clone(),
        });
        let made = self.lists.iter().map(|list| {
            let places: UInt32Array = rows
                .iter()
                .zip(nth)
                .map(|(&row, &nth)| {
                    let first = list.value_offsets()[row as usize] as u32;
                    ((nth as usize) < items(list, row as usize)).then_some(first + nth)
                })
                .collect();
            Column::Array(taken(list.values(), &places))
        });
        let mut origin = self.batch.origin.take(rows);
        let before = origin.nth.take();
        let place = |(i, nth): (usize, &u32)| match &before {
            None => *nth,
            // Rows that were made of a record's rows: by the place of those, then by their own.
            Some(before) => before[i] << 16 | (*nth).min(0xFFFF),
        };
        origin.nth = Some(nth.iter().enumerate().map(place).collect());
        Batch {
            len: rows.len(),
            columns: own.chain(made).collect(),
            origin,
            deleted: self.batch.deleted.as_ref().map(|deleted| {
                arrow_buffer::BooleanBuffer::collect_bool(rows.len(), |i| deleted.value(rows[i] as usize))
            }),
        }
    }
}

fn taken(array: &ArrayRef, places: &UInt32Array) -> ArrayRef {
    take(array, places, None).expect("places are within the array")
}

/// Each array as the array of all its variants: the last item varies first, from NULL to itself.
fn cubes(lists: &ListArray, notes: &mut Notes) -> ListArray {
    let values = lists.values();
    // The last place of what items are taken from is NULL.
    let null = new_null_array(values.data_type(), 1);
    let pool = arrow_select::concat::concat(&[values.as_ref(), null.as_ref()]).expect("both have one type");
    let none = values.len() as u32;
    let (mut places, mut inner, mut outer) = (Vec::new(), Vec::new(), Vec::with_capacity(lists.len()));
    for row in 0..lists.len() {
        let (start, len) = (lists.value_offsets()[row] as usize, items(lists, row));
        let varying: Vec<usize> = (0..len).filter(|i| values.is_valid(start + i)).collect();
        if lists.is_null(row) || varying.len() > CUBED_MAX {
            outer.push(0);
            if !lists.is_null(row) {
                let items = varying.len();
                notes.note(row, || format!("CUBE_EXPLODE: {items} items, more than {CUBED_MAX}"));
            }
            continue;
        }
        for variant in 0..1usize << varying.len() {
            let mut item_places: Vec<u32> = vec![none; len];
            for (bit, &i) in varying.iter().rev().enumerate() {
                if variant >> bit & 1 == 1 {
                    item_places[i] = (start + i) as u32;
                }
            }
            places.extend(item_places);
            inner.push(len);
        }
        outer.push(1 << varying.len());
    }
    let DataType::List(item) = lists.data_type() else { unreachable!("the list is a list") };
    let items = taken(&pool, &UInt32Array::from(places));
    let variants = ListArray::new(Arc::clone(item), OffsetBuffer::from_lengths(inner), items, None);
    let field = arrow_schema::Field::new_list_field(variants.data_type().clone(), true);
    ListArray::new(Arc::new(field), OffsetBuffer::from_lengths(outer), Arc::new(variants), None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{Origin, Timestamps};
    use crate::expr::ExprKind;
    use crate::expr::cast::text;
    use crate::value::Value;

    fn ints() -> SqlType {
        SqlType::Array(Box::new(SqlType::Int))
    }

    fn array(items: &[Option<i32>]) -> Value {
        Value::Array(items.iter().map(|item| item.map_or(Value::Null, Value::Int)).collect())
    }

    fn column(index: usize) -> Expr {
        Expr { kind: ExprKind::Column(index), ty: ints() }
    }

    fn batch(columns: &[&[Value]]) -> Batch {
        let len = columns[0].len();
        let columns = columns.iter().map(|all| Column::Array(Value::array(&ints(), all.iter()))).collect();
        let origin = Origin {
            rowtime: Timestamps::All(7),
            offsets: (0..len as i64).map(|i| 100 + i).collect(),
            ..Origin::none(len)
        };
        Batch { len, columns, origin, deleted: None }
    }

    /// `offset.nth: made columns` of each row.
    fn expanded(calls: &[TableCall], batch: &Batch) -> (Vec<String>, Vec<String>) {
        let mut notes = Notes::default();
        let expansion = Expander::compile(calls).unwrap().expand(batch, &mut notes);
        let all = expansion.rows();
        let mut rows = Vec::new();
        for piece in expansion {
            assert!(piece.len <= ROWS_MAX && piece.columns.len() == batch.columns.len() + calls.len());
            for i in 0..piece.len {
                let position = piece.origin.position(i);
                let made: Vec<String> =
                    piece.columns[batch.columns.len()..].iter().map(|c| text(&c.value(i))).collect();
                let source = (position.offset - 100) as usize;
                assert_eq!(piece.columns[0].value(i), batch.columns[0].value(source));
                rows.push(format!("{}.{}: {}", position.offset, position.nth, made.join(" ")));
            }
        }
        assert_eq!(rows.len(), all);
        (rows, notes.notes.into_iter().map(|note| note.reason).collect())
    }

    fn call(name: &str, index: usize) -> TableCall {
        find(name).unwrap().call(vec![column(index)]).unwrap()
    }

    #[test]
    fn side_by_side() {
        let a = [array(&[Some(1), Some(2), None]), array(&[]), Value::Null, array(&[Some(3)])];
        let b = [array(&[Some(9)]), array(&[Some(8)]), Value::Null, array(&[])];
        let batch = batch(&[&a, &b]);
        let (rows, _) = expanded(&[call("EXPLODE", 0), call("EXPLODE", 1)], &batch);
        assert_eq!(
            rows,
            ["100.0: 1 9", "100.1: 2 null", "100.2: null null", "101.0: null 8", "103.0: 3 null"]
        );
        assert_eq!(expanded(&[call("EXPLODE", 0)], &batch).0.len(), 4);
    }

    #[test]
    fn cubes_have_all_variants() {
        let a = [
            array(&[Some(1), Some(2)]),
            array(&[Some(1), None]),
            array(&[]),
            Value::Null,
            array(&[Some(5); 17]),
        ];
        let (rows, notes) = expanded(&[call("CUBE_EXPLODE", 0)], &batch(&[&a]));
        assert_eq!(
            rows,
            [
                "100.0: [null, null]",
                "100.1: [null, 2]",
                "100.2: [1, null]",
                "100.3: [1, 2]",
                "101.0: [null, null]",
                "101.1: [1, null]",
                "102.0: []",
            ]
        );
        assert_eq!(notes, ["CUBE_EXPLODE: 17 items, more than 16"]);
    }

    #[test]
    fn long_arrays_come_in_pieces() {
        let long: Vec<Option<i32>> = (0..200).map(Some).collect();
        let a = vec![array(&long); 100];
        let (rows, _) = expanded(&[call("EXPLODE", 0)], &batch(&[&a]));
        assert_eq!(rows.len(), 20_000);
        assert_eq!((rows[0].as_str(), rows[19_999].as_str()), ("100.0: 0", "199.199: 199"));
        assert_eq!(rows[16_384], "181.184: 184");
    }

    #[test]
    fn rows_of_rows_keep_their_order() {
        let a = [array(&[Some(1), Some(2)]), array(&[Some(3), Some(4)])];
        let mut given = batch(&[&a]);
        given.origin.offsets = vec![100, 100].into();
        given.origin.nth = Some(vec![0, 1].into());
        let mut expander = Expander::compile(&[call("EXPLODE", 0)]).unwrap();
        let piece = expander.expand(&given, &mut Notes::default()).next().unwrap();
        let positions: Vec<_> = (0..4).map(|i| piece.origin.position(i)).collect();
        assert!(positions.is_sorted() && positions.windows(2).all(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn arguments_are_checked() {
        let wrong = |name: &str, args: Vec<Expr>| find(name).unwrap().call(args).unwrap_err().to_string();
        let map = SqlType::Map(Box::new(SqlType::Varchar), Box::new(SqlType::Int));
        let error = wrong("EXPLODE", vec![Expr { kind: ExprKind::Column(0), ty: map }]);
        assert!(error.contains("EXPLODE: argument 1 is MAP<STRING, INTEGER>, needs an ARRAY"), "{error}");
        assert!(wrong("EXPLODE", vec![]).contains("takes 1 argument, not 0"));
    }
}

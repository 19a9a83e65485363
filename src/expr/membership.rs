//! `x [NOT] IN (…)`: a set of literals is looked up, any other list is compared one by one.
//!
//! Two-valued: a NULL operand is in no list, a NULL item matches nothing, and NOT IN is the opposite.

use super::compare::{bytes_at, equality};
use super::logic::{Truth, truth};
use super::node::{Apply1, Child, Frame, Node, boolean, parts};
use crate::batch::Column;
use crate::types::SqlType;
use crate::value::Value;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, StringViewType};
use arrow_array::{Array, ArrayRef};
use arrow_buffer::BooleanBuffer;
use std::collections::HashSet;
use std::hash::BuildHasherDefault;
use xxhash_rust::xxh3::Xxh3Default;

/// Up to here comparing with each item is no slower than hashing.
const COMPARED_MAX: usize = 8;

/// `items` gives the values where all of them are literals.
pub(crate) fn node(
    operand: Child,
    ty: &SqlType,
    list: Vec<Child>,
    items: Option<Vec<Value>>,
    negated: bool,
) -> Option<Box<dyn Node>> {
    if let Some(set) = items.filter(|items| items.len() > COMPARED_MAX).and_then(|items| set(ty, &items)) {
        let mut set = set;
        let kernel = Box::new(move |array: &ArrayRef, _: &mut super::node::Report| {
            let mut bits = set(array);
            if let Some(nulls) = array.nulls() {
                bits = &bits & nulls.inner();
            }
            boolean(if negated { !&bits } else { bits })
        });
        return Some(Box::new(Apply1 { operand, kernel }));
    }
    let kernel = equality(ty)?;
    Some(Box::new(OneByOne { operand, list, kernel, negated }))
}

type Lookup = Box<dyn FnMut(&ArrayRef) -> BooleanBuffer>;

fn set(ty: &SqlType, items: &[Value]) -> Option<Lookup> {
    match ty {
        SqlType::Int => {
            let set: HashSet<i32, BuildHasherDefault<Xxh3Default>> =
                items.iter().filter_map(|v| if let Value::Int(v) = v { Some(*v) } else { None }).collect();
            Some(Box::new(move |array| {
                let values = array.as_primitive::<Int32Type>().values();
                BooleanBuffer::collect_bool(values.len(), |i| set.contains(&values[i]))
            }))
        }
        SqlType::Bigint => {
            let set: HashSet<i64, BuildHasherDefault<Xxh3Default>> =
                items.iter().filter_map(|v| if let Value::Bigint(v) = v { Some(*v) } else { None }).collect();
            Some(Box::new(move |array| {
                let values = array.as_primitive::<Int64Type>().values();
                BooleanBuffer::collect_bool(values.len(), |i| set.contains(&values[i]))
            }))
        }
        SqlType::Varchar => {
            let set: HashSet<Box<[u8]>, BuildHasherDefault<Xxh3Default>> = items
                .iter()
                .filter_map(|v| if let Value::Varchar(v) = v { Some(v.as_bytes().into()) } else { None })
                .collect();
            Some(Box::new(move |array| {
                let array = array.as_byte_view::<StringViewType>();
                BooleanBuffer::collect_bool(array.len(), |i| set.contains(bytes_at(array, i)))
            }))
        }
        _ => None,
    }
}

struct OneByOne {
    operand: Child,
    list: Vec<Child>,
    kernel: super::node::Kernel2,
    negated: bool,
}

impl Node for OneByOne {
    fn eval(&mut self, frame: &mut Frame<'_>) -> Column {
        let operand = self.operand.eval(frame);
        let mut found = Truth::All(false);
        for item in &mut self.list {
            let item = item.eval(frame);
            let constant = parts(&operand).1 && parts(&item).1;
            let equal = (self.kernel)(&operand, &item, &mut frame.report(constant));
            found = either(found, truth(&equal));
        }
        match found {
            Truth::All(value) => Truth::All(value != self.negated),
            Truth::Bits(bits) if self.negated => Truth::Bits(!&bits),
            bits => bits,
        }
        .into()
    }
}

fn either(a: Truth, b: Truth) -> Truth {
    match (a, b) {
        (Truth::All(true), _) | (_, Truth::All(true)) => Truth::All(true),
        (Truth::All(false), other) | (other, Truth::All(false)) => other,
        (Truth::Bits(a), Truth::Bits(b)) => Truth::Bits(&a | &b),
    }
}

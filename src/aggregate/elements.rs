//! COLLECT_LIST, COLLECT_SET and COUNT_DISTINCT: one element a row or value, kept beside the state.
//!
//! An element is the call's number, for a list the position in bytes that sort as positions do, then
//! the packed value.

use super::Element;
use super::dense::{Rows, clear};
use super::intern::Intern;
use super::spec::Spec;
use super::varint::{get, put};
use super::view::View;
use crate::batch::{Origin, Position};

/// The elements of all slots since the last flush.
pub struct Elements {
    lists: Vec<Vec<(Element, i64)>>,
    /// Slot and element → how often.
    sets: Intern,
    counts: Vec<i64>,
    held: usize,
}

/// Bytes of a position within an element.
const POSITION: usize = 24;

impl Elements {
    pub fn new() -> Elements {
        Elements { lists: Vec::new(), sets: Intern::new(), counts: Vec::new(), held: 0 }
    }

    pub fn add(&mut self, call: usize, spec: &Spec, column: &View, origin: &Origin, rows: &Rows) {
        match spec {
            Spec::CollectList => self.add_list(call, column, origin, rows),
            _ => self.add_set(call, *spec == Spec::CountDistinct, column, rows),
        }
    }

    fn add_list(&mut self, call: usize, column: &View, origin: &Origin, rows: &Rows) {
        self.lists.resize_with(rows.groups, Vec::new);
        for row in 0..rows.len {
            let mut element = Vec::with_capacity(POSITION + 16);
            put(&mut element, call as u64);
            put_sortable(&origin.position(row), &mut element);
            column.pack(row, &mut element);
            self.held += element.len() + 24;
            self.lists[rows.slot(row)].push((Element(element.into_boxed_slice()), 1));
        }
    }

    fn add_set(&mut self, call: usize, skip_nulls: bool, column: &View, rows: &Rows) {
        let mut element = Vec::new();
        for row in (0..rows.len).filter(|&row| !(skip_nulls && column.is_null(row))) {
            element.clear();
            element.extend_from_slice(&(rows.slot(row) as u32).to_le_bytes());
            put(&mut element, call as u64);
            column.pack(row, &mut element);
            let id = self.sets.intern(&element) as usize;
            self.counts.resize(self.sets.len(), 0);
            self.counts[id] += 1;
        }
    }

    /// The elements of each of `groups` slots, ascending and without repetition.
    pub fn take(&mut self, groups: usize) -> Vec<Vec<(Element, i64)>> {
        let mut all = std::mem::take(&mut self.lists);
        all.resize_with(groups, Vec::new);
        for (id, &count) in self.counts.iter().enumerate() {
            if let Some((slot, element)) = self.sets.get(id as u32).split_first_chunk::<4>() {
                all[u32::from_le_bytes(*slot) as usize].push((Element(element.into()), count));
            }
        }
        for elements in &mut all {
            elements.sort_unstable_by(|a, b| a.0.cmp(&b.0));
            elements.dedup_by(|next, kept| {
                let same = next.0 == kept.0;
                kept.1 += if same { next.1 } else { 0 };
                same
            });
        }
        all
    }

    pub fn clear(&mut self) {
        clear(&mut self.lists);
        clear(&mut self.counts);
        self.sets = Intern::new();
        self.held = 0;
    }

    pub fn heap_bytes(&self) -> usize {
        self.held + 24 * self.lists.len() + self.sets.heap_bytes() + 8 * self.counts.len()
    }
}

fn put_sortable(position: &Position, out: &mut Vec<u8>) {
    out.extend_from_slice(&(position.rowtime ^ i64::MIN).to_be_bytes());
    out.extend_from_slice(&position.source.to_be_bytes());
    out.extend_from_slice(&(position.partition ^ i32::MIN).to_be_bytes());
    out.extend_from_slice(&(position.offset ^ i64::MIN).to_be_bytes());
}

/// The call's number and the packed value of an element.
pub fn parse<'a>(element: &'a Element, specs: &[Spec]) -> Option<(usize, &'a [u8])> {
    let mut bytes = &*element.0;
    let call = usize::try_from(get(&mut bytes)?).ok()?;
    match specs.get(call)? {
        Spec::CollectList => Some((call, bytes.get(POSITION..)?)),
        Spec::CollectSet | Spec::CountDistinct => Some((call, bytes)),
        _ => None,
    }
}

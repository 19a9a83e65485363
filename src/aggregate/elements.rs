//! COLLECT_LIST, and the calls that keep a set of values: one element a row or value, kept beside the state of the
//! group, with a state of its own.
//!
//! An element is the call's number, for a list the position in bytes that sort as positions do, then
//! the packed value. Its state counts its rows; that of a set's element knows the first of them, too.

use super::dense::{Rows, clear};
use super::intern::Intern;
use super::packed;
use super::spec::Spec;
use super::state::{End, Entry, Reader, Writer};
use super::varint::{get, put};
use super::view::View;
use super::{Element, State};
use crate::batch::{Origin, Position};

/// The elements of all slots since the last flush.
pub struct Elements {
    lists: Vec<Vec<(Element, State)>>,
    /// Slot and element → what is known of it.
    sets: Intern,
    known: Vec<Known>,
    held: usize,
    writer: Writer,
}

/// The rows that have one value.
#[derive(Clone, Copy)]
struct Known {
    rows: i64,
    rowtime: i64,
    /// Where the order of arrival counts.
    first: Option<Position>,
}

/// Bytes of a position within an element.
const POSITION: usize = 28;

impl Elements {
    pub fn new() -> Elements {
        Elements {
            lists: Vec::new(),
            sets: Intern::new(),
            known: Vec::new(),
            held: 0,
            writer: Writer::default(),
        }
    }

    pub fn add(&mut self, call: usize, spec: &Spec, column: &View, origin: &Origin, rows: &Rows) {
        match spec {
            Spec::CollectList => self.add_list(call, column, origin, rows),
            _ => self.add_set(call, spec, column, origin, rows),
        }
    }

    fn add_list(&mut self, call: usize, column: &View, origin: &Origin, rows: &Rows) {
        self.lists.resize_with(rows.groups, Vec::new);
        for row in 0..rows.len {
            let mut element = Vec::with_capacity(POSITION + 16);
            put(&mut element, call as u64);
            put_sortable(&origin.position(row), &mut element);
            column.pack(row, &mut element);
            self.held += element.len() + 40;
            let known = Known { rows: 1, rowtime: origin.rowtime.at(row), first: None };
            let state = known.state(&mut self.writer);
            self.lists[rows.slot(row)].push((Element(element.into_boxed_slice()), state));
        }
    }

    fn add_set(&mut self, call: usize, spec: &Spec, column: &View, origin: &Origin, rows: &Rows) {
        let (nulls, ordered) = (spec.set_holds_null(), *spec == Spec::CollectSet);
        let mut element = Vec::new();
        for row in (0..rows.len).filter(|&row| nulls || !column.is_null(row)) {
            element.clear();
            element.extend_from_slice(&(rows.slot(row) as u32).to_le_bytes());
            put(&mut element, call as u64);
            column.pack_ordered(row, &mut element);
            let id = self.sets.intern(&element) as usize;
            let first = ordered.then(|| origin.position(row));
            let rowtime = origin.rowtime.at(row);
            match self.known.get_mut(id) {
                Some(known) => {
                    known.rows += 1;
                    known.rowtime = known.rowtime.max(rowtime);
                    known.first = known.first.min(first);
                }
                None => self.known.push(Known { rows: 1, rowtime, first }),
            }
        }
    }

    /// The elements of each of `groups` slots, ascending and without repetition.
    pub fn take(&mut self, groups: usize) -> Vec<Vec<(Element, State)>> {
        let mut all = std::mem::take(&mut self.lists);
        all.resize_with(groups, Vec::new);
        for (id, known) in self.known.iter().enumerate() {
            if let Some((slot, element)) = self.sets.get(id as u32).split_first_chunk::<4>() {
                let state = known.state(&mut self.writer);
                all[u32::from_le_bytes(*slot) as usize].push((Element(element.into()), state));
            }
        }
        for elements in &mut all {
            elements.sort_unstable_by(|a, b| a.0.cmp(&b.0));
            elements.dedup_by(|next, kept| {
                let same = next.0 == kept.0;
                if same {
                    kept.1.merge(&next.1);
                }
                same
            });
        }
        all
    }

    pub fn clear(&mut self) {
        clear(&mut self.lists);
        clear(&mut self.known);
        self.sets = Intern::new();
        self.held = 0;
    }

    pub fn heap_bytes(&self) -> usize {
        let known = size_of::<Known>() * self.known.len();
        self.held + 24 * self.lists.len() + self.sets.heap_bytes() + known
    }
}

impl Known {
    fn state(&self, writer: &mut Writer) -> State {
        writer.begin(self.rows, self.rowtime);
        if let Some(first) = &self.first {
            writer.winner(End::Earliest, Some(first)).push(packed::NULL);
        }
        writer.state()
    }
}

/// The position of an element's first row, where its state knows it.
pub fn first(state: &State) -> Option<Position> {
    let (mut reader, mut bytes) = (Reader::default(), &*state.0);
    reader.begin(&mut bytes)?;
    match reader.next(&mut bytes)? {
        Entry::Winner(_, winner) => winner.map(|(position, _)| position),
        _ => None,
    }
}

fn put_sortable(position: &Position, out: &mut Vec<u8>) {
    out.extend_from_slice(&(position.stamp ^ i64::MIN).to_be_bytes());
    out.extend_from_slice(&position.source.to_be_bytes());
    out.extend_from_slice(&(position.partition ^ i32::MIN).to_be_bytes());
    out.extend_from_slice(&(position.offset ^ i64::MIN).to_be_bytes());
    out.extend_from_slice(&position.nth.to_be_bytes());
}

/// The call's number and the packed value of an element.
pub fn parse<'a>(element: &'a Element, specs: &[Spec]) -> Option<(usize, &'a [u8])> {
    let mut bytes = &*element.0;
    let call = usize::try_from(get(&mut bytes)?).ok()?;
    match specs.get(call)? {
        Spec::CollectList => Some((call, bytes.get(POSITION..)?)),
        spec if spec.keeps_set() => Some((call, bytes)),
        _ => None,
    }
}

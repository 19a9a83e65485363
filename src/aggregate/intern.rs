//! Byte strings → dense ids, in order of first appearance. One lookup a row: the hot spot of grouping.
//!
//! Open addressing over (hash, id) pairs; the strings lie one behind the other in one vector.

use std::hash::{BuildHasher, RandomState};

pub struct Intern {
    /// A power of two, at most half full. `id` [`FREE`] marks an empty place.
    places: Vec<Place>,
    /// Where the string of each id starts; one more for the end.
    starts: Vec<usize>,
    bytes: Vec<u8>,
    /// Own to each table, so that nobody can prepare keys that collide.
    seed: u64,
}

#[derive(Clone, Copy)]
struct Place {
    hash: u32,
    id: u32,
}

const FREE: u32 = u32::MAX;

impl Intern {
    pub fn new() -> Intern {
        let seed = RandomState::new().hash_one(0u8);
        Intern { places: vec![Place { hash: 0, id: FREE }; 64], starts: vec![0], bytes: Vec::new(), seed }
    }

    pub fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// About how many bytes it holds.
    pub fn heap_bytes(&self) -> usize {
        self.places.len() * size_of::<Place>() + self.starts.len() * 8 + self.bytes.len()
    }

    pub fn get(&self, id: u32) -> &[u8] {
        &self.bytes[self.starts[id as usize]..self.starts[id as usize + 1]]
    }

    /// The id of the string; the next free one if it is new.
    #[inline]
    pub fn intern(&mut self, key: &[u8]) -> u32 {
        let hash = hash(key, self.seed);
        let mask = self.places.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let place = self.places[at];
            if place.id == FREE {
                return self.insert(key, hash, at);
            }
            if place.hash == hash && same(self.get(place.id), key) {
                return place.id;
            }
            at = (at + 1) & mask;
        }
    }

    fn insert(&mut self, key: &[u8], hash: u32, at: usize) -> u32 {
        let id = self.len() as u32;
        self.bytes.extend_from_slice(key);
        self.starts.push(self.bytes.len());
        self.places[at] = Place { hash, id };
        if 2 * self.len() > self.places.len() {
            self.grow();
        }
        id
    }

    #[cold]
    fn grow(&mut self) {
        let size = 4 * self.places.len();
        let old = std::mem::replace(&mut self.places, vec![Place { hash: 0, id: FREE }; size]);
        for place in old.into_iter().filter(|place| place.id != FREE) {
            let mut at = place.hash as usize & (size - 1);
            while self.places[at].id != FREE {
                at = (at + 1) & (size - 1);
            }
            self.places[at] = place;
        }
    }
}

/// Multiply and fold, 16 bytes a step; the last step may read bytes twice.
#[inline]
fn hash(key: &[u8], seed: u64) -> u32 {
    const A: u64 = 0x9e37_79b9_7f4a_7c15;
    const B: u64 = 0xd6e8_feb8_6659_fd93;
    let mut state = seed ^ key.len() as u64;
    let mut rest = key;
    while let Some((head, tail)) = rest.split_first_chunk::<16>() {
        if tail.is_empty() {
            break;
        }
        let (low, high) = halves(head);
        state = fold(low ^ A ^ state, high ^ B);
        rest = tail;
    }
    let (low, high) = ends(rest);
    let hash = fold(fold(low ^ A ^ state, high ^ B), A ^ seed);
    (hash ^ hash >> 32) as u32
}

#[inline(always)]
fn fold(a: u64, b: u64) -> u64 {
    let product = a as u128 * b as u128;
    product as u64 ^ (product >> 64) as u64
}

#[inline(always)]
fn halves(bytes: &[u8; 16]) -> (u64, u64) {
    let all = u128::from_le_bytes(*bytes);
    (all as u64, (all >> 64) as u64)
}

/// The first and the last bytes of at most 16, as two numbers that hold them all.
#[inline(always)]
fn ends(bytes: &[u8]) -> (u64, u64) {
    if let (Some(first), Some(last)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        (u64::from_le_bytes(*first), u64::from_le_bytes(*last))
    } else if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        (u32::from_le_bytes(*first) as u64, u32::from_le_bytes(*last) as u64)
    } else {
        match bytes {
            [] => (0, 0),
            [first, .., last] => (*first as u64 | (*last as u64) << 8, bytes[bytes.len() / 2] as u64),
            [only] => (*only as u64 | (*only as u64) << 8, *only as u64),
        }
    }
}

/// Equality without a call for the lengths that names and numbers have.
#[inline(always)]
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && if a.len() <= 16 { ends(a) == ends(b) } else { a == b }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn ids_are_dense_and_stable() {
        let (mut table, mut oracle) = (Intern::new(), HashMap::new());
        for round in 0..3 {
            for n in 0..5_000u64 {
                let text = "x".repeat((n % 40) as usize) + &(n * n % 1_777).to_string();
                let key = &text.as_bytes()[(n % 3) as usize % text.len()..];
                let next = oracle.len() as u32;
                let expected = *oracle.entry(key.to_vec()).or_insert(next);
                assert_eq!(table.intern(key), expected, "round {round}");
                assert_eq!(table.get(expected), key);
            }
        }
        assert_eq!(table.len(), oracle.len());
        let short: Vec<Vec<u8>> = (0..=255u8).flat_map(|a| [vec![a], vec![a, 0], vec![0, a, 0]]).collect();
        let ids: HashMap<u32, &Vec<u8>> = short.iter().map(|key| (table.intern(key), key)).collect();
        assert_eq!(ids.len(), 256 * 3);
    }
}

//! The slots of recent strings of up to 12 bytes. Arrow's views hold all of such a string, so that one
//! comparison of 16 bytes stands for hashing, probing and comparing.

use super::groups::NONE;

/// Direct-mapped: a string that comes upon another's place takes it.
#[derive(Default)]
pub struct Recent(Vec<(u128, u32)>);

const RECENT: usize = 1024;
const INLINE_MAX: u32 = 12;

impl Recent {
    #[inline(always)]
    fn place(view: u128) -> usize {
        let mixed = (view as u64 ^ ((view >> 64) as u64).rotate_left(29)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> 54) as usize
    }

    #[inline(always)]
    pub fn get(&self, view: u128) -> u32 {
        match self.0.get(Recent::place(view)) {
            Some((known, slot)) if *known == view => *slot,
            _ => NONE,
        }
    }

    #[inline]
    pub fn set(&mut self, view: u128, slot: u32) {
        if view as u32 <= INLINE_MAX {
            self.0.resize(RECENT, (0, NONE));
            self.0[Recent::place(view)] = (view, slot);
        }
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }
}

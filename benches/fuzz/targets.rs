//! All that is tried.

use super::decoding::decodings;
use super::framing::framings;
use super::input::Random;

pub trait Target {
    fn name(&self) -> &str;

    /// Tries some inputs; how many. Panics where something does not hold.
    fn one(&mut self, random: &mut Random) -> usize;
}

pub fn targets() -> Vec<Box<dyn Target>> {
    decodings().into_iter().chain(framings()).collect()
}

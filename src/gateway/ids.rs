//! Ids of events that came without one, and of traces that begin here.

use crate::error::{Error, Result};
use ring::rand::{SecureRandom, SystemRandom};
use std::sync::atomic::{AtomicU64, Ordering};

/// Ids of one run: 16 random digits, and a number that counts up.
pub struct Ids {
    run: u64,
    next: AtomicU64,
}

impl Ids {
    pub fn new() -> Result<Ids> {
        Ok(Ids { run: u64::from_be_bytes(random()?), next: AtomicU64::new(0) })
    }

    pub fn next(&self) -> String {
        format!("{:016x}-{:x}", self.run, self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// A W3C trace context that begins here.
    pub fn traceparent(&self) -> String {
        let number = self.next.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        // Neither part may be all zeros.
        let span = (self.run.rotate_left(17) ^ number).max(1);
        format!("00-{:016x}{number:016x}-{span:016x}-01", self.run.max(1))
    }
}

/// Bytes that nobody can guess.
pub fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| Error::runtime("the system gives no random numbers"))?;
    Ok(bytes)
}

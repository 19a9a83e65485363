//! Ctrl-C and a request to terminate: the first asks for an orderly end, the second ends at once.

use crate::error::{Code, Error, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Mutex, PoisonError};

/// The signal that has come; 0: none.
static HIT: AtomicI32 = AtomicI32::new(0);
static ACTION: Mutex<Option<Box<dyn FnOnce() + Send>>> = Mutex::new(None);

/// Takes the signals from now on.
pub fn install() -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])
        .map_err(|e| Error::runtime(format!("cannot take Ctrl-C: {e}")))?;
    std::thread::spawn(move || signals.forever().for_each(on_signal));
    Ok(())
}

fn on_signal(signal: i32) {
    if HIT.swap(signal, Ordering::SeqCst) != 0 {
        super::live::tidy();
        std::process::exit(130);
    }
    act();
}

/// What to do at the first one; if it has come already, now. Runs on a thread of its own, so that a
/// second Ctrl-C is heard while the action takes its time.
pub fn then(action: impl FnOnce() + Send + 'static) {
    *ACTION.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(action));
    if hit() {
        act();
    }
}

fn act() {
    if let Some(action) = ACTION.lock().unwrap_or_else(PoisonError::into_inner).take() {
        std::thread::spawn(action);
    }
}

pub fn hit() -> bool {
    HIT.load(Ordering::SeqCst) != 0
}

/// Whether it was a request to terminate: that is how a server is stopped, and no failure.
pub fn terminated() -> bool {
    HIT.load(Ordering::SeqCst) == SIGTERM
}

/// Forgets an interrupt that has been dealt with: the shell goes on after it.
pub fn clear() {
    HIT.store(0, Ordering::SeqCst);
}

pub fn error() -> Error {
    Error::new(Code::Interrupted, "interrupted")
}

/// Fails if there was one.
pub fn check() -> Result<()> {
    if hit() { Err(error()) } else { Ok(()) }
}

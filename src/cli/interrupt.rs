//! Ctrl-C: the first asks for an orderly end, the second ends at once.

use crate::error::{Code, Error, Result};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

static HIT: AtomicBool = AtomicBool::new(false);
static ACTION: Mutex<Option<Box<dyn FnOnce() + Send>>> = Mutex::new(None);

/// Takes Ctrl-C (and a request to terminate) from now on.
pub fn install() -> Result<()> {
    ctrlc::set_handler(on_interrupt).map_err(|e| Error::runtime(format!("cannot take Ctrl-C: {e}")))
}

fn on_interrupt() {
    if HIT.swap(true, Ordering::SeqCst) {
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
    HIT.load(Ordering::SeqCst)
}

/// Forgets an interrupt that has been dealt with: the shell goes on after it.
pub fn clear() {
    HIT.store(false, Ordering::SeqCst);
}

pub fn error() -> Error {
    Error::new(Code::Interrupted, "interrupted")
}

/// Fails if there was one.
pub fn check() -> Result<()> {
    if hit() { Err(error()) } else { Ok(()) }
}

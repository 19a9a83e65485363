//! Why a record is bad, with the way to the place in it.

use super::decode::Rejects;
use crate::batch::Reject;

/// The columns that lead to the place are added on the way out, innermost first.
#[derive(Debug)]
pub struct Fault {
    pub path: Vec<String>,
    pub reason: String,
}

/// Boxed, since all that good records do with it is to be without.
pub type Parsed<T> = Result<T, Box<Fault>>;

impl Fault {
    #[cold]
    pub fn new(reason: impl Into<String>) -> Box<Fault> {
        Box::new(Fault { path: vec![], reason: reason.into() })
    }

    #[cold]
    pub fn within(mut self: Box<Fault>, name: &str) -> Box<Fault> {
        self.path.push(name.to_string());
        self
    }

    /// Turns the way to the place into the column and the reason of a reject.
    #[cold]
    pub fn into_reject(self, message: usize) -> Reject {
        let Fault { mut path, reason } = self;
        path.reverse();
        let reason = if path.is_empty() { reason } else { format!("column {}: {reason}", path.join("->")) };
        Reject { message, column: path.into_iter().next(), reason }
    }

    #[cold]
    pub fn reject(self, rejects: &mut Rejects, message: usize) {
        let Reject { column, reason, .. } = self.into_reject(message);
        rejects.add(message, column.as_deref(), || reason);
    }
}

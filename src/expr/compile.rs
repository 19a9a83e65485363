//! Typed expressions → something that evaluates batches.

use super::{Expr, Notes};
use crate::batch::{Batch, Column};

/// A compiled expression; one per call site and worker.
pub struct Evaluator {
    pub expr: Expr,
}

impl Evaluator {
    /// The expression's value for every row; constants stay constants.
    pub fn eval(&mut self, _batch: &Batch, _notes: &mut Notes) -> Column {
        unimplemented!("filled in by the expression module")
    }
}

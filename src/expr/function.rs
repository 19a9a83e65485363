//! What a function of the dialect is: a name, how its types resolve, and its kernel.

use super::Notes;
use crate::batch::Column;
use crate::types::SqlType;
use crate::value::Value;
use arrow_array::ArrayRef;

/// One entry of the list in `functions/mod.rs`.
pub struct Function {
    /// Upper case.
    pub name: &'static str,
    pub category: Category,
    /// One line each: `LPAD(text, length, padding) → STRING`.
    pub usage: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// From the arguments' types to what runs, or why they do not fit
    /// (lower case, names the argument: `argument 1 is STRING, needs a number`).
    pub resolve: fn(&[Arg]) -> Result<Overload, String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Category {
    String,
    Numeric,
    Conditional,
    DateTime,
    Collection,
    Json,
    Url,
}

impl Category {
    pub fn name(self) -> &'static str {
        match self {
            Category::String => "STRING",
            Category::Numeric => "MATHEMATICAL",
            Category::Conditional => "CONDITIONAL",
            Category::DateTime => "DATE / TIME",
            Category::Collection => "COLLECTION",
            Category::Json => "JSON",
            Category::Url => "URL",
        }
    }
}

/// What is known of an argument when a call is bound.
pub struct Arg<'a> {
    /// `None` for the bare literal NULL.
    pub ty: Option<&'a SqlType>,
    /// The value, where the argument is a literal.
    pub literal: Option<&'a Value>,
}

/// The overload that fits.
pub struct Overload {
    /// The type each argument is coerced to before the kernel sees it, one per given argument.
    pub args: Vec<SqlType>,
    pub returns: SqlType,
    /// Makes the kernel of one call site; literal arguments come as values, after coercion, so that
    /// patterns, zones and regular expressions are compiled once. A literal that cannot work
    /// (`unknown zone 'Europe/Leeds'`) is an error of the statement.
    pub kernel: MakeKernel,
}

/// Literal arguments → kernel.
pub type MakeKernel = Box<dyn Fn(&[Option<Value>]) -> Result<Box<dyn Kernel>, String>>;

/// Evaluates one call site, a batch at a time. May keep scratch space and caches.
pub trait Kernel {
    /// `args` are columns of the coerced types; the result has `rows` rows and the returned type's
    /// Arrow shape. A row that fails becomes NULL and a note.
    fn eval(&mut self, args: &[Column], rows: usize, notes: &mut Notes) -> ArrayRef;
}

impl<F: FnMut(&[Column], usize, &mut Notes) -> ArrayRef> Kernel for F {
    fn eval(&mut self, args: &[Column], rows: usize, notes: &mut Notes) -> ArrayRef {
        self(args, rows, notes)
    }
}

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
    pub binding: Binding,
    /// From the arguments' types to what runs, or why they do not fit
    /// (lower case, names the argument: `argument 1 is STRING, needs a number`).
    pub resolve: fn(&[Arg]) -> Result<Overload, String>,
}

impl Function {
    /// The same with another way of binding its calls.
    pub(crate) const fn bound(mut self, binding: Binding) -> Function {
        self.binding = binding;
        self
    }
}

/// What binding does with a call before it looks at the arguments' types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding {
    /// Nothing: the arguments are expressions.
    Plain,
    /// The first argument may be a unit of time without quotes.
    Unit,
    /// Takes no arguments and is made of the record: RANDOM(), UUID().
    OfRecord,
    /// Without arguments it is the time of the tick: UNIX_TIMESTAMP(), UNIX_DATE().
    Now,
    /// The arguments behind the first ones are lambda functions.
    Lambda(Higher),
}

/// A function that takes functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Higher {
    Transform,
    Filter,
    Reduce,
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
    Lambda,
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
            Category::Lambda => "LAMBDA",
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

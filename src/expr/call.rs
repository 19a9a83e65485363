//! Calls of functions: the overload found again from the arguments' types, and its kernel run.
//!
//! A kernel knows no masks: where only some rows are asked for it sees those rows alone.

use super::function::{Arg, Function, Overload};
use super::node::{Child, Frame, Node, column, parts};
use super::{Expr, ExprKind, Notes, function, functions};
use crate::batch::Column;
use crate::error::{Error, Result};
use crate::value::Value;
use arrow_array::{Array, ArrayRef, BooleanArray, UInt32Array, new_empty_array};
use arrow_buffer::BooleanBuffer;
use arrow_schema::DataType;
use arrow_select::filter::FilterBuilder;
use arrow_select::take::take;

/// The literal values among coerced arguments.
pub(crate) fn literals(args: &[Expr]) -> Vec<Option<Value>> {
    let literal = |arg: &Expr| match &arg.kind {
        ExprKind::Literal(value) => Some(value.clone()),
        _ => None,
    };
    args.iter().map(literal).collect()
}

/// The overload of a call whose arguments are coerced already.
pub(crate) fn overload(function: &Function, args: &[Expr]) -> Result<Overload> {
    let literals = literals(args);
    let given: Vec<Arg> =
        args.iter().zip(&literals).map(|(a, l)| Arg { ty: Some(&a.ty), literal: l.as_ref() }).collect();
    (function.resolve)(&given).map_err(|reason| Error::statement(format!("{}: {reason}", function.name)))
}

/// The node of `Call { name, args }`.
pub(crate) fn node(name: &str, expr: &Expr, args: &[Expr], children: Vec<Child>) -> Result<Box<dyn Node>> {
    let function = functions::find(name).ok_or_else(|| Error::statement(format!("no function {name}")))?;
    with_function(function, expr, args, children)
}

pub(crate) fn with_function(
    function: &'static Function,
    expr: &Expr,
    args: &[Expr],
    children: Vec<Child>,
) -> Result<Box<dyn Node>> {
    let overload = overload(function, args)?;
    let fits = overload.returns == expr.ty && overload.args.iter().eq(args.iter().map(|a| &a.ty));
    if !fits {
        return Err(Error::statement(format!("{}: the plan holds types of another overload", function.name)));
    }
    let kernel = (overload.kernel)(&literals(args))
        .map_err(|reason| Error::statement(format!("{}: {reason}", function.name)))?;
    Ok(Box::new(Call { kernel, args: children, ty: expr.ty.arrow() }))
}

struct Call {
    kernel: Box<dyn function::Kernel>,
    args: Vec<Child>,
    ty: DataType,
}

impl Node for Call {
    fn eval(&mut self, frame: &mut Frame<'_>) -> Column {
        let args: Vec<Column> = self.args.iter_mut().map(|arg| arg.eval(frame)).collect();
        if args.iter().all(|arg| parts(arg).1) {
            let mut notes = Notes::default();
            let result = self.kernel.eval(&args, 1, &mut notes);
            let mut report = frame.report(true);
            notes.each(|_, reason| report.note(0, || reason.to_string()));
            return column(result, true);
        }
        match frame.mask.filter(|mask| mask.has_false()) {
            None => Column::Array(self.kernel.eval(&args, frame.rows(), frame.notes)),
            Some(mask) => Column::Array(self.some_rows(&args, mask, frame.notes)),
        }
    }
}

impl Call {
    /// Runs the kernel on the rows of the mask; the others become NULL.
    fn some_rows(&mut self, args: &[Column], mask: &BooleanBuffer, notes: &mut Notes) -> ArrayRef {
        let rows: Vec<u32> = mask.set_indices_u32().collect();
        if rows.is_empty() {
            return arrow_array::new_null_array(&self.ty, mask.len());
        }
        let filter = FilterBuilder::new(&BooleanArray::new(mask.clone(), None)).optimize().build();
        let packed: Vec<Column> = args
            .iter()
            .map(|arg| match arg {
                Column::Array(array) => {
                    Column::Array(filter.filter(array).expect("mask and column have one length"))
                }
                other => other.clone(),
            })
            .collect();
        let mut own = notes.alike(rows.len());
        let result = self.kernel.eval(&packed, rows.len(), &mut own);
        own.each(|row, reason| notes.note(rows[row] as usize, || reason.to_string()));
        unpack(&result, &rows, mask.len())
    }
}

/// Puts packed values back to their rows.
fn unpack(packed: &ArrayRef, rows: &[u32], len: usize) -> ArrayRef {
    if len == 0 {
        return new_empty_array(packed.data_type());
    }
    let mut places: Vec<Option<u32>> = vec![None; len];
    for (place, row) in rows.iter().enumerate() {
        places[*row as usize] = Some(place as u32);
    }
    take(packed, &UInt32Array::from(places), None).expect("places are within the packed rows")
}

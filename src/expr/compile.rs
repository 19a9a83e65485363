//! Typed expressions → nodes that evaluate batches.
//!
//! Compiling chooses every kernel by type, flattens chains of concatenations, and gives each common
//! subexpression a slot that is filled once a batch. Only what some expression needs for every row
//! gets a slot: a slot is filled without a mask, and the branch that a row does not take must not
//! leave notes.

use super::arithmetic::Strict;
use super::call;
use super::case::Case;
use super::concat::Concat;
use super::function::{Binding, Higher};
use super::like::Like;
use super::logic::{self, IsNull, Logical, Truth, truth};
use super::nested::{self, ArrayNode, MapNode, StructNode};
use super::node::{Apply1, Apply2, Child, ColumnNode, Frame, Kernel1, Literal, Slot};
use super::{Expr, ExprKind, Lambda, Notes, arithmetic, cast, compare, functions, lambda, membership};
use crate::batch::{Batch, Column};
use crate::error::{Error, Result};
use crate::sql::ast::BinaryOp;
use crate::types::SqlType;
use crate::value::Value;
use arrow_array::BooleanArray;
use arrow_buffer::BooleanBuffer;
use arrow_schema::DataType;
use std::collections::HashMap;

/// A compiled expression; one per call site and worker.
pub struct Evaluator {
    projection: Projection,
}

/// Compiles one expression. An error means that the plan fits no function or type of this version.
pub fn compile(expr: &Expr) -> Result<Evaluator> {
    Ok(Evaluator { projection: Projection::compile(std::slice::from_ref(expr))? })
}

impl Evaluator {
    /// The expression's value for every row; constants stay constants.
    pub fn eval(&mut self, batch: &Batch, notes: &mut Notes) -> Column {
        self.projection.eval(batch, notes).swap_remove(0)
    }

    /// For a BOOLEAN expression: the rows where it is true. NULL, and what fails, is false.
    pub fn filter(&mut self, batch: &Batch, notes: &mut Notes) -> BooleanArray {
        let bits = match truth(&self.eval(batch, notes)) {
            Truth::All(true) => BooleanBuffer::new_set(batch.len),
            Truth::All(false) => BooleanBuffer::new_unset(batch.len),
            Truth::Bits(bits) => bits,
        };
        BooleanArray::new(bits, None)
    }
}

/// Several expressions over the same rows; equal parts are evaluated once a batch.
pub struct Projection {
    /// In an order in which each reads only slots before its own.
    shared: Vec<Child>,
    outputs: Vec<Child>,
}

impl Projection {
    pub fn compile(exprs: &[Expr]) -> Result<Projection> {
        Projection::with(exprs, false)
    }

    /// The body of a lambda function, in which arithmetic with NULL fails.
    pub(crate) fn of_lambda(body: &Expr) -> Result<Projection> {
        Projection::with(std::slice::from_ref(body), true)
    }

    fn with(exprs: &[Expr], strict: bool) -> Result<Projection> {
        let mut uses = Uses::default();
        exprs.iter().for_each(|expr| uses.count(expr, false));
        let mut compiler = Compiler { uses, slots: HashMap::new(), shared: Vec::new(), strict };
        let outputs = exprs.iter().map(|expr| compiler.child(expr)).collect::<Result<_>>()?;
        Ok(Projection { shared: compiler.shared, outputs })
    }

    /// One column an expression, in their order.
    pub fn eval(&mut self, batch: &Batch, notes: &mut Notes) -> Vec<Column> {
        let mut slots = Vec::with_capacity(self.shared.len());
        for node in &mut self.shared {
            let value = node.eval(&mut Frame { batch, mask: None, shared: &slots, notes });
            slots.push(value);
        }
        let mut frame = Frame { batch, mask: None, shared: &slots, notes };
        self.outputs.iter_mut().map(|node| node.eval(&mut frame)).collect()
    }
}

/// What makes two expressions the same: their plan bytes. Unlike `==` these tell 0.0 from -0.0.
type Key = Vec<u8>;

fn key(expr: &Expr) -> Key {
    bincode::serialize(expr).expect("an expression is plain data")
}

#[derive(Default)]
struct Uses(HashMap<Key, Use>);

#[derive(Default)]
struct Use {
    times: usize,
    /// At least one use is for every row.
    always: bool,
}

impl Uses {
    /// Counts an expression and its parts. `conditional`: it stands where not every row asks for it.
    fn count(&mut self, expr: &Expr, conditional: bool) {
        if is_leaf(expr) {
            return;
        }
        let known = self.0.entry(key(expr)).or_default();
        let first = known.times == 0;
        let now_always = !conditional && !known.always;
        known.times += 1;
        known.always |= !conditional;
        // What is inside an expression that was seen before is evaluated with it.
        if first || now_always {
            for (i, child) in expr.children().into_iter().enumerate() {
                self.count(child, conditional || (i > 0 && guards(expr)));
            }
        }
    }

    fn is_shared(&self, key: &Key) -> bool {
        self.0.get(key).is_some_and(|known| known.times > 1 && known.always)
    }
}

fn is_leaf(expr: &Expr) -> bool {
    matches!(
        expr.kind,
        ExprKind::Column(_) | ExprKind::Pseudo(_) | ExprKind::Literal(_) | ExprKind::Lambda(_)
    )
}

/// Whether only the first operand is asked for every row.
fn guards(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Case { .. } => true,
        ExprKind::Binary { op, .. } => matches!(op, BinaryOp::And | BinaryOp::Or),
        _ => false,
    }
}

struct Compiler {
    uses: Uses,
    slots: HashMap<Key, usize>,
    shared: Vec<Child>,
    /// Whether arithmetic with NULL fails.
    strict: bool,
}

impl Compiler {
    fn child(&mut self, expr: &Expr) -> Result<Child> {
        if is_leaf(expr) {
            return self.node(expr);
        }
        let key = key(expr);
        if let Some(slot) = self.slots.get(&key) {
            return Ok(Box::new(Slot(*slot)));
        }
        if !self.uses.is_shared(&key) {
            return self.node(expr);
        }
        let node = self.node(expr)?;
        let slot = self.shared.len();
        self.shared.push(node);
        self.slots.insert(key, slot);
        Ok(Box::new(Slot(slot)))
    }

    fn children(&mut self, exprs: &[Expr]) -> Result<Vec<Child>> {
        exprs.iter().map(|expr| self.child(expr)).collect()
    }

    fn apply(&mut self, operand: &Expr, kernel: Option<Kernel1>, what: &Expr) -> Result<Child> {
        let kernel = kernel.ok_or_else(|| unfit(what))?;
        Ok(Box::new(Apply1 { operand: self.child(operand)?, kernel }))
    }

    fn node(&mut self, expr: &Expr) -> Result<Child> {
        Ok(match &expr.kind {
            ExprKind::Column(index) => Box::new(ColumnNode(*index)),
            ExprKind::Pseudo(pseudo) => Box::new(*pseudo),
            ExprKind::Literal(value) => {
                Box::new(Literal(Column::Const(Value::array(&expr.ty, std::iter::once(value)))))
            }
            ExprKind::Negate(operand) => {
                let node = self.apply(operand, arithmetic::negate(&expr.ty), expr)?;
                self.strictly(node)
            }
            ExprKind::Not(operand) => {
                self.apply(operand, Some(Box::new(|array, _| logic::not(array))), expr)?
            }
            ExprKind::Binary { op, left, right } => self.binary(*op, left, right, expr)?,
            ExprKind::In { operand, list, negated } => {
                let items = call::literals(list).into_iter().collect::<Option<Vec<Value>>>();
                let (child, list) = (self.child(operand)?, self.children(list)?);
                membership::node(child, &operand.ty, list, items, *negated).ok_or_else(|| unfit(expr))?
            }
            ExprKind::Like { operand, pattern, escape, negated } => Box::new(Like {
                operand: self.child(operand)?,
                pattern: self.child(pattern)?,
                escape: *escape,
                negated: *negated,
                compiled: None,
            }),
            ExprKind::IsNull { operand, negated } => {
                Box::new(IsNull { operand: self.child(operand)?, negated: *negated })
            }
            ExprKind::Case { branches, otherwise } => self.case(branches, otherwise.as_deref(), &expr.ty)?,
            ExprKind::Cast(operand) => self.apply(operand, cast::kernel(&operand.ty, &expr.ty), expr)?,
            ExprKind::Field { base, index } => self.field(base, *index, expr)?,
            ExprKind::Subscript { base, index } => Box::new(Apply2 {
                left: self.child(base)?,
                right: self.child(index)?,
                kernel: nested::subscript(&base.ty).ok_or_else(|| unfit(expr))?,
            }),
            ExprKind::Lambda(_) => return Err(unfit(expr)),
            ExprKind::Call { function, args } if args.iter().any(|arg| lambda_of(arg).is_some()) => {
                self.higher(function, args, expr)?
            }
            ExprKind::Call { function, args } => {
                let children = self.children(args)?;
                call::node(function, expr, args, children)?
            }
            ExprKind::Array(items) => {
                Box::new(ArrayNode { ty: expr.ty.arrow(), children: self.children(items)? })
            }
            ExprKind::Map(entries) => Box::new(MapNode {
                ty: expr.ty.arrow(),
                keys: entries.iter().map(|(key, _)| self.child(key)).collect::<Result<_>>()?,
                values: entries.iter().map(|(_, value)| self.child(value)).collect::<Result<_>>()?,
            }),
            ExprKind::Struct(values) => {
                let DataType::Struct(fields) = expr.ty.arrow() else { return Err(unfit(expr)) };
                Box::new(StructNode { fields, children: self.children(values)? })
            }
        })
    }

    fn binary(&mut self, op: BinaryOp, left: &Expr, right: &Expr, expr: &Expr) -> Result<Child> {
        let text = expr.ty == SqlType::Varchar;
        if text && matches!(op, BinaryOp::Plus | BinaryOp::Concat) {
            let mut parts = Vec::new();
            chain(expr, &mut parts);
            let parts = parts.into_iter().map(|part| self.child(part)).collect::<Result<_>>()?;
            return Ok(Box::new(Concat { parts }));
        }
        let (l, r) = (self.child(left)?, self.child(right)?);
        let node = match op {
            BinaryOp::And | BinaryOp::Or => {
                return Ok(Box::new(Logical { left: l, right: r, decides: op == BinaryOp::Or }));
            }
            BinaryOp::Plus | BinaryOp::Minus | BinaryOp::Multiply | BinaryOp::Divide | BinaryOp::Modulo => {
                arithmetic::node(op, (l, &left.ty), (r, &right.ty), &expr.ty).map(|node| self.strictly(node))
            }
            _ => compare::node(op, (l, &left.ty), (r, &right.ty)),
        };
        node.ok_or_else(|| unfit(expr))
    }

    fn strictly(&self, node: Child) -> Child {
        if self.strict { Box::new(Strict(node)) } else { node }
    }

    /// A call of a function that takes functions.
    fn higher(&mut self, function: &str, args: &[Expr], expr: &Expr) -> Result<Child> {
        let binding = functions::find(function).map(|function| function.binding);
        let Some(Binding::Lambda(higher)) = binding else { return Err(unfit(expr)) };
        let mut lambdas = args
            .iter()
            .filter_map(lambda_of)
            .map(|lambda| {
                let (captured, body) =
                    (self.children(&lambda.captured)?, Projection::of_lambda(&lambda.body)?);
                Ok(lambda::Function { captured, body })
            })
            .collect::<Result<Vec<_>>>()?;
        let collection = self.child(&args[0])?;
        Ok(match (higher, lambdas.len()) {
            (Higher::Reduce, 1) => {
                let (start, function) = (self.child(&args[1])?, lambdas.swap_remove(0));
                Box::new(lambda::Reduce { collection, start, function })
            }
            _ => Box::new(lambda::Each { collection, higher, functions: lambdas, ty: expr.ty.arrow() }),
        })
    }

    fn case(&mut self, branches: &[(Expr, Expr)], otherwise: Option<&Expr>, ty: &SqlType) -> Result<Child> {
        let branches = branches
            .iter()
            .map(|(when, then)| Ok((self.child(when)?, self.child(then)?)))
            .collect::<Result<_>>()?;
        let otherwise = otherwise.map(|otherwise| self.child(otherwise)).transpose()?;
        Ok(Box::new(Case { branches, otherwise, ty: ty.arrow() }))
    }

    fn field(&mut self, base: &Expr, index: usize, expr: &Expr) -> Result<Child> {
        match &base.ty {
            SqlType::Struct(fields) if fields.get(index).is_some_and(|f| f.ty == expr.ty) => {
                self.apply(base, Some(Box::new(move |array, _| nested::field(array, index))), expr)
            }
            _ => Err(unfit(expr)),
        }
    }
}

/// The parts of a chain of concatenations, in order.
fn chain<'e>(expr: &'e Expr, parts: &mut Vec<&'e Expr>) {
    match &expr.kind {
        ExprKind::Binary { op: BinaryOp::Plus | BinaryOp::Concat, left, right } => {
            chain(left, parts);
            chain(right, parts);
        }
        _ => parts.push(expr),
    }
}

fn lambda_of(expr: &Expr) -> Option<&Lambda> {
    match &expr.kind {
        ExprKind::Lambda(lambda) => Some(lambda),
        _ => None,
    }
}

fn unfit(expr: &Expr) -> Error {
    Error::statement(format!("no kernel for {expr} of type {}", expr.ty))
}

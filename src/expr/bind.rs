//! Syntax → typed expressions: resolves names, coerces operands, folds constants.
//!
//! Everything that is wrong with an expression is found here, with the place of the part that is
//! wrong. Operators are in `bind/operators.rs`, calls in `bind/calls.rs`, which types go together in
//! `bind/types.rs`.

mod calls;
mod fold;
mod lambda;
mod operators;
mod types;

pub(crate) use types::{Literals, unify};
pub use types::{coerce, common_type};

use super::decimal::{self, PRECISION_MAX};
use super::display::display;
use super::nearest::nearest;
use super::{Expr, ExprKind, Pseudo, cast, functions};
use crate::error::{Error, Result, Span};
use crate::sql::ast;
use crate::types::{Schema, SqlType, StructField, quote};
use crate::value::Value;
use calls::given;
use fold::fold;
use lambda::Frame;
use std::cell::RefCell;

/// Where names are looked up.
pub struct Scope<'a> {
    pub schema: &'a Schema,
    /// In the order of their columns.
    pub sources: Vec<ScopeSource<'a>>,
    pub of: RowOf,
    /// Asked first what an expression stands for: a grouping's keys and calls, aliases.
    pub replace: Option<&'a Replace<'a>>,
}

/// What rows are, and so what they have beside their columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowOf {
    /// A stream's record: ROWTIME, ROWPARTITION, ROWOFFSET, and what only functions ask for.
    Record,
    /// A table's row: ROWTIME.
    Table,
    Nothing,
}

impl RowOf {
    fn has(self, pseudo: Pseudo) -> bool {
        match self {
            RowOf::Record => true,
            RowOf::Table => pseudo == Pseudo::Rowtime,
            RowOf::Nothing => false,
        }
    }
}

/// `None`: the expression is bound as it is.
pub type Replace<'a> = dyn Fn(&ast::Expr) -> Option<Result<Expr>> + 'a;

/// One of the sources whose columns are in scope.
#[derive(Clone)]
pub struct ScopeSource<'a> {
    /// What may stand before the dot: the source's name and its alias.
    pub names: Vec<&'a str>,
    pub columns: std::ops::Range<usize>,
}

impl<'a> Scope<'a> {
    /// Of one source, by these names.
    pub fn of(schema: &'a Schema, names: Vec<&'a str>, of: RowOf) -> Scope<'a> {
        let sources = vec![ScopeSource { names, columns: 0..schema.len() }];
        Scope { schema, sources, of, replace: None }
    }

    /// The source that may stand before a dot by this name.
    pub fn source(&self, name: &str) -> Option<&ScopeSource<'a>> {
        self.sources.iter().find(|source| source.names.contains(&name))
    }

    /// The columns that a name may mean.
    pub fn columns(&self, qualifier: Option<&str>, name: &str) -> Vec<usize> {
        let of = |source: &&ScopeSource| qualifier.is_none_or(|q| source.names.contains(&q));
        let in_source = |source: &ScopeSource<'_>| {
            source.columns.clone().find(|&column| self.schema.columns[column].name == name)
        };
        self.sources.iter().filter(of).filter_map(in_source).collect()
    }
}

/// Binds one expression. An error points at the part that is wrong.
pub fn bind(expr: &ast::Expr, scope: &Scope) -> Result<Expr> {
    let names = scope.schema.columns.iter().map(|c| c.name.clone()).collect();
    Binder { scope, names, lambdas: RefCell::default() }.typed(expr)
}

struct Binder<'a> {
    scope: &'a Scope<'a>,
    /// Column names, for messages.
    names: Vec<String>,
    /// The lambda functions whose bodies are being bound, outermost first.
    lambdas: RefCell<Vec<Frame>>,
}

/// A bound operand with its place; `None` is the bare literal NULL, which takes its type from where
/// it stands.
struct Operand {
    expr: Option<Expr>,
    span: Span,
}

/// How many columns a message lists.
const LISTED_MAX: usize = 12;

pub(super) fn literal(value: Value, ty: SqlType) -> Expr {
    Expr { kind: ExprKind::Literal(value), ty }
}

pub(super) fn null(ty: &SqlType) -> Expr {
    literal(Value::Null, ty.clone())
}

fn untyped_null(span: Span) -> Error {
    Error::statement("NULL has no type here").at(span).hint("CAST(NULL AS STRING), or another type")
}

impl Binder<'_> {
    /// Binds what must have a type of its own.
    fn typed(&self, expr: &ast::Expr) -> Result<Expr> {
        self.operand(expr)?.expr.ok_or_else(|| untyped_null(expr.span))
    }

    fn operand(&self, expr: &ast::Expr) -> Result<Operand> {
        let bound = match &expr.kind {
            ast::ExprKind::Literal(ast::Literal::Null) => None,
            _ if let Some(replaced) = self.replaced(expr) => Some(self.captured(replaced?, 0)),
            _ => Some(fold(self.expr(expr).map_err(|error| error.at(expr.span))?)),
        };
        Ok(Operand { expr: bound, span: expr.span })
    }

    /// What the scope has in the place of an expression; a parameter of a lambda is nobody else's.
    fn replaced(&self, expr: &ast::Expr) -> Option<Result<Expr>> {
        let replace = self.scope.replace?;
        match &expr.kind {
            ast::ExprKind::Column { qualifier: None, name } if self.parameter(None, name).is_some() => None,
            ast::ExprKind::Lambda { .. } => None,
            _ => replace(expr),
        }
    }

    fn operands(&self, exprs: &[ast::Expr]) -> Result<Vec<Operand>> {
        exprs.iter().map(|expr| self.operand(expr)).collect()
    }

    fn expr(&self, expr: &ast::Expr) -> Result<Expr> {
        match &expr.kind {
            ast::ExprKind::Literal(value) => self.literal(value),
            ast::ExprKind::Column { qualifier, name } => self.column(qualifier.as_deref(), name),
            ast::ExprKind::Field { base, field } => self.field(self.typed(base)?, field),
            ast::ExprKind::Subscript { base, index } => {
                self.subscript(self.typed(base)?, self.operand(index)?)
            }
            ast::ExprKind::Unary { op, operand } => self.unary(*op, operand),
            ast::ExprKind::Binary { op, left, right } => {
                let bound = self.operand(left).and_then(|left| self.binary(*op, left, self.operand(right)?));
                bound.map_err(|mut error| {
                    if let Some(name) = self.hyphenated(*op, left, right) {
                        error.hint = Some(format!("a name with a hyphen has backquotes: {}", quote(name)));
                    }
                    error
                })
            }
            ast::ExprKind::Between { operand, low, high, negated } => {
                self.between(operand, low, high, *negated)
            }
            ast::ExprKind::In { operand, list, negated } => {
                self.membership(self.operand(operand)?, self.operands(list)?, *negated)
            }
            ast::ExprKind::Like { operand, pattern, escape, negated } => {
                self.like(self.operand(operand)?, self.operand(pattern)?, *escape, *negated)
            }
            ast::ExprKind::IsNull { operand, negated } => {
                let operand = self.operand(operand)?.expr.unwrap_or_else(|| null(&SqlType::Varchar));
                let kind = ExprKind::IsNull { operand: Box::new(operand), negated: *negated };
                Ok(Expr { kind, ty: SqlType::Boolean })
            }
            ast::ExprKind::Case { operand, branches, otherwise } => {
                self.case(operand.as_deref(), branches, otherwise.as_deref())
            }
            ast::ExprKind::Cast { operand, ty } => self.cast(self.operand(operand)?, ty),
            ast::ExprKind::Call { name, args } => self.call(name, args),
            ast::ExprKind::CountStar => Err(calls::aggregate_here("COUNT")),
            ast::ExprKind::Array(items) => self.array(self.operands(items)?),
            ast::ExprKind::Map(entries) => self.map(entries),
            ast::ExprKind::Struct(fields) => self.structs(fields),
            ast::ExprKind::Lambda { .. } => Err(Error::statement("a lambda function has no value here")),
        }
    }

    fn literal(&self, value: &ast::Literal) -> Result<Expr> {
        Ok(match value {
            ast::Literal::Null => unreachable!("operand() takes NULL out"),
            ast::Literal::Boolean(v) => literal(Value::Boolean(*v), SqlType::Boolean),
            ast::Literal::Integer(v) => integer(*v),
            ast::Literal::Decimal(text) => decimal(text)?,
            ast::Literal::Double(v) => literal(Value::Double(*v), SqlType::Double),
            ast::Literal::String(text) => literal(Value::text(text), SqlType::Varchar),
        })
    }

    fn column(&self, qualifier: Option<&str>, name: &str) -> Result<Expr> {
        match self.parameter(qualifier, name) {
            Some(parameter) => Ok(parameter),
            None => Ok(self.captured(self.column_of_row(qualifier, name)?, 0)),
        }
    }

    fn column_of_row(&self, qualifier: Option<&str>, name: &str) -> Result<Expr> {
        if let Some(qualifier) = qualifier.filter(|q| self.scope.source(q).is_none()) {
            let names = self.scope.sources.iter().flat_map(|source| &source.names);
            let sources: Vec<String> = names.map(|n| quote(n)).collect();
            let error = Error::statement(format!("unknown source {}", quote(qualifier)));
            if let [column] = self.scope.columns(None, qualifier)[..] {
                let (of, part) = (quote(qualifier), quote(name));
                return Err(match &self.scope.schema.columns[column].ty {
                    SqlType::Struct(_) => error.hint(format!("a field of the column {of} is {of}->{part}")),
                    SqlType::Map(..) => error.hint(format!("an entry of the column {of} is {of}['{name}']")),
                    _ => error.hint(format!("{of} is a column")),
                });
            }
            return Err(match sources.is_empty() {
                true => error,
                false => error.hint(format!("columns come from {}", sources.join(" or "))),
            });
        }
        match self.scope.columns(qualifier, name)[..] {
            [] => {}
            [index] => {
                let ty = self.scope.schema.columns[index].ty.clone();
                return Ok(Expr { kind: ExprKind::Column(index), ty });
            }
            _ => {
                let holds = |s: &&ScopeSource| s.columns.clone().any(|c| self.names[c] == name);
                let of = self.scope.sources.iter().filter(holds).filter_map(|s| s.names.last());
                let choices: Vec<String> = of.map(|of| format!("{}.{}", quote(of), quote(name))).collect();
                return Err(Error::statement(format!("column {} is ambiguous", quote(name)))
                    .hint(format!("write {}", choices.join(" or "))));
            }
        }
        match Pseudo::find(name) {
            Some(pseudo) if self.scope.of.has(pseudo) => {
                Ok(Expr { kind: ExprKind::Pseudo(pseudo), ty: pseudo.ty() })
            }
            Some(_) => {
                Err(Error::statement(format!("{name} belongs to a stream's record, and there is none here"))
                    .hint(format!("a table keeps what its query selects: MAX({name}) AS …")))
            }
            None => Err(self.unknown_column(name)),
        }
    }

    /// The column that a difference of two columns spells, if there is one.
    fn hyphenated(&self, op: ast::BinaryOp, left: &ast::Expr, right: &ast::Expr) -> Option<&String> {
        let of = |expr: &ast::Expr| match &expr.kind {
            ast::ExprKind::Column { qualifier: None, name } => Some(name.clone()),
            _ => None,
        };
        let name = format!("{}-{}", of(left)?, of(right)?);
        let spelt = self.names.iter().find(|known| known.eq_ignore_ascii_case(&name));
        spelt.filter(|_| op == ast::BinaryOp::Minus)
    }

    fn unknown_column(&self, name: &str) -> Error {
        let error = Error::statement(format!("unknown column {}", quote(name)));
        if let Some(answer) = functions::foreign::answer(name).filter(|_| name.starts_with("CURRENT_")) {
            return error.hint(answer);
        }
        let names = self.names_here();
        let near = nearest(name, names.iter().map(String::as_str));
        let listed = || self.names.iter().map(|n| quote(n)).collect::<Vec<_>>().join(", ");
        let all = (!self.names.is_empty() && self.names.len() <= LISTED_MAX)
            .then(|| format!("the columns are {}", listed()));
        match (near, all) {
            (Some(near), Some(all)) => error.hint(format!("did you mean {}? {all}", quote(near))),
            (Some(near), None) => error.hint(format!("did you mean {}?", quote(near))),
            // What is not written in capitals had double quotes around it.
            (None, all) if name.chars().any(char::is_lowercase) => {
                let error = error.hint(format!("a text has single quotes: '{name}'"));
                all.into_iter().fold(error, Error::hint)
            }
            (None, Some(all)) => error.hint(all),
            (None, None) => error,
        }
    }

    fn field(&self, base: Expr, field: &ast::Ident) -> Result<Expr> {
        let SqlType::Struct(fields) = &base.ty else {
            let error = Error::statement(format!("{}, -> needs a STRUCT", self.describe(&base)));
            return Err(match &base.ty {
                SqlType::Map(..) => error.hint(format!("{}['{}']", self.shown(&base), field.name)),
                _ => error,
            });
        };
        let Some(index) = fields.iter().position(|f| f.name == field.name) else {
            let near = nearest(&field.name, fields.iter().map(|f| f.name.as_str()));
            let known: Vec<String> = fields.iter().map(|f| quote(&f.name)).collect();
            let hint = match near {
                Some(near) => format!("did you mean {}?", quote(near)),
                None => format!("the fields are {}", known.join(", ")),
            };
            let what = self.shown(&base);
            let error = Error::statement(format!("{what} has no field {}", quote(&field.name)));
            return Err(error.at(field.span).hint(hint));
        };
        if let ExprKind::Struct(values) = &base.kind {
            return Ok(values[index].clone());
        }
        let ty = fields[index].ty.clone();
        Ok(Expr { kind: ExprKind::Field { base: Box::new(base), index }, ty })
    }

    fn subscript(&self, base: Expr, index: Operand) -> Result<Expr> {
        let (wanted, ty) = match &base.ty {
            SqlType::Array(item) => (SqlType::Bigint, (**item).clone()),
            SqlType::Map(key, value) => ((**key).clone(), (**value).clone()),
            _ => {
                let what = self.describe(&base);
                return Err(Error::statement(format!("{what}, a subscript needs an ARRAY or a MAP")));
            }
        };
        let index = self.need(index, &wanted, "the subscript")?;
        Ok(Expr { kind: ExprKind::Subscript { base: Box::new(base), index: Box::new(index) }, ty })
    }

    fn cast(&self, operand: Operand, ty: &SqlType) -> Result<Expr> {
        let Some(expr) = operand.expr else { return Ok(null(ty)) };
        if expr.ty == *ty {
            return Ok(expr);
        }
        if !cast::castable(&expr.ty, ty) {
            let error = Error::statement(format!("{}, CAST to {ty} is not possible", self.describe(&expr)));
            return Err(match ty {
                SqlType::Boolean if expr.ty.is_numeric() => error.hint(format!("{} <> 0", self.shown(&expr))),
                SqlType::Int | SqlType::Bigint if expr.ty == SqlType::Boolean => {
                    error.hint(format!("CASE WHEN {} THEN 1 ELSE 0 END", self.shown(&expr)))
                }
                _ => error,
            });
        }
        Ok(types::cast(expr, ty))
    }

    fn array(&self, items: Vec<Operand>) -> Result<Expr> {
        if items.is_empty() {
            return Err(Error::statement("ARRAY[] has no type").hint("CAST(NULL AS ARRAY<…>)"));
        }
        let (items, ty) = self.unify(items, "the elements of an ARRAY", Literals::All)?;
        Ok(Expr { kind: ExprKind::Array(items), ty: SqlType::Array(Box::new(ty)) })
    }

    fn map(&self, entries: &[(ast::Expr, ast::Expr)]) -> Result<Expr> {
        if entries.is_empty() {
            return Err(Error::statement("MAP() has no type").hint("CAST(NULL AS MAP<STRING, …>)"));
        }
        let keys = entries.iter().map(|(key, _)| self.operand(key)).collect::<Result<_>>()?;
        let values = entries.iter().map(|(_, value)| self.operand(value)).collect::<Result<_>>()?;
        let (keys, key) = self.unify(keys, "the keys of a MAP", Literals::All)?;
        let (values, value) = self.unify(values, "the values of a MAP", Literals::All)?;
        let entries = keys.into_iter().zip(values).collect();
        Ok(Expr { kind: ExprKind::Map(entries), ty: SqlType::Map(Box::new(key), Box::new(value)) })
    }

    fn structs(&self, fields: &[(ast::Ident, ast::Expr)]) -> Result<Expr> {
        let mut types: Vec<StructField> = Vec::with_capacity(fields.len());
        let mut values = Vec::with_capacity(fields.len());
        for (name, value) in fields {
            if types.iter().any(|f| f.name == name.name) {
                let error = Error::statement(format!("STRUCT has two fields {}", quote(&name.name)));
                return Err(error.at(name.span));
            }
            let value = self.typed(value)?;
            types.push(StructField { name: name.name.clone(), ty: value.ty.clone() });
            values.push(value);
        }
        Ok(Expr { kind: ExprKind::Struct(values), ty: SqlType::Struct(types) })
    }

    /// An expression as text, for messages.
    fn shown(&self, expr: &Expr) -> String {
        display(expr, &self.names_here())
    }

    /// `CAPACITY is STRING`, for messages.
    fn describe(&self, expr: &Expr) -> String {
        format!("{} is {}", self.shown(expr), expr.ty)
    }

    /// The operand as a type that its place asks for.
    fn need(&self, operand: Operand, ty: &SqlType, place: &str) -> Result<Expr> {
        let Some(expr) = operand.expr else { return Ok(null(ty)) };
        let what = self.describe(&expr);
        coerce(expr, ty)
            .ok_or_else(|| Error::statement(format!("{what}, {place} needs {ty}")).at(operand.span))
    }

    /// Gives all operands one type. `place` names them for a message.
    fn unify(&self, operands: Vec<Operand>, place: &str, literals: Literals) -> Result<(Vec<Expr>, SqlType)> {
        let ty = types::unify(&given(&operands), literals).map_err(|misfit| {
            let Operand { expr: Some(expr), span } = &operands[misfit.index] else {
                return Error::statement(format!("{place} have no type in common"));
            };
            if misfit.says_nothing {
                return types::bad_text(&self.shown(expr), &misfit.ty).at(*span);
            }
            let what = self.describe(expr);
            let error = Error::statement(format!("{what}, but {place} have type {}", misfit.ty)).at(*span);
            match (&misfit.ty, &expr.ty) {
                (SqlType::Varchar, _) => error.hint(format!("CAST({} AS VARCHAR)", self.shown(expr))),
                (_, SqlType::Varchar) => error.hint("CAST(… AS VARCHAR) makes texts of the others"),
                _ => error,
            }
        })?;
        let Some(ty) = ty else {
            return Err(untyped_null(operands.first().map_or(Span::default(), |o| o.span)));
        };
        let mut result = Vec::with_capacity(operands.len());
        for operand in operands {
            result.push(match operand.expr {
                None => null(&ty),
                Some(expr) => self.convert(expr, &ty, operand.span)?,
            });
        }
        Ok((result, ty))
    }

    /// To a type that was found to be common.
    fn convert(&self, expr: Expr, ty: &SqlType, span: Span) -> Result<Expr> {
        if expr.ty == *ty {
            return Ok(expr);
        }
        if types::is_text(&expr) {
            let text = self.shown(&expr);
            let fitting = coerce(expr.clone(), ty).or_else(|| types::bent(expr, ty));
            return fitting.ok_or_else(|| types::bad_text(&text, ty).at(span));
        }
        Ok(types::cast(expr, ty))
    }
}

/// INT when it fits, else BIGINT.
fn integer(v: i64) -> Expr {
    match i32::try_from(v) {
        Ok(v) => literal(Value::Int(v), SqlType::Int),
        Err(_) => literal(Value::Bigint(v), SqlType::Bigint),
    }
}

/// The type of a decimal literal has just its digits.
fn decimal(text: &str) -> Result<Expr> {
    let fraction = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let parsed = decimal::parse(text, PRECISION_MAX).filter(|_| fraction <= PRECISION_MAX as usize);
    let sized = parsed.map(|(digits, scale)| {
        let count = digits.checked_abs().unwrap_or(i128::MAX).checked_ilog10().map_or(1, |n| n as u8 + 1);
        (digits, count.max(scale), scale)
    });
    match sized.filter(|(_, precision, _)| *precision <= PRECISION_MAX) {
        Some((digits, precision, scale)) => {
            Ok(literal(Value::Decimal(digits, scale), SqlType::Decimal { precision, scale }))
        }
        None => Err(Error::statement(format!("{text} is no DECIMAL of at most {PRECISION_MAX} digits"))),
    }
}

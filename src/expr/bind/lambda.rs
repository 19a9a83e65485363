//! Lambda functions: what their parameters are, and what their bodies see of the rows around them.
//!
//! A body is bound over rows of its own, so that it runs on the items of a whole batch at once. A column
//! that it names is captured: it becomes one more column of those rows. A lambda within a lambda captures
//! from the one around it.

use super::{Binder, Operand, coerce, common_type, null};
use crate::error::{Error, Result};
use crate::expr::function::{Function, Higher};
use crate::expr::{Expr, ExprKind, Lambda};
use crate::sql::ast;
use crate::types::{SqlType, quote};

/// The lambda whose body is being bound.
pub(super) struct Frame {
    params: Vec<(String, SqlType)>,
    captured: Vec<Expr>,
}

impl Frame {
    fn parameter(&self, index: usize) -> Expr {
        Expr { kind: ExprKind::Column(index), ty: self.params[index].1.clone() }
    }

    /// The column of the body that stands for `expr` of the rows around it.
    fn capture(&mut self, expr: Expr) -> Expr {
        let ty = expr.ty.clone();
        let place = self.captured.iter().position(|known| *known == expr).unwrap_or_else(|| {
            self.captured.push(expr);
            self.captured.len() - 1
        });
        Expr { kind: ExprKind::Column(self.params.len() + place), ty }
    }
}

/// The collection that a call goes over.
enum Items {
    Array(SqlType),
    Map(SqlType, SqlType),
}

impl Items {
    fn of(ty: &SqlType) -> Option<Items> {
        match ty {
            SqlType::Array(item) => Some(Items::Array((**item).clone())),
            SqlType::Map(key, value) => Some(Items::Map((**key).clone(), (**value).clone())),
            _ => None,
        }
    }

    fn types(&self) -> Vec<SqlType> {
        match self {
            Items::Array(item) => vec![item.clone()],
            Items::Map(key, value) => vec![key.clone(), value.clone()],
        }
    }

    fn names(&self) -> &'static str {
        match self {
            Items::Array(_) => "the item",
            Items::Map(..) => "the key, the value",
        }
    }
}

impl Binder<'_> {
    /// A parameter of a lambda around here, as the innermost one sees it.
    pub(super) fn parameter(&self, qualifier: Option<&str>, name: &str) -> Option<Expr> {
        let lambdas = self.lambdas.borrow();
        let (level, index) = lambdas.iter().enumerate().rev().find_map(|(level, lambda)| {
            let index = lambda.params.iter().position(|(param, _)| param == name)?;
            qualifier.is_none().then_some((level, index))
        })?;
        let parameter = lambdas[level].parameter(index);
        drop(lambdas);
        Some(self.captured(parameter, level + 1))
    }

    /// What stands outside the lambda at `level`, as the innermost one sees it.
    pub(super) fn captured(&self, expr: Expr, level: usize) -> Expr {
        self.lambdas.borrow_mut()[level..].iter_mut().fold(expr, |expr, lambda| lambda.capture(expr))
    }

    /// What columns are called here, for messages.
    pub(super) fn names_here(&self) -> Vec<String> {
        self.lambdas.borrow().iter().fold(self.names.clone(), |names, lambda| {
            let params = lambda.params.iter().map(|(name, _)| name.clone()).collect();
            let body = Box::new(null(&SqlType::Boolean));
            Lambda { params, captured: lambda.captured.clone(), body }.names(&names)
        })
    }

    pub(super) fn call_with_lambdas(
        &self,
        function: &Function,
        higher: Higher,
        args: &[ast::Expr],
    ) -> Result<Expr> {
        let usage = |error: Error| error.hint(function.usage);
        let Some(first) = args.first() else {
            let error = format!("{}: takes a collection and a lambda function", function.name);
            return Err(usage(Error::statement(error)));
        };
        let collection = self.typed(first)?;
        let Some(items) = Items::of(&collection.ty) else {
            let error = format!("{}, {} needs an ARRAY or a MAP", self.describe(&collection), function.name);
            return Err(usage(Error::statement(error).at(first.span)));
        };
        let wanted = match (higher, &items) {
            (Higher::Transform, Items::Map(..)) | (Higher::Reduce, _) => 3,
            _ => 2,
        };
        if args.len() != wanted {
            let ty = &collection.ty;
            let error = format!("{} of {ty} takes {wanted} arguments, not {}", function.name, args.len());
            return Err(usage(Error::statement(error)));
        }
        match higher {
            Higher::Transform => self.transform(function, collection, &items, &args[1..]),
            Higher::Filter => {
                let lambda = self.lambda(function, &args[1], &items.types(), items.names())?;
                if lambda.ty != SqlType::Boolean {
                    let error = format!("the condition of FILTER is {}, not BOOLEAN", lambda.ty);
                    return Err(usage(Error::statement(error).at(args[1].span)));
                }
                let ty = collection.ty.clone();
                Ok(call(function, vec![collection, lambda], ty))
            }
            Higher::Reduce => self.reduce(function, collection, &items, &args[1..]),
        }
    }

    fn transform(
        &self,
        function: &Function,
        collection: Expr,
        items: &Items,
        lambdas: &[ast::Expr],
    ) -> Result<Expr> {
        let mut args = vec![collection];
        for lambda in lambdas {
            args.push(self.lambda(function, lambda, &items.types(), items.names())?);
        }
        let of = |arg: &Expr| Box::new(arg.ty.clone());
        let ty = match args.as_slice() {
            [_, item] => SqlType::Array(of(item)),
            [_, key, value] => SqlType::Map(of(key), of(value)),
            _ => return Err(Error::statement("TRANSFORM takes one or two lambda functions")),
        };
        Ok(call(function, args, ty))
    }

    /// The state has the type that the start and the body have in common.
    fn reduce(
        &self,
        function: &Function,
        collection: Expr,
        items: &Items,
        args: &[ast::Expr],
    ) -> Result<Expr> {
        let (start, lambda) = (self.typed(&args[0])?, &args[1]);
        let names = format!("the state, {}", items.names());
        let over = |state: &SqlType| -> Vec<SqlType> {
            std::iter::once(state.clone()).chain(items.types()).collect()
        };
        let mut state = start.ty.clone();
        let mut bound = self.lambda(function, lambda, &over(&state), &names)?;
        if bound.ty != state
            && let Some(common) = common_type(&state, &bound.ty)
        {
            state = common;
            bound = self.lambda(function, lambda, &over(&state), &names)?;
        }
        let (start, body) = (coerce(start, &state), bound.ty.clone());
        let (Some(start), Some(bound)) = (start, returning(bound, &state)) else {
            let error = format!("the state of REDUCE is {state}, and the lambda function returns {body}");
            return Err(Error::statement(error)
                .at(lambda.span)
                .hint(format!("CAST the first state to {body}, or what is returned to {state}")));
        };
        Ok(call(function, vec![collection, start, bound], state))
    }

    /// Binds one lambda over items of these types; `given` names them for a message.
    fn lambda(&self, function: &Function, arg: &ast::Expr, types: &[SqlType], given: &str) -> Result<Expr> {
        let ast::ExprKind::Lambda { params, body } = &arg.kind else {
            let error = format!("{} needs a lambda function here", function.name);
            return Err(Error::statement(error).at(arg.span).hint(function.usage));
        };
        if params.len() != types.len() {
            let (has, gets) = (params.len(), types.len());
            let error = format!("the lambda function has {has} parameters, {} gives {gets}", function.name);
            return Err(Error::statement(error).at(arg.span).hint(format!("they are {given}")));
        }
        if let Some(param) = params.iter().find(|param| !self.scope.columns(None, &param.name).is_empty()) {
            return Err(parameter_is_column(param));
        }
        let params: Vec<_> = params.iter().map(|p| p.name.clone()).zip(types.iter().cloned()).collect();
        self.lambdas.borrow_mut().push(Frame { params, captured: Vec::new() });
        let body = self.operand(body);
        let frame = self.lambdas.borrow_mut().pop();
        let (Operand { expr: body, span }, Some(frame)) = (body?, frame) else {
            return Err(Error::statement("a lambda function without a frame"));
        };
        let body = body.ok_or_else(|| super::untyped_null(span))?;
        let ty = body.ty.clone();
        let params = frame.params.into_iter().map(|(name, _)| name).collect();
        let lambda = Lambda { params, captured: frame.captured, body: Box::new(body) };
        Ok(Expr { kind: ExprKind::Lambda(lambda), ty })
    }
}

/// A name that stands for two things would be read in two ways.
fn parameter_is_column(param: &ast::Ident) -> Error {
    let name = quote(&param.name);
    Error::statement(format!("the parameter {name} has the name of a column"))
        .at(param.span)
        .hint("give the parameter a name of its own")
}

fn call(function: &Function, args: Vec<Expr>, ty: SqlType) -> Expr {
    Expr { kind: ExprKind::Call { function: function.name.to_string(), args }, ty }
}

/// The lambda with its result as another type.
fn returning(lambda: Expr, ty: &SqlType) -> Option<Expr> {
    let ExprKind::Lambda(Lambda { params, captured, body }) = lambda.kind else { return None };
    let body = if body.ty == *ty { *body } else { coerce(*body, ty)? };
    let kind = ExprKind::Lambda(Lambda { params, captured, body: Box::new(body) });
    Some(Expr { kind, ty: ty.clone() })
}

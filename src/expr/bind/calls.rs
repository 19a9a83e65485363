//! Calls: the function, its overload, its arguments as the overload wants them.

use super::{Binder, Operand, coerce, literal, null, types};
use crate::aggregate;
use crate::error::{Error, Result, Span};
use crate::expr::function::{Arg, Binding, Function};
use crate::expr::nearest::nearest;
use crate::expr::{Expr, ExprKind, Pseudo, RowOf, call, expand, functions};
use crate::sql::ast;
use crate::types::{SqlType, quote};
use crate::value::Value;

pub(super) fn aggregate_here(name: &str) -> Error {
    Error::statement(format!("aggregate {name} needs GROUP BY, and stands in SELECT or HAVING only"))
        .hint("a condition on it is HAVING, behind GROUP BY")
}

impl Binder<'_> {
    pub(super) fn call(&self, name: &ast::Ident, args: &[ast::Expr]) -> Result<Expr> {
        match functions::find(&name.name) {
            Some(function) => match function.binding {
                Binding::OfRecord => self.call_of_record(function, name.span, args),
                Binding::Now if args.is_empty() => self.now(function),
                Binding::Unit => {
                    let args: Vec<ast::Expr> = args.iter().map(|arg| self.unit_as_text(arg)).collect();
                    self.call_function(function, self.operands(&args)?)
                }
                Binding::Lambda(higher) => self.call_with_lambdas(function, higher, args),
                Binding::Plain | Binding::Now => {
                    if let Some(lambda) = args.iter().find(|arg| is_lambda(arg)) {
                        let error = format!("{} takes no lambda function", function.name);
                        return Err(Error::statement(error).at(lambda.span).hint(function.usage));
                    }
                    self.call_function(function, self.operands(args)?)
                }
            },
            None if aggregate::find(&name.name).is_some() => Err(aggregate_here(&name.name)),
            None if expand::find(&name.name).is_some() => Err(Error::statement(format!(
                "{} makes rows, and stands only in the SELECT list of a query of a stream",
                name.name
            ))),
            None => Err(unknown_function(name)),
        }
    }

    /// RANDOM() and UUID(), with the arguments that make them functions of the record. The last one is the
    /// place in the text for now; `plan::sites` numbers them.
    fn call_of_record(&self, function: &Function, place: Span, args: &[ast::Expr]) -> Result<Expr> {
        if let Some(first) = args.first() {
            let error = Error::statement(format!("{}: takes no argument, not {}", function.name, args.len()));
            return Err(error.at(first.span).hint(function.usage));
        }
        let record = [Pseudo::Rowtime, Pseudo::Roworigin, Pseudo::Rowoffset];
        let mut exprs = record
            .map(|pseudo| self.pseudo(pseudo, function.name))
            .into_iter()
            .collect::<Result<Vec<_>>>()?;
        exprs.push(literal(Value::text(&place.start.to_string()), SqlType::Varchar));
        let operands = exprs.into_iter().map(|expr| Operand { expr: Some(expr), span: place }).collect();
        self.call_function(function, operands)
    }

    /// UNIX_TIMESTAMP() and UNIX_DATE(): one time for all rows of a tick.
    fn now(&self, function: &Function) -> Result<Expr> {
        let now = self.pseudo(Pseudo::Now, function.name)?;
        if function.name == "UNIX_TIMESTAMP" {
            return Ok(now);
        }
        let call = |function: &str, arg, ty| Expr {
            kind: ExprKind::Call { function: function.to_string(), args: vec![arg] },
            ty,
        };
        let timestamp = call("FROM_UNIXTIME", now, SqlType::Timestamp);
        Ok(call("UNIX_DATE", types::cast(timestamp, &SqlType::Date), SqlType::Int))
    }

    fn pseudo(&self, pseudo: Pseudo, function: &str) -> Result<Expr> {
        if self.scope.of == RowOf::Record {
            return Ok(self.captured(Expr { kind: ExprKind::Pseudo(pseudo), ty: pseudo.ty() }, 0));
        }
        Err(Error::statement(format!("{function}() is made of a stream's record, and there is none here"))
            .hint("it stands in queries of streams, in front of any grouping"))
    }

    /// The dialect writes a unit of time without quotes: `DATEADD(DAYS, 1, d)`.
    fn unit_as_text(&self, arg: &ast::Expr) -> ast::Expr {
        match &arg.kind {
            ast::ExprKind::Column { qualifier: None, name }
                if functions::is_unit(name) && self.scope.columns(None, name).is_empty() =>
            {
                ast::Expr { kind: ast::ExprKind::Literal(ast::Literal::String(name.clone())), span: arg.span }
            }
            _ => arg.clone(),
        }
    }

    pub(super) fn call_function(&self, function: &Function, args: Vec<Operand>) -> Result<Expr> {
        let overload = (function.resolve)(&given(&args))
            .map_err(|reason| misfit(function, &reason, &args).hint(function.usage))?;
        let mut exprs = Vec::with_capacity(args.len());
        for (i, (arg, ty)) in args.iter().zip(&overload.args).enumerate() {
            exprs.push(self.argument(function, i, arg, ty)?);
        }
        // A bad literal (a pattern, a zone) is found now: only the kernel's maker knows it is one.
        let literals = call::literals(&exprs);
        if let Err(reason) = (overload.kernel)(&literals) {
            return Err(bad_literal(function, &reason, &args, &literals));
        }
        let kind = ExprKind::Call { function: function.name.to_string(), args: exprs };
        Ok(Expr { kind, ty: overload.returns })
    }

    fn argument(&self, function: &Function, i: usize, arg: &Operand, ty: &SqlType) -> Result<Expr> {
        let Some(expr) = &arg.expr else { return Ok(null(ty)) };
        coerce(expr.clone(), ty).or_else(|| types::bent(expr.clone(), ty)).ok_or_else(|| {
            if types::is_text(expr) && types::is_temporal(ty) {
                return types::bad_text(&expr.to_string(), ty).at(arg.span);
            }
            let what = self.describe(expr);
            Error::statement(format!("{what}, argument {} of {} needs {ty}", i + 1, function.name))
                .at(arg.span)
                .hint(format!("CAST(… AS {ty}); {}", function.usage))
        })
    }
}

fn is_lambda(arg: &ast::Expr) -> bool {
    matches!(arg.kind, ast::ExprKind::Lambda { .. })
}

pub(super) fn given(args: &[Operand]) -> Vec<Arg<'_>> {
    args.iter()
        .map(|arg| Arg {
            ty: arg.expr.as_ref().map(|e| &e.ty),
            literal: match arg.expr.as_ref().map(|e| &e.kind) {
                Some(ExprKind::Literal(value)) => Some(value),
                Some(_) => None,
                None => Some(&Value::Null),
            },
        })
        .collect()
}

/// Points at the argument that the reason names: `argument 2 is …`.
fn misfit(function: &Function, reason: &str, args: &[Operand]) -> Error {
    let (reason, hint) = match reason.split_once("; hint: ") {
        Some((reason, hint)) => (reason, Some(hint)),
        None => (reason, None),
    };
    let error = Error::statement(format!("{}: {reason}", function.name));
    let error = hint.into_iter().fold(error, Error::hint);
    let number =
        reason.strip_prefix("argument ").and_then(|rest| rest.split(' ').next()?.parse::<usize>().ok());
    match number.and_then(|n| args.get(n.checked_sub(1)?)) {
        Some(arg) => error.at(arg.span),
        None => error,
    }
}

/// Points at the literal that the reason quotes, or at the only one.
fn bad_literal(function: &Function, reason: &str, args: &[Operand], literals: &[Option<Value>]) -> Error {
    let error = misfit(function, reason, args);
    let places: Vec<(Span, &Value)> =
        args.iter().zip(literals).filter_map(|(arg, l)| l.as_ref().map(|l| (arg.span, l))).collect();
    let quoted = places.iter().find(|(_, value)| match value {
        Value::Varchar(text) => reason.contains(&format!("'{text}'")),
        _ => false,
    });
    match (quoted, places.as_slice()) {
        (Some((span, _)), _) | (None, [(span, _)]) => error.at(*span),
        _ => error,
    }
}

fn unknown_function(name: &ast::Ident) -> Error {
    let error = Error::statement(format!("unknown function {}", quote(&name.name))).at(name.span);
    if let Some(answer) = functions::foreign::answer(&name.name) {
        return error.hint(answer);
    }
    match nearest(&name.name, functions::ALL.iter().map(|f| f.name)) {
        Some(near) => error.hint(format!("did you mean {near}?")),
        None => error.hint("SHOW FUNCTIONS lists them"),
    }
}

//! What holds for every function of the list, whichever they are.

use super::*;
use crate::expr::function::Arg;
use crate::expr::functions;

fn types() -> Vec<Option<SqlType>> {
    let mut types: Vec<Option<SqlType>> = schema().columns.into_iter().map(|c| Some(c.ty)).collect();
    types.dedup();
    types.extend([None, Some(SqlType::Array(Box::new(SqlType::Varchar)))]);
    types
}

/// A worker finds the overload again from the coerced types: it must be the one that was bound.
#[test]
fn an_overload_stays_once_its_arguments_are_coerced() {
    let types = types();
    let mut shapes: Vec<Vec<Option<SqlType>>> = vec![vec![]];
    let mut last = shapes.clone();
    for _ in 0..3 {
        last =
            last.iter().flat_map(|s| types.iter().map(|t| [s.clone(), vec![t.clone()]].concat())).collect();
        shapes.extend(last.iter().cloned());
    }
    for function in functions::ALL {
        for shape in &shapes {
            let args: Vec<Arg> = shape
                .iter()
                .map(|ty| Arg { ty: ty.as_ref(), literal: ty.is_none().then_some(&Value::Null) })
                .collect();
            let Ok(first) = (function.resolve)(&args) else { continue };
            assert_eq!(first.args.len(), shape.len(), "{} {shape:?}", function.name);
            let coerced: Vec<Arg> = first
                .args
                .iter()
                .zip(shape)
                .map(|(ty, given)| Arg { ty: Some(ty), literal: given.is_none().then_some(&Value::Null) })
                .collect();
            match (function.resolve)(&coerced) {
                Ok(again) => assert_eq!(
                    (&again.args, &again.returns),
                    (&first.args, &first.returns),
                    "{} {shape:?}",
                    function.name
                ),
                Err(reason) => panic!("{} {shape:?} → {:?}: {reason}", function.name, first.args),
            }
        }
    }
}

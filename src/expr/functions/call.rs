//! From a closure over the values of one row to an overload over columns.
//!
//! [`unary`] to [`quaternary`] read typed cells and give NULL for NULL; with a state (`unary_with` …)
//! they keep what is compiled from literals. [`choose`] takes, per row, the value of one argument as it
//! is; [`values`] is for types that are only known when the call is bound, and slower.

use super::super::Notes;
use super::super::bind;
use super::super::function::{Arg, Kernel, Overload};
use crate::batch::Column;
use crate::types::SqlType;
use crate::value::Value;
use arrow_array::builder::*;
use arrow_array::types::*;
use arrow_array::*;
use std::sync::Arc;

/// A row's result: a value, NULL, or the note that goes with a NULL.
pub type Outcome<T> = Result<Option<T>, String>;

/// What `Function::resolve` gives.
pub type Resolved = Result<Overload, String>;

pub fn some<T>(value: T) -> Outcome<T> {
    Ok(Some(value))
}

pub fn text(text: impl Into<String>) -> Outcome<String> {
    Ok(Some(text.into()))
}

/// A text as a note shows it.
pub fn shown(text: &str) -> String {
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("'{}…'", &text[..end]),
        None => format!("'{text}'"),
    }
}

/// A type that is known when this crate is compiled: how its cells are read and written.
pub trait Type: 'static {
    type Array: Array + 'static;
    type Item<'a>: Copy;
    /// Owned: a closure's result cannot borrow from the cells it is given.
    type Out;
    type Builder: ArrayBuilder;
    fn sql() -> SqlType;
    fn item(array: &Self::Array, i: usize) -> Self::Item<'_>;
    fn builder(rows: usize) -> Self::Builder;
    fn append(builder: &mut Self::Builder, value: Option<Self::Out>);
}

macro_rules! plain_types {
    ($($name:ident: $sql:ident, $array:ty, $item:ty, $builder:ty;)+) => {$(
        pub struct $name;

        impl Type for $name {
            type Array = $array;
            type Item<'a> = $item;
            type Out = $item;
            type Builder = $builder;

            fn sql() -> SqlType {
                SqlType::$sql
            }

            #[inline]
            fn item(array: &$array, i: usize) -> $item {
                array.value(i)
            }

            fn builder(rows: usize) -> $builder {
                <$builder>::with_capacity(rows)
            }

            #[inline]
            fn append(builder: &mut $builder, value: Option<$item>) {
                builder.append_option(value);
            }
        }
    )+};
}

plain_types! {
    Int: Int, PrimitiveArray<Int32Type>, i32, Int32Builder;
    Bigint: Bigint, PrimitiveArray<Int64Type>, i64, Int64Builder;
    Double: Double, PrimitiveArray<Float64Type>, f64, Float64Builder;
    Date: Date, PrimitiveArray<Date32Type>, i32, Date32Builder;
    Time: Time, PrimitiveArray<Time32MillisecondType>, i32, Time32MillisecondBuilder;
    Timestamp: Timestamp, PrimitiveArray<TimestampMillisecondType>, i64, TimestampMillisecondBuilder;
}

macro_rules! view_types {
    ($($name:ident: $sql:ident, $array:ty, $item:ty, $out:ty, $builder:ty;)+) => {$(
        pub struct $name;

        impl Type for $name {
            type Array = $array;
            type Item<'a> = &'a $item;
            type Out = $out;
            type Builder = $builder;

            fn sql() -> SqlType {
                SqlType::$sql
            }

            #[inline]
            fn item(array: &$array, i: usize) -> &$item {
                array.value(i)
            }

            fn builder(rows: usize) -> $builder {
                <$builder>::with_capacity(rows)
            }

            #[inline]
            fn append(builder: &mut $builder, value: Option<$out>) {
                builder.append_option(value);
            }
        }
    )+};
}

view_types! {
    Text: Varchar, StringViewArray, str, String, StringViewBuilder;
    Bytes: Bytes, BinaryViewArray, [u8], Vec<u8>, BinaryViewBuilder;
}

/// ARRAY<STRING>, as a result.
pub struct Texts;

impl Type for Texts {
    type Array = ListArray;
    type Item<'a> = ();
    type Out = Vec<String>;
    type Builder = ListBuilder<StringViewBuilder>;

    fn sql() -> SqlType {
        SqlType::Array(Box::new(SqlType::Varchar))
    }

    fn item(_: &ListArray, _: usize) {}

    fn builder(rows: usize) -> Self::Builder {
        ListBuilder::with_capacity(StringViewBuilder::new(), rows)
    }

    fn append(builder: &mut Self::Builder, value: Option<Vec<String>>) {
        let valid = value.is_some();
        value.into_iter().flatten().for_each(|text| builder.values().append_value(text));
        builder.append(valid);
    }
}

/// The cells of one argument; a constant stays one cell.
pub struct Cells<'a, T: Type> {
    array: &'a T::Array,
    step: usize,
}

impl<'a, T: Type> Cells<'a, T> {
    pub fn of(column: &'a Column) -> Cells<'a, T> {
        let (array, _) = column.at(0);
        let array = array.as_any().downcast_ref().expect("arguments are coerced when a call is bound");
        Cells { array, step: !matches!(column, Column::Const(_)) as usize }
    }

    #[inline]
    pub fn get(&self, row: usize) -> Option<T::Item<'a>> {
        let i = row * self.step;
        if self.array.is_null(i) { None } else { Some(T::item(self.array, i)) }
    }

    pub fn is_constant(&self) -> bool {
        self.step == 0
    }
}

/// Makes a column row by row; a row that fails is NULL and a note.
#[inline]
pub fn fill<T: Type>(
    rows: usize,
    notes: &mut Notes,
    mut row: impl FnMut(usize) -> Outcome<T::Out>,
) -> ArrayRef {
    let mut builder = T::builder(rows);
    for i in 0..rows {
        let value = row(i).unwrap_or_else(|reason| {
            notes.note(i, || reason);
            None
        });
        T::append(&mut builder, value);
    }
    ArrayBuilder::finish(&mut builder)
}

/// What is made of a text argument (a pattern, a zone, a unit), kept while the text stays the same.
pub struct Made<T> {
    make: fn(&str) -> Result<T, String>,
    last: Option<(Box<str>, Result<T, String>)>,
}

impl<T> Made<T> {
    /// A literal that cannot work is an error of the statement.
    pub fn new(
        make: fn(&str) -> Result<T, String>,
        literal: Option<&Option<Value>>,
    ) -> Result<Made<T>, String> {
        let mut made = Made { make, last: None };
        if let Some(Some(Value::Varchar(text))) = literal {
            made.get(text)?;
        }
        Ok(made)
    }

    pub fn get(&mut self, text: &str) -> Result<&mut T, String> {
        if self.last.as_ref().is_none_or(|(last, _)| **last != *text) {
            self.last = Some((text.into(), (self.make)(text)));
        }
        match &mut self.last {
            Some((_, Ok(made))) => Ok(made),
            Some((_, Err(reason))) => Err(reason.clone()),
            None => Err(String::new()),
        }
    }
}

/// The overload for one arity, without and with a state that a call site keeps.
macro_rules! arities {
    ($($name:ident, $with:ident: $($ty:ident $arg:ident $i:tt),+;)+) => {$(
        pub fn $name<$($ty: Type,)+ R: Type>(
            args: &[Arg],
            row: impl for<'a> Fn($($ty::Item<'a>),+) -> Outcome<R::Out> + Copy + 'static,
        ) -> Resolved {
            $with::<$($ty,)+ R, ()>(args, |_| Ok(()), move |_, $($arg),+| row($($arg),+))
        }

        pub fn $with<$($ty: Type,)+ R: Type, S: 'static>(
            args: &[Arg],
            state: impl Fn(&[Option<Value>]) -> Result<S, String> + 'static,
            row: impl for<'a> Fn(&mut S, $($ty::Item<'a>),+) -> Outcome<R::Out> + Copy + 'static,
        ) -> Resolved {
            overload(args, vec![$($ty::sql()),+], R::sql(), move |literals| {
                let mut state = state(literals)?;
                Ok(move |args: &[Column], rows: usize, notes: &mut Notes| {
                    $(let $arg = Cells::<$ty>::of(&args[$i]);)+
                    fill::<R>(rows, notes, |i| match ($($arg.get(i),)+) {
                        ($(Some($arg),)+) => row(&mut state, $($arg),+),
                        _ => Ok(None),
                    })
                })
            })
        }
    )+};
}

arities! {
    unary, unary_with: A a 0;
    binary, binary_with: A a 0, B b 1;
    ternary, ternary_with: A a 0, B b 1, C c 2;
    quaternary, quaternary_with: A a 0, B b 1, C c 2, D d 3;
}

/// Any number of arguments of one type; the closure sees the NULLs.
pub fn variadic<A: Type, R: Type>(
    args: &[Arg],
    row: impl for<'a> Fn(&[Option<A::Item<'a>>]) -> Outcome<R::Out> + Copy + 'static,
) -> Resolved {
    overload(args, vec![A::sql(); args.len()], R::sql(), move |_| {
        Ok(move |args: &[Column], rows: usize, notes: &mut Notes| {
            let cells: Vec<Cells<A>> = args.iter().map(Cells::of).collect();
            let mut items = Vec::with_capacity(cells.len());
            fill::<R>(rows, notes, |i| {
                items.clear();
                items.extend(cells.iter().map(|cells| cells.get(i)));
                row(&items)
            })
        })
    })
}

/// Each row takes the value of one of the arguments behind the first `skip`; `pick` gives its place
/// among all arguments.
pub fn choose(
    args: &[Arg],
    types: Vec<SqlType>,
    skip: usize,
    pick: impl Fn(&[Column], usize) -> Option<usize> + Copy + 'static,
) -> Resolved {
    // Literals that bend to the common type have been found to fit.
    let args: Vec<Arg> = args
        .iter()
        .zip(types.iter().chain(std::iter::repeat(&types[0])))
        .map(|(arg, ty)| {
            let both = [Arg { ty: Some(ty), literal: None }, Arg { ty: arg.ty, literal: arg.literal }];
            let bends = arg.literal.is_some()
                && matches!(bind::unify(&both, bind::Literals::All), Ok(Some(common)) if common == *ty);
            Arg { ty: if bends { Some(ty) } else { arg.ty }, literal: arg.literal }
        })
        .collect();
    let args = args.as_slice();
    let returns = types[types.len() - 1].clone();
    let null = new_null_array(&returns.arrow(), 1);
    overload(args, types.clone(), returns, move |_| {
        let null = Arc::clone(&null);
        Ok(move |args: &[Column], rows: usize, _: &mut Notes| {
            let mut sources: Vec<&dyn Array> = args[skip..].iter().map(|c| c.at(0).0.as_ref()).collect();
            sources.push(&null);
            let places: Vec<(usize, usize)> = (0..rows)
                .map(|row| match pick(args, row) {
                    Some(arg) => (arg - skip, args[arg].at(row).1),
                    None => (sources.len() - 1, 0),
                })
                .collect();
            arrow_select::interleave::interleave(&sources, &places).expect("arguments have one type")
        })
    })
}

/// A kernel over values; NULL for NULL.
pub fn values(
    args: &[Arg],
    types: Vec<SqlType>,
    returns: SqlType,
    row: impl Fn(&[Value]) -> Outcome<Value> + Clone + 'static,
) -> Resolved {
    values_or_null(args, types, returns, move |values| {
        if values.iter().any(Value::is_null) { Ok(None) } else { row(values) }
    })
}

/// A kernel over values that sees the NULLs.
pub fn values_or_null(
    args: &[Arg],
    types: Vec<SqlType>,
    returns: SqlType,
    row: impl Fn(&[Value]) -> Outcome<Value> + Clone + 'static,
) -> Resolved {
    let ty = returns.clone();
    overload(args, types, returns, move |_| {
        let (ty, row) = (ty.clone(), row.clone());
        Ok(move |args: &[Column], rows: usize, notes: &mut Notes| {
            let mut given = vec![Value::Null; args.len()];
            let mut results = Vec::with_capacity(rows);
            for i in 0..rows {
                for (value, column) in given.iter_mut().zip(args) {
                    // A constant needs to be taken once only.
                    if i == 0 || !matches!(column, Column::Const(_)) {
                        *value = column.value(i);
                    }
                }
                results.push(row(&given).unwrap_or_else(|reason| {
                    notes.note(i, || reason);
                    None
                }));
            }
            let results: Vec<Value> = results.into_iter().map(|value| value.unwrap_or(Value::Null)).collect();
            Value::array(&ty, results.iter())
        })
    })
}

/// Checks the arguments' types, then puts the kernel's maker into its box.
pub fn overload<K: Kernel + 'static>(
    args: &[Arg],
    types: Vec<SqlType>,
    returns: SqlType,
    kernel: impl Fn(&[Option<Value>]) -> Result<K, String> + 'static,
) -> Resolved {
    if args.len() != types.len() {
        return count(args, &types.len().to_string());
    }
    for (i, (arg, ty)) in args.iter().zip(&types).enumerate() {
        if !fits(arg, ty) {
            return misfit(args, i, needs(ty));
        }
    }
    let kernel = move |literals: &[Option<Value>]| Ok(Box::new(kernel(literals)?) as Box<dyn Kernel>);
    Ok(Overload { args: types, returns, kernel: Box::new(kernel) })
}

/// Whether an argument has the type or widens to it.
pub fn fits(arg: &Arg, ty: &SqlType) -> bool {
    use SqlType::*;
    match (arg.ty, ty) {
        (None, _) => true,
        (Some(given), ty) if given == ty => true,
        (Some(Int), Bigint | Decimal { .. }) => true,
        (Some(Bigint), Decimal { .. }) => true,
        (Some(Decimal { .. }), Decimal { .. }) => true,
        (Some(Int | Bigint | Decimal { .. }), Double) => true,
        _ => false,
    }
}

fn needs(ty: &SqlType) -> String {
    match ty {
        SqlType::Double => "a number".into(),
        other => other.to_string(),
    }
}

/// The error for argument `i`, counted from 0.
pub fn misfit<T>(args: &[Arg], i: usize, needs: impl std::fmt::Display) -> Result<T, String> {
    match args.get(i).map(|arg| arg.ty) {
        Some(Some(ty)) => Err(format!("argument {} is {ty}, needs {needs}", i + 1)),
        Some(None) => {
            Err(format!("argument {} is NULL without a type, needs {needs}; hint: CAST(NULL AS …)", i + 1))
        }
        None => Err(format!("argument {} is missing, needs {needs}", i + 1)),
    }
}

/// The error for a wrong number of arguments.
pub fn count<T>(args: &[Arg], takes: &str) -> Result<T, String> {
    let plural = if takes == "1" { "" } else { "s" };
    Err(format!("takes {takes} argument{plural}, not {}", args.len()))
}

/// The first overload that fits: from the narrowest to the widest, whose error is the one that is told.
pub fn one_of(args: &[Arg], candidates: &[fn(&[Arg]) -> Resolved]) -> Resolved {
    let mut result = Err("has no overload".to_string());
    for candidate in candidates {
        result = candidate(args);
        if result.is_ok() {
            break;
        }
    }
    result
}

/// The type that all of these widen to; literals bend to it.
pub fn common_type(args: &[Arg]) -> Result<SqlType, String> {
    match bind::unify(args, bind::Literals::All) {
        Ok(Some(ty)) => Ok(ty),
        Ok(None) => misfit(args, 0, "a type"),
        Err(why) => misfit(args, why.index, why.ty),
    }
}

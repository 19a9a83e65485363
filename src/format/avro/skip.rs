//! Passing over what no column asks for.

use crate::format::body::{Body, DEPTH_MAX};
use crate::format::fault::{Fault, Parsed};
use crate::registry::avro::{Names, Primitive, Shape, Type};
use std::collections::HashMap;

#[derive(Clone)]
pub enum Skip {
    Fixed(u64),
    Varint,
    /// A length and so many bytes.
    Prefixed,
    Array(Box<Skip>),
    /// Keys are texts.
    Map(Box<Skip>),
    Union(Vec<Skip>),
    /// By its number in [`Skips`], since records may hold themselves.
    Record(usize),
}

/// The records of a schema as what to skip.
pub struct Skips {
    numbers: HashMap<String, usize>,
    records: Vec<Vec<Skip>>,
    fixed: HashMap<String, u64>,
}

impl Skips {
    pub fn new(named: &Names) -> Skips {
        let mut skips = Skips { numbers: HashMap::new(), records: vec![], fixed: HashMap::new() };
        let mut records = vec![];
        for (name, named) in named {
            match &named.shape {
                Shape::Record(fields) => {
                    skips.numbers.insert(name.clone(), records.len());
                    records.push(fields);
                }
                Shape::Fixed { size, .. } => {
                    skips.fixed.insert(name.clone(), *size);
                }
                Shape::Enum { .. } => {}
            }
        }
        skips.records =
            records.iter().map(|fields| fields.iter().map(|f| skips.of(&f.ty)).collect()).collect();
        skips
    }

    /// How to skip a value of a type of the same schema.
    pub fn of(&self, ty: &Type) -> Skip {
        match ty {
            Type::Primitive(primitive, _) => match primitive {
                Primitive::Null => Skip::Fixed(0),
                Primitive::Boolean => Skip::Fixed(1),
                Primitive::Int | Primitive::Long => Skip::Varint,
                Primitive::Float => Skip::Fixed(4),
                Primitive::Double => Skip::Fixed(8),
                Primitive::Bytes | Primitive::String => Skip::Prefixed,
            },
            Type::Array(item) => Skip::Array(Box::new(self.of(item))),
            Type::Map(value) => Skip::Map(Box::new(self.of(value))),
            Type::Union(branches) => Skip::Union(branches.iter().map(|branch| self.of(branch)).collect()),
            Type::Named(name) => match (self.numbers.get(name), self.fixed.get(name)) {
                (Some(number), _) => Skip::Record(*number),
                (None, Some(size)) => Skip::Fixed(*size),
                (None, None) => Skip::Varint,
            },
        }
    }

    pub fn skip(&self, skip: &Skip, body: &mut Body<'_>) -> Parsed<()> {
        self.skip_nested(skip, body, 0)
    }

    fn skip_nested(&self, skip: &Skip, body: &mut Body<'_>, depth: usize) -> Parsed<()> {
        if depth > DEPTH_MAX {
            return Err(Fault::new(format!("the record nests more than {DEPTH_MAX} values deep")));
        }
        match skip {
            Skip::Fixed(size) => body.take(*size).map(drop),
            Skip::Varint => body.varint().map(drop),
            Skip::Prefixed => skip_prefixed(body),
            Skip::Array(item) => skip_blocks(body, |body| self.skip_nested(item, body, depth + 1)),
            Skip::Map(value) => skip_blocks(body, |body| {
                skip_prefixed(body)?;
                self.skip_nested(value, body, depth + 1)
            }),
            Skip::Union(branches) => {
                let branch = branch(body, branches)?;
                self.skip_nested(branch, body, depth + 1)
            }
            Skip::Record(number) => {
                body.count_record()?;
                self.records[*number].iter().try_for_each(|field| self.skip_nested(field, body, depth + 1))
            }
        }
    }
}

fn skip_prefixed(body: &mut Body<'_>) -> Parsed<()> {
    let len = length(body)?;
    body.take(len).map(drop)
}

fn skip_blocks(body: &mut Body<'_>, mut item: impl FnMut(&mut Body<'_>) -> Parsed<()>) -> Parsed<()> {
    while let Some(Block { items, bytes }) = block(body)? {
        match bytes {
            Some(bytes) => body.take(bytes).map(drop)?,
            None => (0..items).try_for_each(|_| item(body))?,
        }
    }
    Ok(())
}

/// A piece of an array or a map.
pub struct Block {
    pub items: usize,
    /// How long it is, where that is written.
    pub bytes: Option<u64>,
}

/// The next block; `None` behind the last.
#[inline]
pub fn block(body: &mut Body<'_>) -> Parsed<Option<Block>> {
    let count = body.zigzag()?;
    if count == 0 {
        return Ok(None);
    }
    let bytes = if count < 0 { Some(length(body)?) } else { None };
    let items = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    body.count_items(items)?;
    Ok(Some(Block { items, bytes }))
}

#[inline(always)]
pub fn length(body: &mut Body<'_>) -> Parsed<u64> {
    let len = body.zigzag()?;
    u64::try_from(len).map_err(|_| Fault::new(format!("a length of {len} bytes")))
}

/// The branch of a union that is written next.
#[inline(always)]
pub fn branch<'a, T>(body: &mut Body<'_>, branches: &'a [T]) -> Parsed<&'a T> {
    let branch = body.zigzag()?;
    let found = usize::try_from(branch).ok().and_then(|branch| branches.get(branch));
    found
        .ok_or_else(|| Fault::new(format!("branch {branch} of a union that has {} branches", branches.len())))
}

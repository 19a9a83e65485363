//! A writer's schema and the declared columns → what to do with each piece of a body, in its order.

use super::default;
use super::skip::{Skip, Skips};
use crate::format::codec::{below, check_key, match_names};
use crate::registry::avro::{Decimal, Document, Field, Logical, Primitive, Shape, Type};
use crate::types::{ColumnDef, SqlType};

/// Plans with more steps are refused: unions of records in each other multiply.
const STEPS_MAX: usize = 100_000;

pub struct Plan {
    pub root: Root,
    pub skips: Skips,
}

pub enum Root {
    Record(Record),
    /// The body is the single column.
    Bare {
        name: String,
        read: Read,
    },
}

/// How a value of the writer becomes one of the column.
pub enum Read {
    Null,
    Boolean,
    /// An int or long; so many of its units are a millisecond, where it is a time.
    Integer {
        per_ms: i64,
    },
    Float,
    Double,
    Bytes(Length),
    /// A number or a truth value as text, for a STRING.
    Text(Written),
    /// An enum, by its symbols.
    Symbol(Vec<String>),
    Decimal {
        length: Length,
        scale: u8,
    },
    Struct(Record),
    Array(Box<Read>),
    /// From Avro's own map, whose keys are texts.
    Map(Box<Read>),
    /// From an array of records with a key and a value.
    Entries(Record),
    Union(Vec<Read>),
    /// A branch of a union that cannot be read, and why.
    Unfit(String),
}

/// What is written where a text is read.
#[derive(Clone, Copy)]
pub enum Written {
    Boolean,
    Integer,
}

pub enum Length {
    Written,
    Fixed(u64),
}

pub struct Record {
    pub steps: Vec<Step>,
    /// What the writer does not have.
    pub missing: Vec<Missing>,
}

/// A field of the column that the writer does not have.
pub struct Missing {
    pub field: usize,
    /// What it is instead of NULL.
    pub default: Option<Box<DefaultValue>>,
}

/// A default of the schema that the columns were taken from.
pub struct DefaultValue {
    pub bytes: Vec<u8>,
    pub read: Read,
    pub skips: Skips,
}

pub enum Step {
    Read { field: usize, name: String, read: Read },
    Skip(Skip),
}

type Result<T> = std::result::Result<T, String>;

impl Plan {
    /// `own`: the schema that the columns were taken from, whose defaults stand for what a writer does not have.
    pub fn new(
        schema: &Document,
        columns: &[&ColumnDef],
        bare: bool,
        own: Option<&Document>,
    ) -> Result<Plan> {
        let mut planner = Planner::new(schema);
        let root = match (columns, &schema.root) {
            ([column], root) if bare => {
                let read = planner.read(root, &column.ty, &column.name)?;
                Root::Bare { name: column.name.clone(), read }
            }
            (_, root) => {
                let no_fields = || format!("the schema is {}, which has no fields for columns", root.name());
                let fields = planner.fields(root).ok_or_else(no_fields)?;
                let declared: Vec<_> = columns.iter().map(|c| (c.name.as_str(), &c.ty)).collect();
                let mut record = planner.record(fields, &declared, "")?;
                for missing in &mut record.missing {
                    let column = columns[missing.field];
                    missing.default = own.and_then(|own| DefaultValue::of(own, column)).map(Box::new);
                }
                Root::Record(record)
            }
        };
        Ok(Plan { root, skips: planner.skips })
    }
}

struct Planner<'a> {
    schema: &'a Document,
    skips: Skips,
    steps: usize,
}

impl DefaultValue {
    /// `None`: there is none, or it is NULL, or nothing that the column can be.
    fn of(own: &Document, column: &ColumnDef) -> Option<DefaultValue> {
        let mut planner = Planner::new(own);
        let fields = planner.fields(&own.root)?;
        let names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
        let field = &fields[*match_names(&names, &[&column.name]).first()?.as_ref()?];
        let bytes = default::encoded(own, &field.ty, field.default.as_ref()?)?;
        let read = planner.read(&field.ty, &column.ty, &column.name).ok()?;
        Some(DefaultValue { bytes, read, skips: planner.skips })
    }
}

impl<'a> Planner<'a> {
    fn new(schema: &'a Document) -> Planner<'a> {
        Planner { schema, skips: Skips::new(&schema.named), steps: 0 }
    }

    /// The fields of a record.
    fn fields(&self, ty: &Type) -> Option<&'a [Field]> {
        match self.schema.shape(ty)? {
            Shape::Record(fields) => Some(fields),
            _ => None,
        }
    }

    fn record(&mut self, written: &[Field], declared: &[(&str, &SqlType)], path: &str) -> Result<Record> {
        let fields: Vec<&str> = written.iter().map(|field| field.name.as_str()).collect();
        let columns: Vec<&str> = declared.iter().map(|(column, _)| *column).collect();
        let sources = match_names(&fields, &columns);
        let mut steps = Vec::with_capacity(written.len());
        for (i, field) in written.iter().enumerate() {
            match sources.iter().position(|source| *source == Some(i)) {
                Some(column) => {
                    let (name, ty) = declared[column];
                    let path = below(path, name);
                    let read = self.read(&field.ty, ty, &path)?;
                    steps.push(Step::Read { field: column, name: name.into(), read });
                }
                None => push_skip(&mut steps, self.skips.of(&field.ty)),
            }
        }
        let missing = (0..declared.len()).filter(|column| sources[*column].is_none());
        let missing = missing.map(|field| Missing { field, default: None }).collect();
        Ok(Record { steps, missing })
    }

    fn read(&mut self, written: &Type, ty: &SqlType, path: &str) -> Result<Read> {
        self.steps += 1;
        if self.steps > STEPS_MAX {
            return Err(format!("column {path}: its schema has too many cases"));
        }
        let unfit = || Err(format!("column {path} is {ty}, which {} cannot become", written.name()));
        let read = match written {
            Type::Primitive(primitive, logical) => primitive_read(*primitive, *logical, ty),
            Type::Union(branches) => return self.union(branches, ty, path),
            Type::Named(_) => match (self.schema.shape(written), ty) {
                (Some(Shape::Record(written)), SqlType::Struct(fields)) => {
                    let declared: Vec<_> = fields.iter().map(|f| (f.name.as_str(), &f.ty)).collect();
                    return Ok(Read::Struct(self.record(written, &declared, path)?));
                }
                (Some(Shape::Enum { symbols, .. }), SqlType::Varchar) => Some(Read::Symbol(symbols.clone())),
                (Some(Shape::Fixed { size, decimal }), _) => {
                    bytes_read(Length::Fixed(*size), *decimal, ty).filter(|_| *ty != SqlType::Varchar)
                }
                _ => None,
            },
            Type::Array(item) => match ty {
                SqlType::Array(declared) => {
                    let path = format!("{path}[]");
                    return Ok(Read::Array(Box::new(self.read(item, declared, &path)?)));
                }
                SqlType::Map(key, value) => {
                    return self.entries(item, key, value, path)?.map_or_else(unfit, Ok);
                }
                _ => None,
            },
            Type::Map(values) => match ty {
                SqlType::Map(key, value) if **key == SqlType::Varchar => {
                    let path = format!("{path}{{}}");
                    return Ok(Read::Map(Box::new(self.read(values, value, &path)?)));
                }
                _ => None,
            },
        };
        read.map_or_else(unfit, Ok)
    }

    /// A map as an array of records with the fields `key` and `value`.
    fn entries(&mut self, item: &Type, key: &SqlType, value: &SqlType, path: &str) -> Result<Option<Read>> {
        check_key(key, &format!("column {path}"))?;
        let Some(fields) = self.fields(item) else { return Ok(None) };
        if !["key", "value"].iter().all(|part| fields.iter().any(|field| field.name == *part)) {
            return Ok(None);
        }
        let mut entry = self.record(fields, &[("key", key), ("value", value)], path)?;
        for step in &mut entry.steps {
            if let Step::Read { field: 0, read, .. } = step {
                never_null(read);
            }
        }
        Ok(Some(Read::Entries(entry)))
    }

    /// What a branch cannot be is told when a record has it, unless all are like that.
    fn union(&mut self, branches: &[Type], ty: &SqlType, path: &str) -> Result<Read> {
        let mut reads = Vec::with_capacity(branches.len());
        let (mut first_fault, mut fits) = (None, branches.iter().all(Type::is_null));
        for branch in branches {
            match self.read(branch, ty, path) {
                Ok(read) => {
                    fits |= !branch.is_null();
                    reads.push(read);
                }
                Err(_) if self.steps > STEPS_MAX => {
                    return Err(format!("column {path}: its schema has too many cases"));
                }
                Err(fault) => {
                    reads.push(Read::Unfit(format!("{} cannot become {ty}", branch.name())));
                    first_fault.get_or_insert(fault);
                }
            }
        }
        match first_fault {
            Some(fault) if !fits => Err(fault),
            _ => Ok(Read::Union(reads)),
        }
    }
}

fn never_null(read: &mut Read) {
    match read {
        Read::Null => *read = Read::Unfit("the key of a map is NULL".into()),
        Read::Union(branches) => branches.iter_mut().for_each(never_null),
        _ => {}
    }
}

/// Pieces of fixed lengths are passed over at once.
fn push_skip(steps: &mut Vec<Step>, skip: Skip) {
    match (steps.last_mut(), skip) {
        (_, Skip::Fixed(0)) => {}
        (Some(Step::Skip(Skip::Fixed(before))), Skip::Fixed(more)) => *before = before.saturating_add(more),
        (_, skip) => steps.push(Step::Skip(skip)),
    }
}

/// Avro's promotions, and what stands for a number of days or milliseconds.
fn primitive_read(primitive: Primitive, logical: Option<Logical>, ty: &SqlType) -> Option<Read> {
    use SqlType as S;
    let per_ms = match (logical, ty) {
        (Some(Logical::Date), S::Time | S::Timestamp) => return None,
        (Some(Logical::Time { .. }), S::Date | S::Timestamp) => return None,
        (Some(Logical::Timestamp { .. }), S::Date | S::Time) => return None,
        (Some(Logical::Time { per_ms }), S::Time) => per_ms,
        (Some(Logical::Timestamp { per_ms }), S::Timestamp) => per_ms,
        _ => 1,
    };
    Some(match (primitive, ty) {
        (Primitive::Null, _) => Read::Null,
        (Primitive::Boolean, S::Boolean) => Read::Boolean,
        (Primitive::Int, S::Int | S::Bigint | S::Double | S::Date | S::Time) => Read::Integer { per_ms },
        (Primitive::Long, S::Bigint | S::Double | S::Timestamp) => Read::Integer { per_ms },
        (Primitive::Long, S::Time) if logical.is_some() => Read::Integer { per_ms },
        (Primitive::Float, S::Double) => Read::Float,
        (Primitive::Double, S::Double) => Read::Double,
        (Primitive::Boolean, S::Varchar) => Read::Text(Written::Boolean),
        (Primitive::Int | Primitive::Long, S::Varchar) if logical.is_none() => Read::Text(Written::Integer),
        (Primitive::String, S::Varchar | S::Bytes) => Read::Bytes(Length::Written),
        (Primitive::Bytes, _) => {
            let decimal = if let Some(Logical::Decimal(decimal)) = logical { Some(decimal) } else { None };
            return bytes_read(Length::Written, decimal, ty);
        }
        _ => return None,
    })
}

fn bytes_read(length: Length, decimal: Option<Decimal>, ty: &SqlType) -> Option<Read> {
    match (ty, decimal) {
        (SqlType::Bytes | SqlType::Varchar, None) => Some(Read::Bytes(length)),
        (SqlType::Decimal { .. }, Some(decimal)) => {
            Some(Read::Decimal { length, scale: u8::try_from(decimal.scale).ok()? })
        }
        _ => None,
    }
}

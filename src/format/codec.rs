//! What AVRO and PROTOBUF have in common: bodies that only the schema of their writer explains.
//!
//! Where that schema comes from, and the header that names it, is not known here.

use super::body::Body;
use super::fault::{Fault, Parsed};
use super::parts::Columns;
use crate::batch::Range32;
use crate::types::{ColumnDef, SqlType};

/// Reads the bodies that one schema's writer wrote into the declared columns.
pub trait BodyReader {
    /// Reads a body to its end, appending a cell to each column.
    ///
    /// After a fault the columns hold parts of a row.
    fn read_body(&mut self, body: &mut Body<'_>, columns: &mut Columns) -> Parsed<()>;

    /// Appends one row, or none if the body, these bytes of the batch's buffer, is bad.
    fn read(&mut self, buffer: &[u8], body: Range32, columns: &mut Columns) -> Parsed<()> {
        columns.append(|columns| {
            let mut body = Body::new(buffer, body.start as usize..body.end as usize);
            self.read_body(&mut body, columns)?;
            match body.rest() {
                0 => Ok(()),
                rest => Err(Fault::new(format!("{rest} bytes follow the record"))),
            }
        })
    }
}

/// Which field of a schema each column is: the one of its name, else of its name but for the case, unless
/// that is another column's.
pub fn match_names(fields: &[&str], columns: &[&str]) -> Vec<Option<usize>> {
    let in_other_case = |column: &str| {
        fields.iter().position(|field| field.to_uppercase() == column && !columns.contains(field))
    };
    let find =
        |column: &&str| fields.iter().position(|field| field == column).or_else(|| in_other_case(column));
    columns.iter().map(find).collect()
}

/// The columns that a registered schema stands for.
#[derive(Debug, PartialEq, Eq)]
pub struct Inferred {
    pub columns: Vec<ColumnDef>,
    /// The schema is the single column's, not that of a record with fields.
    pub bare: bool,
}

/// The most parts that the columns of a registered schema may have, and how deep they may be: types that
/// use each other can stand for more than any memory holds.
const PARTS_MAX: usize = 10_000;
const TYPE_DEPTH_MAX: usize = 100;

/// Whether a column's name can be a field's.
pub fn check_name(name: &str, format: &str) -> Result<(), String> {
    let mut chars = name.chars();
    let is_name = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_');
    is_name.then_some(()).ok_or_else(|| {
        format!(
            "column {name}: a name in {format} has letters, digits and _ only, and starts with no digit; \
             give it another one with AS"
        )
    })
}

/// Whether a map can have such keys: those with parts are told apart by nobody.
pub fn check_key(key: &SqlType, path: &str) -> Result<(), String> {
    match key.has_parts() {
        true => Err(format!("{path} is a map with keys of {key}; the keys of a map cannot have parts")),
        false => Ok(()),
    }
}

/// How columns are inferred from a schema, and how many parts they have so far.
#[derive(Default)]
pub struct Inference {
    /// Names keep their case; else they are in upper case, as unquoted names of statements are.
    as_written: bool,
    parts: usize,
    depth: usize,
}

impl Inference {
    pub fn as_written() -> Inference {
        Inference { as_written: true, ..Inference::default() }
    }

    /// The fields' names as columns'; none of them is another one's in other cases.
    pub fn column_names<'a>(
        &self,
        names: impl Iterator<Item = &'a str>,
        path: &str,
    ) -> Result<Vec<String>, String> {
        let (mut columns, mut upper): (Vec<String>, Vec<String>) = (vec![], vec![]);
        for name in names {
            let folded = name.to_uppercase();
            if upper.contains(&folded) {
                return Err(format!("field {}: another one has that name in other cases", below(path, name)));
            }
            columns.push(if self.as_written { name.into() } else { folded.clone() });
            upper.push(folded);
        }
        Ok(columns)
    }

    /// Runs `infer` for the type at `path`.
    pub fn part(
        &mut self,
        path: &str,
        infer: impl FnOnce(&mut Inference) -> Result<SqlType, String>,
    ) -> Result<SqlType, String> {
        self.parts += 1;
        if self.depth == TYPE_DEPTH_MAX || self.parts == PARTS_MAX {
            return Err(format!(
                "field {path}: the type nests too deeply or is too large, as one that holds itself"
            ));
        }
        self.depth += 1;
        let ty = infer(self);
        self.depth -= 1;
        ty
    }
}

/// The path of a field of what `path` leads to.
pub fn below(path: &str, field: &str) -> String {
    if path.is_empty() { field.to_string() } else { format!("{path}->{field}") }
}

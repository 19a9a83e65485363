//! What AVRO and PROTOBUF have in common: bodies that only the schema of their writer explains.
//!
//! Where that schema comes from, and the header that names it, is not known here.

use super::body::Body;
use super::fault::{Fault, Parsed};
use super::parts::Columns;
use crate::batch::Range32;

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

/// Where in a writer's field a column is found: its name as it is, else in upper case.
pub fn find_named<'a>(names: impl Iterator<Item = &'a str> + Clone, column: &str) -> Option<usize> {
    let exact = names.clone().position(|name| name == column);
    exact.or_else(|| names.clone().position(|name| name.to_uppercase() == column))
}

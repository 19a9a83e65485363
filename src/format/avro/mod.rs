//! AVRO: bodies in Avro's binary encoding, as the schema of their writer lays them out.
//!
//! `plan` fits a writer's schema to the declared columns once; `read` follows the plan through each
//! body, straight into the columns, and `skip` passes over what nobody declared. `write` is the way back,
//! `schema` and `columns` turn columns into a schema and a schema into columns.

mod columns;
mod plan;
mod read;
mod schema;
mod skip;
mod default;
mod write;

pub use columns::columns_of;
pub use schema::{FULL_NAME, schema_text};

use super::codec::BodyReader;
use super::encode::Writer;
use crate::registry::avro::Document;
use crate::types::ColumnDef;

/// A reader of what a schema's writer wrote; the error names the field that does not fit its column.
///
/// `bare`: the single column is the whole body, not a field of a record. `own`: the schema that the columns were
/// taken from, if they were; its defaults stand for what the writer did not have.
pub fn reader(
    schema: &Document,
    columns: &[&ColumnDef],
    bare: bool,
    own: Option<&Document>,
) -> Result<Box<dyn BodyReader>, String> {
    Ok(Box::new(plan::Plan::new(schema, columns, bare, own)?))
}

/// A writer for whoever reads with the schema, such as that of [`schema_text`]; the error names the column
/// that has no place in it.
pub fn writer(schema: &Document, columns: &[&ColumnDef], bare: bool) -> Result<impl Writer + use<>, String> {
    write::AvroWriter::new(schema, columns, bare)
}

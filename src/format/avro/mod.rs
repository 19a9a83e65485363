//! AVRO: bodies in Avro's binary encoding, as the schema of their writer lays them out.
//!
//! `plan` fits a writer's schema to the declared columns once; `read` follows the plan through each
//! body, straight into the columns, and `skip` passes over what nobody declared.

mod plan;
mod read;
mod skip;

use super::codec::BodyReader;
use crate::registry::avro::Document;
use crate::types::ColumnDef;

/// A reader of what a schema's writer wrote; the error names the field that does not fit its column.
///
/// `bare`: the single column is the whole body, not a field of a record.
pub fn reader(schema: &Document, columns: &[&ColumnDef], bare: bool) -> Result<Box<dyn BodyReader>, String> {
    Ok(Box::new(plan::Plan::new(schema, columns, bare)?))
}

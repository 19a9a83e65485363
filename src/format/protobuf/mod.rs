//! PROTOBUF: messages in the binary encoding, as the schema of their writer numbers their fields.
//!
//! `plan` fits a writer's message to the declared columns once; `read` follows the fields of each body
//! straight into the columns; no message is ever built. `write` is the way back, `schema` and `columns` turn
//! columns into a schema and a message into columns.

mod columns;
mod known;
mod plan;
mod read;
mod schema;
mod write;

pub use columns::columns_of;
pub use schema::{FULL_NAME, Nullable, schema_text};

use super::codec::BodyReader;
use super::encode::Writer;
use crate::types::ColumnDef;
use prost_reflect::MessageDescriptor;

/// A reader of what a message's writer wrote; the error names the field that does not fit its column.
pub fn reader(message: &MessageDescriptor, columns: &[&ColumnDef]) -> Result<Box<dyn BodyReader>, String> {
    Ok(Box::new(plan::Message::new(message, columns)?))
}

/// A writer for whoever reads with the message, such as that of [`schema_text`]; the error names the column
/// that has no place in it. A NULL within an ARRAY or a MAP is a fault, whatever the schema.
pub fn writer(message: &MessageDescriptor, columns: &[&ColumnDef]) -> Result<impl Writer + use<>, String> {
    write::ProtobufWriter::new(message, columns)
}

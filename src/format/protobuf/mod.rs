//! PROTOBUF: messages in the binary encoding, as the schema of their writer numbers their fields.
//!
//! `plan` fits a writer's message to the declared columns once; `read` follows the fields of each body
//! straight into the columns. No message is ever built.

mod known;
mod plan;
mod read;

use super::codec::BodyReader;
use crate::types::ColumnDef;
use prost_reflect::MessageDescriptor;

/// A reader of what a message's writer wrote; the error names the field that does not fit its column.
pub fn reader(message: &MessageDescriptor, columns: &[&ColumnDef]) -> Result<Box<dyn BodyReader>, String> {
    Ok(Box::new(plan::Message::new(message, columns)?))
}

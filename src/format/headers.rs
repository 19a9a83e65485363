//! Columns of what stands beside a message's key and value, which no format writes: all of its headers, or
//! the last one of a name, or the type of the event that it is.

use crate::batch::Column;
use crate::headers::{self, Headers};
use crate::types::{ColumnDef, Part, headers_type};
use arrow_array::builder::{BinaryViewBuilder, StringViewBuilder};
use arrow_array::{ArrayRef, ListArray, StringViewArray, StructArray};
use arrow_buffer::OffsetBuffer;
use arrow_schema::DataType;
use std::sync::Arc;

pub struct HeaderColumns {
    parts: Vec<Part>,
}

impl HeaderColumns {
    pub fn new<'a>(columns: impl Iterator<Item = &'a ColumnDef>) -> HeaderColumns {
        HeaderColumns { parts: columns.map(|column| column.part.clone()).collect() }
    }

    pub fn len(&self) -> usize {
        self.parts.len()
    }

    /// One column for each entry of `wanted`, each with one cell a message.
    pub fn decode(&self, headers: &Headers, messages: usize, wanted: &[bool]) -> Vec<Column> {
        let column = |(part, wanted): (&Part, &bool)| match (part, headers) {
            _ if !wanted => Column::Absent,
            (Part::EventType(name), _) => {
                Column::Const(Arc::new(StringViewArray::from_iter_values([name.as_str()])))
            }
            // Whoever needs the column does not get the batch: it lies before their start.
            (_, Headers::Unread) => Column::Absent,
            (Part::Header(name), Headers::Each { .. }) => Column::Array(last(name, headers, messages)),
            (Part::Header(_), Headers::None) => Column::null(&DataType::BinaryView),
            (_, Headers::Each { .. }) => Column::Array(all(headers, messages)),
            (_, Headers::None) => Column::Const(all(headers, 1)),
        };
        self.parts.iter().zip(wanted).map(column).collect()
    }
}

/// A message without headers has an empty list. Names that are no UTF-8 are shown as far as they are, as
/// Java's clients do.
fn all(headers: &Headers, messages: usize) -> ArrayRef {
    let (mut names, mut values) = (StringViewBuilder::new(), BinaryViewBuilder::new());
    let mut lengths = Vec::with_capacity(messages);
    for message in 0..messages {
        let mut count = 0;
        for (name, value) in headers::of(headers.block(message)) {
            names.append_value(String::from_utf8_lossy(name));
            values.append_option(value);
            count += 1;
        }
        lengths.push(count);
    }
    let DataType::List(item) = headers_type().arrow() else { unreachable!("headers are a list") };
    let DataType::Struct(fields) = item.data_type() else { unreachable!("of structs") };
    let columns: Vec<ArrayRef> = vec![Arc::new(names.finish()), Arc::new(values.finish())];
    let structs = StructArray::new(fields.clone(), columns, None);
    Arc::new(ListArray::new(item, OffsetBuffer::from_lengths(lengths), Arc::new(structs), None))
}

/// NULL where a message has no header of the name.
fn last(name: &str, headers: &Headers, messages: usize) -> ArrayRef {
    let mut values = BinaryViewBuilder::with_capacity(messages);
    for message in 0..messages {
        let of_name = headers::of(headers.block(message)).filter(|(other, _)| *other == name.as_bytes());
        values.append_option(of_name.last().and_then(|(_, value)| value));
    }
    Arc::new(values.finish())
}

//! Parquet files: an event a row, with its attributes, its payload in the types of its schema, and all of it as
//! JSON, which is what is read back.

use crate::batch::{MessageBatch, Range32, Timestamps};
use crate::connector::archive::columns::EVENT;
use crate::error::{Error, Result};
use crate::format::codec::Inference;
use crate::format::{Format, Serialization, columns_of, decoder};
use crate::gateway::Gateway;
use crate::gateway::cloudevents::{Attributes, Place};
use crate::gateway::filter::read_as;
use crate::headers::Headers;
use crate::registry::Lookups;
use crate::topology::EventName;
use crate::types::Schema;
use arrow_array::{
    ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray, StructArray, TimestampMillisecondArray,
    UInt32Array,
};
use arrow_buffer::Buffer;
use arrow_schema::{Field, Fields};
use arrow_select::take::take;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long the schema of a file's payloads is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(2);

/// An event that waits for its file.
pub struct Row {
    partition: u32,
    offset: i64,
    time_ms: i64,
    id: Option<String>,
    source: Option<String>,
    key: Option<String>,
    value: Vec<u8>,
    event: String,
}

impl Row {
    pub fn new(
        place: &Place,
        attributes: &Attributes,
        key: Option<&[u8]>,
        value: &[u8],
        event: String,
    ) -> Row {
        Row {
            partition: place.partition,
            offset: place.offset,
            time_ms: place.timestamp,
            id: attributes.id.map(String::from),
            source: attributes.source.map(String::from),
            key: key.map(|key| String::from_utf8_lossy(key).into_owned()),
            value: value.to_vec(),
            event,
        }
    }

    pub fn bytes(&self) -> usize {
        self.value.len() + self.event.len() + 128
    }
}

/// A file of rows whose payloads have one schema.
pub fn file(gateway: &Gateway, event: &EventName, schema: u32, rows: &[Row]) -> Result<Vec<u8>> {
    let failed = |why: String| Error::runtime(format!("no Parquet of {event}: {why}"));
    let texts =
        |of: fn(&Row) -> Option<&str>| -> ArrayRef { Arc::new(rows.iter().map(of).collect::<StringArray>()) };
    let times: Vec<i64> = rows.iter().map(|row| row.time_ms).collect();
    let mut columns: Vec<(&str, ArrayRef)> = vec![
        ("id", texts(|row| row.id.as_deref())),
        ("source", texts(|row| row.source.as_deref())),
        ("time", Arc::new(TimestampMillisecondArray::from(times).with_timezone("UTC"))),
        ("key", texts(|row| row.key.as_deref())),
        ("partition", Arc::new(rows.iter().map(|row| Some(row.partition as i32)).collect::<Int32Array>())),
        ("offset", Arc::new(rows.iter().map(|row| Some(row.offset)).collect::<Int64Array>())),
    ];
    if let Some(data) = payloads(gateway, event, schema, rows)? {
        columns.push(("data", data));
    }
    columns.push((EVENT, texts(|row| Some(&row.event))));
    let batch = RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, column)| (name, column, true)),
    );
    let batch = batch.map_err(|e| failed(e.to_string()))?;
    let compression = Compression::ZSTD(ZstdLevel::default());
    let properties = WriterProperties::builder().set_compression(compression).build();
    let mut out = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut out, batch.schema(), Some(properties))
        .map_err(|e| failed(e.to_string()))?;
    writer.write(&batch).map_err(|e| failed(e.to_string()))?;
    writer.close().map_err(|e| failed(e.to_string()))?;
    Ok(out)
}

/// The payloads as one column of structs; those that cannot be read are NULL. `None`: nobody knows their schema,
/// or it has no columns.
fn payloads(gateway: &Gateway, event: &EventName, schema: u32, rows: &[Row]) -> Result<Option<ArrayRef>> {
    let all = gateway.schemas.of_event(event);
    let Some(of) = all.iter().find(|known| known.confluent_id == Some(schema)) else { return Ok(None) };
    let Ok(known) = read_as(of) else { return Ok(None) };
    let Ok(inferred) = columns_of(&known.schema, false, None, Inference::as_written()) else {
        return Ok(None);
    };
    let schema = Schema::new(inferred.columns);
    let serialization = Serialization { key: Format::None, value: known.format, changelog: false };
    let lookups = Lookups::new(gateway.schemas.client().clone());
    let mut decoder = decoder(&serialization, &schema, &lookups)?;
    let messages = messages(rows);
    let until = Instant::now() + PATIENCE;
    while !decoder.is_ready(&messages) {
        if Instant::now() > until {
            return Err(Error::runtime(format!("the registry does not answer for the schema of {event}")));
        }
        std::thread::sleep(LOOK);
    }
    let decoded = decoder.decode(&messages, &vec![true; schema.len()]);
    let kept = decoded.kept.unwrap_or_else(|| (0..rows.len() as u32).collect());
    let mut places: Vec<Option<u32>> = vec![None; rows.len()];
    for (row, message) in kept.iter().enumerate() {
        places[*message as usize] = Some(row as u32);
    }
    let places = UInt32Array::from(places);
    let field = |column: &crate::types::ColumnDef| Field::new(&column.name, column.ty.arrow(), true);
    let fields: Fields = schema.columns.iter().map(field).collect();
    let arrays: std::result::Result<Vec<ArrayRef>, _> =
        decoded.columns.iter().map(|column| take(&column.to_array(kept.len()), &places, None)).collect();
    let arrays = arrays.map_err(|e| Error::runtime(format!("the payloads of {event}: {e}")))?;
    let nulls = arrow_array::Array::nulls(&places).cloned();
    let structs = StructArray::try_new(fields, arrays, nulls);
    structs
        .map(|structs| Some(Arc::new(structs) as ArrayRef))
        .map_err(|e| Error::runtime(format!("the payloads of {event}: {e}")))
}

fn messages(rows: &[Row]) -> MessageBatch {
    let mut buffer = Vec::with_capacity(rows.iter().map(|row| row.value.len()).sum());
    let mut range = |row: &Row| {
        let start = buffer.len() as u32;
        buffer.extend_from_slice(&row.value);
        Range32 { start, end: buffer.len() as u32 }
    };
    let values: Vec<Range32> = rows.iter().map(&mut range).collect();
    MessageBatch {
        partition: 0,
        values,
        keys: None,
        offsets: rows.iter().map(|row| row.offset).collect::<Vec<_>>().into(),
        timestamps: Timestamps::Each(rows.iter().map(|row| row.time_ms).collect::<Vec<_>>().into()),
        headers: Headers::None,
        buffer: Buffer::from_vec(buffer),
        torn: Vec::new(),
        names: None,
    }
}

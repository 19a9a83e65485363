//! Parquet files of an archive. Their last column holds each event as JSON, so that what is read back is what was
//! published; the others are for whoever reads the files as they lie.

use crate::error::{Error, Result};
use arrow_array::cast::AsArray;
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// The column of CloudEvents.
pub const EVENT: &str = "event";

/// Hands over every event of a file.
pub fn read(name: &str, bytes: Vec<u8>, mut each: impl FnMut(&str) -> Result<()>) -> Result<()> {
    let failed = |why: String| Error::runtime(format!("{name} cannot be read: {why}"));
    let builder =
        ParquetRecordBatchReaderBuilder::try_new(Bytes::from(bytes)).map_err(|e| failed(e.to_string()))?;
    let only = ProjectionMask::columns(builder.parquet_schema(), [EVENT]);
    let batches = builder.with_projection(only).build().map_err(|e| failed(e.to_string()))?;
    for batch in batches {
        let batch = batch.map_err(|e| failed(e.to_string()))?;
        let column = batch.column_by_name(EVENT).and_then(|column| column.as_string_opt::<i32>());
        let events = column.ok_or_else(|| failed("it is no archive's".into()))?;
        events.iter().flatten().try_for_each(&mut each)?;
    }
    Ok(())
}

//! Both formats from outside: messages in, rows and rejects out.

mod avro;
mod codecs;
mod delimited;
mod foreign;
mod json;
mod others;
mod properties;
mod protobuf;
mod windowed;

use super::*;
use crate::batch::{Origin, Range32, Timestamps};
use crate::headers::Headers;
use crate::types::{Part, SqlType, StructField};
use crate::value::{Row, Value};
use arrow_buffer::{Buffer, ScalarBuffer};

pub const DELIMITED: Format = Format::Delimited { delimiter: b',' };
pub const JSON: Format = Format::Json { wrap_single: true };

pub fn stream(value: Format) -> Serialization {
    Serialization { key: Format::None, value, changelog: false }
}

/// Value columns, as `NAME TYPE, …` with scalar types.
pub fn schema(columns: &str) -> Schema {
    Schema::new(columns.split(", ").map(|column| {
        let (name, ty) = column.split_once(' ').unwrap();
        let (ty, key) = ty.strip_suffix(" KEY").map_or((ty, false), |ty| (ty, true));
        ColumnDef { name: name.into(), ty: scalar(ty), part: Part::key_if(key) }
    }))
}

pub fn scalar(name: &str) -> SqlType {
    match name {
        "BOOLEAN" => SqlType::Boolean,
        "INT" => SqlType::Int,
        "BIGINT" => SqlType::Bigint,
        "DOUBLE" => SqlType::Double,
        "DECIMAL" => SqlType::Decimal { precision: 4, scale: 2 },
        "VARCHAR" => SqlType::Varchar,
        "BYTES" => SqlType::Bytes,
        "DATE" => SqlType::Date,
        "TIME" => SqlType::Time,
        "TIMESTAMP" => SqlType::Timestamp,
        other => panic!("{other}"),
    }
}

pub fn one(ty: SqlType) -> Schema {
    Schema::new([ColumnDef { name: "A".into(), ty, part: Part::Value }])
}

pub fn fields(fields: &[(&str, SqlType)]) -> SqlType {
    SqlType::Struct(fields.iter().map(|(n, ty)| StructField { name: (*n).into(), ty: ty.clone() }).collect())
}

/// Messages with a byte of something else between them.
pub fn messages<T: AsRef<[u8]>>(keys: Option<&[Option<T>]>, values: &[Option<T>]) -> MessageBatch {
    let mut buffer = vec![];
    let mut place = |message: &Option<T>| {
        let Some(bytes) = message else { return Range32::NULL };
        let start = buffer.len() as u32;
        buffer.extend_from_slice(bytes.as_ref());
        let end = buffer.len() as u32;
        buffer.push(b'9');
        Range32 { start, end }
    };
    let keys = keys.map(|keys| keys.iter().map(&mut place).collect());
    let values: Vec<Range32> = values.iter().map(&mut place).collect();
    MessageBatch {
        partition: 0,
        offsets: ScalarBuffer::from_iter(0..values.len() as i64),
        buffer: Buffer::from(buffer),
        values,
        keys,
        timestamps: Timestamps::All(0),
        headers: Headers::None,
        torn: vec![],
        names: None,
    }
}

pub fn rows(decoded: &Decoded, count: usize) -> Vec<Row> {
    (0..count).map(|i| decoded.columns.iter().map(|c| c.value(i)).collect()).collect()
}

/// Each value as a message of a stream: its row, or why it has none.
pub fn read<T: AsRef<[u8]>>(format: Format, schema: &Schema, values: &[T]) -> Vec<Result<Row, String>> {
    let values: Vec<Option<&[u8]>> = values.iter().map(|v| Some(v.as_ref())).collect();
    read_messages(&stream(format), schema, &messages(None, &values))
}

pub fn read_messages(
    serialization: &Serialization,
    schema: &Schema,
    messages: &MessageBatch,
) -> Vec<Result<Row, String>> {
    let mut decoder = decoder(serialization, schema, &Lookups::none()).unwrap();
    let decoded = decoder.decode(messages, &vec![true; schema.len()]);
    outcomes(&decoded, messages.len())
}

/// What became of each message; checks that nothing is lost and nothing comes twice.
pub fn outcomes(decoded: &Decoded, messages: usize) -> Vec<Result<Row, String>> {
    let mut all: Vec<Option<Result<Row, String>>> = vec![None; messages];
    let kept = decoded.kept.clone().unwrap_or_else(|| (0..messages as u32).collect());
    assert_eq!(kept.len() + decoded.rejects.len(), messages);
    for column in &decoded.columns {
        if let Column::Array(array) = column {
            assert_eq!(array.len(), kept.len());
        }
    }
    for (row, message) in rows(decoded, kept.len()).into_iter().zip(&kept) {
        assert!(all[*message as usize].replace(Ok(row)).is_none());
    }
    assert!(decoded.rejects.is_sorted_by_key(|reject| reject.message));
    for reject in &decoded.rejects {
        assert!(all[reject.message].replace(Err(reject.reason.clone())).is_none());
    }
    all.into_iter().map(|outcome| outcome.expect("every message has an outcome")).collect()
}

pub fn batch(schema: &Schema, rows: &[Row]) -> Batch {
    let column = |(c, def): (usize, &ColumnDef)| {
        let values: Vec<&Value> = rows.iter().map(|row| &row[c]).collect();
        Column::Array(Value::array(&def.ty, values.iter().copied()))
    };
    Batch {
        len: rows.len(),
        columns: schema.columns.iter().enumerate().map(column).collect(),
        origin: Origin { offsets: ScalarBuffer::from_iter(0..rows.len() as i64), ..Origin::none(rows.len()) },
        deleted: None,
    }
}

/// The messages of the rows.
pub fn write(serialization: &Serialization, schema: &Schema, batch: &Batch) -> MessageBatch {
    let mut out = Encoded::default();
    encoder(serialization, schema, &Written::default()).unwrap().encode(batch, &mut out);
    MessageBatch {
        partition: 0,
        offsets: ScalarBuffer::from_iter(0..batch.len as i64),
        buffer: Buffer::from(out.buffer),
        values: out.values,
        keys: Some(out.keys),
        timestamps: Timestamps::All(0),
        headers: Headers::None,
        torn: vec![],
        names: None,
    }
}

/// The texts of the values that rows are written as.
pub fn written(format: Format, schema: &Schema, rows: &[Row]) -> Vec<String> {
    let messages = write(&stream(format), schema, &batch(schema, rows));
    (0..rows.len()).map(|i| String::from_utf8(messages.value(i).unwrap().to_vec()).unwrap()).collect()
}

/// Value columns, as a statement declares them.
pub fn declared(columns: &str) -> Vec<ColumnDef> {
    let text = format!("CREATE STREAM s ({columns}) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='JSON');");
    let statement = crate::sql::parse_statement(&text).unwrap().statement;
    let crate::sql::ast::Statement::CreateSource { columns, .. } = statement else { panic!("{statement:?}") };
    let column =
        |c: crate::sql::ast::ColumnSpec| ColumnDef { name: c.name.name, ty: c.ty, part: Part::Value };
    columns.into_iter().map(column).collect()
}

/// Each body, as rows of one batch: its row, or why it has none.
pub fn read_bodies<T: AsRef<[u8]>>(
    reader: &mut dyn codec::BodyReader,
    declared: &[ColumnDef],
    bodies: &[T],
) -> Vec<Result<Row, String>> {
    let bodies: Vec<_> = bodies.iter().map(Some).collect();
    let messages = messages(None, &bodies);
    let mut columns = parts::Columns::new(&declared.iter().collect::<Vec<_>>());
    columns.start(&vec![true; declared.len()], messages.len());
    let read = |range| reader.read(&messages.buffer, range, &mut columns);
    let faults: Vec<_> = messages.values.iter().copied().map(read).collect();
    let columns = columns.finish(&messages.buffer);
    let mut row = 0..;
    let outcome = |read: fault::Parsed<()>| match read {
        Ok(()) => row.next().map(|i| Ok(columns.iter().map(|c| c.value(i)).collect())).unwrap(),
        Err(fault) => Err(format!("{}: {}", fault.path.join("<-"), fault.reason)),
    };
    faults.into_iter().map(outcome).collect()
}

/// The body of each row, or why it has none.
pub fn write_bodies(
    writer: &mut dyn encode::Writer,
    declared: &[ColumnDef],
    rows: &[Row],
) -> Vec<Result<Vec<u8>, String>> {
    let batch = batch(&Schema { columns: declared.to_vec() }, rows);
    let mut write = writer.rows(&batch.columns);
    let write = |row| {
        let mut body = vec![];
        match write(row, &mut body) {
            Ok(written) => {
                assert!(written);
                Ok(body)
            }
            Err(fault) => Err(format!("{}: {}", fault.path.join("<-"), fault.reason)),
        }
    };
    (0..rows.len()).map(write).collect()
}

/// The first column of a row as an answer shows it, or why there is none.
pub fn shown(row: Result<Row, String>, declared: &[ColumnDef]) -> String {
    let show = |row: Row| {
        let mut text = String::new();
        output::json_value(&row[0], &declared[0].ty, &mut text);
        text
    };
    row.map_or_else(|fault| fault, show)
}

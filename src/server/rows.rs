//! Rows of an answer as text, in the forms that clients ask for by media type.

use super::error::{error_code, generic_error};
use crate::engine::{Answer, AnswerEnd, AnswerKind, AnswerRow, ProtobufRows};
use crate::error::{Error, Result};
use crate::format::output::json_value;
use crate::types::{ColumnDef, SqlType};
use crate::value::Value;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use std::collections::VecDeque;
use std::fmt::Write;

/// A pull query's rows are sent together up to about this much; a push query's one by one, since
/// clients take a frame for a row.
const FRAME_BYTES: usize = 32 << 10;

const PROTOBUF_ROWS: &str = "application/vnd.ksql.v1+protobuf";
const STREAMED_ROWS: &str = "application/vnd.ksql.v1+json";
const DELIMITED: &str = "application/vnd.ksqlapi.delimited.v1";
const JSON: &str = "application/json";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A line of metadata, then an array a line.
    Delimited,
    /// The same as one JSON array.
    Array,
    /// A JSON array of objects: header, rows, a last message.
    StreamedRows { media_type: &'static str },
    /// The same with each row as a Protobuf message in base64.
    ProtobufRows,
    /// PRINT's lines as they are.
    Lines,
}

impl Form {
    /// What `/query` answers; `None` when nothing of what is accepted is known.
    pub fn of_query(accepted: &str) -> Option<Form> {
        if accepted.contains(DELIMITED) {
            return Some(Form::Delimited);
        }
        if is_any(accepted) || accepted.contains(STREAMED_ROWS) {
            return Some(Form::StreamedRows { media_type: STREAMED_ROWS });
        }
        if accepted.contains(JSON) {
            return Some(Form::StreamedRows { media_type: JSON });
        }
        accepted.contains(PROTOBUF_ROWS).then_some(Form::ProtobufRows)
    }

    pub fn of_query_stream(accepted: &str) -> Option<Form> {
        if accepted.contains(STREAMED_ROWS) {
            return Some(Form::StreamedRows { media_type: STREAMED_ROWS });
        }
        if accepted.contains(DELIMITED) {
            return Some(Form::Delimited);
        }
        if accepted.contains(JSON) {
            return Some(Form::Array);
        }
        if is_any(accepted) {
            return Some(Form::Delimited);
        }
        accepted.contains(PROTOBUF_ROWS).then_some(Form::ProtobufRows)
    }

    /// PRINT's lines, unless rows are asked for: those can tell an error from a line.
    pub fn of_print(accepted: &str) -> Form {
        match accepted.contains(STREAMED_ROWS) {
            true => Form::StreamedRows { media_type: STREAMED_ROWS },
            false => Form::Lines,
        }
    }

    pub fn media_type(self) -> &'static str {
        match self {
            Form::Delimited => DELIMITED,
            Form::Array => JSON,
            Form::StreamedRows { media_type } => media_type,
            Form::ProtobufRows => PROTOBUF_ROWS,
            Form::Lines => "text/plain; charset=utf-8",
        }
    }
}

fn is_any(accepted: &str) -> bool {
    accepted.is_empty() || accepted.contains("*/*") || accepted.contains("application/*")
}

/// Writes one answer; what it returns are frames to send as they are.
pub struct Writer {
    form: Form,
    kind: AnswerKind,
    id: String,
    columns: Vec<ColumnDef>,
    messages: Option<ProtobufRows>,
}

impl Writer {
    /// # Errors
    /// The form has no place for the type of a column.
    pub fn new(form: Form, answer: &Answer) -> Result<Writer> {
        let is_protobuf = form == Form::ProtobufRows;
        let messages = is_protobuf.then(|| ProtobufRows::new(&answer.columns)).transpose()?;
        let (id, columns) = (answer.id.clone(), answer.columns.clone());
        Ok(Writer { form, kind: answer.kind, id, columns, messages })
    }

    pub fn header(&self) -> Option<String> {
        match self.form {
            Form::Delimited => Some(format!("{}\n", self.metadata())),
            Form::Array => Some(format!("[{}", self.metadata())),
            Form::StreamedRows { .. } | Form::ProtobufRows => {
                let header = match &self.messages {
                    Some(messages) => json!({ "queryId": self.id, "protoSchema": messages.schema() }),
                    None => json!({ "queryId": self.id, "schema": self.schema() }),
                };
                // What has a last message has lines that end in a comma, and are whole when they
                // arrive; else any row may be the last.
                let end = if self.ends_bare() { "" } else { ",\n" };
                Some(format!("[{}{end}", json!({ "header": header })))
            }
            Form::Lines => None,
        }
    }

    /// # Errors
    /// The form has no place for a value.
    pub fn rows(&self, rows: &[AnswerRow], frames: &mut VecDeque<String>) -> Result<()> {
        let messages = self.messages.as_ref().map(|messages| messages.messages(rows)).transpose()?;
        let mut frame = String::new();
        for (i, row) in rows.iter().enumerate() {
            match &messages {
                Some(messages) => self.message(row, &messages[i], &mut frame),
                None => self.row(row, &mut frame),
            }
            let full = !self.kind.is_pull() || frame.len() >= FRAME_BYTES;
            if full && !frame.is_empty() {
                frames.push_back(std::mem::take(&mut frame));
            }
        }
        if !frame.is_empty() {
            frames.push_back(frame);
        }
        Ok(())
    }

    pub fn end(&self, end: AnswerEnd) -> Option<String> {
        match self.form {
            Form::Array => Some("]".into()),
            Form::StreamedRows { .. } | Form::ProtobufRows if self.ends_bare() => Some("]".into()),
            Form::StreamedRows { .. } | Form::ProtobufRows => {
                let message = match end {
                    AnswerEnd::LimitReached => "Limit Reached",
                    AnswerEnd::Completed => "Query Completed",
                };
                // Clients of old look for the end of the line.
                Some(format!("{}]\n", json!({ "finalMessage": message })))
            }
            Form::Delimited | Form::Lines => None,
        }
    }

    pub fn error(&self, error: &Error) -> Option<String> {
        let error = generic_error(error_code(error.code), &error.to_string());
        Some(match self.form {
            Form::Delimited => format!("{error}\n"),
            Form::Array => format!(",\n{error}]"),
            Form::StreamedRows { .. } | Form::ProtobufRows => {
                let comma = if self.ends_bare() { ",\n" } else { "" };
                format!("{comma}{}]", json!({ "errorMessage": error }))
            }
            Form::Lines => format!("error: {}\n", error["message"].as_str().unwrap_or_default()),
        })
    }

    /// Rows that went away have no form but in streamed rows.
    fn row(&self, row: &AnswerRow, out: &mut String) {
        match self.form {
            Form::Delimited if !row.deleted => {
                push_array(row, &self.columns, out);
                out.push('\n');
            }
            Form::Array if !row.deleted => {
                out.push_str(",\n");
                push_array(row, &self.columns, out);
            }
            Form::Delimited | Form::Array => {}
            Form::StreamedRows { .. } => self.between(out, |out| push_streamed(row, &self.columns, out)),
            Form::ProtobufRows => {}
            Form::Lines => {
                if let Some(Value::Varchar(line)) = row.row.first() {
                    out.push_str(line);
                    out.push('\n');
                }
            }
        }
    }

    fn message(&self, row: &AnswerRow, message: &[u8], out: &mut String) {
        let tombstone = if row.deleted { r#","tombstone":true"# } else { "" };
        self.between(out, |out| {
            let _ = write!(out, r#"{{"row":{{"protobufBytes":"{}"{tombstone}}}}}"#, STANDARD.encode(message));
        });
    }

    /// Writes an item of an array that has begun.
    fn between(&self, out: &mut String, item: impl FnOnce(&mut String)) {
        let (before, after) = if self.ends_bare() { (",\n", "") } else { ("", ",\n") };
        out.push_str(before);
        item(out);
        out.push_str(after);
    }

    fn metadata(&self) -> serde_json::Value {
        let names: Vec<&str> = self.columns.iter().map(|c| c.name.as_str()).collect();
        let types: Vec<String> = self.columns.iter().map(|c| quoted_type(&c.ty)).collect();
        json!({ "queryId": self.id, "columnNames": names, "columnTypes": types })
    }

    /// A pull query on a table ends without a last message.
    fn ends_bare(&self) -> bool {
        self.kind == AnswerKind::Pull
    }

    /// Only the header of a pull query on a table marks the key columns.
    fn schema(&self) -> String {
        let mut out = String::new();
        for (i, column) in self.columns.iter().enumerate() {
            let comma = if i > 0 { ", " } else { "" };
            let key = if column.is_key() && self.ends_bare() { " KEY" } else { "" };
            let _ = write!(out, "{comma}{} {}{key}", quoted(&column.name), quoted_type(&column.ty));
        }
        out
    }
}

/// A row as an object of its own.
pub fn streamed_row(row: &AnswerRow, columns: &[ColumnDef]) -> String {
    let mut out = String::new();
    push_streamed(row, columns, &mut out);
    out
}

fn push_streamed(row: &AnswerRow, columns: &[ColumnDef], out: &mut String) {
    out.push_str(r#"{"row":{"columns":"#);
    push_array(row, columns, out);
    out.push_str(if row.deleted { r#","tombstone":true}}"# } else { "}}" });
}

fn push_array(row: &AnswerRow, columns: &[ColumnDef], out: &mut String) {
    out.push('[');
    for (i, (value, column)) in row.row.iter().zip(columns).enumerate() {
        if i > 0 {
            out.push(',');
        }
        json_value(value, &column.ty, out);
    }
    out.push(']');
}

fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// The type with every field name quoted, as schemas in headers have it.
fn quoted_type(ty: &SqlType) -> String {
    match ty {
        SqlType::Array(item) => format!("ARRAY<{}>", quoted_type(item)),
        SqlType::Map(key, value) => format!("MAP<{}, {}>", quoted_type(key), quoted_type(value)),
        SqlType::Struct(fields) => {
            let fields: Vec<String> =
                fields.iter().map(|f| format!("{} {}", quoted(&f.name), quoted_type(&f.ty))).collect();
            format!("STRUCT<{}>", fields.join(", "))
        }
        simple => simple.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Part, StructField};

    const STREAMED: Form = Form::StreamedRows { media_type: STREAMED_ROWS };

    fn writer(form: Form, kind: AnswerKind) -> Writer {
        let lat = StructField { name: "lat".into(), ty: SqlType::Double };
        let columns = vec![
            ColumnDef { name: "ID".into(), ty: SqlType::Varchar, part: Part::Key },
            ColumnDef { name: "N".into(), ty: SqlType::Int, part: Part::Value },
            ColumnDef { name: "AT".into(), ty: SqlType::Struct(vec![lat]), part: Part::Value },
        ];
        Writer { form, kind, id: "q_1".into(), columns, messages: None }
    }

    fn rows() -> Vec<AnswerRow> {
        let gone = vec![Value::text("b"), Value::Null, Value::Null];
        let here = vec![Value::text("a"), Value::Int(1), Value::Struct(vec![Value::Null])];
        vec![AnswerRow { row: here, deleted: false }, AnswerRow { row: gone, deleted: true }]
    }

    /// Frames are parted by `¦`.
    fn whole(form: Form, kind: AnswerKind, last: Result<AnswerEnd, Error>) -> String {
        let writer = writer(form, kind);
        let mut frames: VecDeque<String> = writer.header().into_iter().collect();
        writer.rows(&rows(), &mut frames).unwrap();
        frames.extend(match last {
            Ok(end) => writer.end(end),
            Err(error) => writer.error(&error),
        });
        frames.into_iter().collect::<Vec<_>>().join("¦")
    }

    #[test]
    fn answers_in_every_form() {
        use AnswerEnd::{Completed, LimitReached};
        use AnswerKind::{Pull, PullStream, Push};
        let lost = || Error::runtime("worker 1 is lost");
        let cases = [
            (
                Form::Delimited,
                Push,
                Ok(LimitReached),
                "{\"queryId\":\"q_1\",\"columnNames\":[\"ID\",\"N\",\"AT\"],\"columnTypes\":[\"STRING\",\"INTEGER\",\"STRUCT<`lat` DOUBLE>\"]}\n\
                 ¦[\"a\",1,{\"lat\":null}]\n",
            ),
            (
                Form::Delimited,
                Push,
                Err(lost()),
                "{\"queryId\":\"q_1\",\"columnNames\":[\"ID\",\"N\",\"AT\"],\"columnTypes\":[\"STRING\",\"INTEGER\",\"STRUCT<`lat` DOUBLE>\"]}\n\
                 ¦[\"a\",1,{\"lat\":null}]\n\
                 ¦{\"@type\":\"generic_error\",\"error_code\":50000,\"message\":\"worker 1 is lost\"}\n",
            ),
            (
                Form::Array,
                Pull,
                Ok(Completed),
                "[{\"queryId\":\"q_1\",\"columnNames\":[\"ID\",\"N\",\"AT\"],\"columnTypes\":[\"STRING\",\"INTEGER\",\"STRUCT<`lat` DOUBLE>\"]}\
                 ¦,\n[\"a\",1,{\"lat\":null}]¦]",
            ),
            (
                STREAMED,
                Pull,
                Ok(Completed),
                "[{\"header\":{\"queryId\":\"q_1\",\"schema\":\"`ID` STRING KEY, `N` INTEGER, `AT` STRUCT<`lat` DOUBLE>\"}}\
                 ¦,\n{\"row\":{\"columns\":[\"a\",1,{\"lat\":null}]}}\
                 ,\n{\"row\":{\"columns\":[\"b\",null,null],\"tombstone\":true}}¦]",
            ),
            (
                STREAMED,
                Push,
                Ok(LimitReached),
                "[{\"header\":{\"queryId\":\"q_1\",\"schema\":\"`ID` STRING, `N` INTEGER, `AT` STRUCT<`lat` DOUBLE>\"}},\n\
                 ¦{\"row\":{\"columns\":[\"a\",1,{\"lat\":null}]}},\n\
                 ¦{\"row\":{\"columns\":[\"b\",null,null],\"tombstone\":true}},\n\
                 ¦{\"finalMessage\":\"Limit Reached\"}]\n",
            ),
            (
                STREAMED,
                PullStream,
                Ok(Completed),
                "[{\"header\":{\"queryId\":\"q_1\",\"schema\":\"`ID` STRING, `N` INTEGER, `AT` STRUCT<`lat` DOUBLE>\"}},\n\
                 ¦{\"row\":{\"columns\":[\"a\",1,{\"lat\":null}]}},\n\
                 {\"row\":{\"columns\":[\"b\",null,null],\"tombstone\":true}},\n\
                 ¦{\"finalMessage\":\"Query Completed\"}]\n",
            ),
            (
                STREAMED,
                Pull,
                Err(lost()),
                "[{\"header\":{\"queryId\":\"q_1\",\"schema\":\"`ID` STRING KEY, `N` INTEGER, `AT` STRUCT<`lat` DOUBLE>\"}}\
                 ¦,\n{\"row\":{\"columns\":[\"a\",1,{\"lat\":null}]}}\
                 ,\n{\"row\":{\"columns\":[\"b\",null,null],\"tombstone\":true}}\
                 ¦,\n{\"errorMessage\":{\"@type\":\"generic_error\",\"error_code\":50000,\"message\":\"worker 1 is lost\"}}]",
            ),
            (Form::Lines, AnswerKind::Print, Ok(Completed), "a\n¦b\n"),
        ];
        for (form, kind, last, expected) in cases {
            assert_eq!(whole(form, kind, last), expected);
        }
    }

    #[test]
    fn the_accept_header_chooses_the_form() {
        let json_rows = Form::StreamedRows { media_type: JSON };
        let cases = [
            ("", Some(STREAMED), Some(Form::Delimited)),
            ("*/*", Some(STREAMED), Some(Form::Delimited)),
            (DELIMITED, Some(Form::Delimited), Some(Form::Delimited)),
            ("application/json", Some(json_rows), Some(Form::Array)),
            ("application/json, text/plain, */*", Some(STREAMED), Some(Form::Array)),
            (STREAMED_ROWS, Some(STREAMED), Some(STREAMED)),
            (PROTOBUF_ROWS, Some(Form::ProtobufRows), Some(Form::ProtobufRows)),
            ("text/html", None, None),
        ];
        for (accepted, query, query_stream) in cases {
            assert_eq!(Form::of_query(accepted), query, "{accepted}");
            assert_eq!(Form::of_query_stream(accepted), query_stream, "{accepted}");
        }
    }
}

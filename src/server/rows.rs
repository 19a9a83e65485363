//! Rows of an answer as text, in the forms that clients ask for by media type.

use super::error::{error_code, generic_error};
use crate::engine::{Answer, AnswerEnd, AnswerKind, AnswerRow};
use crate::error::Error;
use crate::format::output::json_value;
use crate::types::{ColumnDef, SqlType};
use crate::value::Value;
use serde_json::json;
use std::collections::VecDeque;
use std::fmt::Write;

/// A pull query's rows are sent together up to about this much; a push query's one by one, since
/// clients take a frame for a row.
const FRAME_BYTES: usize = 32 << 10;

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
        accepted.contains(JSON).then_some(Form::StreamedRows { media_type: JSON })
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
        is_any(accepted).then_some(Form::Delimited)
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
}

impl Writer {
    pub fn new(form: Form, answer: &Answer) -> Writer {
        Writer { form, kind: answer.kind, id: answer.id.clone(), columns: answer.columns.clone() }
    }

    pub fn header(&self) -> Option<String> {
        match self.form {
            Form::Delimited => Some(format!("{}\n", self.metadata())),
            Form::Array => Some(format!("[{}", self.metadata())),
            Form::StreamedRows { .. } => {
                let header = json!({ "queryId": self.id, "schema": self.schema() });
                // What has a last message has lines that end in a comma, and are whole when they
                // arrive; else any row may be the last.
                let end = if self.ends_bare() { "" } else { ",\n" };
                Some(format!("[{}{end}", json!({ "header": header })))
            }
            Form::Lines => None,
        }
    }

    pub fn rows(&self, rows: &[AnswerRow], frames: &mut VecDeque<String>) {
        let mut frame = String::new();
        for row in rows {
            self.row(row, &mut frame);
            let full = !self.kind.is_pull() || frame.len() >= FRAME_BYTES;
            if full && !frame.is_empty() {
                frames.push_back(std::mem::take(&mut frame));
            }
        }
        if !frame.is_empty() {
            frames.push_back(frame);
        }
    }

    pub fn end(&self, end: AnswerEnd) -> Option<String> {
        match self.form {
            Form::Array => Some("]".into()),
            Form::StreamedRows { .. } if self.ends_bare() => Some("]".into()),
            Form::StreamedRows { .. } => {
                let message = match end {
                    AnswerEnd::LimitReached => "Limit Reached",
                    AnswerEnd::Completed => "Query Completed",
                };
                Some(format!("{}]", json!({ "finalMessage": message })))
            }
            Form::Delimited | Form::Lines => None,
        }
    }

    pub fn error(&self, error: &Error) -> Option<String> {
        let error = generic_error(error_code(error.code), &error.to_string());
        Some(match self.form {
            Form::Delimited => format!("{error}\n"),
            Form::Array => format!(",\n{error}]"),
            Form::StreamedRows { .. } => {
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
                self.array(row, out);
                out.push('\n');
            }
            Form::Array if !row.deleted => {
                out.push_str(",\n");
                self.array(row, out);
            }
            Form::Delimited | Form::Array => {}
            Form::StreamedRows { .. } => {
                let (before, after) = if self.ends_bare() { (",\n", "") } else { ("", ",\n") };
                out.push_str(before);
                out.push_str(r#"{"row":{"columns":"#);
                self.array(row, out);
                out.push_str(if row.deleted { r#","tombstone":true}}"# } else { "}}" });
                out.push_str(after);
            }
            Form::Lines => {
                if let Some(Value::Varchar(line)) = row.row.first() {
                    out.push_str(line);
                    out.push('\n');
                }
            }
        }
    }

    fn array(&self, row: &AnswerRow, out: &mut String) {
        out.push('[');
        for (i, (value, column)) in row.row.iter().zip(&self.columns).enumerate() {
            if i > 0 {
                out.push(',');
            }
            json_value(value, &column.ty, out);
        }
        out.push(']');
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
        Writer { form, kind, id: "q_1".into(), columns }
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
        writer.rows(&rows(), &mut frames);
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
                 ¦{\"finalMessage\":\"Limit Reached\"}]",
            ),
            (
                STREAMED,
                PullStream,
                Ok(Completed),
                "[{\"header\":{\"queryId\":\"q_1\",\"schema\":\"`ID` STRING, `N` INTEGER, `AT` STRUCT<`lat` DOUBLE>\"}},\n\
                 ¦{\"row\":{\"columns\":[\"a\",1,{\"lat\":null}]}},\n\
                 {\"row\":{\"columns\":[\"b\",null,null],\"tombstone\":true}},\n\
                 ¦{\"finalMessage\":\"Query Completed\"}]",
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
            ("application/vnd.ksql.v1+protobuf", None, None),
            ("text/html", None, None),
        ];
        for (accepted, query, query_stream) in cases {
            assert_eq!(Form::of_query(accepted), query, "{accepted}");
            assert_eq!(Form::of_query_stream(accepted), query_stream, "{accepted}");
        }
    }
}

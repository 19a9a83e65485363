//! PRINT: a topic's messages as they are, a line each; those in formats that are no text as JSON.

use super::AnswerRow;
use super::answers::{AnswerEnd, Outlet};
use super::draft::Messages;
use super::local::{self, LOOK, Until};
use crate::batch::MessageBatch;
use crate::catalog;
use crate::clock::now_ms;
use crate::connector::{self, Opening, Poll, Share, Team};
use crate::error::Result;
use crate::format::output::{json_row, json_value};
use crate::format::{Decoder, Format, decoder};
use crate::registry::Lookups;
use crate::types::Schema;
use crate::value::Row;

/// PRINT: the messages of a topic as they are, a line each.
pub async fn print_topic(messages: &Messages, schemas: &Lookups, outlet: &Outlet) {
    local::end(printed(messages, schemas, outlet).await, outlet);
}

async fn printed(messages: &Messages, schemas: &Lookups, outlet: &Outlet) -> Result<AnswerEnd> {
    let Messages { place, survey, start, until, interval, limit, source: declared } = messages;
    let bounded = *until == Until::End;
    let opening = Opening { share: Share::All, start: *start, bounded, opened_ms: now_ms() };
    let mut source = connector::open_surveyed(place, opening, survey, &Team::alone())?;
    let mut printer = match declared {
        Some(source) => Printer::of(source, schemas)?,
        None => None,
    };
    let mut seen = 0u64;
    let mut sent = 0u64;
    loop {
        match source.poll(64 << 10, now_ms())? {
            Poll::Done => return Ok(AnswerEnd::Completed),
            Poll::Pending if outlet.is_closed() => return Ok(AnswerEnd::Completed),
            Poll::Pending => tokio::time::sleep(LOOK).await,
            Poll::Messages(messages) => {
                let shown = match &mut printer {
                    None => Vec::new(),
                    Some(printer) => {
                        while !printer.decoder.is_ready(&messages) {
                            if outlet.is_closed() {
                                return Ok(AnswerEnd::Completed);
                            }
                            tokio::time::sleep(LOOK).await;
                        }
                        printer.show(&messages)
                    }
                };
                for i in 0..messages.len() {
                    seen += 1;
                    if !(seen - 1).is_multiple_of(*interval) {
                        continue;
                    }
                    let row = vec![crate::value::Value::text(&line(&messages, i, shown.get(i)))];
                    if !outlet.send(vec![AnswerRow { row, deleted: false }]).await {
                        return Ok(AnswerEnd::Completed);
                    }
                    sent += 1;
                    if *limit == Some(sent) {
                        return Ok(AnswerEnd::LimitReached);
                    }
                }
            }
        }
    }
}

/// Messages in formats that are no text, as JSON.
pub struct Printer {
    decoder: Box<dyn Decoder>,
    schema: Schema,
    /// Keys are text as they are.
    plain_keys: bool,
}

impl Printer {
    /// `None` where a message is text as it is.
    pub fn of(source: &catalog::Source, schemas: &Lookups) -> Result<Option<Printer>> {
        let is_plain =
            |format: Format| format.kind().is_none() && !matches!(format, Format::ProtobufNoSr { .. });
        let plain_keys = is_plain(source.serialization.key);
        if is_plain(source.serialization.value) && plain_keys {
            return Ok(None);
        }
        // Headers are not shown.
        let schema = source.schema.without_headers();
        let decoder = decoder(&source.serialization, &schema, schemas)?;
        Ok(Some(Printer { decoder, schema, plain_keys }))
    }

    /// Key and value of each message; nothing where it cannot be decoded.
    fn show(&mut self, messages: &MessageBatch) -> Vec<[Option<String>; 2]> {
        let decoded = self.decoder.decode(messages, &vec![true; self.schema.len()]);
        let kept = decoded.kept.unwrap_or_else(|| (0..messages.len() as u32).collect());
        let (keys, values) = self.schema.columns.split_at(self.schema.key_len());
        let mut shown = vec![[None, None]; messages.len()];
        for (row, message) in kept.into_iter().enumerate() {
            let row: Row = decoded.columns.iter().map(|column| column.value(row)).collect();
            let (mut key, mut value) = (String::new(), String::new());
            match keys {
                [column] => json_value(&row[0], &column.ty, &mut key),
                _ => json_row(keys, &row[..keys.len()], &mut key),
            }
            json_row(values, &row[keys.len()..], &mut value);
            shown[message as usize] = [Some(key).filter(|_| !self.plain_keys), Some(value)];
        }
        shown
    }
}

fn line(messages: &MessageBatch, i: usize, shown: Option<&[Option<String>; 2]>) -> String {
    let text = |bytes: Option<&[u8]>, part: usize| match (bytes, shown.and_then(|shown| shown[part].as_ref()))
    {
        (None, _) => "<null>".into(),
        (Some(_), Some(shown)) => shown.clone(),
        (Some(bytes), None) => String::from_utf8_lossy(bytes).into_owned(),
    };
    let time = chrono::DateTime::from_timestamp_millis(messages.timestamps.at(i)).map_or_else(
        || messages.timestamps.at(i).to_string(),
        |t| t.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
    );
    format!(
        "rowtime: {time}, key: {}, value: {}, partition: {}, offset: {}",
        text(messages.key(i), 0),
        text(messages.value(i), 1),
        messages.partition,
        messages.offsets[i]
    )
}

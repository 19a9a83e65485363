//! What a run with `--once` says at its end: the line of totals, and of each source with rejects the first one.

use super::{grouped, log, progress};
use crate::engine::{Engine, Outcome, Progress, Session};
use crate::error::Result;
use crate::sql::parse_statement;
use crate::value::{Row, Value};
use std::collections::BTreeMap;
use std::time::Duration;

/// Of a record that was rejected so much is shown.
const SHOWN_CHARS: usize = 120;

const REJECTS: &str = "SELECT SOURCE_NAME, TOPIC_PARTITION, TOPIC_OFFSET, REASON, RAW FROM WHARFE_REJECTS \
                       WHERE KIND = 'reject'";
/// Nothing else is filtered where rows find their groups.
const KEYLESS: &str = "SELECT SUM(ROWS_FILTERED) AS N FROM WHARFE_BOOKS WHERE STAGE = 'aggregate'";
const ALL: &str = "all of them: -q 'SELECT * FROM WHARFE_REJECTS'";

/// Says what was read and what became of it, on standard error. `progress` is as it was before this.
pub fn say(engine: &Engine, progress: &Progress, read_in: Duration) -> Result<()> {
    let mut keyless = 0;
    each(engine, KEYLESS, |row| {
        if let Value::Bigint(count) = row[0] {
            keyless = count as u64;
        }
    })?;
    let mut totals = progress::totals(progress, read_in);
    if keyless > 0 {
        totals += &format!(", left out for a NULL in their key {}", grouped(keyless));
    }
    log::say(&totals);
    if progress.rows_rejected == 0 {
        return Ok(());
    }
    let mut sources: BTreeMap<String, Rejected> = BTreeMap::new();
    each(engine, REJECTS, |row| {
        if let Value::Varchar(source) = &row[0] {
            sources.entry(source.to_string()).or_default().add(row);
        }
    })?;
    for (source, rejected) in &sources {
        log::say(&rejected.line(source));
    }
    log::say(ALL);
    Ok(())
}

fn each(engine: &Engine, sql: &str, mut take: impl FnMut(&Row)) -> Result<()> {
    let statement = parse_statement(sql)?;
    let Outcome::Answer(mut answer) = engine.execute(&statement, &mut Session::default())? else {
        return Ok(());
    };
    use crate::engine::AnswerEvent::{End, Error, Rows};
    loop {
        match answer.next_event() {
            Some(Rows(rows)) => rows.iter().for_each(|row| take(&row.row)),
            Some(Error(error)) => return Err(error),
            Some(End(_)) | None => return Ok(()),
        }
    }
}

/// The rejects of one source.
#[derive(Default)]
struct Rejected {
    count: u64,
    /// The first one's partition and offset, with the reason and the record.
    first: Option<((i32, i64), String)>,
}

impl Rejected {
    fn add(&mut self, row: &Row) {
        self.count += 1;
        let (Value::Int(partition), Value::Bigint(offset)) = (&row[1], &row[2]) else { return };
        let at = (*partition, *offset);
        if self.first.as_ref().is_none_or(|(first, _)| at < *first) {
            let mut what =
                if let Value::Varchar(reason) = &row[3] { reason.to_string() } else { String::new() };
            if let Value::Bytes(raw) = &row[4] {
                what += &format!(": {}", shown(raw));
            }
            self.first = Some((at, what));
        }
    }

    /// `ORDERS: rejected 2, the first at offset 9 of partition 0: column ID: 'x' is not an INTEGER: x,bob`
    fn line(&self, source: &str) -> String {
        let mut line = format!("{source}: rejected {}", grouped(self.count));
        if let Some(((partition, offset), what)) = &self.first {
            line += &format!(", the first at offset {offset} of partition {partition}: {what}");
        }
        line
    }
}

/// The beginning of a record, in one line.
fn shown(raw: &[u8]) -> String {
    let text = String::from_utf8_lossy(raw);
    let mut shown: String = text.chars().take(SHOWN_CHARS).flat_map(shown_char).collect();
    if text.chars().nth(SHOWN_CHARS).is_some() {
        shown.push('…');
    }
    shown
}

fn shown_char(c: char) -> Vec<char> {
    if c.is_control() { c.escape_default().collect() } else { vec![c] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_a_source_is_the_one_that_lies_first() {
        let row = |offset, reason: &str, raw: &[u8]| {
            let source = Value::Varchar("S".into());
            let (reason, raw) = (Value::Varchar(reason.into()), Value::Bytes(raw.into()));
            Row::from(vec![source, Value::Int(0), Value::Bigint(offset), reason, raw])
        };
        let mut rejected = Rejected::default();
        [row(9, "second", b"b"), row(2, "first", b"a\n\xff")].iter().for_each(|row| rejected.add(row));
        assert_eq!(
            rejected.line("S"),
            "S: rejected 2, the first at offset 2 of partition 0: first: a\\n\u{fffd}"
        );
        assert_eq!(shown(&[b'x'; 200]).chars().count(), SHOWN_CHARS + 1);
    }
}

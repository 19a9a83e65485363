//! What was asked for, kept: statements that came while the engine ran, which the next start carries out
//! again, and rows that a script inserted, which it does not insert twice.

use crate::clock::now_ms;
use crate::connector::log::{self, LogOptions, LogWriter};
use crate::connector::{Opening, Poll, Record, Share, Source, Start, Survey};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    pub sql: String,
    /// SET by its session.
    #[serde(default)]
    pub properties: BTreeMap<String, String>,
    /// It inserted a row for a script.
    #[serde(default)]
    pub inserted: bool,
}

/// The log; only partition 0 is used.
pub struct Statements {
    writer: LogWriter,
    /// Rows that an earlier start has inserted, as their statements, with how often.
    inserted: BTreeMap<String, usize>,
}

fn directory(data_dir: &Path) -> PathBuf {
    data_dir.join("statements")
}

impl Statements {
    /// Opens the log; what it holds that is no insertion, in order, each with its number.
    pub fn open(data_dir: &Path) -> Result<(Statements, Vec<(u64, Asked)>)> {
        let dir = directory(data_dir);
        let (writer, _) = LogWriter::open(&dir, [0], LogOptions::default())?;
        let opening = Opening { share: Share::All, start: Start::Earliest, bounded: true, opened_ms: 0 };
        let mut reader = log::open(&dir, opening, &Survey::default())?;
        let (mut inserted, mut asked) = (BTreeMap::new(), Vec::new());
        let mut number = 0;
        while let Poll::Messages(messages) = reader.poll(1 << 20, 0)? {
            for i in 0..messages.len() {
                let statement: Asked = serde_json::from_slice(messages.value(i).unwrap_or_default())
                    .map_err(|e| Error::runtime(format!("{} cannot be read: {e}", dir.display())))?;
                match statement.inserted {
                    true => *inserted.entry(statement.sql).or_default() += 1,
                    false => asked.push((number, statement)),
                }
                number += 1;
            }
        }
        Ok((Statements { writer, inserted }, asked))
    }

    pub fn keep(&mut self, asked: &Asked) -> Result<()> {
        let json = serde_json::to_string(asked).expect("a statement is plain text");
        let (timestamp, value) = (now_ms(), Some(json.as_bytes()));
        self.writer.append(0, &Record { timestamp, value, ..Record::default() })?;
        self.writer.sync()
    }

    /// How many have been kept ever.
    pub fn count(&self) -> u64 {
        self.writer.next_offset(0).unwrap_or(0) as u64
    }

    /// Whether an earlier start has inserted this row. It counts once for each time that it did.
    pub fn was_inserted(&mut self, sql: &str) -> bool {
        match self.inserted.get_mut(sql) {
            Some(times) if *times > 0 => {
                *times -= 1;
                true
            }
            _ => false,
        }
    }
}

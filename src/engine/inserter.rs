//! Writes inserted rows: a writer a topic, for all statements that insert into it.
//!
//! A statement waits until its own rows are written, and for nobody else: several wait for one topic at
//! once, each step of a writer is short, and topics know nothing of each other.

use super::insert::Insertion;
use super::lock;
use crate::connector::{self, Record, Room, Share, Writer};
use crate::error::{Error, Result};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long a statement waits until its rows are written.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it looks whether they are.
const LOOK: Duration = Duration::from_millis(1);

#[derive(Default)]
pub struct Inserter {
    topics: Mutex<BTreeMap<String, Arc<Mutex<Topic>>>>,
}

#[derive(Default)]
struct Topic {
    writer: Option<Box<dyn Writer>>,
    /// Of the last insertion.
    epoch: u64,
    /// Insertions up to this one were lost with a writer that failed, and why.
    lost: Option<(u64, Error)>,
}

impl Inserter {
    /// Writes all rows, and waits until they are written.
    pub fn write(&self, insertion: &Insertion) -> Result<()> {
        let topic = Arc::clone(lock(&self.topics).entry(insertion.topic.clone()).or_default());
        let deadline = Instant::now() + PATIENCE;
        let epoch = {
            let mut topic = lock(&topic);
            topic.epoch += 1;
            topic.epoch
        };
        for row in &insertion.rows {
            let record = Record {
                timestamp: row.timestamp,
                key: row.key.as_deref(),
                value: row.value.as_deref(),
                headers: &[],
            };
            step(&topic, insertion, epoch, deadline, |writer| {
                match writer.append(epoch, row.partition, &record)? {
                    Room::Taken => Ok(true),
                    Room::Full => writer.flush().map(|_| false),
                }
            })?;
        }
        step(&topic, insertion, epoch, deadline, |writer| {
            Ok(writer.flush()?.is_none_or(|unwritten| unwritten > epoch))
        })
    }

    /// Closes a topic's writer: the topic goes.
    pub fn forget(&self, topic: &str) {
        lock(&self.topics).remove(topic);
    }
}

/// Repeats a step of a topic's writer until it says that it is done. After a failure the next insertion
/// begins with a new writer, which has forgotten what failed.
fn step(
    topic: &Mutex<Topic>,
    insertion: &Insertion,
    epoch: u64,
    deadline: Instant,
    mut is_done: impl FnMut(&mut dyn Writer) -> Result<bool>,
) -> Result<()> {
    loop {
        match lock(topic).step(insertion, epoch, &mut is_done) {
            Ok(true) => return Ok(()),
            Ok(false) if Instant::now() < deadline => std::thread::sleep(LOOK),
            Ok(false) => {
                let message = format!("topic {} took no row within {PATIENCE:?}", insertion.topic);
                let hint = "its cluster may be away; the row may still be written";
                return Err(Error::runtime(message).hint(hint));
            }
            Err(error) => return Err(error),
        }
    }
}

impl Topic {
    fn step(
        &mut self,
        insertion: &Insertion,
        epoch: u64,
        is_done: &mut impl FnMut(&mut dyn Writer) -> Result<bool>,
    ) -> Result<bool> {
        if let Some((lost, why)) = &self.lost
            && epoch <= *lost
        {
            return Err(why.clone());
        }
        let writer = match &mut self.writer {
            Some(writer) => writer,
            None => self.writer.insert(connector::writer(&insertion.place, insertion.layout, Share::All)?),
        };
        let done = is_done(writer.as_mut());
        if let Err(error) = &done {
            self.writer = None;
            self.lost = Some((self.epoch, error.clone()));
        }
        done
    }
}

//! A reader whose messages come one at a time.

use super::{Dealt, Lag, Moment, Poll, ReadTo, Result, Source};
use crate::batch::MessageBatch;
use std::collections::VecDeque;

/// One that is alone: which block of a partition a message comes from is of no account.
pub struct Singly {
    source: Box<dyn Source>,
    /// Read with the last message.
    waiting: VecDeque<MessageBatch>,
}

impl Singly {
    pub fn new(source: Box<dyn Source>) -> Singly {
        Singly { source, waiting: VecDeque::new() }
    }
}

impl Source for Singly {
    fn poll(&mut self, max_bytes: usize, now_ms: i64) -> Result<Poll> {
        Ok(match self.deal(max_bytes, now_ms, Moment::default())? {
            Dealt::Messages(messages, _) => Poll::Messages(messages),
            Dealt::Pending | Dealt::Busy => Poll::Pending,
            Dealt::Done => Poll::Done,
        })
    }

    fn deal(&mut self, _max_bytes: usize, now_ms: i64, moment: Moment) -> Result<Dealt> {
        if self.waiting.is_empty() {
            match self.source.deal(1, now_ms, moment)? {
                Dealt::Messages(messages, _) => self.waiting.extend(messages.each()),
                other => return Ok(other),
            }
        }
        Ok(self.waiting.pop_front().map_or(Dealt::Pending, |message| Dealt::Messages(message, None)))
    }

    fn read_headers(&mut self, wanted: bool) {
        self.source.read_headers(wanted);
    }

    fn bytes_expected(&self) -> Option<u64> {
        self.source.bytes_expected()
    }

    fn position(&self) -> Option<ReadTo> {
        // What waits has been read, and has not been handed out.
        self.source.position().filter(|_| self.waiting.is_empty())
    }

    fn lag(&self, now_ms: i64) -> Option<Lag> {
        self.source.lag(now_ms)
    }

    fn is_at_end(&self) -> bool {
        self.source.is_at_end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connector::{Csv, Framing, Opening, Place, Share, Start, open};
    use crate::dialect::Dialect;

    #[test]
    fn messages_come_one_by_one_and_a_position_is_told_between_blocks() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("short.txt");
        std::fs::write(&path, "a\nb\nc\n\"d\nd\"\n").unwrap();
        let place = |framing| Place::File {
            path: path.clone(),
            framing,
            header: false,
            follow: false,
            dialect: Dialect::default(),
        };
        let opening = Opening { share: Share::All, start: Start::Earliest, bounded: true, opened_ms: 0 };
        for (framing, expected) in [
            (Framing::Line, vec!["a", "b", "c", "\"d", "d\""]),
            (Framing::Csv(Csv { delimiter: b',', quote: Some(b'"') }), vec!["a", "b", "c", "\"d\nd\""]),
        ] {
            let mut source = Singly::new(open(&place(framing), opening).unwrap());
            let mut found = Vec::new();
            loop {
                match source.poll(1 << 20, 0).unwrap() {
                    Poll::Messages(batch) => {
                        assert_eq!(batch.len(), 1);
                        found.push(String::from_utf8_lossy(batch.value(0).unwrap()).into_owned());
                        assert_eq!(source.position().is_some(), source.waiting.is_empty());
                    }
                    Poll::Pending => {}
                    Poll::Done => break,
                }
            }
            assert_eq!(found, expected);
        }
    }
}

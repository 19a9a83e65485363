//! Standard input as a topic: partition 0, read by worker 0, once.
//!
//! Reading blocks, so a thread does it and hands blocks over a bounded channel. Input that is piped
//! in has no end until its writer closes it, so a bounded reader waits for that, too.

use super::framing::{Framer, Frames};
use super::{Lag, Opening, Poll, ReadTo, Share, Source, TextLayout};
use crate::batch::{MessageBatch, Timestamps};
use crate::error::{Error, Result, reason};
use crate::headers::Headers;
use arrow_buffer::Buffer;
use memchr::memchr;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};

const BLOCK_BYTES: usize = 256 << 10;
/// How far the thread may be ahead.
const BLOCKS_AHEAD: usize = 4;

pub struct StdinSource {
    /// `None`: another worker reads, or the end is reached.
    blocks: Option<Receiver<io::Result<Vec<u8>>>>,
    framer: Framer,
    /// The bytes of an unfinished message.
    carry: Vec<u8>,
    /// The offset of the first byte of `carry`.
    base: u64,
    /// The first line names the columns, and is still to come.
    unnamed: bool,
    names: Option<Arc<[u8]>>,
}

pub fn open(layout: TextLayout, opening: Opening) -> Result<StdinSource> {
    static OPENED: AtomicBool = AtomicBool::new(false);
    match opening.share {
        Share::Part { index, .. } if index > 0 => Ok(StdinSource::over(None, layout)),
        _ if OPENED.swap(true, Ordering::SeqCst) => {
            Err(Error::runtime("standard input can be read only once")
                .hint("put the data into a file, or let one stream read it and derive the others from that"))
        }
        _ => Ok(StdinSource::over(Some(spawn(io::stdin())), layout)),
    }
}

fn spawn(input: impl Read + Send + 'static) -> Receiver<io::Result<Vec<u8>>> {
    let (sender, receiver) = sync_channel(BLOCKS_AHEAD);
    // It ends with the input, or with the process: a blocked read cannot be interrupted.
    std::thread::spawn(move || forward(input, &sender));
    receiver
}

fn forward(mut input: impl Read, blocks: &SyncSender<io::Result<Vec<u8>>>) {
    loop {
        let mut block = vec![0; BLOCK_BYTES];
        let read = match input.read(&mut block) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Ok(0) => return,
            Ok(read) => Ok(read),
            Err(e) => Err(e),
        };
        let is_error = read.is_err();
        let sent = blocks.send(read.map(|read| {
            block.truncate(read);
            block
        }));
        if is_error || sent.is_err() {
            return;
        }
    }
}

impl StdinSource {
    fn over(blocks: Option<Receiver<io::Result<Vec<u8>>>>, layout: TextLayout) -> StdinSource {
        let TextLayout { framing, header, names } = layout;
        let framer = Framer::at_start(framing, header);
        StdinSource { blocks, framer, carry: Vec::new(), base: 0, unnamed: names, names: None }
    }

    fn frame(&mut self, block: Vec<u8>, last: bool, now_ms: i64) -> Option<MessageBatch> {
        let mut bytes = std::mem::take(&mut self.carry);
        if bytes.is_empty() {
            bytes = block;
        } else {
            bytes.extend_from_slice(&block);
        }
        if self.unnamed {
            let Some(line) = memchr(b'\n', &bytes).or(last.then_some(bytes.len())) else {
                self.carry = bytes;
                return None;
            };
            (self.names, self.unnamed) = (Some(bytes[..line].into()), false);
        }
        let mut frames = Frames::default();
        let consumed = self.framer.scan(&bytes, self.base, last, &mut frames);
        self.base += consumed as u64;
        if frames.values.is_empty() {
            bytes.drain(..consumed);
            self.carry = bytes;
            return None;
        }
        self.carry = bytes[consumed..].to_vec();
        if bytes.capacity() / 2 > bytes.len() {
            bytes.shrink_to_fit();
        }
        Some(MessageBatch {
            partition: 0,
            buffer: Buffer::from_vec(bytes),
            values: frames.values,
            keys: None,
            offsets: frames.offsets.into(),
            timestamps: Timestamps::All(now_ms),
            headers: Headers::None,
            torn: frames.torn,
            names: self.names.clone(),
        })
    }
}

impl Source for StdinSource {
    fn poll(&mut self, _max_bytes: usize, now_ms: i64) -> Result<Poll> {
        loop {
            let Some(blocks) = &self.blocks else { return Ok(Poll::Done) };
            let batch = match blocks.try_recv() {
                Err(TryRecvError::Empty) => return Ok(Poll::Pending),
                Err(TryRecvError::Disconnected) => {
                    self.blocks = None;
                    self.frame(Vec::new(), true, now_ms)
                }
                Ok(Ok(block)) => self.frame(block, false, now_ms),
                Ok(Err(e)) => {
                    return Err(Error::runtime(format!("cannot read standard input: {}", reason(&e))));
                }
            };
            if let Some(batch) = batch {
                return Ok(Poll::Messages(batch));
            }
        }
    }

    fn bytes_expected(&self) -> Option<u64> {
        None
    }

    fn position(&self) -> Option<ReadTo> {
        None
    }

    fn lag(&self, _: i64) -> Option<Lag> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connector::{Framing, Start};

    fn layout(framing: Framing) -> TextLayout {
        TextLayout { framing, header: false, names: false }
    }

    fn source(blocks: &[&str], framing: Framing) -> StdinSource {
        let (sender, receiver) = sync_channel(100);
        for block in blocks {
            sender.send(Ok(block.as_bytes().to_vec())).unwrap();
        }
        StdinSource::over(Some(receiver), layout(framing))
    }

    fn drain(source: &mut StdinSource) -> Vec<String> {
        let mut all = Vec::new();
        while let Poll::Messages(batch) = source.poll(1, 2000).unwrap() {
            for i in 0..batch.len() {
                let text = std::str::from_utf8(batch.value(i).unwrap()).unwrap();
                all.push(format!("{}:{text}", batch.offsets[i]));
            }
        }
        all
    }

    #[test]
    fn messages_span_blocks() {
        assert_eq!(
            drain(&mut source(&["a\nb", "b", "b\nc\n", "d"], Framing::Line)),
            ["0:a", "2:bbb", "6:c", "8:d"]
        );
        let mut json = source(&["{\"a\":", "\n1}{", "}\n"], Framing::Json);
        assert_eq!(drain(&mut json), ["0:{\"a\":\n1}", "8:{}"]);
        assert!(matches!(json.poll(1, 0).unwrap(), Poll::Done));
    }

    #[test]
    fn an_open_pipe_is_waited_for() {
        let (sender, receiver) = sync_channel(1);
        let mut source = StdinSource::over(Some(receiver), layout(Framing::Line));
        assert!(matches!(source.poll(1, 0).unwrap(), Poll::Pending));
        sender.send(Ok(b"a\n".to_vec())).unwrap();
        assert_eq!(drain(&mut source), ["0:a"]);
        sender.send(Err(io::Error::other("gone"))).unwrap();
        assert_eq!(source.poll(1, 0).err().unwrap().message, "cannot read standard input: gone");
    }

    #[test]
    fn the_thread_reads_to_the_end() {
        let text = "0123456789\n".repeat(100_000);
        let blocks = spawn(io::Cursor::new(text.clone().into_bytes()));
        let read: Vec<u8> = blocks.iter().flat_map(|block| block.unwrap()).collect();
        assert_eq!(read.len(), text.len());
    }

    #[test]
    fn it_is_read_once_and_by_one() {
        let opening = |share| Opening { share, start: Start::Earliest, bounded: false, opened_ms: 0 };
        let mut other = open(layout(Framing::Line), opening(Share::Part { index: 1, of: 2 })).unwrap();
        assert!(matches!(other.poll(1, 0).unwrap(), Poll::Done));
        let _first = open(layout(Framing::Line), opening(Share::All));
        let error = open(layout(Framing::Line), opening(Share::All)).err().unwrap();
        assert_eq!(error.message, "standard input can be read only once");
    }
}

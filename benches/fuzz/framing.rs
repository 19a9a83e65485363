//! Bytes of files for each framing: the same messages come of them wherever they are cut into blocks, and
//! whichever framer goes on; what is packed and damaged ends.

use super::input::{Random, damaged};
use super::targets::Target;
use std::io::Write;
use std::path::PathBuf;
use wharfe::connector::framing::{Before, Framer, Frames};
use wharfe::connector::{Csv, Framing, Opening, Place, Poll, Share, Start, open};
use wharfe::dialect::Dialect;

/// Messages that are longer are torn.
const MESSAGE_BYTES_MAX: usize = 70;

const TEXTS_A_TIME: usize = 16;

const TEXTS: &[&str] = &[
    "a,1\r\n\n\r\n b\nlast",
    "3,\"three\n4,x,30\nfake\",40\n5,\"a \"\"b\"\"\",6\n",
    "\u{feff}id,name\n1,\"ann\"\n",
    "{\"a\": [1,\n 2]}\n {\"b\":\"}\\\"{\"}  [1]",
    "[\n{\"a\":1},\n{\"a\":[2,\n3]}\n]\n",
    "\u{feff} [{\"a\": \"x{\\\"y\"}, {\"b\": {}}]",
    "{\n  \"a\": {\n    \"b\": \"v\"\n  },\n  \"c\":\n{\n}\n}\n{\"a\": \"this one is cut\n{\"b\":2}\n",
    "{\"long\": \"012345678901234567890123456789012345678901234567890123456789012345678901234567890\"}\n1\n",
];

pub fn framings() -> Vec<Box<dyn Target>> {
    let csv = |quote| Framing::Csv(Csv { delimiter: b',', quote });
    let plain: [(&str, Framing); 4] = [
        ("lines", Framing::Line),
        ("csv", csv(Some(b'"'))),
        ("csv_unquoted", csv(None)),
        ("json_values", Framing::Json),
    ];
    let seeds: Vec<Vec<u8>> = TEXTS.iter().map(|text| text.as_bytes().to_vec()).collect();
    let framing =
        |(name, framing)| -> Box<dyn Target> { Box::new(Cut { name, framing, seeds: seeds.clone() }) };
    let packed =
        [("gzip", gzip as fn(&[u8]) -> Vec<u8>), ("zstd", zstd)].map(|(name, pack)| -> Box<dyn Target> {
            let dir = tempfile::tempdir().expect("a directory");
            let seeds = TEXTS.iter().map(|text| pack(&text.repeat(3).into_bytes())).collect();
            Box::new(Packed { name, path: dir.path().join("x"), seeds, _dir: dir })
        });
    plain.into_iter().map(framing).chain(packed).collect()
}

struct Cut {
    name: &'static str,
    framing: Framing,
    seeds: Vec<Vec<u8>>,
}

/// Offset, bytes, and whether it is no whole message.
type Message = (i64, Vec<u8>, bool);

impl Target for Cut {
    fn name(&self) -> &str {
        self.name
    }

    fn one(&mut self, random: &mut Random) -> usize {
        (0..TEXTS_A_TIME).for_each(|_| self.cut(random));
        TEXTS_A_TIME
    }
}

impl Cut {
    fn cut(&self, random: &mut Random) {
        let mut text = damaged(random, &self.seeds);
        text.extend(damaged(random, &self.seeds));
        let whole = self.read(&text, usize::MAX >> 1, false);
        let in_order = whole.windows(2).all(|pair| pair[0].0 + pair[0].1.len() as i64 <= pair[1].0);
        assert!(in_order, "messages lie one behind the other: {:?}", String::from_utf8_lossy(&text));
        let (step, anew) = (1 + random.below(40), random.below(2) == 0);
        let cut = self.read(&text, step, anew);
        assert_eq!(whole, cut, "in blocks of {step}, anew: {anew}: {:?}", String::from_utf8_lossy(&text));
    }

    /// In reads of `step` bytes, as a source does; `anew`: each by another framer.
    fn read(&self, text: &[u8], step: usize, anew: bool) -> Vec<Message> {
        let mut framer = Framer::at_start(self.framing, false).message_bytes_max(MESSAGE_BYTES_MAX);
        let (mut base, mut end, mut messages) = (0, 0, Vec::new());
        loop {
            end = (end + step).min(text.len());
            let mut frames = Frames::default();
            let block = &text[base..end];
            let consumed = framer.scan(block, base as u64, end == text.len(), &mut frames);
            for (i, range) in frames.values.iter().enumerate() {
                let torn = frames.torn.iter().any(|(t, _)| *t == i);
                let bytes = range.of(block).expect("a message").to_vec();
                messages.push((frames.offsets[i], bytes, torn));
            }
            base += consumed;
            if end == text.len() {
                return messages;
            }
            if anew && base > 0 {
                let before = Before::START.and(&text[..base]);
                framer = Framer::resume(self.framing, framer.between(), before)
                    .message_bytes_max(MESSAGE_BYTES_MAX);
            }
        }
    }
}

/// A file of the connector's, from its start to its end.
struct Packed {
    name: &'static str,
    path: PathBuf,
    seeds: Vec<Vec<u8>>,
    _dir: tempfile::TempDir,
}

impl Target for Packed {
    fn name(&self) -> &str {
        self.name
    }

    fn one(&mut self, random: &mut Random) -> usize {
        std::fs::write(&self.path, damaged(random, &self.seeds)).expect("a file");
        let place = Place::File {
            path: self.path.clone(),
            framing: *random.pick(&[
                Framing::Line,
                Framing::Json,
                Framing::Csv(Csv { delimiter: b',', quote: Some(b'"') }),
            ]),
            header: false,
            follow: false,
            dialect: Dialect::default(),
        };
        let opening = Opening { share: Share::All, start: Start::Earliest, bounded: true, opened_ms: 0 };
        let mut source = open(&place, opening).expect("it can be opened");
        let mut polls = 0;
        while !matches!(source.poll(1 << 10, 0).expect("it can be read"), Poll::Done) {
            polls += 1;
            assert!(polls < 10_000, "it has no end");
        }
        1
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("bytes in memory")
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).expect("bytes in memory")
}

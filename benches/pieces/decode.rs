//! Stage 2: messages into typed rows.

use crate::Bench;
use crate::data::{self, HISTORIC, LEEDS, ROWS};
use criterion::Throughput;
use simd_csv::ZeroCopyReaderBuilder;
use std::hint::black_box;
use wharfe::plan::Wanted;
use wharfe::render::source::RowDecoder;

pub fn benches(c: &mut Bench) {
    let planned = data::car_parks();
    let mut group = c.benchmark_group("decode");
    group.throughput(Throughput::Elements(ROWS));
    for (name, feed, all) in [
        ("delimited, historic, 6 of 8 columns", HISTORIC, false),
        ("delimited, historic, all 8 columns", HISTORIC, true),
        ("json, leeds", LEEDS, false),
    ] {
        let source = data::source(&planned, feed);
        let wanted = if all { Wanted::default() } else { planned.wanted(source.hub) };
        let messages = data::messages(feed, ROWS, None);
        let mut decoder =
            RowDecoder::new(source, &wharfe::registry::Lookups::none()).expect("the format can be decoded");
        group.bench_function(name, |b| b.iter(|| decoder.decode(black_box(&messages), &wanted)));
    }

    let lines = lines(ROWS);
    group.bench_function("yardstick: simd-csv splits historic, decodes nothing", |b| {
        b.iter(|| {
            let mut reader = ZeroCopyReaderBuilder::new().has_headers(false).from_reader(&lines[..]);
            let mut bytes = 0;
            while let Ok(Some(record)) = reader.read_byte_record() {
                bytes += record.iter().map(<[u8]>::len).sum::<usize>();
            }
            bytes
        })
    });
    group.finish();
}

/// The historic feed as a file has it.
pub fn lines(rows: u64) -> Vec<u8> {
    let messages = data::messages(HISTORIC, rows, None);
    let each = (0..messages.len()).filter_map(|i| messages.value(i));
    each.flat_map(|line| line.iter().copied().chain([b'\n'])).collect()
}

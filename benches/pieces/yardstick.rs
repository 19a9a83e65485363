//! The whole way of the historic feed by hand: what a program for this one question would cost.

use crate::Bench;
use crate::decode::lines;
use criterion::Throughput;
use simd_csv::{ZeroCopyByteRecord, ZeroCopyReaderBuilder};
use std::collections::HashMap;
use std::hint::black_box;

const ROWS: u64 = 100_000;

/// What both tables keep of a car park.
struct Park {
    latest_time: i64,
    latest_empty: i32,
    latest_capacity: i32,
    latest_status: Vec<u8>,
    latest_share: f64,
    place: (f64, f64),
    events: u64,
    times: (i64, i64),
    empty: (i32, i32, i64),
    share: (f64, f64, f64),
}

pub fn benches(c: &mut Bench) {
    let lines = lines(ROWS);
    let mut group = c.benchmark_group("yardstick");
    group.throughput(Throughput::Elements(ROWS));
    group.bench_function("simd-csv, every column parsed, a hash map", |b| {
        b.iter(|| aggregate(black_box(&lines)))
    });
    group.finish();
}

fn aggregate(lines: &[u8]) -> HashMap<Vec<u8>, Park> {
    let mut reader = ZeroCopyReaderBuilder::new().has_headers(false).from_reader(lines);
    let mut parks: HashMap<Vec<u8>, Park> = HashMap::new();
    while let Ok(Some(record)) = reader.read_byte_record() {
        let Some(row) = Row::read(&record) else { continue };
        match parks.get_mut(row.name) {
            Some(park) => park.add(&row),
            None => drop(parks.insert(row.name.to_vec(), Park::of(&row))),
        }
    }
    parks
}

struct Row<'r> {
    name: &'r [u8],
    time: i64,
    capacity: i32,
    empty: i32,
    status: &'r [u8],
    place: (f64, f64),
}

impl<'r> Row<'r> {
    fn read(record: &'r ZeroCopyByteRecord<'r>) -> Option<Row<'r>> {
        let mut fields = record.iter();
        let mut next = || fields.next();
        let (date, time) = (next()?, next()?);
        Some(Row {
            time: minutes(date, time)? * 60_000,
            name: next()?,
            capacity: number(next()?)? as i32,
            empty: number(next()?)? as i32,
            status: next()?,
            place: (decimal(next()?)?, decimal(next()?)?),
        })
    }

    fn share(&self) -> f64 {
        f64::from(self.capacity - self.empty) / f64::from(self.capacity) * 100.0
    }
}

impl Park {
    fn of(row: &Row) -> Park {
        let share = row.share();
        Park {
            latest_time: row.time,
            latest_empty: row.empty,
            latest_capacity: row.capacity,
            latest_status: row.status.to_vec(),
            latest_share: share,
            place: row.place,
            events: 1,
            times: (row.time, row.time),
            empty: (row.empty, row.empty, row.empty.into()),
            share: (share, share, share),
        }
    }

    fn add(&mut self, row: &Row) {
        let share = row.share();
        self.latest_time = row.time;
        self.latest_empty = row.empty;
        self.latest_capacity = row.capacity;
        self.latest_status.clear();
        self.latest_status.extend_from_slice(row.status);
        self.latest_share = share;
        self.place = row.place;
        self.events += 1;
        self.times = (self.times.0.min(row.time), self.times.1.max(row.time));
        let (least, most, sum) = self.empty;
        self.empty = (least.min(row.empty), most.max(row.empty), sum + i64::from(row.empty));
        let (least, most, sum) = self.share;
        self.share = (least.min(share), most.max(share), sum + share);
    }
}

fn number(text: &[u8]) -> Option<i64> {
    text.iter().try_fold(0, |n, b| b.is_ascii_digit().then(|| n * 10 + i64::from(b - b'0')))
}

fn decimal(text: &[u8]) -> Option<f64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Minutes since 1970 of a local time; which hour is summer time is left out.
fn minutes(date: &[u8], time: &[u8]) -> Option<i64> {
    let (year, month, day) = (number(&date[..4])?, number(&date[5..7])?, number(&date[8..])?);
    // Howard Hinnant, "chrono-compatible low-level date algorithms".
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    Some(days * 1_440 + number(&time[..2])? * 60 + number(&time[3..])?)
}

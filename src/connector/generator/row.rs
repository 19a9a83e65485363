//! One event: what a car park reports at a poll, and how its feed writes it.

use super::clock::Moment;
use super::feed::{Feed, Shape};
use super::{Error, FEEDS, GeneratorSpec, ROW_BYTES_MAX, Result};

/// What is wrong with a row on purpose. Each way costs exactly this row.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Spoilt {
    No,
    MissingField,
    NotANumber,
    Utf8,
    /// JSON only: the value ends in the middle of a string.
    Cut,
}

/// Makes rows by their number.
pub struct CarParks {
    feed: Feed,
    seed: u64,
    /// `None`: those of the feed.
    made_up_parks: Option<u64>,
    parks: u64,
    dirty_every: Option<u64>,
    /// Of the last row; a poll has a row for every car park.
    poll: u64,
    moment: Moment,
    /// How busy the town is at that moment, in thousandths.
    busy: u32,
}

struct Event<'p> {
    name: &'p [u8],
    capacity: u32,
    empty: u32,
    status: usize,
    latitude: &'p [u8],
    longitude: &'p [u8],
    spoilt: Spoilt,
}

const STATUS: [&str; 4] = ["Spaces", "Almost Full", "Full", "Closed"];
const STATUS_LEEDS: [&str; 4] = ["enoughSpacesAvailable", "almostFull", "full", "carParkClosed"];

impl CarParks {
    pub fn new(spec: &GeneratorSpec) -> Result<CarParks> {
        let unknown = || {
            Error::topology(format!("unknown feed {}", spec.feed))
                .hint(format!("it is one of {}", FEEDS.join(", ")))
        };
        let feed = Feed::named(&spec.feed).ok_or_else(unknown)?;
        if spec.events_per_second.is_some() {
            let error = Error::topology(format!("{} has no events_per_second", spec.feed));
            return Err(error.hint("a car park reports every few minutes"));
        }
        let mut rows = CarParks {
            parks: spec.car_parks.unwrap_or(feed.parks.len() as u64),
            feed,
            seed: hash(spec.seed),
            made_up_parks: spec.car_parks,
            dirty_every: spec.dirty_every,
            poll: 0,
            moment: Moment::default(),
            busy: 0,
        };
        rows.turn_to(0);
        Ok(rows)
    }

    /// Appends row number `row`, without an end of line.
    pub fn append(&mut self, row: u64, out: &mut Vec<u8>) {
        let (poll, park) = (row / self.parks, row % self.parks);
        if poll != self.poll {
            self.turn_to(poll);
        }
        let spoilt = self.spoilt(row);
        match self.made_up_parks {
            None => self.append_known(park, spoilt, out),
            Some(_) => self.append_made_up(park, spoilt, out),
        }
    }

    fn turn_to(&mut self, poll: u64) {
        self.poll = poll;
        // Far enough for any benchmark, and no year has five digits.
        let seconds = (poll as i64 & 0x1fff_ffff) * self.feed.step_s;
        self.moment = Moment::at(self.feed.start_s + seconds);
        self.busy = busy(self.moment.minute) * if self.moment.is_sunday() { 600 } else { 1000 } / 1000;
    }

    fn spoilt(&self, row: u64) -> Spoilt {
        use Spoilt::*;
        let Some(every) = self.dirty_every else { return No };
        if !(row + 1).is_multiple_of(every) {
            return No;
        }
        // JSON has no missing fields: such a one is NULL, which is no error.
        let ways = if self.feed.shape == Shape::Leeds {
            [Cut, NotANumber, Utf8]
        } else {
            [MissingField, NotANumber, Utf8]
        };
        ways[((row / every) % 3) as usize]
    }

    fn append_known(&self, index: u64, spoilt: Spoilt, out: &mut Vec<u8>) {
        let park = &self.feed.parks[index as usize];
        let given = self.feed.given.iter().find(|(poll, park, _)| (*poll, *park) == (self.poll, index));
        let closed = self.moment.minute < park.open.0 || self.moment.minute >= park.open.1;
        let (empty, status) = match given {
            Some((_, _, empty)) => (*empty, status(*empty, park.capacity)),
            None if closed => (park.capacity, 3),
            None => self.empty(index, park.capacity, park.busiest),
        };
        let event = Event {
            name: park.name.as_bytes(),
            capacity: park.capacity,
            empty,
            status,
            latitude: park.latitude.as_bytes(),
            longitude: park.longitude.as_bytes(),
            spoilt,
        };
        self.append_event(&event, out);
    }

    fn append_made_up(&self, index: u64, spoilt: Spoilt, out: &mut Vec<u8>) {
        let random = hash(index ^ 0x5eed);
        let capacity = 40 + (random % 960) as u32;
        let (empty, status) = self.empty(index, capacity, 500 + (random >> 10) as u32 % 600);
        let mut name = *b"Car Park 00000000000000000000";
        let name = decimal(&mut name, 9, index, 6);
        let mut latitude = *b"53.7000000000000000000000";
        let latitude = decimal(&mut latitude, 3, 700_000 + (random >> 20) % 200_000, 6);
        let mut longitude = *b"-1.5000000000000000000000";
        let longitude = decimal(&mut longitude, 3, 500_000 + (random >> 40) % 300_000, 6);
        self.append_event(&Event { name, capacity, empty, status, latitude, longitude, spoilt }, out);
    }

    /// Empty places and status: the daily curve, a good or a bad day, and a little noise.
    fn empty(&self, park: u64, capacity: u32, busiest: u32) -> (u32, usize) {
        let place = hash(self.seed ^ park);
        let of_day = (hash(place ^ self.moment.day as u64) % 200) as i64 - 100;
        let noise = (hash(place.wrapping_add(self.poll << 20)) % 50) as i64 - 25;
        let level = (self.busy * busiest) as i64 / 1000;
        let occupied = 15 + level * (1000 + of_day) / 1000 + noise;
        let empty = capacity - (capacity as i64 * occupied.clamp(0, 1000) / 1000) as u32;
        (empty, status(empty, capacity))
    }

    fn append_event(&self, event: &Event, out: &mut Vec<u8>) {
        out.reserve(ROW_BYTES_MAX);
        match self.feed.shape {
            Shape::Leeds => self.append_json(event, out),
            shape => self.append_delimited(event, shape == Shape::Live, out),
        }
    }

    fn append_delimited(&self, event: &Event, with_directions: bool, out: &mut Vec<u8>) {
        out.extend_from_slice(self.moment.date());
        out.push(b',');
        out.extend_from_slice(self.moment.hour_minute());
        out.push(b',');
        append_name(event, out);
        out.push(b',');
        append_capacity(event, out);
        out.push(b',');
        append_number(event.empty, out);
        out.push(b',');
        out.extend_from_slice(STATUS[event.status].as_bytes());
        out.push(b',');
        append_place(event, out);
        if with_directions && event.spoilt != Spoilt::MissingField {
            out.extend_from_slice(b",\"https://maps.google.com/?daddr=");
            append_place(event, out);
            out.push(b'"');
        } else if event.spoilt == Spoilt::MissingField && !with_directions {
            out.truncate(out.len() - event.longitude.len() - 1);
        }
    }

    fn append_json(&self, event: &Event, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\n    \"d2lm:situationRecordCreationTime\": \"");
        out.extend_from_slice(self.moment.date_time());
        out.extend_from_slice(
            b"\",\n    \"d2lm:groupOfLocations\": {\n        \"d2lm:locationContainedInGroup\": {\n            \
              \"d2lm:pointByCoordinates\": {\n                \"d2lm:pointCoordinates\": {\n                    \
              \"d2lm:latitude\": \"",
        );
        out.extend_from_slice(event.latitude);
        out.extend_from_slice(b"\",\n                    \"d2lm:longitude\": \"");
        out.extend_from_slice(event.longitude);
        out.extend_from_slice(
            b"\"\n                }\n            }\n        }\n    },\n    \"d2lm:carParkIdentity\": \"",
        );
        append_name(event, out);
        if event.spoilt == Spoilt::Cut {
            return;
        }
        let occupied = event.capacity - event.empty;
        out.extend_from_slice(b"\",\n    \"d2lm:carParkOccupancy\": \"");
        append_number(occupied * 100 / event.capacity, out);
        out.extend_from_slice(b"\",\n    \"d2lm:carParkStatus\": \"");
        out.extend_from_slice(STATUS_LEEDS[event.status].as_bytes());
        out.extend_from_slice(b"\",\n    \"d2lm:occupiedSpaces\": \"");
        append_number(occupied, out);
        out.extend_from_slice(b"\",\n    \"d2lm:totalCapacity\": \"");
        append_capacity(event, out);
        out.extend_from_slice(b"\"\n}");
    }
}

fn append_name(event: &Event, out: &mut Vec<u8>) {
    out.extend_from_slice(event.name);
    if event.spoilt == Spoilt::Utf8 {
        out.push(0xff);
    }
}

fn append_capacity(event: &Event, out: &mut Vec<u8>) {
    match event.spoilt {
        Spoilt::NotANumber => out.extend_from_slice(b"n/a"),
        _ => append_number(event.capacity, out),
    }
}

fn append_place(event: &Event, out: &mut Vec<u8>) {
    out.extend_from_slice(event.latitude);
    out.push(b',');
    out.extend_from_slice(event.longitude);
}

/// How busy the town is at a minute of the day, in thousandths: up from six to eleven, down from three to nine.
fn busy(minute: u32) -> u32 {
    let rise = smooth(minute, 360, 660);
    let fall = smooth(minute, 900, 1260);
    rise - fall
}

/// From 0 to 1000 between two minutes, with a gentle start and end (3x² - 2x³).
fn smooth(minute: u32, from: u32, to: u32) -> u32 {
    let x = (minute.clamp(from, to) - from) as u64 * 1000 / (to - from) as u64;
    (x * x * (3000 - 2 * x) / 1_000_000) as u32
}

fn status(empty: u32, capacity: u32) -> usize {
    match empty {
        0 => 2,
        _ if empty * 20 < capacity => 1,
        _ => 0,
    }
}

/// Writes `number` behind the first `prefix` bytes of `text`, with at least `width` digits.
fn decimal(text: &mut [u8], prefix: usize, number: u64, width: usize) -> &[u8] {
    let digits = number.checked_ilog10().map_or(1, |log| log as usize + 1).max(width);
    let mut rest = number;
    for place in text[prefix..prefix + digits].iter_mut().rev() {
        *place = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    &text[..prefix + digits]
}

fn append_number(number: u32, out: &mut Vec<u8>) {
    let mut digits = [0; 10];
    out.extend_from_slice(decimal(&mut digits, 0, number as u64, 1));
}

/// One step of SplitMix64 (Steele, Lea and Flood 2014).
pub fn hash(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

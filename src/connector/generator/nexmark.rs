//! Nexmark's auction site: people who open auctions and bid on them, as JSON.
//!
//! Of every fifty events the first is a new person, three are new auctions and the rest are bids. An event
//! depends on the seed and its number alone, and so does each feed, which has the events of one kind. The
//! proportions, the hot auctions, sellers and bidders, prices, channels, URLs and the padding up to a mean
//! size are the benchmark's; the events themselves are this generator's own.

use super::row::hash;
use super::{Error, GeneratorSpec, Result};
use std::io::Write;

/// The feeds of events, and the table of a fixed size that a query looks up.
pub const FEEDS: [&str; 4] = ["nexmark_person", "nexmark_auction", "nexmark_bid", "nexmark_side_input"];

/// The events of one round, in their order: persons, then auctions, then bids.
const PERSONS: u64 = 1;
const AUCTIONS: u64 = 3;
const BIDS: u64 = 46;
const ROUND: u64 = PERSONS + AUCTIONS + BIDS;

/// 2015-07-15T00:00:00Z: the first event, in milliseconds.
const BASE_MS: u64 = 1_436_918_400_000;
const EVENTS_PER_SECOND: u64 = 10_000;

const FIRST_PERSON: u64 = 1000;
const FIRST_AUCTION: u64 = 1000;
const FIRST_CATEGORY: u64 = 10;
const CATEGORIES: u64 = 5;

/// Auctions that bids choose among, where they do not go to the hot one.
const AUCTIONS_IN_FLIGHT: u64 = 100;
/// People who are still active.
const PEOPLE_ACTIVE: u64 = 1000;
/// How far events run ahead of what they name: some name a person or an auction just before it is there.
const LEAD: u64 = 10;
/// One of so many auctions, or people, is the hot one for a time.
const HOT_EVERY: u64 = 100;
/// Of so many choices all but one fall on the hot one.
const HOT_AUCTION: u64 = 2;
const HOT_PERSON: u64 = 4;

const CHANNELS_HOT: [&str; 4] = ["Google", "Facebook", "Baidu", "Apple"];
const CHANNELS: u64 = 10_000;
const SIDE_INPUT_ROWS: u64 = 10_000;

/// The mean length of the padding: what the fields lack of 200, 500 and 100 bytes, as the benchmark counts.
const PERSON_EXTRA: u64 = 140;
const AUCTION_EXTRA: u64 = 380;
const BID_EXTRA: u64 = 68;

const FIRST_NAMES: [&str; 11] =
    ["Peter", "Paul", "Luke", "John", "Saul", "Vicky", "Kate", "Julie", "Sarah", "Deiter", "Walter"];
const LAST_NAMES: [&str; 9] =
    ["Shultz", "Abrams", "Spencer", "White", "Bartels", "Walton", "Smith", "Jones", "Noris"];
const CITIES: [&str; 10] = [
    "Phoenix",
    "Los Angeles",
    "San Francisco",
    "Boise",
    "Portland",
    "Bend",
    "Redmond",
    "Seattle",
    "Kent",
    "Cheyenne",
];
const STATES: [&str; 6] = ["AZ", "CA", "ID", "OR", "WA", "WY"];

#[derive(Clone, Copy)]
enum Kind {
    Person,
    Auction,
    Bid,
    SideInput,
}

/// Makes the rows of a feed by their number.
pub struct Nexmark {
    kind: Kind,
    seed: u64,
    events_per_second: u64,
    dirty_every: Option<u64>,
    prices: Prices,
}

/// How many rows of a feed are among so many events.
pub fn rows_among(feed: &str, events: u64) -> u64 {
    let (first, many) = match feed {
        "nexmark_person" => (0, PERSONS),
        "nexmark_auction" => (PERSONS, AUCTIONS),
        "nexmark_bid" => (PERSONS + AUCTIONS, BIDS),
        _ => return SIDE_INPUT_ROWS,
    };
    events / ROUND * many + (events % ROUND).saturating_sub(first).min(many)
}

/// The name of a feed's file where all of them are written: `bid.json`.
pub fn file_name(feed: &str) -> String {
    format!("{}.json", feed.strip_prefix("nexmark_").unwrap_or(feed))
}

impl Nexmark {
    /// The feed of that name, if there is one.
    pub fn new(spec: &GeneratorSpec) -> Result<Option<Nexmark>> {
        let kinds = [Kind::Person, Kind::Auction, Kind::Bid, Kind::SideInput];
        let found = FEEDS.iter().zip(kinds).find(|(name, _)| **name == spec.feed);
        let Some((_, kind)) = found else { return Ok(None) };
        if spec.car_parks.is_some() {
            return Err(Error::topology(format!("{} has no car_parks", spec.feed)));
        }
        Ok(Some(Nexmark {
            kind,
            seed: hash(spec.seed),
            events_per_second: spec.events_per_second.unwrap_or(EVENTS_PER_SECOND),
            dirty_every: spec.dirty_every,
            prices: Prices::new(),
        }))
    }

    /// Appends row number `row`, without an end of line.
    pub fn append(&self, row: u64, out: &mut Vec<u8>) {
        let event = match self.kind {
            Kind::Person => row * ROUND,
            Kind::Auction => row / AUCTIONS * ROUND + PERSONS + row % AUCTIONS,
            Kind::Bid => row / BIDS * ROUND + PERSONS + AUCTIONS + row % BIDS,
            Kind::SideInput => 0,
        };
        let random = &mut Random(hash(self.seed ^ hash(event)));
        match self.kind {
            Kind::Person => append_person(event, random, out),
            Kind::Auction => self.append_auction(event, random, out),
            Kind::Bid => self.append_bid(event, random, out),
            Kind::SideInput => return append_side_input(row, out),
        }
        let extra = match self.kind {
            Kind::Person => PERSON_EXTRA,
            Kind::Auction => AUCTION_EXTRA,
            _ => BID_EXTRA,
        };
        self.append_end(event, row, extra, random, out);
    }

    /// What all events end with: their time, and padding.
    fn append_end(&self, event: u64, row: u64, extra: u64, random: &mut Random, out: &mut Vec<u8>) {
        out.extend_from_slice(b",\"date_time\":");
        if self.dirty_every.is_some_and(|every| (row + 1).is_multiple_of(every)) {
            out.extend_from_slice(b"\"n/a\"");
        } else {
            append_number(self.time_ms(event), out);
        }
        out.extend_from_slice(b",\"extra\":\"");
        let spread = extra / 5;
        (0..extra - spread + random.below(2 * spread)).for_each(|_| out.push(random.letter()));
        out.extend_from_slice(b"\"}");
    }

    fn time_ms(&self, event: u64) -> u64 {
        BASE_MS + (u128::from(event) * 1000 / u128::from(self.events_per_second)) as u64
    }

    fn append_auction(&self, event: u64, random: &mut Random, out: &mut Vec<u8>) {
        let seller = match random.is_hot(HOT_PERSON) {
            true => last_person(event) / HOT_EVERY * HOT_EVERY,
            false => any_person(event, random),
        };
        let initial = self.prices.one(random);
        let reserve = initial + self.prices.one(random);
        // On average it is open until as many others have been opened as are in flight.
        let horizon = self.time_ms(event + AUCTIONS_IN_FLIGHT * ROUND / AUCTIONS) - self.time_ms(event);
        let expires = self.time_ms(event) + 1 + random.below((2 * horizon).max(1));
        append_field(out, "{\"id\":", FIRST_AUCTION + last_auction(event));
        out.extend_from_slice(b",\"item_name\":\"");
        append_words(20, random, out);
        out.extend_from_slice(b"\",\"description\":\"");
        append_words(100, random, out);
        append_field(out, "\",\"initial_bid\":", initial);
        append_field(out, ",\"reserve\":", reserve);
        append_field(out, ",\"expires\":", expires);
        append_field(out, ",\"seller\":", FIRST_PERSON + seller);
        append_field(out, ",\"category\":", FIRST_CATEGORY + random.below(CATEGORIES));
    }

    fn append_bid(&self, event: u64, random: &mut Random, out: &mut Vec<u8>) {
        let auction = match random.is_hot(HOT_AUCTION) {
            true => last_auction(event) / HOT_EVERY * HOT_EVERY,
            false => any_auction(event, random),
        };
        let bidder = match random.is_hot(HOT_PERSON) {
            true => last_person(event) / HOT_EVERY * HOT_EVERY + 1,
            false => any_person(event, random),
        };
        append_field(out, "{\"auction\":", FIRST_AUCTION + auction);
        append_field(out, ",\"bidder\":", FIRST_PERSON + bidder);
        append_field(out, ",\"price\":", self.prices.one(random));
        append_channel(random, out);
    }
}

fn append_person(event: u64, random: &mut Random, out: &mut Vec<u8>) {
    append_field(out, "{\"id\":", FIRST_PERSON + last_person(event));
    let (first, last) = (random.of(&FIRST_NAMES), random.of(&LAST_NAMES));
    append_text(out, &format!(",\"name\":\"{first} {last}\",\"email_address\":\""));
    append_words(7, random, out);
    out.push(b'@');
    append_words(5, random, out);
    let card = [(); 4].map(|()| format!("{:04}", random.below(10_000))).join(" ");
    let (city, state) = (random.of(&CITIES), random.of(&STATES));
    append_text(out, &format!(".com\",\"credit_card\":\"{card}\",\"city\":\"{city}\",\"state\":\"{state}\""));
}

/// A fixed table: known a second before the first event.
fn append_side_input(row: u64, out: &mut Vec<u8>) {
    let id = row % SIDE_INPUT_ROWS;
    append_field(out, "{\"id\":", id);
    append_field(out, ",\"value\":\"side ", id);
    append_field(out, "\",\"date_time\":", BASE_MS - 1000);
    out.push(b'}');
}

/// Where a bid was made: on one of a few sites, or on one of many, whose URL mostly says which.
fn append_channel(random: &mut Random, out: &mut Vec<u8>) {
    let channel = random.below(CHANNELS);
    let hot = random.is_hot(2).then(|| channel % CHANNELS_HOT.len() as u64);
    match hot {
        Some(hot) => append_text(out, &format!(",\"channel\":\"{}\"", CHANNELS_HOT[hot as usize])),
        None => append_text(out, &format!(",\"channel\":\"channel-{channel}\"")),
    }
    // A channel has one URL, whoever asks.
    let path = &mut Random(hash(hot.unwrap_or(channel + CHANNELS)));
    out.extend_from_slice(b",\"url\":\"https://www.nexmark.com/");
    for end in ["/", "/", "/item.htm?query=1"] {
        append_word(5, b'_', path, out);
        append_text(out, end);
    }
    if hot.is_none() && random.below(10) > 0 {
        append_field(out, "&channel_id=", hash(channel) >> 33);
    }
    out.push(b'"');
}

/// The newest person when an event happens, counted from 0; a person event's own.
fn last_person(event: u64) -> u64 {
    event / ROUND
}

/// The same of auctions; before the first there is that one, too.
fn last_auction(event: u64) -> u64 {
    let (round, within) = (event / ROUND, event % ROUND);
    match within.checked_sub(PERSONS) {
        None => (round * AUCTIONS).saturating_sub(1),
        Some(nth) => round * AUCTIONS + nth.min(AUCTIONS - 1),
    }
}

fn any_person(event: u64, random: &mut Random) -> u64 {
    let people = last_person(event) + 1;
    let active = people.min(PEOPLE_ACTIVE);
    people - active + random.below(active + LEAD)
}

fn any_auction(event: u64, random: &mut Random) -> u64 {
    let last = last_auction(event);
    let first = last.saturating_sub(AUCTIONS_IN_FLIGHT);
    first + random.below(last - first + 1 + LEAD)
}

/// Prices from 100 to 100,000,000, as many between 100 and 1,000 as between 1,000,000 and 10,000,000.
///
/// 10^(6x) for x below 1, by the bits of x: products and square roots have one result on every machine,
/// which powers do not.
struct Prices {
    /// For each of the three bytes of x, for each of its values.
    factors: [[f64; 256]; 3],
}

impl Prices {
    fn new() -> Prices {
        let mut factors = [[1.0; 256]; 3];
        let mut factor = 1e6_f64;
        for byte in &mut factors {
            for bit in (0..8).rev() {
                factor = factor.sqrt();
                (0..256).filter(|value| value >> bit & 1 == 1).for_each(|value| byte[value] *= factor);
            }
        }
        Prices { factors }
    }

    fn one(&self, random: &mut Random) -> u64 {
        let x = random.next();
        let byte = |n: usize| self.factors[n][(x >> (8 * n)) as usize & 0xff];
        (byte(0) * byte(1) * byte(2) * 100.0).round() as u64
    }
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        hash(self.0)
    }

    /// From 0 to `end`, which is not included.
    fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }

    /// True but for one of so many times.
    fn is_hot(&mut self, ratio: u64) -> bool {
        self.below(ratio) > 0
    }

    fn of<'t>(&mut self, texts: &[&'t str]) -> &'t str {
        texts[self.below(texts.len() as u64) as usize]
    }

    fn letter(&mut self) -> u8 {
        b'a' + self.below(26) as u8
    }
}

/// Three letters or more, with blanks here and there.
fn append_words(most: u64, random: &mut Random, out: &mut Vec<u8>) {
    append_word(most, b' ', random, out);
}

fn append_word(most: u64, special: u8, random: &mut Random, out: &mut Vec<u8>) {
    let length = 3 + random.below(most - 3);
    let ends = |i| i == 0 || i + 1 == length;
    for i in 0..length {
        let is_special = random.below(13) == 0 && !ends(i);
        out.push(if is_special { special } else { random.letter() });
    }
}

fn append_text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

fn append_field(out: &mut Vec<u8>, before: &str, number: u64) {
    append_text(out, before);
    append_number(number, out);
}

fn append_number(number: u64, out: &mut Vec<u8>) {
    // A Vec takes all that is written to it.
    let _ = write!(out, "{number}");
}

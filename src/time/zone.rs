//! Time zones as tables of transitions, with the interval that was used last remembered.
//!
//! The data are `chrono-tz`'s; asking it for every row costs 38 ns, a remembered interval about one.
//! A table is made once a process and zone, by bisection.

use super::civil::{DAY_MS, SECOND_MS, days_from_civil};
use chrono::{DateTime, Offset, TimeZone};
use chrono_tz::{OffsetName, Tz};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};

/// A zone, with a memory of where the last conversions fell.
#[derive(Clone, Debug)]
pub struct Zone {
    table: Arc<Table>,
    utc: Span,
    local: Span,
}

/// Milliseconds in `from..until` have one offset.
#[derive(Clone, Copy, Debug)]
struct Span {
    from: i64,
    until: i64,
    offset: i64,
}

const UNKNOWN: Span = Span { from: 0, until: 0, offset: 0 };

#[derive(Debug)]
struct Table {
    name: String,
    /// `None` for a fixed offset.
    tz: Option<Tz>,
    /// Instants from which the next offset holds.
    instants: Vec<i64>,
    /// Local times from which the next offset is used; see [`Table::new`].
    locals: Vec<i64>,
    /// Milliseconds to add to UTC; one more than there are transitions.
    offsets: Vec<i64>,
}

impl Zone {
    pub fn utc() -> Zone {
        Zone::fixed("Z".into(), 0)
    }

    /// `Europe/London`, `UTC`, `Z`, `+01:00`, `GMT+1`.
    pub fn parse(text: &str) -> Result<Zone, String> {
        let unknown = || format!("unknown zone '{text}'; hint: a name such as 'Europe/London', or '+01:00'");
        if let Some(seconds) = parse_offset(text) {
            return Ok(Zone::fixed(offset_id(seconds), seconds));
        }
        for prefix in ["UTC", "GMT", "UT"] {
            match text.strip_prefix(prefix) {
                Some("") => return Ok(Zone::fixed(prefix.into(), 0)),
                Some(rest) if rest.starts_with(['+', '-']) => {
                    let seconds = parse_offset(rest).ok_or_else(unknown)?;
                    let id = if seconds == 0 { String::new() } else { offset_id(seconds) };
                    return Ok(Zone::fixed(format!("{prefix}{id}"), seconds));
                }
                _ => {}
            }
        }
        let tz: Tz = text.parse().map_err(|_| unknown())?;
        Ok(Zone::of(Table::shared(tz)))
    }

    pub fn name(&self) -> &str {
        &self.table.name
    }

    fn fixed(name: String, seconds: i64) -> Zone {
        let offsets = vec![seconds * SECOND_MS];
        Zone::of(Arc::new(Table { name, tz: None, instants: vec![], locals: vec![], offsets }))
    }

    fn of(table: Arc<Table>) -> Zone {
        Zone { table, utc: UNKNOWN, local: UNKNOWN }
    }

    /// Milliseconds to add to this instant to get the local time.
    #[inline]
    pub fn offset_at(&mut self, utc_ms: i64) -> i64 {
        if utc_ms < self.utc.from || utc_ms >= self.utc.until {
            self.utc = span(&self.table.instants, &self.table.offsets, utc_ms);
        }
        self.utc.offset
    }

    #[inline]
    pub fn to_local(&mut self, utc_ms: i64) -> i64 {
        utc_ms.saturating_add(self.offset_at(utc_ms))
    }

    /// The instant of a local time: the earlier one where it occurs twice; a local time that does not
    /// exist moves forward by the length of the gap.
    #[inline]
    pub fn to_utc(&mut self, local_ms: i64) -> i64 {
        if local_ms < self.local.from || local_ms >= self.local.until {
            self.local = span(&self.table.locals, &self.table.offsets, local_ms);
        }
        local_ms.saturating_sub(self.local.offset)
    }

    /// What people of the zone call the time then: `BST`, `GMT`.
    pub fn abbreviation(&self, utc_ms: i64) -> String {
        let named = self.table.tz.zip(DateTime::from_timestamp_millis(utc_ms)).and_then(|(tz, then)| {
            let offset = tz.offset_from_utc_datetime(&then.naive_utc());
            offset.abbreviation().filter(|a| a.starts_with(|c: char| c.is_alphabetic())).map(String::from)
        });
        named.unwrap_or_else(|| self.table.name.clone())
    }
}

fn span(bounds: &[i64], offsets: &[i64], at: i64) -> Span {
    let i = bounds.partition_point(|&bound| bound <= at);
    Span {
        from: if i == 0 { i64::MIN } else { bounds[i - 1] },
        until: bounds.get(i).copied().unwrap_or(i64::MAX),
        offset: offsets[i],
    }
}

impl Table {
    fn shared(tz: Tz) -> Arc<Table> {
        static TABLES: LazyLock<Mutex<HashMap<Tz, Arc<Table>>>> = LazyLock::new(Mutex::default);
        let mut tables = TABLES.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        Arc::clone(tables.entry(tz).or_insert_with(|| Arc::new(Table::new(tz))))
    }

    /// Walks the days of three centuries and bisects where the offset changes.
    ///
    /// Local times up to the greater of "transition by the old clock" and "by the new one" go with the
    /// old offset: in an overlap that is the earlier instant, and in a gap it moves forward by the gap.
    fn new(tz: Tz) -> Table {
        let (start, end) = (days_from_civil(1800, 1, 1), days_from_civil(2101, 1, 1));
        let mut at = start * DAY_MS;
        let mut table = Table {
            name: tz.name().into(),
            tz: Some(tz),
            instants: vec![],
            locals: vec![],
            offsets: vec![offset(tz, at)],
        };
        while at < end * DAY_MS {
            let (before, after) = (table.offsets[table.offsets.len() - 1], offset(tz, at + DAY_MS));
            if before != after {
                let instant = bisect(tz, at, at + DAY_MS);
                table.instants.push(instant);
                table.locals.push(instant + before.max(after));
                table.offsets.push(after);
            }
            at += DAY_MS;
        }
        table
    }
}

fn offset(tz: Tz, utc_ms: i64) -> i64 {
    let then = DateTime::from_timestamp_millis(utc_ms).unwrap_or_default().naive_utc();
    tz.offset_from_utc_datetime(&then).fix().local_minus_utc() as i64 * SECOND_MS
}

/// The first second with the offset of `after`.
fn bisect(tz: Tz, mut before: i64, mut after: i64) -> i64 {
    let new = offset(tz, after);
    while after - before > SECOND_MS {
        let middle = (before + after) / 2 / SECOND_MS * SECOND_MS;
        if offset(tz, middle) == new { after = middle } else { before = middle }
    }
    after
}

/// Seconds of `Z`, `+1`, `+01`, `+01:00`, `+0100`, `+01:00:00`, `+010000`; at most 18 hours.
pub fn parse_offset(text: &str) -> Option<i64> {
    if text == "Z" {
        return Some(0);
    }
    let (sign, rest) = match text.as_bytes().split_first()? {
        (b'+', rest) => (1, rest),
        (b'-', rest) => (-1, rest),
        _ => return None,
    };
    let digits: Vec<u8> = match rest {
        [h] => vec![b'0', *h],
        [h, h2, b':', m, m2] => vec![*h, *h2, *m, *m2],
        [h, h2, b':', m, m2, b':', s, s2] => vec![*h, *h2, *m, *m2, *s, *s2],
        rest if matches!(rest.len(), 2 | 4 | 6) => rest.to_vec(),
        _ => return None,
    };
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let part = |i: usize| {
        digits.get(2 * i..2 * i + 2).map_or(0, |d| (d[0] - b'0') as i64 * 10 + (d[1] - b'0') as i64)
    };
    let seconds = part(0) * 3_600 + part(1) * 60 + part(2);
    (part(1) < 60 && part(2) < 60 && seconds <= 18 * 3_600).then_some(sign * seconds)
}

fn offset_id(seconds: i64) -> String {
    if seconds == 0 {
        return "Z".into();
    }
    let (sign, total) = (if seconds < 0 { '-' } else { '+' }, seconds.abs());
    let (h, m, s) = (total / 3_600, total / 60 % 60, total % 60);
    if s == 0 { format!("{sign}{h:02}:{m:02}") } else { format!("{sign}{h:02}:{m:02}:{s:02}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{MappedLocalTime, NaiveDateTime};
    use proptest::prelude::*;

    const ZONES: [&str; 9] = [
        "Europe/London",
        "Europe/Dublin",
        "America/New_York",
        "America/Sao_Paulo",
        "Asia/Kathmandu",
        "Australia/Lord_Howe",
        "Africa/Casablanca",
        "Pacific/Apia",
        "UTC",
    ];

    #[test]
    fn zone_texts() {
        for (text, name) in [
            ("Europe/London", "Europe/London"),
            ("UTC", "UTC"),
            ("Z", "Z"),
            ("+01:00", "+01:00"),
            ("-0330", "-03:30"),
            ("+1", "+01:00"),
            ("GMT+1", "GMT+01:00"),
            ("UTC-05:30", "UTC-05:30"),
            ("GMT0", "GMT0"),
        ] {
            assert_eq!(Zone::parse(text).map(|z| z.name().to_string()).as_deref(), Ok(name));
        }
        for text in ["Europe/Leeds", "", "+19:00", "GMT+", "+01:60", "+é", "+01:0", "europe/london"] {
            assert!(Zone::parse(text).is_err(), "{text}");
        }
    }

    /// What `ZonedDateTime.of` does, by asking `chrono-tz` for one local time.
    fn oracle(tz: Tz, local: NaiveDateTime) -> i64 {
        match tz.from_local_datetime(&local) {
            MappedLocalTime::Single(then) => then.timestamp_millis(),
            MappedLocalTime::Ambiguous(earlier, _) => earlier.timestamp_millis(),
            MappedLocalTime::None => {
                let before = local - chrono::Duration::hours(25);
                let offset = tz.from_local_datetime(&before).earliest().expect("no two gaps in a day");
                local.and_utc().timestamp_millis() - offset.offset().fix().local_minus_utc() as i64 * 1_000
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]
        #[test]
        fn agrees_with_chrono_tz(zone in 0..ZONES.len(), seconds in -3_000_000_000i64..4_000_000_000) {
            let mut own = Zone::parse(ZONES[zone]).unwrap();
            let tz: Tz = ZONES[zone].parse().unwrap();
            let then = DateTime::from_timestamp(seconds, 0).unwrap().naive_utc();
            prop_assert_eq!(own.offset_at(seconds * 1_000), offset(tz, seconds * 1_000));
            prop_assert_eq!(own.to_utc(seconds * 1_000), oracle(tz, then));
            // Again, from the remembered interval.
            prop_assert_eq!(own.to_utc(seconds * 1_000), oracle(tz, then));
        }
    }

    #[test]
    fn agrees_around_every_transition() {
        for name in ZONES {
            let (mut own, tz): (Zone, Tz) = (Zone::parse(name).unwrap(), name.parse().unwrap());
            for instant in own.table.instants.clone().into_iter().filter(|&t| t > -2_000_000_000_000) {
                for minutes in (-150..150).map(|m| m * 60_000) {
                    let local = instant + own.offset_at(instant) + minutes;
                    let naive = DateTime::from_timestamp_millis(local).unwrap().naive_utc();
                    assert_eq!(own.to_utc(local), oracle(tz, naive), "{name} {naive}");
                }
            }
        }
    }
}

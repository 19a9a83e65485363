//! DATE, TIME and TIMESTAMP ↔ ISO 8601 text, for CAST, literals, JSON functions and formats alike.
//!
//! A text may stop after any field (`2020`, `2020-05-26`, `2020-05-26T10:30`). `T` or a blank stands
//! before the time; a zone offset (`Z`, `+01`, `+01:00`, `+0100`) may follow, and without one the text is
//! UTC. Nothing is trimmed here.

use super::civil::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, civil_from_days, days_from_civil, days_in_month};
use crate::number_text::write_padded;

/// Days since 1970-01-01.
pub fn parse_date(text: &[u8]) -> Option<i32> {
    let mut reader = Reader(text);
    let days = reader.date()?;
    reader.end(i32::try_from(days).ok()?)
}

/// Milliseconds since midnight.
pub fn parse_time(text: &[u8]) -> Option<i32> {
    let mut reader = Reader(text);
    let ms = reader.time()?;
    reader.end(ms as i32)
}

/// Milliseconds since 1970-01-01T00:00Z.
pub fn parse_timestamp(text: &[u8]) -> Option<i64> {
    let mut reader = Reader(text);
    let mut ms = reader.date()? * DAY_MS;
    if reader.eat(b'T') || reader.eat(b't') || reader.eat(b' ') {
        // A bare `T` may close a date.
        if reader.0.first().is_some_and(u8::is_ascii_digit) {
            ms += reader.time()?;
        }
    }
    ms -= reader.offset()?;
    reader.end(ms)
}

/// Reads from the front of ASCII text.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    #[inline]
    fn eat(&mut self, byte: u8) -> bool {
        match self.0 {
            [first, rest @ ..] if *first == byte => {
                self.0 = rest;
                true
            }
            _ => false,
        }
    }

    /// Two digits, up to `max`.
    #[inline]
    fn two(&mut self, max: i64) -> Option<i64> {
        let [tens, ones, rest @ ..] = self.0 else { return None };
        let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
        let value = (tens as i64) * 10 + ones as i64;
        self.0 = rest;
        (tens < 10 && ones < 10 && value <= max).then_some(value)
    }

    /// A number of `least` to `most` digits.
    fn digits(&mut self, least: usize, most: usize) -> Option<i64> {
        let count = self.0.iter().take(most).take_while(|b| b.is_ascii_digit()).count();
        if count < least {
            return None;
        }
        let value = self.0[..count].iter().fold(0, |v, b| v * 10 + (b - b'0') as i64);
        self.0 = &self.0[count..];
        Some(value)
    }

    /// Four digits, or a sign and four to six.
    fn year(&mut self) -> Option<i64> {
        let before_era = self.eat(b'-');
        if before_era || self.eat(b'+') {
            return Some(self.digits(4, 6)? * if before_era { -1 } else { 1 });
        }
        Some(self.two(99)? * 100 + self.two(99)?)
    }

    /// `yyyy[-MM[-dd]]` as days.
    fn date(&mut self) -> Option<i64> {
        let year = self.year()?;
        let (mut month, mut day) = (1, 1);
        if self.eat(b'-') {
            month = self.two(12).filter(|m| *m > 0)?;
            if self.eat(b'-') {
                day = self.two(31).filter(|d| *d > 0 && (*d <= 28 || *d <= days_in_month(year, month)))?;
            }
        }
        Some(days_from_civil(year, month, day))
    }

    /// `HH[:mm[:ss[.fraction]]]` as milliseconds.
    fn time(&mut self) -> Option<i64> {
        let mut ms = self.two(23)? * HOUR_MS;
        if self.eat(b':') {
            ms += self.two(59)? * MINUTE_MS;
            if self.eat(b':') {
                ms += self.two(59)? * SECOND_MS;
                if self.eat(b'.') || self.eat(b',') {
                    let rest = self.0.len();
                    let fraction = self.digits(1, 9)?;
                    let digits = (rest - self.0.len()) as u32;
                    ms += fraction * SECOND_MS / 10i64.pow(digits);
                }
            }
        }
        Some(ms)
    }

    /// `Z`, `±HH`, `±HH:mm` or `±HHmm` as milliseconds; nothing is UTC.
    fn offset(&mut self) -> Option<i64> {
        if self.0.is_empty() || self.eat(b'Z') || self.eat(b'z') {
            return Some(0);
        }
        let west = self.eat(b'-');
        if !west && !self.eat(b'+') {
            return None;
        }
        let hours = self.two(18)?;
        let minutes = if self.eat(b':') || !self.0.is_empty() { self.two(59)? } else { 0 };
        Some((hours * HOUR_MS + minutes * MINUTE_MS) * if west { -1 } else { 1 })
    }

    fn end<T>(&self, value: T) -> Option<T> {
        self.0.is_empty().then_some(value)
    }
}

/// `2020-05-26`; years above 9999 carry a sign.
pub fn write_date(days: i32, out: &mut String) {
    write_days(days as i64, out);
}

fn write_days(days: i64, out: &mut String) {
    let (year, month, day) = civil_from_days(days);
    match year {
        0..=9_999 => {}
        10_000.. => out.push('+'),
        _ => out.push('-'),
    }
    write_padded(year.unsigned_abs(), 4, out);
    for part in [month, day] {
        out.push('-');
        write_padded(part as u64, 2, out);
    }
}

/// `10:30`, `10:30:15`, `10:30:15.250`: as short as it goes, as Java's LocalTime prints itself.
pub fn write_time(ms: i32, out: &mut String) {
    // A TIME is within its day, whatever an array may hold.
    let ms = (ms as i64).rem_euclid(DAY_MS);
    let fields = match (ms % MINUTE_MS, ms % SECOND_MS) {
        (0, _) => 2,
        (_, 0) => 3,
        _ => 4,
    };
    write_clock(ms, fields, out);
}

/// `10:30:00`, `10:30:15.250`: as answers show it.
pub fn write_time_of_day(ms: i32, out: &mut String) {
    let ms = (ms as i64).rem_euclid(DAY_MS);
    write_clock(ms, if ms % SECOND_MS > 0 { 4 } else { 3 }, out);
}

/// `2020-05-26T10:30:00.000`, UTC.
pub fn write_timestamp(ms: i64, out: &mut String) {
    let (days, ms) = (ms.div_euclid(DAY_MS), ms.rem_euclid(DAY_MS));
    let (year, month, day) = civil_from_days(days);
    if !(0..=9_999).contains(&year) {
        write_days(days, out);
        out.push('T');
        write_clock(ms, 4, out);
        return;
    }
    // Nearly every timestamp has this one width.
    let mut text = *b"0000-00-00T00:00:00.000";
    let fields = [
        (0, 4, year),
        (5, 2, month),
        (8, 2, day),
        (11, 2, ms / HOUR_MS),
        (14, 2, ms / MINUTE_MS % 60),
        (17, 2, ms / SECOND_MS % 60),
        (20, 3, ms % SECOND_MS),
    ];
    for (at, width, mut value) in fields {
        for digit in text[at..at + width].iter_mut().rev() {
            *digit += (value % 10) as u8;
            value /= 10;
        }
    }
    // Digits are ASCII, so this never takes the empty text.
    out.push_str(std::str::from_utf8(&text).unwrap_or_default());
}

/// The first fields of hours, minutes, seconds and milliseconds.
fn write_clock(ms: i64, fields: usize, out: &mut String) {
    let parts = [(ms / HOUR_MS, 2), (ms / MINUTE_MS % 60, 2), (ms / SECOND_MS % 60, 2), (ms % SECOND_MS, 3)];
    for (i, (value, width)) in parts.into_iter().take(fields).enumerate() {
        out.push_str(["", ":", ":", "."][i]);
        write_padded(value as u64, width, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn timestamps_read_as_far_as_they_are_written() {
        for (text, want) in [
            ("1970-01-01", Some(0)),
            ("2020", Some(1_577_836_800_000)),
            ("2020-01", Some(1_577_836_800_000)),
            ("2020-01-01T", Some(1_577_836_800_000)),
            ("2020-01-01T00:00:00", Some(1_577_836_800_000)),
            ("2020-01-01 01:00:00+01:00", Some(1_577_836_800_000)),
            ("2020-01-01T00:00:00.1239Z", Some(1_577_836_800_123)),
            ("2019-12-31T19:00-0500", Some(1_577_836_800_000)),
            ("2020-02-30", None),
            ("2020-13", None),
            (" 2020-01-01", None),
            ("2021-02-29", None),
            ("20-10-11", None),
            ("2020-2-05", None),
            ("2020-+2-05", None),
            ("2020-01-01T24:00", None),
            ("2020-01-01T9:55", None),
            ("2020-01-01T09:55:", None),
            ("2020-01-01T09:55:30.", None),
            ("2020-01-01T09:55.5", None),
            ("2020-01-01T00:00+1", None),
            ("2020-01-01T00:00+01:", None),
            ("2020-01-01X", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(parse_timestamp(text.as_bytes()), want, "{text}");
        }
    }

    #[test]
    fn every_day_comes_back() {
        for days in (-800_000..800_000).step_by(17) {
            let mut text = String::new();
            write_date(days, &mut text);
            assert_eq!(parse_date(text.as_bytes()), Some(days), "{text}");
            let days = days as i64;
            let ms = days * DAY_MS + (days * 977).rem_euclid(DAY_MS);
            text.clear();
            write_timestamp(ms, &mut text);
            assert_eq!(parse_timestamp(text.as_bytes()), Some(ms), "{text}");
        }
    }

    #[test]
    fn times_print_short() {
        for (ms, text) in [(37_800_000, "10:30"), (37_815_000, "10:30:15"), (37_815_250, "10:30:15.250")] {
            let mut out = String::new();
            write_time(ms, &mut out);
            assert_eq!(out, text);
            assert_eq!(parse_time(text.as_bytes()), Some(ms));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(text in "[0-9+:. TZ-]{0,32}") {
            let text = text.as_bytes();
            let _ = (parse_timestamp(text), parse_date(text), parse_time(text));
        }
    }
}

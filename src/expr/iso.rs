//! DATE, TIME and TIMESTAMP ↔ ISO 8601 text, as CAST and comparisons with literals read and write it.
//!
//! A timestamp may stop after any field (`2020`, `2020-05-26`, `2020-05-26T10:30`), may carry a zone
//! offset (`Z`, `+01:00`), and is UTC without one. `T` or a space stands before the time.

use super::number_text::write_padded;

pub const DAY_MS: i64 = 86_400_000;

/// Days since 1970-01-01 of a date in the proleptic Gregorian calendar.
pub fn days_from_date(year: i64, month: u32, day: u32) -> i64 {
    // Years are counted from March, so that the leap day comes last.
    let year = year - (month <= 2) as i64;
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month as i64 + 9) % 12) + 2) / 5 + day as i64 - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// Year, month and day of a day count.
pub fn date_from_days(days: i64) -> (i64, u32, u32) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day = days.rem_euclid(146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    (era * 400 + year + (month <= 2) as i64, month as u32, day as u32)
}

fn days_in_month(year: i64, month: u32) -> u32 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Reads from the front of ASCII text.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn eat(&mut self, byte: u8) -> bool {
        let found = self.0.first() == Some(&byte);
        if found {
            self.0 = &self.0[1..];
        }
        found
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

    fn two(&mut self, max: i64) -> Option<i64> {
        self.digits(2, 2).filter(|v| *v <= max)
    }

    /// `yyyy[-MM[-dd]]` as days.
    fn date(&mut self) -> Option<i64> {
        let before_era = self.eat(b'-');
        let signed = before_era || self.eat(b'+');
        let year = self.digits(4, if signed { 6 } else { 4 })? * if before_era { -1 } else { 1 };
        let (mut month, mut day) = (1, 1);
        if self.eat(b'-') {
            month = self.two(12).filter(|m| *m > 0)? as u32;
            if self.eat(b'-') {
                day = self.two(days_in_month(year, month) as i64).filter(|d| *d > 0)? as u32;
            }
        }
        Some(days_from_date(year, month, day))
    }

    /// `HH[:mm[:ss[.fraction]]]` as milliseconds.
    fn time(&mut self) -> Option<i64> {
        let mut ms = self.two(23)? * 3_600_000;
        if self.eat(b':') {
            ms += self.two(59)? * 60_000;
            if self.eat(b':') {
                ms += self.two(59)? * 1_000;
                if self.eat(b'.') || self.eat(b',') {
                    let rest = self.0.len();
                    let fraction = self.digits(1, 9)?;
                    let digits = (rest - self.0.len()) as u32;
                    ms += fraction * 1_000 / 10i64.pow(digits);
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
        self.eat(b':');
        let minutes = if self.0.is_empty() { 0 } else { self.two(59)? };
        Some((hours * 60 + minutes) * if west { -60_000 } else { 60_000 })
    }

    fn end<T>(&self, value: T) -> Option<T> {
        self.0.is_empty().then_some(value)
    }
}

/// Days since 1970-01-01.
pub fn parse_date(text: &str) -> Option<i32> {
    let mut reader = Reader(text.trim().as_bytes());
    let days = reader.date()?;
    reader.end(i32::try_from(days).ok()?)
}

/// Milliseconds since midnight.
pub fn parse_time(text: &str) -> Option<i32> {
    let mut reader = Reader(text.trim().as_bytes());
    let ms = reader.time()?;
    reader.end(ms as i32)
}

/// Milliseconds since 1970-01-01T00:00Z.
pub fn parse_timestamp(text: &str) -> Option<i64> {
    let mut reader = Reader(text.trim().as_bytes());
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

/// `2020-05-26`; years above 9999 carry a sign.
pub fn write_date(days: i64, out: &mut String) {
    let (year, month, day) = date_from_days(days);
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
    let fields = if ms % 1_000 > 0 {
        4
    } else if ms % 60_000 > 0 {
        3
    } else {
        2
    };
    write_clock(ms, fields, out);
}

/// `2020-05-26T10:30:00.000`, UTC.
pub fn write_timestamp(ms: i64, out: &mut String) {
    let (days, ms) = (ms.div_euclid(DAY_MS), ms.rem_euclid(DAY_MS));
    let (year, month, day) = date_from_days(days);
    if !(0..=9_999).contains(&year) {
        write_date(days, out);
        out.push('T');
        write_clock(ms, 4, out);
        return;
    }
    // Nearly every timestamp has this one width.
    let mut text = *b"0000-00-00T00:00:00.000";
    let fields = [
        (0, 4, year),
        (5, 2, month as i64),
        (8, 2, day as i64),
        (11, 2, ms / 3_600_000),
        (14, 2, ms / 60_000 % 60),
        (17, 2, ms / 1_000 % 60),
        (20, 3, ms % 1_000),
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
    let parts = [(ms / 3_600_000, 2), (ms / 60_000 % 60, 2), (ms / 1_000 % 60, 2), (ms % 1_000, 3)];
    for (i, (value, width)) in parts.into_iter().take(fields).enumerate() {
        out.push_str(["", ":", ":", "."][i]);
        write_padded(value as u64, width, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            ("2020-01-01T24:00", None),
            ("2020-01-01X", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(parse_timestamp(text), want, "{text}");
        }
    }

    #[test]
    fn every_day_comes_back() {
        for days in (-800_000..800_000).step_by(17) {
            let (year, month, day) = date_from_days(days);
            assert_eq!(days_from_date(year, month, day), days);
            let mut text = String::new();
            write_date(days, &mut text);
            assert_eq!(parse_date(&text), Some(days as i32), "{text}");
            let ms = days * DAY_MS + (days * 977).rem_euclid(DAY_MS);
            text.clear();
            write_timestamp(ms, &mut text);
            assert_eq!(parse_timestamp(&text), Some(ms), "{text}");
        }
    }

    #[test]
    fn times_print_short() {
        for (ms, text) in [(37_800_000, "10:30"), (37_815_000, "10:30:15"), (37_815_250, "10:30:15.250")] {
            let mut out = String::new();
            write_time(ms, &mut out);
            assert_eq!(out, text);
            assert_eq!(parse_time(text), Some(ms));
        }
    }
}

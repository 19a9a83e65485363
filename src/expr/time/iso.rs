//! Dates and times as ISO 8601 text: what CAST reads and writes.

use super::civil::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, civil_from_days, days_from_civil, days_in_month};
use super::zone::parse_offset;
use std::fmt::Write;

/// `2020`, `2020-10`, `2020-10-11`, `2020-10-11T22:25[:00[.123]][Z|+01:00]`; a blank may stand for `T`.
/// Milliseconds; without an offset the text is UTC.
pub fn parse_iso_timestamp(text: &str) -> Option<i64> {
    let text = text.trim();
    let Some((date, rest)) = text.split_once(['T', 't', ' ']) else {
        return Some(parse_iso_date(text)? as i64 * DAY_MS);
    };
    let (time, offset_s) = match rest.find(['Z', 'z', '+', '-']) {
        Some(at) if rest[at..].eq_ignore_ascii_case("z") => (&rest[..at], 0),
        Some(at) => (&rest[..at], parse_offset(&rest[at..])?),
        None => (rest, 0),
    };
    let days = parse_iso_date(date)? as i64;
    Some(days * DAY_MS + parse_time(time)? - offset_s * SECOND_MS)
}

/// `2020`, `2020-10`, `2020-10-11`: days since 1970-01-01.
pub fn parse_iso_date(text: &str) -> Option<i32> {
    let text = text.trim();
    let (before_christ, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let mut parts = text.split('-');
    let year = number(parts.next()?, 4, 6)?;
    let month = parts.next().map_or(Some(1), |part| number(part, 2, 2))?;
    let day = parts.next().map_or(Some(1), |part| number(part, 2, 2))?;
    let year = if before_christ { -year } else { year };
    let valid = parts.next().is_none()
        && (1..=12).contains(&month)
        && (1..=days_in_month(year, month)).contains(&day);
    valid.then(|| days_from_civil(year, month, day) as i32)
}

/// `22:25`, `22:25:00`, `22:25:00.123`: milliseconds since midnight.
pub fn parse_iso_time(text: &str) -> Option<i32> {
    let text = text.trim();
    if !text.contains(':') {
        return None;
    }
    parse_time(text).map(|ms| ms as i32)
}

fn parse_time(text: &str) -> Option<i64> {
    let (clock, fraction) = text.split_once('.').map_or((text, None), |(clock, rest)| (clock, Some(rest)));
    let mut parts = clock.split(':');
    let hour = number(parts.next()?, 2, 2)?;
    let minute = parts.next().map_or(Some(0), |part| number(part, 2, 2))?;
    let seconds = parts.next();
    let second = seconds.map_or(Some(0), |part| number(part, 2, 2))?;
    let millis = match fraction {
        None => 0,
        Some(digits) => number(digits, 1, 9)? * 1_000 / 10i64.pow(digits.len() as u32),
    };
    let valid = parts.next().is_none()
        && (fraction.is_none() || seconds.is_some())
        && hour < 24
        && minute < 60
        && second < 60;
    valid.then_some(hour * HOUR_MS + minute * MINUTE_MS + second * SECOND_MS + millis)
}

fn number(text: &str, least: usize, most: usize) -> Option<i64> {
    let fits = (least..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if fits { text.parse().ok() } else { None }
}

/// Appends `2020-10-11T22:25:00.000`.
pub fn format_iso_timestamp(ms: i64, out: &mut String) {
    let days = ms.div_euclid(DAY_MS);
    let of_day = ms.rem_euclid(DAY_MS);
    format_days(days, out);
    // Writing to a String cannot fail, here and below.
    let _ = write!(
        out,
        "T{:02}:{:02}:{:02}.{:03}",
        of_day / HOUR_MS,
        of_day / MINUTE_MS % 60,
        of_day / SECOND_MS % 60,
        of_day % SECOND_MS
    );
}

/// Appends `2020-10-11`.
pub fn format_iso_date(days: i32, out: &mut String) {
    format_days(days as i64, out);
}

fn format_days(days: i64, out: &mut String) {
    let (year, month, day) = civil_from_days(days);
    let sign = if year < 0 { "-" } else { "" };
    let _ = write!(out, "{sign}{:04}-{month:02}-{day:02}", year.abs());
}

/// Appends `22:25`, with seconds and milliseconds where they are not zero.
pub fn format_iso_time(of_day_ms: i32, out: &mut String) {
    let ms = of_day_ms as i64;
    let _ = write!(out, "{:02}:{:02}", ms / HOUR_MS, ms / MINUTE_MS % 60);
    if ms % MINUTE_MS != 0 {
        let _ = write!(out, ":{:02}", ms / SECOND_MS % 60);
    }
    if ms % SECOND_MS != 0 {
        let _ = write!(out, ".{:03}", ms % SECOND_MS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        for (text, ms) in [
            ("2020", Some(1_577_836_800_000)),
            ("2020-10", Some(1_601_510_400_000)),
            ("2020-10-11", Some(1_602_374_400_000)),
            ("2020-10-11T22:25", Some(1_602_455_100_000)),
            (" 2020-10-11 22:25:00.5 ", Some(1_602_455_100_500)),
            ("2020-10-11T22:25+01:00", Some(1_602_451_500_000)),
            ("2020-10-11T22:25:00Z", Some(1_602_455_100_000)),
            ("2020-13-11", None),
            ("2021-02-29", None),
            ("20-10-11", None),
            ("2020-10-11T", None),
            ("2020-10-11T22:25.5", None),
            ("", None),
        ] {
            assert_eq!(parse_iso_timestamp(text), ms, "{text}");
        }
        assert_eq!(parse_iso_time("22:25:00.120"), Some(80_700_120));
        assert_eq!(parse_iso_time("22"), None);
        assert_eq!(parse_iso_time("24:00"), None);
    }

    #[test]
    fn written_texts() {
        let text = |write: &dyn Fn(&mut String)| {
            let mut out = String::new();
            write(&mut out);
            out
        };
        assert_eq!(text(&|out| format_iso_timestamp(1_602_455_100_500, out)), "2020-10-11T22:25:00.500");
        assert_eq!(text(&|out| format_iso_timestamp(-1, out)), "1969-12-31T23:59:59.999");
        assert_eq!(text(&|out| format_iso_date(18_546, out)), "2020-10-11");
        assert_eq!(text(&|out| format_iso_time(80_700_000, out)), "22:25");
        assert_eq!(text(&|out| format_iso_time(80_700_120, out)), "22:25:00.120");
    }
}

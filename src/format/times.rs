//! Text ↔ DATE, TIME and TIMESTAMP: ISO forms, or the plain number that carries them.
//!
//! A TIMESTAMP text without a zone is UTC. Patterns of `java.time` are a matter of functions, not of formats.

use super::field::Field;
use super::numbers;
use chrono::{DateTime, Datelike, NaiveDate};
use std::fmt::Write;

const DAY_MS: i64 = 86_400_000;
/// Days from the first day of our era to 1970-01-01.
const EPOCH_DAYS: i32 = 719_163;

/// `2018-02-05`, or days since 1970-01-01.
pub fn date(text: &[u8]) -> Option<i32> {
    iso_date(text).or_else(|| numbers::int(text.into()))
}

/// `09:55`, `09:55:30`, `09:55:30.125`, or milliseconds since midnight.
pub fn time(text: &[u8]) -> Option<i32> {
    iso_time(text).or_else(|| numbers::int(text.into()).filter(|ms| is_time(*ms)))
}

/// Whether milliseconds since midnight are a time of the day.
pub fn is_time(ms: i32) -> bool {
    (0..DAY_MS as i32).contains(&ms)
}

/// `2018-02-05T09:55:30.125+01:00`, shorter from the end, or milliseconds since 1970-01-01T00:00Z.
pub fn timestamp(text: &[u8]) -> Option<i64> {
    iso_timestamp(text).or_else(|| numbers::bigint(text.into()))
}

fn number(digits: &[u8]) -> Option<u32> {
    let unsigned = digits.first()?.is_ascii_digit();
    numbers::int(Field::from(digits)).filter(|_| unsigned).map(|n| n as u32)
}

fn iso_date(text: &[u8]) -> Option<i32> {
    let &[ref year @ .., b'-', m1, m2, b'-', d1, d2] = text else { return None };
    if year.len() != 4 {
        return None;
    }
    let date = NaiveDate::from_ymd_opt(number(year)? as i32, number(&[m1, m2])?, number(&[d1, d2])?)?;
    Some(date.num_days_from_ce() - EPOCH_DAYS)
}

fn iso_time(text: &[u8]) -> Option<i32> {
    let (clock, rest) = text.split_at_checked(5)?;
    let &[h1, h2, b':', m1, m2] = clock else { return None };
    let (hours, minutes) = (number(&[h1, h2])?, number(&[m1, m2])?);
    let (seconds, fraction_ms) = match rest {
        [] => (0, 0),
        &[b':', s1, s2] => (number(&[s1, s2])?, 0),
        &[b':', s1, s2, b'.', ref fraction @ ..] => (number(&[s1, s2])?, milliseconds(fraction)?),
        _ => return None,
    };
    if hours > 23 || minutes > 59 || seconds > 59 {
        return None;
    }
    Some((((hours * 60 + minutes) * 60 + seconds) * 1000 + fraction_ms) as i32)
}

/// The first three of one to nine digits behind the point of a second.
fn milliseconds(fraction: &[u8]) -> Option<u32> {
    if fraction.len() > 9 {
        return None;
    }
    number(fraction)?;
    Some((0..3).fold(0, |ms, i| ms * 10 + fraction.get(i).map_or(0, |d| u32::from(d - b'0'))))
}

fn iso_timestamp(text: &[u8]) -> Option<i64> {
    let (day, rest) = text.split_at_checked(10)?;
    let midnight = i64::from(iso_date(day)?) * DAY_MS;
    match rest {
        [] => Some(midnight),
        [b'T' | b' ', clock @ ..] => {
            let (clock, offset_ms) = zone(clock)?;
            Some(midnight + i64::from(iso_time(clock)?) - offset_ms)
        }
        _ => None,
    }
}

/// Splits `Z`, `+01`, `+0100` or `+01:00` off the end of a time.
fn zone(text: &[u8]) -> Option<(&[u8], i64)> {
    if let [clock @ .., b'Z'] = text {
        return Some((clock, 0));
    }
    let Some(sign) = text.iter().position(|b| matches!(b, b'+' | b'-')) else { return Some((text, 0)) };
    let (hours, minutes) = match &text[sign + 1..] {
        &[h1, h2] => (number(&[h1, h2])?, 0),
        &[h1, h2, m1, m2] | &[h1, h2, b':', m1, m2] => (number(&[h1, h2])?, number(&[m1, m2])?),
        _ => return None,
    };
    if hours > 18 || minutes > 59 {
        return None;
    }
    let offset_ms = i64::from(hours * 60 + minutes) * 60_000;
    Some((&text[..sign], if text[sign] == b'-' { -offset_ms } else { offset_ms }))
}

/// `2018-02-05`; days that no calendar date stands for are written as the number.
pub fn push_date(out: &mut String, days: i32) {
    let date = days.checked_add(EPOCH_DAYS).and_then(NaiveDate::from_num_days_from_ce_opt);
    let _ = match date {
        Some(date) => write!(out, "{date}"),
        None => write!(out, "{days}"),
    };
}

/// `09:55:30`, with milliseconds where there are any.
pub fn push_time(out: &mut String, ms: i32) {
    let (seconds, fraction) = (ms.div_euclid(1000), ms.rem_euclid(1000));
    let _ = write!(out, "{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    if fraction > 0 {
        let _ = write!(out, ".{fraction:03}");
    }
}

/// `2018-02-05T09:55:30.125` in UTC; beyond the calendar the number.
pub fn push_timestamp(out: &mut String, ms: i64) {
    let _ = match DateTime::from_timestamp_millis(ms) {
        Some(time) => write!(out, "{}", time.format("%Y-%m-%dT%H:%M:%S%.3f")),
        None => write!(out, "{ms}"),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_numbers() {
        let dates = [
            ("1970-01-02", Some(1)),
            ("2018-02-05", Some(17567)),
            ("17567", Some(17567)),
            ("-1", Some(-1)),
            ("2018-2-5", None),
            ("2018-02-30", None),
            ("2018-+2-05", None),
            ("", None),
        ];
        for (text, expected) in dates {
            assert_eq!(date(text.as_bytes()), expected, "{text}");
        }
        let times = [
            ("00:01", Some(60_000)),
            ("23:59:59.9", Some(86_399_900)),
            ("09:55:30.125999", Some(35_730_125)),
            ("35730125", Some(35_730_125)),
            ("86400000", None),
            ("24:00", None),
            ("9:55", None),
            ("09:55:", None),
            ("09:55:30.", None),
        ];
        for (text, expected) in times {
            assert_eq!(time(text.as_bytes()), expected, "{text}");
        }
        let timestamps = [
            ("1970-01-01", Some(0)),
            ("1970-01-01T00:00:01.5Z", Some(1500)),
            ("1970-01-01 01:00+01:00", Some(0)),
            ("1970-01-01T01:00-0130", Some(9_000_000)),
            ("1602451500000", Some(1602451500000)),
            ("1970-01-01T", None),
            ("1970-01-01T00:00+1", None),
            ("1970-01-01x00:00", None),
        ];
        for (text, expected) in timestamps {
            assert_eq!(timestamp(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        let mut text = String::new();
        push_timestamp(&mut text, 1602451500125);
        assert_eq!(text, "2020-10-11T21:25:00.125");
        assert_eq!(timestamp(text.as_bytes()), Some(1602451500125));
        text.clear();
        push_time(&mut text, 35_730_125);
        assert_eq!((text.as_str(), time(text.as_bytes())), ("09:55:30.125", Some(35_730_125)));
        text.clear();
        push_date(&mut text, 17567);
        assert_eq!((text.as_str(), date(text.as_bytes())), ("2018-02-05", Some(17567)));
        push_date(&mut text, i32::MAX);
        push_timestamp(&mut text, i64::MIN);
    }
}

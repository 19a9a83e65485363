//! DATE, TIME and TIMESTAMP as messages carry them in text: a plain number, or ISO text.
//!
//! Digits alone are always the number, never a year or an hour.

use super::numbers;
use crate::time::civil::DAY_MS;
use crate::time::iso;

/// Days since 1970-01-01, or `2018-02-05`.
pub fn date(text: &[u8]) -> Option<i32> {
    numbers::int(text.into()).or_else(|| iso::parse_date(text))
}

/// Milliseconds since midnight, or `09:55:30.125`.
pub fn time(text: &[u8]) -> Option<i32> {
    match numbers::int(text.into()) {
        Some(ms) => Some(ms).filter(|ms| is_time(*ms)),
        None => iso::parse_time(text),
    }
}

/// Whether milliseconds since midnight are a time of the day.
pub fn is_time(ms: i32) -> bool {
    (0..DAY_MS as i32).contains(&ms)
}

/// Milliseconds since 1970-01-01T00:00Z, or `2018-02-05T09:55:30.125+01:00`.
pub fn timestamp(text: &[u8]) -> Option<i64> {
    numbers::bigint(text.into()).or_else(|| iso::parse_timestamp(text))
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
            ("2018", Some(2018)),
            ("2018-02", Some(17563)),
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
            ("09", Some(9)),
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
            ("1970-01-01T", Some(0)),
            ("1970-01-01T00:00+1", None),
            ("1970-01-01x00:00", None),
        ];
        for (text, expected) in timestamps {
            assert_eq!(timestamp(text.as_bytes()), expected, "{text}");
        }
    }
}

//! Patterns against a table of cases, and against themselves.

use super::*;
use proptest::prelude::*;

fn parse(pattern: &str, zone: &str, text: &str) -> Result<i64, String> {
    let pattern = Pattern::compile(pattern)?;
    let mut zone = Zone::parse(zone)?;
    pattern.parse_timestamp(text.as_bytes(), &mut zone).map_err(|failure| failure.to_string())
}

fn format(pattern: &str, zone: &str, ms: i64) -> Result<String, String> {
    let mut out = String::new();
    Pattern::compile(pattern)?.format_timestamp(ms, &mut Zone::parse(zone)?, &mut out);
    Ok(out)
}

#[test]
fn texts_that_match() {
    for (pattern, zone, text, ms) in [
        ("yyyy-MM-dd HH:mm", "Europe/London", "2020-10-11 22:25", 1_602_451_500_000),
        ("yyyy-MM-dd'T'HH:mm:ss", "Europe/London", "2020-10-11T22:25:00", 1_602_451_500_000),
        // Twice: the earlier. Never: forward by the hour.
        ("yyyy-MM-dd HH:mm", "Europe/London", "2020-10-25 01:30", 1_603_585_800_000),
        ("yyyy-MM-dd HH:mm", "Europe/London", "2021-03-28 01:30", 1_616_895_000_000),
        ("yyyy-MM-dd't'HH:mm", "UTC", "1970-01-01T00:00", 0),
        ("yyyyMMdd", "UTC", "20201011", 1_602_374_400_000),
        ("yyyyMMddHHmmssSSS", "UTC", "20201011222500123", 1_602_455_100_123),
        ("d/M/yyyy H:m", "UTC", "11/10/2020 22:25", 1_602_455_100_000),
        ("d/M/yy", "UTC", "1/2/20", 1_580_515_200_000),
        ("d MMM yyyy", "UTC", "11 oct 2020", 1_602_374_400_000),
        ("EEEE, d MMMM yyyy h:mm a", "UTC", "Sunday, 11 October 2020 10:25 PM", 1_602_455_100_000),
        ("EEE MMM dd HH:mm:ss zzz yyyy", "UTC", "Sun Oct 11 22:25:00 BST 2020", 1_602_451_500_000),
        ("yyyy-DDD", "UTC", "2020-285", 1_602_374_400_000),
        ("yyyy-MM-dd'T'HH:mm[:ss][.SSS]X", "UTC", "2020-10-11T22:25+01", 1_602_451_500_000),
        ("yyyy-MM-dd'T'HH:mm[:ss][.SSS]X", "UTC", "2020-10-11T22:25:00.120Z", 1_602_455_100_120),
        ("yyyy-MM-dd HH:mm VV", "UTC", "2020-10-11 22:25 Europe/London", 1_602_451_500_000),
        ("yyyy-MM-dd HH:mm xxx", "UTC", "2020-10-11 22:25 +01:00", 1_602_451_500_000),
        ("yyyy-MM-dd HH:mm Z", "UTC", "2020-10-11 22:25 +0100", 1_602_451_500_000),
        ("yyyy-MM-dd HH:mm O", "UTC", "2020-10-11 22:25 GMT+1", 1_602_451_500_000),
        ("yyyy-MM-dd", "UTC", "2021-02-31", 1_614_470_400_000),
        ("yyyy-MM-dd HH:mm", "UTC", "2020-10-10 24:00", 1_602_374_400_000),
        ("HH:mm:ss.SSS", "UTC", "22:25:00.001", 80_700_001),
        ("H 'o''clock'", "UTC", "9 o'clock", 32_400_000),
        ("h a", "UTC", "12 AM", 0),
        ("k", "UTC", "24", 0),
        ("K a", "UTC", "0 pm", 43_200_000),
        ("uuuu G", "UTC", "1970 AD", 0),
        ("yyyy G", "UTC", "0001 BC", -62_167_219_200_000),
        ("yyyy-MM-dd QQQ", "UTC", "2020-10-11 Q4", 1_602_374_400_000),
        ("+yyyy", "UTC", "+1970", 0),
        ("yyyy", "UTC", "+10000", 253_402_300_800_000),
        ("n", "UTC", "1000000", 1),
    ] {
        assert_eq!(parse(pattern, zone, text), Ok(ms), "{text} by {pattern}");
    }
}

#[test]
fn texts_that_do_not_match() {
    for (pattern, text, reason) in [
        ("yyyy-MM-dd HH:mm", "2020-13-01 00:00", "month 13"),
        ("yyyy-MM-dd HH:mm", "2020-12-32 00:00", "day 32"),
        ("yyyy-MM-dd HH:mm", "2020-12-01 25:00", "hour 25"),
        ("yyyy-MM-dd HH:mm", "2020-12-01 24:01", "hour 24"),
        ("yyyy-MM-dd HH:mm", "2020-12-01 00:0", "too short"),
        ("yyyy-MM-dd HH:mm", "2020-12-01T00:00", "from byte 11"),
        ("yyyy-MM-dd HH:mm", "2020-12-01 00:000", "more text from byte 17"),
        ("yyyy-MM-dd HH:mm", "0000-12-01 00:00", "year 0"),
        ("yyyy-MM-dd", "20201-12-01", "from byte 1"),
        ("yyyyMMdd", "2020101", "too short"),
        ("yyyy-MM-dd EEE", "2020-10-11 Mon", "weekday contradicts the rest"),
        ("HH h a", "22 9 PM", "hour contradicts the rest"),
        ("yyyy-MM-dd", "", "too short"),
        ("uuuuuuuuu", "999999999", "year 999999999"),
    ] {
        assert_eq!(parse(pattern, "UTC", text), Err(reason.into()), "{text} by {pattern}");
    }
}

#[test]
fn written_texts() {
    let ms = 1_602_451_500_123;
    for (pattern, zone, text) in [
        ("yyyy-MM-dd HH:mm", "Europe/London", "2020-10-11 22:25"),
        ("yyyy-MM-dd'T'HH:mm:ss.SSSXXX", "Europe/London", "2020-10-11T22:25:00.123+01:00"),
        ("yyyyMMddHHmmssSSSSSS", "UTC", "20201011212500123000"),
        ("EEE, d MMM yy h:mm a z", "Europe/London", "Sun, 11 Oct 20 10:25 PM BST"),
        ("EEEE EEEEE MMMM MMMMM D n", "UTC", "Sunday S October O 285 123000000"),
        ("VV O OOOO", "Europe/London", "Europe/London GMT+1 GMT+01:00"),
        ("X XX XXX x Z ZZZZ ZZZZZ", "Asia/Kathmandu", "+0545 +0545 +05:45 +0545 +0545 GMT+05:45 +05:45"),
        ("X x xx xxx Z", "UTC", "Z +00 +0000 +00:00 +0000"),
        ("G GGGG Q QQ QQQ QQQQ k K", "UTC", "AD Anno Domini 4 04 Q4 4th quarter 21 9"),
        ("[HH][:mm]''", "UTC", "21:25'"),
    ] {
        assert_eq!(format(pattern, zone, ms).as_deref(), Ok(text), "{pattern}");
    }
    assert_eq!(format("yyyy", "UTC", 253_402_300_800_000).as_deref(), Ok("+10000"));
    assert_eq!(format("uuuu yyyy", "UTC", -62_200_000_000_000).as_deref(), Ok("-0002 0003"));
}

#[test]
fn patterns_that_are_refused() {
    for (pattern, reason) in [
        ("yyyy-ww", "pattern letter 'w' is not supported"),
        ("YYYY-MM-dd", "pattern letter 'Y' is the year of a week, which is not supported; the year is yyyy"),
        ("yyyy-MM-DD", "DD is the day of the year; that of the month is dd"),
        ("yyyy 'x", "a quote is not closed"),
        ("HHH", "3 times 'H' is not supported"),
        ("yyyy]", "']' without '['"),
        ("{yyyy}", "'{' is reserved; hint: quote it"),
        ("V", "'V' must come twice"),
        ("zzzz", "4 times 'z' is not supported"),
    ] {
        let message = Pattern::compile(pattern).map(|_| ()).unwrap_err();
        assert_eq!(message, format!("pattern '{pattern}': {reason}"));
    }
}

/// Patterns that lose nothing of a millisecond timestamp.
const LOSSLESS: [&str; 6] = [
    "yyyy-MM-dd HH:mm:ss.SSS",
    "yyyyMMddHHmmssSSS XX",
    "d MMMM uuuu h:mm:ss a n xxx",
    "EEE MMM dd kk:mm:ss.SSSSSSSSS XXXXX yyyy",
    "yyyy-DDD K:m:s.SSS a Z",
    "G yyyy-MM-dd QQQ HH:mm:ss.SSS[ VV]",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]
    #[test]
    fn what_is_written_is_read_back(which in 0..LOSSLESS.len(), ms in -60_000_000_000_000i64..250_000_000_000_000) {
        let pattern = Pattern::compile(LOSSLESS[which]).unwrap();
        let mut zone = Zone::parse("UTC").unwrap();
        let mut text = String::new();
        pattern.format_timestamp(ms, &mut zone, &mut text);
        prop_assert_eq!(pattern.parse_timestamp(text.as_bytes(), &mut zone), Ok(ms), "{}", text);
    }

    #[test]
    fn the_short_cut_changes_nothing(text in "[0-9]{4}-[0-9]{2}-[0-3][0-9][ T][0-2][0-9]:[0-6][0-9]") {
        let quick = Pattern::compile("yyyy-MM-dd HH:mm").unwrap();
        let mut slow = quick.clone();
        prop_assert!(slow.fixed.take().is_some());
        let mut zone = Zone::parse("Europe/London").unwrap();
        let found = quick.parse_timestamp(text.as_bytes(), &mut zone);
        prop_assert_eq!(found, slow.parse_timestamp(text.as_bytes(), &mut zone));
        if let Ok(ms) = found {
            let (mut a, mut b) = (String::new(), String::new());
            quick.format_timestamp(ms, &mut zone, &mut a);
            slow.format_timestamp(ms, &mut zone, &mut b);
            prop_assert_eq!(a, b);
        }
    }

    #[test]
    fn any_bytes_and_patterns_are_survived(pattern in "[yuMdDHhKkmsSnaEzVXxZOGQ'\\[\\]: é-]{0,12}", text in prop::collection::vec(any::<u8>(), 0..24), ms: i64) {
        if let Ok(pattern) = Pattern::compile(&pattern) {
            let mut zone = Zone::parse("Europe/London").unwrap();
            let _ = pattern.parse_timestamp(&text, &mut zone);
            let _ = pattern.parse_date(&text);
            let mut out = String::new();
            pattern.format_timestamp(ms, &mut zone, &mut out);
            let _ = pattern.parse_timestamp(out.as_bytes(), &mut zone);
        }
    }

    #[test]
    fn any_digits_are_survived(text in "[0-9+:. TZ-]{0,32}") {
        for pattern in LOSSLESS.into_iter().chain(["y", "yyy", "uuuuuu", "D n"]) {
            let pattern = Pattern::compile(pattern).unwrap();
            let _ = pattern.parse_timestamp(text.as_bytes(), &mut Zone::utc());
        }
    }
}

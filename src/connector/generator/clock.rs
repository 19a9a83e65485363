//! Wall time in London of the moments at which car parks report.
//!
//! Computed here, without the time-zone data that the engine uses: rows must never change.

use crate::time::civil::{civil_from_days, days_from_civil, weekday};

/// A moment as the feeds write it.
#[derive(Clone, Debug, Default)]
pub struct Moment {
    /// `2018-02-05T09:55:00`
    text: String,
    /// Since midnight.
    pub minute: u32,
    /// Since 1970-01-01.
    pub day: i64,
}

impl Moment {
    pub fn at(utc_s: i64) -> Moment {
        let local_s = utc_s + if is_summer(utc_s) { 3600 } else { 0 };
        let (day, second) = (local_s.div_euclid(86_400), local_s.rem_euclid(86_400));
        let (year, month, date) = civil_from_days(day);
        let (hour, minute) = (second / 3600, second / 60 % 60);
        let text = format!("{year:04}-{month:02}-{date:02}T{hour:02}:{minute:02}:{:02}", second % 60);
        Moment { text, minute: (second / 60) as u32, day }
    }

    pub fn date(&self) -> &[u8] {
        &self.text.as_bytes()[..10]
    }

    pub fn hour_minute(&self) -> &[u8] {
        &self.text.as_bytes()[11..16]
    }

    pub fn date_time(&self) -> &[u8] {
        self.text.as_bytes()
    }

    pub fn is_sunday(&self) -> bool {
        weekday(self.day) == 7
    }
}

/// From 01:00 UTC on the last Sunday of March to that of October (since 1996).
fn is_summer(utc_s: i64) -> bool {
    let (year, _, _) = civil_from_days(utc_s.div_euclid(86_400));
    let change = |month| last_sunday(year, month) * 86_400 + 3600;
    (change(3)..change(10)).contains(&utc_s)
}

/// Of a month of 31 days.
fn last_sunday(year: i64, month: i64) -> i64 {
    let last = days_from_civil(year, month, 31);
    last - weekday(last) % 7
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{DateTime, Datelike};

    #[test]
    fn wall_time_is_that_of_the_time_zone_data() {
        let mut utc_s = days_from_civil(2017, 12, 1) * 86_400;
        while utc_s < days_from_civil(2033, 1, 1) * 86_400 {
            let expected =
                DateTime::from_timestamp(utc_s, 0).unwrap().with_timezone(&chrono_tz::Europe::London);
            let moment = Moment::at(utc_s);
            assert_eq!(moment.date_time(), expected.format("%Y-%m-%dT%H:%M:%S").to_string().as_bytes());
            assert_eq!(moment.is_sunday(), expected.weekday() == chrono::Weekday::Sun);
            utc_s += 3599;
        }
    }
}

//! Wall time in London of the moments at which car parks report.
//!
//! Computed here, without the time-zone data that the engine uses: rows must never change.

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
        let (year, month, date) = civil(day);
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
        is_sunday(self.day)
    }
}

/// From 01:00 UTC on the last Sunday of March to that of October (since 1996).
fn is_summer(utc_s: i64) -> bool {
    let (year, _, _) = civil(utc_s.div_euclid(86_400));
    let change = |month| last_sunday(year, month) * 86_400 + 3600;
    (change(3)..change(10)).contains(&utc_s)
}

/// Of a month of 31 days.
fn last_sunday(year: i64, month: i64) -> i64 {
    let last = day_of(year, month, 31);
    // 1970-01-04 was a Sunday.
    last - (last - 3).rem_euclid(7)
}

fn is_sunday(day: i64) -> bool {
    (day - 3).rem_euclid(7) == 0
}

/// Days since 1970-01-01 (Howard Hinnant, "chrono-compatible low-level date algorithms").
pub const fn day_of(year: i64, month: i64, date: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + date - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Year, month and date of a day (the same source).
fn civil(day: i64) -> (i64, i64, i64) {
    let day = day + 719_468;
    let (era, of_era) = (day.div_euclid(146_097), day.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let date = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + (month <= 2) as i64, month, date)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{DateTime, Datelike};

    #[test]
    fn wall_time_is_that_of_the_time_zone_data() {
        let mut utc_s = day_of(2017, 12, 1) * 86_400;
        while utc_s < day_of(2033, 1, 1) * 86_400 {
            let expected =
                DateTime::from_timestamp(utc_s, 0).unwrap().with_timezone(&chrono_tz::Europe::London);
            let moment = Moment::at(utc_s);
            assert_eq!(moment.date_time(), expected.format("%Y-%m-%dT%H:%M:%S").to_string().as_bytes());
            assert_eq!(moment.is_sunday(), expected.weekday() == chrono::Weekday::Sun);
            utc_s += 3599;
        }
    }
}

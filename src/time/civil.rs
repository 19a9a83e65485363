//! The proleptic Gregorian calendar as plain arithmetic: days since 1970-01-01 ↔ year, month, day.
//!
//! The year is taken to start in March, so that the leap day is its last; 400 years have 146,097 days.

pub const SECOND_MS: i64 = 1_000;
pub const MINUTE_MS: i64 = 60 * SECOND_MS;
pub const HOUR_MS: i64 = 60 * MINUTE_MS;
pub const DAY_MS: i64 = 24 * HOUR_MS;

/// Days of 400 years.
const CYCLE: i64 = 146_097;
/// Days from 0000-03-01 to 1970-01-01.
const EPOCH: i64 = 719_468;

/// Days since the epoch; `month` is 1 to 12.
pub const fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = year - (month <= 2) as i64;
    let cycle = year.div_euclid(400);
    let of_cycle = year - cycle * 400;
    let month = if month > 2 { month - 3 } else { month + 9 };
    let of_year = (153 * month + 2) / 5 + day - 1;
    cycle * CYCLE + of_cycle * 365 + of_cycle / 4 - of_cycle / 100 + of_year - EPOCH
}

/// Year, month (1 to 12) and day of month.
#[inline]
pub fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days.saturating_add(EPOCH);
    if (0..1 << 28).contains(&days) {
        let (year, month, day) = civil_from_march(days as u32);
        return (year as i64, month as i64, day as i64);
    }
    let cycle = days.div_euclid(CYCLE);
    let of_cycle = days - cycle * CYCLE;
    let year = (of_cycle - of_cycle / 1_460 + of_cycle / 36_524 - of_cycle / 146_096) / 365;
    let of_year = of_cycle - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (cycle * 400 + year + carry, month, day)
}

/// The same from 0000-03-01 on, in 32 bits, by the affine functions of Neri and Schneider, "Euclidean
/// affine functions and their application to calendar algorithms" (2022): a third of the time.
#[inline]
fn civil_from_march(days: u32) -> (u32, u32, u32) {
    let quarters = 4 * days + 3;
    let (century, of_century) = (quarters / CYCLE as u32, (quarters % CYCLE as u32) | 3);
    let scaled = 2_939_745 * of_century as u64;
    let (of_century, of_year) = ((scaled >> 32) as u32, scaled as u32 / 2_939_745 / 4);
    let scaled = 2_141 * of_year + 197_913;
    let (month, day) = (scaled >> 16, (scaled & 0xffff) / 2_141 + 1);
    let next = (of_year >= 306) as u32;
    (100 * century + of_century + next, month - 12 * next, day)
}

pub fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

pub fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 => 28 + is_leap(year) as i64,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Monday is 1, Sunday is 7.
pub fn weekday(days: i64) -> i64 {
    (days + 3).rem_euclid(7) + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_dates_are_inverse() {
        assert_eq!(days_from_civil(1970, 1, 1), 0);
        assert_eq!(days_from_civil(2020, 10, 11), 18_546);
        assert_eq!(weekday(18_546), 7);
        let mut expected = days_from_civil(-401, 1, 1);
        for year in -401..=2_401 {
            for month in 1..=12 {
                for day in 1..=days_in_month(year, month) {
                    assert_eq!(days_from_civil(year, month, day), expected);
                    assert_eq!(civil_from_days(expected), (year, month, day));
                    expected += 1;
                }
            }
        }
    }
}

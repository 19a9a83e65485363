//! The short cut for patterns of digits at fixed places, such as `yyyy-MM-dd HH:mm`.
//!
//! Reading compares the whole text with a template in one loop without branches, then picks the digits
//! by their places. Whatever does not fit is left to the steps, which also know the reason.

use super::civil::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, days_from_civil, days_in_month};
use super::pattern::{Field, Number, Sign, Step};

/// Longer texts go by the steps.
const LEN_MAX: usize = 32;

#[derive(Clone, Debug)]
pub(super) struct Fixed {
    len: usize,
    /// A literal's byte, or `0` for a digit.
    template: [u8; LEN_MAX],
    /// How much greater than the template's byte a byte may be.
    slack: [u8; LEN_MAX],
    year: Option<usize>,
    month: Option<usize>,
    day: Option<usize>,
    hour: Option<usize>,
    minute: Option<usize>,
    second: Option<usize>,
    /// Place and number of digits.
    fraction: Option<(usize, usize)>,
}

impl Fixed {
    pub fn of(steps: &[Step]) -> Option<Fixed> {
        let mut fixed = Fixed {
            len: 0,
            template: [b'0'; LEN_MAX],
            slack: [0; LEN_MAX],
            year: None,
            month: None,
            day: None,
            hour: None,
            minute: None,
            second: None,
            fraction: None,
        };
        steps.iter().try_for_each(|step| fixed.add(step))?;
        Some(fixed)
    }

    /// `None` where the step has no fixed place, or the field is there already.
    fn add(&mut self, step: &Step) -> Option<()> {
        let at = self.len;
        match step {
            Step::Literal(text) if text.is_ascii() => {
                self.len += text.len();
                self.template.get_mut(at..self.len)?.copy_from_slice(text.as_bytes());
                return Some(());
            }
            Step::Fraction(width) if self.fraction.is_none() => {
                self.fraction = Some((at, *width));
                self.len += width;
            }
            Step::Number(Number {
                field: Field::YearOfEra | Field::Year,
                min: 4,
                sign: Sign::Exceeds,
                ..
            }) if self.year.is_none() => {
                self.year = Some(at);
                self.len += 4;
            }
            Step::Number(Number { field, min: 2, max: 2, .. }) => {
                let place = match field {
                    Field::Month => &mut self.month,
                    Field::Day => &mut self.day,
                    Field::Hour => &mut self.hour,
                    Field::Minute => &mut self.minute,
                    Field::Second => &mut self.second,
                    _ => return None,
                };
                if place.replace(at).is_some() {
                    return None;
                }
                self.len += 2;
            }
            _ => return None,
        }
        self.slack.get_mut(at..self.len)?.fill(9);
        Some(())
    }

    /// The local time in milliseconds; `None` for the steps to decide.
    #[inline]
    pub fn parse(&self, text: &[u8]) -> Option<i64> {
        if text.len() != self.len || self.len > LEN_MAX {
            return None;
        }
        let mut wrong = false;
        for ((byte, template), slack) in text.iter().zip(&self.template).zip(&self.slack) {
            wrong |= byte.wrapping_sub(*template) > *slack;
        }
        if wrong {
            return None;
        }
        let two = |place: Option<usize>, default| place.map_or(default, |at| pair(text, at));
        let year = self.year.map_or(1970, |at| pair(text, at) * 100 + pair(text, at + 2));
        let (month, day) = (two(self.month, 1), two(self.day, 1));
        let (hour, minute, second) = (two(self.hour, 0), two(self.minute, 0), two(self.second, 0));
        let in_range = year > 0
            && (1..=12).contains(&month)
            && day >= 1
            && (day <= 28 || day <= days_in_month(year, month))
            && hour < 24
            && minute < 60
            && second < 60;
        let fraction = self.fraction.map_or(0, |(at, width)| millis(&text[at..at + width]));
        let time = hour * HOUR_MS + minute * MINUTE_MS + second * SECOND_MS + fraction;
        in_range.then(|| days_from_civil(year, month, day) * DAY_MS + time)
    }

    /// Writes into `out` and tells the length; `None` where the year has not four digits.
    #[inline]
    pub fn format(&self, date: (i64, i64, i64), of_day_ms: i64, out: &mut [u8; LEN_MAX]) -> Option<usize> {
        let (year, month, day) = date;
        if !(1..=9_999).contains(&year) {
            return None;
        }
        *out = self.template;
        let mut two = |place: Option<usize>, value: i64| {
            if let Some(at) = place {
                put_pair(out, at, value);
            }
        };
        two(self.year, year / 100);
        two(self.year.map(|at| at + 2), year % 100);
        two(self.month, month);
        two(self.day, day);
        two(self.hour, of_day_ms / HOUR_MS);
        two(self.minute, of_day_ms / MINUTE_MS % 60);
        two(self.second, of_day_ms / SECOND_MS % 60);
        if let Some((at, width)) = self.fraction {
            let mut rest = of_day_ms % SECOND_MS;
            for (digit, unit) in out[at..at + width].iter_mut().zip([100, 10, 1]) {
                *digit = b'0' + (rest / unit) as u8;
                rest %= unit;
            }
        }
        Some(self.len)
    }
}

pub(super) const FORMAT_BUFFER: [u8; LEN_MAX] = [0; LEN_MAX];

#[inline]
fn pair(text: &[u8], at: usize) -> i64 {
    (text[at] - b'0') as i64 * 10 + (text[at + 1] - b'0') as i64
}

#[inline]
fn put_pair(out: &mut [u8; LEN_MAX], at: usize, value: i64) {
    out[at] = b'0' + (value / 10) as u8;
    out[at + 1] = b'0' + (value % 10) as u8;
}

/// The first three digits of a fraction.
fn millis(digits: &[u8]) -> i64 {
    digits.iter().zip([100, 10, 1]).map(|(digit, unit)| (digit - b'0') as i64 * unit).sum()
}

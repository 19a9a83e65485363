//! The short cut for patterns of digits at fixed places, such as `yyyy-MM-dd HH:mm`.
//!
//! Reading checks eight bytes at a time against a template and picks digits by their places; nothing
//! branches on what the pattern has, since the digits of what it lacks have places too. Whatever does
//! not fit is left to the steps, which also know the reason.

use super::civil::{DAY_MS, days_in_month};
use super::pattern::{Field, Number, Sign, Step};

/// Longer texts go by the steps.
const LEN_MAX: usize = 32;
/// Digits of a text, and behind them those of [`DEFAULTS`]. A power of two: places are masked.
const DIGITS: usize = 64;
/// What a pattern lacks: 1970-01-01T00:00:00.000.
const DEFAULTS: [u8; 6] = [1, 9, 7, 0, 1, 0];
const YEAR_1970: usize = LEN_MAX;
/// The digits 0 and 1.
const FIRST: usize = LEN_MAX + 3;
const ZEROS: usize = LEN_MAX + 5;

#[derive(Clone, Debug)]
pub(super) struct Fixed {
    len: usize,
    /// A literal's byte, or `0` for a digit.
    template: [u8; LEN_MAX],
    /// How much a byte may differ from the template's: 9 for a digit.
    slack: [u8; LEN_MAX],
    /// The whole length in words of eight bytes, of which the last may overlap the one before.
    words: Vec<Word>,
    year: usize,
    month: usize,
    day: usize,
    hour: usize,
    minute: usize,
    second: usize,
    fraction: [usize; 3],
}

#[derive(Clone, Debug)]
struct Word {
    at: usize,
    template: u64,
    /// 127 less the slack, a byte each: what is over the slack then reaches the eighth bit.
    margin: u64,
}

const EIGHTH_BITS: u64 = 0x8080_8080_8080_8080;

impl Fixed {
    pub fn of(steps: &[Step]) -> Option<Fixed> {
        let mut fixed = Fixed {
            len: 0,
            template: [b'0'; LEN_MAX],
            slack: [0; LEN_MAX],
            words: Vec::new(),
            year: YEAR_1970,
            month: FIRST,
            day: FIRST,
            hour: ZEROS,
            minute: ZEROS,
            second: ZEROS,
            fraction: [ZEROS; 3],
        };
        steps.iter().try_for_each(|step| fixed.add(step))?;
        let last = fixed.len.checked_sub(8)?;
        fixed.words = (0..last).step_by(8).chain([last]).map(|at| fixed.word(at)).collect();
        Some(fixed)
    }

    /// `None` where the step has no fixed place, or the field is there already.
    fn add(&mut self, step: &Step) -> Option<()> {
        let at = self.len;
        let (place, default, width) = match step {
            Step::Literal(text) if text.is_ascii() => {
                self.len += text.len();
                self.template.get_mut(at..self.len)?.copy_from_slice(text.as_bytes());
                return Some(());
            }
            Step::Fraction(width) => {
                for (i, place) in self.fraction.iter_mut().enumerate().skip(1).take(width - 1) {
                    *place = at + i;
                }
                (&mut self.fraction[0], ZEROS, *width)
            }
            Step::Number(Number {
                field: Field::YearOfEra | Field::Year,
                min: 4,
                sign: Sign::Exceeds,
                ..
            }) => (&mut self.year, YEAR_1970, 4),
            Step::Number(Number { field, min: 2, max: 2, .. }) => match field {
                Field::Month => (&mut self.month, FIRST, 2),
                Field::Day => (&mut self.day, FIRST, 2),
                Field::Hour => (&mut self.hour, ZEROS, 2),
                Field::Minute => (&mut self.minute, ZEROS, 2),
                Field::Second => (&mut self.second, ZEROS, 2),
                _ => return None,
            },
            _ => return None,
        };
        if std::mem::replace(place, at) != default {
            return None;
        }
        self.len += width;
        self.slack.get_mut(at..self.len)?.fill(9);
        Some(())
    }

    fn word(&self, at: usize) -> Word {
        let bytes = |from: &dyn Fn(usize) -> u8| u64::from_le_bytes(std::array::from_fn(|i| from(at + i)));
        Word { at, template: bytes(&|i| self.template[i]), margin: bytes(&|i| 127 - self.slack[i]) }
    }

    /// The local time in milliseconds; `None` for the steps to decide.
    #[inline]
    pub fn parse(&self, text: &[u8]) -> Option<i64> {
        if text.len() != self.len {
            return None;
        }
        let mut digits = [0u8; DIGITS];
        digits[LEN_MAX..LEN_MAX + DEFAULTS.len()].copy_from_slice(&DEFAULTS);
        let mut wrong = 0;
        for word in &self.words {
            let bytes = text.get(word.at..word.at + 8)?.first_chunk::<8>()?;
            let off = u64::from_le_bytes(*bytes) ^ word.template;
            wrong |= ((off & !EIGHTH_BITS) + word.margin) | off;
            digits[word.at & (LEN_MAX - 1)..][..8].copy_from_slice(&off.to_le_bytes());
        }
        if wrong & EIGHTH_BITS != 0 {
            return None;
        }
        let one = |place: usize| digits[place & (DIGITS - 1)] as u32;
        let two = |place: usize| one(place) * 10 + one(place + 1);
        let (year, month, day) = (two(self.year) * 100 + two(self.year + 2), two(self.month), two(self.day));
        let (hour, minute, second) = (two(self.hour), two(self.minute), two(self.second));
        let in_range = year > 0
            && month.wrapping_sub(1) < 12
            && (day.wrapping_sub(1) < 28
                || (day > 0 && day as i64 <= days_in_month(year as i64, month as i64)))
            && hour < 24
            && minute < 60
            && second < 60;
        let fraction = one(self.fraction[0]) * 100 + one(self.fraction[1]) * 10 + one(self.fraction[2]);
        let of_day = ((hour * 60 + minute) * 60 + second) * 1_000 + fraction;
        in_range.then(|| days(year, month, day) * DAY_MS + of_day as i64)
    }

    /// Writes into `out` and tells the length; `None` where the year has not four digits.
    #[inline]
    pub fn format(&self, date: (i64, i64, i64), of_day_ms: i64, out: &mut Buffer) -> Option<usize> {
        let (year, month, day) = date;
        if !(1..=9_999).contains(&year) {
            return None;
        }
        // In 32 bits; places of what the pattern lacks are behind its length.
        let (year, month, day, ms) = (year as u32, month as u32, day as u32, of_day_ms as u32);
        out[..LEN_MAX].copy_from_slice(&self.template);
        let mut two = |place: usize, value: u32| {
            out[place & (DIGITS - 1)] = b'0' + (value / 10) as u8;
            out[(place + 1) & (DIGITS - 1)] = b'0' + (value % 10) as u8;
        };
        two(self.year, year / 100);
        two(self.year + 2, year % 100);
        two(self.month, month);
        two(self.day, day);
        two(self.hour, ms / 3_600_000);
        two(self.minute, ms / 60_000 % 60);
        two(self.second, ms / 1_000 % 60);
        for (place, unit) in self.fraction.iter().zip([100, 10, 1]) {
            out[place & (DIGITS - 1)] = b'0' + (ms / unit % 10) as u8;
        }
        Some(self.len)
    }
}

/// Room for a text and for the digits of what a pattern lacks.
pub(super) type Buffer = [u8; DIGITS];
pub(super) const BUFFER: Buffer = [0; DIGITS];

/// `civil::days_from_civil` for years from 1 to 9999.
fn days(year: u32, month: u32, day: u32) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    days as i64 - 719_468
}

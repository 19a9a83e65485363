//! Writing a point in time by a pattern.

use super::civil::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, civil_from_days, days_from_civil, weekday};
use super::fixed::BUFFER;
use super::names;
use super::parse::shorten;
use super::pattern::{Field, Number, OffsetStyle, Pattern, Sign, Step, Width, ZoneStyle};
use super::zone::Zone;
use std::fmt::Write;

impl Pattern {
    /// Appends the instant as the zone's clocks show it.
    #[inline]
    pub fn format_timestamp(&self, utc_ms: i64, zone: &mut Zone, out: &mut String) {
        let local = zone.to_local(utc_ms);
        let days = local.div_euclid(DAY_MS);
        let (date, of_day_ms) = (civil_from_days(days), local.rem_euclid(DAY_MS));
        if let Some(fixed) = &self.fixed {
            let mut buffer = BUFFER;
            let written = fixed.format(date, of_day_ms, &mut buffer);
            if let Some(text) = written.and_then(|len| std::str::from_utf8(&buffer[..len]).ok()) {
                return out.push_str(text);
            }
        }
        let offset_s = zone.offset_at(utc_ms) / SECOND_MS;
        Moment { utc_ms, date, days, of_day_ms, offset_s, zone }.write(&self.steps, out);
    }
}

/// A point in time, taken apart.
struct Moment<'a> {
    utc_ms: i64,
    date: (i64, i64, i64),
    days: i64,
    of_day_ms: i64,
    offset_s: i64,
    zone: &'a Zone,
}

impl Moment<'_> {
    fn write(&self, steps: &[Step], out: &mut String) {
        for step in steps {
            match step {
                Step::Literal(text) => out.push_str(text),
                Step::Number(number) => self.number(number, out),
                Step::TwoDigitYear(field) => pad(out, self.field(*field).abs() % 100, 2),
                Step::Fraction(width) => {
                    pad(out, self.field(Field::Nano) / 10i64.pow(9 - *width as u32), *width);
                }
                Step::Name(field, width) => out.push_str(self.name(*field, *width)),
                Step::Zone(style) => self.zone(*style, out),
                Step::Optional(steps) => self.write(steps, out),
            }
        }
    }

    fn field(&self, field: Field) -> i64 {
        let (year, month, day) = self.date;
        let hour = self.of_day_ms / HOUR_MS;
        let clock = |hour: i64, of: i64| if hour % of == 0 { of } else { hour % of };
        match field {
            Field::Year => year,
            Field::YearOfEra => {
                if year > 0 {
                    year
                } else {
                    1 - year
                }
            }
            Field::Era => (year > 0) as i64,
            Field::Quarter => (month + 2) / 3,
            Field::Month => month,
            Field::Day => day,
            Field::DayOfYear => self.days - days_from_civil(year, 1, 1) + 1,
            Field::Weekday => weekday(self.days),
            Field::Hour => hour,
            Field::ClockHour => clock(hour, 24),
            Field::HalfHour => hour % 12,
            Field::ClockHalfHour => clock(hour, 12),
            Field::Half => hour / 12,
            Field::Minute => self.of_day_ms / MINUTE_MS % 60,
            Field::Second => self.of_day_ms / SECOND_MS % 60,
            Field::Nano => self.of_day_ms % SECOND_MS * 1_000_000,
        }
    }

    fn number(&self, number: &Number, out: &mut String) {
        let value = self.field(number.field);
        let exceeds =
            number.sign == Sign::Exceeds && value.unsigned_abs() >= 10u64.pow(number.min.min(19) as u32);
        if value < 0 {
            out.push('-');
        } else if exceeds {
            out.push('+');
        }
        pad(out, value.abs(), number.min);
    }

    fn name(&self, field: Field, width: Width) -> &'static str {
        let value = self.field(field) as usize;
        let name = match (field, width) {
            (Field::Month, _) => names::MONTHS[value - 1],
            (Field::Weekday, _) => names::WEEKDAYS[value - 1],
            (Field::Half, _) => names::HALVES[value],
            (Field::Era, Width::Full) => names::ERAS_FULL[value],
            (Field::Era, _) => names::ERAS[value],
            (_, Width::Full) => names::QUARTERS_FULL[value - 1],
            _ => names::QUARTERS[value - 1],
        };
        shorten(field, width, name)
    }

    fn zone(&self, style: ZoneStyle, out: &mut String) {
        match style {
            ZoneStyle::Id => out.push_str(self.zone.name()),
            ZoneStyle::Abbreviation => out.push_str(&self.zone.abbreviation(self.utc_ms)),
            ZoneStyle::Offset(style) => offset(style, self.offset_s, out),
            ZoneStyle::Localized { full } => localized(full, self.offset_s, out),
        }
    }
}

fn offset(style: OffsetStyle, seconds: i64, out: &mut String) {
    if seconds == 0 {
        return out.push_str(style.zero);
    }
    let total = seconds.abs();
    let separator = if style.colon { ":" } else { "" };
    out.push(if seconds < 0 { '-' } else { '+' });
    pad(out, total / 3_600, 2);
    if style.minutes || total / 60 % 60 != 0 {
        out.push_str(separator);
        pad(out, total / 60 % 60, 2);
    }
    if style.seconds && total % 60 != 0 {
        out.push_str(separator);
        pad(out, total % 60, 2);
    }
}

fn localized(full: bool, seconds: i64, out: &mut String) {
    out.push_str("GMT");
    if seconds == 0 {
        return;
    }
    let (hours, minutes) = (seconds.abs() / 3_600, seconds.abs() / 60 % 60);
    out.push(if seconds < 0 { '-' } else { '+' });
    pad(out, hours, if full { 2 } else { 1 });
    if full || minutes != 0 {
        out.push(':');
        pad(out, minutes, 2);
    }
}

fn pad(out: &mut String, value: i64, width: usize) {
    if (0..100).contains(&value) && width <= 2 {
        let (tens, ones) = (b'0' + (value / 10) as u8, b'0' + (value % 10) as u8);
        if width == 2 || value > 9 {
            out.push(tens as char);
        }
        return out.push(ones as char);
    }
    // Writing to a String cannot fail.
    let _ = write!(out, "{value:0width$}");
}

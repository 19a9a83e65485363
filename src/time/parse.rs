//! Reading text by a pattern: steps fill fields, fields resolve to a date, a time and perhaps a zone.
//!
//! What a pattern does not have comes from 1970-01-01T00:00. As Java's smart style has it, day 31 of
//! a shorter month is its last day, and 24:00 is the next day's 00:00.

use super::civil::{
    DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, civil_from_days, days_from_civil, days_in_month, is_leap, weekday,
};
use super::names;
use super::pattern::{Field, Number, OffsetStyle, Pattern, Sign, Step, Width, ZoneStyle};
use super::zone::Zone;
use std::fmt;

/// Why a text does not match; prints as what stands in brackets behind "does not match …".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseFailure {
    /// Byte at which the text differs.
    At(usize),
    TooShort,
    /// Byte at which the text should have ended.
    TooLong(usize),
    Range(&'static str, i64),
    /// Two parts of the text contradict each other.
    Conflict(&'static str),
}

impl fmt::Display for ParseFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ParseFailure::At(byte) => write!(f, "from byte {}", byte + 1),
            ParseFailure::TooShort => f.write_str("too short"),
            ParseFailure::TooLong(byte) => write!(f, "more text from byte {}", byte + 1),
            ParseFailure::Range(what, value) => write!(f, "{what} {value}"),
            ParseFailure::Conflict(what) => write!(f, "{what} contradicts the rest"),
        }
    }
}

impl Pattern {
    /// The instant in milliseconds. A zone in the text goes before `zone`.
    #[inline]
    pub fn parse_timestamp(&self, text: &[u8], zone: &mut Zone) -> Result<i64, ParseFailure> {
        if let Some(local) = self.fixed.as_ref().and_then(|fixed| fixed.parse(text)) {
            return Ok(zone.to_utc(local));
        }
        let parsed = self.parse(text)?;
        let local = parsed.days * DAY_MS + parsed.of_day_ms;
        Ok(match parsed.zone {
            Some(mut own) => own.to_utc(local),
            None => zone.to_utc(local),
        })
    }

    /// Days since 1970-01-01.
    pub fn parse_date(&self, text: &[u8]) -> Result<i32, ParseFailure> {
        // Fits: years have at most six digits.
        self.parse(text).map(|parsed| parsed.days as i32)
    }

    /// Milliseconds since midnight.
    pub fn parse_time(&self, text: &[u8]) -> Result<i32, ParseFailure> {
        self.parse(text).map(|parsed| parsed.of_day_ms as i32)
    }

    /// The sentence for a note: `'2020-13-01' does not match 'yyyy-MM-dd' (month 13)`.
    pub fn mismatch(&self, text: &str, failure: ParseFailure) -> String {
        let shown: String = text.chars().take(80).collect();
        let more = if shown.len() < text.len() { "…" } else { "" };
        format!("'{shown}{more}' does not match '{}' ({failure})", self.text())
    }

    fn parse(&self, text: &[u8]) -> Result<Parsed, ParseFailure> {
        if let Some(local) = self.fixed.as_ref().and_then(|fixed| fixed.parse(text)) {
            let days = local.div_euclid(DAY_MS);
            return Ok(Parsed { days, of_day_ms: local - days * DAY_MS, zone: None });
        }
        let mut fields = Fields::default();
        let end = run(&self.steps, text, 0, &mut fields)?;
        if end < text.len() {
            return Err(ParseFailure::TooLong(end));
        }
        fields.resolve()
    }
}

struct Parsed {
    days: i64,
    of_day_ms: i64,
    zone: Option<Zone>,
}

#[derive(Clone, Default)]
struct Fields {
    values: [i64; Field::COUNT],
    /// A bit for each field that has a value.
    set: u16,
    zone: Option<Zone>,
}

type Position = Result<usize, ParseFailure>;

fn run(steps: &[Step], text: &[u8], mut at: usize, fields: &mut Fields) -> Position {
    for step in steps {
        at = match step {
            Step::Literal(literal) => read_literal(literal, text, at)?,
            Step::Number(number) => read_number(number, text, at, fields)?,
            Step::TwoDigitYear(field) => {
                let (value, end) = digits(text, at, 2, 2)?;
                fields.set(*field, 2_000 + value, end)?
            }
            Step::Fraction(width) => {
                let (value, end) = digits(text, at, *width, *width)?;
                fields.set(Field::Nano, value * 10i64.pow(9 - *width as u32), end)?
            }
            Step::Name(field, width) => read_name(*field, *width, text, at, fields)?,
            Step::Zone(style) => read_zone(*style, text, at, fields)?,
            Step::Optional(inner) => {
                let mut attempt = fields.clone();
                match run(inner, text, at, &mut attempt) {
                    Ok(end) => {
                        *fields = attempt;
                        end
                    }
                    Err(_) => at,
                }
            }
        };
    }
    Ok(at)
}

fn failure(text: &[u8], at: usize) -> ParseFailure {
    if at >= text.len() { ParseFailure::TooShort } else { ParseFailure::At(at) }
}

fn read_literal(literal: &str, text: &[u8], at: usize) -> Position {
    let end = at + literal.len();
    match text.get(at..end) {
        Some(found) if found.eq_ignore_ascii_case(literal.as_bytes()) => Ok(end),
        Some(_) => Err(ParseFailure::At(at)),
        None => Err(ParseFailure::TooShort),
    }
}

/// A number of `min` to `max` digits and its end. More than 18 digits count as the greatest.
fn digits(text: &[u8], at: usize, min: usize, max: usize) -> Result<(i64, usize), ParseFailure> {
    let found = text.get(at..).unwrap_or_default();
    let len = found.iter().take(max).take_while(|b| b.is_ascii_digit()).count();
    if len < min || len == 0 {
        return Err(failure(text, at + len));
    }
    let add = |value: i64, byte: &u8| value.saturating_mul(10).saturating_add((byte - b'0') as i64);
    Ok((found[..len].iter().fold(0, add), at + len))
}

fn read_number(number: &Number, text: &[u8], at: usize, fields: &mut Fields) -> Position {
    let &Number { field, min, max, sign, reserve } = number;
    let (signed, start) = match (text.get(at), sign) {
        (Some(b'-'), Sign::Minus | Sign::Exceeds) => (-1, at + 1),
        (Some(b'+'), Sign::Exceeds) => (1, at + 1),
        _ => (0, at),
    };
    let all = text.get(start..).unwrap_or_default().iter().take(max + reserve);
    let len = all.take_while(|b| b.is_ascii_digit()).count();
    let len = if reserve > 0 { len.saturating_sub(reserve).max(min) } else { len };
    let (value, end) = digits(text, start, min, len.max(min))?;
    // `yyyy` is four digits, unless a plus announces more.
    if sign == Sign::Exceeds && ((signed == 0 && len > min) || (signed == 1 && len <= min)) {
        return Err(ParseFailure::At(at));
    }
    fields.set(field, if signed < 0 { -value } else { value }, end)
}

fn read_name(field: Field, width: Width, text: &[u8], at: usize, fields: &mut Fields) -> Position {
    let (names, first): (&[&str], i64) = match (field, width) {
        (Field::Month, _) => (&names::MONTHS, 1),
        (Field::Weekday, _) => (&names::WEEKDAYS, 1),
        (Field::Half, _) => (&names::HALVES, 0),
        (Field::Era, Width::Full) => (&names::ERAS_FULL, 0),
        (Field::Era, _) => (&names::ERAS, 0),
        (_, Width::Full) => (&names::QUARTERS_FULL, 1),
        _ => (&names::QUARTERS, 1),
    };
    for (i, name) in names.iter().enumerate() {
        let name = shorten(field, width, name);
        if let Ok(end) = read_literal(name, text, at) {
            return fields.set(field, i as i64 + first, end);
        }
    }
    Err(failure(text, at))
}

/// The name as the width has it.
pub(super) fn shorten(field: Field, width: Width, name: &'static str) -> &'static str {
    match (field, width) {
        (Field::Month | Field::Weekday, Width::Short) => &name[..3],
        (Field::Quarter, Width::Narrow) => &name[1..],
        (_, Width::Narrow) => &name[..1],
        _ => name,
    }
}

fn read_zone(style: ZoneStyle, text: &[u8], at: usize, fields: &mut Fields) -> Position {
    let (zone, end) = match style {
        ZoneStyle::Offset(style) => read_offset(style, text, at)?,
        _ => read_region(text, at)?,
    };
    fields.zone = Some(zone);
    Ok(end)
}

fn read_offset(style: OffsetStyle, text: &[u8], at: usize) -> Result<(Zone, usize), ParseFailure> {
    if let Ok(end) = read_literal(style.zero, text, at) {
        return Ok((Zone::utc(), end));
    }
    let sign = match text.get(at) {
        Some(b'+') => 1,
        Some(b'-') => -1,
        _ => return Err(failure(text, at)),
    };
    let (hours, mut end) = digits(text, at + 1, 2, 2)?;
    let mut parts = [0; 2];
    for (i, part) in parts.iter_mut().enumerate().take(1 + style.seconds as usize) {
        let next = if style.colon { read_literal(":", text, end) } else { Ok(end) };
        match next.and_then(|from| digits(text, from, 2, 2)) {
            Ok((value, behind)) => (*part, end) = (value, behind),
            Err(_) if i > 0 || !style.minutes => break,
            Err(e) => return Err(e),
        }
    }
    let id = format!("{}{hours:02}:{:02}:{:02}", if sign > 0 { '+' } else { '-' }, parts[0], parts[1]);
    Zone::parse(&id).map(|zone| (zone, end)).map_err(|_| ParseFailure::Range("offset hour", hours))
}

/// The longest text that is a zone.
fn read_region(text: &[u8], at: usize) -> Result<(Zone, usize), ParseFailure> {
    let of_name = |b: &&u8| b.is_ascii_alphanumeric() || b"/_+-:".contains(b);
    let len = text.get(at..).unwrap_or_default().iter().take(40).take_while(of_name).count();
    for end in (at + 1..=at + len).rev() {
        // Only ASCII was taken.
        let name = std::str::from_utf8(&text[at..end]).unwrap_or_default();
        let known = names::ZONES.iter().find(|(short, _)| *short == name).map_or(name, |(_, zone)| zone);
        if let Ok(zone) = Zone::parse(known) {
            return Ok((zone, end));
        }
    }
    Err(failure(text, at))
}

impl Fields {
    fn get(&self, field: Field) -> Option<i64> {
        if self.set & (1 << field as u16) != 0 { Some(self.values[field as usize]) } else { None }
    }

    fn set(&mut self, field: Field, value: i64, end: usize) -> Position {
        match self.get(field) {
            Some(before) if before != value => Err(ParseFailure::Conflict(field.range().0)),
            _ => {
                self.values[field as usize] = value;
                self.set |= 1 << field as u16;
                Ok(end)
            }
        }
    }

    fn resolve(self) -> Result<Parsed, ParseFailure> {
        for field in Field::ALL {
            let Some(value) = self.get(field) else { continue };
            let (name, least, greatest) = field.range();
            if value < least || value > greatest {
                return Err(ParseFailure::Range(name, value));
            }
        }
        let (days, of_day_ms) = (self.days()?, self.of_day_ms()?);
        let (days, of_day_ms) = if of_day_ms == DAY_MS { (days + 1, 0) } else { (days, of_day_ms) };
        Ok(Parsed { days, of_day_ms, zone: self.zone })
    }

    fn year(&self) -> Result<i64, ParseFailure> {
        let of_era = self.get(Field::YearOfEra).map(|year| match self.get(Field::Era) {
            Some(0) => 1 - year,
            _ => year,
        });
        match (self.get(Field::Year), of_era) {
            (Some(year), Some(of_era)) if year != of_era => Err(ParseFailure::Conflict("year")),
            (year, of_era) => Ok(year.or(of_era).unwrap_or(1970)),
        }
    }

    fn days(&self) -> Result<i64, ParseFailure> {
        let year = self.year()?;
        let (month, day) = (self.get(Field::Month), self.get(Field::Day));
        let days = match self.get(Field::DayOfYear) {
            Some(366) if !is_leap(year) => return Err(ParseFailure::Range("day of year", 366)),
            Some(of_year) => days_from_civil(year, 1, 1) + of_year - 1,
            None => {
                let month = month.unwrap_or(1);
                days_from_civil(year, month, day.unwrap_or(1).min(days_in_month(year, month)))
            }
        };
        let (_, found_month, found_day) = civil_from_days(days);
        let check = |name, given: Option<i64>, found: i64| match given {
            Some(given) if given != found => Err(ParseFailure::Conflict(name)),
            _ => Ok(()),
        };
        check("month", month, found_month)?;
        if self.get(Field::DayOfYear).is_some() {
            check("day", day, found_day)?;
        }
        check("quarter", self.get(Field::Quarter), (found_month + 2) / 3)?;
        check("weekday", self.get(Field::Weekday), weekday(days))?;
        Ok(days)
    }

    fn of_day_ms(&self) -> Result<i64, ParseFailure> {
        let half = self.get(Field::Half);
        let of_half = self.get(Field::HalfHour).or(self.get(Field::ClockHalfHour).map(|hour| hour % 12));
        let clock = self.get(Field::ClockHour).map(|hour| hour % 24);
        let by_half = of_half.map(|hour| half.unwrap_or(0) * 12 + hour);
        let hour = self.get(Field::Hour).or(clock).or(by_half).unwrap_or(half.unwrap_or(0) * 12);
        let agrees = [clock, by_half].into_iter().flatten().all(|other| other == hour)
            && half.is_none_or(|half| half == hour / 12 % 2);
        if !agrees {
            return Err(ParseFailure::Conflict("hour"));
        }
        let part = |field| self.get(field).unwrap_or(0);
        let (minute, second, nano) = (part(Field::Minute), part(Field::Second), part(Field::Nano));
        if hour == 24 && (minute, second, nano) != (0, 0, 0) {
            return Err(ParseFailure::Range("hour", 24));
        }
        Ok(hour * HOUR_MS + minute * MINUTE_MS + second * SECOND_MS + nano / 1_000_000)
    }
}

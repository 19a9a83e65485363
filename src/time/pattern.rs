//! `java.time` patterns (`yyyy-MM-dd'T'HH:mm:ss[.SSS]XXX`), compiled to steps.
//!
//! The meaning of the letters is that of Java's `DateTimeFormatter`, read strictly and without regard
//! to case. Steps go both ways: `parse` reads by them, `format` writes by them; `fixed` is the short
//! cut for patterns of digits at fixed places.

use super::fixed::Fixed;

/// A compiled pattern.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: String,
    pub(super) steps: Vec<Step>,
    pub(super) fixed: Option<Fixed>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    Literal(String),
    Number(Number),
    /// The last two digits of a year from 2000 to 2099.
    TwoDigitYear(Field),
    /// So many digits of the fraction of a second.
    Fraction(usize),
    Name(Field, Width),
    Zone(ZoneStyle),
    /// Read where it fits, always written.
    Optional(Vec<Step>),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Number {
    pub field: Field,
    pub min: usize,
    pub max: usize,
    pub sign: Sign,
    /// Digits that belong to the numbers that follow without anything between: `yyyyMMdd`.
    pub reserve: usize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Sign {
    /// Never.
    None,
    /// A minus where it is negative.
    Minus,
    /// A minus, or a plus where it is longer than its least width.
    Exceeds,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Width {
    Short,
    Full,
    Narrow,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum ZoneStyle {
    /// `Europe/London`
    Id,
    /// `BST`
    Abbreviation,
    /// `+0100`
    Offset(OffsetStyle),
    /// `GMT+1`; in full `GMT+01:00`
    Localized { full: bool },
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct OffsetStyle {
    pub colon: bool,
    /// Minutes also where they are zero.
    pub minutes: bool,
    /// Seconds where they are not zero.
    pub seconds: bool,
    /// The offset zero.
    pub zero: &'static str,
}

/// What a letter of a pattern stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Year,
    YearOfEra,
    Era,
    Quarter,
    Month,
    Day,
    DayOfYear,
    Weekday,
    /// 0 to 23
    Hour,
    /// 1 to 24
    ClockHour,
    /// 0 to 11
    HalfHour,
    /// 1 to 12
    ClockHalfHour,
    /// AM or PM
    Half,
    Minute,
    Second,
    Nano,
}

impl Field {
    pub const COUNT: usize = 16;
    pub const ALL: [Field; Field::COUNT] = [
        Field::Year,
        Field::YearOfEra,
        Field::Era,
        Field::Quarter,
        Field::Month,
        Field::Day,
        Field::DayOfYear,
        Field::Weekday,
        Field::Hour,
        Field::ClockHour,
        Field::HalfHour,
        Field::ClockHalfHour,
        Field::Half,
        Field::Minute,
        Field::Second,
        Field::Nano,
    ];

    /// Its name in a note, and its least and greatest value.
    pub fn range(self) -> (&'static str, i64, i64) {
        match self {
            // Far less than what fits, so that no arithmetic on milliseconds overflows.
            Field::Year => ("year", -999_999, 999_999),
            Field::YearOfEra => ("year", 1, 999_999),
            Field::Era => ("era", 0, 1),
            Field::Quarter => ("quarter", 1, 4),
            Field::Month => ("month", 1, 12),
            Field::Day => ("day", 1, 31),
            Field::DayOfYear => ("day of year", 1, 366),
            Field::Weekday => ("weekday", 1, 7),
            Field::Hour => ("hour", 0, 24),
            Field::ClockHour => ("hour", 1, 24),
            Field::HalfHour => ("hour", 0, 11),
            Field::ClockHalfHour => ("hour", 1, 12),
            Field::Half => ("half of day", 0, 1),
            Field::Minute => ("minute", 0, 59),
            Field::Second => ("second", 0, 59),
            Field::Nano => ("nanosecond", 0, 999_999_999),
        }
    }

    fn is_date(self) -> bool {
        (self as usize) <= Field::Weekday as usize
    }
}

impl Pattern {
    /// An error names the letter that is not supported or where the pattern is wrong.
    pub fn compile(text: &str) -> Result<Pattern, String> {
        let mut chars = Chars { rest: text, pattern: text, letters: Vec::new() };
        let steps = chars.section(0)?;
        let has = |wanted: &[(char, usize)]| wanted.iter().any(|letters| chars.letters.contains(letters));
        // Java takes it, and prints 2020-10-285.
        if has(&[('D', 2)]) && has(&[('M', 1), ('M', 2), ('M', 3), ('M', 4)]) && !has(&[('d', 1), ('d', 2)]) {
            return Err(chars.wrong("DD is the day of the year; that of the month is dd"));
        }
        let fixed = Fixed::of(&steps);
        Ok(Pattern { text: text.to_string(), steps, fixed })
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// What it needs that a value without date, time or zone does not have.
    pub fn needs(&self) -> Needs {
        let mut needs = Needs::default();
        collect_needs(&self.steps, &mut needs);
        needs
    }
}

/// Which parts of a point in time a pattern writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    pub date: bool,
    pub time: bool,
    pub zone: bool,
}

fn collect_needs(steps: &[Step], needs: &mut Needs) {
    for step in steps {
        match step {
            Step::Literal(_) => {}
            Step::Number(Number { field, .. }) | Step::TwoDigitYear(field) | Step::Name(field, _) => {
                if field.is_date() { needs.date = true } else { needs.time = true }
            }
            Step::Fraction(_) => needs.time = true,
            Step::Zone(_) => needs.zone = true,
            Step::Optional(steps) => collect_needs(steps, needs),
        }
    }
}

/// The part of a pattern that is not compiled yet.
struct Chars<'a> {
    rest: &'a str,
    pattern: &'a str,
    /// Those that were compiled, each with how often it stands there.
    letters: Vec<(char, usize)>,
}

impl Chars<'_> {
    /// Up to the bracket that ends this section, or the end.
    fn section(&mut self, depth: usize) -> Result<Vec<Step>, String> {
        let mut steps = Vec::new();
        // Index of the number that gives way to those behind it.
        let mut first: Option<usize> = None;
        while let Some(c) = self.rest.chars().next() {
            match c {
                'a'..='z' | 'A'..='Z' => {
                    let step = self.letters(c)?;
                    reserve(&mut steps, &mut first, &step);
                    steps.push(step);
                    continue;
                }
                '[' if depth == 16 => return Err(self.wrong("sections in more than 16 sections")),
                '[' => {
                    self.rest = &self.rest[1..];
                    steps.push(Step::Optional(self.section(depth + 1)?));
                }
                ']' if depth == 0 => return Err(self.wrong("']' without '['")),
                ']' => {
                    self.rest = &self.rest[1..];
                    return Ok(steps);
                }
                '{' | '}' | '#' => return Err(self.wrong(&format!("'{c}' is reserved; hint: quote it"))),
                '\'' => {
                    let text = self.quoted()?;
                    literal(&mut steps, &text);
                }
                c => {
                    self.rest = &self.rest[c.len_utf8()..];
                    literal(&mut steps, c.encode_utf8(&mut [0; 4]));
                }
            }
            first = None;
        }
        // An optional section may stay open at the end, as in Java.
        Ok(steps)
    }

    fn wrong(&self, what: &str) -> String {
        format!("pattern '{}': {what}", self.pattern)
    }

    /// `'…'`, in which `''` is a quote; `''` alone is one too.
    fn quoted(&mut self) -> Result<String, String> {
        let mut text = String::new();
        let mut rest = &self.rest[1..];
        if let Some(behind) = rest.strip_prefix('\'') {
            self.rest = behind;
            return Ok("'".into());
        }
        loop {
            let end = rest.find('\'').ok_or_else(|| self.wrong("a quote is not closed"))?;
            text.push_str(&rest[..end]);
            rest = &rest[end + 1..];
            match rest.strip_prefix('\'') {
                Some(behind) => {
                    text.push('\'');
                    rest = behind;
                }
                None => break,
            }
        }
        self.rest = rest;
        Ok(text)
    }

    fn letters(&mut self, letter: char) -> Result<Step, String> {
        let count = self.rest.chars().take_while(|c| *c == letter).count();
        self.rest = &self.rest[count..];
        self.letters.push((letter, count));
        let too_many = || self.wrong(&format!("{count} times '{letter}' is not supported"));
        let upto = |most: usize, step: Step| if count <= most { Ok(step) } else { Err(too_many()) };
        use Field::*;
        match letter {
            'u' => upto(19, year(Year, count)),
            'y' => upto(19, year(YearOfEra, count)),
            'M' | 'L' => upto(5, number_or_name(Month, count)),
            'Q' | 'q' => upto(5, number_or_name(Quarter, count)),
            'd' => upto(2, number(Day, count)),
            'D' if count == 1 => Ok(number(DayOfYear, 1)),
            'D' => upto(3, value(DayOfYear, count, 3, Sign::None)),
            'E' => upto(5, Step::Name(Weekday, width(count))),
            'a' => upto(1, Step::Name(Half, Width::Short)),
            'G' => upto(5, Step::Name(Era, width(count))),
            'H' => upto(2, number(Hour, count)),
            'k' => upto(2, number(ClockHour, count)),
            'K' => upto(2, number(HalfHour, count)),
            'h' => upto(2, number(ClockHalfHour, count)),
            'm' => upto(2, number(Minute, count)),
            's' => upto(2, number(Second, count)),
            'S' => upto(9, Step::Fraction(count)),
            'n' => upto(19, value(Nano, count, 19, Sign::None)),
            'V' if count != 2 => Err(self.wrong("'V' must come twice")),
            'V' => Ok(Step::Zone(ZoneStyle::Id)),
            'z' => upto(3, Step::Zone(ZoneStyle::Abbreviation)),
            'O' if count == 1 || count == 4 => Ok(Step::Zone(ZoneStyle::Localized { full: count == 4 })),
            'O' => Err(too_many()),
            'Z' if count == 4 => Ok(Step::Zone(ZoneStyle::Localized { full: true })),
            'Z' if count == 5 => Ok(offset(5, "Z")),
            'Z' => upto(3, offset(2, "+0000")),
            'X' => upto(5, offset(count, "Z")),
            'x' => {
                upto(5, offset(count, ["+00", "+0000", "+00:00"][if count == 1 { 0 } else { 1 + count % 2 }]))
            }
            'Y' => Err(self
                .wrong("pattern letter 'Y' is the year of a week, which is not supported; the year is yyyy")),
            other => Err(self.wrong(&format!("pattern letter '{other}' is not supported"))),
        }
    }
}

fn literal(steps: &mut Vec<Step>, text: &str) {
    match steps.last_mut() {
        Some(Step::Literal(before)) => before.push_str(text),
        _ => steps.push(Step::Literal(text.to_string())),
    }
}

/// The first of several adjacent numbers leaves to the others, which have fixed widths, their digits.
fn reserve(steps: &mut [Step], first: &mut Option<usize>, next: &Step) {
    let fixed = match next {
        Step::Number(n) if n.min == n.max && n.sign == Sign::None => Some(n.max),
        Step::TwoDigitYear(_) => Some(2),
        Step::Fraction(width) => Some(*width),
        Step::Number(_) => None,
        _ => {
            *first = None;
            return;
        }
    };
    match (*first, fixed) {
        (Some(i), Some(width)) => {
            if let Some(Step::Number(n)) = steps.get_mut(i) {
                n.reserve += width;
            }
        }
        _ => *first = Some(steps.len()),
    }
}

fn value(field: Field, min: usize, max: usize, sign: Sign) -> Step {
    Step::Number(Number { field, min, max, sign, reserve: 0 })
}

fn number(field: Field, count: usize) -> Step {
    if count == 1 { value(field, 1, 19, Sign::Minus) } else { value(field, count, count, Sign::None) }
}

fn year(field: Field, count: usize) -> Step {
    match count {
        2 => Step::TwoDigitYear(field),
        1 | 3 => value(field, count, 19, Sign::Minus),
        _ => value(field, count, 19, Sign::Exceeds),
    }
}

fn number_or_name(field: Field, count: usize) -> Step {
    if count <= 2 { number(field, count) } else { Step::Name(field, width(count)) }
}

fn width(count: usize) -> Width {
    match count {
        5 => Width::Narrow,
        4 => Width::Full,
        _ => Width::Short,
    }
}

fn offset(count: usize, zero: &'static str) -> Step {
    let style = OffsetStyle { colon: matches!(count, 3 | 5), minutes: count > 1, seconds: count > 3, zero };
    Step::Zone(ZoneStyle::Offset(style))
}

//! Dates and times: reading and writing them by patterns, and moving them.
//!
//! Patterns and zones are nearly always literals, and rows that follow each other often have the same
//! minute: both are looked at once, not once a row.

use super::call::*;
use crate::batch::Column;
use crate::expr::Notes;
use crate::expr::function::{Arg, Binding, Category, Function, Kernel};
use crate::time::civil::DAY_MS;
use crate::time::{ParseFailure, Pattern, Zone};
use crate::types::SqlType;
use crate::value::Value;
use arrow_array::ArrayRef;
use arrow_array::builder::StringViewBuilder;
use std::sync::Arc;

const fn datetime(
    name: &'static str,
    usage: &'static str,
    summary: &'static str,
    resolve: fn(&[Arg]) -> Resolved,
) -> Function {
    Function { name, category: Category::DateTime, usage, summary, binding: Binding::Plain, resolve }
}

pub const STRINGTOTIMESTAMP: Function = datetime(
    "STRINGTOTIMESTAMP",
    "STRINGTOTIMESTAMP(text, pattern[, zone]) → BIGINT",
    "Reads a time by a pattern, as milliseconds since 1970; without a zone it is UTC.",
    |args| reader::<Bigint>(args, "STRINGTOTIMESTAMP", 3, Pattern::parse_timestamp),
);

pub const PARSE_TIMESTAMP: Function = datetime(
    "PARSE_TIMESTAMP",
    "PARSE_TIMESTAMP(text, pattern[, zone]) → TIMESTAMP",
    "Reads a time by a pattern; without a zone it is UTC.",
    |args| reader::<Timestamp>(args, "PARSE_TIMESTAMP", 3, Pattern::parse_timestamp),
);

pub const PARSE_DATE: Function =
    datetime("PARSE_DATE", "PARSE_DATE(text, pattern) → DATE", "Reads a date by a pattern.", |args| {
        reader::<Date>(args, "PARSE_DATE", 2, |pattern, text, _| pattern.parse_date(text))
    });

pub const PARSE_TIME: Function = datetime(
    "PARSE_TIME",
    "PARSE_TIME(text, pattern) → TIME",
    "Reads a time of day by a pattern.",
    |args| reader::<Time>(args, "PARSE_TIME", 2, |pattern, text, _| pattern.parse_time(text)),
);

pub const STRINGTODATE: Function = datetime(
    "STRINGTODATE",
    "STRINGTODATE(text, pattern) → INTEGER",
    "Reads a date by a pattern, as days since 1970.",
    |args| reader::<Int>(args, "STRINGTODATE", 2, |pattern, text, _| pattern.parse_date(text)),
);

pub const TIMESTAMPTOSTRING: Function = datetime(
    "TIMESTAMPTOSTRING",
    "TIMESTAMPTOSTRING(milliseconds, pattern[, zone]) → STRING\nTIMESTAMPTOSTRING(timestamp, pattern[, zone]) → STRING",
    "Writes a time by a pattern, as the clocks of a zone show it; without one in UTC.",
    |args| {
        one_of(
            args,
            &[
                |args| writer::<Timestamp>(args, "TIMESTAMPTOSTRING", 3, Pattern::compile, |ms| ms),
                |args| writer::<Bigint>(args, "TIMESTAMPTOSTRING", 3, Pattern::compile, |ms| ms),
            ],
        )
    },
);

pub const FORMAT_TIMESTAMP: Function = datetime(
    "FORMAT_TIMESTAMP",
    "FORMAT_TIMESTAMP(timestamp, pattern[, zone]) → STRING",
    "Writes a time by a pattern, as the clocks of a zone show it; without one in UTC.",
    |args| writer::<Timestamp>(args, "FORMAT_TIMESTAMP", 3, Pattern::compile, |ms| ms),
);

pub const FORMAT_DATE: Function =
    datetime("FORMAT_DATE", "FORMAT_DATE(date, pattern) → STRING", "Writes a date by a pattern.", |args| {
        writer::<Date>(args, "FORMAT_DATE", 2, date_pattern, |days| days as i64 * DAY_MS)
    });

pub const FORMAT_TIME: Function = datetime(
    "FORMAT_TIME",
    "FORMAT_TIME(time, pattern) → STRING",
    "Writes a time of day by a pattern.",
    |args| writer::<Time>(args, "FORMAT_TIME", 2, time_pattern, |ms| ms as i64),
);

pub const DATETOSTRING: Function = datetime(
    "DATETOSTRING",
    "DATETOSTRING(days, pattern) → STRING",
    "Writes a date, given as days since 1970, by a pattern.",
    |args| writer::<Int>(args, "DATETOSTRING", 2, date_pattern, |days| days as i64 * DAY_MS),
);

pub const CONVERT_TZ: Function = datetime(
    "CONVERT_TZ",
    "CONVERT_TZ(timestamp, from_zone, to_zone) → TIMESTAMP",
    "What the clocks of one zone show when those of another show the given time.",
    |args| {
        ternary_with::<Timestamp, Text, Text, Timestamp, _>(
            args,
            |literals| {
                Ok([Made::new(Zone::parse, literals.get(1))?, Made::new(Zone::parse, literals.get(2))?])
            },
            |[from, to], local, from_zone, to_zone| {
                let note = |reason| format!("CONVERT_TZ: {reason}");
                let utc = from.get(from_zone).map_err(note)?.to_utc(local);
                some(to.get(to_zone).map_err(note)?.to_local(utc))
            },
        )
    },
);

pub const FROM_DAYS: Function =
    datetime("FROM_DAYS", "FROM_DAYS(days) → DATE", "The date so many days after 1970-01-01.", |args| {
        unary::<Int, Date>(args, some)
    });

pub const UNIX_DATE: Function = datetime(
    "UNIX_DATE",
    "UNIX_DATE(date) → INTEGER\nUNIX_DATE() → INTEGER",
    "The days from 1970-01-01 to a date; without one to the present day in UTC, which is one day for all rows \
     of a tick.",
    |args| unary::<Date, Int>(args, some),
)
.bound(Binding::Now);

pub const FROM_UNIXTIME: Function = datetime(
    "FROM_UNIXTIME",
    "FROM_UNIXTIME(milliseconds) → TIMESTAMP",
    "The timestamp so many milliseconds after 1970-01-01T00:00Z.",
    |args| unary::<Bigint, Timestamp>(args, some),
);

pub const UNIX_TIMESTAMP: Function = datetime(
    "UNIX_TIMESTAMP",
    "UNIX_TIMESTAMP(timestamp) → BIGINT\nUNIX_TIMESTAMP() → BIGINT",
    "The milliseconds from 1970-01-01T00:00Z to a timestamp; without one to now, which is one time for all \
     rows of a tick. ROWTIME is the record's own.",
    |args| unary::<Timestamp, Bigint>(args, some),
)
.bound(Binding::Now);

pub const DATEADD: Function = datetime(
    "DATEADD",
    "DATEADD(unit, interval, date) → DATE",
    "A date moved forward; the unit is DAYS, HOURS, MINUTES, SECONDS or MILLISECONDS.",
    |args| shift::<Date>(args, "DATEADD", 1, |days, ms| move_date("DATEADD", days, ms)),
)
.bound(Binding::Unit);

pub const DATESUB: Function = datetime(
    "DATESUB",
    "DATESUB(unit, interval, date) → DATE",
    "A date moved back; the unit is DAYS, HOURS, MINUTES, SECONDS or MILLISECONDS.",
    |args| shift::<Date>(args, "DATESUB", -1, |days, ms| move_date("DATESUB", days, ms)),
)
.bound(Binding::Unit);

pub const TIMEADD: Function = datetime(
    "TIMEADD",
    "TIMEADD(unit, interval, time) → TIME",
    "A time of day moved forward, round the clock; the unit is HOURS, MINUTES, SECONDS or MILLISECONDS.",
    |args| shift::<Time>(args, "TIMEADD", 1, |time, ms| some((time as i64 + ms).rem_euclid(DAY_MS) as i32)),
)
.bound(Binding::Unit);

pub const TIMESUB: Function = datetime(
    "TIMESUB",
    "TIMESUB(unit, interval, time) → TIME",
    "A time of day moved back, round the clock; the unit is HOURS, MINUTES, SECONDS or MILLISECONDS.",
    |args| shift::<Time>(args, "TIMESUB", -1, |time, ms| some((time as i64 + ms).rem_euclid(DAY_MS) as i32)),
)
.bound(Binding::Unit);

pub const TIMESTAMPADD: Function = datetime(
    "TIMESTAMPADD",
    "TIMESTAMPADD(unit, interval, timestamp) → TIMESTAMP",
    "A timestamp moved forward; the unit is DAYS, HOURS, MINUTES, SECONDS or MILLISECONDS.",
    |args| shift::<Timestamp>(args, "TIMESTAMPADD", 1, |at, ms| some(at.wrapping_add(ms))),
)
.bound(Binding::Unit);

pub const TIMESTAMPSUB: Function = datetime(
    "TIMESTAMPSUB",
    "TIMESTAMPSUB(unit, interval, timestamp) → TIMESTAMP",
    "A timestamp moved back; the unit is DAYS, HOURS, MINUTES, SECONDS or MILLISECONDS.",
    |args| shift::<Timestamp>(args, "TIMESTAMPSUB", -1, |at, ms| some(at.wrapping_add(ms))),
)
.bound(Binding::Unit);

/// The pattern and zone arguments of a call site, compiled.
struct Compiled {
    patterns: Made<Pattern>,
    zones: Made<Zone>,
}

/// The same arguments as a batch has them: the second and, perhaps, the third.
struct Given<'a> {
    pattern: Cells<'a, Text>,
    zone: Option<Cells<'a, Text>>,
}

impl<'a> Given<'a> {
    fn of(args: &'a [Column]) -> Given<'a> {
        Given { pattern: Cells::of(&args[1]), zone: args.get(2).map(Cells::of) }
    }

    fn zone(&self, row: usize) -> Option<&'a str> {
        self.zone.as_ref().map_or(Some("UTC"), |cells| cells.get(row))
    }

    fn is_constant(&self) -> bool {
        self.pattern.is_constant() && self.zone.as_ref().is_none_or(Cells::is_constant)
    }
}

impl Compiled {
    fn new(
        compile: fn(&str) -> Result<Pattern, String>,
        literals: &[Option<Value>],
    ) -> Result<Compiled, String> {
        Ok(Compiled {
            patterns: Made::new(compile, literals.get(1))?,
            zones: Made::new(Zone::parse, literals.get(2))?,
        })
    }

    fn at(&mut self, given: &Given, row: usize) -> Outcome<(&Pattern, &mut Zone)> {
        let (Some(pattern), Some(zone)) = (given.pattern.get(row), given.zone(row)) else { return Ok(None) };
        some((self.patterns.get(pattern)?, self.zones.get(zone)?))
    }

    /// Pattern and zone where they are the same for all rows.
    fn constant(&mut self, given: &Given) -> Option<(&Pattern, &mut Zone)> {
        if given.is_constant() { self.at(given, 0).ok().flatten() } else { None }
    }
}

type Read<T> = fn(&Pattern, &[u8], &mut Zone) -> Result<T, ParseFailure>;

/// Text → a point in time.
struct Reader<R: Type> {
    name: &'static str,
    compiled: Compiled,
    read: Read<R::Out>,
}

/// A function of a text, a pattern and, where it takes three arguments, a zone.
fn reader<R: Type<Out: Copy>>(args: &[Arg], name: &'static str, most: usize, read: Read<R::Out>) -> Resolved {
    let types = texts(args, SqlType::Varchar, most)?;
    overload(args, types, R::sql(), move |literals| {
        Ok(Reader::<R> { name, compiled: Compiled::new(Pattern::compile, literals)?, read })
    })
}

fn texts(args: &[Arg], first: SqlType, most: usize) -> Result<Vec<SqlType>, String> {
    if args.len() < 2 || args.len() > most {
        return count(args, if most == 2 { "2" } else { "2 or 3" });
    }
    let mut types = vec![SqlType::Varchar; args.len()];
    types[0] = first;
    Ok(types)
}

impl<R: Type<Out: Copy>> Kernel for Reader<R> {
    fn eval(&mut self, args: &[Column], rows: usize, notes: &mut Notes) -> ArrayRef {
        let (name, read) = (self.name, self.read);
        let (cells, given) = (Cells::<Text>::of(&args[0]), Given::of(args));
        let parse = |text: &str, pattern: &Pattern, zone: &mut Zone| {
            read(pattern, text.as_bytes(), zone)
                .map_err(|failure| format!("{name}: {}", pattern.mismatch(text, failure)))
        };
        if let Some((pattern, zone)) = self.compiled.constant(&given) {
            let mut last: Option<(&str, R::Out)> = None;
            return fill::<R>(rows, notes, |i| match (cells.get(i), last) {
                (None, _) => Ok(None),
                (Some(text), Some((before, value))) if text == before => some(value),
                (Some(text), _) => {
                    let value = parse(text, pattern, zone)?;
                    last = Some((text, value));
                    some(value)
                }
            });
        }
        fill::<R>(rows, notes, |i| {
            let compiled = self.compiled.at(&given, i).map_err(|reason| format!("{name}: {reason}"))?;
            match (cells.get(i), compiled) {
                (Some(text), Some((pattern, zone))) => parse(text, pattern, zone).map(Some),
                _ => Ok(None),
            }
        })
    }
}

/// A point in time → text.
struct Writer<A: Type> {
    name: &'static str,
    compiled: Compiled,
    to_ms: for<'a> fn(A::Item<'a>) -> i64,
}

/// A function of a point in time, a pattern and, where it takes three arguments, a zone.
fn writer<A: Type>(
    args: &[Arg],
    name: &'static str,
    most: usize,
    compile: fn(&str) -> Result<Pattern, String>,
    to_ms: for<'a> fn(A::Item<'a>) -> i64,
) -> Resolved {
    let types = texts(args, A::sql(), most)?;
    overload(args, types, SqlType::Varchar, move |literals| {
        Ok(Writer::<A> { name, compiled: Compiled::new(compile, literals)?, to_ms })
    })
}

impl<A: Type> Kernel for Writer<A> {
    fn eval(&mut self, args: &[Column], rows: usize, notes: &mut Notes) -> ArrayRef {
        let (cells, given) = (Cells::<A>::of(&args[0]), Given::of(args));
        let constant = given.is_constant();
        let mut out = StringViewBuilder::with_capacity(rows);
        let mut text = String::new();
        let mut last = None;
        for i in 0..rows {
            let Some(ms) = cells.get(i).map(self.to_ms) else {
                out.append_null();
                continue;
            };
            // With one pattern and zone for all, the same time gives the same text.
            if constant && last == Some(ms) {
                out.append_value(&text);
                continue;
            }
            match self.compiled.at(&given, i) {
                Ok(Some((pattern, zone))) => {
                    text.clear();
                    pattern.format_timestamp(ms, zone, &mut text);
                    last = Some(ms);
                    out.append_value(&text);
                }
                Ok(None) => out.append_null(),
                Err(reason) => {
                    notes.note(i, || format!("{}: {reason}", self.name));
                    out.append_null();
                }
            }
        }
        Arc::new(out.finish())
    }
}

fn date_pattern(text: &str) -> Result<Pattern, String> {
    let pattern = Pattern::compile(text)?;
    let needs = pattern.needs();
    if needs.time || needs.zone {
        Err(format!("pattern '{text}' has a time or zone, a DATE has none"))
    } else {
        Ok(pattern)
    }
}

fn time_pattern(text: &str) -> Result<Pattern, String> {
    let pattern = Pattern::compile(text)?;
    let needs = pattern.needs();
    if needs.date || needs.zone {
        Err(format!("pattern '{text}' has a date or zone, a TIME has none"))
    } else {
        Ok(pattern)
    }
}

/// A function of a unit, an interval and a point in time.
fn shift<T: Type>(
    args: &[Arg],
    name: &'static str,
    sign: i128,
    add: impl for<'a> Fn(T::Item<'a>, i64) -> Outcome<T::Out> + Copy + 'static,
) -> Resolved {
    ternary_with::<Text, Int, T, T, _>(
        args,
        |literals| Made::new(unit_ns, literals.first()),
        move |units, unit, interval, at| {
            // At most 2^31 days: their milliseconds fit.
            let ms =
                sign * interval as i128 * *units.get(unit).map_err(|reason| format!("{name}: {reason}"))?
                    / 1_000_000;
            add(at, ms as i64)
        },
    )
}

/// Whether DATEADD and its like know a unit by that name.
pub fn is_unit(name: &str) -> bool {
    unit_ns(name).is_ok()
}

/// Nanoseconds of a unit.
fn unit_ns(unit: &str) -> Result<i128, String> {
    let name = unit.to_ascii_uppercase();
    Ok(match name.strip_suffix('S').unwrap_or(&name) {
        "DAY" => 86_400_000_000_000,
        "HOUR" => 3_600_000_000_000,
        "MINUTE" => 60_000_000_000,
        "SECOND" => 1_000_000_000,
        "MILLISECOND" => 1_000_000,
        "MICROSECOND" => 1_000,
        "NANOSECOND" => 1,
        _ => {
            return Err(format!(
                "unknown unit {}; hint: DAYS, HOURS, MINUTES, SECONDS, MILLISECONDS",
                shown(unit)
            ));
        }
    })
}

/// What is left of a day is cut off.
fn move_date(name: &str, days: i32, ms: i64) -> Outcome<i32> {
    let moved = (days as i64 * DAY_MS).saturating_add(ms).div_euclid(DAY_MS);
    i32::try_from(moved).map(Some).map_err(|_| format!("{name}: day {moved} is out of range"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{check, check_errors, s};
    use super::{Arg, Column, Notes, STRINGTOTIMESTAMP, SqlType, Value};
    use crate::value::Value::*;

    const MINUTES: &str = "yyyy-MM-dd HH:mm";
    const LONDON: &str = "Europe/London";

    #[test]
    fn reading_and_writing() {
        check(&[
            ("STRINGTOTIMESTAMP", &[s("2020-10-11 22:25"), s(MINUTES), s(LONDON)], Bigint(1_602_451_500_000)),
            ("STRINGTOTIMESTAMP", &[s("2020-10-25 01:30"), s(MINUTES), s(LONDON)], Bigint(1_603_585_800_000)),
            ("STRINGTOTIMESTAMP", &[s("2021-03-28 01:30"), s(MINUTES), s(LONDON)], Bigint(1_616_895_000_000)),
            ("STRINGTOTIMESTAMP", &[s("1970-01-02 00:00"), s(MINUTES)], Bigint(86_400_000)),
            ("STRINGTOTIMESTAMP", &[Null, s(MINUTES)], Null),
            ("STRINGTOTIMESTAMP", &[s("1970-01-02 00:00"), s(MINUTES), Null], Null),
            (
                "PARSE_TIMESTAMP",
                &[s("2020-10-11 22:25"), s(MINUTES), s("+01:00")],
                Timestamp(1_602_451_500_000),
            ),
            ("PARSE_DATE", &[s("11/10/2020"), s("dd/MM/yyyy")], Date(18_546)),
            ("PARSE_TIME", &[s("22:25"), s("HH:mm")], Time(80_700_000)),
            ("STRINGTODATE", &[s("2020-10-11"), s("yyyy-MM-dd")], Int(18_546)),
            ("TIMESTAMPTOSTRING", &[Bigint(1_602_451_500_000), s(MINUTES), s(LONDON)], s("2020-10-11 22:25")),
            ("TIMESTAMPTOSTRING", &[Timestamp(0), s("HH 'o''clock'")], s("00 o'clock")),
            ("FORMAT_TIMESTAMP", &[Timestamp(1_602_451_500_000), s("HH:mm z"), s(LONDON)], s("22:25 BST")),
            ("FORMAT_DATE", &[Date(18_546), s("d MMM yyyy")], s("11 Oct 2020")),
            ("FORMAT_TIME", &[Time(80_700_000), s("h:mm a")], s("10:25 PM")),
            ("DATETOSTRING", &[Int(-1), s("yyyy-MM-dd")], s("1969-12-31")),
        ]);
        check_errors(&[
            (
                "STRINGTOTIMESTAMP",
                &[s("2020-13-01 00:00"), s(MINUTES)],
                "STRINGTOTIMESTAMP: '2020-13-01 00:00' does not match 'yyyy-MM-dd HH:mm' (month 13)",
            ),
            ("STRINGTOTIMESTAMP", &[s("x"), s(MINUTES), s("Europe/Leeds")], "unknown zone 'Europe/Leeds'"),
            ("STRINGTOTIMESTAMP", &[s("x"), s("yyyy-ww")], "pattern letter 'w' is not supported"),
            ("FORMAT_DATE", &[Date(0), s("HH")], "pattern 'HH' has a time or zone, a DATE has none"),
            ("FORMAT_TIME", &[Time(0), s("dd")], "pattern 'dd' has a date or zone, a TIME has none"),
            ("STRINGTOTIMESTAMP", &[s("x")], "takes 2 or 3 arguments, not 1"),
        ]);
    }

    #[test]
    fn moving() {
        check(&[
            ("CONVERT_TZ", &[Timestamp(0), s("UTC"), s("+05:30")], Timestamp(19_800_000)),
            (
                "CONVERT_TZ",
                &[Timestamp(1_602_455_100_000), s(LONDON), s("UTC")],
                Timestamp(1_602_451_500_000),
            ),
            ("FROM_DAYS", &[Int(5)], Date(5)),
            ("UNIX_DATE", &[Date(5)], Int(5)),
            ("FROM_UNIXTIME", &[Int(5)], Timestamp(5)),
            ("UNIX_TIMESTAMP", &[Timestamp(5)], Bigint(5)),
            ("DATEADD", &[s("DAYS"), Int(5), Date(1)], Date(6)),
            ("DATEADD", &[s("HOURS"), Int(-1), Date(1)], Date(0)),
            ("DATESUB", &[s("day"), Int(5), Date(1)], Date(-4)),
            ("TIMEADD", &[s("MINUTES"), Int(90), Time(82_800_000)], Time(1_800_000)),
            ("TIMESUB", &[s("SECONDS"), Int(1), Time(0)], Time(86_399_000)),
            ("TIMESTAMPADD", &[s("MILLISECONDS"), Int(7), Timestamp(1)], Timestamp(8)),
            ("TIMESTAMPSUB", &[s("DAYS"), Int(1), Timestamp(0)], Timestamp(-86_400_000)),
        ]);
        check_errors(&[
            ("DATEADD", &[s("FORTNIGHTS"), Int(1), Date(0)], "unknown unit 'FORTNIGHTS'"),
            ("DATEADD", &[s("DAYS"), Int(1), Date(i32::MAX)], "DATEADD: day 2147483648 is out of range"),
        ]);
    }

    #[test]
    fn patterns_and_zones_may_differ_by_row() {
        let types = [SqlType::Varchar, SqlType::Varchar, SqlType::Varchar];
        let args: Vec<Arg> = types.iter().map(|ty| Arg { ty: Some(ty), literal: None }).collect();
        let overload = (STRINGTOTIMESTAMP.resolve)(&args).unwrap();
        let mut kernel = (overload.kernel)(&[None, None, None]).unwrap();
        let column =
            |texts: [&str; 3]| Column::Array(Value::array(&SqlType::Varchar, texts.map(Value::text).iter()));
        let mut notes = Notes::default();
        let result = kernel.eval(
            &[
                column(["1970-01-01", "1970-01-01", "1970"]),
                column(["yyyy-MM-dd", "yyyy-dd-MM", "?"]),
                column(["Z", "+01:00", "Mars"]),
            ],
            3,
            &mut notes,
        );
        let found: Vec<Value> = (0..3).map(|i| Value::at(&result, i)).collect();
        assert_eq!(found, [Bigint(0), Bigint(-3_600_000), Null]);
        assert_eq!(notes.notes.len(), 1);
    }
}

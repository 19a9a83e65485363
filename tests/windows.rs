//! Windows and joins of streams against a recomputation from scratch: rows of several partitions, with times
//! that are out of order, late and equal, on 1, 2 and 4 workers, with coarse and fine ticks.

use crate::harness::{COARSE, Cut, FINE, Random, Run, Site};
use std::collections::BTreeMap;

fn cuts() -> impl Iterator<Item = Cut> {
    [1, 2, 4].into_iter().flat_map(|workers| [COARSE.workers(workers), FINE.workers(workers)])
}

/// How much later what is read first is than what is read next: there is no room for all that waits then.
const APART: [i64; 6] = [0, 20_000, 20_000, 0, 0, 20_000];

/// A row with what the engine makes of its place: the greatest time that its partition has come to, then the
/// partition and the place in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    stamp: i64,
    partition: usize,
    nth: usize,
    time: i64,
    key: Option<&'static str>,
    value: i64,
}

/// A topic of some files, each a partition, and its rows by position. `values` begin at that number, and none is
/// there twice, times at `from` or soon after.
fn topic(
    (site, name, more): (Site, &str, &str),
    random: &mut Random,
    [values, from]: [i64; 2],
    null_keys: bool,
) -> (Site, Vec<Row>) {
    let (mut rows, mut value) = (Vec::new(), values);
    for partition in 0..3 {
        let (mut lines, mut stamp, mut now) = (String::new(), 0, from + random.below(5_000) as i64);
        for nth in 0..80 {
            now += random.below(800) as i64;
            let back = if random.chance(4) { random.below(16_000) as i64 } else { 0 };
            // Many are equal.
            let time = (now - back).max(0) / 500 * 500;
            stamp = time.max(stamp);
            let key = (!null_keys || !random.chance(12)).then(|| *random.pick(&["a", "b", "c"]));
            lines += &format!("{},{value},{time}\n", key.unwrap_or_default());
            rows.push(Row { stamp, partition, nth, time, key, value });
            value += 1;
        }
        site.write(&format!("{name}-{partition}.csv"), lines);
    }
    let site = site.and(&format!("[topics.{name}]\nconnector = \"file\"\npath = \"{name}-*.csv\"\n{more}"));
    rows.sort();
    (site, rows)
}

fn declared(name: &str) -> String {
    format!(
        "CREATE STREAM {name} (K VARCHAR, V INT, T BIGINT)
             WITH (KAFKA_TOPIC='{name}', VALUE_FORMAT='DELIMITED', TIMESTAMP='T');"
    )
}

fn check(run: &mut Run, query: &str, mut expected: Vec<String>, seed: u64, cut: Cut) {
    let mut found = run.ask(query);
    found.sort();
    expected.sort();
    assert_eq!(found, expected, "{query}, seed {seed}, {cut:?}");
}

// ---- windows ----

#[derive(Clone, Copy)]
struct Windows {
    name: &'static str,
    text: &'static str,
    size: i64,
    advance: i64,
    grace: i64,
    retention: i64,
    is_final: bool,
}

const DAY: i64 = 24 * 3_600_000;

const WINDOWS: [Windows; 5] = [
    Windows {
        name: "TUMBLING",
        text: "TUMBLING (SIZE 5 SECONDS, GRACE PERIOD 2 SECONDS)",
        size: 5_000,
        advance: 5_000,
        grace: 2_000,
        retention: DAY,
        is_final: false,
    },
    Windows {
        name: "HOPPING",
        text: "HOPPING (SIZE 7 SECONDS, ADVANCE BY 3 SECONDS, GRACE PERIOD 1 SECOND)",
        size: 7_000,
        advance: 3_000,
        grace: 1_000,
        retention: DAY,
        is_final: false,
    },
    Windows {
        name: "GOING",
        text: "HOPPING (SIZE 4 SECONDS, ADVANCE BY 1 SECOND, RETENTION 12 SECONDS, GRACE PERIOD 3 SECONDS)",
        size: 4_000,
        advance: 1_000,
        grace: 3_000,
        retention: 12_000,
        is_final: false,
    },
    Windows {
        name: "FINAL_",
        text: "TUMBLING (SIZE 5 SECONDS, GRACE PERIOD 2 SECONDS)",
        size: 5_000,
        advance: 5_000,
        grace: 2_000,
        retention: DAY,
        is_final: true,
    },
    Windows {
        name: "FINAL_HOPPING",
        text: "HOPPING (SIZE 6 SECONDS, ADVANCE BY 4 SECONDS)",
        size: 6_000,
        advance: 4_000,
        grace: 0,
        retention: DAY,
        is_final: true,
    },
];

impl Windows {
    fn statement(&self) -> String {
        let emit = if self.is_final { "FINAL" } else { "CHANGES" };
        format!(
            "CREATE TABLE {} AS SELECT K, COUNT(*) AS N, SUM(V) AS S, COLLECT_LIST(V) AS L,
                 LATEST_BY_OFFSET(V) AS LAST FROM S WINDOW {} WHERE V % 7 > 0 GROUP BY K EMIT {emit};",
            self.name, self.text
        )
    }

    /// The starts of the windows that a time is in.
    fn starts(&self, time: i64) -> impl Iterator<Item = i64> {
        let (size, advance) = (self.size, self.advance);
        (0..=time / advance).map(move |n| n * advance).filter(move |start| time < start + size)
    }

    /// The table's rows, and how often a row was late for a window.
    fn expected(&self, rows: &[Row]) -> (Vec<String>, usize) {
        let mut groups: BTreeMap<(&str, i64), Vec<i64>> = BTreeMap::new();
        let mut late = 0;
        for row in rows.iter().filter(|row| row.value % 7 > 0) {
            for start in self.starts(row.time) {
                match (start + self.size > row.stamp - self.grace, row.key) {
                    (false, _) => late += 1,
                    (true, None) => {}
                    (true, Some(key)) => groups.entry((key, start)).or_default().push(row.value),
                }
            }
        }
        let clock = clock(rows);
        let stays = |start: i64| match self.is_final {
            true => start + self.size + self.grace <= clock,
            false => start + self.retention > clock,
        };
        let shown = groups.iter().filter(|((_, start), _)| stays(*start));
        (shown.map(|((key, start), values)| group(key, [*start, start + self.size], values)).collect(), late)
    }
}

/// The time of the source: the least that its partitions have come to.
fn clock(rows: &[Row]) -> i64 {
    let last = |partition| rows.iter().filter(|row| row.partition == partition).map(|row| row.stamp).max();
    (0..3).filter_map(last).min().unwrap()
}

/// A row of a windowed table.
fn group(key: &str, [start, end]: [i64; 2], values: &[i64]) -> String {
    let list: Vec<String> = values.iter().map(i64::to_string).collect();
    format!(
        r#"{{"K":"{key}","WINDOWSTART":{start},"WINDOWEND":{end},"N":{},"S":{},"L":[{}],"LAST":{}}}"#,
        values.len(),
        values.iter().sum::<i64>(),
        list.join(","),
        values.last().unwrap()
    )
}

/// Questions to some keys or windows answer what all of the table says of them.
fn check_parts(run: &mut Run, table: &str, all: &[String], seed: u64, cut: Cut) {
    let of = |row: &str| -> (String, i64) {
        let row: serde_json::Value = serde_json::from_str(row).unwrap();
        (row["K"].as_str().unwrap().into(), row["WINDOWSTART"].as_i64().unwrap())
    };
    let mut starts: Vec<i64> = all.iter().map(|row| of(row).1).collect();
    starts.sort();
    let (low, high) = (starts[starts.len() / 4], starts[starts.len() / 2]);
    type Part = (String, Box<dyn Fn(&str, i64) -> bool>);
    let parts: [Part; 6] = [
        ("K = 'b'".into(), Box::new(|key, _| key == "b")),
        ("K IN ('c', 'nobody', 'a')".into(), Box::new(|key, _| key != "b")),
        (
            format!("WINDOWSTART >= {low} AND {high} > WINDOWSTART"),
            Box::new(move |_, at| at >= low && at < high),
        ),
        (
            format!("K = 'a' AND WINDOWSTART BETWEEN {low} AND {high}"),
            Box::new(move |key, at| key == "a" && at >= low && at <= high),
        ),
        (format!("'a' = K AND WINDOWSTART = {low}"), Box::new(move |key, at| key == "a" && at == low)),
        (format!("K = 'a' OR WINDOWSTART > {high}"), Box::new(move |key, at| key == "a" || at > high)),
    ];
    for (condition, holds) in parts {
        let is_meant = |row: &&String| {
            let (key, start) = of(row);
            holds(&key, start)
        };
        let expected = all.iter().filter(is_meant).cloned().collect();
        check(run, &format!("SELECT * FROM {table} WHERE {condition}"), expected, seed, cut);
    }
}

fn late_in(run: &mut Run, stage: &str) -> usize {
    let rejects = run.ask("SELECT STAGE FROM WHARFE_REJECTS WHERE REASON LIKE 'late by%'");
    rejects.iter().filter(|row| row.contains(stage)).count()
}

#[test]
fn windows_of_time() {
    for (seed, cut) in (1..).zip(cuts()) {
        let (site, rows) = topic((Site::new(), "S", ""), &mut Random(seed), [0, 0], true);
        let script = WINDOWS.iter().map(Windows::statement).collect::<String>();
        let mut run = Run::once(&site, cut, &(declared("S") + &script));
        for windows in WINDOWS {
            let (expected, late) = windows.expected(&rows);
            assert!(!expected.is_empty() && late > 0, "{} shows nothing", windows.name);
            check_parts(&mut run, windows.name, &expected, seed, cut);
            check(&mut run, &format!("SELECT * FROM {}", windows.name), expected, seed, cut);
            let found = late_in(&mut run, &format!("window of CTAS_{}_", windows.name));
            assert_eq!(found, late, "{}, seed {seed}, {cut:?}", windows.name);
        }
        crate::books::check(&mut run);
    }
}

// ---- sessions ----

const GAP: i64 = 500;
const SESSION_GRACE: i64 = 1_000;
const RETENTION: i64 = 4_000;

/// A session: its key, its first and last time, and the places and values of its rows.
type Session = (&'static str, [i64; 2], Vec<(usize, i64)>);

/// The rows of the table, and how many are late. After `horizon` a session is over, or gone.
fn sessions(rows: &[Row], horizon: i64, is_final: bool) -> (Vec<String>, usize) {
    let (mut sessions, mut late): (Vec<Session>, usize) = (Vec::new(), 0);
    for (place, row) in rows.iter().enumerate() {
        let Some(key) = row.key else { continue };
        let is_near = |(of, [start, end], _): &Session| {
            *of == key && *end >= row.stamp - horizon && *start <= row.time + GAP && *end >= row.time - GAP
        };
        let near = sessions.iter().filter(|session| is_near(session));
        let bounds = near.fold([row.time; 2], |[start, end], (_, of, _)| [start.min(of[0]), end.max(of[1])]);
        if bounds[1] < row.stamp - SESSION_GRACE - GAP {
            late += 1;
            continue;
        }
        let merged = sessions.extract_if(.., |session| is_near(session));
        let mut of: Vec<(usize, i64)> = merged.flat_map(|(_, _, rows)| rows).collect();
        of.push((place, row.value));
        of.sort();
        sessions.push((key, bounds, of));
    }
    let clock = clock(rows);
    let shown = sessions.iter().filter(|(_, [_, end], _)| (end + horizon < clock) == is_final);
    let group = |(key, bounds, of): &Session| {
        group(key, *bounds, &of.iter().map(|(_, value)| *value).collect::<Vec<i64>>())
    };
    (shown.map(group).collect(), late)
}

#[test]
fn windows_of_sessions() {
    let tables = [
        ("ALL_", "", "CHANGES", DAY, false),
        ("BRIEF", "RETENTION 4 SECONDS,", "CHANGES", RETENTION, false),
        ("LAST_", "", "FINAL", GAP + SESSION_GRACE, true),
    ];
    for (seed, cut) in (60..).zip(cuts()) {
        let (site, rows) = topic((Site::new(), "S", ""), &mut Random(seed), [0, 0], true);
        let mut script = declared("S");
        for (name, retention, emit, ..) in tables {
            script += &format!(
                "CREATE TABLE {name} AS SELECT K, COUNT(*) AS N, SUM(V) AS S, COLLECT_LIST(V) AS L,
                     LATEST_BY_OFFSET(V) AS LAST
                     FROM S WINDOW SESSION (500 MILLISECONDS, {retention} GRACE PERIOD 1 SECOND)
                     GROUP BY K EMIT {emit};"
            );
        }
        let mut run = Run::once(&site, cut, &script);
        for (name, _, _, horizon, is_final) in tables {
            let (expected, late) = sessions(&rows, horizon, is_final);
            assert!(expected.len() > 2 && late > 0, "{name} shows nothing");
            check_parts(&mut run, name, &expected, seed, cut);
            check(&mut run, &format!("SELECT * FROM {name}"), expected, seed, cut);
            let found = late_in(&mut run, &format!("aggregate of CTAS_{name}_"));
            assert_eq!(found, late, "{name}, seed {seed}, {cut:?}");
        }
    }
}

// ---- joins of streams ----

const BEFORE: i64 = 2_000;
const AFTER: i64 = 3_000;
const GRACE: i64 = 1_000;

/// A row of one of two streams; the left ones come first where all else is equal.
type Sided<'r> = (i64, usize, &'r Row);

/// The rows of both in the order in which a join sees them.
fn in_order<'r>([first, second]: [&'r [Row]; 2]) -> Vec<Sided<'r>> {
    let of = |side: usize, rows: &'r [Row]| rows.iter().map(move |row| (row.stamp, side, row));
    let mut all: Vec<Sided> = of(0, first).chain(of(1, second)).collect();
    all.sort();
    all
}

/// The last time at which a row may still find a partner.
fn end((_, side, row): &Sided) -> i64 {
    row.time + if *side == 0 { AFTER } else { BEFORE } + GRACE
}

/// The pairs by the values of their rows, -1 for none, and how many rows are late.
fn pairs(sides: [&[Row]; 2], keeps: [bool; 2]) -> (Vec<[i64; 2]>, usize) {
    let all = in_order(sides);
    let in_time: Vec<&Sided> = all.iter().filter(|of| of.2.key.is_none() || end(of) >= of.0).collect();
    let (mut found, mut matched) = (Vec::new(), vec![false; in_time.len()]);
    for (i, later) in in_time.iter().enumerate() {
        for (j, earlier) in in_time[..i].iter().enumerate() {
            let (left, right) = if later.1 == 0 { (later, earlier) } else { (earlier, later) };
            let is_near = (left.2.time - BEFORE..=left.2.time + AFTER).contains(&right.2.time);
            if later.1 != earlier.1
                && later.2.key.is_some()
                && later.2.key == earlier.2.key
                && is_near
                && end(earlier) >= later.0
            {
                found.push([left.2.value, right.2.value]);
                (matched[i], matched[j]) = (true, true);
            }
        }
    }
    let last = all.last().unwrap().0;
    for (of, _) in in_time.iter().zip(&matched).filter(|(_, matched)| !**matched) {
        if keeps[of.1] && (of.2.key.is_none() || end(of) < last) {
            found.push(if of.1 == 0 { [of.2.value, -1] } else { [-1, of.2.value] });
        }
    }
    (found, all.len() - in_time.len())
}

#[test]
fn joins_of_two_streams() {
    let joins =
        [("INNER", [false; 2]), ("LEFT", [true, false]), ("RIGHT", [false, true]), ("FULL", [true; 2])];
    for (seed, (cut, apart)) in (20..).zip(cuts().zip(APART)) {
        let mut random = Random(seed);
        let (site, left) = topic((Site::new(), "L", ""), &mut random, [0, apart], true);
        let (site, right) = topic((site, "R", ""), &mut random, [1_000, 0], true);
        let mut script = declared("L") + &declared("R");
        for (kind, _) in joins {
            script += &format!(
                "CREATE TABLE {kind}_ WITH (KEY_FORMAT='JSON') AS
                     SELECT COALESCE(L.V, -1) AS L, COALESCE(R.V, -1) AS R, COUNT(*) AS N
                     FROM L {kind} JOIN R WITHIN (2 SECONDS, 3 SECONDS) GRACE PERIOD 1 SECOND ON L.K = R.K
                     GROUP BY COALESCE(L.V, -1), COALESCE(R.V, -1);"
            );
        }
        let mut run = Run::once(&site, cut, &script);
        for (kind, keeps) in joins {
            let (expected, late) = pairs([&left, &right], keeps);
            assert!(expected.len() > 50 && late > 0, "{kind}: {} pairs, {late} late", expected.len());
            let shown = expected.iter().map(|[l, r]| format!(r#"{{"L":{l},"R":{r},"N":1}}"#));
            check(&mut run, &format!("SELECT * FROM {kind}_"), shown.collect(), seed, cut);
            let found = late_in(&mut run, &format!("join of CTAS_{kind}__"));
            assert_eq!(found, late, "{kind}, seed {seed}, {cut:?}");
        }
        crate::books::check(&mut run);
    }
}

#[test]
fn a_stream_finds_the_rows_that_a_table_had() {
    for (seed, (cut, apart)) in (40..).zip(cuts().zip(APART)) {
        let mut random = Random(seed);
        let (site, table) = topic((Site::new(), "D", "key = [\"K\"]"), &mut random, [0, apart], false);
        let (site, stream) = topic((site, "S", ""), &mut random, [1_000, 0], true);
        let script = declared("S")
            + "CREATE TABLE D (K VARCHAR PRIMARY KEY, V INT, T BIGINT)
                   WITH (KAFKA_TOPIC='D', VALUE_FORMAT='DELIMITED', TIMESTAMP='T');
               CREATE TABLE FOUND AS SELECT S.V AS V, LATEST_BY_OFFSET(D.V) AS OLD, COUNT(*) AS N
                   FROM S LEFT JOIN D ON S.K = D.K GROUP BY S.V;";
        let (mut rows, mut expected) = (BTreeMap::new(), Vec::new());
        for (_, side, row) in in_order([&table, &stream]) {
            let found = row.key.and_then(|key| rows.get(key));
            match (side, row.key) {
                (0, Some(key)) => drop(rows.insert(key, row.value)),
                _ => {
                    let found = found.map_or("null".into(), i64::to_string);
                    expected.push(format!(r#"{{"V":{},"OLD":{found},"N":1}}"#, row.value));
                }
            }
        }
        let mut run = Run::once(&site, cut, &script);
        check(&mut run, "SELECT * FROM FOUND", expected, seed, cut);
        crate::books::check(&mut run);
    }
}

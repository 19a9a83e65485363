//! Random queries twice: as an answer that a thread reads on its own, and as what a dataflow stores or maintains.
//! Both must have the same rows.

use crate::harness::{COARSE, Cut, Random, Run, Site};
use std::fmt::Write;

const SOURCE: &str = "
    CREATE STREAM S (K VARCHAR KEY, I INT, B BIGINT, D DECIMAL(8, 2), F DOUBLE, T VARCHAR, A ARRAY<INT>, AT BIGINT)
        WITH (KAFKA_TOPIC='s', VALUE_FORMAT='JSON', TIMESTAMP='AT');
    CREATE TABLE P (ID INT PRIMARY KEY, NAME VARCHAR, W INT, AT BIGINT)
        WITH (KAFKA_TOPIC='p', VALUE_FORMAT='JSON', TIMESTAMP='AT');
";
const FIRST_MS: i64 = 1_700_000_000_000;
const ROWS: usize = 300;
const QUERIES: usize = 12;

/// Records of both topics, with NULLs and times that run backwards; rows of the table come and change meanwhile.
fn site(random: &mut Random) -> Site {
    let mut rows = String::new();
    let mut time = FIRST_MS;
    for _ in 0..ROWS {
        time += random.below(4_000) as i64 - 500;
        let mut some = |text: String| if random.chance(7) { "null".into() } else { text };
        let small = |random: &mut Random| random.below(9) as i64 - 3;
        let mut inner = Random(time as u64);
        let fields = [
            some(format!("{:?}", inner.pick(&["a", "b", "Zürich", "x, y", ""]))),
            some(small(&mut inner).to_string()),
            some((inner.next() as i64 >> inner.below(60)).to_string()),
            some(format!("{}.{:02}", small(&mut inner), inner.below(100))),
            some((small(&mut inner) as f64 / 8.0).to_string()),
            some(format!("{:?}", inner.pick(&["pear", "apple", "ä%_", "7"]))),
            some(format!("[{}, null, {}]", small(&mut inner), small(&mut inner))),
        ];
        let [k, i, b, d, f, t, a] = fields;
        writeln!(rows, r#"{{"K":{k},"I":{i},"B":{b},"D":{d},"F":{f},"T":{t},"A":{a},"AT":{time}}}"#)
            .expect("a string takes all");
    }
    let mut parks = String::new();
    for at in 0..40 {
        let (id, weight) = (random.below(8) as i64 - 3, random.below(9));
        let time = FIRST_MS - 5_000 + at * 10_000;
        writeln!(parks, r#"{{"ID":{id},"NAME":"p{id}","W":{weight},"AT":{time}}}"#)
            .expect("a string takes all");
    }
    Site::new()
        .keeping_data()
        .with("s", "s.jsonl", rows)
        .and("key = [\"K\"]")
        .with("p", "p.jsonl", parks)
        .and("key = [\"ID\"]")
}

/// Makes expressions of columns that are in reach.
struct Grammar<'r> {
    random: &'r mut Random,
    ints: &'static [&'static str],
    texts: &'static [&'static str],
    numbers: &'static [&'static str],
}

impl Grammar<'_> {
    fn int(&mut self, depth: u32) -> String {
        match self.random.below(if depth == 0 { 2 } else { 8 }) {
            0 => self.random.pick(self.ints).to_string(),
            1 => (self.random.below(7) as i64 - 2).to_string(),
            2 => format!("({} + {})", self.int(depth - 1), self.int(depth - 1)),
            3 => format!("LEN({})", self.text(depth - 1)),
            4 => format!("COALESCE({}, {})", self.int(depth - 1), self.random.below(5)),
            5 => format!("ABS({})", self.int(depth - 1)),
            6 => format!("CAST({} AS INT)", self.number(depth - 1)),
            _ => {
                let condition = self.condition(depth - 1);
                format!("CASE WHEN {condition} THEN {} ELSE {} END", self.int(depth - 1), self.int(depth - 1))
            }
        }
    }

    fn number(&mut self, depth: u32) -> String {
        match self.random.below(if depth == 0 { 2 } else { 5 }) {
            0 => self.random.pick(self.numbers).to_string(),
            1 => format!("{}.5", self.random.below(4)),
            2 => format!("({} * {})", self.number(depth - 1), self.int(depth - 1)),
            3 => format!("ROUND({})", self.number(depth - 1)),
            _ => format!("({} - {})", self.number(depth - 1), self.number(depth - 1)),
        }
    }

    fn text(&mut self, depth: u32) -> String {
        match self.random.below(if depth == 0 { 2 } else { 7 }) {
            0 => self.random.pick(self.texts).to_string(),
            1 => format!("'{}'", self.random.pick(&["a", "pear", "", "ü"])),
            2 => format!("CONCAT({}, {})", self.text(depth - 1), self.text(depth - 1)),
            3 => format!("UCASE({})", self.text(depth - 1)),
            4 => format!("SUBSTRING({}, 2, {})", self.text(depth - 1), self.random.below(3) + 1),
            5 => format!("CAST({} AS VARCHAR)", self.int(depth - 1)),
            _ => format!("IFNULL({}, '-')", self.text(depth - 1)),
        }
    }

    fn condition(&mut self, depth: u32) -> String {
        match self.random.below(if depth == 0 { 4 } else { 8 }) {
            0 => format!(
                "{} {} {}",
                self.int(depth),
                self.random.pick(&["<", ">=", "<>", "="]),
                self.int(depth)
            ),
            1 => format!("{} LIKE '%{}%'", self.text(depth), self.random.pick(&["a", "e", "%", "_"])),
            2 => format!("{} IS {}NULL", self.text(depth), self.random.pick(&["", "NOT "])),
            3 => format!("{} BETWEEN -1 AND {}", self.number(depth), self.random.below(4)),
            4 => format!("({} AND {})", self.condition(depth - 1), self.condition(depth - 1)),
            5 => format!("({} OR {})", self.condition(depth - 1), self.condition(depth - 1)),
            6 => format!("NOT {}", self.condition(depth - 1)),
            _ => format!("{} IN ({}, {})", self.int(depth - 1), self.random.below(3), self.int(depth - 1)),
        }
    }

    fn value(&mut self) -> String {
        match self.random.below(3) {
            0 => self.int(2),
            1 => self.number(2),
            _ => self.text(2),
        }
    }

    fn call(&mut self) -> String {
        match self.random.below(13) {
            0 => "COUNT(*)".into(),
            1 => format!("COUNT({})", self.text(1)),
            2 => format!("SUM({})", self.int(1)),
            3 => format!("SUM({})", self.number(1)),
            4 => format!("AVG({})", self.number(1)),
            5 => format!("MIN({})", self.text(1)),
            6 => format!("MAX({})", self.int(1)),
            7 => format!("LATEST_BY_OFFSET({})", self.value()),
            8 => format!("EARLIEST_BY_OFFSET({}, 2)", self.text(1)),
            9 => format!("COLLECT_LIST({})", self.int(1)),
            10 => format!("COLLECT_SET({})", self.text(1)),
            11 => format!("TOPK({}, 2)", self.int(1)),
            _ => format!("COUNT_DISTINCT({})", self.text(1)),
        }
    }
}

/// A relation that queries read, and what is in reach of them.
fn relation(random: &mut Random) -> (&'static str, Grammar<'_>) {
    match random.below(4) {
        0 | 1 => ("S", Grammar { random, ints: &["I", "LEN(T)"], texts: &["K", "T"], numbers: &["D", "F"] }),
        2 => (
            "S LEFT JOIN P ON S.I = P.ID",
            Grammar { random, ints: &["S.I", "P.W"], texts: &["S.K", "P.NAME"], numbers: &["S.D", "S.F"] },
        ),
        _ => (
            "(SELECT K, EXPLODE(A) AS I, T AS U, F + 1 AS F FROM S WHERE B > 0)",
            Grammar { random, ints: &["I"], texts: &["K", "U"], numbers: &["F"] },
        ),
    }
}

/// So many texts of which no two are the same.
fn unlike(count: usize, mut next: impl FnMut() -> String) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    while all.len() < count {
        let text = next();
        if !all.contains(&text) {
            all.push(text);
        }
    }
    all
}

/// A SELECT without EMIT, and what a statement that keeps its rows makes of them.
fn query(random: &mut Random) -> (&'static str, String) {
    let shape = random.below(5);
    let (from, mut grammar) = relation(random);
    let filter = match grammar.random.chance(3) {
        true => String::new(),
        false => format!(" WHERE {}", grammar.condition(2)),
    };
    let list = |prefix: &str, items: Vec<String>| -> String {
        let named = items.into_iter().enumerate().map(|(i, item)| format!("{item} AS {prefix}{i}"));
        named.collect::<Vec<_>>().join(", ")
    };
    match shape {
        0 | 1 => {
            // What is stored has its key, once.
            let key = if from.contains("JOIN") { "S.I" } else { "K" };
            let items =
                std::iter::repeat_with(|| grammar.value()).filter(|item| item != key).take(3).collect();
            ("STREAM", format!("SELECT {key} AS ID, {} FROM {from}{filter}", list("C", items)))
        }
        2 => {
            let items = unlike(2, || grammar.value());
            ("TABLE", format!("SELECT DISTINCT {} FROM {from}{filter}", list("C", items)))
        }
        _ => {
            let keys = unlike(1 + grammar.random.below(2) as usize, || {
                if grammar.random.chance(2) { grammar.text(1) } else { grammar.int(1) }
            });
            let window = match grammar.random.below(4) {
                0 => " WINDOW TUMBLING (SIZE 20 SECONDS, GRACE PERIOD 1 DAY)",
                1 => " WINDOW HOPPING (SIZE 20 SECONDS, ADVANCE BY 15 SECONDS, GRACE PERIOD 1 DAY)",
                2 if from == "S" => " WINDOW SESSION (3 SECONDS, GRACE PERIOD 1 DAY)",
                _ => "",
            };
            let calls = (0..4).map(|_| grammar.call()).collect();
            let bounds = if window.is_empty() { "" } else { ", WINDOWSTART AS WS, WINDOWEND AS WE" };
            let having = if grammar.random.chance(3) { " HAVING COUNT(*) > 2" } else { "" };
            let (by, keys) = (keys.join(", "), list("K", keys));
            let calls = list("C", calls);
            (
                "TABLE",
                format!("SELECT {keys}, {calls}{bounds} FROM {from}{window}{filter} GROUP BY {by}{having}"),
            )
        }
    }
}

/// The names of what was read: a table of windows has their bounds among its keys, too.
fn columns(rows: &[String]) -> Option<String> {
    let row: serde_json::Map<String, serde_json::Value> = serde_json::from_str(rows.first()?).ok()?;
    Some(row.keys().cloned().collect::<Vec<_>>().join(", "))
}

#[test]
fn what_is_read_on_its_own_is_what_dataflows_keep() {
    for seed in 1..=6 {
        let mut random = Random(seed);
        let mut site = site(&mut random);
        let queries: Vec<(&str, String)> = (0..QUERIES).map(|_| query(&mut random)).collect();
        let mut script = SOURCE.to_string();
        for (i, (kind, select)) in queries.iter().enumerate() {
            site = site.and(&format!("[topics.q{i}]\nconnector = \"log\""));
            writeln!(
                script,
                "CREATE {kind} Q{i} WITH (KAFKA_TOPIC='q{i}', FORMAT='JSON') AS {select} EMIT CHANGES;"
            )
            .expect("a string takes all");
        }
        // An answer that has more than its room waiting takes that as it is.
        let cut = Cut { inflight_bytes: COARSE.inflight_bytes, ..random.cut() };
        let mut run = Run::once(&site, cut, &script);
        for (i, (_, select)) in queries.iter().enumerate() {
            let mut read = run.ask(select);
            let names = columns(&read).unwrap_or("*".into());
            let mut kept = run.ask(&format!("SELECT {names} FROM Q{i}"));
            kept.sort();
            read.sort();
            let different = read.iter().zip(&kept).find(|(read, kept)| read != kept);
            let counts = (read.len(), kept.len());
            assert!(
                different.is_none() && counts.0 == counts.1,
                "{select}, seed {seed}, {cut:?}: {counts:?}, {different:?}"
            );
        }
    }
}

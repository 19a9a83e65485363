//! Every stateful operator against a recomputation from scratch, on random rows, with 1, 2 and 4
//! workers, coarse and fine ticks.

use crate::harness::{COARSE, Cut, FINE, Random, Run, Site, messages};
use std::collections::{BTreeMap, BTreeSet};
use wharfe::connector::Record;
use wharfe::connector::log::{LogOptions, LogWriter};

/// All ways in which a model must be right.
fn cuts() -> impl Iterator<Item = Cut> {
    [1, 2, 4].into_iter().flat_map(|workers| [COARSE.workers(workers), FINE.workers(workers)])
}

/// A DOUBLE that is a multiple of 2^-20, so that sums can be had exactly from integers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Fixed(i64);

impl Fixed {
    fn random(random: &mut Random) -> Fixed {
        Fixed(random.next() as i64 >> (11 + random.below(40)))
    }

    fn value(self) -> f64 {
        exact(self.0 as i128)
    }
}

/// The double nearest to a sum of [`Fixed`]: a division by a power of two rounds nothing.
fn exact(sum: i128) -> f64 {
    sum as f64 / (1i64 << 20) as f64
}

/// JSON as the engine writes it.
fn double(value: f64) -> String {
    let mut text = String::new();
    let value = wharfe::value::Value::Double(value);
    wharfe::format::output::json_value(&value, &wharfe::types::SqlType::Double, &mut text);
    text
}

fn or_null<T: ToString>(value: Option<T>) -> String {
    value.map_or("null".into(), |v| v.to_string())
}

fn list<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<String> = items.into_iter().map(|i| i.to_string()).collect();
    format!("[{}]", items.join(","))
}

// ---- a stream into tables: accumulators that only grow ----

#[derive(Clone)]
struct Row {
    key: Option<&'static str>,
    second: Option<i32>,
    int: Option<i32>,
    double: Option<Fixed>,
    text: Option<char>,
}

impl Row {
    fn random(random: &mut Random) -> Row {
        let some = |random: &mut Random| !random.chance(6);
        Row {
            key: some(random).then(|| *random.pick(&["a", "b", "c", "Zürich", "x, y"])),
            second: some(random).then(|| random.below(3) as i32),
            int: some(random).then(|| random.next() as i32 >> random.below(32)),
            double: some(random).then(|| Fixed::random(random)),
            text: some(random).then(|| *random.pick(&['p', 'q', 'r', 's'])),
        }
    }

    fn line(&self) -> String {
        let Row { key, second, int, double: d, text } = self;
        let key = key.map_or(String::new(), |k| format!("\"{k}\""));
        let [second, int] = [second, int].map(|v| v.map_or(String::new(), |v| v.to_string()));
        let d = d.map_or(String::new(), |d| d.value().to_string());
        format!("{key},{second},{int},{d},{}\n", text.map_or(String::new(), String::from))
    }
}

const STREAM: &str = "
    CREATE STREAM S (K VARCHAR, K2 INT, I INT, D DOUBLE, T VARCHAR) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='DELIMITED');
    CREATE STREAM J WITH (VALUE_FORMAT='JSON') AS SELECT * FROM S;
    CREATE TABLE NUMBERS AS SELECT K, COUNT(*) AS N, COUNT(I) AS C, SUM(I) AS S, SUM(CAST(I AS BIGINT)) AS L, SUM(D) AS D,
        AVG(I) AS A, AVG(D) AS AD, MIN(I) AS LO, MAX(D) AS HI FROM J GROUP BY K;
    CREATE TABLE ORDERED AS SELECT K, LATEST_BY_OFFSET(I) AS LAST, EARLIEST_BY_OFFSET(T) AS FIRST, LATEST_BY_OFFSET(I, FALSE) AS LAST_NULL,
        LATEST_BY_OFFSET(I, 3) AS LASTS, EARLIEST_BY_OFFSET(I, 3) AS FIRSTS FROM J GROUP BY K;
    CREATE TABLE COLLECTED AS SELECT K, COLLECT_LIST(I) AS L, COLLECT_SET(T) AS S, COUNT_DISTINCT(T) AS N, TOPK(I, 3) AS TOP,
        TOPKDISTINCT(I, 2) AS TOPD FROM J GROUP BY K;
    CREATE TABLE SOME_ WITH (KEY_FORMAT='JSON') AS SELECT K, K2, COUNT(*) AS N, MAX(T) AS T FROM J WHERE I > 0 GROUP BY K, K2 HAVING COUNT(*) > 2;
    CREATE TABLE BY_LENGTH AS SELECT LEN(T) + K2 AS X, SUM(D) AS D FROM J GROUP BY LEN(T) + K2;
";

fn groups<K: Ord>(rows: &[Row], key: impl Fn(&Row) -> Option<K>) -> BTreeMap<K, Vec<Row>> {
    let mut groups: BTreeMap<K, Vec<Row>> = BTreeMap::new();
    for row in rows {
        if let Some(key) = key(row) {
            groups.entry(key).or_default().push(row.clone());
        }
    }
    groups
}

fn numbers(key: &str, rows: &[Row]) -> String {
    let ints: Vec<i32> = rows.iter().filter_map(|r| r.int).collect();
    let doubles: Vec<Fixed> = rows.iter().filter_map(|r| r.double).collect();
    let sum: i128 = doubles.iter().map(|d| d.0 as i128).sum();
    let wide: i64 = ints.iter().map(|i| *i as i64).sum();
    format!(
        r#"{{"K":"{key}","N":{},"C":{},"S":{},"L":{wide},"D":{},"A":{},"AD":{},"LO":{},"HI":{}}}"#,
        rows.len(),
        ints.len(),
        ints.iter().fold(0i32, |a, b| a.wrapping_add(*b)),
        double(exact(sum)),
        or_null((!ints.is_empty()).then(|| double(wide as f64 / ints.len() as f64))),
        or_null((!doubles.is_empty()).then(|| double(exact(sum) / doubles.len() as f64))),
        or_null(ints.iter().min()),
        or_null(doubles.iter().max().map(|d| double(d.value()))),
    )
}

fn ordered(key: &str, rows: &[Row]) -> String {
    let ints: Vec<i32> = rows.iter().filter_map(|r| r.int).collect();
    let texts: Vec<String> = rows.iter().filter_map(|r| r.text).map(|t| format!("\"{t}\"")).collect();
    format!(
        r#"{{"K":"{key}","LAST":{},"FIRST":{},"LAST_NULL":{},"LASTS":{},"FIRSTS":{}}}"#,
        or_null(ints.last()),
        or_null(texts.first()),
        or_null(rows.last().and_then(|r| r.int)),
        list(&ints[ints.len().saturating_sub(3)..]),
        list(ints.iter().take(3)),
    )
}

fn collected(key: &str, rows: &[Row]) -> String {
    let mut ints: Vec<i32> = rows.iter().filter_map(|r| r.int).collect();
    ints.sort_unstable_by(|a, b| b.cmp(a));
    let distinct: BTreeSet<i32> = ints.iter().copied().collect();
    // A set has its values in the order of their first arrival.
    let mut texts: Vec<Option<char>> = Vec::new();
    for row in rows {
        if !texts.contains(&row.text) {
            texts.push(row.text);
        }
    }
    format!(
        r#"{{"K":"{key}","L":{},"S":{},"N":{},"TOP":{},"TOPD":{}}}"#,
        list(rows.iter().map(|r| or_null(r.int))),
        list(texts.iter().map(|t| or_null(t.map(|t| format!("\"{t}\""))))),
        texts.iter().flatten().count(),
        list(ints.iter().take(3)),
        list(distinct.iter().rev().take(2)),
    )
}

fn some(key: (&str, i32), rows: &[Row]) -> Option<String> {
    let most = or_null(rows.iter().filter_map(|r| r.text).max().map(|t| format!("\"{t}\"")));
    let (k, k2) = key;
    (rows.len() > 2).then(|| format!(r#"{{"K":"{k}","K2":{k2},"N":{},"T":{most}}}"#, rows.len()))
}

#[test]
fn tables_over_a_stream() {
    for seed in 1..=3 {
        let mut random = Random(seed);
        let rows: Vec<Row> = (0..400).map(|_| Row::random(&mut random)).collect();
        // The rows of one file come before those of the next.
        let (first, second) = rows.split_at(random.below(400) as usize);
        let text = |rows: &[Row]| rows.iter().map(Row::line).collect::<String>();
        let site = Site::new()
            .with("one", "part-1.csv", text(first))
            .with("two", "part-2.csv", text(second))
            .and("[topics.s]\nconnector = \"file\"\npath = \"part-*.csv\"");

        let by_key = groups(&rows, |r| r.key);
        let of_each = |row: fn(&str, &[Row]) -> String| -> Vec<String> {
            by_key.iter().map(|(k, rows)| row(k, rows)).collect()
        };
        let positive: Vec<Row> = rows.iter().filter(|r| r.int.is_some_and(|i| i > 0)).cloned().collect();
        let by_two = groups(&positive, |r| Some((r.key?, r.second?)));
        let by_length = groups(&rows, |r| Some(r.text.map(|_| 1)? + r.second?));
        let sums = by_length.iter().map(|(x, rows)| {
            let sum = rows.iter().filter_map(|r| r.double).map(|d| d.0 as i128).sum();
            format!(r#"{{"X":{x},"D":{}}}"#, double(exact(sum)))
        });
        let expected = [
            ("NUMBERS", of_each(numbers)),
            ("ORDERED", of_each(ordered)),
            ("COLLECTED", of_each(collected)),
            ("SOME_", by_two.iter().filter_map(|(k, rows)| some(*k, rows)).collect()),
            ("BY_LENGTH", sums.collect()),
        ];
        for cut in cuts() {
            let mut run = Run::once(&site, cut, STREAM);
            for (table, rows) in &expected {
                let mut found = run.ask(&format!("SELECT * FROM {table}"));
                found.sort();
                let mut rows = rows.clone();
                rows.sort();
                assert_eq!(found, rows, "{table}, seed {seed}, {cut:?}");
            }
            crate::books::check(&mut run);
        }
    }
}

// ---- a table into tables: rows that come and go ----

const TABLE: &str = "
    CREATE TABLE T (ID INT PRIMARY KEY, TOWN VARCHAR, N INT, D DOUBLE) WITH (KAFKA_TOPIC='t', VALUE_FORMAT='JSON');
    CREATE TABLE BIG AS SELECT ID, N + 1 AS N1, TOWN FROM T WHERE N > 0;
    CREATE TABLE TOWNS AS SELECT TOWN, COUNT(*) AS C, SUM(N) AS S, SUM(D) AS D, AVG(D) AS A, MIN(N) AS LO, MAX(D) AS HI,
        COLLECT_LIST(N) AS L, COLLECT_SET(N) AS CS, COUNT_DISTINCT(N) AS CD, TOPK(N, 2) AS TOP FROM T GROUP BY TOWN;
    CREATE TABLE SIZES AS SELECT C, COUNT(*) AS TOWNS, SUM(S) AS S, MAX(TOWN) AS LAST FROM TOWNS GROUP BY C;
    CREATE TABLE BIG_TOWNS AS SELECT TOWN, SUM(N1) AS S FROM BIG GROUP BY TOWN HAVING COUNT(*) > 1;
";

/// What a message says of its key.
type Entry = Option<(Option<&'static str>, i32, Fixed)>;

/// Writes random upserts and deletions to a topic; answers the rows that are left.
fn write_table(
    site: &Site,
    topic: &str,
    random: &mut Random,
) -> BTreeMap<i32, (Option<&'static str>, i32, Fixed)> {
    let dir = site.path(&format!("data/topics/{topic}"));
    let (mut log, _) = LogWriter::open(&dir, 0..2, LogOptions::default()).unwrap();
    // The greatest position wins: the time that its partition had come to, then partition and offset.
    let mut latest: BTreeMap<i32, ((i64, u32, usize), Entry)> = BTreeMap::new();
    let mut stamps = [0; 2];
    for offset in 0..300 {
        let id = random.below(25) as i32;
        let town = (!random.chance(8)).then(|| *random.pick(&["Leeds", "Bradford", "York", "Hull"]));
        let entry: Entry =
            (!random.chance(4)).then(|| (town, random.below(40) as i32 - 10, Fixed::random(random)));
        let value = entry.map(|(town, n, d)| {
            let town = or_null(town.map(|t| format!("\"{t}\"")));
            format!(r#"{{"TOWN":{town},"N":{n},"D":{}}}"#, d.value())
        });
        let (time, partition) = (random.below(60) as i64, random.below(2) as u32);
        let (key, value) = (id.to_be_bytes(), value.as_ref().map(|v| v.as_bytes()));
        log.append(partition, &Record { timestamp: time, key: Some(&key), value, headers: &[] }).unwrap();
        let stamp = &mut stamps[partition as usize];
        *stamp = time.max(*stamp);
        let position = (*stamp, partition, offset);
        if latest.get(&id).is_none_or(|(at, _)| *at < position) {
            latest.insert(id, (position, entry));
        }
    }
    log.flush().unwrap();
    latest.into_iter().filter_map(|(id, (_, entry))| Some((id, entry?))).collect()
}

#[test]
fn tables_over_a_table() {
    for (seed, cut) in (10..).zip(cuts()) {
        let site = Site::new().keeping_data();
        let rows = write_table(&site, "t", &mut Random(seed));
        let mut run = Run::once(&site, cut, TABLE);
        let mut check = |table: &str, mut expected: Vec<String>| {
            let mut found = run.ask(&format!("SELECT * FROM {table}"));
            found.sort();
            expected.sort();
            assert_eq!(found, expected, "{table}, seed {seed}, {cut:?}");
        };
        let text = |town: Option<&str>| or_null(town.map(|t| format!("\"{t}\"")));
        let all = rows.iter().map(|(id, (town, n, d))| {
            format!(r#"{{"ID":{id},"TOWN":{},"N":{n},"D":{}}}"#, text(*town), double(d.value()))
        });
        check("T", all.collect());

        let big = || rows.iter().filter(|(_, (_, n, _))| *n > 0);
        let shown =
            big().map(|(id, (town, n, _))| format!(r#"{{"ID":{id},"N1":{},"TOWN":{}}}"#, n + 1, text(*town)));
        check("BIG", shown.collect());

        let mut towns: BTreeMap<&str, Vec<(i32, Fixed)>> = BTreeMap::new();
        for (town, n, d) in rows.values() {
            town.iter().for_each(|town| towns.entry(*town).or_default().push((*n, *d)));
        }
        check("TOWNS", towns.iter().map(|(town, rows)| town_row(town, rows)).collect());

        let mut sizes: BTreeMap<usize, (i32, i32, &str)> = BTreeMap::new();
        for (town, rows) in &towns {
            let (count, sum, last) = sizes.entry(rows.len()).or_default();
            *count += 1;
            *sum += rows.iter().map(|(n, _)| n).sum::<i32>();
            *last = (*last).max(town);
        }
        let shown = sizes
            .iter()
            .map(|(c, (towns, s, last))| format!(r#"{{"C":{c},"TOWNS":{towns},"S":{s},"LAST":"{last}"}}"#));
        check("SIZES", shown.collect());

        let mut sums: BTreeMap<&str, (i32, i32)> = BTreeMap::new();
        for (town, n, _) in big().map(|(_, row)| row) {
            town.iter().for_each(|town| {
                let (count, sum) = sums.entry(*town).or_default();
                (*count, *sum) = (*count + 1, *sum + n + 1);
            });
        }
        let shown = sums.iter().filter(|(_, (count, _))| *count > 1);
        check("BIG_TOWNS", shown.map(|(town, (_, s))| format!(r#"{{"TOWN":"{town}","S":{s}}}"#)).collect());
        crate::books::check(&mut run);
    }
}

fn town_row(town: &str, rows: &[(i32, Fixed)]) -> String {
    let mut ints: Vec<i32> = rows.iter().map(|(n, _)| *n).collect();
    ints.sort_unstable_by(|a, b| b.cmp(a));
    let distinct: BTreeSet<i32> = ints.iter().copied().collect();
    let sum = exact(rows.iter().map(|(_, d)| d.0 as i128).sum());
    format!(
        r#"{{"TOWN":"{town}","C":{},"S":{},"D":{},"A":{},"LO":{},"HI":{},"L":{},"CS":{},"CD":{},"TOP":{}}}"#,
        rows.len(),
        ints.iter().sum::<i32>(),
        double(sum),
        double(sum / rows.len() as f64),
        or_null(ints.last()),
        or_null(rows.iter().map(|(_, d)| *d).max().map(|d| double(d.value()))),
        list(ints.iter().rev()),
        list(&distinct),
        distinct.len(),
        list(ints.iter().take(2)),
    )
}

const JOINED: &str = "
    CREATE TABLE A (ID INT PRIMARY KEY, TOWN VARCHAR, N INT) WITH (KAFKA_TOPIC='a', VALUE_FORMAT='JSON');
    CREATE TABLE B (ID INT PRIMARY KEY, TOWN VARCHAR, N INT) WITH (KAFKA_TOPIC='b', VALUE_FORMAT='JSON');
    CREATE TABLE INNER_ AS SELECT A.ID AS ID, A.N AS AN, B.N AS BN FROM A JOIN B ON A.ID = B.ID;
    CREATE TABLE LEFT_ AS SELECT A.ID AS ID, A.N AS AN, B.N AS BN FROM A LEFT JOIN B ON A.ID = B.ID;
    CREATE TABLE FULL_ AS SELECT ROWKEY AS ID, A.N AS AN, B.N AS BN FROM A FULL JOIN B ON A.ID = B.ID;
    CREATE TABLE FOREIGN_ AS SELECT A.ID AS ID, A.N AS AN, B.N AS BN FROM A JOIN B ON A.N = B.ID;
    CREATE TABLE FOREIGN_LEFT AS SELECT A.ID AS ID, A.N AS AN, B.N AS BN FROM A LEFT JOIN B ON A.N = B.ID;
    CREATE TABLE COUNTED AS SELECT BN, COUNT(*) AS N, SUM(AN) AS S FROM FOREIGN_ GROUP BY BN;
";

#[test]
fn tables_joined_with_tables() {
    for (seed, cut) in (30..).zip(cuts()) {
        let site = Site::new().keeping_data();
        let mut random = Random(seed);
        let [a, b] = ["a", "b"].map(|topic| write_table(&site, topic, &mut random));
        let n = |rows: &BTreeMap<i32, (_, i32, _)>, id: i32| rows.get(&id).map(|(_, n, _)| *n);
        let ids: BTreeSet<i32> = a.keys().chain(b.keys()).copied().collect();
        let by_key: Vec<_> = ids.iter().map(|id| (*id, n(&a, *id), n(&b, *id))).collect();
        let by_foreign: Vec<_> = a.iter().map(|(id, (_, an, _))| (*id, Some(*an), n(&b, *an))).collect();
        let mut counted: BTreeMap<i32, (i32, i32)> = BTreeMap::new();
        for (_, an, bn) in &by_foreign {
            if let (Some(an), Some(bn)) = (an, bn) {
                let (count, sum) = counted.entry(*bn).or_default();
                (*count, *sum) = (*count + 1, *sum + an);
            }
        }

        let mut run = Run::once(&site, cut, JOINED);
        let mut check = |table: &str, mut expected: Vec<String>| {
            let mut found = run.ask(&format!("SELECT * FROM {table}"));
            found.sort();
            expected.sort();
            assert!(expected.len() > 2, "{table} shows little");
            assert_eq!(found, expected, "{table}, seed {seed}, {cut:?}");
        };
        type Joined = (i32, Option<i32>, Option<i32>);
        let shown = |rows: &[Joined], keeps: fn(&Joined) -> bool| -> Vec<String> {
            let text = |(id, an, bn): &Joined| {
                format!(r#"{{"ID":{id},"AN":{},"BN":{}}}"#, or_null(*an), or_null(*bn))
            };
            rows.iter().filter(|row| keeps(row)).map(text).collect()
        };
        check("INNER_", shown(&by_key, |(_, an, bn)| an.is_some() && bn.is_some()));
        check("LEFT_", shown(&by_key, |(_, an, _)| an.is_some()));
        check("FULL_", shown(&by_key, |_| true));
        check("FOREIGN_", shown(&by_foreign, |(_, _, bn)| bn.is_some()));
        check("FOREIGN_LEFT", shown(&by_foreign, |_| true));
        let counted = counted.iter().map(|(bn, (n, s))| format!(r#"{{"BN":{bn},"N":{n},"S":{s}}}"#));
        check("COUNTED", counted.collect());
    }
}

/// More rows than are finished at once.
#[test]
fn large_tables_are_joined() {
    let lines = |step: usize| (0..20_000).step_by(step).map(|i| format!("{i},{i}\n")).collect::<String>();
    let keyed = |topic: &str| {
        format!("[topics.{topic}]\nconnector = \"file\"\npath = \"{topic}.csv\"\nkey = [\"ID\"]\n")
    };
    let site = Site::new().and(&keyed("a")).and(&keyed("b"));
    site.write("a.csv", lines(1));
    site.write("b.csv", lines(2));
    let script = "
        CREATE TABLE A (ID INT PRIMARY KEY, V INT) WITH (KAFKA_TOPIC='a', VALUE_FORMAT='DELIMITED');
        CREATE TABLE B (ID INT PRIMARY KEY, V INT) WITH (KAFKA_TOPIC='b', VALUE_FORMAT='DELIMITED');
        CREATE TABLE J AS SELECT A.ID AS ID, A.V AS V, B.V AS W FROM A LEFT JOIN B ON A.ID = B.ID;
        CREATE TABLE G AS SELECT A.ID AS ID, COUNT(*) AS N FROM A GROUP BY A.ID;
        CREATE TABLE JG AS SELECT G.ID AS ID, G.N AS N, B.V AS W FROM G JOIN B ON G.ID = B.ID;";
    for workers in [1, 2] {
        let mut run = Run::once(&site, COARSE.workers(workers), script);
        assert_eq!(run.ask("SELECT COUNT(*) AS N, COUNT(W) AS W FROM J"), [r#"{"N":20000,"W":10000}"#]);
        assert_eq!(run.ask("SELECT COUNT(*) AS N, SUM(N) AS S FROM JG"), [r#"{"N":10000,"S":10000}"#]);
    }
}

/// Whatever their times say, and however ticks are cut.
#[test]
fn a_stored_stream_keeps_the_order_of_its_source() {
    let rows: Vec<(u64, u64)> = {
        let mut random = Random(3);
        (0..3_000).map(|i| (random.below(1_000_000), i)).collect()
    };
    let lines: String = rows.iter().map(|(at, i)| format!("k,{at},{i}\n")).collect();
    let expected: Vec<String> = rows.iter().map(|(_, i)| i.to_string()).collect();
    for cut in cuts() {
        let site =
            Site::new().keeping_data().with("s", "s.csv", &lines).and("[topics.o]\nconnector = \"log\"\n");
        let run = Run::once(
            &site,
            cut,
            "CREATE STREAM S (K VARCHAR, AT BIGINT, I INT)
                 WITH (KAFKA_TOPIC='s', VALUE_FORMAT='DELIMITED', TIMESTAMP='AT');
             CREATE STREAM O WITH (KAFKA_TOPIC='o', VALUE_FORMAT='DELIMITED', PARTITIONS=2)
                 AS SELECT K, I FROM S PARTITION BY K;",
        );
        drop(run);
        let found: Vec<String> =
            messages(&site.path("data/topics/o")).into_iter().map(|(_, value)| value).collect();
        assert_eq!(found, expected, "{cut:?}");
    }
}

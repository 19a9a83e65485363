//! CREATE OR REPLACE of what runs: it goes on where it is, misses nothing and takes nothing twice, and is
//! what it has become at the next start.

use crate::harness::{COARSE, Cut, DEADLINE, Random, Run, Site, messages};
use std::collections::BTreeSet;
use wharfe::engine::Outcome;

const SCRIPT: &str = "
    CREATE STREAM S (ID INT, A INT, B INT, C INT, D INT) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='DELIMITED');
    CREATE STREAM STORED WITH (KAFKA_TOPIC='stored', VALUE_FORMAT='JSON') AS SELECT ID, 0 AS RUN FROM S;
    CREATE STREAM PASSED AS SELECT ID, 0 AS RUN FROM S;
    CREATE TABLE T AS SELECT 1 AS ONE, COUNT(*) AS N, SUM(ID) AS IDS FROM PASSED GROUP BY 1;
    CREATE TABLE G AS SELECT ID % 2 AS ODD, COUNT(*) AS N FROM S GROUP BY ID % 2;
";

fn site() -> Site {
    let log = "[topics.stored]\nconnector = \"log\"\n";
    let site = Site::new().keeping_data().and(log);
    let site = site.and("[topics.s]\nconnector = \"file\"\npath = \"s\"\n");
    std::fs::create_dir(site.path("s")).unwrap();
    site
}

fn write(site: &Site, written: &mut u64, rows: u64) {
    for file in 0..3 {
        let ids = (*written..*written + rows).filter(|id| id % 3 == file);
        let lines: String = ids.map(|id| format!("{id},{id},{id},{id},{id}\n")).collect();
        site.append(&format!("s/{file}.csv"), lines);
    }
    *written += rows;
}

fn counted(run: &mut Run, written: u64) {
    let all = format!(r#"{{"N":{written},"IDS":{}}}"#, written * written.saturating_sub(1) / 2);
    run.until("SELECT N, IDS FROM T", |rows| rows == [all.clone()]);
}

/// The values of what is stored, once it is all.
fn stored(site: &Site, written: u64) -> Vec<serde_json::Value> {
    let started = std::time::Instant::now();
    let mut values: Vec<(String, String)> = Vec::new();
    while values.len() < written as usize {
        assert!(started.elapsed() < DEADLINE, "only {} of {written} are stored", values.len());
        values = messages(&site.path("data/topics/stored"));
    }
    values.iter().map(|(_, value)| serde_json::from_str(value).unwrap()).collect()
}

fn sql_of(run: &mut Run, query: &str) -> String {
    let Ok(Outcome::Queries(queries)) = run.execute("SHOW QUERIES") else { panic!() };
    queries.into_iter().find(|q| q.id == query).unwrap().sql
}

#[test]
fn what_is_replaced_at_any_moment_goes_on_there() {
    let wider = ["", ", A", ", A, B", ", A, B, C", ", A, B, C, D"];
    for workers in [1, 2, 4] {
        let site = site();
        let cut = Cut { tick_ms: 2, batch_bytes: 512, ..COARSE }.workers(workers);
        let mut run = Run::live(&site, cut, SCRIPT);
        let (mut random, mut written) = (Random(11 + workers as u64), 0);
        for round in 1..=10 {
            write(&site, &mut written, 1 + random.below(2_000));
            let more = wider[round / 2 % wider.len()].max(if round >= 8 { wider[4] } else { "" });
            for (name, with) in
                [("STORED", "WITH (KAFKA_TOPIC='stored', VALUE_FORMAT='JSON') "), ("PASSED", "")]
            {
                let done = run.done(&format!(
                    "CREATE OR REPLACE STREAM {name} {with}AS SELECT ID, {round} AS RUN{more} FROM S WHERE A > -{round}"
                ));
                assert!(done.contains(&format!("CSAS_{name}")), "{done}");
            }
        }
        write(&site, &mut written, 100);
        counted(&mut run, written);
        let values = stored(&site, written);
        let ids: BTreeSet<u64> = values.iter().map(|value| value["ID"].as_u64().unwrap()).collect();
        assert_eq!((ids.len(), values.len()), (written as usize, written as usize), "each is there once");
        // What was read before a column was there has come through without it, what came later has it.
        for value in values.iter().filter(|value| value["RUN"] == 10) {
            assert_eq!(value["D"], value["ID"], "{value}");
        }
        assert!(values.iter().any(|value| value["RUN"] == 10));
        crate::books::balance(&mut run);
    }
}

#[test]
fn groups_keep_what_they_have() {
    let site = site();
    let mut run = Run::live(&site, COARSE.workers(2), SCRIPT);
    let mut written = 0;
    write(&site, &mut written, 100);
    counted(&mut run, 100);
    run.until("SELECT ODD, N FROM G", |rows| rows == [r#"{"ODD":0,"N":50}"#, r#"{"ODD":1,"N":50}"#]);
    // It has not read C so far.
    let replaced = "CREATE OR REPLACE TABLE G AS SELECT ID % 2 AS ODD, COUNT(*) AS N FROM S";
    assert_eq!(
        run.done(&format!("{replaced} WHERE C >= 150 GROUP BY ID % 2")),
        "Created query with ID CTAS_G_4"
    );
    write(&site, &mut written, 100);
    counted(&mut run, 200);
    run.until("SELECT ODD, N FROM G", |rows| rows == [r#"{"ODD":0,"N":75}"#, r#"{"ODD":1,"N":75}"#]);
    // Rows are made of the same groups in another way, as long as nobody has them.
    let replaced =
        "CREATE OR REPLACE TABLE G AS SELECT ID % 2 AS ODD, COUNT(*) AS N, COUNT(*) * 2 AS TWICE FROM S";
    run.done(&format!("{replaced} WHERE C >= 150 GROUP BY ID % 2 HAVING ID % 2 = 1"));
    assert_eq!(run.ask("SELECT ODD, TWICE FROM G"), [r#"{"ODD":1,"TWICE":150}"#]);
    run.done("CREATE TABLE OVER_G AS SELECT TWICE, COUNT(*) AS N FROM G GROUP BY TWICE");
    run.until("SELECT * FROM OVER_G", |rows| rows == [r#"{"TWICE":150,"N":1}"#]);
    let refused = run.refused(&format!("{replaced} GROUP BY ID % 2"));
    assert!(refused.contains("CTAS_OVER_G_5 has rows of G"), "{refused}");
    run.done(&format!("{replaced} GROUP BY ID % 2 HAVING ID % 2 = 1"));
    write(&site, &mut written, 100);
    run.until("SELECT * FROM OVER_G", |rows| rows == [r#"{"TWICE":250,"N":1}"#]);
    // A push query on a stream goes on, too, with the columns that it asked for.
    run.read_from("latest");
    let mut watch = run.open("SELECT * FROM PASSED EMIT CHANGES LIMIT 1");
    run.done("CREATE OR REPLACE STREAM PASSED AS SELECT ID, 7 AS RUN, D FROM S WHERE ID = 320");
    write(&site, &mut written, 100);
    assert_eq!(watch.next().unwrap(), r#"{"ID":320,"RUN":7}"#);
    run.until("SELECT N FROM T", |rows| rows == [r#"{"N":301}"#]);
}

#[test]
fn what_was_replaced_is_so_at_the_next_start() {
    let site = site();
    let mut written = 0;
    let of_g = |where_: &str| {
        format!(
            "CREATE OR REPLACE TABLE G AS SELECT ID % 2 AS ODD, COUNT(*) AS N FROM S {where_} GROUP BY ID % 2"
        )
    };
    {
        let mut run = Run::live(&site, COARSE.workers(2), SCRIPT);
        write(&site, &mut written, 100);
        counted(&mut run, 100);
        run.done(&of_g("WHERE ID < 0"));
        run.done("CREATE OR REPLACE STREAM STORED WITH (KAFKA_TOPIC='stored', VALUE_FORMAT='JSON') AS SELECT ID, 1 AS RUN, A FROM S");
        run.done("CREATE OR REPLACE STREAM S (ID INT, A INT, B INT, C INT, D INT, E INT) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='DELIMITED')");
        site.append("s/3.csv", "100,100,100,100,100,100\n");
        written += 1;
        counted(&mut run, 101);
        run.engine.stop().unwrap();
    }
    // DELIMITED takes as many fields as there are columns.
    let mut write = |from: u64, to: u64| {
        site.append(
            "s/4.csv",
            (from..to).map(|id| format!("{id},{id},{id},{id},{id},{id}\n")).collect::<String>(),
        );
        written += to - from;
        written
    };
    {
        let mut run = Run::live(&site, COARSE.workers(3), SCRIPT);
        assert!(sql_of(&mut run, "CTAS_G_4").contains("WHERE ID < 0"));
        let all = write(101, 200);
        counted(&mut run, all);
        assert_eq!(run.ask("SELECT ODD, N FROM G"), [r#"{"ODD":0,"N":50}"#, r#"{"ODD":1,"N":50}"#]);
        let values = stored(&site, all);
        assert_eq!(values.len(), 200, "what is stored is not stored again");
        assert_eq!((&values[150]["RUN"], &values[150]["A"]), (&1.into(), &values[150]["ID"]));
        run.engine.stop().unwrap();
    }
}

#[test]
fn an_edited_script_that_says_or_replace_goes_on() {
    let site = site();
    let script = |where_: &str, more: &str| {
        let replaced = SCRIPT.replace("CREATE STREAM STORED", "CREATE OR REPLACE STREAM STORED");
        let replaced = replaced.replace(
            "0 AS RUN FROM S;\n    CREATE STREAM PASSED",
            &format!("0 AS RUN{more} FROM S;\n    CREATE STREAM PASSED"),
        );
        let replaced = replaced.replace("CREATE TABLE G", "CREATE OR REPLACE TABLE G");
        replaced.replace("FROM S GROUP BY ID % 2", &format!("FROM S {where_} GROUP BY ID % 2"))
    };
    let mut written = 0;
    let of_g = |n: u64| [format!(r#"{{"ODD":0,"N":{n}}}"#), format!(r#"{{"ODD":1,"N":{n}}}"#)];
    // Each start has another WHERE: it goes for what comes from then on.
    for (start, (where_, more, expected)) in
        [("", "", 50), ("WHERE ID < 0", ", A", 50), ("WHERE C >= 250", ", A", 75)].into_iter().enumerate()
    {
        let mut run = Run::live(&site, COARSE.workers(1 + start), &script(where_, more));
        write(&site, &mut written, 100);
        counted(&mut run, written);
        run.until("SELECT ODD, N FROM G", |rows| rows == of_g(expected));
        assert_eq!(stored(&site, written).len(), written as usize, "each is there once");
        run.engine.stop().unwrap();
    }
    let values = stored(&site, 300);
    assert!(values.iter().all(|value| value.get("A").is_some() == (value["ID"].as_u64() >= Some(100))));
    // What cannot go on is computed from the start.
    let edited = script("", ", A").replace("COUNT(*) AS N FROM S", "SUM(1) AS N FROM S");
    let mut run = Run::live(&site, COARSE, &edited);
    run.until("SELECT ODD, N FROM G", |rows| rows == of_g(150));
}

//! PAUSE and RESUME: a query misses nothing and counts nothing twice, whatever it reads.

use crate::harness::{
    COARSE, Cut, DEADLINE, Process, Random, Run, Served, Site, binary, free_addresses, messages,
};
use wharfe::engine::Outcome;

const SCRIPT: &str = "
    CREATE STREAM S (ID INT, V INT) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='DELIMITED');
    CREATE STREAM S2 (ID INT, W INT) WITH (KAFKA_TOPIC='s2', VALUE_FORMAT='DELIMITED');
    CREATE STREAM D AS SELECT ID, V FROM S;
    CREATE TABLE ALL_ AS SELECT 1 AS ONE, COUNT(*) AS N, SUM(ID) AS IDS FROM S GROUP BY 1;
    CREATE TABLE T AS SELECT 1 AS ONE, COUNT(*) AS N, SUM(ID) AS IDS FROM D GROUP BY 1;
    CREATE TABLE TT AS SELECT N, COUNT(*) AS M FROM T GROUP BY N;
    CREATE STREAM J WITH (KAFKA_TOPIC='j', VALUE_FORMAT='JSON')
        AS SELECT S.ID AS ID, V, W FROM S JOIN S2 WITHIN 1 HOUR GRACE PERIOD 1 HOUR ON S.ID = S2.ID;
";

const QUERIES: [&str; 3] = ["CSAS_D_1", "CTAS_T_3", "CSAS_J_5"];

fn site() -> Site {
    let log = "[topics.j]\nconnector = \"log\"\n";
    let files = |topic| format!("[topics.{topic}]\nconnector = \"file\"\npath = \"{topic}\"\n");
    let site = Site::new().and(log).and(&files("s")).and(&files("s2"));
    ["s", "s2"].iter().for_each(|dir| std::fs::create_dir(site.path(dir)).unwrap());
    site
}

/// Rows of both streams, each in one of three files.
fn write(site: &Site, written: &mut u64, rows: u64) {
    for topic in ["s", "s2"] {
        for file in 0..3 {
            let ids = (*written..*written + rows).filter(|id| id % 3 == file);
            let lines: String = ids.map(|id| format!("{id},{id}\n")).collect();
            site.append(&format!("{topic}/{file}.csv"), lines);
        }
    }
    *written += rows;
}

fn all_of(written: u64) -> String {
    format!(r#"{{"N":{written},"IDS":{}}}"#, written * (written - 1) / 2)
}

fn state(run: &mut Run, query: &str) -> String {
    let Ok(Outcome::Queries(queries)) = run.execute("SHOW QUERIES") else { panic!() };
    queries.into_iter().find(|q| q.id == query).unwrap().state
}

fn counted(run: &mut Run, table: &str, written: u64) {
    run.until(&format!("SELECT N, IDS FROM {table}"), |rows| rows == [all_of(written)]);
}

/// What J has stored, once it is all: each row once.
fn joined(site: &Site, written: u64) {
    let started = std::time::Instant::now();
    let mut ids: Vec<String> = Vec::new();
    while ids.len() < written as usize {
        assert!(started.elapsed() < DEADLINE, "only {} of {written} are joined", ids.len());
        ids = messages(&site.path("data/topics/j")).into_iter().map(|(_, value)| value).collect();
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), written as usize, "each is there once");
}

#[test]
fn what_is_paused_at_any_moment_goes_on_there() {
    for workers in [1, 2, 4] {
        let site = site().keeping_data();
        let mut run =
            Run::live(&site, Cut { tick_ms: 2, batch_bytes: 512, ..COARSE }.workers(workers), SCRIPT);
        let (mut random, mut written) = (Random(7 + workers as u64), 0);
        for _ in 0..12 {
            write(&site, &mut written, 1 + random.below(2_000));
            let query = random.pick(&QUERIES);
            let verb = if state(&mut run, query) == "PAUSED" { "RESUME" } else { "PAUSE" };
            run.done(&format!("{verb} {query}"));
        }
        run.done("RESUME ALL");
        counted(&mut run, "ALL_", written);
        counted(&mut run, "T", written);
        run.until("SELECT N, M FROM TT", |rows| rows == [format!(r#"{{"N":{written},"M":1}}"#)]);
        joined(&site, written);
        crate::books::balance(&mut run);
    }
}

#[test]
fn what_is_paused_stands_still_and_others_go_on() {
    let site = site();
    let mut run = Run::live(&site, COARSE.workers(2), SCRIPT);
    let mut written = 0;
    write(&site, &mut written, 100);
    counted(&mut run, "T", 100);
    assert_eq!(run.done("PAUSE ctas_t_3"), "Query paused.");
    assert_eq!([state(&mut run, "CTAS_T_3"), state(&mut run, "CSAS_D_1")], ["PAUSED", "RUNNING"]);
    write(&site, &mut written, 100);
    counted(&mut run, "ALL_", 200);
    // What comes between is seen by who reads on.
    run.until("SELECT COUNT(*) AS N FROM D", |rows| rows == [r#"{"N":200}"#]);
    assert_eq!(run.ask("SELECT N, IDS FROM T"), [all_of(100)]);
    // Nothing comes by way of what is paused, whichever of the two goes on first.
    run.done("PAUSE CSAS_D_1");
    run.done("RESUME CTAS_T_3");
    write(&site, &mut written, 100);
    counted(&mut run, "ALL_", 300);
    assert_eq!(run.ask("SELECT N, IDS FROM T"), [all_of(100)]);
    run.done("RESUME CSAS_D_1");
    counted(&mut run, "T", 300);
    run.done("PAUSE CSAS_D_1");
    run.done("PAUSE CTAS_T_3");
    run.done("RESUME CSAS_D_1");
    write(&site, &mut written, 100);
    counted(&mut run, "ALL_", 400);
    assert_eq!(run.ask("SELECT N, IDS FROM T"), [all_of(300)]);
    assert_eq!(run.done("RESUME ALL"), "5 queries resumed");
    counted(&mut run, "T", 400);
    // Rows of others would have to wait for those of a paused one.
    run.done("PAUSE CSAS_D_1");
    for joins in [
        "CREATE STREAM JJ AS SELECT D.ID AS ID, W FROM D JOIN S2 WITHIN 1 HOUR ON D.ID = S2.ID",
        "SELECT D.ID AS ID, W FROM D JOIN S2 WITHIN 1 HOUR ON D.ID = S2.ID EMIT CHANGES",
    ] {
        let refused = run.refused(joins);
        assert!(refused.contains("waits for rows of CSAS_D_1"), "{refused}");
    }
    run.done("RESUME CSAS_D_1");
    run.done("CREATE STREAM JJ AS SELECT D.ID AS ID, W FROM D JOIN S2 WITHIN 1 HOUR ON D.ID = S2.ID");
    let refused = run.refused("PAUSE CSAS_D_1");
    assert!(refused.contains("waits for rows of CSAS_D_1"), "{refused}");
    run.done("PAUSE CTAS_T_3");
    run.done("TERMINATE CTAS_T_3");
    crate::books::balance(&mut run);
}

#[test]
fn a_paused_query_is_paused_at_the_next_start() {
    let site = site().keeping_data();
    let mut written = 0;
    {
        let mut run = Run::live(&site, COARSE.workers(2), SCRIPT);
        write(&site, &mut written, 100);
        counted(&mut run, "T", 100);
        run.done("PAUSE CTAS_T_3");
        run.done("PAUSE CSAS_J_5");
        write(&site, &mut written, 100);
        counted(&mut run, "ALL_", 200);
        run.engine.stop().unwrap();
    }
    {
        let mut run = Run::live(&site, COARSE.workers(3), SCRIPT);
        assert_eq!([state(&mut run, "CTAS_T_3"), state(&mut run, "CSAS_J_5")], ["PAUSED", "PAUSED"]);
        write(&site, &mut written, 100);
        counted(&mut run, "ALL_", 300);
        assert_eq!(run.ask("SELECT N, IDS FROM T"), [all_of(100)]);
        run.done("RESUME CTAS_T_3");
        counted(&mut run, "T", 300);
        run.engine.stop().unwrap();
    }
    let mut run = Run::live(&site, COARSE, SCRIPT);
    write(&site, &mut written, 100);
    counted(&mut run, "T", 400);
    run.done("RESUME CSAS_J_5");
    joined(&site, written);
}

#[test]
fn readers_of_several_processes_stop_at_one_place() {
    let site = site();
    let script = site.script(SCRIPT);
    let hosts = site.write("hosts", free_addresses(2).join("\n"));
    let process = |index: &str, more: &[&str]| {
        let mut command = binary(["run", "-n", "2", "-p", index, "-w", "2", "--listen", "127.0.0.1:0"]);
        command.args(more).arg("--hostfile").arg(&hosts).arg(&script);
        command
    };
    let _second = Process::start(process("1", &[]));
    let served = Served::of(process("0", &[]));
    let ask = |table: &str| {
        let body = serde_json::json!({ "sql": format!("SELECT N, IDS FROM {table}") }).to_string();
        served.post("/query-stream", "application/json", body).body
    };
    let counted = |table: &str, written: u64| {
        let started = std::time::Instant::now();
        while !ask(table).contains(&format!("[{written},{}]", written * (written - 1) / 2)) {
            assert!(started.elapsed() < DEADLINE, "{}", ask(table));
        }
    };
    let mut written = 0;
    for _ in 0..3 {
        write(&site, &mut written, 5_000);
        let paused = served.ksql("PAUSE CTAS_T_3;");
        assert!(paused.is_array(), "{paused}");
        let before = written;
        write(&site, &mut written, 1_000);
        counted("ALL_", written);
        let rows: serde_json::Value = serde_json::from_str(&ask("T")).unwrap();
        assert!(rows[1][0].as_u64() <= Some(before), "what came later is not counted: {rows}");
        served.ksql("RESUME ALL;");
        counted("T", written);
    }
}

#[test]
fn standard_input_stands_with_all_that_read_it() {
    let site = Site::new().and("[topics.s]\nconnector = \"stdin\"\n");
    let script = site.script(
        "CREATE STREAM S (ID INT, V INT) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='DELIMITED');
         CREATE TABLE T AS SELECT 1 AS ONE, COUNT(*) AS N FROM S GROUP BY 1;
         CREATE TABLE U AS SELECT 1 AS ONE, SUM(V) AS N FROM S GROUP BY 1;",
    );
    let mut command = binary(["run", "--listen", "127.0.0.1:0"]);
    command.arg(&script).stdin(std::process::Stdio::piped());
    let mut served = Served::of(command);
    let mut input = served.process.child.stdin.take().unwrap();
    let mut write = |line: &str| std::io::Write::write_all(&mut input, line.as_bytes()).unwrap();
    let ask = |table: &str| {
        let body = serde_json::json!({ "sql": format!("SELECT N FROM {table}") }).to_string();
        served.post("/query-stream", "application/json", body).body
    };
    let becomes = |table: &str, n: u64| {
        let started = std::time::Instant::now();
        while !ask(table).contains(&format!("[{n}]")) {
            assert!(started.elapsed() < DEADLINE, "{}", ask(table));
        }
    };
    write("1,10\n2,20\n");
    becomes("T", 2);
    becomes("U", 30);
    let refused = |sql: &str, why: &str| {
        let refused = served.ksql(sql).to_string();
        assert!(refused.contains(why), "{refused}");
    };
    refused("PAUSE CTAS_T_1;", "others read S with it");
    assert!(served.ksql("PAUSE ALL;").is_array());
    refused("RESUME CTAS_T_1;", "others read S with it");
    refused("CREATE TABLE V AS SELECT ID, COUNT(*) AS N FROM S GROUP BY ID;", "is paused");
    write("3,30\n");
    assert!(served.ksql("RESUME ALL;").is_array());
    becomes("T", 3);
    becomes("U", 60);
    assert!(served.ksql("TERMINATE CTAS_U_2;").is_array());
    assert!(served.ksql("PAUSE CTAS_T_1;").is_array());
    write("4,40\n");
    assert!(served.ksql("RESUME CTAS_T_1;").is_array());
    becomes("T", 4);
}

//! The command line through the binary: output, errors, exit codes.

use crate::carparks;
use crate::harness::{DEADLINE, Finished, Process, Served, Site, binary, run};
use serde_json::Value;
use std::io::Write;
use std::process::Stdio;
use std::time::{Duration, Instant};

const SCRIPT: &str = "
    CREATE STREAM S (K VARCHAR, V DOUBLE) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='DELIMITED');
    CREATE TABLE T AS SELECT K, SUM(V) AS V FROM S GROUP BY K;
";

fn site() -> Site {
    Site::new().with("s", "s.csv", "a,0.1\nb,2\na,0.2\n")
}

/// `run --once` on a script beside its topology.
fn once(site: &Site, sql: &str, more: &[&str]) -> Finished {
    let script = site.script(sql);
    run(&[&["run", "--once", "-w", "2"], more, &[script.to_str().unwrap()]].concat())
}

#[test]
fn answers_in_every_format() {
    let site = site();
    let questions = ["-q", "SELECT * FROM T", "-q", "SELECT K FROM S WHERE V > 5; SHOW ALL TABLES"];
    let cases = [
        (
            "json",
            "{\"K\":\"a\",\"V\":0.30000000000000004}\n{\"K\":\"b\",\"V\":2.0}\n\n\n\
             {\"NAME\":\"T\",\"TOPIC\":\"T\",\"KEY_FORMAT\":\"KAFKA\",\"VALUE_FORMAT\":\"DELIMITED\"}\n\
             {\"NAME\":\"WHARFE_BOOKS\",\"TOPIC\":\"wharfe_books\",\"KEY_FORMAT\":\"NONE\",\"VALUE_FORMAT\":\"JSON\"}\n",
        ),
        (
            "csv",
            "K,V\na,0.30000000000000004\nb,2.0\n\nK\n\nNAME,TOPIC,KEY_FORMAT,VALUE_FORMAT\nT,T,KAFKA,DELIMITED\n\
             WHARFE_BOOKS,wharfe_books,NONE,JSON\n",
        ),
        (
            "table",
            "+---+---------------------+\n| K | V                   |\n+---+---------------------+\n\
             | a | 0.30000000000000004 |\n| b |                 2.0 |\n+---+---------------------+\n\n\
             +---+\n| K |\n+---+\n+---+\n\n\
             +--------------+--------------+------------+--------------+\n\
             | NAME         | TOPIC        | KEY_FORMAT | VALUE_FORMAT |\n\
             +--------------+--------------+------------+--------------+\n\
             | T            | T            | KAFKA      | DELIMITED    |\n\
             | WHARFE_BOOKS | wharfe_books | NONE       | JSON         |\n\
             +--------------+--------------+------------+--------------+\n",
        ),
    ];
    for (format, expected) in cases {
        let finished = once(&site, SCRIPT, &[&["--format", format], &questions[..]].concat());
        assert_eq!((finished.code, finished.stdout.as_str()), (Some(0), expected), "{finished:?}");
        let totals = finished.stderr;
        assert!(
            totals.starts_with("read 3 rows (0.0 MiB) in ") && totals.ends_with("; rejected 0, notes 0\n"),
            "{totals}"
        );
    }
}

#[test]
fn what_cannot_work_is_refused_in_few_words() {
    let cases: [(&str, &str, &[&str], i32, &str); 14] = [
        (SCRIPT, "", &["-q", "SELECT * FROM T WHERE"], 2, "-q:1:22: expected an expression"),
        (SCRIPT, "", &["-q", "SELECT X FROM T"], 2, "-q:1:8: unknown column X"),
        (SCRIPT, "", &["-q", "DROP TABLE T"], 2, "-q takes SELECT, PRINT, SHOW, DESCRIBE and EXPLAIN only"),
        (SCRIPT, "", &["-q", ""], 2, "-q has no statement"),
        (SCRIPT, "", &["--format", "xml"], 2, "invalid value 'xml'"),
        (SCRIPT, "", &["--wrong"], 2, "unexpected argument '--wrong'"),
        (SCRIPT, "", &["--topic", "s"], 2, "--topic s: there is no ="),
        (SCRIPT, "", &["--topology", "DIR/none.toml"], 2, "cannot read topology DIR/none.toml"),
        (SCRIPT, "", &["--topic", "s=DIR/none.csv"], 1, "there is no file DIR/none.csv"),
        (SCRIPT, "", &["--data-dir", "DIR/s.csv"], 2, "cannot write to data directory DIR/s.csv"),
        (SCRIPT, "[topics.x]\nconector = \"file\"", &[], 2, "script.toml:"),
        (SCRIPT, "[topics.x]\nconnector = \"kafka\"", &[], 2, "topic x has no cluster"),
        ("CREATE STREAM S (X INT) WITH (KAFKA_TOPIC='s');\n\nSELECT", "", &[], 2, "script.sql:3:7: expected"),
        ("SELECT * FROM NOPE;", "", &[], 2, "script.sql:1:15: there is no stream or table NOPE"),
    ];
    for (sql, toml, args, code, message) in cases {
        let site = site().and(toml);
        let dir = site.dir().to_str().unwrap();
        let args: Vec<String> = args.iter().map(|arg| arg.replace("DIR", dir)).collect();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let finished = once(&site, sql, &args);
        assert_eq!(finished.code, Some(code), "{args:?}: {finished:?}");
        assert!(finished.stderr.contains(&message.replace("DIR", dir)), "{args:?}: {finished:?}");
        assert_eq!(finished.stdout, "", "{args:?}");
    }
    let missing = run(&["run", "--once", "/no/such/script.sql"]);
    assert_eq!(
        (missing.code, missing.stderr.as_str()),
        (Some(2), "error: there is no script /no/such/script.sql\n")
    );
}

#[test]
fn strict_counts_rejects() {
    let site = Site::new().with("s", "s.csv", "a,1\nb,x\n");
    for (args, code) in [(&["--strict"][..], 3), (&[], 0)] {
        let finished = once(&site, SCRIPT, args);
        assert_eq!(finished.code, Some(code), "{finished:?}");
        // Of each source the first one, and where the others are.
        let said = "rejected 1, notes 0\n\
            S: rejected 1, the first at offset 4 of partition 0: column V: 'x' is not a DOUBLE: b,x\n\
            all of them: -q 'SELECT * FROM WHARFE_REJECTS'\n";
        assert!(finished.stderr.ends_with(said), "{finished:?}");
    }
    let notes = "CREATE STREAM S (K VARCHAR, V INT) WITH (KAFKA_TOPIC='n', VALUE_FORMAT='DELIMITED');
        CREATE TABLE T AS SELECT K, SUM(1 / V) AS V FROM S GROUP BY K;";
    let finished = once(&Site::new().with("n", "n.csv", "a,0\n"), notes, &["--strict"]);
    assert_eq!(finished.code, Some(0), "notes are no rejects: {finished:?}");
    // An answer that reads the topic by itself counts as well.
    let declared = "CREATE STREAM S (K VARCHAR, V INT) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='DELIMITED');";
    let asked = once(&site, declared, &["--strict", "--format", "json", "-q", "SELECT K FROM S"]);
    assert_eq!((asked.code, &*asked.stdout), (Some(3), "{\"K\":\"a\"}\n"), "{asked:?}");
    assert!(finished.stderr.ends_with("rejected 0, notes 1\n"), "{finished:?}");
}

#[test]
fn what_was_read_and_left_out_is_summed_up() {
    let site = Site::new().with("s", "s.csv", "a,1\n,2\nb,3\n,4\n");
    let finished = once(&site, SCRIPT, &[]);
    assert!(finished.stderr.starts_with("read 4 rows "), "{finished:?}");
    let said = "rejected 0, notes 0, left out for a NULL in their key 2\n";
    assert!(finished.stderr.ends_with(said), "{finished:?}");
    // What only a SELECT reads.
    let declared = "CREATE STREAM S (K VARCHAR, V DOUBLE) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='DELIMITED');";
    let finished = once(&site, declared, &["-q", "SELECT * FROM S", "-q", "SELECT * FROM WHARFE_REJECTS"]);
    assert!(finished.stderr.starts_with("read 4 rows "), "{finished:?}");
}

#[test]
fn topics_can_be_put_elsewhere() {
    let site = site();
    let other = site.write("other.csv", "z,1\n");
    let count = ["--format", "csv", "-q", "SELECT K FROM T"];
    let finished =
        once(&site, SCRIPT, &[&["--topic", &format!("s={}", other.display())], &count[..]].concat());
    assert_eq!(finished.stdout, "K\nz\n", "{finished:?}");

    let script = site.script(SCRIPT);
    let mut command = binary(["run", "--once", "--topic", "s=-"]);
    let mut process = {
        command.args(count).arg(script).stdin(Stdio::piped()).stdout(Stdio::piped());
        command.spawn().unwrap()
    };
    process.stdin.take().unwrap().write_all(b"from,1\nstdin,2\nfrom,3\n").unwrap();
    let output = process.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "K\nfrom\nstdin\n");

    let topology = site.write("other.toml", "[topics.s]\nconnector = \"file\"\npath = \"other.csv\"");
    let finished = once(&site, SCRIPT, &[&["--topology", topology.to_str().unwrap()], &count[..]].concat());
    assert_eq!(finished.stdout, "K\nz\n", "{finished:?}");
}

#[test]
fn a_script_answers_its_own_queries() {
    let sql =
        format!("{SCRIPT} SELECT * FROM T WHERE K = 'b'; SHOW ALL STREAMS; PRINT s FROM BEGINNING LIMIT 1;");
    let finished = once(&site(), &sql, &["--format", "csv"]);
    let answers: Vec<&str> = finished.stdout.split("\n\n").collect();
    assert_eq!(answers[0], "K,V\nb,2.0");
    assert_eq!(
        answers[1],
        "NAME,TOPIC,KEY_FORMAT,VALUE_FORMAT\nS,s,KAFKA,DELIMITED\nWHARFE_REJECTS,wharfe_rejects,NONE,JSON"
    );
    assert!(answers[2].ends_with("value: a,0.1, partition: 0, offset: 0\n"), "{finished:?}");
    let endless = site();
    let script = endless.script(&format!("{SCRIPT} SELECT * FROM S EMIT CHANGES;"));
    let finished = run(&["run", "--listen", "0", script.to_str().unwrap()]);
    assert_eq!(finished.code, Some(2));
    assert!(finished.stderr.contains("a SELECT with EMIT CHANGES in a script never ends"), "{finished:?}");
}

#[test]
fn a_second_start_inserts_nothing_twice() {
    let site = Site::new().and("[topics.d]\nconnector = \"log\"");
    let sql = "CREATE STREAM S (V INT) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='JSON');
        CREATE STREAM D WITH (KAFKA_TOPIC='d') AS SELECT V * 10 AS V FROM S;
        CREATE TABLE N AS SELECT V, COUNT(*) AS N FROM D GROUP BY V;
        INSERT INTO S VALUES (1);";
    let data = site.path("data");
    let args = [
        "--format",
        "csv",
        "--data-dir",
        data.to_str().unwrap(),
        "-q",
        "SELECT * FROM N",
        "-q",
        "SELECT V FROM D",
    ];
    let twice = format!("{sql} INSERT INTO S VALUES (1);");
    for (sql, count) in [(sql, 1), (sql, 1), (&twice, 2), (&twice, 2)] {
        let finished = once(&site, sql, &args);
        assert_eq!(
            finished.stdout,
            format!("V,N\n10,{count}\n\nV\n{}", "10\n".repeat(count)),
            "{finished:?}"
        );
        let printed = once(&site, sql, &[&args[..4], &["-q", "PRINT d"]].concat());
        assert_eq!(printed.stdout.lines().count(), count, "what is stored is not stored twice: {printed:?}");
    }
    let gone = Site::new();
    let script = gone.script(sql);
    run(&["run", "--once", script.to_str().unwrap()]);
    assert!(!gone.path("data").exists());
}

#[test]
fn a_server_is_asked_and_interrupted() {
    let site = site();
    let served = Served::start(&site.script(SCRIPT), &[]);
    let ask = |sql: &str, format: &str| run(&["query", sql, "--server", &served.url, "--format", format]);
    while ask("SELECT * FROM T", "json").stdout
        != "{\"K\":\"a\",\"V\":0.30000000000000004}\n{\"K\":\"b\",\"V\":2.0}\n"
    {}
    let push = ask("SET 'auto.offset.reset' = 'earliest'; SELECT K FROM S EMIT CHANGES LIMIT 2", "csv");
    assert_eq!((push.code, push.stdout.as_str()), (Some(0), "K\na\nb\n"), "{push:?}");
    let created = ask("CREATE STREAM D AS SELECT K FROM S; SHOW TABLES", "csv");
    assert_eq!(created.stdout.lines().next(), Some("Created query with ID CSAS_D_2"), "{created:?}");
    let refused = ask("SELECT X FROM T", "json");
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.stderr.contains("unknown column X"), "{refused:?}");

    // Ctrl-C ends a query, and then the server.
    let watching = Process::start(binary([
        "query",
        "SET 'auto.offset.reset' = 'earliest'; SELECT * FROM T EMIT CHANGES",
        "--server",
        &served.url,
        "--format",
        "json",
    ]));
    let mut watching = watching;
    assert!(watching.line().is_some());
    watching.signal(libc::SIGINT);
    assert_eq!(watching.finish().code, Some(130));
    served.process.signal(libc::SIGINT);
    let finished = served.process.finish();
    assert_eq!(finished.code, Some(130), "{finished:?}");
    let nobody = run(&["query", "SHOW STREAMS", "--server", &served.url]);
    assert_eq!(nobody.code, Some(1));
    assert!(nobody.stderr.starts_with("error: no server at http://127.0.0.1:"), "{nobody:?}");
}

#[test]
fn a_port_in_use_is_one_line() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let site = site();
    let script = site.script(SCRIPT);
    let finished = run(&["run", "--listen", &address, script.to_str().unwrap()]);
    assert_eq!(finished.code, Some(1), "{finished:?}");
    assert!(finished.stderr.starts_with(&format!("error: {address} is in use")), "{finished:?}");
    assert_eq!(finished.stderr.lines().count(), 1);
}

#[test]
fn an_interrupted_run_ends_with_130() {
    // Who waits for an answer does not get it by terminating.
    [libc::SIGINT, libc::SIGTERM].into_iter().for_each(interrupted_by);
}

fn interrupted_by(signal: i32) {
    let site = Site::new();
    let script = site.script(SCRIPT);
    let mut command = binary(["run", "--once", "--topic", "s=-"]);
    command.arg(script).stdin(Stdio::piped());
    // It waits for its input, which does not end.
    let mut process = Process::start(command);
    let mut input = process.child.stdin.take().unwrap();
    input.write_all(b"a,1\n").unwrap();
    // Before the handler is there the signal would end it otherwise.
    let ready = format!("/proc/{}/status", process.child.id());
    let catches = |status: String| {
        let caught =
            status.lines().find_map(|l| l.strip_prefix("SigCgt:")).map(str::trim).unwrap_or("0").to_string();
        u64::from_str_radix(&caught, 16).unwrap_or(0) & 2 != 0
    };
    while !std::fs::read_to_string(&ready).is_ok_and(catches) {}
    process.signal(signal);
    assert_eq!(process.finish().code, Some(130), "signal {signal}");
}

/// A request to terminate is how a server is stopped: what was read is in a checkpoint then.
#[test]
fn a_terminated_server_ends_well_and_forgets_nothing() {
    let site = site();
    let (script, data) = (site.script(SCRIPT), site.path("data"));
    let keep = ["--data-dir", data.to_str().unwrap(), "--checkpoint-interval", "3600"];
    let mut served = Served::start(&script, &keep);
    let all = [r#"{"K":"a","V":0.30000000000000004}"#, r#"{"K":"b","V":2.0}"#].map(|row| format!("{row}\n"));
    let rows = |url: &str| run(&["query", "SELECT * FROM T", "--server", url, "--format", "json"]).stdout;
    while rows(&served.url) != all.concat() {}
    let asked = Instant::now();
    served.process.signal(libc::SIGTERM);
    while !served.process.has_ended() {
        assert!(asked.elapsed() < Duration::from_secs(5), "it goes on");
    }
    let finished = served.process.finish();
    assert_eq!(finished.code, Some(0), "{finished:?}");

    let again = once(&site, SCRIPT, &[&keep[..], &["--format", "json", "-q", "SELECT * FROM T"]].concat());
    assert_eq!(again.stdout, all.concat(), "{again:?}");
    assert!(again.stderr.contains("read 0 rows"), "{again:?}");
}

#[test]
fn rates_and_lags_are_shown() {
    let site = site();
    let served = Served::start(&site.script(SCRIPT), &[]);
    let rows = |args: &[&str]| -> Vec<Value> {
        let shown = run(&[args, &["--server", &served.url, "--format", "json"]].concat());
        assert_eq!(shown.code, Some(0), "{shown:?}");
        shown.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let started = Instant::now();
    let read = loop {
        let sources = rows(&["lag"]);
        match sources.iter().find(|source| source["SOURCE"] == "S" && source["RECORDS"] == 3) {
            Some(source) => break source.clone(),
            None => assert!(started.elapsed() < DEADLINE, "{sources:?}"),
        }
    };
    assert!(read["RECORDS_PER_SECOND"].as_f64() > Some(0.0), "{read}");
    let lags = ["TOPIC", "LAG_RECORDS", "LAG_BYTES", "LAG_SECONDS"].map(|name| read[name].clone());
    assert_eq!(lags, ["s".into(), Value::Null, 0.into(), 0.0.into()]);
    let query = &rows(&["query", "SHOW QUERIES"])[0];
    assert!(query["ROWS_PER_SECOND"].as_f64() > Some(0.0), "{query}");
    assert_eq!(query["LAG_SECONDS"], 0.0, "{query}");
    let described =
        run(&["query", "DESCRIBE S EXTENDED; SHOW ALL STREAMS EXTENDED", "--server", &served.url]);
    for line in ["records read: 3", "lag in bytes: 0", "lag in seconds: 0"] {
        assert_eq!(described.stdout.matches(&format!("\n{line}\n")).count(), 2, "{line}: {described:?}");
    }
    assert!(described.stdout.contains("WHARFE_REJECTS"), "{described:?}");
}

#[test]
fn what_happens_is_told_in_lines_that_programs_can_read() {
    let site = Site::new().with("s", "s.csv", "a,1\nb,x\n");
    let (script, data) = (site.script(SCRIPT), site.path("data"));
    let keep = ["--data-dir", data.to_str().unwrap(), "--checkpoint-interval", "0.1"];
    let tell = ["--log-format", "json", "--log-level", "debug"];
    let served = Served::start(&script, &[&keep[..], &tell].concat());
    served.ksql("CREATE STREAM D AS SELECT K FROM S; TERMINATE CSAS_D_2;");
    // By then the worker has told of its rejects, and a checkpoint was taken.
    let started = Instant::now();
    while !["rejected_records_total{source=\"S\",topic=\"s\"} 1", "checkpoint_number"]
        .into_iter()
        .all(|wanted| served.get("/metrics").body.contains(wanted))
    {
        assert!(started.elapsed() < DEADLINE);
    }
    served.process.signal(libc::SIGTERM);
    let told: Vec<Value> =
        served.process.finish().stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let wanted = [
        ("INFO", "started"),
        ("INFO", "Created query with ID CSAS_D_2"),
        ("INFO", "Query CSAS_D_2 terminated"),
        ("WARN", "records were rejected: WHARFE_REJECTS says which and why"),
        ("DEBUG", "checkpoint taken"),
        ("INFO", "stopping"),
    ];
    for (level, message) in wanted {
        let said = |line: &&Value| line["level"] == level && line["message"] == message;
        assert!(told.iter().any(|line| said(&line)), "{message} is missing in {told:#?}");
    }
    let one = |message: &str| told.iter().find(|line| line["message"] == message).unwrap();
    assert_eq!(one("Created query with ID CSAS_D_2")["query"], "CSAS_D_2");
    assert_eq!(one("records were rejected: WHARFE_REJECTS says which and why")["rejected"], 1);
    assert!(one("checkpoint taken")["bytes"].as_u64() > Some(0));
    let at = one("started")["timestamp"].as_str().map(chrono::DateTime::parse_from_rfc3339);
    assert!(matches!(at, Some(Ok(_))), "{told:#?}");

    let quiet = once(&site, SCRIPT, &["--log-format", "json", "--topic", "x=y"]);
    let error: Value = serde_json::from_str(&quiet.stderr).unwrap();
    assert_eq!((quiet.code, &error["level"]), (Some(2), &"ERROR".into()), "{quiet:?}");
}

#[test]
fn generated_feeds_and_plans() {
    let site = Site::new();
    let file = site.path("feed.csv");
    let generate = |seed: &str| {
        run(&[
            "generate",
            "carparks_historic",
            "--rows",
            "1_000",
            "--seed",
            seed,
            "--out",
            file.to_str().unwrap(),
        ]);
        std::fs::read_to_string(&file).unwrap()
    };
    let (first, second, other) = (generate("1"), generate("1"), generate("2"));
    assert_eq!(first, second);
    assert_ne!(first, other);
    assert_eq!(first.lines().count(), 1_000);
    assert_eq!(first.lines().next(), Some("2018-02-05,09:55,Westgate,116,80,Spaces,53.796291,-1.759143"));
    let piped = run(&["generate", "carparks_historic", "--rows", "1000", "--seed", "1", "--out", "-"]);
    assert_eq!(piped.stdout, first);
    for wrong in [
        &["generate", "planes", "--rows", "1", "--out", "-"][..],
        &["generate", "carparks", "--out", "-"],
        &["generate"],
    ] {
        assert_eq!(run(wrong).code, Some(2), "{wrong:?}");
    }
    let feeds = carparks::site(1, 1, None);
    let explained = run(&["explain", feeds.script(carparks::SCRIPT).to_str().unwrap()]);
    assert_eq!(explained.code, Some(0), "{explained:?}");
    for part in [
        "source CARPARK_LEEDS_SRC01",
        "query CSAS_CARPARK_EVENTS_1",
        "exchange by hash of the key",
        "maintain table: monoid",
    ] {
        assert!(explained.stdout.contains(part), "{part} is missing in {}", explained.stdout);
    }
}

#[test]
fn help_and_version() {
    let version = run(&["--version"]);
    assert_eq!((version.code, version.stdout), (Some(0), format!("wharfe {}\n", env!("CARGO_PKG_VERSION"))));
    let help = run(&["--help"]);
    for command in ["run", "query", "lag", "shell", "explain", "generate", "bench"] {
        assert!(help.stdout.contains(&format!("\n  {command} ")), "{command} is missing in {}", help.stdout);
        let help = run(&[command, "--help"]);
        assert_eq!(help.code, Some(0));
        assert!(help.stdout.contains("Usage: wharfe "), "{help:?}");
    }
    let nothing = run(&[]);
    assert_eq!(nothing.code, Some(2));
    assert!(nothing.stderr.contains("Usage: wharfe "), "{nothing:?}");
}

/// Planning is no start: what lies in a directory that a plan only names must stay.
#[test]
fn explaining_clears_nothing() {
    let feeds = carparks::site(1, 1, None).and("[topics.carpark_events_03]\nconnector = \"log\"\n");
    std::fs::create_dir_all(feeds.path("DATA/topics/carpark_events_03/0")).unwrap();
    let kept = feeds.write("DATA/topics/carpark_events_03/0/kept", "kept");
    let mut explain = binary(["explain".as_ref(), feeds.script(carparks::SCRIPT).as_os_str()]);
    explain.current_dir(feeds.dir());
    assert_eq!(Process::start(explain).finish().code, Some(0));
    assert!(kept.exists(), "{} is gone", kept.display());
}

//! The console, dashboards and what they ask: in a real browser where there is one, and by plain requests.
//!
//! The walk through the pages is `tests/console/walk.mjs`: it needs node, playwright-core and Chromium, which
//! `.ci/run` installs. Its screenshots lie under `target/console`; `WHARFE_REWRITE=1` copies those of the flow
//! and the dashboard to `docs/`.

use super::harness::{Served, Site, binary, run};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

const SPOILED: &str = "
CREATE STREAM SPOILED (A VARCHAR, B VARCHAR) WITH (KAFKA_TOPIC='spoiled', VALUE_FORMAT='JSON');
CREATE STREAM SPOILED_TOO AS SELECT * FROM SPOILED;";

/// A sink whose server is away.
const SINK: &str = "
[sinks.search]
connector = 'opensearch'
url = 'http://127.0.0.1:9'
topics = ['CARPARK_EVENTS', 'CARPARK_OCCUPANCY']";

fn site() -> (Site, PathBuf) {
    site_with("")
}

/// The car parks' script with one record that cannot be taken, and a stream of records that are markup.
fn site_with(topology: &str) -> (Site, PathBuf) {
    let dataflows = root().join("dataflows");
    let read = |file: &str| std::fs::read_to_string(dataflows.join(file)).unwrap();
    let bad = "2020-10-06,14:41,Mended,116,many,Spaces,53.79,-1.75,\"\"\n";
    let markup = json!({ "A": "<script>spoiled = 1</script>", "B": "<img src=x onerror=spoiled=1>\"'&" });
    let site = Site::new()
        .with("carparks", "live.csv", read("carparks/live.csv") + bad)
        .with("carparks_historic", "historic.csv", read("carparks/historic.csv"))
        .with("carparks_leeds", "leeds.json", read("carparks/leeds.json"))
        .with("spoiled", "spoiled.json", markup.to_string() + "\n")
        .and("[topics.carpark_events_03]\nconnector = 'log'")
        .and(topology);
    let script = site.script(&(read("carparks.sql") + SPOILED));
    let beside = script.with_extension("dashboard.toml");
    std::fs::write(&beside, read("carparks.dashboard.toml")).unwrap();
    let named = beside.with_file_name("carparks.dashboard.toml");
    std::fs::rename(&beside, &named).unwrap();
    (site, script)
}

fn serve(script: &Path, more: &[&str]) -> Served {
    let dashboard = script.with_file_name("carparks.dashboard.toml");
    let mut all = vec!["--dashboard", dashboard.to_str().unwrap()];
    all.extend(more);
    Served::start(script, &all)
}

/// Rows of a query once there are so many.
fn rows(served: &Served, sql: &str, count: usize) -> Vec<Value> {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let reply = served.post("/query-stream", "application/json", json!({ "sql": sql }).to_string());
        let all: Vec<Value> = serde_json::from_str(&reply.body).unwrap_or_else(|_| panic!("{reply:?}"));
        if all.len() > count {
            return all[1..].to_vec();
        }
        assert!(Instant::now() < deadline, "{sql}: {all:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn get(served: &Served, path: &str) -> Value {
    let reply = served.get(path);
    assert_eq!(reply.status, 200, "{path}: {reply:?}");
    serde_json::from_str(&reply.body).unwrap()
}

/// Where playwright-core is, if the walk can be made here.
fn browser() -> Result<(PathBuf, PathBuf), &'static str> {
    let there = |program: &str| {
        let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).output().unwrap();
        Some(PathBuf::from(String::from_utf8(found.stdout).unwrap().trim())).filter(|path| path.is_file())
    };
    there("node").ok_or("there is no node")?;
    let chromium = ["chromium", "chromium-browser", "google-chrome"].into_iter().find_map(there);
    let chromium = chromium.ok_or("there is no chromium")?;
    let given = std::env::var("WHARFE_PLAYWRIGHT").map(PathBuf::from);
    let playwright = given.unwrap_or_else(|_| root().join("target/node/node_modules/playwright-core"));
    playwright.is_dir().then_some((playwright, chromium)).ok_or("there is no playwright-core")
}

#[test]
fn in_a_browser() {
    let (playwright, chromium) = match browser() {
        Ok(found) => found,
        Err(why) => {
            eprintln!("SKIPPED: the console is not walked through, {why}; .ci/run installs what is missing");
            return;
        }
    };
    let (_site, script) = site_with(SINK);
    let served = serve(&script, &[]);
    rows(&served, "SELECT SOURCE FROM SOURCE_COUNTS", 3);
    let shots = root().join("target/console");
    let walked = Command::new("node")
        .arg(root().join("tests/console/walk.mjs"))
        .args([&served.url, playwright.to_str().unwrap(), chromium.to_str().unwrap()])
        .arg(&shots)
        .output()
        .unwrap();
    let (out, errors) = (String::from_utf8_lossy(&walked.stdout), String::from_utf8_lossy(&walked.stderr));
    println!("{out}");
    assert!(walked.status.success(), "{out}\n{errors}");
    if std::env::var_os("WHARFE_REWRITE").is_some() {
        for picture in ["flow.png", "dashboard.png"] {
            std::fs::copy(shots.join(picture), root().join("docs").join(picture)).unwrap();
        }
    }
}

#[test]
fn the_flow_is_a_graph_and_a_picture() {
    let (_site, script) = site_with(SINK);
    let served = serve(&script, &[]);
    let graph = get(&served, "/flow");
    let ids: Vec<&str> =
        graph["nodes"].as_array().unwrap().iter().map(|n| n["id"].as_str().unwrap()).collect();
    for id in [
        "topic:carparks",
        "stream:CARPARK_EVENTS",
        "query:CTAS_CARPARK_OCCUPANCY_5",
        "table:SOURCE_COUNTS",
        "sink:search",
    ] {
        assert!(ids.contains(&id), "{id} is not in {ids:?}");
    }
    let picture = served.get("/flow.svg");
    assert_eq!(picture.media_type, "image/svg+xml");
    drop(served);
    let explained = run(&["explain", "--svg", "-", script.to_str().unwrap()]);
    assert_eq!(explained.code, Some(0), "{}", explained.stderr);
    assert_eq!(explained.stdout, picture.body, "the same graph before it runs");
}

#[test]
fn events_tell_what_changes() {
    let (_site, script) = site();
    let served = serve(&script, &[]);
    rows(&served, "SELECT SOURCE FROM SOURCE_COUNTS", 3);
    let config = ureq::Agent::config_builder().http_status_as_error(false).build();
    let agent: ureq::Agent = config.into();
    let response = agent.get(format!("{}/events", served.url)).call().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(response.into_body().into_reader()));
    let mut data = |kind: &str| {
        loop {
            if lines.next().unwrap().unwrap() == format!("event: {kind}") {
                let line = lines.next().unwrap().unwrap();
                return serde_json::from_str::<Value>(line.strip_prefix("data: ").unwrap()).unwrap();
            }
        }
    };
    let measured = data("measures");
    assert!(measured["sources"].is_object() && measured["memoryBytes"].is_array(), "{measured}");
    let before = data("catalog");
    served.ksql("CREATE STREAM MORE AS SELECT * FROM CARPARK_SRC;");
    let deadline = Instant::now() + Duration::from_secs(30);
    while data("catalog") == before {
        assert!(Instant::now() < deadline, "the catalog's number has not changed");
    }
    let books = data("measures")["queries"]["CSAS_CARPARK_EVENTS_1"].clone();
    let transform = books.as_array().unwrap().iter().find(|stage| stage["stage"] == "transform").unwrap();
    let count = |key: &str| transform[key].as_u64().unwrap();
    assert_eq!(count("in"), count("out") + count("filtered") + count("rejected"));
    assert!(get(&served, "/health/history")["samples"].is_array());
}

#[test]
fn a_dashboard_is_told_which_column_is_missing() {
    let (_site, script) = site();
    let dashboard = script.with_file_name("carparks.dashboard.toml");
    let text = std::fs::read_to_string(&dashboard).unwrap();
    std::fs::write(&dashboard, text.replacen("value = \"EMPTY_PLACES\"", "value = \"EMPTY_PLACE\"", 1))
        .unwrap();
    let served = serve(&script, &[]);
    let spec = get(&served, "/dashboards/carparks/spec");
    let problems: Vec<&Value> = spec["panels"].as_array().unwrap().iter().map(|p| &p["problem"]).collect();
    let expected =
        "panel Empty spaces now: value: the query has no column EMPTY_PLACE; did you mean EMPTY_PLACES?";
    assert_eq!(problems[0], &json!(expected));
    assert!(problems[1..].iter().all(|problem| problem.is_null()), "{problems:?}");
    assert_eq!(served.get("/dashboards/nobody").status, 404);
    let finished = served.stop();
    assert!(finished.stderr.contains(expected), "{}", finished.stderr);
}

#[test]
fn each_shipped_dashboard_fits_its_script() {
    for (name, panels) in [("carparks", 8), ("carparks_hours", 6)] {
        let file = |end: &str| root().join(format!("dataflows/{name}{end}"));
        let topology = root().join("dataflows/carparks.toml");
        let served = Served::start(&file(".sql"), &["--topology", topology.to_str().unwrap()]);
        let spec = get(&served, &format!("/dashboards/{name}/spec"));
        let problems: Vec<&Value> =
            spec["panels"].as_array().unwrap().iter().map(|panel| &panel["problem"]).collect();
        assert_eq!(problems, vec![&Value::Null; panels], "{name}");
    }
}

#[test]
fn a_mended_record_goes_in_once_also_after_a_restart() {
    let (site, script) = site();
    let data = site.path("kept");
    let kept = ["--data-dir", data.to_str().unwrap(), "--checkpoint-interval", "0.1"];
    let served = serve(&script, &kept);
    let reject = "SELECT ROWPARTITION, ROWOFFSET FROM WHARFE_REJECTS WHERE REASON LIKE '%many%'";
    let found = rows(&served, reject, 1);
    let (partition, offset) = (&found[0][0], &found[0][1]);
    let id = format!("{partition}:{offset}");
    let shown = run(&["rejects", "show", &id, "--server", &served.url]);
    assert!(
        shown.stdout.contains("Mended,116,many") && shown.stdout.contains("000000  32 30"),
        "{}",
        shown.stdout
    );
    let cli = |served: &Served, value: &str| {
        run(&["rejects", "replay", &id, "--value", value, "--server", &served.url])
    };
    let right = "2020-10-06,14:41,Mended,116,12,Spaces,53.79,-1.75,\"\"";
    let replayed = cli(&served, right);
    assert_eq!((replayed.code, replayed.stdout.as_str()), (Some(0), "1 went back in\n"));
    let mended = "SELECT EMPTY_PLACES FROM CARPARK_OCCUPANCY WHERE NAME = 'Mended'";
    assert_eq!(rows(&served, mended, 1), [json!([12])]);
    let again = cli(&served, right);
    assert!(again.code == Some(1) && again.stdout.contains("went back in already"), "{}", again.stdout);
    let books = "SELECT ROWS_IN, ROWS_OUT FROM WHARFE_BOOKS WHERE TOPIC = 'wharfe_mended_CARPARK_SRC'";
    assert_eq!(rows(&served, books, 1), [json!([1, 1])]);
    served.stop();
    let served = serve(&script, &kept);
    let count = "SELECT EVENT_CT FROM CARPARK_OCCUPANCY WHERE NAME = 'Mended'";
    assert_eq!(rows(&served, count, 1), [json!([1])]);
    let again = cli(&served, right);
    assert!(again.stdout.contains("went back in already"), "{}", again.stdout);
}

#[test]
fn rejects_are_changed_by_an_expression() {
    let (_site, script) = site();
    let served = serve(&script, &[]);
    rows(&served, "SELECT REASON FROM WHARFE_REJECTS WHERE REASON LIKE '%many%'", 1);
    let body = json!({ "where": "SOURCE_NAME = 'CARPARK_SRC'", "expression": "REPLACE(RAW, 'many', '7')" });
    let preview = served.post("/rejects/preview", "", body.to_string());
    let preview: Value = serde_json::from_str(&preview.body).unwrap();
    assert!(preview["records"][0]["after"].as_str().unwrap().contains("Mended,116,7"), "{preview}");
    let replayed = served.post("/rejects/replay", "", body.to_string()).body;
    assert_eq!(replayed, r#"{"replayed":1,"refused":[]}"#);
    let mended = "SELECT EMPTY_PLACES FROM CARPARK_OCCUPANCY WHERE NAME = 'Mended'";
    assert_eq!(rows(&served, mended, 1), [json!([7])]);
}

#[test]
fn who_asks_must_be_known_and_allowed() {
    let (site, script) = site();
    let tokens = ["read", "write", "admin"].map(|role| {
        format!("[[tokens]]\nname = '{role}er'\ntoken = '{role}-0123456789abcdef'\nrole = '{role}'\n")
    });
    let access = site.write("access.toml", tokens.concat());
    let data = site.path("kept");
    let events = ["--gateway", "--data-dir", data.to_str().unwrap()];
    let served = serve(&script, &[&["--access", access.to_str().unwrap()][..], &events[..]].concat());
    let config = ureq::Agent::config_builder().http_status_as_error(false).build();
    let agent: ureq::Agent = config.into();
    let status = |token: &str, origin: &str, path: &str, body: Value| {
        let mut request =
            agent.post(format!("{}{path}", served.url)).header("content-type", "application/json");
        if !token.is_empty() {
            request = request.header("authorization", format!("Bearer {token}-0123456789abcdef"));
        }
        if !origin.is_empty() {
            request = request.header("origin", origin);
        }
        request.send(body.to_string()).unwrap().status().as_u16()
    };
    let ksql = |sql: &str| json!({ "ksql": sql });
    for path in ["/console", "/metrics", "/flow", "/subjects", "/info", "/topology", "/nothing"] {
        assert_eq!(served.get(path).status, 401, "{path}");
    }
    for (token, sql, expected) in [
        ("", "SHOW STREAMS;", 401),
        ("nobody", "SHOW STREAMS;", 401),
        ("read", "SHOW STREAMS;", 200),
        ("read", "TERMINATE ALL;", 403),
        ("write", "SHOW STREAMS; TERMINATE ALL;", 403),
        ("admin", "CREATE STREAM T AS SELECT * FROM CARPARK_SRC;", 200),
    ] {
        assert_eq!(status(token, "", "/ksql", ksql(sql)), expected, "{token} {sql}");
    }
    assert_eq!(status("admin", "http://evil.example", "/ksql", ksql("SHOW STREAMS;")), 403);
    assert_eq!(status("admin", &served.url, "/ksql", ksql("SHOW STREAMS;")), 200);
    let mut command = binary(["query", "--server", &served.url, "SELECT SOURCE FROM SOURCE_COUNTS"]);
    command.env("WHARFE_TOKEN", "read-0123456789abcdef");
    assert!(command.output().unwrap().status.success());
}

#[test]
fn other_machines_are_not_served_by_chance() {
    let (_site, script) = site();
    let script = script.to_str().unwrap();
    let open = run(&["run", "--listen", "0.0.0.0:0", script]);
    assert!(open.code == Some(2) && open.stderr.contains("nothing would be encrypted"), "{}", open.stderr);
    let anybody = run(&["run", "--listen", "0.0.0.0:0", "--insecure", script]);
    assert!(anybody.code == Some(2) && anybody.stderr.contains("--access FILE"), "{}", anybody.stderr);
    let kept = tempfile::tempdir().unwrap();
    for command in ["gateway", "registry"] {
        let open = run(&[command, "--listen", "0.0.0.0:0", "--data-dir", kept.path().to_str().unwrap()]);
        assert!(
            open.code == Some(2) && open.stderr.contains("nothing would be encrypted"),
            "{}",
            open.stderr
        );
    }
}

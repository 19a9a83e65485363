//! What waits to be delivered to a cluster when the start after it is another one: from an older
//! checkpoint, or of a script that has changed.

use crate::broker::Broker;
use crate::harness::{DEADLINE, Served, Site};
use std::path::{Path, PathBuf};
use std::time::Instant;

fn values(broker: &Broker, topic: &str) -> Vec<i64> {
    let value = |text: String| serde_json::from_str::<serde_json::Value>(&text).unwrap()["V"].as_i64();
    let records = broker.committed(topic).into_iter();
    let mut values: Vec<i64> = records.map(|record| value(record.value.unwrap()).unwrap()).collect();
    values.sort();
    values
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < DEADLINE, "{what}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

fn produce(broker: &Broker, topic: &str, before: usize, values: std::ops::Range<i64>) {
    let values: Vec<String> = values.map(|v| format!("{{\"V\":{v}}}")).collect();
    broker.produce_from(topic, 1, before, values.iter().map(String::as_str));
}

/// Both intervals are the same: what is written is final with the first checkpoint after it.
fn start(site: &Site, script: &Path, interval: &str) -> Served {
    let data = site.path("data");
    let intervals = ["--checkpoint-interval", interval, "--commit-interval", interval];
    Served::start(script, &[&["--data-dir", data.to_str().unwrap()], &intervals[..]].concat())
}

fn entries(dir: PathBuf) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    paths
}

/// What is computed again after an older checkpoint comes in another order here, with records between.
#[test]
fn an_older_checkpoint_delivers_again_and_loses_nothing() {
    let Some(broker) = Broker::real() else { return };
    let (toml, names) = broker.topology(&["a", "b", "out"]);
    names[..2].iter().for_each(|name| broker.create(name, 1));
    let site = Site::new().and(&toml);
    let script = site.script(
        "CREATE STREAM a (v INT) WITH (KAFKA_TOPIC='a', VALUE_FORMAT='JSON');
         CREATE STREAM b (v INT) WITH (KAFKA_TOPIC='b', VALUE_FORMAT='JSON');
         CREATE STREAM d WITH (KAFKA_TOPIC='out', PARTITIONS=1) AS SELECT v FROM a;
         INSERT INTO d SELECT v FROM b;",
    );
    let first = start(&site, &script, "0.05");
    for values in [0..10, 10..20] {
        produce(&broker, &names[0], 1_000, values.clone());
        until("not all is delivered", || self::values(&broker, &names[2]).len() as i64 == values.end);
    }
    first.process.signal(libc::SIGKILL);
    drop(first);
    let manifests: Vec<PathBuf> = entries(site.path("data/checkpoints"))
        .into_iter()
        .map(|dir| dir.join("manifest"))
        .filter(|manifest| manifest.exists())
        .collect();
    assert!(manifests.len() > 1, "{manifests:?}");
    manifests[1..].iter().for_each(|manifest| std::fs::write(manifest, "damaged").unwrap());

    // Older than what was delivered already.
    produce(&broker, &names[1], 0, 20..30);
    let second = start(&site, &script, "0.05");
    until("records are lost", || {
        let mut found = values(&broker, &names[2]);
        found.dedup();
        found == (0..30).collect::<Vec<_>>()
    });
    let finished = second.stop();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let told = finished.stderr.lines().filter(|line| line.contains("is delivered again")).count();
    assert_eq!(told, 1, "{finished:?}");
    assert!(values(&broker, &names[2]).len() <= 50, "more than once again");
    // And with that it is good.
    let third = start(&site, &script, "0.05");
    let before = values(&broker, &names[2]).len();
    produce(&broker, &names[1], 10, 30..31);
    until("nothing more is delivered", || values(&broker, &names[2]).len() > before);
    let finished = third.stop();
    assert!(!finished.stderr.contains("is delivered again"), "{finished:?}");
    assert_eq!(values(&broker, &names[2]).len(), before + 1);
}

#[test]
fn what_a_query_that_is_gone_has_left_is_delivered_and_goes() {
    let Some((broker, _alone)) = Broker::own() else { return };
    let (toml, names) = broker.topology(&["in", "out"]);
    broker.create(&names[0], 1);
    produce(&broker, &names[0], 0, 0..10);
    let site = Site::new().and(&toml);
    let script = |select: &str| {
        site.script(&format!(
            "CREATE STREAM s (v INT) WITH (KAFKA_TOPIC='in', VALUE_FORMAT='JSON');
             CREATE STREAM d WITH (KAFKA_TOPIC='out', PARTITIONS=1) AS SELECT {select} AS v FROM s;
             CREATE TABLE n AS SELECT 1 AS k, COUNT(*) AS n FROM s GROUP BY 1;"
        ))
    };
    let first = start(&site, &script("v"), "3600");
    let count = r#"{"sql":"SELECT n FROM n;"}"#;
    until("not all is read", || first.post("/query-stream", "application/json", count).body.contains("[10]"));
    broker.service("stop");
    // Its checkpoint makes final what cannot be delivered now.
    let finished = first.stop();
    assert!(finished.stderr.contains("not all that was computed is delivered"), "{finished:?}");
    broker.service("start");

    let second = start(&site, &script("v + 100"), "0.05");
    let mut expected: Vec<i64> = (0..10).chain(100..110).collect();
    until("not all is delivered", || values(&broker, &names[1]).len() >= expected.len());
    assert_eq!(values(&broker, &names[1]), expected);
    // A checkpoint is taken when there is something new; the last few are kept.
    let mut more = 10;
    until("the outbox is still there", || {
        produce(&broker, &names[0], 0, more..more + 1);
        more += 1;
        entries(site.path("data/outbox")).len() == 1
    });
    expected.extend(110..100 + more);
    until("not all is delivered", || values(&broker, &names[1]) == expected);
    let finished = second.stop();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_eq!(values(&broker, &names[1]), expected);
    broker.service("stop");
}

/// A query that ends while the engine runs: what it wrote since the last checkpoint is final, too.
#[test]
fn a_terminated_query_loses_nothing() {
    let Some(broker) = Broker::real() else { return };
    let (toml, names) = broker.topology(&["a", "out"]);
    broker.create(&names[0], 1);
    let site = Site::new().and(&toml);
    let script = site.script(
        "CREATE STREAM a (v INT) WITH (KAFKA_TOPIC='a', VALUE_FORMAT='JSON');
         CREATE STREAM d WITH (KAFKA_TOPIC='out', PARTITIONS=1) AS SELECT v FROM a;
         CREATE TABLE n AS SELECT 1 AS k, COUNT(*) AS n FROM d GROUP BY 1;",
    );
    let served = start(&site, &script, "3600");
    produce(&broker, &names[0], 0, 0..100);
    let counted = || {
        let question = r#"{"sql": "SELECT n FROM n;"}"#;
        served.post("/query-stream", "application/json", question).body.contains("[100]")
    };
    until("not all is read", counted);
    assert!(values(&broker, &names[1]).is_empty(), "nothing is final yet");
    let said = served.ksql("TERMINATE CSAS_D_1;").to_string();
    assert!(said.contains("SUCCESS"), "{said}");
    let finished = served.stop();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_eq!(values(&broker, &names[1]), (0..100).collect::<Vec<_>>(), "{finished:?}");
}

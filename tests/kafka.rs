//! Topics on a Kafka cluster, against a real broker where there can be one (see `broker`).

use crate::broker::{Broker, Record};
use crate::crash;
use crate::harness::{
    COARSE, Cut, DEADLINE, Process, Random, Run, Served, Site, binary, free_addresses, messages,
};

use serde_json::value::RawValue;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use wharfe::connector::{self, Opening, Poll, Share, Start};
use wharfe::engine::Outcome;
use wharfe::topology::Topology;

const FEEDS: [&str; 3] = ["carparks", "carparks_historic", "carparks_leeds"];
const EVENTS: &str = "carpark_events_03";
const ANSWERS: [&str; 2] = ["SELECT * FROM SOURCE_COUNTS", "SELECT * FROM CARPARK_OCCUPANCY"];

fn dataflows() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("dataflows")
}

fn carparks() -> String {
    fs::read_to_string(dataflows().join("carparks.sql")).unwrap()
}

/// The messages of the sample feeds.
fn feeds() -> [Vec<String>; 3] {
    let read = |file: &str| fs::read_to_string(dataflows().join("carparks").join(file)).unwrap();
    let lines = |file: &str| read(file).lines().map(str::to_string).collect();
    let json = read("leeds.json");
    let values = serde_json::Deserializer::from_str(&json).into_iter::<Box<RawValue>>();
    [lines("live.csv"), lines("historic.csv"), values.map(|v| v.unwrap().get().to_string()).collect()]
}

/// The sample feeds on topics of so many partitions, and where the events go.
fn loaded(broker: &Broker, partitions: i32) -> (Site, String) {
    let (toml, names) = broker.topology(&[&FEEDS[..], &[EVENTS]].concat());
    for (name, feed) in names.iter().zip(feeds()) {
        broker.create(name, partitions);
        broker.produce(name, partitions, feed.iter().map(String::as_str));
    }
    if !broker.is_real() {
        broker.create(&names[3], 6);
    }
    (Site::new().and(&toml), names[3].clone())
}

/// What a run over files says, and what it stores.
fn over_files() -> (Vec<Vec<String>>, Vec<Record>) {
    let toml = fs::read_to_string(dataflows().join("carparks.toml")).unwrap();
    let absolute = toml.replace("path = \"", &format!("path = \"{}/", dataflows().display()));
    let mut run = Run::once(&Site::new().and(&absolute), COARSE, &carparks());
    let answers = ANSWERS.map(|question| run.ask(question)).to_vec();
    let mut stored: Vec<Record> =
        run.ask(&format!("PRINT '{EVENTS}' FROM BEGINNING")).iter().map(|line| printed(line)).collect();
    stored.sort();
    (answers, stored)
}

/// A line of PRINT.
fn printed(row: &str) -> Record {
    let row: serde_json::Value = serde_json::from_str(row).unwrap();
    let line = row["MESSAGE"].as_str().unwrap();
    let (_, rest) = line.split_once(", key: ").unwrap();
    let (key, rest) = rest.split_once(", value: ").unwrap();
    let (value, rest) = rest.rsplit_once(", partition: ").unwrap();
    let (partition, _) = rest.split_once(", offset: ").unwrap();
    let text = |text: &str| (text != "<null>").then(|| text.to_string());
    Record { partition: partition.parse().unwrap(), key: text(key), value: text(value) }
}

#[test]
fn carparks_over_a_cluster_answer_as_over_files() {
    let broker = Broker::any();
    let (answers, stored) = over_files();
    assert_eq!(stored.len(), 14_000);
    for (partitions, workers) in [(1, 1), (6, 1), (1, 2), (6, 2)] {
        let (site, events) = loaded(&broker, partitions);
        let mut run = Run::once(&site, COARSE.workers(workers), &carparks());
        let said = ANSWERS.map(|question| run.ask(question)).to_vec();
        assert_eq!(said, answers, "{partitions} partitions, {workers} workers");
        let lines = run.ask(&format!("PRINT '{EVENTS}' FROM BEGINNING"));
        let mut written: Vec<Record> = lines.iter().map(|line| printed(line)).collect();
        written.sort();
        assert!(written == stored, "{partitions} partitions, {workers} workers: other events");
        // Any client finds them there, keyed, in Confluent's wire format.
        let placed = |record: Record| {
            assert!(record.value.is_some_and(|value| value.starts_with("\0\0\0\0")));
            (record.partition, record.key)
        };
        let mut seen: Vec<_> = broker.consume(&events).into_iter().map(placed).collect();
        seen.sort();
        let mut expected: Vec<_> = written.into_iter().map(|r| (r.partition, r.key)).collect();
        expected.sort();
        assert!(seen == expected, "{partitions} partitions, {workers} workers: other keys");
    }
}

#[test]
fn keys_go_where_javas_clients_send_them() {
    let Some(broker) = Broker::real() else { return };
    let (toml, names) = broker.topology(&["ours", "theirs"]);
    let keys: Vec<String> = (0..200).map(|i| format!("{}{}", "käy".repeat(i % 7), i)).collect();
    let mut run = Run::idle(&Site::new().and(&toml), COARSE, false);
    run.done(
        "CREATE STREAM ours (k VARCHAR KEY, v INT) \
         WITH (KAFKA_TOPIC='ours', PARTITIONS=6, KEY_FORMAT='KAFKA', VALUE_FORMAT='JSON')",
    );
    for key in &keys {
        assert_eq!(run.done(&format!("INSERT INTO ours VALUES ('{key}', 1)")), "1 row inserted");
    }
    broker.create(&names[1], 6);
    let arguments =
        ["--topic", &names[1], "--reader-property", "parse.key=true", "--reader-property", "key.separator=:"];
    let lines: String = keys.iter().map(|key| format!("{key}:{{\"V\":1}}\n")).collect();
    broker.tool("org.apache.kafka.tools.ConsoleProducer", &arguments, &lines);
    let (mut ours, mut theirs) = (broker.consume(&names[0]), broker.consume(&names[1]));
    ours.sort();
    theirs.sort();
    assert_eq!(ours.len(), keys.len());
    assert_eq!(ours, theirs);
    let arguments = [
        "--topic",
        &names[0],
        "--from-beginning",
        "--max-messages",
        "200",
        "--formatter-property",
        "print.key=true",
        "--formatter-property",
        "print.partition=true",
    ];
    let seen = broker.tool("org.apache.kafka.tools.consumer.ConsoleConsumer", &arguments, "");
    let mut seen: Vec<&str> = seen.lines().collect();
    seen.sort();
    let line = |r: &Record| {
        format!("Partition:{}\t{}\t{}", r.partition, r.key.as_ref().unwrap(), r.value.as_ref().unwrap())
    };
    let mut expected: Vec<String> = ours.iter().map(line).collect();
    expected.sort();
    assert_eq!(seen, expected);
}

#[test]
fn a_topic_is_shown_described_and_printed() {
    let broker = Broker::any();
    let (toml, names) = broker.topology(&["t"]);
    broker.create(&names[0], 2);
    broker.produce(&names[0], 2, ["{\"V\":1}", "{\"V\":2}", "no"]);
    let mut run = Run::idle(&Site::new().and(&toml), COARSE, true);
    run.done("CREATE STREAM s (v INT) WITH (KAFKA_TOPIC='t', VALUE_FORMAT='JSON')");
    let Ok(Outcome::Topics(topics)) = run.execute("SHOW TOPICS") else { panic!() };
    let shown = topics.iter().find(|t| t.name == "t").unwrap();
    assert_eq!((shown.connector.as_str(), shown.partitions), ("kafka", 2));
    assert_eq!(shown.place, format!("topic {} on cluster test ({})", names[0], broker.bootstrap()));
    let Ok(Outcome::Source(described)) = run.execute("DESCRIBE s EXTENDED") else { panic!() };
    assert!(described.statistics.contains(&("records".into(), "3".into())), "{:?}", described.statistics);
    let printed = run.ask("PRINT 't' FROM BEGINNING LIMIT 3");
    assert!(
        printed[0]
            .contains("1970-01-01T00:00:00.001Z, key: <null>, value: {\\\"V\\\":1}, partition: 0, offset: 0")
    );
    assert_eq!(printed.len(), 3);
    assert_eq!(run.ask("SELECT v, ROWPARTITION, ROWOFFSET FROM s").len(), 2);
}

#[test]
fn what_is_wrong_is_one_line() {
    let broker = Broker::any();
    let (toml, names) = broker.topology(&["t", "gone"]);
    broker.create(&names[0], 2);
    let mut run = Run::idle(&Site::new().and(&toml), COARSE, true);
    let place = format!("cluster test ({})", broker.bootstrap());
    if broker.is_real() {
        let said = run.refused("CREATE STREAM s (v INT) WITH (KAFKA_TOPIC='gone', VALUE_FORMAT='JSON')");
        assert!(said.contains(&format!("there is no topic {} on {place}", names[1])), "{said}");
    }
    let said =
        run.refused("CREATE STREAM s (v INT) WITH (KAFKA_TOPIC='t', PARTITIONS=3, VALUE_FORMAT='JSON')");
    assert!(said.contains(&format!("topic {} on {place} has 2 partitions, not 3", names[0])), "{said}");
    if broker.is_real() {
        // There is one broker: that the cluster is asked for two shows.
        let said = run.refused(
            "CREATE STREAM s (v INT) WITH (KAFKA_TOPIC='gone', PARTITIONS=1, REPLICAS=2, VALUE_FORMAT='JSON')",
        );
        assert!(said.contains(&format!("does not create topic {}", names[1])), "{said}");
        assert!(said.to_lowercase().contains("replication"), "{said}");
    }
}

#[test]
fn a_stranger_is_told_what_is_not_permitted() {
    let Some(broker) = Broker::real() else { return };
    let (_, names) = broker.topology(&["t", "hidden"]);
    names.iter().for_each(|name| broker.create(name, 1));
    let rule = ["--add", "--allow-principal", "User:other", "--topic", &names[1], "--force"];
    broker.tool("org.apache.kafka.tools.AclCommand", &rule, "");
    let refused = |topic: &str, password: &str| {
        let toml = broker.guest(password) + "[default]\nconnector = 'kafka'\ncluster = 'guarded'\n";
        let mut run = Run::idle(&Site::new().and(&toml), COARSE, true);
        run.execute(&format!("CREATE STREAM s (v INT) WITH (KAFKA_TOPIC='{topic}', VALUE_FORMAT='JSON')"))
            .err()
            .map(|e| e.to_string())
    };
    assert_eq!(refused(&names[0], "guest-secret"), None);
    // A rule reaches the broker a little after it is made.
    let started = Instant::now();
    let said = loop {
        match refused(&names[1], "guest-secret") {
            Some(said) => break said,
            None => assert!(started.elapsed() < DEADLINE, "everything is permitted"),
        }
    };
    assert!(said.contains(&format!("does not permit us topic {}", names[1])), "{said}");
    let said = refused(&names[0], "wrong-secret").unwrap();
    assert!(
        said.contains("refuses the connection") && said.contains("Invalid username or password"),
        "{said}"
    );
    assert!(!said.contains("wrong-secret"), "{said}");
}

#[test]
fn an_address_where_nobody_listens_is_said_once() {
    let address = &free_addresses(1)[0];
    let site = Site::new();
    let toml = format!(
        "[clusters.c]\n'bootstrap.servers' = '{address}'\n[default]\nconnector = 'kafka'\ncluster = 'c'\n"
    );
    fs::write(site.path("s.sql"), LIVE).unwrap();
    fs::write(site.path("s.toml"), toml).unwrap();
    let served = Served::start(&site.path("s.sql"), &[]);
    let tables = served.ksql("SHOW TABLES;");
    assert!(tables.to_string().contains("\"C\""), "{tables}");
    let finished = served.stop();
    let said: Vec<&str> = finished.stderr.lines().filter(|l| l.contains("cannot be reached")).collect();
    assert_eq!(said.len(), 1, "{}", finished.stderr);
    assert!(
        said[0].contains(&format!("cluster c ({address}) cannot be reached, trying again")),
        "{}",
        said[0]
    );
    assert!(said[0].contains("why=") && said[0].ends_with("Connection refused\""), "{}", said[0]);
}

const LIVE: &str = "
    CREATE STREAM s (v INT) WITH (KAFKA_TOPIC='in', VALUE_FORMAT='JSON');
    CREATE STREAM d WITH (KAFKA_TOPIC='out', PARTITIONS=3) AS
        SELECT CAST(v AS VARCHAR) AS k, v FROM s PARTITION BY CAST(v AS VARCHAR);
    CREATE TABLE c AS SELECT 1 AS k, COUNT(*) AS n, SUM(v) AS sum FROM d GROUP BY 1;";

#[test]
fn a_broker_that_is_away_loses_nothing() {
    let Some((broker, _alone)) = Broker::own() else { return };
    let (toml, names) = broker.topology(&["in", "out"]);
    broker.create(&names[0], 2);
    broker.service("stop");
    let mut run = Run::live(&Site::new().and(&toml), Cut { workers: 2, ..COARSE }, LIVE);
    assert!(run.ask("SELECT n FROM c").is_empty());
    broker.service("start");
    // A broker that starts knows nothing of producers whose records are older than a day, and takes what
    // is sent again once more.
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as usize;
    let values: Vec<String> = (0..3_000).map(|v| format!("{{\"V\":{v}}}")).collect();
    broker.produce_from(&names[0], 2, now_ms, values[..1_000].iter().map(String::as_str));
    // Stopped while they are on their way.
    broker.service("stop");
    broker.service("start");
    broker.produce_from(&names[0], 2, now_ms, values[1_000..].iter().map(String::as_str));
    run.until("SELECT n FROM c", |rows| rows == ["{\"N\":3000}"]);
    let started = Instant::now();
    loop {
        let written = broker.consume(&names[1]).len();
        if written >= 3_000 {
            break;
        }
        assert!(started.elapsed() < DEADLINE, "{written} records, {:?}", run.ask("SELECT n FROM c"));
    }
    let mut keys: Vec<i32> =
        broker.consume(&names[1]).iter().map(|r| r.key.as_ref().unwrap().parse().unwrap()).collect();
    keys.sort();
    assert_eq!(keys, (0..3_000).collect::<Vec<_>>());
    // Nothing came twice meanwhile, and the engine has not failed.
    assert_eq!(run.ask("SELECT n FROM c"), ["{\"N\":3000}"]);
    drop(run);
    broker.service("stop");
}

/// A broker that comes up may say of its topics, for a while, that there are none of these names.
#[test]
fn topics_that_are_unknown_for_a_while_are_waited_for() {
    let broker = Broker::mock();
    let script = LIVE.split_inclusive(';').take(2).collect::<String>();
    ["in", "out"].iter().for_each(|topic| broker.create(topic, 3));
    // Clients believe it at once, and look often.
    let toml = format!(
        "[clusters.test]\n'bootstrap.servers' = '{}'\n'topic.metadata.propagation.max.ms' = '1'\n\
         'topic.metadata.refresh.interval.ms' = '100'\n[default]\nconnector = 'kafka'\ncluster = 'test'\n",
        broker.bootstrap()
    );
    let site = Site::new().and(&toml);
    let data = site.path("data");
    let keep = ["--data-dir", data.to_str().unwrap(), "--checkpoint-interval", "0.05"];
    let served = Served::start(&site.script(&script), &keep);
    let started = Instant::now();
    let mut values = 0..0;
    let mut produce = |count: usize| {
        values = values.end..values.end + count;
        let texts: Vec<String> = values.clone().map(|v| format!("{{\"V\":{v}}}")).collect();
        broker.produce_from("in", 3, values.start, texts.iter().map(String::as_str));
    };
    let delivered = |count: usize| {
        while broker.committed("out").len() < count {
            assert!(started.elapsed() < DEADLINE, "{} records", broker.committed("out").len());
        }
    };
    produce(100);
    delivered(100);
    broker.forget("out", true);
    produce(100);
    std::thread::sleep(Duration::from_secs(1));
    broker.forget("in", true);
    std::thread::sleep(Duration::from_secs(1));
    broker.forget("in", false);
    broker.forget("out", false);
    produce(100);
    delivered(300);
    let finished = served.stop();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    // A mock shows what was undone, too.
    let keys: BTreeSet<i32> =
        broker.committed("out").iter().map(|r| r.key.as_ref().unwrap().parse().unwrap()).collect();
    assert_eq!(keys, (0..300).collect::<BTreeSet<_>>(), "{finished:?}");
}

#[test]
fn a_broker_that_is_killed_amid_transactions_gets_each_record_once() {
    let Some((broker, _alone)) = Broker::own() else { return };
    let (toml, names) = broker.topology(&["in", "out"]);
    broker.create(&names[0], 2);
    let site = Site::new().and(&toml);
    let data = site.path("data");
    let keep = ["--data-dir", data.to_str().unwrap(), "--checkpoint-interval", "0.05"];
    let served = Served::start(&site.script(LIVE), &keep);
    let started = Instant::now();
    for round in 0..4 {
        let before = round * 2_000;
        let values: Vec<String> = (before..before + 2_000).map(|v| format!("{{\"V\":{v}}}")).collect();
        broker.produce_from(&names[0], 2, before, values.iter().map(String::as_str));
        // Either at once, or when something of it has arrived.
        while round % 2 == 0 && broker.committed(&names[1]).len() <= before {
            assert!(started.elapsed() < 2 * DEADLINE, "nothing is delivered");
        }
        broker.service("kill");
        broker.service("start");
    }
    while broker.committed(&names[1]).len() < 8_000 {
        assert!(started.elapsed() < 3 * DEADLINE, "{} records", broker.committed(&names[1]).len());
    }
    let finished = served.stop();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let mut keys: Vec<i32> =
        broker.committed(&names[1]).iter().map(|r| r.key.as_ref().unwrap().parse().unwrap()).collect();
    keys.sort();
    assert_eq!(keys, (0..8_000).collect::<Vec<_>>(), "{}", finished.stderr);
    broker.service("stop");
}

/// Marks of transactions are no records to wait for.
#[test]
fn lag_and_what_waits_for_delivery_are_told_and_a_stop_delivers() {
    let Some(broker) = Broker::real() else { return };
    let (toml, names) = broker.topology(&["in", "out"]);
    broker.create(&names[0], 2);
    let values: Vec<String> = (0..1_000).map(|v| format!("{{\"V\":{v}}}")).collect();
    broker.produce(&names[0], 2, values.iter().map(String::as_str));
    let site = Site::new().and(&toml);
    let data = site.path("data");
    let keep =
        ["--data-dir", data.to_str().unwrap(), "--checkpoint-interval", "3600", "--commit-interval", "3600"];
    let until = |served: &Served, wanted: &[&str]| {
        let started = Instant::now();
        loop {
            let page = served.get("/metrics").body;
            if wanted.iter().all(|line| page.contains(&format!("{line}\n"))) {
                return;
            }
            assert!(started.elapsed() < DEADLINE, "{wanted:?} is not in {page}");
        }
    };
    let first = Served::start(&site.script(LIVE), &keep);
    until(
        &first,
        &[
            "wharfe_source_records_total{source=\"S\",topic=\"in\"} 1000",
            "wharfe_source_lag_records{source=\"S\",topic=\"in\"} 0",
            "wharfe_source_lag_seconds{source=\"S\",topic=\"in\"} 0",
            "wharfe_delivery_waiting_records{topic=\"out\"} 1000",
        ],
    );
    let mut finished = first.stop();
    // A stop has its time: on a busy machine it may end before all is delivered, and the one after it goes on.
    for _ in 0..5 {
        assert_eq!(finished.code, Some(0), "{finished:?}");
        if broker.committed(&names[1]).len() == 1_000 {
            break;
        }
        finished = Served::start(&site.script(LIVE), &keep).stop();
    }
    assert_eq!(broker.committed(&names[1]).len(), 1_000, "{finished:?}");

    let again = "CREATE STREAM o (v INT) WITH (KAFKA_TOPIC='out', VALUE_FORMAT='JSON');
        CREATE TABLE n AS SELECT 1 AS k, COUNT(*) AS n FROM o GROUP BY 1;";
    let second = Served::start(&site.script(again), &[]);
    until(
        &second,
        &[
            "wharfe_source_records_total{source=\"O\",topic=\"out\"} 1000",
            "wharfe_source_lag_records{source=\"O\",topic=\"out\"} 0",
        ],
    );
}

#[test]
fn a_beginning_that_moves_while_a_topic_is_opened_is_found() {
    let Some(broker) = Broker::real() else { return };
    let (toml, names) = broker.topology(&["t"]);
    broker.create(&names[0], 1);
    broker.produce(&names[0], 1, ["a", "b", "c", "d"]);
    let place = Topology::parse("t", &toml, Path::new("")).unwrap().resolve("t", Path::new(""), 1).unwrap();
    let survey = connector::survey(&place, true).unwrap();
    assert_eq!(survey.marks, Some(vec![(0, 4)]));
    broker.delete_before(&names[0], 2);
    let opening = Opening { share: Share::All, start: Start::Earliest, bounded: true, opened_ms: 0 };
    let mut source = connector::open_surveyed(&place, opening, &survey, &connector::Team::alone()).unwrap();
    let (started, mut offsets) = (Instant::now(), Vec::new());
    loop {
        match source.poll(1 << 20, 0).unwrap() {
            Poll::Messages(batch) => offsets.extend(batch.offsets.iter().copied()),
            Poll::Pending => assert!(started.elapsed() < DEADLINE, "read {offsets:?}"),
            Poll::Done => break,
        }
    }
    assert_eq!(offsets, [2, 3]);
}

/// What is still on its way from a cluster is known to be there: nobody who joins it goes on without it.
#[test]
fn a_reader_is_not_at_the_end_before_it_has_read_what_is_there() {
    let broker = Broker::mock();
    let (toml, names) = broker.topology(&["t"]);
    broker.create(&names[0], 2);
    broker.produce(&names[0], 2, ["a", "b", "c", "d"]);
    let place = Topology::parse("t", &toml, Path::new("")).unwrap().resolve("t", Path::new(""), 1).unwrap();
    for marks in [true, false] {
        let survey = if marks { connector::survey(&place, true).unwrap() } else { Default::default() };
        let opening = Opening { share: Share::All, start: Start::Earliest, bounded: false, opened_ms: 0 };
        let mut source =
            connector::open_surveyed(&place, opening, &survey, &connector::Team::alone()).unwrap();
        let (started, mut read) = (Instant::now(), 0);
        while read < 4 {
            match source.poll(1 << 20, 0).unwrap() {
                Poll::Messages(batch) => read += batch.len(),
                Poll::Pending => assert!(!source.is_at_end(), "{read} were read"),
                Poll::Done => panic!("it goes on"),
            }
            assert!(started.elapsed() < DEADLINE, "{read} were read");
        }
        while !source.is_at_end() {
            assert!(matches!(source.poll(1 << 20, 0).unwrap(), Poll::Pending));
            assert!(started.elapsed() < DEADLINE, "the end is not told");
        }
    }
}

#[test]
fn partitions_that_are_added_are_read() {
    let Some(broker) = Broker::real() else { return };
    let (toml, names) = broker.topology(&["in", "out"]);
    broker.create(&names[0], 1);
    let mut run = Run::live(&Site::new().and(&toml), COARSE.workers(2), LIVE);
    broker.produce(&names[0], 1, ["{\"V\":1}"]);
    run.until("SELECT n FROM c", |rows| rows == ["{\"N\":1}"]);
    broker.grow(&names[0], 3);
    broker.produce(&names[0], 3, ["{\"V\":2}", "{\"V\":3}", "{\"V\":4}"]);
    run.until("SELECT sum FROM c", |rows| rows == ["{\"SUM\":10}"]);
}

/// `cargo test --profile quick -- --ignored rate --nocapture`
#[test]
#[ignore = "a measurement"]
fn rate_of_tables_beside_a_bare_consumer() {
    let Some(broker) = Broker::real() else { return };
    let copies: usize = std::env::var("WHARFE_COPIES").map_or(100, |c| c.parse().unwrap());
    let (toml, names) = broker.topology(&FEEDS);
    let mut rows = 0;
    for (name, feed) in names.iter().zip(feeds()) {
        broker.create(name, 6);
        let values = (0..copies).flat_map(|_| feed.iter().map(String::as_str));
        broker.produce(name, 6, values);
        rows += copies * feed.len();
    }
    let rate = |label: &str, work: &mut dyn FnMut()| {
        let (started, cpu) = (Instant::now(), cpu_seconds());
        work();
        let (wall, cpu) = (started.elapsed().as_secs_f64(), cpu_seconds() - cpu);
        eprintln!("{label}: {:.0} rows/s, {wall:.2} s, {cpu:.2} CPU s", rows as f64 / wall);
    };
    for _ in 0..3 {
        let mut bytes = 0;
        rate("bare consume loop, one thread", &mut || {
            names.iter().for_each(|name| broker.each(name, |m| bytes += m.payload_len()));
        });
        rate("bare consume loop, a thread a topic", &mut || {
            std::thread::scope(|scope| {
                for name in &names {
                    scope.spawn(|| Broker::real().unwrap().each(name, |_| {}));
                }
            });
        });
        for workers in [1, 2] {
            let site = Site::new().and(&toml);
            rate(&format!("feeds to tables, {workers} workers"), &mut || {
                Run::once(&site, COARSE.workers(workers), &carparks());
            });
        }
    }
}

fn cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

#[test]
fn poison_is_rejected_with_its_reason() {
    let Some(broker) = Broker::real() else { return };
    let (toml, names) = broker.topology(&["p"]);
    let mut run = Run::idle(&Site::new().and(&toml), COARSE, false);
    run.engine.begin().unwrap();
    run.read_from("earliest");
    run.done("CREATE STREAM P (V VARCHAR) WITH (KAFKA_TOPIC='p', VALUE_FORMAT='AVRO', PARTITIONS=1)");
    run.done("CREATE TABLE T AS SELECT LEN(V) AS L, COUNT(*) AS N FROM P GROUP BY LEN(V)");
    assert_eq!(run.done("INSERT INTO P VALUES ('good')"), "1 row inserted");
    let good = broker.raw(&names[0]).remove(0).unwrap();
    let header = &good[..5];
    // A string of a million bytes: the branch of the union, and the length as a zigzag varint.
    let mut long = [header, &[2, 0x80, 0x89, 0x7a]].concat();
    long.resize(long.len() + 1_000_000, b'x');
    broker.produce_raw(
        &names[0],
        &[
            Some(&[&[1], &good[1..]].concat()),
            Some(&[&[0, 0, 0, 0, 99], &good[5..]].concat()),
            Some(&good[..good.len() - 1]),
            Some(&good[..3]),
            Some(&long),
            Some(b""),
            None,
        ],
    );
    let all = [r#"{"L":4,"N":1}"#, r#"{"L":1000000,"N":1}"#];
    run.until("SELECT * FROM T", |rows| rows == all);
    let reasons =
        run.until("SELECT TOPIC_OFFSET AS O, REASON FROM WHARFE_REJECTS ORDER BY O", |r| r.len() == 5);
    let said = [
        (1, "begins with 0x01"),
        (2, "schema id 99"),
        (3, "ends too early"),
        (4, "ends within its schema id"),
        (6, "empty"),
    ];
    for ((offset, reason), row) in said.iter().zip(&reasons) {
        assert!(
            row.contains(&format!("\"O\":{offset},")) && row.contains(reason),
            "{offset} {reason}: {reasons:#?}"
        );
    }
    // The last one has no value: a row that only has what is not of the value, and that no group counts.
    let books = "SELECT ROWS_IN, ROWS_OUT, ROWS_REJECTED FROM WHARFE_BOOKS WHERE STAGE = 'decode' AND SOURCE_NAME = 'P'";
    run.until(books, |rows| rows == [r#"{"ROWS_IN":8,"ROWS_OUT":3,"ROWS_REJECTED":5}"#]);
}

const KINDS: &str = "
    CREATE STREAM A (K VARCHAR, V INT, AT BIGINT)
        WITH (KAFKA_TOPIC='a', VALUE_FORMAT='DELIMITED', TIMESTAMP='AT');
    CREATE STREAM B (K VARCHAR, V INT, AT BIGINT)
        WITH (KAFKA_TOPIC='b', VALUE_FORMAT='DELIMITED', TIMESTAMP='AT');
    CREATE TABLE N WITH (KAFKA_TOPIC='n', VALUE_FORMAT='JSON', PARTITIONS=2)
        AS SELECT K, WINDOWSTART AS WS, COUNT(*) AS N, AS_VALUE(K) AS OF_KEY, COLLECT_LIST(V) AS L
        FROM A WINDOW TUMBLING (SIZE 2 SECONDS, GRACE PERIOD 1 SECOND) GROUP BY K EMIT FINAL;
    CREATE TABLE S WITH (KAFKA_TOPIC='s', VALUE_FORMAT='JSON', PARTITIONS=2)
        AS SELECT K, WINDOWSTART AS WS, WINDOWEND AS WE, COUNT(*) AS N, AS_VALUE(K) AS OF_KEY
        FROM B WINDOW SESSION (900 MILLISECONDS, GRACE PERIOD 1 SECOND) GROUP BY K EMIT FINAL;
    CREATE STREAM J WITH (KAFKA_TOPIC='j', VALUE_FORMAT='JSON', PARTITIONS=3) AS SELECT A.K AS K, A.V AS V, B.V AS W
        FROM A LEFT JOIN B WITHIN 300 MILLISECONDS GRACE PERIOD 1 SECOND ON A.K = B.K;
    CREATE TABLE LAST AS SELECT K, LATEST_BY_OFFSET(V) AS V FROM A GROUP BY K;
    CREATE TABLE SIZES AS SELECT V, COUNT(*) AS N FROM B GROUP BY V;
    CREATE TABLE X WITH (KAFKA_TOPIC='x', VALUE_FORMAT='JSON', PARTITIONS=2)
        AS SELECT LAST.K AS K, LAST.V AS V, SIZES.N AS N FROM LAST LEFT JOIN SIZES ON LAST.V = SIZES.V;
";

/// Windows and sessions that are told of once, a join that pads after a grace, and one by a foreign key.
#[test]
fn windows_and_joins_of_a_killed_run_are_delivered_once() {
    let Some(broker) = Broker::real() else { return };
    let (toml, names) = broker.topology(&["a", "b", "n", "s", "j", "x"]);
    let mut random = Random(5);
    names[..2].iter().for_each(|topic| broker.create(topic, 1));
    let mut written = [0, 0];
    let mut write = |rows: usize| {
        for (topic, written) in names.iter().zip(&mut written) {
            let mut row = |i: usize| {
                let (key, value) = (random.below(60), random.below(40));
                format!("k{key},{value},{}", (i * 7).saturating_sub(random.below(30) as usize))
            };
            let lines: Vec<String> = (*written..*written + rows).map(&mut row).collect();
            broker.produce_from(topic, 1, *written, lines.iter().map(String::as_str));
            *written += rows;
        }
    };
    write(6_000);

    let site = Site::new().and(&toml);
    let script = site.script(KINDS);
    let script = script.to_str().unwrap();
    let seed = crash::seed();
    let mut moments = Random(seed);
    let workers = ["1", "2", "4"];
    let start = |killed: u64| {
        // The first time it is killed before there is any checkpoint.
        let interval = if killed == 0 { "100" } else { "0.02" };
        let mut command = crash::live(interval, workers[killed as usize % workers.len()], script);
        command.current_dir(site.dir());
        command
    };
    crash::kill_while(crash::kills(6), || 200 + moments.below(1_200), start, || write(50));

    // The same of the same records, in one go and into logs.
    let log = |topic: &str| format!("[topics.{topic}]\nconnector = 'log'\n");
    let (inputs, _) = toml.split_at(toml.find("[topics.n]").unwrap());
    site.write("whole.toml", inputs.to_string() + &["n", "s", "j", "x"].map(log).concat());
    for (data, topology) in [("data", site.path("script.toml")), ("whole", site.path("whole.toml"))] {
        let mut last = binary(["run", "--once", "-w", "2", "--data-dir", data, "--topology"]);
        last.arg(topology).arg(script).current_dir(site.dir());
        let done = Process::start(last).finish();
        assert_eq!(done.code, Some(0), "seed {seed}: {done:?}");
    }
    for (name, topic) in names[2..5].iter().zip(["n", "s", "j"]) {
        let found = broker.committed(name).into_iter().map(|record| record.value.unwrap_or_default());
        let expected =
            messages(&site.path(&format!("whole/topics/{topic}"))).into_iter().map(|(_, value)| value);
        let (found, expected): (Vec<String>, Vec<String>) = (found.collect(), expected.collect());
        let differs = crash::difference(&expected, &found);
        println!("{topic}: {} records, {differs:?} lost and repeated, seed {seed}", expected.len());
        assert!(
            expected.len() > 500 && differs == (0, 0),
            "{topic}: {differs:?} lost and repeated, seed {seed}"
        );
    }
    let found = broker.committed(&names[5]).into_iter();
    let found: BTreeMap<String, String> =
        found.map(|record| (record.key.unwrap_or_default(), record.value.unwrap_or_default())).collect();
    let expected: BTreeMap<String, String> = messages(&site.path("whole/topics/x")).into_iter().collect();
    assert!(expected.len() == 60 && found == expected, "seed {seed}: {found:?} instead of {expected:?}");
}

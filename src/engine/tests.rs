//! Random statements, valid and not, against a world: what fails leaves all as it was.

use super::answers::Limits;
use super::coordinator::Coordinator;
use super::draft::Base;
use super::mail::Command;
use super::session::Session;
use super::shared::Shared;
use super::world::World;
use crate::plan::DataflowId;
use crate::registry::{Client, Deleted, Lookups, Registry};
use crate::sql::parse_statement;
use crate::topology::{Placed, Topology, Zones};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

const TOPOLOGY: &str = "
[topics.stored]
connector = \"log\"
[topics.file]
connector = \"file\"
path = \"file.csv\"
[topics.standard]
connector = \"stdin\"
";

/// A coordinator that has begun, without workers: what it tells them stays where it is.
fn coordinator(dir: &Path, registry: &Registry, push_queries_max: usize) -> Coordinator {
    let base = Base {
        shared: Arc::new(Shared::new(0, 1, 1, Limits::default())),
        topology: Topology::parse("topology", TOPOLOGY, dir).unwrap(),
        schemas: Lookups::new(Client::Own(registry.clone())),
        data_dir: dir.to_path_buf(),
        emission: Default::default(),
        once: false,
        dry: false,
        push_queries_max,
        sinks: Default::default(),
        placed: Placed::new(&Zones::default(), dir, &Client::Own(registry.clone())),
        gateway: Default::default(),
    };
    let coordinator = Coordinator::new(base, None);
    coordinator.begin().unwrap();
    coordinator.base.shared.take_commands();
    coordinator
}

/// SplitMix64 (Steele, Lea and Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    fn pick<'a>(&mut self, items: &[&'a str]) -> &'a str {
        items[self.next() as usize % items.len()]
    }
}

const NAMES: &[&str] = &["A", "B", "C", "D", "WHARFE_BOOKS", "WHARFE_REJECTS"];

/// Each `{…}` of a template stands for one of some words; many of what comes out is wrong in some way.
const TEMPLATES: &[&str] = &[
    "CREATE {or} STREAM {not} {name} (K {type} KEY, V {type}) WITH (KAFKA_TOPIC='{topic}', VALUE_FORMAT='{format}' {more})",
    "CREATE {or} TABLE {not} {name} (K {type} PRIMARY KEY, V {type}) WITH (KAFKA_TOPIC='{topic}', VALUE_FORMAT='{format}' {more})",
    "CREATE {or} STREAM {name} WITH (KAFKA_TOPIC='{topic}', VALUE_FORMAT='{format}' {more})",
    "CREATE {or} STREAM {not} {name} WITH (KAFKA_TOPIC='{topic}' {more}) AS SELECT {columns} FROM {name} {end}",
    "CREATE {or} STREAM {name} AS SELECT {columns} FROM {name} {end}",
    "CREATE {or} TABLE {not} {name} WITH (KAFKA_TOPIC='{topic}' {more}) AS SELECT {columns} FROM {name} {end}",
    "CREATE {or} TABLE {name} AS SELECT K, COUNT(*) AS V FROM {name} GROUP BY K {end}",
    "INSERT INTO {name} SELECT {columns} FROM {name} {end}",
    "INSERT INTO {name} WITH (QUERY_ID='MINE') SELECT {columns} FROM {name} {end}",
    "INSERT INTO {name} (K, V) VALUES ({value}, {value})",
    "SELECT {columns} FROM {name} EMIT CHANGES {end}",
    "TERMINATE {query}",
    "DROP STREAM {exists} {name} {delete}",
    "DROP TABLE {exists} {name} {delete}",
    "EXPLAIN SELECT {columns} FROM {name} {end}",
    "EXPLAIN {query}",
    "DESCRIBE {name}",
    "SHOW TOPICS",
    "SHOW QUERIES EXTENDED",
    "PRINT '{topic}' LIMIT 0",
    "SET 'auto.offset.reset' = '{reset}'",
    "UNSET 'auto.offset.reset'",
    "ALTER {kind} {name} ADD COLUMN {column} {type}",
    "CREATE TYPE {not} {name} AS {type}",
    "DROP TYPE {exists} {name}",
    "ASSERT {exists} {kind} {name}",
    "CREATE SINK CONNECTOR {not} {name} WITH ('connector.class'='{class}', 'topics'='{topic}', 'connection.url'='{url}')",
    "DROP CONNECTOR {exists} {name}",
    "CREATE {or} TABLE {name} AS SELECT K, COUNT(*) AS V FROM {name} WINDOW {window} GROUP BY K EMIT {emit}",
    "CREATE {or} {kind} {name} AS SELECT L.K AS K, R.V AS V FROM {name} L JOIN {name} R {within} ON L.K = R.{column}",
    "CREATE {or} {kind} {name} AS SELECT K, V FROM (SELECT {columns} FROM {name} {end})",
    "CREATE {or} STREAM {name} AS SELECT {columns} FROM {name} UNION ALL SELECT K, V FROM {name}",
    "CREATE {or} TABLE {name} AS SELECT DISTINCT {columns} FROM {name} {end}",
    "WITH X AS (SELECT {columns} FROM {name}) SELECT * FROM X EMIT CHANGES {end}",
];

fn words(of: &str) -> &'static [&'static str] {
    match of {
        "or" => &["", "OR REPLACE"],
        "not" => &["", "", "IF NOT EXISTS"],
        "exists" => &["", "IF EXISTS"],
        "name" => NAMES,
        "type" => &["INT", "VARCHAR", "DOUBLE", "ARRAY<INT>", "STRUCT<a INT>"],
        "topic" => &["a", "b", "stored", "file", "standard", "no/topic", "wharfe_books"],
        "format" => &["JSON", "DELIMITED", "AVRO", "PROTOBUF", "KAFKA", "NONE", "XML"],
        "more" => &[
            "",
            "",
            ", PARTITIONS=2",
            ", KEY_FORMAT='JSON'",
            ", TIMESTAMP='V'",
            ", VALUE_SCHEMA_ID=7",
            ", NOPE=1",
        ],
        "columns" => {
            &["*", "K, V", "K, V + 1 AS V", "NOPE", "K", "COUNT(*)", "V AS K, K AS V", "CAST(V AS VARCHAR)"]
        }
        "end" => &[
            "",
            "",
            "WHERE V = 1",
            "PARTITION BY V",
            "GROUP BY V",
            "LIMIT 1",
            "ORDER BY K",
            "WHERE NOPE = 1",
        ],
        "value" => &["1", "'x'", "NULL", "1.5", "ARRAY[1]", "NOPE"],
        "query" => &[
            "ALL",
            "MINE",
            "CSAS_A_1",
            "CTAS_B_2",
            "INSERTQUERY_3",
            "transient_A_1",
            "WHARFE_BOOKS",
            "TABLE_A",
        ],
        "delete" => &["", "DELETE TOPIC"],
        "reset" => &["earliest", "latest", "now"],
        "kind" => &["STREAM", "TABLE"],
        "column" => &["K", "V", "W", "ROWTIME"],
        "class" => &["io.confluent.connect.elasticsearch.ElasticsearchSinkConnector", "file"],
        "url" => &["http://127.0.0.1:9", "nowhere"],
        "window" => {
            &["TUMBLING (SIZE 1 HOUR)", "SESSION (1 MINUTE)", "HOPPING (SIZE 1 HOUR, ADVANCE BY 2 HOURS)"]
        }
        "emit" => &["CHANGES", "FINAL"],
        "within" => &["", "WITHIN 1 HOUR", "WITHIN 1 HOUR GRACE PERIOD 1 HOUR"],
        other => panic!("{other}"),
    }
}

fn statement(random: &mut Random) -> String {
    let mut text = random.pick(TEMPLATES).to_string();
    while let Some(start) = text.find('{') {
        let end = start + text[start..].find('}').unwrap();
        let word = random.pick(words(&text[start + 1..end]));
        text.replace_range(start..=end, word);
    }
    text
}

fn shown(world: &World) -> String {
    format!("{world:#?}")
}

/// What the workers run, as they were told.
#[derive(Default)]
struct Told {
    dataflows: BTreeSet<DataflowId>,
}

impl Told {
    fn hear(&mut self, command: Command) {
        match command {
            Command::Install { plans, .. } => self.dataflows.extend(plans.iter().map(|plan| plan.id())),
            Command::Drop { dataflows, .. } => {
                self.dataflows.retain(|id| !dataflows.contains(id));
            }
            _ => {}
        }
    }
}

#[test]
fn a_statement_that_fails_changes_nothing() {
    let (mut failed, mut done) = (0, 0);
    for seed in 0..20 {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("file.csv"), "1,2\n").unwrap();
        let registry = Registry::volatile();
        let coordinator = coordinator(dir.path(), &registry, 3);
        let endings = coordinator.base.shared.answers.endings().unwrap();
        let mut random = Random(seed);
        let mut session = Session::default();
        let mut told = Told::default();
        told.dataflows.extend(coordinator.world().active.keys());
        let mut answers = Vec::new();
        for _ in 0..150 {
            let text = statement(&mut random);
            let Ok(parsed) = parse_statement(&text) else { continue };
            let before = coordinator.world();
            let subjects = registry.subjects(Deleted::Shown);
            let outcome = coordinator.execute(&parsed, &mut session);
            let commands = coordinator.base.shared.take_commands();
            match outcome {
                Err(error) => {
                    failed += 1;
                    assert!(commands.is_empty(), "{text}: {error}: {commands:?}");
                    assert_eq!(shown(&coordinator.world()), shown(&before), "{text}: {error}");
                    assert_eq!(registry.subjects(Deleted::Shown), subjects, "{text}: {error}");
                }
                Ok(outcome) => {
                    done += 1;
                    commands.into_iter().for_each(|command| told.hear(command));
                    if let super::Outcome::Answer(answer) = outcome {
                        answers.push(answer);
                    }
                }
            }
            // A client leaves now and then.
            if random.next().is_multiple_of(20) && !answers.is_empty() {
                answers.remove(0);
            }
            endings.try_iter().for_each(|id| coordinator.retire(&id));
            coordinator.base.shared.take_commands().into_iter().for_each(|command| told.hear(command));
            let world = coordinator.world();
            assert!(told.dataflows.iter().eq(world.active.keys()), "{text}: the workers run something else");
            let known = world.catalog.queries.values().flat_map(|query| &query.dataflows);
            let missing: Vec<_> = known.filter(|id| !world.active.contains_key(id)).collect();
            assert!(missing.is_empty(), "{text}: {missing:?} is not active");
        }
    }
    assert!(failed > 500 && done > 500, "{failed} failed, {done} were carried out");
}

#[test]
fn what_a_request_asks_for_is_checked_before_any_of_it_is_carried_out() {
    let dir = tempfile::tempdir().unwrap();
    let registry = Registry::volatile();
    let coordinator = coordinator(dir.path(), &registry, 3);
    let stream = "CREATE STREAM A (K INT KEY, V INT) WITH (KAFKA_TOPIC='a', VALUE_FORMAT='AVRO')";
    let cases: [(&[&str], Option<usize>); 5] = [
        (&[stream, "CREATE STREAM B AS SELECT NOPE FROM A"], Some(1)),
        (&["CREATE STREAM B AS SELECT K, V FROM A", stream], Some(0)),
        (&[stream, "CREATE STREAM B AS SELECT K, V FROM A", "DROP STREAM A"], Some(2)),
        (&[stream, "ASSERT TOPIC nope", "SHOW TOPICS"], None),
        (&[stream, "CREATE STREAM B AS SELECT K, V FROM A", "INSERT INTO A VALUES (1, 2)"], None),
    ];
    for (statements, failing) in cases {
        let before = shown(&coordinator.world());
        let parsed: Vec<_> = statements.iter().map(|text| parse_statement(text).unwrap()).collect();
        let checked = coordinator.check(&parsed, &Session::default());
        assert_eq!(checked.err().map(|(at, _)| at), failing, "{statements:?}");
        assert_eq!(shown(&coordinator.world()), before, "{statements:?}");
        assert!(coordinator.base.shared.take_commands().is_empty());
        assert_eq!(registry.subjects(Deleted::Shown), Vec::<String>::new());
    }
}

/// Two statements that want one topic, at the same time: one of them is carried out, the other finds it so.
#[test]
fn statements_at_once_are_as_if_one_came_after_the_other() {
    for _ in 0..20 {
        let dir = tempfile::tempdir().unwrap();
        let coordinator = coordinator(dir.path(), &Registry::volatile(), 3);
        let execute = |text: &str| {
            coordinator.execute(&parse_statement(text).unwrap(), &mut Session::default()).map(drop)
        };
        execute("CREATE STREAM S (K INT KEY, V INT) WITH (KAFKA_TOPIC='stored', VALUE_FORMAT='JSON')")
            .unwrap();
        execute("CREATE STREAM I (K INT KEY, V INT) WITH (KAFKA_TOPIC='i', VALUE_FORMAT='JSON')").unwrap();
        let texts = [
            "CREATE STREAM X WITH (KAFKA_TOPIC='stored') AS SELECT * FROM I",
            "CREATE STREAM Y WITH (KAFKA_TOPIC='stored') AS SELECT * FROM I",
            "INSERT INTO S VALUES (1, 2)",
            "CREATE STREAM X AS SELECT K, V FROM I",
        ];
        let done: Vec<bool> = std::thread::scope(|scope| {
            let all: Vec<_> = texts.iter().map(|text| scope.spawn(|| execute(text).is_ok())).collect();
            all.into_iter().map(|one| one.join().unwrap()).collect()
        });
        assert_eq!(done[..3].iter().filter(|done| **done).count(), 1, "{done:?}");
        let world = coordinator.world();
        let writers = world.queries().filter(|q| q.plan.topic() == "i").count();
        assert_eq!(writers, done.iter().enumerate().filter(|(i, done)| *i != 2 && **done).count());
        assert_eq!(world.inserted.contains("stored"), done[2]);
        assert_eq!(dir.path().join("topics/stored").exists(), done[2], "the row is there if it was inserted");
    }
}

//! Graphs of scripts, and what a picture of them contains.

use super::*;
use crate::engine::described_script;
use crate::sql::parse_script;
use crate::topology::Topology;

const SCRIPT: &str = "
    CREATE STREAM A (k VARCHAR KEY, x INT) WITH (KAFKA_TOPIC='a', VALUE_FORMAT='JSON');
    CREATE STREAM B AS SELECT * FROM A;
    CREATE STREAM C AS SELECT * FROM A;
    INSERT INTO B SELECT * FROM A WHERE x > 1;
    CREATE TABLE T AS SELECT k, COUNT(*) AS n FROM B GROUP BY k;";

fn of(script: &str) -> Graph {
    let statements = parse_script(script).unwrap();
    graph(&described_script(&statements, &Topology::empty(), None).unwrap().0, &[])
}

#[test]
fn a_script_is_a_graph_from_topics_to_tables() {
    let graph = of(SCRIPT);
    let edges: Vec<String> = graph.edges.iter().map(|e| format!("{} -> {}", e.from, e.to)).collect();
    for expected in [
        "topic:a -> stream:A",
        "stream:A -> query:CSAS_B_1",
        "query:CSAS_B_1 -> stream:B",
        "query:INSERTQUERY_3 -> stream:B",
        "stream:B -> query:CTAS_T_4",
        "query:CTAS_T_4 -> table:T",
    ] {
        assert!(edges.iter().any(|edge| edge == expected), "{expected} is missing in {edges:#?}");
    }
    assert!(graph.nodes.iter().all(|node| !node.name.starts_with(SYSTEM)));
    let detail = |id: &str| graph.nodes.iter().find(|n| n.id == id).map(|n| n.detail.as_str());
    assert_eq!(detail("query:INSERTQUERY_3"), Some("INSERT INTO"));
    assert_eq!(detail("topic:a"), Some("log"));
}

#[test]
fn sinks_stand_behind_what_they_take() {
    let statements = parse_script(SCRIPT).unwrap();
    let described = described_script(&statements, &Topology::empty(), None).unwrap().0;
    let sink = SinkNode { name: "search".into(), detail: "opensearch".into(), reads: vec!["T".into()] };
    let graph = graph(&described, &[sink]);
    assert!(
        graph.edges.iter().any(|edge| (edge.from.as_str(), edge.to.as_str()) == ("table:T", "sink:search"))
    );
}

#[test]
fn around_a_query_is_what_feeds_it_and_what_it_feeds() {
    let statements = parse_script(SCRIPT).unwrap();
    let described = described_script(&statements, &Topology::empty(), None).unwrap().0;
    let graph = around(&described, "CSAS_B_1");
    let mut ids: Vec<&str> = graph.nodes.iter().map(|node| node.id.as_str()).collect();
    ids.sort_unstable();
    let expected = ["query:CSAS_B_1", "query:CTAS_T_4", "stream:A", "stream:B", "table:T", "topic:a"];
    assert_eq!(ids, expected);
    assert_eq!(graph.edges.len(), 5);
}

#[test]
fn names_are_text_in_a_picture() {
    let picture = svg(&of("CREATE STREAM `<script>alert(1)</script>&` (x INT)
         WITH (KAFKA_TOPIC='a', VALUE_FORMAT='JSON');"));
    assert!(!picture.contains("<script"), "{picture}");
    assert!(picture.contains("<title>stream &lt;script&gt;alert(1)&lt;/script&gt;&amp;</title>"));
    assert_eq!(picture.matches("<g ").count(), picture.matches("</g>").count());
}

#[test]
fn two_hundred_queries_are_laid_out_soon() {
    let mut script = String::from("CREATE STREAM S0 (x INT) WITH (KAFKA_TOPIC='a', VALUE_FORMAT='JSON');");
    for i in 1..=200 {
        script.push_str(&format!("CREATE STREAM S{i} AS SELECT * FROM S{};", i * 7 % 13 % i));
    }
    let graph = of(&script);
    assert_eq!(graph.nodes.iter().filter(|node| node.kind == Kind::Query).count(), 200);
}

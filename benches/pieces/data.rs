//! What the benchmarks work on: messages and rows of a feed, plans and expressions.

use wharfe::batch::{Batch, MessageBatch};
use wharfe::connector::{GeneratorSpec, Opening, Poll, Share, Source, Start, Survey, Team, generator};
use wharfe::engine::replay::Planned;
use wharfe::expr::{Expr, Notes};
use wharfe::plan::{Aggregation, DataflowPlan, QueryPlan, Shape, SourcePlan};
use wharfe::render::preaggregate::inputs;
use wharfe::render::source::RowDecoder;
use wharfe::render::transform::Transform;
use wharfe::sql::parse_script;
use wharfe::topology::Topology;

const CAR_PARKS: &str = include_str!("../../dataflows/carparks.sql");

pub const HISTORIC: &str = "carparks_historic";
pub const LEEDS: &str = "carparks_leeds";

/// About as many as the engine's batches of the historic feed hold.
pub const ROWS: u64 = 8_192;

/// Messages of a feed, as a source gives them; `car_parks`: so many made-up ones.
pub fn messages(feed: &str, rows: u64, car_parks: Option<u64>) -> MessageBatch {
    let spec = GeneratorSpec {
        feed: feed.into(),
        rows: Some(rows),
        rate: None,
        seed: 1,
        car_parks,
        dirty_every: None,
        events_per_second: None,
    };
    let opening =
        Opening { share: Share::All, start: Start::Earliest, bounded: true, opened_ms: 1_600_000_000_000 };
    let mut source =
        generator::open(&spec, opening, &Survey::default(), &Team::alone()).expect("the feed is known");
    match source.poll(1 << 30, 0) {
        Ok(Poll::Messages(messages)) => messages,
        _ => panic!("rows that are not paced are there at once"),
    }
}

/// The plans of the car park dataflow.
pub fn car_parks() -> Planned {
    plan(CAR_PARKS)
}

pub fn plan(script: &str) -> Planned {
    let statements = parse_script(script).expect("the script is well formed");
    Planned::script(&statements, &Topology::empty()).expect("the script can be planned")
}

pub fn source<'p>(planned: &'p Planned, feed: &str) -> &'p SourcePlan {
    planned.sources().find(|source| source.topic == feed).expect("the script reads the feed")
}

/// The query that reads a stream or writes a table, by what its plan says.
pub fn query(planned: &Planned, is: impl Fn(&QueryPlan) -> bool) -> &QueryPlan {
    let queries =
        planned.plans.iter().filter_map(|p| if let DataflowPlan::Query(q) = p { Some(q) } else { None });
    queries.into_iter().find(|q| is(q)).expect("the script has such a query")
}

/// The rows of a feed, with the columns that the car park dataflow reads.
pub fn rows(planned: &Planned, feed: &str, rows: u64, car_parks: Option<u64>) -> Batch {
    let source = source(planned, feed);
    let mut decoder =
        RowDecoder::new(source, &wharfe::registry::Lookups::none()).expect("the format can be decoded");
    decoder.decode(&messages(feed, rows, car_parks), &planned.wanted(source.hub)).0
}

/// The query that puts a feed into the unified stream, ready to run.
pub fn unify(planned: &Planned, feed: &str) -> Transform {
    let insert = query(planned, |q| q.topic() == feed);
    let Shape::Project(exprs) = &insert.select.shape else { panic!("it projects") };
    let mut transform = Transform::new(insert.select.filter.as_ref(), exprs.clone()).expect("it compiles");
    let events = query(planned, |q| q.query.ends_with("SOURCE_COUNTS") || writes(q, "SOURCE_COUNTS"));
    let wharfe::plan::Input::Hub(hub) = events.inputs[0].from else { panic!("it reads a stream") };
    transform.want(&planned.wanted(hub).columns);
    transform
}

/// Whether a query keeps a table of this name: its id ends in the name and a number.
pub fn writes(query: &QueryPlan, table: &str) -> bool {
    query.query.contains(table)
}

/// A table's aggregation, and what it aggregates of a feed.
pub fn grouped(planned: &Planned, table: &str, events: &Batch) -> (Aggregation, Batch) {
    let plan = query(planned, |q| writes(q, table));
    let Shape::Aggregate(aggregation) = &plan.select.shape else { panic!("it aggregates") };
    let mut arguments =
        Transform::new(plan.select.filter.as_ref(), inputs(aggregation)).expect("it compiles");
    (aggregation.clone(), arguments.apply(events, &mut Notes::default()))
}

/// An expression over a stream of these columns.
pub fn expression(columns: &str, text: &str) -> Expr {
    let planned = plan(&format!(
        "CREATE STREAM S ({columns}) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='JSON');
         CREATE STREAM X AS SELECT {text} AS Y FROM S EMIT CHANGES;"
    ));
    match &query(&planned, |q| q.source() == "S").select.shape {
        Shape::Project(exprs) => exprs[0].clone(),
        Shape::Aggregate(_) => panic!("it projects"),
    }
}

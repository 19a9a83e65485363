//! Plans: what workers render and EXPLAIN prints. Plain data, the same on every worker.

pub mod relation;
mod lookup;
mod from;
mod grouping;
mod items;
pub mod select;
mod sites;
pub mod unite;
pub mod explain;
pub mod keeps;
pub mod extension;

pub use extension::Extension;
pub use lookup::{Lookup, Windows};
pub use relation::{Join, Method, RECORD_COLUMNS, Relation, Side, Within};

use crate::aggregate::Spec;
use crate::connector::{Layout, Place, Start, Survey};
use crate::expr::expand::TableCall;
use crate::expr::{Expr, ExprKind};
use crate::format::{Serialization, Written};
use crate::registry::Resolved;
use crate::sql::ast::WindowKind;
use crate::types::{BOUNDS, Bounds, ColumnDef, Part, Schema, SqlType};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// Names a stream hub: where the writers of a stream meet its readers inside each worker.
pub type HubId = u64;
/// Names a maintained table.
pub type TableId = u64;
/// Names an installed dataflow.
pub type DataflowId = u64;

/// What the readers of a hub read of its rows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Wanted {
    /// Empty: all.
    pub columns: Vec<bool>,
    /// The headers of the records that the rows were made from, to pass them on.
    pub headers: bool,
}

/// One dataflow: a source, or a query.
// A handful exist; boxing one variant would only make every reader unbox it.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum DataflowPlan {
    Source(SourcePlan),
    Query(QueryPlan),
}

impl DataflowPlan {
    pub fn id(&self) -> DataflowId {
        match self {
            DataflowPlan::Source(plan) => plan.id,
            DataflowPlan::Query(plan) => plan.id,
        }
    }
}

/// Reads a topic, decodes it and publishes the rows in a hub.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SourcePlan {
    pub id: DataflowId,
    /// Names this reader in checkpoints; empty for one that no persistent query reads.
    pub key: String,
    pub hub: HubId,
    /// Name of the stream or table that declares the topic.
    pub source: String,
    /// Its ordinal: orders rows of different sources with the same ROWTIME.
    pub ordinal: u32,
    pub topic: String,
    pub place: Place,
    /// What was there at the start: the same for all workers, so that they split it alike.
    pub survey: Survey,
    pub start: Start,
    /// End when all that was there at the start is read.
    pub bounded: bool,
    /// Its rows are only for that answer: it reads no faster than they are taken.
    pub for_answer: Option<String>,
    /// What writes the topic, in this run: a bounded reader ends when these have, too.
    pub behind: Vec<DataflowId>,
    pub serialization: Serialization,
    pub schema: Schema,
    /// The registry's schema that the columns of values were taken from, where they were.
    pub own: Option<Resolved>,
    /// BIGINT expression over the schema that gives ROWTIME; `None`: the message's timestamp.
    pub timestamp: Option<Expr>,
    pub times: Times,
}

/// What times are taken from the partitions of a source, and for how long one is waited for. Milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Times {
    /// A record is rejected whose ROWTIME lies further than that ahead of the wall clock.
    pub max_future_ms: Option<i64>,
    /// A partition without a record for so long follows the others.
    pub idle_ms: Option<i64>,
}

impl SourcePlan {
    /// Whether records are read with their headers: for columns of them, or to pass them on.
    pub fn reads_headers(&self, wanted: &Wanted) -> bool {
        let is_wanted = |(i, column): (usize, &ColumnDef)| {
            matches!(column.part, Part::Headers | Part::Header(_))
                && wanted.columns.get(i).copied().unwrap_or(true)
        };
        wanted.headers || self.schema.columns.iter().enumerate().any(is_wanted)
    }
}

/// Whether it is the id of an answer, or of what one is made of.
pub fn is_answer(query: &str) -> bool {
    query.starts_with("transient_")
}

/// A continuous query: reads hubs and tables, writes a stream, a table or an answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QueryPlan {
    pub id: DataflowId,
    /// `CSAS_CARPARK_EVENTS_3`, or the id of a push query.
    pub query: String,
    /// What the scans of `select` read, by their numbers.
    pub inputs: Vec<QueryInput>,
    pub select: SelectPlan,
    pub sink: Sink,
    /// Where checkpoints hold the kept states that it goes on from, by their names: each is the sum of its
    /// pieces.
    pub restore: BTreeMap<String, Vec<Piece>>,
    /// Checkpoints are taken, so that what it keeps is kept where they find it.
    pub durable: bool,
    /// A checkpoint knows it: what it has stored so far stays.
    pub goes_on: bool,
    pub emission: Emission,
    /// When its bounded inputs have been read to their ends no time passes any more: what waits for it is told.
    pub closes_at_end: bool,
}

/// When a table tells those that read it, and its topic, about a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Emission {
    /// At the end of a tick that has changed it.
    #[default]
    PerTick,
    /// Once for each record that touches it, unchanged or not, as Kafka Streams does where it buffers
    /// nothing: a tick holds one record.
    PerRecord,
}

/// The name of what waits for what is kept under that one.
pub fn waiting(name: &str) -> String {
    format!("{name}, waiting")
}

/// The kept state of an aggregating query's groups, and of the elements of their collections.
pub const GROUPS: &str = "groups";
pub const ELEMENTS: &str = "elements";

/// One of the streams and tables that a query reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QueryInput {
    /// Name and topic, for the books.
    pub source: String,
    pub topic: String,
    pub from: Input,
    pub columns: usize,
    /// Ordinals of the declared streams and tables that its rows come from, where it is read as records.
    pub feeds: Vec<u32>,
}

impl QueryPlan {
    /// The names of what it reads.
    pub fn source(&self) -> String {
        self.joined(|input| &input.source)
    }

    /// The topics of what it reads.
    pub fn topic(&self) -> String {
        self.joined(|input| &input.topic)
    }

    fn joined(&self, of: impl Fn(&QueryInput) -> &String) -> String {
        let mut all: Vec<&str> = self.inputs.iter().map(|input| of(input).as_str()).collect();
        all.dedup();
        all.join(", ")
    }

    /// The columns that it reads of each input. `wanted`: which of its own somebody reads.
    pub fn reads(&self, wanted: Option<&[bool]>) -> Vec<Vec<bool>> {
        // What a join keeps has all that may be asked of it later.
        let wanted = wanted.filter(|_| self.select.from.is_scan());
        let mut inputs: Vec<Vec<bool>> = self.inputs.iter().map(|input| vec![false; input.columns]).collect();
        self.select.from.reads(&self.select.reads(self.width(), wanted), &mut inputs);
        inputs
    }

    /// How many columns the rows have that the SELECT's own stages read.
    pub fn width(&self) -> usize {
        match &self.select.from {
            Relation::Scan(input) => self.inputs[*input].columns,
            Relation::Join(join) => join.width(),
        }
    }

    /// Ordinals of the sources of all records that a relation reads.
    pub fn feeds(&self, relation: &Relation) -> Vec<u32> {
        match relation {
            Relation::Scan(input) => self.inputs[*input].feeds.clone(),
            Relation::Join(join) => {
                let mut both = self.feeds(&join.left.relation);
                both.extend(self.feeds(&join.right.relation));
                both.sort_unstable();
                both.dedup();
                both
            }
        }
    }

    /// Whether it stores rows with the headers of the records that they were made from, as Kafka Streams
    /// does where a row is made from one record.
    pub fn passes_headers_on(&self) -> bool {
        matches!(&self.sink, Sink::Stream { store: Some(store), .. } if !store.begins_anew)
            && self.select.from.is_scan()
    }

    /// What it stores, and how.
    pub fn stores(&self) -> Option<&StorePlan> {
        match &self.sink {
            Sink::Stream { store, .. } => store.as_ref(),
            Sink::Changelog(store) => Some(store),
            Sink::Table { .. } | Sink::Answer { .. } => None,
        }
    }

    /// The names of what its operators keep beyond a tick.
    pub fn keeps(&self) -> Vec<String> {
        let mut names = Vec::new();
        if self.durable {
            self.select.from.each_join(&mut |join| {
                let name = (!join.is_table()).then(|| join.kept_name());
                names.extend(name.into_iter().flat_map(|name| [waiting(&name), name]));
            });
        }
        if let (Sink::Table { strategy: Strategy::Monoid, .. }, Shape::Aggregate(aggregation)) =
            (&self.sink, &self.select.shape)
        {
            let elements = crate::aggregate::keeps_elements(&aggregation.specs());
            let is_final = aggregation.window.is_some_and(|window| window.is_final);
            let waits = self.durable && aggregation.window.is_some_and(|window| window.gap_ms().is_some());
            names.push(GROUPS.into());
            names.extend(waits.then(|| waiting(GROUPS)));
            names.extend(elements.then(|| ELEMENTS.into()));
            names.extend(is_final.then(|| CLOSED.into()));
            names.extend((is_final && elements).then(|| CLOSED_ELEMENTS.into()));
        }
        names
    }
}

/// What one checkpoint has written of a kept state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Piece {
    pub dir: PathBuf,
    /// What others wrote there does not count.
    pub workers: Vec<u32>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Input {
    Hub(HubId),
    Table(TableId),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Sink {
    /// Publishes rows in a hub, and stores them where the topic has a place.
    Stream { hub: HubId, store: Option<StorePlan> },
    /// Maintains a table.
    Table { table: TableId, strategy: Strategy },
    /// Stores a table's changes: the new row of each key, or a message without a value.
    Changelog(StorePlan),
    /// Sends rows or changes to the client that holds the answer; of tables from the earliest on those that
    /// are there, too. `placed`: rows of streams have their origins, for SELECTs that are done behind it.
    Answer { answer: String, start: Start, placed: bool },
}

impl Sink {
    /// How it is stored, if it is.
    pub fn store(&self) -> Option<&StorePlan> {
        match self {
            Sink::Stream { store, .. } => store.as_ref(),
            Sink::Changelog(store) => Some(store),
            Sink::Table { .. } | Sink::Answer { .. } => None,
        }
    }
}

/// How a table is kept up to date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Strategy {
    /// Append-only input: accumulators merge as differential's difference.
    Monoid,
    /// A table filtered and projected: rows come and go one for one.
    Project,
    /// Aggregates over a table: what leaves a group is subtracted, or taken out of an order.
    Retractable,
}

/// Stores what is derived in a log or on a cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StorePlan {
    pub topic: String,
    pub place: Place,
    /// Where it waits until a checkpoint makes it final; then it is delivered once. A log with the
    /// partitions of the topic.
    pub outbox: Option<PathBuf>,
    pub layout: Layout,
    pub serialization: Serialization,
    pub schema: Schema,
    /// What the messages are written with.
    pub written: Written,
    /// BIGINT expression over the schema that gives the messages' time; `None`: that of the rows.
    pub timestamp: Option<Expr>,
    /// They are events of their own, which headers of others would say to be those.
    pub begins_anew: bool,
}

impl StorePlan {
    /// The log that it is written to, if it is one.
    pub fn log(&self) -> Option<&PathBuf> {
        match (&self.outbox, &self.place) {
            (Some(outbox), _) => Some(outbox),
            (None, Place::Log { dir, .. }) => Some(dir),
            (None, _) => None,
        }
    }
}

/// A bound SELECT: filter, then project or aggregate; ORDER BY and LIMIT only in answers that end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SelectPlan {
    pub from: Relation,
    /// The result's columns, in the order of `shape`'s expressions.
    pub columns: Vec<ColumnDef>,
    pub filter: Option<Expr>,
    /// Table functions over the rows that pass: they make several rows of one, with a column of each call
    /// behind those of `from`.
    pub expand: Vec<TableCall>,
    pub shape: Shape,
    pub order_by: Vec<OrderKey>,
    pub limit: Option<u64>,
    /// Rows that an answer leaves out at its beginning.
    pub offset: Option<u64>,
    /// What of it ksqlDB does not have: for who asks, it computes nothing.
    #[serde(skip)]
    pub extensions: BTreeSet<Extension>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Shape {
    /// One expression a column; those beyond `columns` are there for ORDER BY only.
    Project(Vec<Expr>),
    Aggregate(Aggregation),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Aggregation {
    /// Over the input's columns.
    pub keys: Vec<Expr>,
    pub window: Option<Window>,
    pub calls: Vec<Call>,
    /// Over the keys, the bounds of the window where there is one, and the calls' results.
    pub having: Option<Expr>,
    /// Over the same: one expression a column; those beyond `columns` are there for ORDER BY only.
    pub post: Vec<Expr>,
    /// NULL is a key like any other: DISTINCT. Rows are else left out where a key is NULL.
    pub keeps_nulls: bool,
}

/// Cuts the groups of a stream by time. Milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    pub kind: WindowKind,
    /// How long after its end rows still count in a window.
    pub grace_ms: i64,
    /// How long after its start a window is kept; a session, after its end.
    pub retention_ms: i64,
    /// Each window is told of once, when it has closed.
    pub is_final: bool,
}

impl Window {
    /// How many values tell a group's windows apart where it is kept: its start, or a session's bounds.
    pub fn stored(&self) -> usize {
        if let WindowKind::Session { .. } = self.kind { 2 } else { 1 }
    }

    /// What of it is in the keys of messages.
    pub fn in_keys(&self) -> Bounds {
        self.size_ms().map_or(Bounds::Both, |size_ms| Bounds::Start { size_ms })
    }

    /// How far apart the rows of a session may be.
    pub fn gap_ms(&self) -> Option<i64> {
        if let WindowKind::Session { gap_ms } = self.kind { Some(gap_ms) } else { None }
    }

    /// How long a window takes, where that is fixed.
    pub fn size_ms(&self) -> Option<i64> {
        match self.kind {
            WindowKind::Tumbling { size_ms } | WindowKind::Hopping { size_ms, .. } => Some(size_ms),
            WindowKind::Session { .. } => None,
        }
    }
}

/// The kept state of the groups of windows that have closed, and of their elements.
pub const CLOSED: &str = "closed";
pub const CLOSED_ELEMENTS: &str = "closed elements";

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// As written: `MAX(TS)`.
    pub text: String,
    pub spec: Spec,
    /// Over the input's columns.
    pub args: Vec<Expr>,
    pub returns: SqlType,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OrderKey {
    /// Index of the expression in `shape`.
    pub column: usize,
    pub descending: bool,
    pub nulls_first: bool,
}

impl Aggregation {
    pub fn specs(&self) -> Vec<Spec> {
        self.calls.iter().map(|c| c.spec.clone()).collect()
    }

    /// The types of the keys, of the window's bounds and of the calls' results: what `having` and `post`
    /// read.
    pub fn intermediate(&self) -> Vec<SqlType> {
        let bounds = self.window.iter().flat_map(|_| [SqlType::Bigint, SqlType::Bigint]);
        let keys = self.keys.iter().map(|k| k.ty.clone()).chain(bounds);
        keys.chain(self.calls.iter().map(|c| c.returns.clone())).collect()
    }

    /// How many values the key of a group has where it is kept: with what tells windows apart.
    pub fn stored_keys(&self) -> usize {
        self.keys.len() + self.window.map_or(0, |window| window.stored())
    }
}

impl SelectPlan {
    /// The windows that its rows are grouped by.
    pub fn window(&self) -> Option<Window> {
        if let Shape::Aggregate(aggregation) = &self.shape { aggregation.window } else { None }
    }

    /// All columns of a plan's first input, as they are.
    pub fn all_of(schema: &Schema) -> SelectPlan {
        let column = |(i, c): (usize, &ColumnDef)| Expr { kind: ExprKind::Column(i), ty: c.ty.clone() };
        let shape = Shape::Project(schema.columns.iter().enumerate().map(column).collect());
        SelectPlan::of(Relation::Scan(0), schema.columns.clone(), shape)
    }

    /// Of all rows, as they come.
    pub fn of(from: Relation, columns: Vec<ColumnDef>, shape: Shape) -> SelectPlan {
        SelectPlan {
            from,
            columns,
            filter: None,
            expand: Vec::new(),
            shape,
            order_by: Vec::new(),
            limit: None,
            offset: None,
            extensions: BTreeSet::new(),
        }
    }

    /// The input columns that the plan reads, of `len` there are. `wanted`: which of its own columns
    /// somebody reads.
    pub fn reads(&self, len: usize, wanted: Option<&[bool]>) -> Vec<bool> {
        let mut reads = vec![false; len];
        let mut mark = |expr: &Expr| {
            // What lies behind the input's columns is made by table functions.
            crate::expr::references(expr, &mut |column| {
                reads.get_mut(column).into_iter().for_each(|r| *r = true)
            });
        };
        self.expand.iter().for_each(|call| mark(&call.arg));
        self.filter.iter().for_each(&mut mark);
        match &self.shape {
            Shape::Project(exprs) => exprs
                .iter()
                .enumerate()
                .filter(|(i, _)| wanted.is_none_or(|w| w.get(*i).copied().unwrap_or(true)))
                .for_each(|(_, e)| mark(e)),
            Shape::Aggregate(aggregation) => {
                aggregation.keys.iter().for_each(&mut mark);
                aggregation.calls.iter().flat_map(|c| &c.args).for_each(&mut mark);
            }
        }
        reads
    }

    /// Puts key columns first, the order that a stream's or table's schema has, those of a group in the order
    /// of GROUP BY, and the bounds of windows behind them.
    pub fn keys_first(mut self) -> SelectPlan {
        debug_assert!(self.order_by.is_empty());
        if let Shape::Aggregate(Aggregation { window: Some(window), keys, post, .. }) = &mut self.shape {
            for (i, name) in BOUNDS.into_iter().enumerate() {
                let bound = Expr { kind: ExprKind::Column(keys.len() + i), ty: SqlType::Bigint };
                let part = Part::Window(window.in_keys());
                let column = ColumnDef { name: name.into(), ty: SqlType::Bigint, part };
                post.insert(self.columns.len(), bound);
                self.columns.push(column);
            }
        }
        let mut order: Vec<usize> = (0..self.columns.len()).collect();
        let place = |i: usize| match &self.shape {
            Shape::Aggregate(Aggregation { post, .. }) if self.columns[i].is_key() => match post[i].kind {
                ExprKind::Column(key) => key,
                _ => 0,
            },
            _ => 0,
        };
        order.sort_by_key(|&i| (!self.columns[i].is_key(), !self.columns[i].identifies(), place(i)));
        self.columns = order.iter().map(|&i| self.columns[i].clone()).collect();
        let exprs = match &mut self.shape {
            Shape::Project(exprs) => exprs,
            Shape::Aggregate(aggregation) => &mut aggregation.post,
        };
        *exprs = order.iter().map(|&i| exprs[i].clone()).collect();
        self
    }

    pub fn schema(&self) -> Schema {
        Schema { columns: self.columns.clone() }
    }
}

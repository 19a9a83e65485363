//! What statements answer: plain data that the REST interface and the command line show each in
//! their own way.

use super::answers::Answer;
use crate::connector::Lag;
use crate::sql::ast::SourceKind;
use crate::types::{ColumnDef, Schema, SqlType};

pub enum Outcome {
    /// CREATE, INSERT INTO, DROP, TERMINATE, SET, UNSET.
    Status(Status),
    /// SELECT and PRINT.
    Answer(Answer),
    Streams(Vec<SourceInfo>),
    Tables(Vec<SourceInfo>),
    Topics(Vec<TopicInfo>),
    Queries(Vec<QueryInfo>),
    Functions(Vec<FunctionInfo>),
    Properties(Vec<PropertyInfo>),
    /// SHOW TYPES
    Types(Vec<(String, SqlType)>),
    /// SHOW VARIABLES
    Variables(Vec<(String, String)>),
    /// SHOW STREAMS | TABLES EXTENDED
    Sources(Vec<SourceDescription>),
    /// DESCRIBE
    Source(Box<SourceDescription>),
    /// DESCRIBE FUNCTION
    Function(FunctionInfo),
    /// EXPLAIN
    Explanation(Box<Explanation>),
    /// SHOW QUERIES EXTENDED
    Explanations(Vec<Explanation>),
    /// SHOW CONNECTORS
    Connectors(Vec<ConnectorInfo>),
    /// DESCRIBE CONNECTOR
    Connector(Box<ConnectorInfo>),
}

#[derive(Clone, Debug, Default)]
pub struct Status {
    /// `Stream ORDERS created`, `Created query with ID CSAS_X_3`, …
    pub message: String,
    /// ``stream/`ORDERS`/create``
    pub command_id: String,
    /// The persistent query it started or ended.
    pub query_id: Option<String>,
    /// True for TERMINATE: REST has an entity of its own for it.
    pub terminated: bool,
    /// It was so already: nothing was done.
    pub unchanged: bool,
    /// What did not go as it should, though the statement is carried out.
    pub warnings: Vec<String>,
}

#[derive(Clone, Debug)]
pub struct SourceInfo {
    pub kind: SourceKind,
    pub name: String,
    pub topic: String,
    pub key_format: String,
    pub value_format: String,
    /// TUMBLING, HOPPING or SESSION, where its keys have windows.
    pub window: Option<String>,
}

#[derive(Clone, Debug)]
pub struct TopicInfo {
    pub name: String,
    /// `file`, `log`, `generator`, `stdin`, or `memory` for a derived topic that is not stored.
    pub connector: String,
    /// Where: a path, a feed.
    pub place: String,
    pub partitions: u32,
    /// How many readers it has open; what is derived in memory is read without one.
    pub consumers: usize,
    /// How many persistent queries its records go to.
    pub consumer_groups: usize,
}

/// A sink, and how it is.
#[derive(Clone, Debug)]
pub struct ConnectorInfo {
    pub name: String,
    pub class: String,
    /// Address and index.
    pub to: String,
    /// Streams and tables.
    pub reads: Vec<String>,
    pub topics: Vec<String>,
    pub status: crate::connector::opensearch::Status,
}

#[derive(Clone, Debug)]
pub struct QueryInfo {
    pub id: String,
    pub sql: String,
    /// The stream or table that it writes; `None` for a push query.
    pub sink: Option<String>,
    pub sink_topic: Option<String>,
    pub persistent: bool,
    /// `RUNNING` or `PAUSED`.
    pub state: String,
    pub traffic: Option<Traffic>,
}

/// What comes to a source or a query; `None` where nothing has been measured yet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Traffic {
    /// Since the engine's start.
    pub rows: u64,
    pub rejected: u64,
    /// Rows in a second, lately.
    pub rate: f64,
    /// Of a source: what is there and not read.
    pub lag: Lag,
    /// How old the last record is that was read, while there are more; of a query, of all that feeds it.
    pub lag_seconds: Option<f64>,
}

#[derive(Clone, Debug)]
pub struct FunctionInfo {
    pub name: String,
    /// `SCALAR`, `AGGREGATE` or `TABLE`
    pub kind: String,
    /// As `SHOW FUNCTIONS` of ksqlDB groups them.
    pub category: &'static str,
    /// Its variants, a line each: `NAME(a[, b]) → TYPE`.
    pub usage: String,
    pub summary: String,
    /// A call and what it gives: `ABS(-5) → 5`.
    pub example: String,
    /// Other names for it.
    pub aliases: Vec<&'static str>,
    /// Whether ksqlDB lacks it.
    pub extension: bool,
}

#[derive(Clone, Debug)]
pub struct PropertyInfo {
    pub name: String,
    pub value: String,
    pub default: bool,
    /// `honoured`, or why it means nothing here.
    pub meaning: String,
}

#[derive(Clone, Debug)]
pub struct SourceDescription {
    pub info: SourceInfo,
    pub schema: Schema,
    pub timestamp_column: Option<String>,
    pub partitions: u32,
    /// The CREATE statement.
    pub statement: String,
    pub read_by: Vec<QueryInfo>,
    pub written_by: Vec<QueryInfo>,
    /// EXTENDED: (name, value) pairs such as rows read and rejected, bytes, place.
    pub statistics: Vec<(String, String)>,
    /// Of one whose topic is read.
    pub traffic: Option<Traffic>,
}

#[derive(Clone, Debug)]
pub struct Explanation {
    pub query: Option<QueryInfo>,
    pub columns: Vec<ColumnDef>,
    /// The windows that rows are grouped by: TUMBLING, HOPPING or SESSION.
    pub window: Option<&'static str>,
    /// Names of the sources read.
    pub sources: Vec<String>,
    /// The plan as it runs, indented text.
    pub plan: String,
}

pub fn word(kind: SourceKind) -> &'static str {
    match kind {
        SourceKind::Stream => "Stream",
        SourceKind::Table => "Table",
    }
}

/// A name as it stands in messages and ids of ksqlDB.
pub fn backticked(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

pub fn created(kind: SourceKind, name: &str, query_id: Option<String>) -> Outcome {
    let message = match &query_id {
        Some(id) => format!("Created query with ID {id}"),
        None => format!("{} created", word(kind)),
    };
    status(message, kind, name, "create", query_id)
}

/// It was so already.
pub fn unchanged(message: String, kind: SourceKind, name: &str, action: &str) -> Outcome {
    let command_id = command_id(kind, name, action);
    Outcome::Status(Status { message, command_id, unchanged: true, ..Status::default() })
}

pub fn status(
    message: String,
    kind: SourceKind,
    name: &str,
    action: &str,
    query_id: Option<String>,
) -> Outcome {
    let command_id = command_id(kind, name, action);
    Outcome::Status(Status { message, command_id, query_id, ..Status::default() })
}

fn command_id(kind: SourceKind, name: &str, action: &str) -> String {
    format!("{}/{}/{action}", word(kind).to_lowercase(), backticked(name))
}

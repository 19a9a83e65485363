//! What runs as a graph: topics, streams, queries, tables, and who feeds whom.
//!
//! It is made of what SHOW and DESCRIBE tell, laid out in layers from left to right ([`layout`]), and
//! shown by the console, by `wharfe explain --svg` and at `/flow.svg` ([`svg`]), all from the same places.

mod layout;
mod svg;
#[cfg(test)]
mod tests;

use crate::engine::outcome::{ConnectorInfo, QueryInfo, SourceDescription};
use crate::sql::ast::{SourceKind, Statement};
use crate::sql::parse_statement;
use serde::Serialize;
use std::collections::BTreeMap;
pub use svg::{escaped, svg};

/// What belongs to the engine itself is left out.
const SYSTEM: &str = "WHARFE_";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Where records come from or are stored.
    Topic,
    Stream,
    Table,
    Query,
    /// Another system that rows are sent on to.
    Sink,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Kind::Topic => "topic",
            Kind::Stream => "stream",
            Kind::Table => "table",
            Kind::Query => "query",
            Kind::Sink => "sink",
        }
    }
}

/// Sizes and places are in pixels, from the upper left.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Node {
    /// `stream:CARPARK_EVENTS`
    pub id: String,
    pub kind: Kind,
    pub name: String,
    /// The second line: a connector, a format, what a query does.
    pub detail: String,
    pub x: f64,
    pub y: f64,
    pub width: f64,
    pub height: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Edge {
    pub from: String,
    pub to: String,
    /// The way from the right side of one to the left side of the other.
    pub points: Vec<(f64, f64)>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Graph {
    pub width: f64,
    pub height: f64,
    pub nodes: Vec<Node>,
    pub edges: Vec<Edge>,
}

/// A system that rows are sent on to, as far as the graph shows it.
pub struct SinkNode {
    pub name: String,
    pub detail: String,
    /// Streams and tables that it takes.
    pub reads: Vec<String>,
}

impl SinkNode {
    pub fn of(sink: &ConnectorInfo) -> SinkNode {
        SinkNode { name: sink.name.clone(), detail: sink.to.clone(), reads: sink.reads.clone() }
    }
}

/// The graph of all streams and tables, with their queries, topics and sinks.
pub fn graph(sources: &[SourceDescription], sinks: &[SinkNode]) -> Graph {
    let mut builder = Builder::default();
    for source in sources.iter().filter(|source| !source.info.name.starts_with(SYSTEM)) {
        builder.source(source);
    }
    for sink in sinks {
        builder.sink(sink);
    }
    builder.finish()
}

/// The part of the graph that a query is fed by, and feeds.
pub fn around(sources: &[SourceDescription], query: &str) -> Graph {
    let mut builder = Builder::default();
    for source in sources.iter().filter(|source| !source.info.name.starts_with(SYSTEM)) {
        builder.source(source);
    }
    builder.keep_around(&format!("query:{query}"));
    builder.finish()
}

#[derive(Default)]
struct Builder {
    nodes: Vec<(Kind, String, String)>,
    by_id: BTreeMap<String, usize>,
    edges: Vec<(usize, usize)>,
}

impl Builder {
    fn node(&mut self, kind: Kind, name: &str, detail: &str) -> usize {
        let id = format!("{}:{name}", kind.word());
        if let Some(&known) = self.by_id.get(&id) {
            let known_detail = &mut self.nodes[known].2;
            if known_detail.is_empty() {
                *known_detail = detail.into();
            }
            return known;
        }
        self.by_id.insert(id, self.nodes.len());
        self.nodes.push((kind, name.into(), detail.into()));
        self.nodes.len() - 1
    }

    fn edge(&mut self, from: usize, to: usize) {
        if !self.edges.contains(&(from, to)) {
            self.edges.push((from, to));
        }
    }

    fn source(&mut self, source: &SourceDescription) {
        let kind = kind_of(source.info.kind);
        let this = self.node(kind, &source.info.name, &source.info.value_format);
        let connector = statistic(source, "connector").unwrap_or("memory");
        let is_declared = is_declared(&source.statement);
        // A derived one whose rows are only in memory has no topic that anybody else could see.
        if is_declared || connector != "memory" {
            let topic = self.node(Kind::Topic, &source.info.topic, connector);
            match is_declared {
                true => self.edge(topic, this),
                false => self.edge(this, topic),
            }
        }
        // What stores rows for a sink is drawn as the sink.
        let is_shown = |query: &&QueryInfo| query.sink.as_ref().is_none_or(|sink| !sink.starts_with(SYSTEM));
        for query in source.read_by.iter().filter(is_shown) {
            let query = self.query(query);
            self.edge(this, query);
        }
        for query in &source.written_by {
            let query = self.query(query);
            self.edge(query, this);
        }
    }

    fn query(&mut self, query: &QueryInfo) -> usize {
        let detail = match parse_statement(&query.sql).map(|parsed| parsed.statement) {
            Ok(Statement::CreateAs { kind: SourceKind::Stream, .. }) => "CREATE STREAM",
            Ok(Statement::CreateAs { kind: SourceKind::Table, .. }) => "CREATE TABLE",
            Ok(Statement::InsertSelect { .. }) => "INSERT INTO",
            _ if !query.persistent => "push query",
            _ => "",
        };
        self.node(Kind::Query, &query.id, detail)
    }

    fn sink(&mut self, sink: &SinkNode) {
        let this = self.node(Kind::Sink, &sink.name, &sink.detail);
        for name in &sink.reads {
            let kinds = [Kind::Stream, Kind::Table];
            let read = kinds.iter().find_map(|kind| self.by_id.get(&format!("{}:{name}", kind.word())));
            if let Some(&read) = read {
                self.edge(read, this);
            }
        }
    }

    /// Leaves out what no way leads to from the node, and no way leads from to it.
    fn keep_around(&mut self, id: &str) {
        let Some(&centre) = self.by_id.get(id) else { return };
        let mut keep = vec![false; self.nodes.len()];
        for forward in [true, false] {
            let mut open = vec![centre];
            let mut seen = vec![false; self.nodes.len()];
            while let Some(node) = open.pop() {
                if std::mem::replace(&mut seen[node], true) {
                    continue;
                }
                keep[node] = true;
                let ends = self.edges.iter().map(|&(from, to)| if forward { (from, to) } else { (to, from) });
                open.extend(ends.filter(|(from, _)| *from == node).map(|(_, to)| to));
            }
        }
        let place =
            keep.iter().enumerate().map(|(i, kept)| kept.then(|| keep[..i].iter().filter(|k| **k).count()));
        let place: Vec<Option<usize>> = place.collect();
        self.edges = self.edges.iter().filter_map(|&(from, to)| Some((place[from]?, place[to]?))).collect();
        self.by_id.retain(|_, at| keep[*at]);
        self.by_id.values_mut().for_each(|at| *at = place[*at].unwrap_or(0));
        let mut kept = keep.iter();
        self.nodes.retain(|_| *kept.next().unwrap_or(&false));
    }

    fn finish(self) -> Graph {
        let sizes: Vec<(f64, f64)> = self.nodes.iter().map(|_| (svg::NODE_WIDTH, svg::NODE_HEIGHT)).collect();
        let laid = layout::layout(&sizes, &self.edges);
        let mut ids = vec![String::new(); self.nodes.len()];
        self.by_id.into_iter().for_each(|(id, at)| ids[at] = id);
        let edge = |(&(from, to), points): (&(usize, usize), Vec<(f64, f64)>)| Edge {
            from: ids[from].clone(),
            to: ids[to].clone(),
            points,
        };
        let edges = self.edges.iter().zip(laid.edges).map(edge).collect();
        let places = self.nodes.into_iter().zip(&ids).zip(laid.nodes).zip(sizes);
        let nodes = places
            .map(|((((kind, name, detail), id), (x, y)), (width, height))| Node {
                id: id.clone(),
                kind,
                name,
                detail,
                x,
                y,
                width,
                height,
            })
            .collect();
        Graph { width: laid.width, height: laid.height, nodes, edges }
    }
}

fn kind_of(kind: SourceKind) -> Kind {
    match kind {
        SourceKind::Stream => Kind::Stream,
        SourceKind::Table => Kind::Table,
    }
}

/// Whether its topic is read, rather than written by its query.
fn is_declared(statement: &str) -> bool {
    matches!(parse_statement(statement).map(|parsed| parsed.statement), Ok(Statement::CreateSource { .. }))
}

fn statistic<'s>(source: &'s SourceDescription, name: &str) -> Option<&'s str> {
    source.statistics.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

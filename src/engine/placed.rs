//! Topics and their places: whether what is declared can be read where its topic lives, which places are
//! missing, and which of them the engine itself writes.

use super::coordinator::Coordinator;
use super::draft::Draft;
use crate::catalog::Source;
use crate::connector::Place;
use crate::connector::log::log_info;
use crate::error::{Error, Result};
use crate::expr::nearest::nearest;
use crate::format::{self, Format};
use crate::plan::{DataflowId, DataflowPlan, SourcePlan};
use crate::sql::ast::{ColumnSpec, Ident, SourceKind};
use crate::types::Part;
use std::collections::BTreeSet;
use std::path::PathBuf;

impl Coordinator {
    /// Topics that are read without having a place, and hold nothing: most likely a place is missing.
    pub fn unplaced(&self) -> Vec<String> {
        let world = self.world();
        let is_event =
            |source: &SourcePlan| world.catalog.get(&source.source).is_some_and(|s| !s.events.is_empty());
        let is_unplaced =
            |source: &SourcePlan| self.base.topology.place(&source.topic).is_none() && !is_event(source);
        let sources = world.active.values().filter_map(|plan| match plan.as_ref() {
            DataflowPlan::Source(source) if is_unplaced(source) => Some(source),
            _ => None,
        });
        let is_empty = |place: &Place| match place {
            Place::Log { dir, .. } => log_info(dir).is_ok_and(|info| info.records == 0),
            _ => false,
        };
        let mut topics: Vec<String> =
            sources.filter(|s| is_empty(&s.place)).map(|s| s.topic.clone()).collect();
        topics.dedup();
        topics
    }

    /// Topics that the topology places and nobody declares, with the name of one like it that has no place.
    pub fn misplaced(&self) -> Vec<(String, String)> {
        let kinds = [SourceKind::Stream, SourceKind::Table];
        let world = self.world();
        let sources = kinds.into_iter().flat_map(|kind| world.catalog.sources(kind));
        let declared: BTreeSet<&str> = sources.map(|source| source.topic.as_str()).collect();
        let unplaced =
            || declared.iter().copied().filter(|topic| !self.base.topology.topics().any(|t| t == *topic));
        let unread = self.base.topology.topics().filter(|topic| !declared.contains(topic));
        unread.filter_map(|topic| Some((topic.into(), nearest(topic, unplaced())?.into()))).collect()
    }
}

/// The log that a dataflow writes, if it does.
pub(super) fn logs(plan: &DataflowPlan) -> Option<(DataflowId, PathBuf)> {
    match plan {
        DataflowPlan::Query(query) => Some((query.id, query.stores()?.log()?.clone())),
        DataflowPlan::Source(_) => None,
    }
}

/// The dataflows that write a place.
pub(super) fn writers(place: &Place, written: &[(DataflowId, PathBuf)]) -> Vec<DataflowId> {
    let Place::Log { dir, .. } = place else { return Vec::new() };
    written.iter().filter(|(_, log)| log == dir).map(|(id, _)| *id).collect()
}

impl Draft<'_> {
    /// Refuses what could not make one row. `columns`: as they were declared.
    pub(super) fn check_place(
        &self,
        source: &Source,
        place: &Place,
        columns: &[ColumnSpec],
        name: &Ident,
    ) -> Result<()> {
        let Some(dialect) = place.dialect() else { return Ok(()) };
        let keys: Vec<&str> = source.schema.keys().map(|column| column.name.as_str()).collect();
        let topic = &source.topic;
        let section = format!("[topics.{topic}]");
        if dialect.key.is_empty() {
            if source.kind == SourceKind::Stream {
                return self.check_names(source, place, name);
            }
            let names: Vec<String> = keys.iter().map(|key| format!("\"{key}\"")).collect();
            return Err(Error::statement(format!(
                "table {} needs a key, and the records of topic {topic} have none: it is {}",
                name.name,
                if matches!(place, Place::Stdin { .. }) { "standard input" } else { "a file" },
            ))
            .at(name.span)
            .hint(format!(
                "key = [{}] under {section} in the topology takes it from the fields of the value",
                names.join(", ")
            )));
        }
        if let Some(other) = keys.iter().find(|key| !dialect.key.iter().any(|given| given == *key)) {
            return Err(Error::statement(format!(
                "column {other} is in the key of {}, and topic {topic} has {} there",
                name.name,
                dialect.key.join(", ")
            ))
            .at(name.span)
            .hint(format!("say it in key under {section} in the topology")));
        }
        // Fields that are told apart by their places are in the order of the declaration, keys first.
        let by_place = matches!(source.serialization.value, Format::Delimited { .. }) && !dialect.names;
        let behind = columns.iter().skip_while(|column| column.part == Part::Key);
        if let Some(key) = behind.into_iter().find(|column| column.part == Part::Key).filter(|_| by_place) {
            return Err(Error::statement(format!(
            "column {} is a field of the value, and fields are told apart by their places: declare it first",
            key.name.name
        ))
        .at(key.name.span)
        .hint("or let the first line of the file name the columns: header = \"names\""));
        }
        self.check_names(source, place, name)
    }

    /// Where the first line of the files names their columns, those that are there already must have all.
    fn check_names(&self, source: &Source, place: &Place, name: &Ident) -> Result<()> {
        let (Some(dialect), Format::Delimited { delimiter }) = (place.dialect(), source.serialization.value)
        else {
            return Ok(());
        };
        if !dialect.names {
            return Ok(());
        }
        let columns = || source.schema.columns.iter().filter(|column| !column.part.is_of_headers());
        let of_value = columns().filter(|column| !column.is_key() || !dialect.key.is_empty());
        for (file, line) in self.first_lines(place)? {
            let names = of_value.clone().map(|column| column.name.as_str());
            if let Some(why) = format::missing(&line, delimiter, dialect, names) {
                return Err(Error::statement(format!("{}: {why}", file.display())).at(name.span));
            }
        }
        Ok(())
    }
}

//! TERMINATE and DROP.

use super::draft::Draft;
use super::outcome::{Outcome, Status, backticked, status, word};
use crate::catalog::{Origin, Query, Source};
use crate::connector::Place;
use crate::error::{Error, Result};
use crate::plan::{DataflowId, DataflowPlan, HubId};
use crate::sql::ast::{Ident, SourceKind};
use std::sync::Arc;

impl Draft<'_> {
    pub(super) fn terminate(&mut self, id: Option<&Ident>) -> Result<Outcome> {
        let mut ids: Vec<String> = match id {
            None => {
                let persistent = self.world.queries().map(|q| q.id.clone());
                persistent.chain(self.open_answers().map(|(id, _)| id.clone())).collect()
            }
            Some(id) => vec![id.name.clone()],
        };
        for query in &mut ids {
            let known =
                self.world.queries().map(|q| &q.id).find(|id| id.eq_ignore_ascii_case(query)).cloned();
            if let Some(known) = known {
                self.stop_query(&known);
                *query = known;
            } else if let Some(known) = self.end_answer(query) {
                *query = known;
            } else if let Some(id) = id {
                return Err(Error::statement(format!("there is no query {query}"))
                    .at(id.span)
                    .hint("SHOW QUERIES lists what runs"));
            }
        }
        let message = match id {
            Some(_) => format!("Query {} terminated", ids[0]),
            None => format!("{} queries terminated", ids.len()),
        };
        let command_id = format!("terminate/{}/execute", ids.first().map_or("ALL", String::as_str));
        Ok(Outcome::Status(Status {
            message,
            command_id,
            query_id: ids.first().cloned(),
            terminated: true,
            ..Status::default()
        }))
    }

    /// Stops a query with all of its parts.
    pub(super) fn stop_query(&mut self, id: &str) {
        let catalog = &mut self.world.catalog;
        let is_of = |query: &Query| query.id == id || query.part_of.as_deref() == Some(id);
        let stopped = catalog.queries.extract_if(.., |_, query| is_of(query));
        let dataflows = stopped.flat_map(|(_, query)| query.dataflows.clone()).collect();
        let mut tables = Vec::new();
        for name in catalog.parts_of(id) {
            tables.extend(catalog.tables.get(&name));
            catalog.remove(&name);
        }
        self.uninstall(dataflows, tables);
    }

    pub(super) fn drop_source(
        &mut self,
        kind: SourceKind,
        if_exists: bool,
        name: &Ident,
        delete_topic: bool,
    ) -> Result<Outcome> {
        let source = match self.world.catalog.get(&name.name) {
            None if if_exists => {
                let message =
                    format!("there is no {} {}; nothing was done", word(kind).to_lowercase(), name.name);
                return Ok(status(message, kind, &name.name, "drop", None));
            }
            _ => self.world.catalog.source(name)?.clone(),
        };
        if source.kind != kind {
            let right = word(source.kind).to_uppercase();
            return Err(Error::statement(format!("{} is a {}", name.name, right.to_lowercase()))
                .at(name.span)
                .hint(format!("DROP {right} {}", name.name)));
        }
        if source.origin == Origin::System {
            return Err(Error::statement(format!("{} belongs to the engine", name.name)).at(name.span));
        }
        if delete_topic && source.read_only {
            return Err(Error::statement(format!("{} is only read: its topic is not its own", name.name))
                .at(name.span)
                .hint("leave DELETE TOPIC out"));
        }
        if let Some(event) = source.events.first().filter(|_| delete_topic) {
            return Err(Error::statement(format!("event {} is not {}'s to delete", event.name, name.name))
                .at(name.span)
                .hint("leave DELETE TOPIC out"));
        }
        self.remove(&source, name)?;
        if delete_topic {
            let place = self.place(&source)?;
            if let Place::Kafka { cluster, .. } = &place {
                // Once it is dropped nothing is to fail.
                self.reach(cluster).map_err(|e| {
                    let message = format!("cannot delete topic {}: {}", source.topic, e.message);
                    Error { message, ..e }.at(name.span)
                })?;
            }
            self.world.inserted.remove(&source.topic);
            self.effects.delete.push((source.topic.clone(), place));
        }
        let message = format!("Source {} (topic: {}) was dropped.", backticked(&name.name), source.topic);
        Ok(status(message, kind, &name.name, "drop", None))
    }

    /// Refuses to take away what a query reads or another one writes.
    pub(super) fn check_unused(&self, source: &Source, name: &Ident) -> Result<()> {
        let readers: Vec<&str> =
            self.world.catalog.users_of(&source.name).into_iter().map(|q| q.id.as_str()).collect();
        let own = |id: &str| {
            matches!(&source.origin, Origin::Derived(own) if own == id)
                || id == format!("TABLE_{}", source.name)
        };
        let writers: Vec<&str> = self
            .world
            .catalog
            .writers_of(&source.name)
            .map(|q| q.id.as_str())
            .filter(|id| !own(id))
            .collect();
        if let Some(first) = readers.iter().chain(&writers).next() {
            let all: Vec<&str> = readers.iter().chain(&writers).copied().collect();
            return Err(Error::statement(format!("{} is used by {}", source.name, all.join(", ")))
                .at(name.span)
                .hint(format!("TERMINATE {first}; first")));
        }
        Ok(())
    }

    /// Ends a push query. False when there is none of that id that is still read.
    pub(super) fn close_answer(&mut self, id: &str) -> bool {
        self.end_answer(id).is_some()
    }

    /// The same; the id as it was given to it.
    fn end_answer(&mut self, id: &str) -> Option<String> {
        let open = self.open_answers().find(|(open, _)| open.eq_ignore_ascii_case(id));
        let (id, watcher) = open.map(|(id, watcher)| (id.clone(), Arc::clone(watcher)))?;
        self.world.answers.remove(&id);
        self.uninstall(watcher.dataflows.clone(), watcher.tables.clone());
        self.effects.close.push(id.clone());
        self.changes = true;
        Some(id)
    }

    /// Takes a source out of the catalog, with the query that created it.
    pub(super) fn remove(&mut self, source: &Source, name: &Ident) -> Result<()> {
        self.check_unused(source, name)?;
        let own: Vec<String> = self.world.catalog.writers_of(&source.name).map(|q| q.id.clone()).collect();
        own.iter().for_each(|id| self.stop_query(id));
        let tables = self.world.catalog.tables.get(&source.name).copied().into_iter().collect();
        let hubs: Vec<HubId> = self.shared_readers(&source.name).map(|(_, hub)| hub).collect();
        let of_hubs = |plan: &Arc<DataflowPlan>| match plan.as_ref() {
            DataflowPlan::Source(plan) if hubs.contains(&plan.hub) => Some(plan.id),
            _ => None,
        };
        let plans = self.world.active.values().chain(&self.world.waiting);
        let readers: Vec<DataflowId> = plans.filter_map(of_hubs).collect();
        if self.world.mended.remove(&source.name).is_some() {
            self.effects.clear.push(self.mended_dir(&source.name));
        }
        self.uninstall(readers, tables);
        self.world.catalog.remove(&source.name);
        Ok(())
    }
}

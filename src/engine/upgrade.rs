//! CREATE OR REPLACE of what is there already, and ALTER of what is used: it goes on as it is, by another plan.
//!
//! ```text
//! may change     WHERE; the expressions of columns, as long as their types stay; columns behind those that are
//!                there; of an aggregate HAVING and the columns, where nobody has its rows yet
//! may not        what it reads, how it joins, its key, groups, windows and aggregates; names, order and types of
//!                its columns; topic, formats, partitions: what is kept, stored or read elsewhere relies on it
//! ```
//! The query keeps its name, its place in what it reads, its state and its readers. While it changes its
//! readers stand still, and nothing is on its way between them and its end. A table over tables keeps nothing
//! that is not in them: it is made anew.

use super::draft::Draft;
use super::hold::Hold;
use crate::catalog::{Origin, Query, Recorded, Source};
use crate::error::{Error, Result};
use crate::expr::Expr;
use crate::plan::{Aggregation, DataflowPlan, HubId, Input, QueryPlan, SelectPlan, Shape, Sink, SourcePlan};
use crate::sql::ast::{Ident, SourceKind};
use crate::types::{ColumnDef, Schema};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What would take the place of a query.
pub(super) struct Successor<'a> {
    pub sql: &'a str,
    pub sources: &'a [Source],
    pub target: Source,
    pub select: SelectPlan,
}

impl Draft<'_> {
    /// The query that makes a stream or table, where it can go on by another statement.
    pub(super) fn maker(&self, source: &Source) -> Option<Query> {
        let Origin::Derived(id) = &source.origin else { return None };
        self.world.catalog.queries.get(id).filter(|_| source.events.is_empty()).map(|q| Query::clone(q))
    }

    /// Whether a query keeps nothing that it could not read again: it reads tables only. `sources`: what it
    /// would read.
    pub(super) fn is_of_tables(&self, query: &Query, sources: &[Source]) -> bool {
        let catalog = &self.world.catalog;
        let parts = catalog.queries_in(&query.id).flat_map(|part| &part.reads);
        let before = parts.chain(&query.reads).filter_map(|read| catalog.get(read));
        before.chain(self.all_read(sources)).all(|source| source.kind == SourceKind::Table)
    }

    /// Refuses what would not fit those who have read or stored what is there.
    pub(super) fn check_successor(&self, before: &Source, query: &Query, new: &Successor) -> Result<()> {
        let wrong =
            same_messages(before, &new.target).or_else(|| added(&before.schema, &new.target.schema).err());
        let wrong = wrong.or_else(|| {
            let is_of_tables = self.is_of_tables(query, new.sources);
            (!is_of_tables).then(|| self.kept_otherwise(before, query, new)).flatten()
        });
        match wrong {
            None => Ok(()),
            Some(why) => Err(in_place(before, &why)),
        }
    }

    /// Why what the query keeps, or what others have of it, is of no use to the new one.
    fn kept_otherwise(&self, before: &Source, query: &Query, new: &Successor) -> Option<String> {
        let old = &query.plan.select;
        if !self.parts.is_empty() || self.world.catalog.queries_in(&query.id).next().is_some() {
            return Some("queries inside a query are not exchanged while it runs".into());
        }
        let reads: Vec<&str> = new.sources.iter().map(|source| source.name.as_str()).collect();
        if query.reads != reads {
            return Some(format!("it reads {}, not {}", query.reads.join(", "), reads.join(", ")));
        }
        if old.from != new.select.from {
            return Some("it joins in another way, and has kept rows for the one that it had".into());
        }
        if !old.from.is_scan() && !reads_no_more(&query.plan, &new.select) {
            return Some("its join has not kept a column that this reads".into());
        }
        let is_wider = before.schema.len() < new.target.schema.len();
        let writers = self.world.catalog.writers_of(&before.name);
        if let Some(other) = writers.into_iter().find(|other| other.id != query.id && is_wider) {
            return Some(format!("{} writes it, too, without the new columns", other.id));
        }
        match (&old.shape, &new.select.shape) {
            (Shape::Project(was), Shape::Project(is)) => {
                let mut keys =
                    old.columns.iter().zip(was.iter().zip(is)).filter(|(column, _)| column.is_key());
                let same = keys.all(|(_, (was, is))| was == is);
                (!same).then(|| "its key would be made in another way".into())
            }
            (Shape::Aggregate(was), Shape::Aggregate(is)) => {
                grouped_otherwise(was, is).or_else(|| self.finished_otherwise(before, old, &new.select))
            }
            _ => Some("one of both groups, and the other does not".into()),
        }
    }

    /// Rows of a table that are made of its groups in another way replace those that others have of it.
    fn finished_otherwise(&self, before: &Source, old: &SelectPlan, new: &SelectPlan) -> Option<String> {
        if old.columns == new.columns && old.shape == new.shape {
            return None;
        }
        let name = &before.name;
        if let Some(user) = self.world.catalog.users_of(name).first() {
            return Some(format!("{} has rows of {name} as they were", user.id));
        }
        let changelog = self.planned().any(|plan| match plan {
            DataflowPlan::Query(plan) => {
                matches!(plan.sink, Sink::Changelog(_))
                    && plan.inputs.iter().any(|input| &input.source == name)
            }
            DataflowPlan::Source(_) => false,
        });
        changelog.then(|| format!("its topic {} has its rows as they were", before.topic))
    }

    /// Has a query go on by a new statement.
    pub(super) fn succeed(&mut self, query: &Query, new: Successor) -> Result<()> {
        let Successor { sql, sources, target, select } = new;
        let mut plan = query.plan.clone();
        plan.inputs.iter_mut().zip(sources).for_each(|(input, source)| input.columns = source.schema.len());
        plan.select = select;
        if let Sink::Stream { store: Some(stored), .. } = &mut plan.sink {
            let passes_keys = super::rules::passes_keys(sources, &plan.select);
            *stored = self.store(&target)?.expect("its topic has the place that it had");
            stored.written.passes_keys = passes_keys;
        }
        // Others may have copies of it, for readers of their own.
        let is_copy = |plan: &&DataflowPlan| {
            matches!(plan, DataflowPlan::Query(copy)
                if copy.query == query.id && copy.id != query.plan.id && matches!(copy.sink, Sink::Stream { .. }))
        };
        let copies: Vec<DataflowPlan> = self.planned().filter(is_copy).cloned().collect();
        let mut changed = vec![plan.clone()];
        for copy in copies {
            let DataflowPlan::Query(copy) = copy else { continue };
            let mut inputs = copy.inputs;
            inputs.iter_mut().zip(&plan.inputs).for_each(|(mine, new)| mine.columns = new.columns);
            changed.push(QueryPlan { inputs, select: plan.select.clone(), ..copy });
        }
        self.stand_through(&changed)?;
        changed.into_iter().for_each(|plan| self.change_plan(DataflowPlan::Query(plan)));
        let base = self.base_of(sources, &target, &plan.select)?;
        let recorded = Recorded { base, ..query.recorded.clone() };
        let changed = Query { sql: sql.into(), plan, recorded, ..query.clone() };
        self.world.catalog.queries.insert(query.id.clone(), Arc::new(changed));
        self.world.catalog.insert(Source { origin: Origin::Derived(query.id.clone()), ..target });
        Ok(())
    }

    /// Has the readers of queries stand still until this change is installed, so that what comes after it goes
    /// by it. All that they have read is through by then: rows that were read without a column could not be
    /// asked for it. Behind a join nothing is new, and its rows may wait.
    fn stand_through(&self, plans: &[QueryPlan]) -> Result<()> {
        let hubs: BTreeSet<HubId> = plans.iter().flat_map(QueryPlan::hubs).collect();
        let behind = hubs.iter().flat_map(|hub| self.readers_behind(*hub));
        let scans = plans.iter().filter(|plan| plan.select.from.is_scan());
        let hold = Hold {
            readers: behind.map(|reader| (reader.id, reader.key)).collect(),
            hubs: scans.clone().flat_map(QueryPlan::hubs).collect(),
            through: scans.clone().map(|plan| plan.id).collect(),
            at_end: scans.clone().any(QueryPlan::is_ordered),
        };
        self.stand(hold)
    }

    fn stand(&self, hold: Hold) -> Result<()> {
        if !self.world.live || hold.readers.is_empty() {
            return Ok(());
        }
        self.held(hold).map(drop)
    }

    /// Gives a declared stream that is used columns behind those that it has.
    pub(super) fn widen(&mut self, before: &Source, new: Source, name: &Ident) -> Result<()> {
        let wrong = same_messages(before, &new).or_else(|| added(&before.schema, &new.schema).err());
        let writer = self.world.catalog.writers_of(&before.name).next();
        let wrong = wrong.or_else(|| Some(format!("{} writes it without the new columns", writer?.id)));
        if let Some(why) = wrong {
            return Err(in_place(before, &why).at(name.span));
        }
        let reads = |plan: &&DataflowPlan| matches!(plan, DataflowPlan::Source(s) if s.source == before.name);
        let readers: Vec<DataflowPlan> = self.planned().filter(reads).cloned().collect();
        let readers = readers.into_iter().filter_map(|plan| match plan {
            DataflowPlan::Source(reader) => Some(reader),
            DataflowPlan::Query(_) => None,
        });
        let readers: Vec<SourcePlan> = readers.collect();
        // Those of answers go at their clients' speed.
        let shared = readers.iter().filter(|reader| reader.for_answer.is_none());
        let standing = shared.map(|reader| (reader.id, reader.key.clone())).collect();
        self.stand(Hold { readers: standing, hubs: Vec::new(), through: Vec::new(), at_end: false })?;
        for reader in readers {
            let (schema, own) = (new.schema.clone(), new.schemas.value.taken.clone());
            self.change_plan(DataflowPlan::Source(SourcePlan { schema, own, ..reader }));
        }
        self.world.catalog.insert(new);
        Ok(())
    }

    /// Whether a declared stream can only be changed with its readers as they are.
    pub(super) fn is_read_now(&self, source: &Source) -> bool {
        let is_stream = source.kind == SourceKind::Stream && source.events.is_empty();
        is_stream
            && source.origin == Origin::Declared
            && !self.world.catalog.users_of(&source.name).is_empty()
    }

    /// A plan takes the place of the one with its number; where that runs, workers are told.
    fn change_plan(&mut self, plan: DataflowPlan) {
        if self.put(plan.clone()) {
            self.effects.change.push(plan);
        }
    }

    /// The same, without a word to the workers. True where it runs.
    pub(super) fn put(&mut self, plan: DataflowPlan) -> bool {
        let (id, new) = (plan.id(), Arc::new(plan));
        for planned in self.effects.install.iter_mut().filter(|planned| planned.id() == id) {
            *planned = DataflowPlan::clone(&new);
        }
        for waiting in self.world.waiting.iter_mut().filter(|waiting| waiting.id() == id) {
            *waiting = Arc::clone(&new);
        }
        let active = self.world.active.get_mut(&id);
        active.map(|active| *active = new).is_some()
    }
}

impl QueryPlan {
    pub(super) fn hubs(&self) -> impl Iterator<Item = HubId> {
        self.inputs.iter().filter_map(|input| match input.from {
            Input::Hub(hub) => Some(hub),
            Input::Table(_) => None,
        })
    }
}

fn in_place(before: &Source, why: &str) -> Error {
    let kind = super::outcome::word(before.kind).to_uppercase();
    let name = &before.name;
    Error::statement(format!("{name} cannot become this where it is: {why}"))
        .hint(format!("DROP {kind} {name} and CREATE it anew, or give the new one another name"))
}

/// What is different in messages that are there; `None`: nothing.
fn same_messages(before: &Source, new: &Source) -> Option<String> {
    let formats = |source: &Source| {
        [source.serialization.key.name(), source.serialization.value.name()].map(String::from).join(" and ")
    };
    if before.topic != new.topic {
        return Some(format!("its topic is {}, not {}", before.topic, new.topic));
    }
    if before.serialization != new.serialization || before.schemas.names() != new.schemas.names() {
        let (was, is) = (formats(before), formats(new));
        let other = if was == is { "others of the same name".into() } else { is };
        return Some(format!("the formats of its keys and values are {was}, not {other}"));
    }
    if before.timestamp != new.timestamp {
        return Some("another TIMESTAMP would give the messages that are there other times".into());
    }
    let (was, is) = (before.layout.partitions, new.layout.partitions);
    (was != is).then(|| format!("its topic has {was} partitions, not {is}"))
}

/// The columns that are there behind those that were.
///
/// # Errors
/// What became of those that were.
fn added<'s>(before: &Schema, new: &'s Schema) -> std::result::Result<&'s [ColumnDef], String> {
    for (i, was) in before.columns.iter().enumerate() {
        let what = if was.is_key() { "key column" } else { "column" };
        match new.columns.get(i) {
            Some(is) if is == was => {}
            Some(is) if is.name == was.name && is.part == was.part => {
                return Err(format!("{what} {} is {}, not {}", was.name, was.ty, is.ty));
            }
            _ if new.columns.iter().any(|is| is.name == was.name) => {
                return Err(format!(
                    "{what} {} has another place; new columns stand behind the others",
                    was.name
                ));
            }
            _ => return Err(format!("{what} {} is missing", was.name)),
        }
    }
    let more = &new.columns[before.len()..];
    match more.iter().find(|column| !matches!(column.part, crate::types::Part::Value)) {
        Some(column) => {
            Err(format!("column {} is none of its values, which alone can become more", column.name))
        }
        None => Ok(more),
    }
}

/// Whether a query that goes on by another SELECT reads no column that it has not read so far.
fn reads_no_more(plan: &QueryPlan, select: &SelectPlan) -> bool {
    let new = QueryPlan { select: select.clone(), ..plan.clone() };
    let (was, is) = (plan.reads(None), new.reads(None));
    is.iter().flatten().zip(was.iter().flatten()).all(|(is, was)| *was || !*is)
}

/// Why groups as they are kept are not those of another aggregation.
fn grouped_otherwise(was: &Aggregation, is: &Aggregation) -> Option<String> {
    if was.keys != is.keys || was.keeps_nulls != is.keeps_nulls {
        return Some("it groups by something else, and rows are not kept".into());
    }
    if was.window != is.window {
        return Some("its windows are others, and rows are not kept".into());
    }
    if was.calls == is.calls {
        return None;
    }
    let new = is.calls.iter().find(|call| !was.calls.contains(call));
    Some(match new {
        Some(call) => format!("{} would lack all rows that have come so far", call.text),
        None => "its aggregates are others, or in another order".into(),
    })
}

/// The part of a SELECT that no successor may change, as far as it can be told from a checkpoint.
pub(super) fn lasting(select: &SelectPlan) -> SelectPlan {
    let mut lasting = select.clone();
    if !select.from.is_scan() {
        return lasting;
    }
    lasting.filter = None;
    if let Shape::Project(exprs) = &select.shape {
        let keys = select.columns.iter().zip(exprs).filter(|(column, _)| column.is_key());
        let (columns, exprs): (Vec<ColumnDef>, Vec<Expr>) = keys.map(|(c, e)| (c.clone(), e.clone())).unzip();
        (lasting.columns, lasting.shape) = (columns, Shape::Project(exprs));
        lasting.expand.clear();
    }
    lasting
}

/// Whether a stream or table has all columns that it had, at their places.
pub(super) fn extends(before: &[ColumnDef], new: &Schema) -> bool {
    added(&Schema { columns: before.to_vec() }, new).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Part, SqlType};

    fn schema(columns: &[(&str, SqlType, Part)]) -> Schema {
        let column = |(name, ty, part): &(&str, SqlType, Part)| ColumnDef {
            name: (*name).into(),
            ty: ty.clone(),
            part: part.clone(),
        };
        Schema { columns: columns.iter().map(column).collect() }
    }

    #[test]
    fn columns_are_added_behind_the_others() {
        let key = ("K", SqlType::Varchar, Part::Key);
        let (a, b) = (("A", SqlType::Int, Part::Value), ("B", SqlType::Bigint, Part::Value));
        let before = schema(&[key.clone(), a.clone()]);
        let cases: [(Vec<_>, &str); 7] = [
            (vec![key.clone(), a.clone(), b.clone()], ""),
            (vec![key.clone(), a.clone()], ""),
            (vec![key.clone(), b.clone()], "column A is missing"),
            (vec![key.clone(), b.clone(), a.clone()], "column A has another place"),
            (vec![key.clone(), ("A", SqlType::Double, Part::Value)], "column A is INTEGER, not DOUBLE"),
            (vec![("K", SqlType::Bigint, Part::Key), a.clone()], "key column K is STRING, not BIGINT"),
            (vec![key, a, ("H", SqlType::Bytes, Part::Header("h".into()))], "column H is none of its values"),
        ];
        for (columns, expected) in cases {
            let found = added(&before, &schema(&columns)).err().unwrap_or_default();
            assert!(found.starts_with(expected) && found.is_empty() == expected.is_empty(), "{found}");
        }
    }
}

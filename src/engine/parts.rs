//! Queries inside a query: those in FROM and JOIN, and those that WITH names. Each is a stream or table of its own
//! that is stored nowhere and that no other statement sees: it comes and goes with the query that it is part of.
//!
//! Where an answer ends, queries that each only read the one before them are no dataflows: its thread computes them
//! one after the other ([`Draft::chain`]).

use super::collections;
use super::declared::{Defaults, derived_serialization};
use super::draft::Draft;
use super::rules::{check_compiles, check_key, check_names, check_order, check_shape};
use super::session::Session;
use super::world::Watcher;
use crate::catalog::{Origin, PartOf, Source, With};
use crate::connector::Start;
use crate::error::{Error, Result};
use crate::plan::SelectPlan;
use crate::plan::Shape;
use crate::plan::select::Purpose;
use crate::plan::unite::unite;
use crate::sql::ast::{self, Emit, Ident, SourceKind, What};
use std::collections::BTreeSet;

/// What reads one query several times, and is itself read several times, comes to many inputs by few words.
const INPUTS_MAX: usize = 1_000;

/// A stream or table that the query at hand makes for itself.
#[derive(Clone, Debug)]
pub struct Part {
    pub source: Source,
    /// Several where queries are united.
    pub writers: Vec<Writer>,
    /// How many inputs it has, each as often as it is read.
    inputs: usize,
}

#[derive(Clone, Debug)]
pub struct Writer {
    pub reads: Vec<Source>,
    pub select: SelectPlan,
    query: ast::Query,
}

/// The query at hand.
#[derive(Clone, Copy)]
struct Whole<'a> {
    /// What it makes, or the id of its answer.
    name: &'a str,
    session: &'a Session,
}

/// What WITH has named, the innermost last. A name without a source is that of a query that is being bound.
type Names = Vec<(String, Option<Source>)>;

impl Draft<'_> {
    /// What a query reads: the source of its FROM, then those of its joins. The queries inside it are its parts
    /// from now on. `name`: what it makes, or the id of its answer.
    pub(super) fn sources(
        &mut self,
        query: &ast::Query,
        name: &str,
        session: &Session,
    ) -> Result<Vec<Source>> {
        self.parts.clear();
        let sources = self.reads(query, &Names::new(), Whole { name, session })?;
        self.drop_unread(&sources);
        Ok(sources)
    }

    fn reads(&mut self, query: &ast::Query, names: &Names, whole: Whole) -> Result<Vec<Source>> {
        let mut names = names.clone();
        for table in &query.with {
            names.push((table.name.name.clone(), None));
            let queries = std::slice::from_ref(&table.query);
            let source = self.part(Some(&table.name.name), queries, &names, whole)?;
            names.pop();
            names.push((table.name.name.clone(), Some(source)));
        }
        let reads = query.reads().map(|read| match &read.what {
            What::Named(name) => self.named(name, &names),
            What::Queries(queries) => {
                self.part(read.alias.as_ref().map(|alias| alias.name.as_str()), queries, &names, whole)
            }
        });
        reads.collect()
    }

    fn named(&self, name: &Ident, names: &Names) -> Result<Source> {
        let known = || names.iter().rev().filter(|(known, _)| *known == name.name);
        if let Some(source) = known().find_map(|(_, source)| source.as_ref()) {
            return Ok(source.clone());
        }
        self.world.catalog.source(name).cloned().map_err(|error| match known().next() {
            Some(_) => Error::statement(format!("{} would read its own rows, and have no end", name.name))
                .at(name.span)
                .hint("a query reads streams, tables and the queries before it"),
            None => error,
        })
    }

    /// Binds queries that stand for one source: one, or several that are united.
    fn part(
        &mut self,
        name: Option<&str>,
        queries: &[ast::Query],
        names: &Names,
        whole: Whole,
    ) -> Result<Source> {
        let mut writers = Vec::new();
        for query in queries {
            writers.push(self.writer(query, names, whole)?);
        }
        if writers.len() > 1 {
            unite_all(&mut writers)?;
        }
        let selected: Vec<String> = writers[0].select.columns.iter().map(|c| c.name.clone()).collect();
        for writer in writers.iter_mut().filter(|writer| writer.select.order_by.is_empty()) {
            writer.select = writer.select.clone().keys_first();
        }
        let source = self.source_of(name, &writers[0], &selected, whole)?;
        let inputs = self.inputs_of(&writers);
        if inputs > INPUTS_MAX {
            let message = format!("this query reads {inputs} inputs, and {INPUTS_MAX} are allowed");
            return Err(Error::statement(message)
                .at(queries[0].span)
                .hint("CREATE STREAM … AS SELECT a part of it, and read that"));
        }
        self.parts.push(Part { source: source.clone(), writers, inputs });
        Ok(source)
    }

    fn inputs_of(&self, writers: &[Writer]) -> usize {
        let reads = writers.iter().flat_map(|writer| &writer.reads);
        reads.map(|read| self.part_named(&read.name).map_or(1, |part| part.inputs)).sum()
    }

    fn writer(&mut self, query: &ast::Query, names: &Names, whole: Whole) -> Result<Writer> {
        if query.emit == Some(Emit::Changes) {
            return Err(Error::statement("EMIT CHANGES stands once, at the end of the whole statement")
                .at(query.span)
                .hint("leave it out here"));
        }
        let reads = self.reads(query, names, whole)?;
        let of_tables = reads.iter().all(|source| source.kind == SourceKind::Table);
        // A stream needs no key.
        let purpose = if of_tables { Purpose::Persistent } else { Purpose::Answer };
        let mut select = self.bind(query, &reads, purpose)?;
        collections::limit(&mut select, whole.session)?;
        check_names(&select, query)?;
        check_compiles(&select)?;
        Ok(Writer { reads, select, query: query.clone() })
    }

    /// Refuses what the parts of an answer that ends cannot compute of tables.
    pub(super) fn check_order_of_parts(&self) -> Result<()> {
        let mut writers = self.parts.iter().flat_map(|part| &part.writers);
        writers.try_for_each(|Writer { reads, select, query }| check_order(reads, select, query))
    }

    /// The stream or table that `writer` makes, and others like it.
    fn source_of(
        &mut self,
        name: Option<&str>,
        writer: &Writer,
        selected: &[String],
        whole: Whole,
    ) -> Result<Source> {
        let (name, shown) = self.part_name(name, whole);
        let (kind, schema, first) = (writer.kind(), writer.select.schema(), &writer.reads[0]);
        let place =
            |name: &String| selected.iter().position(|selected| selected == name).unwrap_or(usize::MAX);
        let mut order: Vec<usize> = (0..schema.len()).collect();
        order.sort_by_key(|&i| place(&schema.columns[i].name));
        let defaults = Defaults::of(whole.session)?;
        Ok(Source {
            kind,
            topic: name.clone(),
            serialization: derived_serialization(&With::parse(&[])?, &defaults, first, &schema, kind)?,
            schema,
            timestamp: None,
            times: Default::default(),
            layout: first.layout,
            ordinal: self.world.catalog.next_ordinal(&name),
            statement: String::new(),
            origin: Origin::Derived(String::new()),
            read_only: true,
            schemas: Default::default(),
            events: Vec::new(),
            part: Some(PartOf { query: String::new(), name: shown, selected: order }),
            name,
        })
    }

    /// A name that nothing has: `whole.name`, with the part's as the statement has it.
    fn part_name(&self, name: Option<&str>, whole: Whole) -> (String, String) {
        let own = name.map_or_else(|| (self.parts.len() + 1).to_string(), String::from);
        let numbered = (2..).map(|n| format!("{own}_{n}"));
        let mut names =
            [own.clone()].into_iter().chain(numbered).map(|own| (format!("{}.{own}", whole.name), own));
        let is_free = |(name, _): &(String, String)| {
            self.world.catalog.get(name).is_none() && self.part_named(name).is_none()
        };
        names.find(is_free).expect("numbers do not end")
    }

    /// The part of the query at hand that has that name.
    pub(super) fn part_named(&self, name: &str) -> Option<&Part> {
        self.parts.iter().find(|part| part.source.name == name)
    }

    /// All that the query at hand reads, in its parts and beside them: `sources`.
    pub(super) fn all_read<'s>(&'s self, sources: &'s [Source]) -> impl Iterator<Item = &'s Source> {
        let of_parts = self.parts.iter().flat_map(|part| &part.writers).flat_map(|writer| &writer.reads);
        of_parts.chain(sources)
    }

    fn drop_unread(&mut self, sources: &[Source]) {
        let mut read: BTreeSet<String> = sources.iter().map(|source| source.name.clone()).collect();
        // Each reads only such as stand before it.
        let mut kept = Vec::new();
        for part in std::mem::take(&mut self.parts).into_iter().rev() {
            if read.contains(&part.source.name) {
                let reads = part.writers.iter().flat_map(|writer| &writer.reads);
                read.extend(reads.map(|source| source.name.clone()));
                kept.push(part);
            }
        }
        kept.reverse();
        self.parts = kept;
    }

    /// The SELECTs that an answer's thread computes one after the other, each over the rows of the one before it,
    /// and what the first reads.
    pub(super) fn chain(
        &self,
        mut sources: Vec<Source>,
        select: SelectPlan,
    ) -> (Vec<Source>, Vec<SelectPlan>) {
        let mut selects = vec![select];
        while let [source] = &sources[..]
            && let Some(Part { writers, .. }) = self.part_named(&source.name)
            && let [writer] = &writers[..]
        {
            selects.insert(0, writer.select.clone());
            sources = writer.reads.clone();
        }
        (sources, selects)
    }

    /// Leaves the parts that these sources are or are made of, which shall be streams and tables of their own.
    pub(super) fn keep_parts(&mut self, sources: &[Source]) -> Result<()> {
        self.drop_unread(sources);
        self.parts.iter().flat_map(|part| &part.writers).try_for_each(Writer::check)
    }

    /// Starts the parts of a persistent query.
    pub(super) fn start_parts(&mut self, id: &str, sql: &str, session: &Session) -> Result<()> {
        for Part { source, writers, .. } in self.parts.clone() {
            for (n, Writer { reads, select, .. }) in writers.into_iter().enumerate() {
                let (own, target) = part_query(id, &source, n);
                self.start(&own, sql, &reads, target, select, session)?;
            }
        }
        Ok(())
    }

    /// The same for an answer.
    pub(super) fn run_parts(&mut self, id: &str, sql: &str, start: Start) -> Result<()> {
        for Part { source, writers, .. } in self.parts.clone() {
            for (n, Writer { reads, select, .. }) in writers.into_iter().enumerate() {
                let (own, target) = part_query(id, &source, n);
                self.run(&own, sql, &reads, target, select, (start, false))?;
            }
        }
        Ok(())
    }

    /// Hands the parts of an answer over to who takes it away. No statement knows them any more.
    pub(super) fn give_parts(&mut self, id: &str, watcher: &mut Watcher) {
        let catalog = &mut self.world.catalog;
        let queries = catalog.queries.extract_if(.., |_, query| query.part_of.as_deref() == Some(id));
        watcher.dataflows.extend(queries.flat_map(|(_, query)| query.dataflows.clone()));
        for name in catalog.parts_of(id) {
            watcher.tables.extend(catalog.tables.get(&name));
            catalog.remove(&name);
        }
    }

    /// The numbers of an answer's parts are given to others, since no start will ask for them again.
    pub(super) fn forget_ordinals(&mut self, id: &str) {
        let of_answer = |name: &str| name.strip_prefix(id).is_some_and(|part| part.starts_with('.'));
        self.world.catalog.ordinals.retain(|name, _| !of_answer(name));
    }
}

/// Has all of them write one stream.
fn unite_all(writers: &mut [Writer]) -> Result<()> {
    let is_of_table =
        |w: &&Writer| w.kind() == SourceKind::Table && matches!(w.select.shape, Shape::Project(_));
    if let Some(Writer { reads, query, .. }) = writers.iter().find(is_of_table) {
        let read = reads[0].shown();
        return Err(Error::statement(format!(
            "UNION puts the rows of streams together, and {read} is a table"
        ))
        .at(query.from.span())
        .hint("a table's rows have keys, which those of another one may have as well"));
    }
    let places: Vec<_> = writers.iter().map(|writer| writer.query.span).collect();
    let selects = writers.iter().map(|writer| writer.select.clone()).collect();
    for (writer, select) in writers.iter_mut().zip(unite(selects, &places)?) {
        writer.select = select;
    }
    Ok(())
}

/// The id of the n-th query that writes a part of query `id`, and what it writes.
fn part_query(id: &str, source: &Source, n: usize) -> (String, Source) {
    let ids = |n: usize| match n {
        0 => format!("{id}.{}", source.shown()),
        n => format!("{id}.{}.{}", source.shown(), n + 1),
    };
    let part = source.part.clone().map(|part| PartOf { query: id.into(), ..part });
    (ids(n), Source { origin: Origin::Derived(ids(0)), part, ..source.clone() })
}

impl Writer {
    fn kind(&self) -> SourceKind {
        let of_tables = self.reads.iter().all(|source| source.kind == SourceKind::Table);
        match self.select.shape {
            Shape::Project(_) if !of_tables => SourceKind::Stream,
            _ => SourceKind::Table,
        }
    }

    /// What a stream or table of its own must keep to.
    fn check(&self) -> Result<()> {
        let Writer { reads, select, query } = self;
        if query.limit.is_some() || query.offset.is_some() || !query.order_by.is_empty() {
            return Err(Error::statement("a query that others go on from has no ORDER BY, LIMIT or OFFSET")
                .at(query.span)
                .hint(
                    "put it at the end of the whole statement, or ask for an answer that ends without joins",
                ));
        }
        let kind = self.kind();
        check_shape(kind, reads, select, query)?;
        if kind == SourceKind::Table { check_key(reads, select, query) } else { Ok(()) }
    }
}

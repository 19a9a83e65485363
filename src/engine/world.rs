//! All that statements have made so far, as one value: the catalog, what runs for it, what has a number.
//!
//! A statement is decided on a copy (see [`super::draft`]), which then becomes the new world or is dropped.
//! So a statement that fails leaves nothing behind, and whoever reads the world sees all of a statement or
//! nothing of it. Copies are cheap: what is large in here is shared.

use super::BOOKS_QUERY;
use super::checkpoint::Manifest;
use super::parts::Part;
use super::sinks;
use crate::catalog::{Catalog, Query, Source};
use crate::connector::Start;
use crate::plan::{DataflowId, DataflowPlan, HubId, Input, QueryPlan, SelectPlan, Sink, TableId, Wanted};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

#[derive(Clone, Debug)]
pub struct World {
    /// How many changes have been installed: what was decided on another version is decided again.
    pub version: u64,
    pub catalog: Catalog,
    /// Plans that wait for the script's end.
    pub waiting: Vec<Arc<DataflowPlan>>,
    /// All that runs.
    pub active: BTreeMap<DataflowId, Arc<DataflowPlan>>,
    /// What the workers were told that readers of each hub read.
    pub wanted: BTreeMap<HubId, Wanted>,
    /// Readers of declared streams' topics that queries share.
    pub readers: BTreeMap<(String, Start), (DataflowId, HubId)>,
    /// Those that stand still, as queries are paused.
    pub stopped: BTreeSet<DataflowId>,
    /// Push queries.
    pub answers: BTreeMap<String, Arc<Watcher>>,
    /// Where rows are sent on to.
    pub sinks: BTreeMap<String, Arc<sinks::Sink>>,
    /// Readers of records that were rejected and went back in, by source.
    pub mended: BTreeMap<String, Vec<DataflowId>>,
    /// Topics that statements have inserted rows into.
    pub inserted: BTreeSet<String>,
    /// Logs of derived topics from an earlier start; they go before the plans that write them are sent.
    pub stale: Vec<PathBuf>,
    /// The last number that was given to a dataflow, a hub or a table.
    pub last_id: u64,
    /// The script is complete.
    pub begun: bool,
    /// What was planned so far has been sent: from now on plans are sent at once.
    pub live: bool,
    /// Checkpoints are taken.
    pub durable: bool,
    /// The checkpoint that this start goes on from, until it has begun.
    pub from: Option<Arc<Manifest>>,
    /// How many statements have been kept for the next start.
    pub kept: u64,
}

/// A push query that somebody reads.
#[derive(Clone, Debug)]
pub struct Watcher {
    pub sql: String,
    /// What it reads.
    pub reads: Vec<Source>,
    pub select: SelectPlan,
    /// What it reads that it makes for itself.
    pub parts: Vec<Part>,
    /// What was installed for it; nothing where it is computed beside the workers.
    pub dataflows: Vec<DataflowId>,
    pub tables: Vec<TableId>,
}

impl Default for World {
    fn default() -> World {
        World {
            version: 0,
            catalog: Catalog::default(),
            waiting: Vec::new(),
            active: BTreeMap::new(),
            wanted: BTreeMap::new(),
            readers: BTreeMap::new(),
            stopped: BTreeSet::new(),
            answers: BTreeMap::new(),
            sinks: BTreeMap::new(),
            mended: BTreeMap::new(),
            inserted: BTreeSet::new(),
            stale: Vec::new(),
            last_id: BOOKS_QUERY + 1,
            begun: false,
            live: false,
            durable: false,
            from: None,
            kept: 0,
        }
    }
}

impl World {
    /// A number for a dataflow, a hub or a table.
    pub fn id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// The persistent queries that statements have started.
    pub fn queries(&self) -> impl Iterator<Item = &Query> {
        let is_asked = |query: &&Query| !query.reads.is_empty() && query.part_of.is_none();
        self.catalog.queries.values().map(Arc::as_ref).filter(is_asked)
    }

    /// Takes dataflows out of what runs, or of what waits.
    pub fn forget(&mut self, dataflows: &[DataflowId]) {
        self.active.retain(|id, _| !dataflows.contains(id));
        self.readers.retain(|_, (reader, _)| !dataflows.contains(reader));
        self.waiting.retain(|plan| !dataflows.contains(&plan.id()));
    }

    /// What each hub's readers read, where that is not what the workers were told; from now on it is.
    pub fn changed_wants(&mut self) -> Vec<(HubId, Wanted)> {
        let wanted = wants(&self.active);
        let is_new = |(hub, w): &(&HubId, &Wanted)| self.wanted.get(hub) != Some(w);
        let changed = wanted.iter().filter(is_new).map(|(hub, w)| (*hub, w.clone())).collect();
        self.wanted = wanted;
        changed
    }
}

/// What each hub's readers read: found from the sinks backwards.
fn wants(active: &BTreeMap<DataflowId, Arc<DataflowPlan>>) -> BTreeMap<HubId, Wanted> {
    let mut wanted: BTreeMap<HubId, Wanted> = BTreeMap::new();
    let nothing = |columns: usize| Wanted { columns: vec![false; columns], headers: false };
    let mut queries: Vec<&QueryPlan> = Vec::new();
    for plan in active.values() {
        match plan.as_ref() {
            DataflowPlan::Source(s) => drop(wanted.insert(s.hub, nothing(s.schema.len()))),
            DataflowPlan::Query(query) => {
                if let Sink::Stream { hub, .. } = query.sink {
                    wanted.insert(hub, nothing(query.select.columns.len()));
                }
                queries.push(query);
            }
        }
    }
    while queries.iter().filter(|query| want(query, &mut wanted)).count() > 0 {}
    wanted
}

/// Adds what one query reads of its hubs. True when that was more than what was known.
fn want(query: &QueryPlan, wanted: &mut BTreeMap<HubId, Wanted>) -> bool {
    let output = match &query.sink {
        Sink::Stream { hub, store: None } => wanted.get(hub).cloned(),
        _ => None,
    };
    let columns = output.as_ref().map(|wanted| wanted.columns.as_slice());
    let headers = query.passes_headers_on() || output.as_ref().is_some_and(|wanted| wanted.headers);
    let mut more = false;
    for (input, reads) in query.inputs.iter().zip(query.reads(columns)) {
        let Input::Hub(hub) = input.from else { continue };
        let Some(hub) = wanted.get_mut(&hub) else { continue };
        let columns = hub.columns.iter_mut().zip(reads);
        for (wanted, reads) in columns.chain([(&mut hub.headers, headers)]).filter(|(w, r)| *r && !**w) {
            *wanted = reads;
            more = true;
        }
    }
    more
}

//! Sinks: streams and tables whose rows are sent on to another system.
//!
//! Each stream or table that a sink takes gets a query that stores its rows in a log in the data directory,
//! by ordinary statements; checkpoints know that log as they know any that a query writes. An outlet brings
//! what is in it to the server. So a server that is away holds nothing up, and what a checkpoint takes back
//! has not been sent. Sinks are part of the world; [`Running`] has the outlets, and follows it.

use super::checkpoint::{identity, name_of};
use super::coordinator::Coordinator;
use super::draft::Draft;
use super::outcome::{ConnectorInfo, Outcome, Status};
use super::session::{OFFSET_RESET, Session};
use super::world::World;
use crate::catalog::Source;
use crate::connector::Place;
use crate::connector::log::Ends;
use crate::connector::opensearch::{Feed, Outlet, Refused, State, Target};
use crate::error::{Error, Result};
use crate::render::RESTORED;
use crate::render::rejects::{RejectLog, RejectedRecord};
use crate::sql::ast::{Ident, Literal, Property, SourceKind};
use crate::sql::parse_statement;
use crate::types::quote;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Topics of the logs that sinks read; no statement can have given it to another.
const TOPIC: &str = "wharfe_sink_";
const STREAM: &str = "WHARFE_SINK_";

/// A sink with what it takes.
#[derive(Clone, Debug)]
pub struct Sink {
    target: Target,
    /// Its class, where a statement made it.
    class: String,
    feeds: Vec<Feed>,
}

impl Draft<'_> {
    /// The sinks of the topology, which belong to the script.
    pub(super) fn topology_sinks(&mut self) -> Result<()> {
        for target in &self.base.topology.sinks {
            self.add_sink(target.clone(), "opensearch".into()).map_err(|e| Error {
                span: None,
                ..Error::topology(format!("sink {}: {}", target.name, e.message))
            })?;
        }
        self.changes = true;
        Ok(())
    }

    pub(super) fn create_connector(
        &mut self,
        if_not_exists: bool,
        name: &Ident,
        with: &[Property],
    ) -> Result<Outcome> {
        if self.world.sinks.contains_key(&name.name) {
            if if_not_exists {
                return Ok(self.sink_status(&name.name, "create", "exists already; nothing was done"));
            }
            let message = format!("connector {} exists already", name.name);
            return Err(Error::statement(message).at(name.span).hint("DROP CONNECTOR it first"));
        }
        let text = |property: &Property| match &property.value {
            Literal::String(text) => text.clone(),
            Literal::Boolean(flag) => flag.to_string(),
            Literal::Integer(number) => number.to_string(),
            other => format!("{other:?}"),
        };
        let settings: Vec<(String, String)> = with.iter().map(|p| (p.name.name.clone(), text(p))).collect();
        let target = Target::from_settings(&name.name, &settings).map_err(|(key, why)| {
            let place = with.iter().find(|p| p.name.name == key).map_or(name.span, |p| p.name.span);
            Error::statement(why).at(place)
        })?;
        let class = settings.iter().find(|(key, _)| key == "connector.class").map(|(_, value)| value.clone());
        self.sound(&target).map_err(|e| e.at(name.span))?;
        self.add_sink(target, class.unwrap_or_default()).map_err(|e| e.at(name.span))?;
        Ok(self.sink_status(&name.name, "create", "created"))
    }

    fn sink_status(&self, name: &str, action: &str, done: &str) -> Outcome {
        Outcome::Status(Status {
            message: format!("Connector {name} {done}"),
            command_id: format!("connector/{}/{action}", quote(name)),
            ..Status::default()
        })
    }

    fn add_sink(&mut self, target: Target, class: String) -> Result<()> {
        let mut feeds = Vec::new();
        for topic in &target.topics {
            let source = self.taken(topic)?.clone();
            let is_table = source.kind == SourceKind::Table;
            target.check(&source.schema, is_table).map_err(Error::statement)?;
            feeds.push(self.feed(&target, &source)?);
        }
        self.world.sinks.insert(target.name.clone(), Arc::new(Sink { target, class, feeds }));
        Ok(())
    }

    /// The stream or table of that name, or else of that topic.
    fn taken(&self, topic: &str) -> Result<&Source> {
        let upper = topic.to_uppercase();
        let named = [topic, upper.as_str()].into_iter().find_map(|name| self.world.catalog.get(name));
        let sources = self
            .world
            .catalog
            .sources(SourceKind::Stream)
            .chain(self.world.catalog.sources(SourceKind::Table));
        let mut of_topic = sources.filter(|source| source.topic == topic);
        named.or_else(|| of_topic.next()).ok_or_else(|| {
            Error::statement(format!("there is no stream or table {topic}, and none with that topic"))
                .hint("SHOW STREAMS and SHOW TABLES list what there is")
        })
    }

    /// Makes the query that stores a source's rows for a sink.
    fn feed(&mut self, target: &Target, source: &Source) -> Result<Feed> {
        let topic = topic_of(&target.name, &source.name);
        let kind = if source.kind == SourceKind::Table { "TABLE" } else { "STREAM" };
        let key = if source.schema.key_len() > 0 { ", KEY_FORMAT='JSON'" } else { "" };
        let sql = format!(
            "CREATE {kind} {} WITH (KAFKA_TOPIC='{topic}', VALUE_FORMAT='JSON'{key}) AS SELECT * FROM {} EMIT CHANGES",
            quote(&stream_of(&target.name, &source.name)),
            quote(&source.name)
        );
        let parsed = parse_statement(&sql)?;
        let mut session = Session::default();
        session.set(OFFSET_RESET, "earliest")?;
        let created = self.create_as(&parsed, &session);
        self.planning = None;
        created.map_err(|e| Error { span: None, ..e })?;
        let stored = self.world.catalog.get(&stream_of(&target.name, &source.name)).cloned();
        let stored = stored.ok_or_else(|| Error::runtime("a sink's stream was not made"))?;
        Ok(Feed {
            source: source.name.clone(),
            topic: source.topic.clone(),
            dir: self.sink_dir(&topic),
            partitions: stored.layout.partitions,
            schema: stored.schema.clone(),
            is_table: source.kind == SourceKind::Table,
            identity: String::new(),
            is_durable: false,
        })
    }

    fn sink_dir(&self, topic: &str) -> PathBuf {
        self.base.data_dir.join("topics").join(topic)
    }

    /// Where a topic is that holds a sink's rows; `None`: it is another one.
    pub(super) fn sink_log(&self, target: &Source) -> Option<Place> {
        target
            .topic
            .starts_with(TOPIC)
            .then(|| Place::Log { dir: self.sink_dir(&target.topic), partitions: target.layout.partitions })
    }

    pub(super) fn drop_connector(&mut self, if_exists: bool, name: &Ident) -> Result<Outcome> {
        let Some(sink) = self.world.sinks.remove(&name.name) else {
            if if_exists {
                return Ok(self.sink_status(&name.name, "drop", "is not there; nothing was done"));
            }
            return Err(no_connector(name));
        };
        for feed in &sink.feeds {
            let stream = Ident { name: stream_of(&name.name, &feed.source), span: name.span };
            let source = self.world.catalog.source(&stream)?.clone();
            self.remove(&source, &stream)?;
            let place = Place::Log { dir: feed.dir.clone(), partitions: feed.partitions };
            self.effects.delete.push((source.topic, place));
        }
        Ok(self.sink_status(&name.name, "drop", "dropped"))
    }

    pub(super) fn describe_connector(&self, name: &Ident) -> Result<Outcome> {
        let sink = self.world.sinks.get(&name.name).ok_or_else(|| no_connector(name))?;
        Ok(Outcome::Connector(Box::new(sink.info(&self.base.sinks))))
    }

    pub(super) fn connectors(&self) -> Vec<ConnectorInfo> {
        infos(&self.world, &self.base.sinks)
    }
}

fn no_connector(name: &Ident) -> Error {
    Error::statement(format!("there is no connector {}", name.name))
        .at(name.span)
        .hint("SHOW CONNECTORS lists them")
}

/// All sinks, and how they are.
pub fn infos(world: &World, running: &Running) -> Vec<ConnectorInfo> {
    world.sinks.values().map(|sink| sink.info(running)).collect()
}

/// The outlets of sinks.
#[derive(Default)]
pub struct Running {
    state: Mutex<Outlets>,
}

#[derive(Default)]
struct Outlets {
    sinks: BTreeMap<String, (Arc<Sink>, Vec<Outlet>)>,
    /// How far logs are final, for outlets that begin later.
    ends: BTreeMap<String, Ends>,
}

impl Running {
    fn lock(&self) -> MutexGuard<'_, Outlets> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A checkpoint has made logs final up to there.
    pub fn deliver(&self, logs: &BTreeMap<String, Ends>) {
        let mut state = self.lock();
        state.ends.clone_from(logs);
        for (sink, outlets) in state.sinks.values() {
            sink.deliver(outlets, logs);
        }
    }

    /// Outlets, to be waited for.
    pub fn take(&self) -> Vec<(String, Outlet)> {
        let sinks = std::mem::take(&mut self.lock().sinks);
        let named = |(name, (_, outlets)): (String, (_, Vec<Outlet>))| {
            outlets.into_iter().map(move |outlet| (name.clone(), outlet))
        };
        sinks.into_iter().flat_map(named).collect()
    }

    /// Takes away what is not of the world any more; what is new there.
    fn change(&self, world: &World) -> (Vec<Outlet>, Vec<Arc<Sink>>) {
        let mut state = self.lock();
        let Outlets { sinks, ends } = &mut *state;
        let stays =
            |name: &String, sink: &Arc<Sink>| world.sinks.get(name).is_some_and(|now| Arc::ptr_eq(now, sink));
        let gone = sinks.extract_if(.., |name, (sink, _)| !stays(name, sink));
        let gone: Vec<(Arc<Sink>, Vec<Outlet>)> = gone.map(|(_, gone)| gone).collect();
        gone.iter().flat_map(|(sink, _)| &sink.feeds).for_each(|feed| _ = ends.remove(&name_of(&feed.dir)));
        let is_new = |sink: &&Arc<Sink>| !sinks.contains_key(&sink.target.name);
        let new: Vec<Arc<Sink>> = world.sinks.values().filter(is_new).cloned().collect();
        // From now on they are somebody's to start.
        sinks.extend(new.iter().map(|sink| (sink.target.name.clone(), (Arc::clone(sink), Vec::new()))));
        (gone.into_iter().flat_map(|(_, outlets)| outlets).collect(), new)
    }

    /// Outlets that have been started; those whose sink is gone by now come back.
    fn add(&self, sink: &Arc<Sink>, outlets: Vec<Outlet>) -> Vec<Outlet> {
        let mut state = self.lock();
        let Outlets { sinks, ends } = &mut *state;
        match sinks.get_mut(&sink.target.name) {
            Some((now, running)) if Arc::ptr_eq(now, sink) => {
                sink.deliver(&outlets, ends);
                running.extend(outlets);
                Vec::new()
            }
            _ => outlets,
        }
    }
}

impl Coordinator {
    /// Starts and ends outlets, so that they are those of the world's sinks.
    pub(super) fn follow_sinks(&self) -> Result<()> {
        let world = self.world();
        if !world.live {
            return Ok(());
        }
        let (mut gone, new) = self.base.sinks.change(&world);
        for sink in new {
            let outlets = self.outlets(&sink, world.durable)?;
            gone.extend(self.base.sinks.add(&sink, outlets));
        }
        // They leave what they have not sent; their logs go, too.
        gone.into_iter().for_each(|outlet| _ = outlet.finish(Some(Instant::now())));
        Ok(())
    }

    fn outlets(&self, sink: &Sink, is_durable: bool) -> Result<Vec<Outlet>> {
        // Without a directory that stays, the next run is the same one as far as documents go.
        let identity = if is_durable { identity(&self.base.data_dir)? } else { "wharfe".into() };
        let log = self.reject_log()?;
        let start = |feed: &Feed| {
            let feed = Feed { identity: identity.clone(), is_durable, ..feed.clone() };
            let (log, sink_name) = (Arc::clone(&log), sink.target.name.clone());
            let refuse = move |feed: &Feed, refused: Vec<Refused>| reject(&log, &sink_name, feed, &refused);
            Outlet::start(sink.target.clone(), feed, refuse)
        };
        sink.feeds.iter().map(start).collect()
    }
}

/// Books documents that the server will not take as rejects of their source.
fn reject(log: &Mutex<RejectLog>, sink: &str, feed: &Feed, refused: &[Refused]) {
    let stage = format!("sink {sink}");
    let record = |one: &Refused| {
        let (place, document) = ((one.partition, one.offset), one.document.as_deref());
        RejectedRecord::undelivered(&feed.source, &feed.topic, place, &stage, &one.reason, document)
    };
    let log = log.lock().unwrap_or_else(PoisonError::into_inner);
    log.write(RESTORED + 1, refused.iter().map(record));
    log.flush(crate::render::Tick::MAX);
}

impl Sink {
    fn deliver(&self, outlets: &[Outlet], logs: &BTreeMap<String, Ends>) {
        for (feed, outlet) in self.feeds.iter().zip(outlets) {
            if let Some(ends) = logs.get(&name_of(&feed.dir)) {
                outlet.deliver(ends);
            }
        }
    }

    fn info(&self, running: &Running) -> ConnectorInfo {
        let mut status = crate::connector::opensearch::Status::default();
        let state = running.lock();
        let outlets = state.sinks.get(&self.target.name).map_or(&[][..], |(_, outlets)| outlets);
        for one in outlets.iter().map(Outlet::status) {
            // The worst of them is the sink's.
            let rank = |state: State| {
                [State::Running, State::Retrying, State::Failed].iter().position(|s| *s == state)
            };
            if rank(one.state) >= rank(status.state) {
                status.state = one.state;
                status.error = one.error.or(status.error);
            }
            status.written += one.written;
            status.deleted += one.deleted;
            status.known += one.known;
            status.rejected += one.rejected;
            status.retries += one.retries;
            status.waiting += one.waiting;
            status.last_ms = status.last_ms.max(one.last_ms);
        }
        let index = self.target.index.clone().unwrap_or_else(|| {
            let names: Vec<String> = self.feeds.iter().map(|feed| feed.topic.to_lowercase()).collect();
            names.join(", ")
        });
        ConnectorInfo {
            name: self.target.name.clone(),
            class: self.class.clone(),
            to: format!("{}/{index}", self.target.address.url),
            reads: self.feeds.iter().map(|feed| feed.source.clone()).collect(),
            topics: self.feeds.iter().map(|feed| feed.topic.clone()).collect(),
            status,
        }
    }
}

/// Topics and streams are named by sink and source; what a topic's name cannot hold becomes its number.
fn topic_of(sink: &str, source: &str) -> String {
    let mut name = String::from(TOPIC);
    for c in format!("{sink}.{source}").chars() {
        match c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') {
            true => name.push(c),
            false => name.push_str(&format!("-{:x}", u32::from(c))),
        }
    }
    name
}

fn stream_of(sink: &str, source: &str) -> String {
    format!("{STREAM}{sink}_{source}")
}

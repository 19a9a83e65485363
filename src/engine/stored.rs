//! Where what a query makes goes: a hub, a table, and a topic that stores it.

use super::declared::{OTHER_FORMATS, timestamp_expr};
use super::draft::Draft;
use crate::catalog::{Origin, Source};
use crate::connector::Place;
use crate::error::{Error, Result};
use crate::format::encoder;
use crate::plan::{Input, QueryInput, QueryPlan, SelectPlan, Shape, Sink, StorePlan, Strategy};
use crate::sql::ast::SourceKind;

impl Draft<'_> {
    pub(super) fn sink(
        &mut self,
        inputs: &[QueryInput],
        target: &Source,
        select: &SelectPlan,
    ) -> Result<Sink> {
        if target.kind == SourceKind::Table {
            let strategy = match (&select.shape, select.from.is_table(inputs)) {
                (Shape::Aggregate(_), false) => Strategy::Monoid,
                (Shape::Aggregate(_), true) => Strategy::Retractable,
                (Shape::Project(_), _) => Strategy::Project,
            };
            return Ok(Sink::Table { table: self.world.id(), strategy });
        }
        let store = self.store(target)?;
        // What is written to a declared stream's topic comes back by its reader: nobody reads this hub.
        let returns = target.origin == Origin::Declared && store.is_some();
        let hub = if returns { self.output(target) } else { self.hub_to_write(target)? };
        Ok(Sink::Stream { hub, store })
    }

    /// How a derived topic is stored, where the topology gives it a place.
    pub(super) fn store(&mut self, target: &Source) -> Result<Option<StorePlan>> {
        if target.part.is_some() {
            return Ok(None);
        }
        let place = self.base.topology.resolve(&target.topic, &self.base.data_dir, target.layout.partitions);
        let place = match self.event_place(target)?.or_else(|| self.sink_log(target)).or(place) {
            None => return Ok(None),
            Some(place) if place.is_writable() || place == Place::Blackhole => place,
            Some(_) => {
                return Err(Error::topology(format!(
                    "topic {} is written by a query, so its connector must be \"log\", \"kafka\" or \"blackhole\"",
                    target.topic
                ))
                .hint("change it in the topology, or leave the topic out: then it is not stored"));
            }
        };
        if let Place::Log { .. } = place {
            self.check_single_writer(target)?;
        }
        let written = self.written(target)?;
        encoder(&target.serialization, &target.schema, &written)
            .map_err(|error| error.hint(OTHER_FORMATS))?;
        // What no checkpoint knows is derived anew: the old is cleared when that begins.
        if !self.keeps_stored()
            && self.world.catalog.get(&target.name).is_none()
            && let Place::Log { dir, .. } = &place
        {
            self.world.stale.push(dir.clone());
        }
        let outbox = match &place {
            Place::Kafka { .. } | Place::Event { .. } => self.outbox(target),
            _ => None,
        };
        if let (Place::Event { event }, None, false) = (&place, &outbox, self.base.dry) {
            return Err(Error::statement(format!(
                "event {event} is published when a checkpoint has made it final, and none are taken"
            ))
            .hint("start with --data-dir DIR and --gateway"));
        }
        // A gateway makes headers anew, and goes on with the trace.
        let begins_anew = !target.events.is_empty() && !matches!(place, Place::Event { .. });
        Ok(Some(StorePlan {
            topic: target.topic.clone(),
            place,
            outbox,
            layout: target.layout,
            serialization: target.serialization,
            schema: target.schema.clone(),
            timestamp: timestamp_expr(target)?,
            written,
            begins_anew,
        }))
    }

    /// A log has one writer: the queries of one stream, or the statements that insert rows.
    fn check_single_writer(&self, target: &Source) -> Result<()> {
        let topic = &target.topic;
        let (what, hint) = if target.origin == Origin::Declared || self.world.inserted.contains(topic) {
            let hint = "CREATE STREAM … AS SELECT makes a stream of its own; or leave the topic out of the \
                        topology: then what the query writes is not stored";
            (format!("topic {topic} takes inserted rows; a query cannot write it as well"), hint)
        } else if let Some(other) = self.world.catalog.writes_topic(topic, &target.name) {
            (format!("topic {topic} is written by {} already", other.name), "name another KAFKA_TOPIC")
        } else {
            return Ok(());
        };
        Err(Error::statement(what).hint(hint))
    }

    /// The query beside a table's own that stores its changes, where its topic has a place.
    pub(super) fn changelog(&mut self, plan: &QueryPlan, target: &Source) -> Result<Option<QueryPlan>> {
        let Sink::Table { table, .. } = plan.sink else { return Ok(None) };
        let Some(store) = self.store(target)? else { return Ok(None) };
        Ok(Some(QueryPlan {
            id: self.world.id(),
            inputs: vec![target.input(Input::Table(table))],
            select: SelectPlan::all_of(&target.schema),
            sink: Sink::Changelog(store),
            restore: Default::default(),
            durable: false,
            ..plan.clone()
        }))
    }
}

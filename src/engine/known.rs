//! CREATE TYPE, DROP TYPE, ALTER and ASSERT; and what texts may use of it when they are parsed.

use super::Session;
use super::declared::{declared_schema, timestamp_expr};
use super::draft::Draft;
use super::outcome::{Outcome, Status, status, word};
use super::session::SUBSTITUTION;
use super::world::World;
use crate::catalog::{Origin, Source, With};
use crate::connector::{Place, log, memory};
use crate::error::{Error, Result, Span};
use crate::expr::nearest::nearest;
use crate::format::decoder;
use crate::registry::{Resolved, Trouble};
use crate::sql::Known;
use crate::sql::ast::{Assertion, ColumnSpec, Ident, Parsed, Properties, SourceKind};
use crate::types::SqlType;
use std::time::Duration;

/// How long ASSERT waits where it does not say.
pub(super) const ASSERT_FOR: Duration = Duration::from_secs(1);

impl World {
    /// What a text of the session may use beside its own words.
    pub fn known(&self, session: &Session) -> Known {
        let variables = session.is_on(SUBSTITUTION).then(|| session.variables.clone());
        Known { types: self.catalog.types.clone(), variables }
    }
}

impl Draft<'_> {
    pub(super) fn create_type(&mut self, name: &Ident, ty: &SqlType, if_not_exists: bool) -> Result<Outcome> {
        if self.world.catalog.types.contains_key(&name.name) {
            if if_not_exists {
                return Ok(of_type(
                    format!("type {} exists already; nothing was done", name.name),
                    name,
                    "create",
                ));
            }
            return Err(Error::statement(format!("type {} exists already", name.name))
                .at(name.span)
                .hint("DROP TYPE it first, or CREATE TYPE IF NOT EXISTS"));
        }
        self.world.catalog.types.insert(name.name.clone(), ty.clone());
        Ok(of_type(format!("Type {} created: {ty}", name.name), name, "create"))
    }

    /// Columns that were declared with the type keep what it was.
    pub(super) fn drop_type(&mut self, name: &Ident, if_exists: bool) -> Result<Outcome> {
        if self.world.catalog.types.remove(&name.name).is_some() {
            return Ok(of_type(format!("Type {} dropped", name.name), name, "drop"));
        }
        if if_exists {
            return Ok(of_type(format!("there is no type {}; nothing was done", name.name), name, "drop"));
        }
        let error = Error::statement(format!("there is no type {}", name.name)).at(name.span);
        Err(match nearest(&name.name, self.world.catalog.types.keys().map(String::as_str)) {
            Some(near) => error.hint(format!("did you mean {near}?")),
            None => error.hint("SHOW TYPES lists them"),
        })
    }

    /// Adds columns to the value of a declared stream or table.
    pub(super) fn alter(
        &mut self,
        parsed: &Parsed,
        kind: SourceKind,
        name: &Ident,
        added: &[ColumnSpec],
    ) -> Result<Outcome> {
        let source = self.alterable(kind, name)?;
        let declared = source.schema.columns.iter().map(|column| ColumnSpec {
            name: Ident { name: column.name.clone(), span: name.span },
            ty: column.ty.clone(),
            part: column.part.clone(),
        });
        let columns: Vec<ColumnSpec> = declared.chain(added.iter().cloned()).collect();
        let altered = Source {
            schema: declared_schema(kind, name, &columns)?,
            statement: format!("{}; {}", source.statement, parsed.text),
            ..source.clone()
        };
        decoder(&altered.serialization, &altered.schema, &self.base.schemas)
            .map_err(|e| e.at(added[0].name.span))?;
        timestamp_expr(&altered)?;
        if self.is_read_now(&source) {
            self.widen(&source, altered, name)?;
        } else {
            self.remove(&source, name)?;
            self.world.catalog.insert(altered);
            if kind == SourceKind::Table {
                self.maintain(&name.name.clone(), &parsed.text)?;
            }
        }
        let columns = if added.len() == 1 { "column" } else { "columns" };
        let message = format!("{} {} has {} {columns} more", word(kind), name.name, added.len());
        Ok(status(message, kind, &name.name, "alter", None))
    }

    fn alterable(&self, kind: SourceKind, name: &Ident) -> Result<Source> {
        let source = self.world.catalog.source(name)?.clone();
        let wrong = |why: String, hint: String| Err(Error::statement(why).at(name.span).hint(hint));
        if source.kind != kind {
            let right = word(source.kind).to_uppercase();
            return wrong(
                format!("{} is a {}", name.name, right.to_lowercase()),
                format!("ALTER {right} {}", name.name),
            );
        }
        if source.read_only {
            let why = format!("{} is only read: it cannot be altered", name.name);
            return wrong(why, "it was created as SOURCE; DROP and CREATE it again".into());
        }
        match source.origin {
            Origin::Declared if !source.events.is_empty() => {
                return wrong(
                    format!("the columns of {} are those of its events' schemas", name.name),
                    "CREATE OR REPLACE it with the columns that are wanted".into(),
                );
            }
            Origin::Declared => {}
            Origin::Derived(_) => {
                let why = format!("the columns of {} are those of its query", name.name);
                return wrong(
                    why,
                    format!("CREATE OR REPLACE {} {} AS …", word(kind).to_uppercase(), name.name),
                );
            }
            Origin::System => {
                return wrong(format!("{} belongs to the engine", name.name), "SELECT from it".into());
            }
        }
        Ok(source)
    }

    /// Whether what ASSERT says is so now; the error says what is so instead.
    pub(super) fn assert(&self, exists: bool, what: &Assertion, span: Span) -> Result<Outcome> {
        let (name, found) = match what {
            Assertion::Topic { name, with } => {
                (format!("topic {}", name.name), self.asserted_topic(name, with, exists)?)
            }
            Assertion::Schema { subject, id } => self.asserted_schema(subject.as_ref(), *id)?,
        };
        let is = if found { "exists" } else { "does not exist" };
        if found != exists {
            return Err(Error::statement(format!("{name} {is}")).at(span));
        }
        let command_id = format!("assert/{name}/execute");
        Ok(Outcome::Status(Status { message: format!("{name} {is}"), command_id, ..Status::default() }))
    }

    /// A topic that is there with other properties than those asserted is an error.
    fn asserted_topic(&self, name: &Ident, with: &Properties, exists: bool) -> Result<bool> {
        let with = With::parse(with)?;
        let Some(partitions) = self.partitions_of(&name.name)? else { return Ok(false) };
        match with.partitions.filter(|wanted| exists && *wanted != partitions) {
            Some(wanted) => Err(Error::statement(format!(
                "topic {} has {partitions} partitions, not {wanted}",
                name.name
            ))
            .at(name.span)),
            None => Ok(true),
        }
    }

    /// Of a topic that is there: somebody has written it, or a stream or table has it in memory.
    fn partitions_of(&self, topic: &str) -> Result<Option<u32>> {
        let sources = self
            .world
            .catalog
            .sources(SourceKind::Stream)
            .chain(self.world.catalog.sources(SourceKind::Table));
        let known =
            sources.filter(|source| source.topic == topic).map(|source| source.layout.partitions).next();
        Ok(match self.topic_place(topic, known.unwrap_or(1))? {
            Place::Kafka { cluster, topic } => {
                let all = self.topics_of(&cluster)?.unwrap_or_default();
                all.into_iter().find(|(name, _)| *name == topic).map(|(_, partitions)| partitions)
            }
            Place::Log { dir, .. } if log::log_info(&dir).is_ok_and(|info| info.records > 0) => {
                Some(known.unwrap_or(1))
            }
            Place::Log { .. } => known,
            Place::Memory { space, topic } if memory::exists(space, &topic) => Some(known.unwrap_or(1)),
            Place::Memory { .. } => known,
            Place::File { path, .. } => path.exists().then_some(1),
            Place::Archive { .. } | Place::Generator(_) | Place::Stdin { .. } => Some(1),
            Place::Event { .. } | Place::Blackhole => known,
        })
    }

    /// What a schema is called in messages, and whether it is there.
    fn asserted_schema(&self, subject: Option<&Ident>, id: Option<u32>) -> Result<(String, bool)> {
        let client = self.base.schemas.client();
        let of = |found: std::result::Result<Resolved, Trouble>| match found {
            Ok(schema) => Ok(Some(schema.id)),
            Err(trouble) if trouble.is_not_found() => Ok(None),
            Err(trouble) => Err(client.error(trouble)),
        };
        Ok(match (subject, id) {
            (Some(subject), id) => {
                let latest = of(self.latest_schema(subject.name.clone())?)?;
                let with_id = id.map(|id| format!(" with id {id}")).unwrap_or_default();
                let found = latest.is_some() && id.is_none_or(|id| latest == Some(id));
                (format!("schema of subject {}{with_id}", subject.name), found)
            }
            (None, Some(id)) => (format!("schema with id {id}"), of(self.schema(id)?)?.is_some()),
            (None, None) => unreachable!("the parser asks for one of the two"),
        })
    }
}

fn of_type(message: String, name: &Ident, action: &str) -> Outcome {
    let command_id = format!("type/{}/{action}", crate::types::quote(&name.name));
    Outcome::Status(Status { message, command_id, ..Status::default() })
}

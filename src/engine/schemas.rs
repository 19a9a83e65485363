//! Schemas of the registry in statements: the columns that a CREATE takes from them, and what a sink
//! writes with.

use super::draft::Draft;
use crate::catalog::{SchemaChoice, Source, With};
use crate::error::{Error, Result};
use crate::format::blurred::Blurred;
use crate::format::codec::{Inference, Inferred};
use crate::format::{Format, Written, columns_of, encoder, unregistered};
use crate::plan::StorePlan;
use crate::registry::{Client, Kind, Resolved};
use crate::sql::ast::{ColumnSpec, Ident};
use crate::types::{ColumnDef, Part, SqlType, StructField};
use std::sync::Arc;

/// A side of a topic's messages.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Key,
    Value,
}

impl Side {
    /// `carparks-value`
    fn subject(self, topic: &str) -> String {
        match self {
            Side::Key => format!("{topic}-key"),
            Side::Value => format!("{topic}-value"),
        }
    }

    fn part(self) -> Part {
        Part::key_if(self == Side::Key)
    }

    fn of(self, written: &mut Written) -> &mut Option<Resolved> {
        match self {
            Side::Key => &mut written.key,
            Side::Value => &mut written.value,
        }
    }

    fn choice(self, source: &Source) -> &SchemaChoice {
        match self {
            Side::Key => &source.schemas.key,
            Side::Value => &source.schemas.value,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Side::Key => "key",
            Side::Value => "value",
        }
    }
}

impl Draft<'_> {
    fn registry(&self) -> &Client {
        self.base.schemas.client()
    }

    /// The declared columns, and those of a side that declares none but whose format has schemas; with
    /// the value's format, which follows its schema, and that schema.
    pub(super) fn complete(
        &self,
        name: &Ident,
        declared: &[ColumnSpec],
        with: &With,
        topic: &str,
        [key, value]: [Format; 2],
    ) -> Result<(Vec<ColumnSpec>, Format, Option<Resolved>)> {
        let (mut columns, mut value_format, mut taken) = (declared.to_vec(), value, None);
        for (side, format, choice) in
            [(Side::Key, key, &with.schemas.key), (Side::Value, value, &with.schemas.value)]
        {
            let is_declared = declared.iter().any(|c| c.part == side.part());
            check_choice(side, format, choice, is_declared)?;
            if is_declared || format.kind().is_none() {
                continue;
            }
            let span = choice.id.map_or(name.span, |(_, span)| span);
            let inferred = self.inferred(side, format, choice, topic).map_err(|e| e.at(span))?;
            let (inferred, schema) = inferred.ok_or_else(|| {
                let what = match choice.id {
                    Some((id, _)) => format!("schema with the id {id}"),
                    None => format!("subject {}", side.subject(topic)),
                };
                let mut hint = format!("register its schema, or declare the {} columns", side.word());
                if side == Side::Key && !declared.is_empty() {
                    hint += ", or give VALUE_FORMAT instead of FORMAT if there is no key";
                }
                Error::statement(format!("{} has no {what}", self.registry().name())).at(span).hint(hint)
            })?;
            if side == Side::Value {
                if inferred.bare {
                    value_format = value.unwrapped();
                }
                taken = Some(schema);
            }
            let column = |ColumnDef { name: column, ty, .. }| ColumnSpec {
                name: Ident { name: column, span: name.span },
                ty,
                part: side.part(),
            };
            columns.extend(inferred.columns.into_iter().map(column));
        }
        Ok((columns, value_format, taken))
    }

    /// What the registry says of a side, if it has a schema for it.
    fn inferred(
        &self,
        side: Side,
        format: Format,
        choice: &SchemaChoice,
        topic: &str,
    ) -> Result<Option<(Inferred, Resolved)>> {
        let found = match choice.id {
            Some((id, _)) => self.schema(id)?,
            None => self.latest_schema(side.subject(topic))?,
        };
        let schema = match found {
            Ok(schema) => schema,
            Err(trouble) if trouble.is_not_found() => return Ok(None),
            Err(trouble) => return Err(self.registry().error(trouble)),
        };
        check_kind(&schema, format)?;
        // Who names a schema by its id means its names as they are.
        let inference = choice.id.map_or_else(Inference::default, |_| Inference::as_written());
        let mut inferred = columns_of(&schema, side == Side::Key, choice.full_name.as_deref(), inference)
            .map_err(|why| Error::statement(format!("no columns from schema {}: {why}", schema.id)))?;
        // A key is its one column's value alone: a record is that value.
        if side == Side::Key && !inferred.bare && format.unwraps_keys() {
            let field = |ColumnDef { name, ty, .. }| StructField { name, ty };
            let ty = SqlType::Struct(inferred.columns.drain(..).map(field).collect());
            inferred.columns.push(ColumnDef { name: "ROWKEY".into(), ty, part: Part::Key });
        }
        Ok(Some((inferred, schema)))
    }

    /// Registers what a statement declares of a topic's messages, where that has no schema yet.
    pub(super) fn register_declared(&self, source: &Source, declared: &[ColumnSpec]) -> Result<()> {
        let names = source.record_names();
        let names = [names[0].as_deref(), names[1].as_deref()];
        // What cannot be written can be read all the same.
        let Ok(written) = unregistered(&source.serialization, &source.schema.without_headers(), names) else {
            return Ok(());
        };
        for (side, resolved) in [(Side::Key, written.key), (Side::Value, written.value)] {
            let Some(resolved) = resolved.filter(|_| declared.iter().any(|c| c.part == side.part())) else {
                continue;
            };
            let subject = side.subject(&source.topic);
            let registered = match self.latest_schema(subject.clone())? {
                Err(trouble) if trouble.is_not_found() => {
                    self.registered(subject.clone(), (*resolved.schema).clone())?
                }
                latest => latest.map(|schema| schema.id),
            };
            // Who only reads the topic does not need it.
            if let Err(trouble) = registered {
                let why = self.registry().error(trouble).message;
                let what = format!("the schema of {subject} is not registered: {why}");
                self.effects.warnings.borrow_mut().push(what);
            }
        }
        Ok(())
    }

    /// Says where who reads a topic gets other rows than who reads what is stored there.
    pub(super) fn tell_blurred(&self, target: &Source, store: &StorePlan) {
        let Some(Blurred { column, values: [one, other], hint }) =
            store.serialization.value.blurs(target.schema.values())
        else {
            return;
        };
        let names = target.record_names();
        let own =
            unregistered(&store.serialization, &store.schema, [names[0].as_deref(), names[1].as_deref()]);
        let schema = |written: &Written| written.value.as_ref().map(|value| Arc::clone(&value.schema));
        // A message that was there already may keep both.
        if own.is_ok_and(|own| schema(&own) != schema(&store.written)) {
            return;
        }
        let format = store.serialization.value.name();
        let what = format!(
            "topic {} has {format}, which writes {one} in column {column} as it writes {other}: who reads the topic \
             gets other rows than who reads {}; hint: {hint}",
            target.topic, target.name
        );
        self.effects.warnings.borrow_mut().push(what);
    }

    /// Registers what a source's messages are written with; schemas that the statement names are taken
    /// as they are.
    pub(super) fn written(&self, source: &Source) -> Result<Written> {
        let names = source.record_names();
        let names = [names[0].as_deref(), names[1].as_deref()];
        let mut written = unregistered(&source.serialization, &source.schema, names)?;
        for side in [Side::Key, Side::Value] {
            if let Some(existing) = self.existing_message(side, source, &written)? {
                *side.of(&mut written) = Some(existing);
            }
        }
        let sides = [
            (Side::Key, &mut written.key, &source.schemas.key, source.serialization.key),
            (Side::Value, &mut written.value, &source.schemas.value, source.serialization.value),
        ];
        for (side, resolved, choice, format) in sides {
            let Some(resolved) = resolved else { continue };
            match choice.id {
                Some((id, span)) => {
                    let schema = self.schema(id)?.map_err(|t| self.registry().error(t).at(span))?;
                    check_kind(&schema, format).map_err(|e| e.at(span))?;
                    *resolved = schema;
                }
                None if resolved.id > 0 => {}
                None => {
                    let schema = (*resolved.schema).clone();
                    let registered = self.registered(side.subject(&source.topic), schema)?;
                    resolved.id = registered.map_err(|trouble| self.registry().error(trouble))?;
                }
            }
        }
        if let ([event], 0) = (&source.events[..], source.schema.key_len()) {
            written.key_in_value = event.key_among(&source.schema.values().collect::<Vec<_>>());
        }
        encoder(&source.serialization, &source.schema, &written)?;
        Ok(written)
    }

    /// The Protobuf message that a topic has already, where the columns can be written with it.
    fn existing_message(&self, side: Side, source: &Source, own: &Written) -> Result<Option<Resolved>> {
        let mut tried = own.clone();
        let choice = side.choice(source);
        let resolved = side.of(&mut tried);
        let is_protobuf = resolved.as_ref().is_some_and(|own| own.schema.kind == Kind::Protobuf);
        if !is_protobuf || choice.id.is_some() || choice.full_name.is_some() {
            return Ok(None);
        }
        // What goes wrong here goes wrong when the own one is registered.
        let Ok(existing) = self.latest_schema(side.subject(&source.topic))? else { return Ok(None) };
        *resolved = Some(existing.clone()).filter(|existing| existing.schema.kind == Kind::Protobuf);
        Ok(encoder(&source.serialization, &source.schema, &tried).is_ok().then_some(existing))
    }
}

fn check_choice(side: Side, format: Format, choice: &SchemaChoice, is_declared: bool) -> Result<()> {
    let word = side.word().to_uppercase();
    match choice.id {
        Some((_, span)) if format.kind().is_none() => {
            Err(Error::statement(format!("{word}_SCHEMA_ID needs a {word}_FORMAT that has schemas"))
                .at(span)
                .hint("formats with schemas: AVRO, PROTOBUF, JSON_SR"))
        }
        Some((_, span)) if is_declared => {
            Err(Error::statement(format!("{word}_SCHEMA_ID takes the columns from the registry"))
                .at(span)
                .hint(format!("leave it out, or leave out the {} columns", side.word())))
        }
        _ => Ok(()),
    }
}

fn check_kind(schema: &Resolved, format: Format) -> Result<()> {
    match format.kind() {
        Some(kind) if kind != schema.schema.kind => Err(Error::statement(format!(
            "schema {} is {}, and the format is {}",
            schema.id,
            schema.schema.kind,
            format.name()
        ))),
        _ => Ok(()),
    }
}

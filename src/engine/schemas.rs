//! Schemas of the registry in statements: the columns that a CREATE takes from them, and what a sink
//! writes with.

use super::coordinator::Coordinator;
use crate::catalog::{SchemaChoice, Source, With};
use crate::error::{Error, Result};
use crate::format::codec::Inferred;
use crate::format::{Format, Written, columns_of, encoder, unregistered};
use crate::registry::{Client, Resolved};
use crate::sql::ast::{ColumnSpec, Ident, KeySpec, SourceKind};
use crate::types::{ColumnDef, SqlType, StructField};

/// A side of a topic's messages.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Key,
    Value,
}

impl Part {
    /// `carparks-value`
    fn subject(self, topic: &str) -> String {
        match self {
            Part::Key => format!("{topic}-key"),
            Part::Value => format!("{topic}-value"),
        }
    }

    fn word(self) -> &'static str {
        match self {
            Part::Key => "key",
            Part::Value => "value",
        }
    }
}

impl Coordinator {
    fn registry(&self) -> &Client {
        self.schemas.client()
    }

    /// The declared columns, and those of a side that declares none but whose format has schemas; with
    /// the value's format, which follows its schema.
    pub(super) fn complete(
        &self,
        kind: SourceKind,
        name: &Ident,
        declared: &[ColumnSpec],
        with: &With,
        topic: &str,
        value: Format,
    ) -> Result<(Vec<ColumnSpec>, Format)> {
        let key = with.key_format.map_or(Format::None, |f| f.0);
        let (mut columns, mut value_format) = (declared.to_vec(), value);
        for (part, format, choice) in
            [(Part::Key, key, &with.schemas.key), (Part::Value, value, &with.schemas.value)]
        {
            let is_declared = declared.iter().any(|c| (c.key != KeySpec::None) == (part == Part::Key));
            check_choice(part, format, choice, is_declared)?;
            if is_declared || format.kind().is_none() {
                continue;
            }
            let span = choice.id.map_or(name.span, |(_, span)| span);
            let inferred = self.inferred(part, format, choice, topic).map_err(|e| e.at(span))?;
            let inferred = inferred.ok_or_else(|| {
                let what = match choice.id {
                    Some((id, _)) => format!("schema with the id {id}"),
                    None => format!("subject {}", part.subject(topic)),
                };
                let mut hint = format!("register its schema, or declare the {} columns", part.word());
                if part == Part::Key && !declared.is_empty() {
                    hint += ", or give VALUE_FORMAT instead of FORMAT if there is no key";
                }
                Error::statement(format!("{} has no {what}", self.registry().name())).at(span).hint(hint)
            })?;
            if part == Part::Value && inferred.bare {
                value_format = value.unwrapped();
            }
            let spec = match (part, kind) {
                (Part::Value, _) => KeySpec::None,
                (Part::Key, SourceKind::Stream) => KeySpec::Key,
                (Part::Key, SourceKind::Table) => KeySpec::PrimaryKey,
            };
            let column = |ColumnDef { name: column, ty, .. }| ColumnSpec {
                name: Ident { name: column, span: name.span },
                ty,
                key: spec,
            };
            columns.extend(inferred.columns.into_iter().map(column));
        }
        Ok((columns, value_format))
    }

    /// What the registry says of a side, if it has a schema for it.
    fn inferred(
        &self,
        part: Part,
        format: Format,
        choice: &SchemaChoice,
        topic: &str,
    ) -> Result<Option<Inferred>> {
        let found = match choice.id {
            Some((id, _)) => self.registry().schema(id),
            None => self.registry().latest(&part.subject(topic)),
        };
        let schema = match found {
            Ok(schema) => schema,
            Err(trouble) if trouble.is_not_found() => return Ok(None),
            Err(trouble) => return Err(self.registry().error(trouble)),
        };
        check_kind(&schema, format)?;
        let mut inferred = columns_of(&schema, part == Part::Key, choice.full_name.as_deref())
            .map_err(|why| Error::statement(format!("no columns from schema {}: {why}", schema.id)))?;
        // A key of one column is its value alone: a record with one field is that value.
        if part == Part::Key && !inferred.bare && inferred.columns.len() == 1 && format.unwraps_keys() {
            let field = |ColumnDef { name, ty, .. }| StructField { name, ty };
            let ty = SqlType::Struct(inferred.columns.drain(..).map(field).collect());
            inferred.columns.push(ColumnDef { name: "ROWKEY".into(), ty, key: true });
        }
        Ok(Some(inferred))
    }

    /// Registers what a source's messages are written with; schemas that the statement names are taken
    /// as they are.
    pub(super) fn written(&self, source: &Source) -> Result<Written> {
        let mut written = unregistered(&source.serialization, &source.schema, source.schemas.names())?;
        let sides = [
            (Part::Key, &mut written.key, &source.schemas.key, source.serialization.key),
            (Part::Value, &mut written.value, &source.schemas.value, source.serialization.value),
        ];
        for (part, side, choice, format) in sides {
            let Some(side) = side else { continue };
            match choice.id {
                Some((id, span)) => {
                    let schema = self.registry().schema(id).map_err(|t| self.registry().error(t).at(span))?;
                    check_kind(&schema, format).map_err(|e| e.at(span))?;
                    *side = schema;
                }
                None => {
                    let schema = (*side.schema).clone();
                    let registered = self.registry().register(&part.subject(&source.topic), schema);
                    side.id = registered.map_err(|trouble| self.registry().error(trouble))?;
                }
            }
        }
        encoder(&source.serialization, &source.schema, &written)?;
        Ok(written)
    }
}

fn check_choice(part: Part, format: Format, choice: &SchemaChoice, is_declared: bool) -> Result<()> {
    let side = part.word().to_uppercase();
    match choice.id {
        Some((_, span)) if format.kind().is_none() => {
            Err(Error::statement(format!("{side}_SCHEMA_ID needs a {side}_FORMAT that has schemas"))
                .at(span)
                .hint("formats with schemas: AVRO, PROTOBUF, JSON_SR"))
        }
        Some((_, span)) if is_declared => {
            Err(Error::statement(format!("{side}_SCHEMA_ID takes the columns from the registry"))
                .at(span)
                .hint(format!("leave it out, or leave out the {} columns", part.word())))
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

//! Schemas of the registry in statements: the columns that a CREATE takes from them, and what a sink
//! writes with.

use super::coordinator::{Coordinator, word};
use crate::catalog::{SchemaChoice, Source, With};
use crate::error::{Error, Result};
use crate::format::{Format, Shape, Written, encoder, shape_of, unregistered};
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

    /// What a column is called that is all there is.
    fn bare_name(self) -> &'static str {
        match self {
            Part::Key => "ROWKEY",
            Part::Value => "ROWVAL",
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
            let shape = self.shape(part, format, choice, topic).map_err(|error| {
                let (side, word) = (part.word(), word(kind).to_lowercase());
                let error = error.at(choice.id.map_or(name.span, |(_, span)| span));
                let hint = match part {
                    Part::Key if !declared.is_empty() => {
                        ", or give VALUE_FORMAT instead of FORMAT if it has no key"
                    }
                    _ => "",
                };
                error.hint(format!(
                    "register its schema, or declare the {side} columns of {word} {}{hint}",
                    name.name
                ))
            })?;
            if part == Part::Value && matches!(shape, Shape::Bare(_)) {
                value_format = value.unwrapped();
            }
            let spec = match (part, kind) {
                (Part::Value, _) => KeySpec::None,
                (Part::Key, SourceKind::Stream) => KeySpec::Key,
                (Part::Key, SourceKind::Table) => KeySpec::PrimaryKey,
            };
            let column = |StructField { name: column, ty }| ColumnSpec {
                name: Ident { name: column, span: name.span },
                ty,
                key: spec,
            };
            columns.extend(columns_of(part, format, shape).into_iter().map(column));
        }
        Ok((columns, value_format))
    }

    /// What the registry says of a side.
    fn shape(&self, part: Part, format: Format, choice: &SchemaChoice, topic: &str) -> Result<Shape> {
        let subject = part.subject(topic);
        let found = match choice.id {
            Some((id, _)) => self.registry().schema(id),
            None => self.registry().latest(&subject),
        };
        let schema = found.map_err(|trouble| match (trouble.is_not_found(), choice.id) {
            (true, Some((id, _))) => {
                Error::statement(format!("{} has no schema with the id {id}", self.registry().name()))
            }
            (true, None) => Error::statement(format!("{} has no subject {subject}", self.registry().name())),
            (false, _) => self.registry().error(trouble),
        })?;
        check_kind(&schema, format)?;
        let shape = shape_of(&schema)
            .map_err(|why| Error::statement(format!("no columns from schema {}: {why}", schema.id)))?;
        // As the dialect has it: names are as they are where the schema is named by its id.
        Ok(if choice.id.is_some() { shape } else { upper_cased(shape) })
    }

    /// Registers what a source's messages are written with; schemas that the statement names are taken
    /// as they are.
    pub(super) fn written(&self, source: &Source) -> Result<Written> {
        let mut written = unregistered(&source.serialization, &source.schema)?;
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
                    let columns = source.schema.columns.iter().filter(|c| c.key == (part == Part::Key));
                    check_fits(&schema, columns).map_err(|e| e.at(span))?;
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

/// Each column must be in the schema that it is written with.
fn check_fits<'a>(schema: &Resolved, columns: impl Iterator<Item = &'a ColumnDef>) -> Result<()> {
    let refused = |why: String| Error::statement(format!("schema {}: {why}", schema.id));
    let fields = match shape_of(schema).map_err(refused)? {
        Shape::Fields(fields) => fields,
        Shape::Bare(_) => return Ok(()),
    };
    for column in columns {
        let same = |field: &&StructField| field.name.eq_ignore_ascii_case(&column.name);
        match fields.iter().find(same) {
            None => return Err(refused(format!("it has no field for column {}", column.name))),
            Some(field) if upper_cased_type(field.ty.clone()) != upper_cased_type(column.ty.clone()) => {
                let (name, ty) = (&column.name, &column.ty);
                return Err(refused(format!("column {name} is {ty}, its field is {}", field.ty)));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

fn columns_of(part: Part, format: Format, shape: Shape) -> Vec<StructField> {
    let bare = |ty| vec![StructField { name: part.bare_name().into(), ty }];
    match shape {
        Shape::Bare(ty) => bare(ty),
        // A key of one column is its value alone: a record with one field is that value.
        Shape::Fields(fields) if part == Part::Key && fields.len() == 1 && format.unwraps_keys() => {
            bare(SqlType::Struct(fields))
        }
        Shape::Fields(fields) => fields,
    }
}

fn upper_cased(shape: Shape) -> Shape {
    match shape {
        Shape::Fields(fields) => Shape::Fields(upper_cased_fields(fields)),
        Shape::Bare(ty) => Shape::Bare(upper_cased_type(ty)),
    }
}

fn upper_cased_fields(fields: Vec<StructField>) -> Vec<StructField> {
    let upper =
        |field: StructField| StructField { name: field.name.to_uppercase(), ty: upper_cased_type(field.ty) };
    fields.into_iter().map(upper).collect()
}

fn upper_cased_type(ty: SqlType) -> SqlType {
    match ty {
        SqlType::Struct(fields) => SqlType::Struct(upper_cased_fields(fields)),
        SqlType::Array(item) => SqlType::Array(Box::new(upper_cased_type(*item))),
        SqlType::Map(key, value) => SqlType::Map(key, Box::new(upper_cased_type(*value))),
        other => other,
    }
}

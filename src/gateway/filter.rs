//! A SQL predicate over an event's payload: `calories > 500 AND user->country = 'US'`. The columns are
//! those of the event's schema; records of older schemas are read as that one.

use super::schemas::EventSchema;
use crate::batch::{Batch, MessageBatch, Origin, Partitions, SourcePartition, Timestamps};
use crate::error::{Error, Result};
use crate::expr::compile::Evaluator;
use crate::expr::{Expr, Notes, RowOf, Scope, bind, compile, references};
use crate::format::codec::Inference;
use crate::format::{self, Decoder, Format, Serialization};
use crate::headers::Headers;
use crate::registry::{Kind, Lookups, Resolved};
use crate::sql::parse_expression;
use crate::types::{ColumnDef, Schema, SqlType};
use std::sync::Arc;

/// A predicate, bound.
struct Bound {
    serialization: Serialization,
    schema: Schema,
    expr: Expr,
}

/// What payloads of a schema are read as.
pub struct ReadAs {
    pub schema: Resolved,
    pub format: Format,
    pub columns: Vec<ColumnDef>,
}

pub fn read_as(of: &EventSchema) -> Result<ReadAs> {
    let wrong = |why: String| Error::statement(format!("schema {}: {why}", of.id));
    let resolved =
        Resolved { id: of.confluent_id.unwrap_or(0), schema: Arc::new(of.schema.clone()), needed: vec![] };
    let inferred = format::columns_of(&resolved, false, None, Inference::default()).map_err(wrong)?;
    let format = match of.schema.kind {
        Kind::Avro => Format::Avro { wrap_single: true },
        Kind::Json => Format::JsonSr { wrap_single: true },
        Kind::Protobuf => Format::Protobuf { nullable: format::protobuf::Nullable::Plain },
    };
    let format = if inferred.bare { format.unwrapped() } else { format };
    Ok(ReadAs { schema: resolved, format, columns: inferred.columns })
}

fn bound(text: &str, of: &EventSchema) -> Result<Bound> {
    let ReadAs { format: value, columns, .. } = read_as(of)?;
    let schema = Schema::new(columns);
    let named = |error: Error| error.in_text("filter", text);
    let parsed = parse_expression(text).map_err(named)?;
    let scope = Scope::of(&schema, vec![], RowOf::Record);
    let expr = bind(&parsed, &scope).map_err(named)?;
    if expr.ty != SqlType::Boolean {
        return Err(
            Error::statement(format!("the filter is {}, not BOOLEAN", expr.ty)).hint("calories > 500")
        );
    }
    Ok(Bound { serialization: Serialization { key: Format::None, value, changelog: false }, schema, expr })
}

/// The fields that a predicate reads, if it is one.
///
/// # Errors
/// What is wrong with it, with its place.
pub fn check(text: &str, of: &EventSchema) -> Result<Vec<String>> {
    let bound = bound(text, of)?;
    compile(&bound.expr)?;
    let mut fields = Vec::new();
    references(&bound.expr, &mut |column| fields.push(bound.schema.columns[column].name.clone()));
    fields.sort();
    fields.dedup();
    Ok(fields)
}

pub struct Filter {
    decoder: Box<dyn Decoder>,
    evaluator: Evaluator,
    wanted: Vec<bool>,
}

impl Filter {
    pub fn open(text: &str, of: &EventSchema, schemas: &Lookups) -> Result<Filter> {
        let Bound { serialization, schema, expr } = bound(text, of)?;
        let mut wanted = vec![false; schema.len()];
        references(&expr, &mut |column| wanted[column] = true);
        let decoder = format::decoder(&serialization, &schema, schemas)?;
        Ok(Filter { decoder, evaluator: compile(&expr)?, wanted })
    }

    /// Whether the records' schemas are there; they are asked for.
    pub fn is_ready(&mut self, messages: &MessageBatch) -> bool {
        self.decoder.is_ready(messages)
    }

    /// Which records pass. What cannot be decoded passes: whoever reads it says why.
    pub fn pass(&mut self, messages: &MessageBatch) -> Vec<bool> {
        let decoded = self.decoder.decode(messages, &self.wanted);
        let kept: Vec<usize> = match &decoded.kept {
            None => (0..messages.len()).collect(),
            Some(kept) => kept.iter().map(|i| *i as usize).collect(),
        };
        let times: Vec<i64> = kept.iter().map(|i| messages.timestamps.at(*i)).collect();
        let partition = SourcePartition { source: 0, partition: messages.partition };
        let origin = Origin {
            rowtime: Timestamps::Each(times.into()),
            partitions: Partitions::One(partition),
            offsets: kept.iter().map(|i| messages.offsets[*i]).collect(),
            headers: Headers::Unread,
            ..Origin::none(0)
        };
        let batch = Batch { len: kept.len(), columns: decoded.columns, origin, deleted: decoded.deleted };
        let passed = self.evaluator.filter(&batch, &mut Notes::default());
        let mut pass = vec![true; messages.len()];
        for (row, message) in kept.into_iter().enumerate() {
            pass[message] = passed.value(row);
        }
        pass
    }
}

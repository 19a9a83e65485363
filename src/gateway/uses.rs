//! Who uses what of an event: subscriptions by their filters, queries by the columns that they read and the
//! schema that they publish with. What would be taken away from them is refused.

use super::Gateway;
use super::evolve::next_schema;
use super::filter::{self, ReadAs};
use super::schemas::{EventSchema, Refusal, Status};
use crate::format::check_reads;
use crate::registry::Incompatibility;
use crate::topology::{EventName, EventUse};
use std::sync::Arc;

/// What a schema takes away from those who use its event, if the event is read with it.
pub fn broken(gateway: &Gateway, next: &EventSchema) -> Vec<Incompatibility> {
    let Some(now) = gateway.schemas.available(&next.event) else { return Vec::new() };
    let mut found = Vec::new();
    for (name, text) in filters(gateway, &next.event) {
        if let Err(error) = filter::check(&text, next) {
            let fields = filter::check(&text, &now).unwrap_or_default().join(", ");
            let message = format!("subscription {name} filters by {fields}: {}", error.message);
            found.push(Incompatibility::new("FIELD_IN_USE", fields, message));
        }
    }
    let Ok(read_as) = filter::read_as(next) else { return found };
    for of in gateway.uses(&next.event) {
        found.extend(of.reads.iter().filter_map(|column| {
            let why = missing(&read_as, column)?;
            let message = format!("query {} reads {}: {why}", of.query, column.name);
            Some(Incompatibility::new("FIELD_IN_USE", column.name.clone(), message))
        }));
    }
    found
}

/// Why a column cannot be read as it is, with a schema.
fn missing(read_as: &ReadAs, column: &crate::types::ColumnDef) -> Option<String> {
    let Some(field) = read_as.columns.iter().find(|field| field.name == column.name) else {
        return Some(format!("unknown column {}", column.name));
    };
    let is_read = field.ty == column.ty || check_reads(read_as.format, &read_as.schema, &[column]).is_ok();
    (!is_read).then(|| format!("it is {} there, not {}", field.ty, column.ty))
}

/// Name and predicate of an event's subscriptions that have one.
fn filters(gateway: &Gateway, event: &EventName) -> Vec<(String, String)> {
    let all = gateway.subscriptions.all().into_iter().filter(|s| s.spec.event == *event);
    all.filter_map(|subscription| Some((subscription.name.clone(), subscription.spec.filter.clone()?)))
        .collect()
}

/// Whether a schema may become deprecated or retired: nobody publishes with it then who could not, and what
/// events are read with afterwards has all that is used.
pub fn check_status(
    gateway: &Gateway,
    schema: &Arc<EventSchema>,
    status: Status,
) -> std::result::Result<(), Refusal> {
    let event = &schema.event;
    let uses = gateway.uses(event);
    let mut found = Vec::new();
    if status == Status::Retired {
        let writes = |of: &&EventUse| of.publishes.is_some() && of.publishes == schema.confluent_id;
        found.extend(uses.iter().filter(writes).map(|of| {
            let message = format!("query {} publishes with it: TERMINATE {}; first", of.query, of.query);
            Incompatibility::new("SCHEMA_IN_USE", "/", message)
        }));
    }
    let is_available = gateway.schemas.available(event).is_some_and(|now| now.id == schema.id);
    match next_schema(gateway, schema, status) {
        _ if !is_available => {}
        Some(other) if other.id == schema.id => {}
        Some(other) => found.extend(broken(gateway, &other)),
        None => {
            let reads = uses.iter().filter(|of| !of.reads.is_empty()).map(|of| format!("query {}", of.query));
            let filters = filters(gateway, event).into_iter().map(|(name, _)| format!("subscription {name}"));
            found.extend(reads.chain(filters).map(|user| {
                let message =
                    format!("{user} reads {event}, which would have no schema: activate another one first");
                Incompatibility::new("SCHEMA_IN_USE", "/", message)
            }));
        }
    }
    if found.is_empty() {
        return Ok(());
    }
    let details: Vec<String> = found.iter().map(|one| one.message.clone()).collect();
    let message = format!("schema {} is in use: {}", schema.id, details.join("; "));
    Err(Refusal { message, found })
}

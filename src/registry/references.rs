//! All that a schema refers to, directly or not.

use super::fault::Fault;
use super::model::{Reference, Schema};
use std::sync::Arc;

/// References deeper than this are refused; a cycle is.
const DEPTH_MAX: usize = 32;

/// Under the names that texts use; what is referred to comes first. `referred` finds what one reference
/// means.
pub fn closure<E: From<Fault>>(
    schema: &Schema,
    referred: &mut impl FnMut(&Reference) -> Result<Arc<Schema>, E>,
) -> Result<Vec<(String, Arc<Schema>)>, E> {
    let mut needed = Vec::new();
    collect(schema, referred, &mut needed, 0)?;
    Ok(needed)
}

fn collect<E: From<Fault>>(
    schema: &Schema,
    referred: &mut impl FnMut(&Reference) -> Result<Arc<Schema>, E>,
    needed: &mut Vec<(String, Arc<Schema>)>,
    depth: usize,
) -> Result<(), E> {
    if depth > DEPTH_MAX {
        return Err(Fault::invalid_schema("its references are nested too deeply").into());
    }
    for reference in &schema.references {
        if needed.iter().any(|(name, _)| *name == reference.name) {
            continue;
        }
        let schema = referred(reference)?;
        collect(&schema, referred, needed, depth + 1)?;
        needed.push((reference.name.clone(), schema));
    }
    Ok(())
}

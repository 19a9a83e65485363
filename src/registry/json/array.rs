//! Arrays: items of one schema, or the first ones by position (`prefixItems`, or `items` in a row).

use super::bounds;
use super::document::Node;
use super::read::{Comparison, Found};
use crate::registry::model::Incompatibility;
use serde_json::Value;

static TRUE: Value = Value::Bool(true);

/// The items by position, and the schema of those behind them.
struct Items<'a> {
    first: Vec<Node<'a>>,
    rest: Node<'a>,
}

impl<'a> Items<'a> {
    fn of(node: Node<'a>) -> Items<'a> {
        let (first, rest) = match (node.list("prefixItems"), node.list("items")) {
            (Some(first), _) => (first, node.get("items")),
            (None, Some(first)) => (first, node.get("additionalItems")),
            (None, None) => (Vec::new(), node.get("items")),
        };
        Items { first, rest: rest.unwrap_or(node.with(&TRUE)) }
    }

    fn at(&self, i: usize) -> Node<'a> {
        self.first.get(i).copied().unwrap_or(self.rest)
    }
}

pub fn covers(comparison: &mut Comparison, reader: Node, writer: Node, path: &str) -> Found {
    let mut found = bounds::items(reader, writer, path);
    if is_unique(reader) && !is_unique(writer) {
        let message = "only the reader wants the items to differ";
        found.push(Incompatibility::new("UNIQUE_ITEMS_ADDED", format!("{path}/uniqueItems"), message));
    }
    let (taken, written) = (Items::of(reader), Items::of(writer));
    for i in 0..taken.first.len().max(written.first.len()) {
        found.extend(item(comparison, &taken, &written, i, path));
    }
    found.extend(rest(comparison, taken.rest, written.rest, path));
    found
}

fn item(comparison: &mut Comparison, taken: &Items, written: &Items, i: usize, path: &str) -> Found {
    let path = format!("{path}/items/{i}");
    let one = |rule, message: &str| vec![Incompatibility::new(rule, path.clone(), message)];
    let is_new = i >= written.first.len();
    if taken.at(i).is_closed() && !written.at(i).is_closed() {
        return one("ITEM_REMOVED_FROM_CLOSED_CONTENT_MODEL", "the reader takes no item here");
    }
    if is_new && written.rest.is_open() && !taken.at(i).is_open() {
        return one("ITEM_ADDED_TO_OPEN_CONTENT_MODEL", "the writer takes any item here");
    }
    comparison.covers(taken.at(i), written.at(i), &path)
}

fn rest(comparison: &mut Comparison, taken: Node, written: Node, path: &str) -> Found {
    let path = format!("{path}/items");
    if taken.is_closed() && !written.is_closed() {
        let message = "the writer takes more items than the reader";
        return vec![Incompatibility::new("ADDITIONAL_ITEMS_REMOVED", path, message)];
    }
    if written.is_open() && !taken.is_open() {
        let message = "the writer takes any items, the reader does not";
        return vec![Incompatibility::new("ADDITIONAL_ITEMS_NARROWED", path, message)];
    }
    comparison.covers(taken, written, &path)
}

fn is_unique(node: Node) -> bool {
    node.value.get("uniqueItems") == Some(&TRUE)
}

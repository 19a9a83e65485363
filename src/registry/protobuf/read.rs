//! Messages, enums and oneofs: can what the writer's schema allows be read with the reader's?

use super::Document;
use super::field::{self, Referred};
use crate::registry::model::Incompatibility;
use prost_reflect::{EnumDescriptor, FieldDescriptor, FileDescriptor, MessageDescriptor, OneofDescriptor};
use std::collections::HashSet;

pub type Found = Vec<Incompatibility>;

/// Everything that stands in the way; nothing if the writer's data can be read.
pub fn read(reader: &Document, writer: &Document) -> Found {
    let (reader, writer) = (&reader.file, &writer.file);
    if reader.package_name() != writer.package_name() {
        let message = format!(
            "the reader's package is `{}`, the writer's `{}`",
            reader.package_name(),
            writer.package_name()
        );
        return vec![Incompatibility::new("PACKAGE_CHANGED", "/", message)];
    }
    let mut comparison = Comparison { met: HashSet::new(), waiting: Vec::new(), found: Vec::new() };
    comparison.files(reader, writer);
    while let Some((reader, writer, path)) = comparison.waiting.pop() {
        comparison.message(&reader, &writer, &path);
    }
    comparison.found
}

struct Comparison {
    /// Pairs of messages that are done, or being done further up.
    met: HashSet<(String, String)>,
    /// Messages that fields refer to. They wait, since a long chain of them would fill the stack.
    waiting: Vec<(MessageDescriptor, MessageDescriptor, String)>,
    found: Found,
}

impl Comparison {
    fn files(&mut self, reader: &FileDescriptor, writer: &FileDescriptor) {
        let readers: Vec<_> = reader.messages().collect();
        self.messages(&readers, writer.messages().collect(), "");
        self.enums(reader.enums().collect(), writer.enums().collect(), "");
    }

    fn messages(&mut self, readers: &[MessageDescriptor], writers: Vec<MessageDescriptor>, path: &str) {
        for writer in writers.iter().filter(|message| !message.is_map_entry()) {
            match readers.iter().find(|reader| reader.name() == writer.name()) {
                Some(reader) => self.message(reader, writer, &join(path, writer.name())),
                None => self.note(
                    "MESSAGE_REMOVED",
                    &join(path, writer.name()),
                    format!("the reader has no message {}", writer.name()),
                ),
            }
        }
    }

    fn message(&mut self, reader: &MessageDescriptor, writer: &MessageDescriptor, path: &str) {
        if !self.met.insert((reader.full_name().into(), writer.full_name().into())) {
            return;
        }
        for field in writer.fields() {
            self.written_field(reader, &field, path);
        }
        for field in reader.fields().filter(field::is_required) {
            if writer.get_field(field.number()).is_none() {
                let message = format!("the reader requires field {}, which the writer lacks", field.number());
                self.note("REQUIRED_FIELD_ADDED", &join(path, field.name()), message);
            }
        }
        self.oneofs(reader, writer, path);
        let readers: Vec<_> = reader.child_messages().collect();
        self.messages(&readers, writer.child_messages().collect(), path);
        self.enums(reader.child_enums().collect(), writer.child_enums().collect(), path);
    }

    fn written_field(&mut self, reader: &MessageDescriptor, writer: &FieldDescriptor, path: &str) {
        let path = join(path, writer.name());
        match reader.get_field(writer.number()) {
            Some(reader) => {
                self.found.extend(field::read(&reader, writer, &path));
                match field::referred(&reader, writer) {
                    Some(Referred::Messages(reader, writer)) => self.waiting.push((reader, writer, path)),
                    Some(Referred::Enums(reader, writer)) => self.enumeration(&reader, &writer, &path),
                    None => {}
                }
            }
            None if field::is_required(writer) => {
                let message = format!("the reader lacks the required field {}", writer.number());
                self.note("REQUIRED_FIELD_REMOVED", &path, message);
            }
            // Skipped as an unknown field.
            None => {}
        }
    }

    fn oneofs(&mut self, reader: &MessageDescriptor, writer: &MessageDescriptor, path: &str) {
        for oneof in writer.oneofs().filter(|oneof| !oneof.is_synthetic()) {
            if let Some(kept) = reader.oneofs().find(|o| !o.is_synthetic() && o.name() == oneof.name()) {
                self.shrunk(&kept, &oneof, path);
            }
        }
        for oneof in reader.oneofs().filter(|oneof| !oneof.is_synthetic()) {
            let before = writer.oneofs().find(|o| !o.is_synthetic() && o.name() == oneof.name());
            self.grown(&oneof, before.as_ref(), writer, path);
        }
    }

    fn shrunk(&mut self, reader: &OneofDescriptor, writer: &OneofDescriptor, path: &str) {
        for field in writer.fields() {
            if !reader.fields().any(|kept| kept.number() == field.number()) {
                let message = format!("the reader's oneof {} lacks field {}", reader.name(), field.number());
                self.note("ONEOF_FIELD_REMOVED", &join(path, field.name()), message);
            }
        }
    }

    /// Fields that were independent of each other lose all but the last when they share a oneof.
    fn grown(
        &mut self,
        reader: &OneofDescriptor,
        before: Option<&OneofDescriptor>,
        writer: &MessageDescriptor,
        path: &str,
    ) {
        let is_moved = |field: &FieldDescriptor| {
            writer.get_field(field.number()).is_some()
                && !before.is_some_and(|oneof| oneof.fields().any(|f| f.number() == field.number()))
        };
        let moved: Vec<_> = reader.fields().filter(is_moved).collect();
        let from: HashSet<_> = moved.iter().map(|field| home(writer, field)).collect();
        if before.is_some() {
            for field in &moved {
                let message = format!(
                    "field {} is in the reader's oneof {}, but not in the writer's",
                    field.number(),
                    reader.name()
                );
                self.note("FIELD_MOVED_TO_EXISTING_ONEOF", &join(path, field.name()), message);
            }
        // All from one oneof into another: it was renamed.
        } else if moved.len() > 1 && (from.len() > 1 || from.contains(&None)) {
            let names: Vec<_> = moved.iter().map(|field| field.name()).collect();
            let message = format!("{} share a oneof with the reader only", names.join(", "));
            self.note("MULTIPLE_FIELDS_MOVED_TO_ONEOF", &join(path, reader.name()), message);
        }
    }

    fn enums(&mut self, readers: Vec<EnumDescriptor>, writers: Vec<EnumDescriptor>, path: &str) {
        for writer in writers {
            if let Some(reader) = readers.iter().find(|reader| reader.name() == writer.name()) {
                self.enumeration(reader, &writer, &join(path, writer.name()));
            }
        }
    }

    fn enumeration(&mut self, reader: &EnumDescriptor, writer: &EnumDescriptor, path: &str) {
        if !self.met.insert((reader.full_name().into(), writer.full_name().into())) {
            return;
        }
        for constant in writer.values() {
            let Some(moved) = reader.values().find(|value| value.name() == constant.name()) else { continue };
            if moved.number() != constant.number() {
                let message = format!(
                    "the reader has it as number {}, the writer as {}",
                    moved.number(),
                    constant.number()
                );
                self.note("ENUM_CONST_NUMBER_CHANGED", &join(path, constant.name()), message);
            }
        }
    }

    fn note(&mut self, rule: &'static str, path: &str, message: String) {
        self.found.push(Incompatibility::new(rule, path, message));
    }
}

/// The oneof that the writer has a field in.
fn home(writer: &MessageDescriptor, field: &FieldDescriptor) -> Option<String> {
    let oneof = writer.get_field(field.number())?.containing_oneof()?;
    (!oneof.is_synthetic()).then(|| oneof.name().to_string())
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.into() } else { format!("{path}.{name}") }
}

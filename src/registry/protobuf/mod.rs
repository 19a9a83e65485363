//! Protobuf: texts (or descriptors in base64, which some clients register), and their comparison.
//!
//! The rules are Confluent's: what keeps its bytes readable on the wire and its types by their names.
//! Stricter than Confluent's in one: an enum constant that moves to another number is refused, since
//! formats that write the constant's name would read another one.

mod bundled;
mod field;
mod read;
#[cfg(test)]
mod tests;

pub use read::read;

use super::parsed::Needed;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bundled::Bundled;
use prost::Message;
use prost_reflect::prost_types::FileDescriptorProto;
use prost_reflect::{DescriptorPool, FileDescriptor, MessageDescriptor};
use protox::Compiler;
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver};
use std::collections::HashMap;

/// What the text itself is called among its imports; no import is called so.
const ROOT: &str = "(schema).proto";

pub struct Document {
    file: FileDescriptor,
}

impl Document {
    pub fn parse(text: &str, needed: &Needed) -> Result<Document, String> {
        let mut texts: HashMap<String, String> =
            needed.iter().map(|(name, schema)| (name.clone(), schema.text.clone())).collect();
        texts.insert(ROOT.into(), text.into());
        let mut resolver = ChainFileResolver::new();
        resolver.add(Texts(texts));
        resolver.add(GoogleFileResolver::new());
        resolver.add(Bundled);
        let mut compiler = Compiler::with_file_resolver(resolver);
        compiler.include_imports(true);
        compiler.open_file(ROOT).map_err(|e| said(&e))?;
        let pool: DescriptorPool = compiler.descriptor_pool();
        let file = pool.get_file_by_name(ROOT).ok_or("the compiler lost it")?;
        if file.messages().len() == 0 && file.enums().len() == 0 {
            return Err("it defines no message".into());
        }
        Ok(Document { file })
    }

    /// The message at a path of indices, as messages on the wire name theirs: among those of the file, then
    /// among those within the one before. Entries of maps do not count.
    pub fn message(&self, path: &[usize]) -> Option<MessageDescriptor> {
        let (first, rest) = path.split_first()?;
        let outer = self.file.messages().nth(*first)?;
        rest.iter().try_fold(outer, |outer, index| {
            let mut inner = outer.child_messages().filter(|message| !message.is_map_entry());
            inner.nth(*index)
        })
    }

    /// The message of a full name.
    pub fn message_named(&self, name: &str) -> Option<MessageDescriptor> {
        self.file.parent_pool().get_message_by_name(name).filter(|m| m.parent_file() == self.file)
    }

    /// The descriptor without comments and places, in base64.
    pub fn canonical(&self) -> String {
        let mut proto = self.file.file_descriptor_proto().clone();
        proto.source_code_info = None;
        proto.name = None;
        STANDARD.encode(proto.encode_to_vec())
    }
}

/// The indices that lead to a message, as [`Document::message`] takes them.
pub fn path_of(message: &MessageDescriptor) -> Vec<usize> {
    let index = |siblings: &mut dyn Iterator<Item = MessageDescriptor>| {
        siblings.filter(|sibling| !sibling.is_map_entry()).take_while(|sibling| sibling != message).count()
    };
    match message.parent_message() {
        Some(outer) => {
            let mut path = path_of(&outer);
            path.push(index(&mut outer.child_messages()));
            path
        }
        None => vec![index(&mut message.parent_file().messages())],
    }
}

/// The text and its references.
struct Texts(HashMap<String, String>);

impl FileResolver for Texts {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        let text = self.0.get(name).ok_or_else(|| protox::Error::file_not_found(name))?;
        match descriptor(text) {
            Some(mut proto) => {
                proto.name = Some(name.into());
                Ok(File::from_file_descriptor_proto(proto))
            }
            None => File::from_source(name, text),
        }
    }
}

/// No Protobuf text is base64: it has at least a space or a semicolon.
fn descriptor(text: &str) -> Option<FileDescriptorProto> {
    let bytes = STANDARD.decode(text.trim()).ok()?;
    FileDescriptorProto::decode(bytes.as_slice()).ok()
}

fn said(error: &protox::Error) -> String {
    // With its places, where it has some; the name that we gave it says nothing to anybody.
    format!("{error:#?}").lines().next().unwrap_or_default().replace(&format!("{ROOT}:"), "")
}

//! Schema resolution: can data of the writer's schema be read with the reader's?

use super::{Decimal, Document, Field, Logical, Named, Primitive, Shape, Type};
use crate::registry::model::Incompatibility;
use std::collections::HashMap;

/// Everything that stands in the way; nothing if the writer's data can be read.
pub fn read(reader: &Document, writer: &Document) -> Vec<Incompatibility> {
    let mut resolution = Resolution { reader, writer, known: HashMap::new(), depth: 0 };
    let path = match &reader.root {
        Type::Named(name) => name.rsplit('.').next().unwrap_or(name).to_string(),
        _ => "/".into(),
    };
    resolution.resolve(&reader.root, &writer.root, &path)
}

struct Resolution<'a> {
    reader: &'a Document,
    writer: &'a Document,
    /// Pairs of named types that were met: a pair that is met again inside itself, or after it was
    /// reported, adds nothing, but a union has to know whether it fits.
    known: HashMap<(&'a str, &'a str), bool>,
    depth: usize,
}

/// Chains of named types that are longer are not followed, since they would fill the stack.
const DEPTH_MAX: usize = 500;

type Found = Vec<Incompatibility>;

impl<'a> Resolution<'a> {
    fn resolve(&mut self, reader: &'a Type, writer: &'a Type, path: &str) -> Found {
        match (reader, writer) {
            // Whatever branch was written must be readable.
            (_, Type::Union(branches)) => {
                branches.iter().flat_map(|branch| self.branch(reader, branch, path)).collect()
            }
            (Type::Union(branches), _) => self.branches(branches, writer, path),
            (Type::Primitive(r, rd), Type::Primitive(w, wd)) => primitive(*r, *w, path)
                .into_iter()
                .chain(decimals(decimal(*rd), decimal(*wd), path))
                .collect(),
            (Type::Array(r), Type::Array(w)) => self.resolve(r, w, &format!("{path}[]")),
            (Type::Map(r), Type::Map(w)) => self.resolve(r, w, &format!("{path}{{}}")),
            (Type::Named(r), Type::Named(w)) => self.named(r, w, path),
            _ => vec![mismatch(reader, writer, path)],
        }
    }

    /// One branch of a writer's union.
    fn branch(&mut self, reader: &'a Type, branch: &'a Type, path: &str) -> Found {
        match reader {
            Type::Union(_) => self.resolve(reader, branch, path),
            _ => {
                let found = self.resolve(reader, branch, path);
                let is_outright = found.iter().any(|i| i.rule == "TYPE_MISMATCH" && i.path == path);
                if !is_outright {
                    return found;
                }
                let message = format!(
                    "the writer's union may hold {}, which the reader's {} does not take",
                    branch.name(),
                    reader.name()
                );
                vec![Incompatibility::new("MISSING_UNION_BRANCH", path, message)]
            }
        }
    }

    fn branches(&mut self, branches: &'a [Type], writer: &'a Type, path: &str) -> Found {
        let mut of_same_name = None;
        for branch in branches {
            let found = self.resolve(branch, writer, path);
            if found.is_empty() {
                return found;
            }
            if branch.name() == writer.name() && !matches!(writer, Type::Primitive(..)) {
                of_same_name = Some(found);
            }
        }
        // Of a record that is there but cannot be read, its field is the news.
        of_same_name.unwrap_or_else(|| {
            let names: Vec<_> = branches.iter().map(Type::name).collect();
            let message =
                format!("the reader's union [{}] lacks the writer's {}", names.join(", "), writer.name());
            vec![Incompatibility::new("MISSING_UNION_BRANCH", path, message)]
        })
    }

    fn named(&mut self, r: &'a str, w: &'a str, path: &str) -> Found {
        let (Some(reader), Some(writer)) = (self.reader.named.get(r), self.writer.named.get(w)) else {
            return Vec::new();
        };
        match self.known.get(&(r, w)) {
            Some(true) => return Vec::new(),
            Some(false) => {
                let message = format!("{w} cannot be read as {r}, as said elsewhere");
                return vec![Incompatibility::new("TYPE_MISMATCH", path, message)];
            }
            None => drop(self.known.insert((r, w), true)),
        }
        self.depth += 1;
        let found = match name_mismatch(reader, writer, w, path) {
            Some(mismatch) => vec![mismatch],
            None if self.depth > DEPTH_MAX => {
                vec![Incompatibility::new("TOO_DEEP", path, "the types are nested too deeply to compare")]
            }
            None => self.shapes(reader, writer, path),
        };
        self.depth -= 1;
        self.known.insert((r, w), found.is_empty());
        found
    }

    fn shapes(&mut self, reader: &'a Named, writer: &'a Named, path: &str) -> Found {
        match (&reader.shape, &writer.shape) {
            (Shape::Record(r), Shape::Record(w)) => {
                r.iter().flat_map(|field| self.field(field, w, path)).collect()
            }
            (Shape::Enum { symbols, default }, Shape::Enum { symbols: written, .. }) => {
                missing_symbols(symbols, default.is_some(), written, path).into_iter().collect()
            }
            (Shape::Fixed { size: r, decimal: rd }, Shape::Fixed { size: w, decimal: wd }) => {
                let sizes = (r != w).then(|| {
                    let message = format!("the reader's size is {r}, the writer's {w}");
                    Incompatibility::new("FIXED_SIZE_MISMATCH", path, message)
                });
                sizes.into_iter().chain(decimals(*rd, *wd, path)).collect()
            }
            _ => {
                let message = format!("the reader has {}, the writer {}", kind(reader), kind(writer));
                vec![Incompatibility::new("TYPE_MISMATCH", path, message)]
            }
        }
    }

    fn field(&mut self, field: &'a Field, written: &'a [Field], path: &str) -> Found {
        let path = format!("{path}.{}", field.name);
        let source = written.iter().find(|w| w.name == field.name);
        let source = source.or_else(|| written.iter().find(|w| field.aliases.contains(&w.name)));
        match source {
            Some(source) => self.resolve(&field.ty, &source.ty, &path),
            None if field.has_default => Vec::new(),
            None => {
                let message = format!("the writer has no field {}, and it has no default", field.name);
                vec![Incompatibility::new("READER_FIELD_MISSING_DEFAULT_VALUE", path, message)]
            }
        }
    }
}

fn primitive(reader: Primitive, writer: Primitive, path: &str) -> Option<Incompatibility> {
    use Primitive::*;
    let is_read = reader == writer
        || matches!(
            (writer, reader),
            (Int, Long | Float | Double) | (Long, Float | Double) | (Float, Double)
        )
        || matches!((writer, reader), (String, Bytes) | (Bytes, String));
    (!is_read).then(|| {
        let message = format!("the reader has {}, the writer {}", reader.name(), writer.name());
        Incompatibility::new("TYPE_MISMATCH", path, message)
    })
}

fn decimal(logical: Option<Logical>) -> Option<Decimal> {
    if let Some(Logical::Decimal(decimal)) = logical { Some(decimal) } else { None }
}

/// Where both are decimals they must be the same; where one is not, bytes are read as bytes.
fn decimals(reader: Option<Decimal>, writer: Option<Decimal>, path: &str) -> Option<Incompatibility> {
    let (reader, writer) = (reader?, writer?);
    (reader != writer).then(|| {
        let message = format!(
            "the reader's decimal is ({}, {}), the writer's ({}, {})",
            reader.precision, reader.scale, writer.precision, writer.scale
        );
        Incompatibility::new("DECIMAL_MISMATCH", path, message)
    })
}

fn name_mismatch(reader: &Named, writer: &Named, full: &str, path: &str) -> Option<Incompatibility> {
    let is_same = reader.name == writer.name || reader.aliases.iter().any(|alias| alias == full);
    (!is_same).then(|| {
        let message =
            format!("the writer's {full} is neither the reader's {} nor an alias of it", reader.name);
        Incompatibility::new("NAME_MISMATCH", path, message)
    })
}

fn missing_symbols(
    symbols: &[String],
    has_default: bool,
    written: &[String],
    path: &str,
) -> Option<Incompatibility> {
    let missing: Vec<_> = written.iter().filter(|s| !symbols.contains(s)).map(String::as_str).collect();
    (!missing.is_empty() && !has_default).then(|| {
        let message = format!("the reader lacks the symbols {}, and has no default", missing.join(", "));
        Incompatibility::new("MISSING_ENUM_SYMBOLS", path, message)
    })
}

fn mismatch(reader: &Type, writer: &Type, path: &str) -> Incompatibility {
    let message = format!("the reader has {}, the writer {}", reader.name(), writer.name());
    Incompatibility::new("TYPE_MISMATCH", path, message)
}

fn kind(named: &Named) -> &'static str {
    match named.shape {
        Shape::Record(_) => "a record",
        Shape::Enum { .. } => "an enum",
        Shape::Fixed { .. } => "a fixed",
    }
}

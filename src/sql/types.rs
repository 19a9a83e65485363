//! The grammar of types.

use super::hint::nearest;
use super::lexer::TokenKind;
use super::parser::Parser;
use crate::error::{Error, Result, Span};
use crate::types::{SqlType, StructField};

const NAMES: &[&str] = &[
    "BOOLEAN",
    "INT",
    "INTEGER",
    "BIGINT",
    "DOUBLE",
    "DECIMAL",
    "VARCHAR",
    "STRING",
    "BYTES",
    "DATE",
    "TIME",
    "TIMESTAMP",
    "ARRAY",
    "MAP",
    "STRUCT",
];

/// Types of other dialects and what they are called here.
const FOREIGN: &[(&str, &str)] = &[
    ("TEXT", "STRING"),
    ("CHAR", "STRING"),
    ("NVARCHAR", "STRING"),
    ("UUID", "STRING"),
    ("JSON", "STRING"),
    ("BOOL", "BOOLEAN"),
    ("TINYINT", "INT"),
    ("SMALLINT", "INT"),
    ("LONG", "BIGINT"),
    ("FLOAT", "DOUBLE"),
    ("REAL", "DOUBLE"),
    ("NUMERIC", "DECIMAL(p, s)"),
    ("NUMBER", "DECIMAL(p, s)"),
    ("DATETIME", "TIMESTAMP"),
    ("TIMESTAMPTZ", "TIMESTAMP"),
    ("BLOB", "BYTES"),
    ("BINARY", "BYTES"),
    ("VARBINARY", "BYTES"),
];

impl Parser<'_> {
    /// A type, of the thing that `of` names in errors.
    pub(super) fn sql_type(&mut self, of: &str) -> Result<SqlType> {
        let (TokenKind::Word(name) | TokenKind::Quoted(name)) = self.peek() else {
            return Err(self.expected(&format!("the type of {of}"), &[]));
        };
        let (name, span) = (name.clone(), self.span());
        if let Some(ty) = self.known.types.get(&name).cloned() {
            self.advance();
            return Ok(ty);
        }
        let is_word = matches!(self.peek(), TokenKind::Word(_));
        if !is_word || !NAMES.contains(&name.as_str()) {
            let own: Vec<&str> = self.known.types.keys().map(String::as_str).collect();
            return Err(unknown_type(self.source(span), &name, span, &own));
        }
        self.advance();
        match name.as_str() {
            "BOOLEAN" => Ok(SqlType::Boolean),
            "INT" | "INTEGER" => Ok(SqlType::Int),
            "BIGINT" => Ok(SqlType::Bigint),
            "DOUBLE" => Ok(SqlType::Double),
            "BYTES" => Ok(SqlType::Bytes),
            "DATE" => Ok(SqlType::Date),
            "TIME" => Ok(SqlType::Time),
            "TIMESTAMP" => Ok(SqlType::Timestamp),
            "DECIMAL" => self.decimal(span),
            "ARRAY" => self.array_type(),
            "MAP" => self.map_type(),
            "STRUCT" => self.struct_type(),
            _ => self.varchar(),
        }
    }

    /// VARCHAR and STRING; a length is allowed and means nothing.
    fn varchar(&mut self) -> Result<SqlType> {
        let open = self.span();
        if self.eat("(") {
            self.count("a length")?;
            self.close(open, ")")?;
        }
        Ok(SqlType::Varchar)
    }

    fn decimal(&mut self, name: Span) -> Result<SqlType> {
        const EXAMPLE: &str = "DECIMAL takes a precision and a scale, as in DECIMAL(10, 2)";
        let open = self.span();
        if !self.eat("(") {
            return Err(self.expected("`(`", &[]).hint(EXAMPLE));
        }
        let precision = self.count("a precision")?;
        if !self.eat(",") {
            return Err(self.expected("`,`", &[]).hint(EXAMPLE));
        }
        let scale = self.count("a scale")?;
        self.close(open, ")")?;
        match (u8::try_from(precision), u8::try_from(scale)) {
            (Ok(precision @ 1..=38), Ok(scale)) if scale <= precision => {
                Ok(SqlType::Decimal { precision, scale })
            }
            _ => Err(Error::syntax(format!("DECIMAL({precision}, {scale}) does not exist"))
                .at(self.since(name))
                .hint("the precision is 1 to 38, the scale 0 to the precision")),
        }
    }

    fn array_type(&mut self) -> Result<SqlType> {
        let open = self.open_angle("ARRAY", "ARRAY<STRING>")?;
        let item = self.nested(|p| p.sql_type("the array's items"))?;
        self.close(open, ">")?;
        Ok(SqlType::Array(Box::new(item)))
    }

    fn map_type(&mut self) -> Result<SqlType> {
        let open = self.open_angle("MAP", "MAP<STRING, INT>")?;
        let key = self.nested(|p| p.sql_type("the map's keys"))?;
        if !self.eat(",") {
            return Err(self.expected("`,`", &[]).hint("MAP takes two types, as in MAP<STRING, INT>"));
        }
        let value = self.nested(|p| p.sql_type("the map's values"))?;
        self.close(open, ">")?;
        Ok(SqlType::Map(Box::new(key), Box::new(value)))
    }

    fn struct_type(&mut self) -> Result<SqlType> {
        let open = self.open_angle("STRUCT", "STRUCT<name STRING, age INT>")?;
        let fields = self.list(open, ">", |p| {
            let name = p.ident("a field name")?;
            let ty = p.nested(|p| p.sql_type(&name.name))?;
            Ok((name, ty))
        })?;
        let mut out: Vec<StructField> = Vec::with_capacity(fields.len());
        for (name, ty) in fields {
            if out.iter().any(|f| f.name == name.name) {
                return Err(Error::syntax(format!("the field {} is there twice", name.name)).at(name.span));
            }
            out.push(StructField { name: name.name, ty });
        }
        Ok(SqlType::Struct(out))
    }

    fn open_angle(&mut self, name: &str, example: &str) -> Result<Span> {
        let open = self.span();
        if self.eat("<") {
            return Ok(open);
        }
        Err(self.expected("`<`", &[]).hint(format!("{name} is written as in {example}")))
    }
}

/// Whether a name is that of a type of the dialect.
pub(super) fn is_type(name: &str) -> bool {
    NAMES.contains(&name)
}

fn unknown_type(written: &str, name: &str, span: Span, own: &[&str]) -> Error {
    let error = Error::syntax(format!("there is no type {written}")).at(span);
    if let Some((_, ours)) = FOREIGN.iter().find(|(foreign, _)| *foreign == name) {
        return error.hint(format!("here it is {ours}"));
    }
    match nearest(name, NAMES).or(nearest(name, own)) {
        Some(meant) => error.hint(format!("did you mean {meant}?")),
        None => error.hint(
            "types are BOOLEAN, INT, BIGINT, DOUBLE, DECIMAL(p, s), STRING, BYTES, DATE, TIME, TIMESTAMP, \
             ARRAY<T>, MAP<K, V>, STRUCT<name T, …>, and those that CREATE TYPE makes",
        ),
    }
}

//! The grammar of CREATE and INSERT, with their columns and properties.

use super::ast::{ColumnSpec, Literal, Properties, Property, SourceKind, Statement};
use super::hint::{Missing, missing};
use super::lexer::TokenKind;
use super::parser::Parser;
use super::types::is_type;
use crate::error::{Error, Result};
use crate::types::Part;

impl Parser<'_> {
    pub(super) fn create(&mut self) -> Result<Statement> {
        self.advance();
        let or_replace = self.eat_word("OR");
        if or_replace {
            self.expect_word("REPLACE")?;
        }
        if !or_replace && self.eat_word("TYPE") {
            return self.create_type();
        }
        if self.at_sink_connector() && !or_replace {
            return self.create_connector();
        }
        self.created_otherwise()?;
        let source = self.span();
        let read_only = self.eat_word("SOURCE");
        if or_replace && read_only {
            let message = "SOURCE marks data that is only read: it is created once and not replaced";
            return Err(Error::syntax(message).at(source).hint("leave OR REPLACE out, and DROP the old one"));
        }
        let kind = self.source_kind()?;
        // `IF` may also be the name.
        let if_not_exists = self.at_words(&["IF", "NOT"]) && self.eat_word("IF") && self.eat_word("NOT");
        if if_not_exists {
            self.expect_word("EXISTS")?;
        }
        let name = self.source_name()?;
        let declared = self.at("(");
        let columns = if declared { self.columns(kind)? } else { Vec::new() };
        let described = self.at_word("WITH");
        let with = if described { self.properties()? } else { Vec::new() };
        if (declared && !described && (self.at(";") || self.at_end())) || (described && !self.at_word("AS")) {
            return Ok(Statement::CreateSource {
                kind,
                read_only,
                or_replace,
                if_not_exists,
                name,
                columns,
                with,
            });
        }
        if self.at_word("AS") {
            if declared {
                let hint = "the columns of CREATE … AS SELECT come from the query: leave the list out";
                return Err(self.expected("WITH", &[]).hint(hint));
            }
            if read_only {
                let message = "SOURCE marks data that is only read, and AS SELECT writes";
                return Err(Error::syntax(message).at(source).hint("leave SOURCE out"));
            }
            self.advance();
            let query = self.query_here()?;
            return Ok(Statement::CreateAs { kind, or_replace, if_not_exists, name, with, query });
        }
        let what = if declared { "WITH" } else { "columns in parentheses, WITH or AS SELECT" };
        Err(self.expected(what, &["WITH", "AS"]))
    }

    /// Behind CREATE TYPE.
    fn create_type(&mut self) -> Result<Statement> {
        let if_not_exists = self.at_words(&["IF", "NOT"]) && self.eat_word("IF") && self.eat_word("NOT");
        if if_not_exists {
            self.expect_word("EXISTS")?;
        }
        let name = self.ident("the name of a type")?;
        if is_type(&name.name) {
            let message = format!("{} is a type of the dialect already", name.name);
            return Err(Error::syntax(message).at(name.span).hint("give the type another name"));
        }
        self.expect_word("AS")?;
        let ty = self.sql_type(&name.name)?;
        Ok(Statement::CreateType { if_not_exists, name, ty })
    }

    /// Behind ALTER: the columns that a stream or table gets.
    pub(super) fn alter(&mut self) -> Result<Statement> {
        self.advance();
        if self.at_word("SYSTEM") {
            let hint = "SET changes a property for what follows";
            return Err(self.expected("STREAM or TABLE", &["STREAM", "TABLE"]).hint(hint));
        }
        let kind = self.source_kind()?;
        let name = self.source_name()?;
        let mut columns = Vec::new();
        loop {
            if !self.eat_word("ADD") {
                let hint = "columns can be added; for other changes CREATE OR REPLACE it";
                return Err(self.expected("ADD", &["ADD"]).hint(hint));
            }
            // `COLUMN` may also be the name.
            if self.at_word("COLUMN")
                && matches!(self.peek_ahead(2), TokenKind::Word(_) | TokenKind::Quoted(_))
            {
                self.advance();
            }
            columns.push(self.added_column()?);
            if !self.eat(",") {
                return Ok(Statement::Alter { kind, name, columns });
            }
        }
    }

    fn added_column(&mut self) -> Result<ColumnSpec> {
        let name = self.ident("a column name")?;
        let ty = self.sql_type(&name.name)?;
        if self.at_any(&["KEY", "PRIMARY", "HEADER", "HEADERS"]) {
            let hint = "a column that is added comes from the value";
            return Err(self.expected("`,` or the end of the statement", &[]).hint(hint));
        }
        Ok(ColumnSpec { name, ty, part: Part::Value })
    }

    /// What the dialect can create besides streams, tables and types.
    fn created_otherwise(&self) -> Result<()> {
        let what = if self.at_words(&["SOURCE", "CONNECTOR"])
            || self.at_words(&["SINK", "CONNECTOR"])
            || self.at_word("CONNECTOR")
        {
            Missing::Connector
        } else {
            return Ok(());
        };
        Err(missing(what, self.span()))
    }

    /// A query where nothing else can stand; one in parentheses gets its own message.
    fn query_here(&mut self) -> Result<super::ast::Query> {
        if self.at("(") {
            return Err(self.expected("SELECT", &[]).hint("leave the parentheses around the query out"));
        }
        self.query()
    }

    fn columns(&mut self, kind: SourceKind) -> Result<Vec<ColumnSpec>> {
        let open = self.expect("(")?;
        self.list(open, ")", |p| p.column(kind))
    }

    fn column(&mut self, kind: SourceKind) -> Result<ColumnSpec> {
        if self.at_words(&["PRIMARY", "KEY"]) && self.ahead_is(2, "(") {
            let hint = "write PRIMARY KEY behind the type of the column";
            return Err(self.expected("a column name", &[]).hint(hint));
        }
        let name = self.ident("a column name")?;
        let ty = self.sql_type(&name.name)?;
        if self.at_any(&["NOT", "NULL", "DEFAULT", "UNIQUE"]) {
            let hint = "a column has a name, a type and perhaps KEY, PRIMARY KEY or HEADERS; every value may be NULL";
            return Err(self.expected("`,` or `)`", &[]).hint(hint));
        }
        let part = self.part(kind)?;
        if self.at_any(&["KEY", "PRIMARY", "HEADER", "HEADERS"]) {
            let hint = "a column is of the key, of the value or of the headers";
            return Err(self.expected("`,` or `)`", &[]).hint(hint));
        }
        Ok(ColumnSpec { name, ty, part })
    }

    fn part(&mut self, kind: SourceKind) -> Result<Part> {
        if self.eat_word("HEADERS") {
            return Ok(Part::Headers);
        }
        if !self.eat_word("HEADER") {
            return self.key(kind);
        }
        self.expect("(")?;
        let name = self.text_literal("the name of a header in single quotes")?;
        self.expect(")")?;
        Ok(Part::Header(name))
    }

    /// Streams have keys, of which any number of records may have the same; in a table a key is unique.
    fn key(&mut self, kind: SourceKind) -> Result<Part> {
        let start = self.span();
        let primary = self.eat_word("PRIMARY");
        if primary {
            self.expect_word("KEY")?;
        } else if !self.eat_word("KEY") {
            return match self.peek() {
                TokenKind::Word(_) => {
                    Err(self.expected("`,` or `)`", &["KEY", "PRIMARY", "HEADER", "HEADERS"]))
                }
                _ => Ok(Part::Value),
            };
        }
        match (kind, primary) {
            (SourceKind::Stream, false) | (SourceKind::Table, true) => Ok(Part::Key),
            (SourceKind::Stream, true) => {
                Err(Error::syntax("a stream has no PRIMARY KEY").at(self.since(start)).hint("write KEY"))
            }
            (SourceKind::Table, false) => Err(Error::syntax("the key of a table is its PRIMARY KEY")
                .at(self.since(start))
                .hint("write PRIMARY KEY")),
        }
    }

    /// `WITH (NAME = literal, …)`
    pub(super) fn properties(&mut self) -> Result<Properties> {
        self.expect_word("WITH")?;
        let open = self.expect("(")?;
        let properties = self.list(open, ")", Self::property)?;
        for (i, property) in properties.iter().enumerate() {
            if properties[..i].iter().any(|p| p.name.name == property.name.name) {
                let message = format!("{} is given twice", property.name.name);
                return Err(Error::syntax(message).at(property.name.span));
            }
        }
        Ok(properties)
    }

    fn property(&mut self) -> Result<Property> {
        let mut name = self.ident("the name of a property")?;
        name.name = name.name.to_uppercase();
        self.expect("=")?;
        let start = self.span();
        let value = self.property_value()?;
        Ok(Property { name, value, value_span: self.since(start) })
    }

    pub(super) fn property_value(&mut self) -> Result<Literal> {
        let start = self.span();
        let negative = self.eat("-");
        if let Some(number) = self.number(negative, start)? {
            return Ok(number);
        }
        if negative {
            return Err(self.expected("a number", &[]));
        }
        const WHAT: &str = "a string, a number, TRUE or FALSE";
        let literal = match self.peek() {
            TokenKind::Word(word) if word == "TRUE" => Literal::Boolean(true),
            TokenKind::Word(word) if word == "FALSE" => Literal::Boolean(false),
            TokenKind::Word(_) => {
                let hint = format!("strings take single quotes: '{}'", self.source(start));
                return Err(self.expected(WHAT, &[]).hint(hint));
            }
            _ => return Ok(Literal::String(self.text_literal(WHAT)?)),
        };
        self.advance();
        Ok(literal)
    }

    pub(super) fn insert(&mut self) -> Result<Statement> {
        self.advance();
        self.expect_word("INTO")?;
        let target = self.source_name()?;
        let has_properties = self.at_word("WITH") && self.ahead_is(1, "(");
        let with = if has_properties { self.properties()? } else { Vec::new() };
        if self.at_any(&["SELECT", "WITH"]) {
            let query = self.query()?;
            return Ok(Statement::InsertSelect { target, with, query });
        }
        if !with.is_empty() {
            return Err(self.expected("SELECT", &["SELECT"]));
        }
        let open = self.span();
        let columns =
            if self.eat("(") { Some(self.list(open, ")", |p| p.ident("a column name"))?) } else { None };
        if columns.is_some() && self.at_word("SELECT") {
            let hint = "leave the list of columns out: the columns of the SELECT go by their names";
            return Err(self.expected("VALUES", &[]).hint(hint));
        }
        if !self.eat_word("VALUES") {
            let what = if columns.is_some() { "VALUES" } else { "columns in parentheses, VALUES or SELECT" };
            return Err(self.expected(what, &["VALUES", "SELECT"]));
        }
        let open = self.expect("(")?;
        let values = self.list(open, ")", Self::expression)?;
        if self.at(",") {
            let hint = "one INSERT takes one row; write an INSERT for each";
            return Err(self.expected("the end of the statement", &[]).hint(hint));
        }
        if let Some(columns) = &columns
            && columns.len() != values.len()
        {
            let message = format!("{} columns are named, and {} values given", columns.len(), values.len());
            return Err(Error::syntax(message).at(self.since(open)));
        }
        Ok(Statement::InsertValues { target, columns, values })
    }
}

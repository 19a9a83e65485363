//! The grammar of statements, but for CREATE and INSERT (`create.rs`).

use super::ast::{Assertion, Ident, Show, SourceKind, Statement};
use super::complete::{CLAUSES, STARTERS};
use super::hint::{Missing, missing};
use super::lexer::TokenKind;
use super::parser::Parser;
use crate::error::{Error, Result};

impl Parser<'_> {
    pub(super) fn statement(&mut self) -> Result<Statement> {
        let TokenKind::Word(word) = self.peek() else { return Err(self.no_statement()) };
        match word.as_str() {
            "SELECT" | "WITH" => Ok(Statement::Select(self.query()?)),
            "CREATE" => self.create(),
            "INSERT" => self.insert(),
            "DROP" => self.drop(),
            "SET" => self.set(),
            "UNSET" => self.unset(),
            "SHOW" | "LIST" => self.show(),
            "DESCRIBE" => self.describe(),
            "EXPLAIN" => self.explain(),
            "PRINT" => self.print(),
            "TERMINATE" => Ok(Statement::Terminate { id: self.query_or_all()? }),
            "PAUSE" => Ok(Statement::Pause { id: self.query_or_all()? }),
            "RESUME" => Ok(Statement::Resume { id: self.query_or_all()? }),
            "DEFINE" => self.define(),
            "UNDEFINE" => self.undefine(),
            "ALTER" => self.alter(),
            "ASSERT" => self.assert(),
            "RUN" => self.run_script(),
            _ => Err(self.unsupported_statement().unwrap_or_else(|| self.no_statement())),
        }
    }

    fn no_statement(&self) -> Error {
        self.expected("a statement", STARTERS).hint(format!("statements begin with {}", STARTERS.join(", ")))
    }

    fn unsupported_statement(&self) -> Option<Error> {
        let TokenKind::Word(word) = self.peek() else { return None };
        let what = match word.as_str() {
            "UPDATE" | "DELETE" | "MERGE" | "TRUNCATE" => Missing::Change,
            _ => return None,
        };
        Some(missing(what, self.span()))
    }

    /// STREAM or TABLE.
    pub(super) fn source_kind(&mut self) -> Result<SourceKind> {
        if self.eat_word("STREAM") {
            return Ok(SourceKind::Stream);
        }
        if self.eat_word("TABLE") {
            return Ok(SourceKind::Table);
        }
        Err(self.expected("STREAM or TABLE", &["STREAM", "TABLE"]))
    }

    fn drop(&mut self) -> Result<Statement> {
        self.advance();
        if self.at_word("CONNECTOR") {
            return self.drop_connector();
        }
        if self.eat_word("TYPE") {
            let if_exists = self.if_exists()?;
            return Ok(Statement::DropType { if_exists, name: self.ident("the name of a type")? });
        }
        let kind = self.source_kind()?;
        let if_exists = self.if_exists()?;
        let name = self.source_name()?;
        let delete_topic = self.eat_word("DELETE");
        if delete_topic {
            self.expect_word("TOPIC")?;
        }
        Ok(Statement::Drop { kind, if_exists, name, delete_topic })
    }

    /// Takes IF EXISTS if it is there; `IF` may also be the name.
    fn if_exists(&mut self) -> Result<bool> {
        let if_exists = self.at_word("IF") && matches!(self.peek_ahead(1), TokenKind::Word(_));
        if if_exists {
            self.advance();
            self.expect_word("EXISTS")?;
        }
        Ok(if_exists)
    }

    fn define(&mut self) -> Result<Statement> {
        self.advance();
        let name = self.variable_name()?;
        self.expect("=")?;
        let value = self.string_value()?;
        Ok(Statement::Define { name, value })
    }

    /// What SET and DEFINE give a value of: a string, whatever is in it.
    fn string_value(&mut self) -> Result<String> {
        match self.peek() {
            TokenKind::Integer(_) | TokenKind::Decimal(_) | TokenKind::Word(_) => {
                let hint = format!("write the value as a string: '{}'", self.source(self.span()));
                Err(self.expected("a string", &[]).hint(hint))
            }
            _ => self.text_literal("a string"),
        }
    }

    fn undefine(&mut self) -> Result<Statement> {
        self.advance();
        Ok(Statement::Undefine { name: self.variable_name()? })
    }

    fn variable_name(&mut self) -> Result<Ident> {
        let Ident { name, span } = self.ident("the name of a variable")?;
        Ok(Ident { name: name.to_lowercase(), span })
    }

    fn run_script(&mut self) -> Result<Statement> {
        let span = self.span();
        self.advance();
        self.expect_word("SCRIPT")?;
        let name = self.text_literal("a file in single quotes")?;
        Ok(Statement::RunScript { file: Ident { name, span: self.since(span) } })
    }

    fn assert(&mut self) -> Result<Statement> {
        self.advance();
        let exists = !self.eat_word("NOT");
        if !exists {
            self.expect_word("EXISTS")?;
        }
        let what = if self.eat_word("TOPIC") {
            let name = self.topic()?;
            let with = if self.at_word("WITH") { self.properties()? } else { Vec::new() };
            Assertion::Topic { name, with }
        } else if self.eat_word("SCHEMA") {
            self.asserted_schema()?
        } else {
            return Err(self.expected("TOPIC or SCHEMA", &["TOPIC", "SCHEMA"]));
        };
        let timeout_ms = if self.eat_word("TIMEOUT") { Some(self.duration()?) } else { None };
        Ok(Statement::Assert { exists, what, timeout_ms })
    }

    fn asserted_schema(&mut self) -> Result<Assertion> {
        let subject = if self.eat_word("SUBJECT") { Some(self.topic()?) } else { None };
        let span = self.span();
        let id = if self.eat_word("ID") { Some(self.count("the number of a schema")?) } else { None };
        if subject.is_none() && id.is_none() {
            return Err(self.expected("SUBJECT or ID", &["SUBJECT", "ID"]));
        }
        let too_large = |_| Error::syntax("no schema has so large a number").at(self.since(span));
        let id = id.map(u32::try_from).transpose().map_err(too_large)?;
        Ok(Assertion::Schema { subject, id })
    }

    /// The name of a stream or table.
    pub(super) fn source_name(&mut self) -> Result<Ident> {
        self.ident("the name of a stream or table")
    }

    fn set(&mut self) -> Result<Statement> {
        self.advance();
        let property = self.property_text()?;
        self.expect("=")?;
        let value = self.string_value()?;
        Ok(Statement::Set { property, value })
    }

    fn unset(&mut self) -> Result<Statement> {
        self.advance();
        Ok(Statement::Unset { property: self.property_text()? })
    }

    fn property_text(&mut self) -> Result<String> {
        if let TokenKind::Word(_) = self.peek() {
            let name = self.unbroken(self.span());
            let error = self.expected("a property as a string", &[]);
            return Err(error.hint(format!("write the property as a string: '{name}'")));
        }
        self.text_literal("a property as a string")
    }

    fn show(&mut self) -> Result<Statement> {
        self.advance();
        const WHAT: &[&str] =
            &["STREAMS", "TABLES", "TOPICS", "QUERIES", "FUNCTIONS", "PROPERTIES", "TYPES", "VARIABLES"];
        const PLAIN: &[&str] = &["FUNCTIONS", "PROPERTIES", "TYPES", "VARIABLES"];
        const HIDING: &[&str] = &["STREAMS", "TABLES", "TOPICS"];
        let all = HIDING.iter().any(|what| self.at_words(&["ALL", what])) && self.eat_word("ALL");
        let TokenKind::Word(word) = self.peek() else { return Err(self.expected(&or(WHAT), WHAT)) };
        let word = word.clone();
        match word.as_str() {
            "SINK" if self.at_words(&["SINK", "CONNECTORS"]) => {
                self.advance();
                self.advance();
                return Ok(Statement::Show(Show::Connectors));
            }
            "SOURCE" if self.at_words(&["SOURCE", "CONNECTORS"]) => return Err(self.no_source_connectors()),
            "CONNECTORS" => {
                self.advance();
                return Ok(Statement::Show(Show::Connectors));
            }
            "COLUMNS" => {
                return Err(self
                    .expected(&or(WHAT), &[])
                    .hint("DESCRIBE shows the columns of a stream or table"));
            }
            other if !WHAT.contains(&other) => return Err(self.expected(&or(WHAT), WHAT)),
            _ => self.advance(),
        }
        let extended = !PLAIN.contains(&word.as_str()) && self.extended()?;
        Ok(Statement::Show(match word.as_str() {
            "STREAMS" => Show::Streams { all, extended },
            "TABLES" => Show::Tables { all, extended },
            "TOPICS" => Show::Topics { all, extended },
            "QUERIES" => Show::Queries { extended },
            "FUNCTIONS" => Show::Functions,
            "TYPES" => Show::Types,
            "VARIABLES" => Show::Variables,
            _ => Show::Properties,
        }))
    }

    /// Takes EXTENDED, and looks after its spelling: nothing else may follow but the statement's end.
    fn extended(&mut self) -> Result<bool> {
        if self.eat_word("EXTENDED") {
            return Ok(true);
        }
        match self.peek() {
            TokenKind::Word(word) if super::hint::nearest(word, &["EXTENDED"]).is_some() => {
                Err(self.expected("EXTENDED or the end of the statement", &["EXTENDED"]))
            }
            _ => Ok(false),
        }
    }

    fn describe(&mut self) -> Result<Statement> {
        self.advance();
        let followed = matches!(self.peek_ahead(1), TokenKind::Word(_) | TokenKind::Quoted(_));
        if self.at_word("FUNCTION") && followed {
            self.advance();
            let mut name = self.ident("the name of a function")?;
            name.name = name.name.to_uppercase();
            return Ok(Statement::DescribeFunction { name });
        }
        if self.at_word("CONNECTOR") && followed {
            return self.describe_connector();
        }
        if self.at_any(&["STREAMS", "TABLES"]) {
            let kind = if self.at_word("STREAMS") { SourceKind::Stream } else { SourceKind::Table };
            self.advance();
            return Ok(Statement::DescribeAll { kind, extended: self.extended()? });
        }
        if self.at_word("EXTENDED") && followed {
            let hint = "EXTENDED comes last: DESCRIBE name EXTENDED";
            return Err(self.expected("the name of a stream or table", &[]).hint(hint));
        }
        let name = self.source_name()?;
        let extended = self.extended()?;
        Ok(Statement::Describe { name, extended })
    }

    fn explain(&mut self) -> Result<Statement> {
        self.advance();
        // A query's id could be named like a statement, but then nothing follows it.
        let alone = matches!(self.peek_ahead(1), TokenKind::End) || self.ahead_is(1, ";");
        if (self.at_any(STARTERS) || self.at_word("WITH")) && !alone {
            let inner = self.nested(Self::parsed)?;
            return Ok(Statement::ExplainStatement(Box::new(inner)));
        }
        let id = self.ident("a statement or the id of a query")?;
        let picture = self.at_words(&["FORMAT", "SVG"]) && self.eat_word("FORMAT") && self.eat_word("SVG");
        if self.at_end() || self.at(";") {
            return Ok(Statement::ExplainQuery { id, picture });
        }
        let hint = "EXPLAIN takes a statement or the id of a query; SHOW QUERIES lists the ids";
        Err(self.expected("the end of the statement", CLAUSES).hint(hint))
    }

    fn print(&mut self) -> Result<Statement> {
        self.advance();
        let topic = self.topic()?;
        let from_beginning = self.eat_word("FROM");
        if from_beginning {
            self.expect_word("BEGINNING")?;
        }
        let sampled = self.eat_word("INTERVAL") || self.eat_word("SAMPLE");
        let interval = if sampled { Some(self.count("a number of records")?) } else { None };
        let limit = if self.eat_word("LIMIT") { Some(self.count("a number of records")?) } else { None };
        Ok(Statement::Print { topic, from_beginning, interval, limit })
    }

    /// A topic is no name of SQL: it keeps its case even without quotes.
    fn topic(&mut self) -> Result<Ident> {
        let span = self.span();
        if let TokenKind::Text(name) = self.peek() {
            let name = name.clone();
            self.advance();
            return Ok(Ident { name, span });
        }
        let mut topic = self.ident("the name of a topic")?;
        if !matches!(self.source(span).as_bytes().first(), Some(b'"' | b'`')) {
            topic.name = self.source(span).to_string();
        }
        if self.at("-") || self.at(".") {
            let hint = format!("a topic with such characters needs quotes: '{}'", self.unbroken(span));
            let mut error = self.expected("the end of the topic's name", &[]);
            error.hint = Some(hint);
            return Err(error);
        }
        Ok(topic)
    }

    /// What TERMINATE, PAUSE and RESUME are about; `None`: all.
    fn query_or_all(&mut self) -> Result<Option<Ident>> {
        self.advance();
        if self.eat_word("ALL") {
            return Ok(None);
        }
        self.ident("the id of a query, or ALL").map(Some)
    }
}

/// `A, B or C`.
fn or(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [only] => only.to_string(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

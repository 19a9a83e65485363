//! The grammar of connectors: CREATE SINK CONNECTOR, DROP, SHOW and DESCRIBE.

use super::ast::{Ident, Property, Statement};
use super::hint::{Missing, missing};
use super::lexer::TokenKind;
use super::parser::Parser;
use crate::error::{Error, Result};

impl Parser<'_> {
    /// Whether what follows CREATE is a connector that the dialect has.
    pub(super) fn at_sink_connector(&self) -> bool {
        self.at_words(&["SINK", "CONNECTOR"])
    }

    pub(super) fn create_connector(&mut self) -> Result<Statement> {
        self.expect_word("SINK")?;
        self.expect_word("CONNECTOR")?;
        let if_not_exists = self.at_words(&["IF", "NOT"]) && self.eat_word("IF") && self.eat_word("NOT");
        if if_not_exists {
            self.expect_word("EXISTS")?;
        }
        let name = self.connector_name()?;
        self.expect_word("WITH")?;
        let open = self.expect("(")?;
        let with = self.list(open, ")", Self::connector_property)?;
        for (i, property) in with.iter().enumerate() {
            if with[..i].iter().any(|other| other.name.name == property.name.name) {
                let message = format!("{} is given twice", property.name.name);
                return Err(Error::syntax(message).at(property.name.span));
            }
        }
        Ok(Statement::CreateConnector { if_not_exists, name, with })
    }

    /// Connectors' settings have dots in them: their names are strings, and keep their case.
    fn connector_property(&mut self) -> Result<Property> {
        let span = self.span();
        let name = match self.peek() {
            TokenKind::Text(name) => {
                let name = name.clone();
                self.advance();
                name
            }
            _ => self.ident("the name of a setting, as a string")?.name,
        };
        self.expect("=")?;
        let start = self.span();
        let value = self.property_value()?;
        Ok(Property { name: Ident { name, span }, value, value_span: self.since(start) })
    }

    pub(super) fn drop_connector(&mut self) -> Result<Statement> {
        self.expect_word("CONNECTOR")?;
        let if_exists = self.at_word("IF") && matches!(self.peek_ahead(1), TokenKind::Word(_));
        if if_exists {
            self.advance();
            self.expect_word("EXISTS")?;
        }
        Ok(Statement::DropConnector { if_exists, name: self.connector_name()? })
    }

    pub(super) fn describe_connector(&mut self) -> Result<Statement> {
        self.expect_word("CONNECTOR")?;
        Ok(Statement::DescribeConnector { name: self.connector_name()? })
    }

    fn connector_name(&mut self) -> Result<Ident> {
        self.ident("the name of a connector")
    }

    /// SHOW SOURCE CONNECTORS would list what the dialect has none of.
    pub(super) fn no_source_connectors(&self) -> Error {
        missing(Missing::Connector, self.span())
    }
}

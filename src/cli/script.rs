//! Scripts and `-q` texts: read, parsed whole before anything starts, carried out in order.

use super::answers::Answers;
use super::interrupt;
use crate::engine::{Engine, Outcome, Session};
use crate::error::{Error, Result, reason};
use crate::sql::ast::{Parsed, Statement};
use crate::sql::parse_script;
use std::path::Path;

/// A parsed text with the name that its errors carry.
pub struct Script {
    pub name: String,
    pub text: String,
    pub statements: Vec<Parsed>,
}

impl Script {
    pub fn file(path: &Path) -> Result<Script> {
        let name = path.display().to_string();
        let bytes = std::fs::read(path).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => Error::usage(format!("there is no script {name}")),
            _ => Error::usage(format!("cannot read script {name}: {}", reason(&e))),
        })?;
        let text = String::from_utf8(bytes).map_err(|e| {
            let line =
                e.as_bytes()[..e.utf8_error().valid_up_to()].iter().filter(|b| **b == b'\n').count() + 1;
            Error::usage(format!("{name}:{line}: script is not UTF-8 text"))
        })?;
        Script::parse(name, text)
    }

    /// The text of a `-q`: statements that have an answer, and nothing else.
    pub fn question(text: &str) -> Result<Script> {
        let script = Script::parse("-q".into(), text.into())?;
        match script.statements.iter().find(|s| !has_answer(&s.statement)) {
            None if script.statements.is_empty() => Err(Error::usage("-q has no statement")),
            None => Ok(script),
            Some(other) => {
                let refused = Error::usage("-q takes SELECT, PRINT, SHOW, DESCRIBE and EXPLAIN only");
                Err(script.error(refused.at(other.span).hint("put other statements into the script")))
            }
        }
    }

    fn parse(name: String, text: String) -> Result<Script> {
        let statements = parse_script(&text).map_err(|e| e.in_text(&name, &text))?;
        Ok(Script { name, text, statements })
    }

    fn error(&self, error: Error) -> Error {
        error.in_text(&self.name, &self.text)
    }
}

fn has_answer(statement: &Statement) -> bool {
    use Statement::*;
    matches!(
        statement,
        Select(_)
            | Print { .. }
            | Show(_)
            | Describe { .. }
            | DescribeFunction { .. }
            | ExplainStatement(_)
            | ExplainQuery { .. }
    )
}

/// A script reads everything from the beginning, until it says otherwise.
pub fn session() -> Session {
    Session { properties: [("auto.offset.reset".into(), "earliest".into())].into() }
}

/// A statement to answer once the inputs have been read.
pub struct Question<'a> {
    script: &'a Script,
    pub statement: &'a Parsed,
    session: Session,
}

impl Question<'_> {
    pub fn answer(&mut self, engine: &Engine) -> Result<Outcome> {
        interrupt::check()?;
        engine.execute(self.statement, &mut self.session).map_err(|e| self.script.error(e))
    }
}

/// Carries out a script. Its queries are returned, to be answered when it has begun.
pub fn execute<'a>(
    engine: &Engine,
    script: &'a Script,
    once: bool,
    session: &mut Session,
    answers: &mut Answers,
) -> Result<Vec<Question<'a>>> {
    let mut later = Vec::new();
    if !once {
        // Before the first statement runs, so that nothing is half started.
        script.statements.iter().try_for_each(refuse_endless).map_err(|e| script.error(e))?;
    }
    for statement in &script.statements {
        interrupt::check()?;
        if is_query(&statement.statement) {
            later.push(question(engine, script, statement, session)?);
            continue;
        }
        let outcome = engine.execute(statement, session).map_err(|e| script.error(e))?;
        answers.show(statement, outcome)?;
    }
    Ok(later)
}

/// The questions of one `-q`.
pub fn ask<'a>(engine: &Engine, script: &'a Script, session: &Session) -> Result<Vec<Question<'a>>> {
    script.statements.iter().map(|statement| question(engine, script, statement, session)).collect()
}

/// Plans a SELECT at once: what is wrong with it shows before the inputs are read, not after.
fn question<'a>(
    engine: &Engine,
    script: &'a Script,
    statement: &'a Parsed,
    session: &Session,
) -> Result<Question<'a>> {
    if let Statement::Select(_) = &statement.statement {
        let explain = Parsed {
            statement: Statement::ExplainStatement(Box::new(statement.clone())),
            text: statement.text.clone(),
            span: statement.span,
        };
        engine.execute(&explain, &mut session.clone()).map_err(|e| script.error(e))?;
    }
    Ok(Question { script, statement, session: session.clone() })
}

pub fn is_query(statement: &Statement) -> bool {
    matches!(statement, Statement::Select(_) | Statement::Print { .. })
}

/// A query without end would keep the statements behind it from ever running.
fn refuse_endless(parsed: &Parsed) -> Result<()> {
    let hint = "give it a LIMIT, run with --once, or ask a running engine: wharfe query '…'";
    match &parsed.statement {
        Statement::Select(query) if query.emit.is_some() && query.limit.is_none() => {
            Err(Error::statement("a SELECT with EMIT CHANGES in a script never ends")
                .at(query.span)
                .hint(hint))
        }
        Statement::Print { limit: None, .. } => {
            Err(Error::statement("a PRINT in a script never ends").at(parsed.span).hint(hint))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Code, Span};
    use crate::sql::ast::Ident;

    #[test]
    fn a_script_that_cannot_be_read_is_one_line() {
        let dir = tempfile::tempdir().unwrap();
        let (missing, latin) = (dir.path().join("none.sql"), dir.path().join("latin.sql"));
        std::fs::write(&latin, b"-- one\n-- \xe9t\xe9").unwrap();
        let cases = [
            (missing.clone(), format!("there is no script {}", missing.display())),
            (dir.path().into(), format!("cannot read script {}: is a directory", dir.path().display())),
            (latin.clone(), format!("{}:2: script is not UTF-8 text", latin.display())),
        ];
        for (path, message) in cases {
            let error = Script::file(&path).err().unwrap();
            assert_eq!((error.to_string(), error.code), (message, Code::Usage));
        }
    }

    #[test]
    fn queries_without_end_are_refused() {
        let topic = Ident { name: "t".into(), span: Span::default() };
        for (limit, refused) in [(None, true), (Some(3), false)] {
            let print =
                Statement::Print { topic: topic.clone(), from_beginning: false, interval: None, limit };
            let parsed = Parsed { statement: print, text: "PRINT t".into(), span: Span::default() };
            assert_eq!(refuse_endless(&parsed).is_err(), refused);
        }
    }
}

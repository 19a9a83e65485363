//! Scripts and `-q` texts: read, parsed whole before anything starts, carried out in order.

use super::answers::Answers;
use super::interrupt;
use crate::engine::{Engine, Outcome, Session};
use crate::error::{Error, Result, reason};
use crate::sql::ast::{Parsed, Statement};
use crate::sql::{Known, Reader};
use std::ops::Range;
use std::path::Path;

/// A parsed text with the name that its errors carry.
pub struct Script {
    pub name: String,
    pub text: String,
    pub statements: Vec<Parsed>,
    /// The files that RUN SCRIPT has named, inner ones first.
    included: Vec<Included>,
}

/// Statements of another file.
struct Included {
    statements: Range<usize>,
    name: String,
    text: String,
}

/// Files that run each other deeper are refused.
const DEPTH_MAX: usize = 16;

impl Script {
    pub fn file(path: &Path) -> Result<Script> {
        let (name, text) = read(path)?;
        Script::parse(name, text, path.parent())
    }

    /// The text of a `-q`: statements that have an answer, and nothing else.
    pub fn question(text: &str) -> Result<Script> {
        let script = Script::parse("-q".into(), text.into(), None)?;
        match script.statements.iter().enumerate().find(|(_, s)| !has_answer(&s.statement)) {
            None if script.statements.is_empty() => Err(Error::usage("-q has no statement")),
            None => Ok(script),
            Some((i, other)) => {
                let refused = Error::usage("-q takes SELECT, PRINT, SHOW, DESCRIBE and EXPLAIN only");
                Err(script.error(i, refused.at(other.span).hint("put other statements into the script")))
            }
        }
    }

    /// `dir`: where the files of RUN SCRIPT are looked for.
    fn parse(name: String, text: String, dir: Option<&Path>) -> Result<Script> {
        let mut script =
            Script { name: name.clone(), text: text.clone(), statements: vec![], included: vec![] };
        script.include(&name, &text, dir.unwrap_or(Path::new("")), Known::default(), 0)?;
        Ok(script)
    }

    /// Adds the statements of a text, and those of the files that it runs in the place of RUN SCRIPT; what may
    /// be used after it.
    fn include(&mut self, name: &str, text: &str, dir: &Path, known: Known, depth: usize) -> Result<Known> {
        let mut reader = Reader::new(text, known);
        let failed = |e: Error| e.in_text(name, text);
        while let Some(parsed) = reader.next().map_err(failed)? {
            let Statement::RunScript { file } = &parsed.statement else {
                self.statements.push(parsed);
                continue;
            };
            if depth == DEPTH_MAX {
                let error = Error::usage(format!("scripts run each other more than {DEPTH_MAX} deep"));
                return Err(failed(error.at(file.span)));
            }
            let path = dir.join(&file.name);
            let (inner, inner_text) = read(&path).map_err(|e| failed(e.at(file.span)))?;
            let from = self.statements.len();
            let inner_dir = path.parent().unwrap_or(Path::new(""));
            let known = self.include(&inner, &inner_text, inner_dir, reader.known().clone(), depth + 1)?;
            self.included.push(Included {
                statements: from..self.statements.len(),
                name: inner,
                text: inner_text,
            });
            reader.set_known(known);
        }
        Ok(reader.known().clone())
    }

    /// What went wrong with a statement, shown in its file.
    fn error(&self, statement: usize, error: Error) -> Error {
        match self.included.iter().find(|included| included.statements.contains(&statement)) {
            Some(included) => error.in_text(&included.name, &included.text),
            None => error.in_text(&self.name, &self.text),
        }
    }
}

/// A script's name for messages, and its text.
pub fn read(path: &Path) -> Result<(String, String)> {
    let name = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => Error::usage(format!("there is no script {name}")),
        _ => Error::usage(format!("cannot read script {name}: {}", reason(&e))),
    })?;
    let text = String::from_utf8(bytes).map_err(|e| {
        let line = e.as_bytes()[..e.utf8_error().valid_up_to()].iter().filter(|b| **b == b'\n').count() + 1;
        Error::usage(format!("{name}:{line}: script is not UTF-8 text"))
    })?;
    Ok((name, text))
}

fn has_answer(statement: &Statement) -> bool {
    use Statement::*;
    matches!(
        statement,
        Select(_)
            | Print { .. }
            | Show(_)
            | Describe { .. }
            | DescribeAll { .. }
            | DescribeFunction { .. }
            | DescribeConnector { .. }
            | ExplainStatement(_)
            | ExplainQuery { .. }
    )
}

/// A script reads everything from the beginning, until it says otherwise.
pub fn session() -> Session {
    let properties = [("auto.offset.reset".into(), "earliest".into())].into();
    Session { properties, ..Session::default() }
}

/// A statement to answer once the inputs have been read.
pub struct Question<'a> {
    script: &'a Script,
    /// Which statement of the script it is.
    index: usize,
    pub statement: &'a Parsed,
    session: Session,
    /// Answered when it was come to, and shown behind those before it.
    answered: Option<Outcome>,
}

impl Question<'_> {
    pub fn answer(&mut self, engine: &Engine) -> Result<Outcome> {
        interrupt::check()?;
        if let Some(outcome) = self.answered.take() {
            return Ok(outcome);
        }
        engine.execute(self.statement, &mut self.session).map_err(|e| self.script.error(self.index, e))
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
        for (i, statement) in script.statements.iter().enumerate() {
            refuse_endless(statement).map_err(|e| script.error(i, e))?;
        }
    }
    for (i, statement) in script.statements.iter().enumerate() {
        interrupt::check()?;
        if is_query(&statement.statement) {
            later.push(question(engine, script, i, session)?);
            continue;
        }
        let outcome = engine.execute(statement, session).map_err(|e| script.error(i, e))?;
        if later.is_empty() || matches!(outcome, Outcome::Status(_)) {
            answers.show(statement, outcome)?;
        } else {
            let session = session.clone();
            later.push(Question { script, index: i, statement, session, answered: Some(outcome) });
        }
    }
    Ok(later)
}

/// The questions of one `-q`.
pub fn ask<'a>(engine: &Engine, script: &'a Script, session: &Session) -> Result<Vec<Question<'a>>> {
    (0..script.statements.len()).map(|i| question(engine, script, i, session)).collect()
}

/// Plans a SELECT at once: what is wrong with it shows before the inputs are read, not after.
fn question<'a>(
    engine: &Engine,
    script: &'a Script,
    index: usize,
    session: &Session,
) -> Result<Question<'a>> {
    let statement = &script.statements[index];
    if let Statement::Select(_) = &statement.statement {
        let explain = Parsed {
            statement: Statement::ExplainStatement(Box::new(statement.clone())),
            text: statement.text.clone(),
            span: statement.span,
        };
        engine.execute(&explain, &mut session.clone()).map_err(|e| script.error(index, e))?;
    }
    Ok(Question { script, index, statement, session: session.clone(), answered: None })
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
    fn scripts_run_others_with_what_is_known_so_far() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
            path
        };
        let main = write(
            "main.sql",
            "DEFINE topic = 'bays'; RUN SCRIPT 'parts/types.sql';\nCREATE STREAM s (a spot) WITH (KAFKA_TOPIC='${topic}');\nSHOW ${what};",
        );
        write("parts/types.sql", "CREATE TYPE spot AS INT;\nRUN SCRIPT 'more.sql';");
        let more = write("parts/more.sql", "\nDEFINE what = 'TYPES';");
        let script = Script::file(&main).unwrap();
        let texts: Vec<&str> = script.statements.iter().map(|parsed| parsed.text.as_str()).collect();
        let expected = [
            "DEFINE topic = 'bays'",
            "CREATE TYPE spot AS INT",
            "DEFINE what = 'TYPES'",
            "CREATE STREAM s (a spot) WITH (KAFKA_TOPIC='bays')",
            "SHOW TYPES",
        ];
        assert_eq!(texts, expected);
        let at = |i: usize| script.error(i, Error::statement("no").at(script.statements[i].span)).to_string();
        assert!(at(2).starts_with(&format!("{}:2:1: no", more.display())), "{}", at(2));
        assert!(at(3).starts_with(&format!("{}:2:1: no", main.display())), "{}", at(3));

        write("parts/more.sql", "RUN SCRIPT 'more.sql'");
        let error = Script::file(&main).err().unwrap().to_string();
        assert!(error.contains("scripts run each other more than 16 deep"), "{error}");
        write("parts/more.sql", "RUN SCRIPT 'none.sql'");
        let error = Script::file(&main).err().unwrap().to_string();
        assert!(error.contains("there is no script") && error.contains("none.sql"), "{error}");
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

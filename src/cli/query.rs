//! `wharfe query`: asks a server, prints what it answers. The shell says its statements here, too.

use super::client::{Client, DEFAULT_SERVER, Part};
use super::output::{Format, Printer};
use super::{entity, interrupt, output_failed, split};
use crate::connector::Start;
use crate::engine::Session;
use crate::error::{Error, Result};
use crate::sql::ast::{Parsed, Statement};
use crate::sql::{Known, parse_statement_with};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::Duration;

/// How often a wait for rows looks for Ctrl-C.
const PATIENCE: Duration = Duration::from_millis(50);

/// After so many of them it is told what is waited for.
const WAITS_TOLD: usize = 20;

/// Ask a server that runs: a query, or any other statement
///
/// A SELECT is answered from what is there and ends; with EMIT CHANGES it goes on until its LIMIT or
/// Ctrl-C. Other statements (CREATE, SHOW, DESCRIBE, DROP, …) are carried out. Several statements are
/// separated by semicolons; SET holds for those behind it.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The statements
    #[arg(value_name = "SQL")]
    sql: String,

    /// Which server
    #[arg(long, value_name = "URL", default_value = DEFAULT_SERVER)]
    server: String,

    /// How answers are printed
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

const EXAMPLES: &str = "\
Examples:
  wharfe query 'SELECT * FROM SOURCE_COUNTS'
  wharfe query 'SELECT * FROM CARPARK_EVENTS LIMIT 5' --format json
  wharfe query \"SET 'auto.offset.reset' = 'earliest'; SELECT NAME FROM CARPARKS EMIT CHANGES LIMIT 5\"
  wharfe query 'SHOW QUERIES' --server http://127.0.0.1:9099";

pub fn run(args: Args) -> Result<u8> {
    interrupt::install()?;
    let statements = split::split(&args.sql);
    if statements.is_empty() {
        return Err(Error::usage("there is no statement to send"));
    }
    let mut conversation = Conversation::new(Client::new(&args.server), args.format);
    for (i, statement) in statements.into_iter().enumerate() {
        if i > 0 && conversation.said {
            println!();
        }
        conversation.say(statement)?;
    }
    Ok(0)
}

/// Statements to one server, in a session of their own.
pub struct Conversation {
    pub client: Client,
    format: Format,
    session: Session,
    /// Whether the last statement printed something.
    pub said: bool,
    /// How many scripts are being run, each by the one before.
    scripts: usize,
}

/// Scripts that run each other deeper are refused.
const SCRIPTS_MAX: usize = 16;

impl Conversation {
    pub fn new(client: Client, format: Format) -> Conversation {
        Conversation { client, format, session: Session::default(), said: false, scripts: 0 }
    }

    /// Sends one statement where it belongs and prints the answer.
    pub fn say(&mut self, statement: &str) -> Result<()> {
        self.said = false;
        match split::first_word(statement).as_deref() {
            Some("SET" | "UNSET" | "DEFINE" | "UNDEFINE") => return self.set(statement),
            Some("RUN") => return self.run_script(statement),
            Some("SELECT" | "WITH") => self.query(statement, self.format)?,
            Some("PRINT") => self.query(statement, self.format.of_print())?,
            _ => self.command(statement)?,
        }
        self.said = true;
        Ok(())
    }

    /// Says the statements of a file of the client's, up to one that fails.
    fn run_script(&mut self, text: &str) -> Result<()> {
        let parsed = self.parsed(text)?;
        let Statement::RunScript { file } = &parsed.statement else {
            return Err(Error::syntax("expected RUN SCRIPT 'file'")
                .at(parsed.span)
                .in_text("<statement>", text));
        };
        if self.scripts == SCRIPTS_MAX {
            return Err(Error::usage(format!("scripts run each other more than {SCRIPTS_MAX} deep")));
        }
        let (_, script) = super::script::read(std::path::Path::new(&file.name))?;
        self.scripts += 1;
        let said = split::split(&script).into_iter().try_for_each(|statement| self.say(statement));
        self.scripts -= 1;
        said
    }

    /// With the session's variables; what types there are only the server knows.
    fn parsed(&self, text: &str) -> Result<Parsed> {
        let known = Known { variables: Some(self.session.variables.clone()), ..Known::default() };
        parse_statement_with(text, known).map_err(|e| e.in_text("<statement>", text))
    }

    /// Properties and variables are the client's business: they go along with every request.
    fn set(&mut self, text: &str) -> Result<()> {
        let parsed = self.parsed(text)?;
        let set = || {
            match parsed.statement {
                Statement::Set { property, value } => {
                    self.session.set(&property, &value).map_err(|e| e.at(parsed.span))?
                }
                Statement::Unset { property } => self.session.unset(&property),
                Statement::Define { name, value } => drop(self.session.variables.insert(name.name, value)),
                Statement::Undefine { name } => match self.session.variables.remove(&name.name) {
                    Some(_) => {}
                    None => {
                        return Err(
                            Error::statement(format!("there is no variable {}", name.name)).at(name.span)
                        );
                    }
                },
                _ => return Err(Error::syntax("expected SET 'property' = 'value'")),
            }
            Ok(())
        };
        set().map_err(|e: Error| e.in_text("<statement>", text))
    }

    /// What a statement waits for that shows nothing, and how it would show something.
    fn awaited(&self, statement: &str) -> Option<String> {
        let reset = "SET 'auto.offset.reset' = 'earliest';";
        let reads_the_past = self.session.start().is_ok_and(|start| start == Some(Start::Earliest));
        match self.parsed(statement).ok()?.statement {
            Statement::Print { from_beginning: false, topic, .. } => Some(format!(
                "waiting for new messages of {}; PRINT … FROM BEGINNING shows those that are there",
                topic.name
            )),
            Statement::Print { topic, .. } => Some(format!("waiting for messages of {}", topic.name)),
            Statement::Select(query) if query.emit.is_some() && reads_the_past => {
                Some("waiting for rows".into())
            }
            Statement::Select(query) if query.emit.is_some() => {
                Some(format!("waiting for new rows; {reset} before it shows those that are there"))
            }
            _ => None,
        }
    }

    fn command(&self, statement: &str) -> Result<()> {
        let mut out = io::stdout().lock();
        for entity in self.client.ksql(statement, &self.session)? {
            entity::print(&entity, self.format, &mut out).map_err(output_failed)?;
        }
        Ok(())
    }

    fn query(&self, statement: &str, format: Format) -> Result<()> {
        let parts = self.client.query(statement, &self.session)?;
        let mut out = BufWriter::new(io::stdout().lock());
        let mut query_id = String::new();
        let mut waiting = self.awaited(statement).filter(|_| io::stderr().is_terminal());
        let printed = print(&parts, format, &mut out, &mut query_id, &mut waiting);
        if printed.is_err() && !query_id.is_empty() {
            self.client.close(&query_id);
        }
        printed
    }
}

/// Prints an answer to its end. An interrupted one is finished, too, so that its table has a border.
/// `waiting` is said, once, when nothing comes.
fn print(
    parts: &Receiver<Part>,
    format: Format,
    out: &mut dyn Write,
    query_id: &mut String,
    waiting: &mut Option<String>,
) -> Result<()> {
    let mut printer = match next(parts, |_| Ok(()))? {
        Some(Part::Header { query_id: id, columns }) => {
            *query_id = id;
            Printer::new(out, format, columns).map_err(output_failed)?
        }
        Some(Part::Failed(error)) => return Err(error),
        Some(Part::Row { .. }) | None => return Err(Error::runtime("the server sent no header")),
    };
    let ended = loop {
        let idle = |waits| match waits {
            // Rows of one answer come closely behind each other: they are shown when there is a pause.
            0 => printer.flush().map_err(output_failed),
            WAITS_TOLD => {
                waiting.take().into_iter().for_each(|what| eprintln!("{what}; Ctrl-C ends it"));
                Ok(())
            }
            _ => Ok(()),
        };
        match next(parts, idle) {
            Ok(Some(Part::Row { cells, deleted })) => {
                let row = if deleted { printer.deleted(cells) } else { printer.row(cells) };
                row.map_err(output_failed)?;
            }
            Ok(Some(Part::Header { .. })) => break Err(Error::runtime("the server sent two headers")),
            Ok(Some(Part::Failed(error))) => break Err(error),
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    printer.finish().map_err(output_failed)?;
    ended
}

/// The next part; `idle` is called after each wait in vain, with how many there were before. `None` at the end.
fn next(parts: &Receiver<Part>, mut idle: impl FnMut(usize) -> Result<()>) -> Result<Option<Part>> {
    interrupt::check()?;
    match parts.try_recv() {
        Ok(part) => return Ok(Some(part)),
        Err(TryRecvError::Disconnected) => return Ok(None),
        Err(TryRecvError::Empty) => {}
    }
    let mut waits = 0;
    loop {
        match parts.recv_timeout(PATIENCE) {
            Ok(part) => return Ok(Some(part)),
            Err(RecvTimeoutError::Disconnected) => return Ok(None),
            Err(RecvTimeoutError::Timeout) => idle(waits)?,
        }
        waits += 1;
        interrupt::check()?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_waited_for_is_told_with_the_way_to_the_past() {
        let mut conversation = Conversation::new(Client::new("http://localhost"), Format::Table);
        let awaited = |conversation: &Conversation, text| conversation.awaited(text).unwrap_or_default();
        assert_eq!(awaited(&conversation, "SELECT * FROM S"), "");
        assert_eq!(
            awaited(&conversation, "SELECT * FROM S EMIT CHANGES"),
            "waiting for new rows; SET 'auto.offset.reset' = 'earliest'; before it shows those that are there"
        );
        assert_eq!(
            awaited(&conversation, "PRINT s"),
            "waiting for new messages of s; PRINT … FROM BEGINNING shows those that are there"
        );
        assert_eq!(awaited(&conversation, "PRINT s FROM BEGINNING"), "waiting for messages of s");
        conversation.say("SET 'auto.offset.reset' = 'earliest'").unwrap();
        assert_eq!(awaited(&conversation, "SELECT * FROM S EMIT CHANGES"), "waiting for rows");
    }
}

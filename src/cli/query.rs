//! `wharfe query`: asks a server, prints what it answers. The shell says its statements here, too.

use super::client::{Client, DEFAULT_SERVER, Part};
use super::output::{Format, Printer};
use super::{entity, interrupt, output_failed, split};
use crate::error::{Error, Result};
use crate::sql::ast::Statement;
use crate::sql::parse_statement;
use serde_json::{Map, Value};
use std::io::{self, BufWriter, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::Duration;

/// How often a wait for rows looks for Ctrl-C.
const PATIENCE: Duration = Duration::from_millis(50);

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
  wharfe query 'SELECT * FROM CARPARK_EVENTS EMIT CHANGES LIMIT 5' --format json
  wharfe query \"SET 'auto.offset.reset' = 'earliest'; SELECT NAME FROM CARPARKS EMIT CHANGES\"
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

/// Statements to one server, with the properties that were SET on the way.
pub struct Conversation {
    pub client: Client,
    format: Format,
    properties: Map<String, Value>,
    /// Whether the last statement printed something.
    pub said: bool,
}

impl Conversation {
    pub fn new(client: Client, format: Format) -> Conversation {
        Conversation { client, format, properties: Map::new(), said: false }
    }

    /// Sends one statement where it belongs and prints the answer.
    pub fn say(&mut self, statement: &str) -> Result<()> {
        self.said = false;
        match split::first_word(statement).as_deref() {
            Some("SET" | "UNSET") => return self.set(statement),
            Some("SELECT" | "PRINT") => self.query(statement)?,
            _ => self.command(statement)?,
        }
        self.said = true;
        Ok(())
    }

    /// Properties are the client's business: they go along with every request.
    fn set(&mut self, text: &str) -> Result<()> {
        let parsed = parse_statement(text).map_err(|e| e.in_text("<statement>", text))?;
        match parsed.statement {
            Statement::Set { property, value } => drop(self.properties.insert(property, value.into())),
            Statement::Unset { property } => drop(self.properties.shift_remove(&property)),
            _ => return Err(Error::syntax("expected SET 'property' = 'value'")),
        }
        Ok(())
    }

    fn command(&self, statement: &str) -> Result<()> {
        let mut out = io::stdout().lock();
        for entity in self.client.ksql(statement, &self.properties)? {
            entity::print(&entity, self.format, &mut out).map_err(output_failed)?;
        }
        Ok(())
    }

    fn query(&self, statement: &str) -> Result<()> {
        let parts = self.client.query(statement, &self.properties)?;
        let mut out = BufWriter::new(io::stdout().lock());
        let mut query_id = String::new();
        let printed = print(&parts, self.format, &mut out, &mut query_id);
        if printed.is_err() && !query_id.is_empty() {
            self.client.close(&query_id);
        }
        printed
    }
}

/// Prints an answer to its end. An interrupted one is finished, too, so that its table has a border.
fn print(parts: &Receiver<Part>, format: Format, out: &mut dyn Write, query_id: &mut String) -> Result<()> {
    let mut printer = None;
    let mut lines = Lines { out: Some(out), format };
    let ended = loop {
        match next(parts, || flush(&mut printer, &mut lines)) {
            Ok(Some(Part::Header { query_id: id, columns })) => {
                *query_id = id;
                let out = lines.out.take().ok_or_else(|| Error::runtime("the server sent two headers"))?;
                printer = Some(Printer::new(out, format, columns).map_err(output_failed)?);
            }
            Ok(Some(Part::Row { cells, deleted })) => {
                let Some(printer) = &mut printer else { break Err(Error::runtime("rows before a header")) };
                let row = if deleted { printer.deleted(cells) } else { printer.row(cells) };
                row.map_err(output_failed)?;
            }
            Ok(Some(Part::Line(line))) => lines.print(&line).map_err(output_failed)?,
            Ok(Some(Part::Failed(error))) => break Err(error),
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    match printer {
        Some(printer) => printer.finish().map_err(output_failed)?,
        None => lines.flush().map_err(output_failed)?,
    }
    ended
}

/// PRINT's lines; the output is gone from here once there are rows.
struct Lines<'a> {
    out: Option<&'a mut dyn Write>,
    format: Format,
}

impl Lines<'_> {
    fn print(&mut self, line: &str) -> io::Result<()> {
        let Some(out) = &mut self.out else { return Ok(()) };
        match self.format {
            Format::Json => writeln!(out, "{}", serde_json::json!({ "MESSAGE": line })),
            Format::Table | Format::Csv => writeln!(out, "{line}"),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.as_mut().map_or(Ok(()), |out| out.flush())
    }
}

fn flush(printer: &mut Option<Printer>, lines: &mut Lines) -> Result<()> {
    let flushed = match printer {
        Some(printer) => printer.flush(),
        None => lines.flush(),
    };
    flushed.map_err(output_failed)
}

/// The next part; `idle` is called before a wait. `None` at the end.
fn next(parts: &Receiver<Part>, mut idle: impl FnMut() -> Result<()>) -> Result<Option<Part>> {
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
            // Rows of one answer come closely behind each other: show them when there is a pause.
            Err(RecvTimeoutError::Timeout) if waits == 0 => idle()?,
            Err(RecvTimeoutError::Timeout) => {}
        }
        waits += 1;
        interrupt::check()?;
    }
}

//! The live view: the maintained tables on a terminal, drawn anew about twice a second.
//!
//! It works on the terminal's second screen, so that what was there before is there again after it.

use super::answers;
use super::grouped;
use super::output::Format;
use crate::engine::{Engine, Outcome, Session};
use crate::error::{Error, Result};
use crate::sql::parse_statement;
use crate::types::quote;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

const REFRESH: Duration = Duration::from_millis(500);

/// Whether the terminal's second screen is on.
static DRAWN: AtomicBool = AtomicBool::new(false);

/// Lines of a table that are not rows: its name, borders and header, a blank.
const TABLE_FRAME: usize = 6;

/// Shows what goes on until the engine stops.
pub fn watch(engine: &Engine, script: &Path, url: &str) -> Result<()> {
    if !io::stdout().is_terminal() {
        println!("listening on {url}");
        return engine.join();
    }
    let (ended, end) = mpsc::sync_channel(1);
    let joined = engine.clone();
    std::thread::spawn(move || ended.send(joined.join()));
    let mut view = View::new(engine, script, url);
    start();
    let result = loop {
        view.draw();
        match end.recv_timeout(REFRESH) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(result) => break result,
            Err(RecvTimeoutError::Disconnected) => break Err(Error::runtime("the engine was lost")),
        }
    };
    tidy();
    eprintln!("{}", super::progress::totals(&engine.progress(), view.started.elapsed()));
    result
}

fn start() {
    DRAWN.store(true, Ordering::SeqCst);
    show("\x1b[?1049h\x1b[?25l\x1b[2J");
}

/// Gives the terminal back; nothing if it has not been taken.
pub fn tidy() {
    if DRAWN.swap(false, Ordering::SeqCst) {
        show("\x1b[?25h\x1b[?1049l");
    }
}

/// A terminal that went away is found out by whoever reads from it.
fn show(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

struct View<'a> {
    engine: &'a Engine,
    title: String,
    started: Instant,
    last: (Instant, u64),
}

impl View<'_> {
    fn new<'a>(engine: &'a Engine, script: &Path, url: &str) -> View<'a> {
        let name = script.file_name().unwrap_or(script.as_os_str()).to_string_lossy();
        let now = Instant::now();
        View { engine, title: format!("wharfe {name} · {url}"), started: now, last: (now, 0) }
    }

    fn draw(&mut self) {
        let (width, height) = terminal_size();
        let head = self.head();
        let tables = match maintained(self.engine) {
            Ok(names) => self.tables(names, height),
            Err(error) => vec![("".into(), error.to_string())],
        };
        // Only now: a view that ended meanwhile must not write over what follows it.
        if DRAWN.load(Ordering::SeqCst) {
            show(&screen(&head, &tables, width, height));
        }
    }

    fn head(&mut self) -> Vec<String> {
        let progress = self.engine.progress();
        let (then, rows) = std::mem::replace(&mut self.last, (Instant::now(), progress.rows_in));
        let since = then.elapsed().as_secs_f64().max(0.001);
        let rate = progress.rows_in.saturating_sub(rows) as f64 / since;
        let counts = format!(
            "{} rows read · {} rows/s · {} rejected · {} notes · {} s · Ctrl-C stops",
            grouped(progress.rows_in),
            grouped(rate as u64),
            grouped(progress.rows_rejected),
            grouped(progress.notes),
            self.started.elapsed().as_secs(),
        );
        vec![self.title.clone(), counts, String::new()]
    }

    fn tables(&self, names: Vec<String>, height: usize) -> Vec<(String, String)> {
        let share = height.saturating_sub(3) / names.len().max(1);
        let rows = share.saturating_sub(TABLE_FRAME).max(1);
        let text = |name: &String| rows_of(self.engine, name, rows).unwrap_or_else(|e| e.to_string());
        names.iter().map(|name| (name.clone(), text(name))).collect()
    }
}

/// The tables that queries keep up to date.
fn maintained(engine: &Engine) -> Result<Vec<String>> {
    let (Outcome::Tables(tables), Outcome::Queries(queries)) =
        (ask(engine, "SHOW TABLES")?, ask(engine, "SHOW QUERIES")?)
    else {
        return Ok(Vec::new());
    };
    let written = |name: &str| queries.iter().any(|q| q.sink.as_deref() == Some(name));
    Ok(tables.into_iter().map(|t| t.name).filter(|name| written(name)).collect())
}

/// In the order of the keys, so that a row keeps its place from one drawing to the next.
fn rows_of(engine: &Engine, table: &str, limit: usize) -> Result<String> {
    let Outcome::Source(source) = ask(engine, &format!("DESCRIBE {}", quote(table)))? else {
        return Ok(String::new());
    };
    let keys: Vec<String> = source.schema.keys().map(|key| quote(&key.name)).collect();
    let order = if keys.is_empty() { String::new() } else { format!(" ORDER BY {}", keys.join(", ")) };
    let mut out = Vec::new();
    if let Outcome::Answer(answer) =
        ask(engine, &format!("SELECT * FROM {}{order} LIMIT {limit}", quote(table)))?
    {
        answers::print(answer, Format::Table, &mut out)?;
    }
    Ok(String::from_utf8_lossy(&out).into_owned())
}

fn ask(engine: &Engine, text: &str) -> Result<Outcome> {
    engine.execute(&parse_statement(text)?, &mut Session::default())
}

/// One screenful: every line is cut to the width and cleared to its end, the rest below is cleared.
fn screen(head: &[String], tables: &[(String, String)], width: usize, height: usize) -> String {
    let mut lines: Vec<&str> = head.iter().map(String::as_str).collect();
    for (name, text) in tables {
        lines.push(name);
        lines.extend(text.lines());
        lines.push("");
    }
    let mut out = String::from("\x1b[H");
    for (i, line) in lines.iter().take(height).enumerate() {
        out.push_str(if i > 0 { "\r\n" } else { "" });
        out.extend(line.chars().take(width));
        out.push_str("\x1b[K");
    }
    out.push_str("\x1b[J");
    out
}

/// Columns and lines.
fn terminal_size() -> (usize, usize) {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the call fills the struct that it is given, and nothing else.
    let known = unsafe { libc::ioctl(libc::STDOUT_FILENO, libc::TIOCGWINSZ, &mut size) } == 0;
    match known && size.ws_row > 0 && size.ws_col > 0 {
        true => (size.ws_col.into(), size.ws_row.into()),
        false => (80, 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_screen_is_cut_to_the_terminal() {
        let tables = [("T".to_string(), "+---+\n| x |\n".to_string())];
        assert_eq!(
            screen(&["title".into()], &tables, 4, 3),
            "\x1b[Htitl\x1b[K\r\nT\x1b[K\r\n+---\x1b[K\x1b[J"
        );
    }
}

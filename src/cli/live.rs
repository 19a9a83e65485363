//! The live view: the maintained tables on a terminal, drawn anew about twice a second.
//!
//! It works on the terminal's second screen, so that what was there before is there again after it.

use super::answers::cells;
use super::grouped;
use super::output::{Format, Printer, table_text};
use crate::engine::{AnswerEvent, Engine, Outcome};
use crate::error::{Error, Result};
use crate::types::quote;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

const REFRESH: Duration = Duration::from_millis(500);

/// Whether the terminal's second screen is on.
static DRAWN: AtomicBool = AtomicBool::new(false);

/// Of which drawing takes one part in so many: large tables are shown less often.
const DRAWING_SHARE: u32 = 10;

/// Lines above the tables, and lines of a table that are not rows: its name, borders and header, a
/// blank.
const HEAD: usize = 3;
const TABLE_FRAME: usize = 6;

/// No column is made narrower to let others be seen.
const CELL_WIDTH_MIN: usize = 12;

/// Shows what goes on until the engine stops; `pages`: what a browser finds below the address.
pub fn watch(engine: &Engine, script: &Path, url: &str, pages: &[String]) -> Result<()> {
    if !io::stdout().is_terminal() {
        println!("listening on {url}");
        pages.iter().for_each(|page| println!("{url}/{page}"));
        return engine.join();
    }
    let (ended, end) = mpsc::sync_channel(1);
    let joined = engine.clone();
    std::thread::spawn(move || ended.send(joined.join()));
    let mut view = View::new(engine, script, url, pages);
    start();
    let result = loop {
        let drawn = Instant::now();
        view.draw();
        match end.recv_timeout(REFRESH.max(drawn.elapsed() * DRAWING_SHARE)) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(result) => break result,
            Err(RecvTimeoutError::Disconnected) => break Err(Error::runtime("the engine was lost")),
        }
    };
    tidy();
    super::log::say(&super::progress::totals(&engine.progress(), view.started.elapsed()));
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
    fn new<'a>(engine: &'a Engine, script: &Path, url: &str, pages: &[String]) -> View<'a> {
        let name = script.file_name().unwrap_or(script.as_os_str()).to_string_lossy();
        let now = Instant::now();
        let pages: String = pages.iter().map(|page| format!(" · {url}/{page}")).collect();
        View { engine, title: format!("wharfe {name} · {url}{pages}"), started: now, last: (now, 0) }
    }

    fn draw(&mut self) {
        let (width, height) = terminal_size();
        let tables = match maintained(self.engine) {
            Ok(names) => tables(self.engine, &names, width, height),
            Err(error) => vec![("".into(), error.to_string())],
        };
        // Last, so that it counts all that the tables show.
        let head = self.head();
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
}

/// The tables that queries keep up to date.
fn maintained(engine: &Engine) -> Result<Vec<String>> {
    let (Outcome::Tables(tables), Outcome::Queries(queries)) =
        (engine.ask("SHOW TABLES")?, engine.ask("SHOW QUERIES")?)
    else {
        return Ok(Vec::new());
    };
    let written = |name: &str| queries.iter().any(|q| q.sink.as_deref() == Some(name));
    Ok(tables.into_iter().map(|t| t.name).filter(|name| written(name)).collect())
}

/// Each with its name and its text, as many rows of them as fit.
fn tables(engine: &Engine, names: &[String], width: usize, height: usize) -> Vec<(String, String)> {
    let found: Vec<_> = names.iter().map(|name| rows_of(engine, name, height + 1)).collect();
    let rows = found.iter().map(|t| t.as_ref().map_or(0, |t| t.rows.len())).collect::<Vec<_>>();
    let room = height.saturating_sub(HEAD + TABLE_FRAME * names.len());
    let text = |(name, (found, rows)): (&String, (Result<Table>, usize))| match found {
        Ok(table) if rows < table.rows.len() => {
            (format!("{name} (first {rows} rows)"), table.text(rows, width))
        }
        Ok(table) => (name.clone(), table.text(rows, width)),
        Err(error) => (name.clone(), error.to_string()),
    };
    names.iter().zip(found.into_iter().zip(share(&rows, room))).map(text).collect()
}

/// Deals out so many lines: a small table leaves to the others what it does not need.
fn share(wanted: &[usize], room: usize) -> Vec<usize> {
    let mut shares = vec![0; wanted.len()];
    let mut smallest_first: Vec<usize> = (0..wanted.len()).collect();
    smallest_first.sort_by_key(|i| wanted[*i]);
    let mut left = room;
    for (done, i) in smallest_first.into_iter().enumerate() {
        shares[i] = wanted[i].min((left / (wanted.len() - done)).max(1));
        left = left.saturating_sub(shares[i]);
    }
    shares
}

struct Table {
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    fn text(&self, rows: usize, width: usize) -> String {
        let mut out = Vec::new();
        // Writing to memory does not fail.
        let _ = self.print(rows, width, &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    fn print(&self, rows: usize, width: usize, out: &mut dyn Write) -> io::Result<()> {
        let rows = &self.rows[..rows.min(self.rows.len())];
        let mut widths: Vec<usize> = self.columns.iter().map(|c| c.width()).collect();
        for row in rows {
            widths.iter_mut().zip(row).for_each(|(width, cell)| *width = (*width).max(cell.width()));
        }
        let most = width_max(&widths, width);
        let columns = self.columns.iter().map(|c| shortened(c, most)).collect();
        let mut printer = Printer::new(out, Format::Table, columns)?;
        for row in rows {
            printer.row(row.iter().map(|cell| shortened(cell, most)).collect())?;
        }
        printer.finish()
    }
}

/// The width to which the widest columns are cut so that all fit into a line, if they can.
fn width_max(widths: &[usize], line: usize) -> usize {
    let fits = |most: &usize| widths.iter().map(|w| w.min(most) + 3).sum::<usize>() < line;
    let widest = widths.iter().copied().max().unwrap_or(0).max(CELL_WIDTH_MIN);
    (CELL_WIDTH_MIN..=widest).rev().find(fits).unwrap_or(CELL_WIDTH_MIN)
}

fn shortened(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.into();
    }
    let mut out = String::new();
    for c in text.chars() {
        if out.width() + c.width().unwrap_or(0) >= width {
            break;
        }
        out.push(c);
    }
    out + "…"
}

/// In the order of the keys, so that a row keeps its place from one drawing to the next.
fn rows_of(engine: &Engine, table: &str, limit: usize) -> Result<Table> {
    let select = format!("SELECT * FROM {} LIMIT {limit}", quote(table));
    let Outcome::Answer(mut answer) = engine.ask(&select)? else {
        return Err(Error::runtime("a SELECT without an answer"));
    };
    let columns = answer.columns.iter().map(|c| c.name.clone()).collect();
    let mut rows = Vec::new();
    while let Some(event) = answer.next_event() {
        match event {
            AnswerEvent::Rows(more) => {
                rows.extend(more.iter().map(|row| {
                    cells(&answer.columns, &row.row).iter().map(|cell| table_text(cell)).collect()
                }));
            }
            AnswerEvent::End(_) => break,
            AnswerEvent::Error(error) => return Err(error),
        }
    }
    Ok(Table { columns, rows })
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
        out.push_str(&shortened(line, width));
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
            "\x1b[Htit…\x1b[K\r\nT\x1b[K\r\n+--…\x1b[K\x1b[J"
        );
    }

    #[test]
    fn small_tables_leave_their_lines_to_others() {
        let cases: [(&[usize], usize, &[usize]); 5] = [
            (&[3, 100], 20, &[3, 17]),
            (&[100, 3], 20, &[17, 3]),
            (&[100, 100], 21, &[10, 11]),
            (&[5, 5], 0, &[1, 1]),
            (&[], 20, &[]),
        ];
        for (wanted, room, expected) in cases {
            assert_eq!(share(wanted, room), expected);
        }
    }

    #[test]
    fn wide_columns_are_cut_so_that_all_are_seen() {
        let table = Table {
            columns: vec!["NAME".into(), "N".into()],
            rows: vec![
                vec!["a long name of a car park 駐車場".into(), "7".into()],
                vec!["b".into(), "8".into()],
            ],
        };
        assert_eq!(
            table.text(1, 24),
            "+------------------+---+\n| NAME             | N |\n+------------------+---+\n| a long name of … | 7 |\n+------------------+---+\n"
        );
        assert_eq!(width_max(&[50, 2, 20], 200), 50);
        assert_eq!(width_max(&[50, 2, 20], 10), CELL_WIDTH_MIN);
        assert_eq!(shortened("駐車場", 5), "駐車…");
    }
}

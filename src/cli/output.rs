//! Rows as text: an aligned table, JSON objects, or CSV.
//!
//! A cell is the JSON text of its value, so that rows of an own engine and rows that came over the
//! wire print the same, digit for digit.

use std::borrow::Cow;
use std::io::{self, Write};
use unicode_width::UnicodeWidthStr;

/// A table's columns get their widths from the first rows, up to so many; later ones may stick out.
const TABLE_ROWS_MEASURED: usize = 1_000;

#[derive(clap::ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// An aligned table
    #[default]
    Table,
    /// One object a line, column names as keys
    Json,
    /// Comma-separated, with a header; NULL is nothing, an empty text ""
    Csv,
    /// PRINT's one column as it is
    #[value(skip)]
    Lines,
}

impl Format {
    /// How PRINT's lines are shown where rows are shown like this.
    pub fn of_print(self) -> Format {
        if self == Format::Json { Format::Json } else { Format::Lines }
    }
}

pub struct Printer<'a> {
    out: &'a mut dyn Write,
    format: Format,
    columns: Vec<String>,
    /// Rows of a table whose columns have no widths yet.
    unmeasured: Vec<Vec<String>>,
    widths: Option<Vec<usize>>,
}

impl<'a> Printer<'a> {
    pub fn new(out: &'a mut dyn Write, format: Format, columns: Vec<String>) -> io::Result<Printer<'a>> {
        let printer = Printer { out, format, columns, unmeasured: Vec::new(), widths: None };
        if format == Format::Csv {
            let names = printer.columns.iter().map(|c| Some(Cow::from(c.as_str())));
            csv_line(printer.out, names)?;
        }
        Ok(printer)
    }

    pub fn row(&mut self, cells: Vec<String>) -> io::Result<()> {
        match self.format {
            Format::Json => self.json(&cells, false),
            Format::Csv => self.csv(&cells),
            Format::Table => self.table(cells.iter().map(|c| table_text(c)).collect()),
            Format::Lines => self.line(&cells),
        }
    }

    /// A row of a table that went away: only its key cells are set. JSON marks it with `@deleted`.
    pub fn deleted(&mut self, cells: Vec<String>) -> io::Result<()> {
        match self.format {
            Format::Json => self.json(&cells, true),
            Format::Csv => self.csv(&cells),
            Format::Lines => self.line(&cells),
            Format::Table => self.table(
                cells.iter().map(|c| if c == "null" { "<deleted>".into() } else { table_text(c) }).collect(),
            ),
        }
    }

    /// Shows what was given so far.
    pub fn flush(&mut self) -> io::Result<()> {
        if self.format == Format::Table {
            self.measure()?;
        }
        self.out.flush()
    }

    /// Nothing follows.
    pub fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        if let Some(widths) = &self.widths {
            border(self.out, widths)?;
        }
        self.out.flush()
    }

    fn json(&mut self, cells: &[String], deleted: bool) -> io::Result<()> {
        for (i, (name, cell)) in self.columns.iter().zip(cells).enumerate() {
            let before = if i > 0 { "," } else { "{" };
            write!(self.out, "{before}{}:{cell}", serde_json::Value::from(name.as_str()))?;
        }
        self.out.write_all(if deleted { b",\"@deleted\":true}\n" } else { b"}\n" })
    }

    fn csv(&mut self, cells: &[String]) -> io::Result<()> {
        csv_line(self.out, cells.iter().map(|cell| (cell != "null").then(|| plain(cell))))
    }

    fn line(&mut self, cells: &[String]) -> io::Result<()> {
        cells.first().map_or(Ok(()), |cell| writeln!(self.out, "{}", plain(cell)))
    }

    fn table(&mut self, texts: Vec<String>) -> io::Result<()> {
        match &mut self.widths {
            Some(widths) => {
                widen(widths, &texts);
                table_line(self.out, widths, &texts)
            }
            None => {
                self.unmeasured.push(texts);
                if self.unmeasured.len() == TABLE_ROWS_MEASURED { self.measure() } else { Ok(()) }
            }
        }
    }

    /// Fixes the widths and writes header and waiting rows, if that has not been done.
    fn measure(&mut self) -> io::Result<()> {
        if self.widths.is_some() {
            return Ok(());
        }
        let mut widths = vec![0; self.columns.len()];
        widen(&mut widths, &self.columns);
        self.unmeasured.iter().for_each(|row| widen(&mut widths, row));
        border(self.out, &widths)?;
        header_line(self.out, &widths, &self.columns)?;
        border(self.out, &widths)?;
        for row in std::mem::take(&mut self.unmeasured) {
            table_line(self.out, &widths, &row)?;
        }
        self.widths = Some(widths);
        Ok(())
    }
}

/// A cell's text: a JSON string without its quotes and escapes, anything else as it is.
fn plain(cell: &str) -> Cow<'_, str> {
    match cell.starts_with('"') {
        true => serde_json::from_str(cell).map_or(Cow::from(cell), Cow::<str>::Owned),
        false => Cow::from(cell),
    }
}

/// Control characters would break the table, or steer the terminal.
pub fn table_text(cell: &str) -> String {
    let text = plain(cell);
    if !text.contains(char::is_control) {
        return text.into_owned();
    }
    let shown = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(shown).collect()
}

/// NULL is nothing, an empty text a pair of quotes.
fn csv_line<'t>(out: &mut dyn Write, texts: impl Iterator<Item = Option<Cow<'t, str>>>) -> io::Result<()> {
    for (i, text) in texts.enumerate() {
        let comma = if i > 0 { "," } else { "" };
        let Some(text) = text else {
            write!(out, "{comma}")?;
            continue;
        };
        if text.is_empty() || text.contains(['"', ',', '\n', '\r']) {
            write!(out, "{comma}\"{}\"", text.replace('"', "\"\""))?;
        } else {
            write!(out, "{comma}{text}")?;
        }
    }
    out.write_all(b"\n")
}

fn widen(widths: &mut [usize], texts: &[String]) {
    for (width, text) in widths.iter_mut().zip(texts) {
        *width = (*width).max(text.width());
    }
}

fn border(out: &mut dyn Write, widths: &[usize]) -> io::Result<()> {
    for width in widths {
        write!(out, "+{}", "-".repeat(width + 2))?;
    }
    out.write_all(b"+\n")
}

fn header_line(out: &mut dyn Write, widths: &[usize], names: &[String]) -> io::Result<()> {
    for (width, name) in widths.iter().zip(names) {
        write!(out, "| {name}{} ", padding(name, *width))?;
    }
    out.write_all(b"|\n")
}

/// By columns of the terminal: a character may take two of them, or none.
fn padding(text: &str, width: usize) -> String {
    " ".repeat(width.saturating_sub(text.width()))
}

/// Numbers stand right, so that digits of one weight stand below each other.
fn table_line(out: &mut dyn Write, widths: &[usize], texts: &[String]) -> io::Result<()> {
    for (width, text) in widths.iter().zip(texts) {
        if text.parse::<f64>().is_ok() {
            write!(out, "| {}{text} ", padding(text, *width))?;
        } else {
            write!(out, "| {text}{} ", padding(text, *width))?;
        }
    }
    out.write_all(b"|\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(format: Format, rows: &[[&str; 3]]) -> String {
        let mut out = Vec::new();
        let columns = ["NAME", "N", "at \"x\""].map(String::from).to_vec();
        let mut printer = Printer::new(&mut out, format, columns).unwrap();
        for row in rows {
            let cells = row.map(String::from).to_vec();
            if row[1] == "null" { printer.deleted(cells).unwrap() } else { printer.row(cells).unwrap() }
        }
        printer.finish().unwrap();
        String::from_utf8(out).unwrap()
    }

    const ROWS: &[[&str; 3]] = &[
        [r#""Sharpe, \"A\"""#, "-7", r#"{"lat":53.7}"#],
        [r#""two\nlines ü""#, "1234567", "null"],
        [r#""gone""#, "null", "null"],
        [r#""""#, "1", "null"],
    ];

    #[test]
    fn rows_in_every_format() {
        let cases = [
            (
                Format::Table,
                ROWS,
                r#"
+--------------+-----------+--------------+
| NAME         | N         | at "x"       |
+--------------+-----------+--------------+
| Sharpe, "A"  |        -7 | {"lat":53.7} |
| two\nlines ü |   1234567 | null         |
| gone         | <deleted> | <deleted>    |
|              |         1 | null         |
+--------------+-----------+--------------+
"#,
            ),
            (
                Format::Json,
                ROWS,
                r#"
{"NAME":"Sharpe, \"A\"","N":-7,"at \"x\"":{"lat":53.7}}
{"NAME":"two\nlines ü","N":1234567,"at \"x\"":null}
{"NAME":"gone","N":null,"at \"x\"":null,"@deleted":true}
{"NAME":"","N":1,"at \"x\"":null}
"#,
            ),
            (
                Format::Csv,
                ROWS,
                "\nNAME,N,\"at \"\"x\"\"\"\n\"Sharpe, \"\"A\"\"\",-7,\"{\"\"lat\"\":53.7}\"\n\"two\nlines ü\",1234567,\ngone,,\n\"\",1,\n",
            ),
            (
                Format::Table,
                &[],
                "\n+------+---+--------+\n| NAME | N | at \"x\" |\n+------+---+--------+\n+------+---+--------+\n",
            ),
            (Format::Json, &[], "\n"),
            (Format::Csv, &[], "\nNAME,N,\"at \"\"x\"\"\"\n"),
        ];
        for (format, rows, expected) in cases {
            assert_eq!(format!("\n{}", print(format, rows)), expected);
        }
    }

    #[test]
    fn a_table_under_way_keeps_its_header() {
        let mut out = Vec::new();
        let mut printer = Printer::new(&mut out, Format::Table, vec!["A".into()]).unwrap();
        printer.row(vec!["1".into()]).unwrap();
        printer.flush().unwrap();
        printer.row(vec!["100".into()]).unwrap();
        printer.finish().unwrap();
        let expected = "+---+\n| A |\n+---+\n| 1 |\n| 100 |\n+-----+\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}

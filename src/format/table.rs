//! Rows of text in an aligned table with borders, for people at a terminal.
//!
//! ```text
//! +----------+------+
//! |NAME      |FREE  |
//! +----------+------+
//! |Westgate  |80    |
//! +----------+------+
//! ```

use std::io::{self, Write};

/// Prints rows as they come. The first ones are held back until the widths of the columns are known;
/// a later cell that is wider than its column moves the border of its line, nothing is cut.
pub struct TableWriter<W: Write> {
    out: W,
    columns: Vec<String>,
    widths: Vec<usize>,
    held: Vec<Vec<String>>,
    hold: usize,
    started: bool,
}

impl<W: Write> TableWriter<W> {
    /// `hold`: how many rows decide the widths.
    pub fn new(out: W, columns: impl IntoIterator<Item = impl Into<String>>, hold: usize) -> TableWriter<W> {
        let columns: Vec<String> = columns.into_iter().map(Into::into).collect();
        let widths = columns.iter().map(|name| width(name)).collect();
        TableWriter { out, columns, widths, held: vec![], hold, started: false }
    }

    /// Takes one row: a text for each column.
    pub fn row(&mut self, cells: Vec<String>) -> io::Result<()> {
        let cells: Vec<String> = cells.into_iter().map(one_line).collect();
        if self.started {
            return self.line(&cells);
        }
        self.held.push(cells);
        if self.held.len() >= self.hold { self.flush() } else { Ok(()) }
    }

    /// Prints what is held back; from then on the widths are fixed.
    pub fn flush(&mut self) -> io::Result<()> {
        if !self.started {
            self.started = true;
            for row in &self.held {
                for (column_width, cell) in self.widths.iter_mut().zip(row) {
                    *column_width = width(cell).max(*column_width);
                }
            }
            self.border()?;
            let header = self.columns.clone();
            self.line(&header)?;
            self.border()?;
        }
        for row in std::mem::take(&mut self.held) {
            self.line(&row)?;
        }
        self.out.flush()
    }

    /// Prints all that is left, and the lower border.
    pub fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        self.border()?;
        self.out.flush()
    }

    fn border(&mut self) -> io::Result<()> {
        for width in &self.widths {
            write!(self.out, "+{}", "-".repeat(*width))?;
        }
        writeln!(self.out, "+")
    }

    fn line(&mut self, cells: &[String]) -> io::Result<()> {
        for (column_width, cell) in self.widths.iter().zip(cells) {
            let blanks = column_width.saturating_sub(width(cell));
            write!(self.out, "|{cell}{}", " ".repeat(blanks))?;
        }
        writeln!(self.out, "|")
    }
}

/// The whole table of a few rows.
pub fn table(columns: &[String], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut out = vec![];
    let mut writer = TableWriter::new(&mut out, columns.iter().cloned(), usize::MAX);
    for row in rows {
        writer.row(row).expect("memory takes all that is written to it");
    }
    writer.finish().expect("memory takes all that is written to it");
    String::from_utf8_lossy(&out).into_owned()
}

fn width(text: &str) -> usize {
    text.chars().count()
}

/// Escapes what would leave the line, or talk to the terminal.
fn one_line(text: String) -> String {
    if !text.contains(char::is_control) {
        return text;
    }
    let escape = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| text.to_string()).collect()
    }

    #[test]
    fn a_table_is_as_wide_as_its_cells() {
        let rows = [cells(&["Westgate", "80"]), cells(&["Café\n", "null"])];
        let expected = "\
+--------+----+
|NAME    |FREE|
+--------+----+
|Westgate|80  |
|Café\\n  |null|
+--------+----+
";
        assert_eq!(table(&cells(&["NAME", "FREE"]), rows), expected);
        assert_eq!(table(&cells(&["A"]), []), "+-+\n|A|\n+-+\n+-+\n");
    }

    #[test]
    fn later_rows_keep_the_widths_of_the_first() {
        let mut out = vec![];
        let mut writer = TableWriter::new(&mut out, ["A", "B"], 1);
        for row in [["xx", "1"], ["y", "2"], ["zzz", "3"]] {
            writer.row(cells(&row)).unwrap();
        }
        writer.finish().unwrap();
        let expected = "\
+--+-+
|A |B|
+--+-+
|xx|1|
|y |2|
|zzz|3|
+--+-+
";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}

//! Outcomes of an own engine on standard output, an empty line between them.

use super::output::{Format, Printer};
use super::{entity, interrupt, output_failed};
use crate::engine::{Answer, AnswerEvent, AnswerKind, Outcome};
use crate::error::{Error, Result};
use crate::format::output::json_value;
use crate::server::entity::entity;
use crate::sql::ast::Parsed;
use crate::types::ColumnDef;
use crate::value::{Row, Value};
use std::io::{self, BufWriter, Stdout, Write};

pub struct Answers {
    out: BufWriter<Stdout>,
    format: Format,
    first: bool,
}

impl Answers {
    pub fn new(format: Format) -> Answers {
        Answers { out: BufWriter::new(io::stdout()), format, first: true }
    }

    /// Shows what a statement answers; one that only does something is silent.
    pub fn show(&mut self, statement: &Parsed, outcome: Outcome) -> Result<()> {
        let entity = match outcome {
            Outcome::Status(_) => return Ok(()),
            Outcome::Answer(answer) => {
                self.part().map_err(output_failed)?;
                return print(answer, self.format, &mut self.out);
            }
            other => entity(statement, &other, 0),
        };
        self.part().map_err(output_failed)?;
        if let Some(entity) = entity {
            entity::print(&entity, self.format, &mut self.out).map_err(output_failed)?;
        }
        self.finish()
    }

    pub fn finish(&mut self) -> Result<()> {
        self.out.flush().map_err(output_failed)
    }

    fn part(&mut self) -> io::Result<()> {
        if self.first {
            self.first = false;
            return Ok(());
        }
        self.out.write_all(b"\n")
    }
}

/// Prints rows as they come, to the end of the answer.
pub fn print(mut answer: Answer, format: Format, out: &mut dyn Write) -> Result<()> {
    let format = if answer.kind == AnswerKind::Print { format.of_print() } else { format };
    let names = answer.columns.iter().map(|c| c.name.clone()).collect();
    let mut printer = Printer::new(out, format, names).map_err(output_failed)?;
    loop {
        let event = answer.next_event();
        interrupt::check()?;
        let rows = match event {
            Some(AnswerEvent::Rows(rows)) => rows,
            Some(AnswerEvent::End(_)) => break,
            Some(AnswerEvent::Error(error)) => return Err(error),
            None => return Err(Error::runtime("the engine stopped before the answer was complete")),
        };
        for row in rows {
            let cells = cells(&answer.columns, &row.row);
            let printed = if row.deleted { printer.deleted(cells) } else { printer.row(cells) };
            printed.map_err(output_failed)?;
        }
        if !answer.kind.is_pull() {
            printer.flush().map_err(output_failed)?;
        }
    }
    printer.finish().map_err(output_failed)
}

/// A row as JSON texts.
pub fn cells(columns: &[ColumnDef], row: &Row) -> Vec<String> {
    let cell = |(value, column): (&Value, &ColumnDef)| {
        let mut text = String::new();
        json_value(value, &column.ty, &mut text);
        text
    };
    row.iter().zip(columns).map(cell).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{AnswerEnd, AnswerRow, Answers, Limits};
    use crate::types::{Part, SqlType};
    use std::sync::Arc;

    fn printed(kind: AnswerKind, format: Format) -> String {
        let (rows, outlet) = Arc::new(Answers::new(Limits::default())).open("q", kind);
        let row = |text: &str, deleted| AnswerRow { row: vec![Value::text(text), Value::Null], deleted };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        for sent in [row("a", false), row("b", true)] {
            assert!(runtime.block_on(outlet.send(vec![sent])));
        }
        outlet.finish(AnswerEvent::End(AnswerEnd::Completed));
        let column =
            |name: &str, key| ColumnDef { name: name.into(), ty: SqlType::Varchar, part: Part::key_if(key) };
        let answer =
            Answer { id: "q".into(), kind, columns: vec![column("K", true), column("V", false)], rows };
        let mut out = Vec::new();
        print(answer, format, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn answers_are_printed_to_their_end() {
        let cases = [
            (
                AnswerKind::Push,
                Format::Json,
                "{\"K\":\"a\",\"V\":null}\n{\"K\":\"b\",\"V\":null,\"@deleted\":true}\n",
            ),
            (
                AnswerKind::Push,
                Format::Table,
                "+---+------+\n| K | V    |\n+---+------+\n| a | null |\n| b | <deleted> |\n+---+-----------+\n",
            ),
            (AnswerKind::Pull, Format::Csv, "K,V\na,\nb,\n"),
            (AnswerKind::Print, Format::Table, "a\nb\n"),
        ];
        for (kind, format, expected) in cases {
            assert_eq!(printed(kind, format), expected);
        }
    }
}

//! `wharfe rejects`: what a server that runs has rejected, and how it goes back in.

use super::client::{Client, DEFAULT_SERVER, Part};
use super::output::{Format, Printer};
use super::{interrupt, output_failed};
use crate::engine::Session;
use crate::error::{Error, Result, reason};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::io::{self, Write};
use std::path::PathBuf;

const COLUMNS: &str = "ROWPARTITION, ROWOFFSET, KIND, SOURCE_NAME, TOPIC, TOPIC_PARTITION, TOPIC_OFFSET, \
                       STAGE, COLUMN_NAME, REASON, RAW";

/// Show what was rejected, and put mended records back in
///
/// A reject is named by its partition and offset in WHARFE_REJECTS, PARTITION:OFFSET. A mended record goes in
/// at its source, once.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  wharfe rejects list --where \"SOURCE_NAME = 'CARPARK_SRC'\"
  wharfe rejects show 0:17
  wharfe rejects replay 0:17 --value '2020-10-06,14:41,Westgate,116,89,Spaces,53.8,-1.8,\"\"'
  wharfe rejects replay --where \"COLUMN_NAME = 'CAPACITY'\" --expression \"REPLACE(RAW, 'n/a', '')\"")]
pub struct Args {
    #[command(subcommand)]
    command: Command,

    /// Which server
    #[arg(long, value_name = "URL", default_value = DEFAULT_SERVER, global = true)]
    server: String,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    /// List rejects and notes
    List {
        /// A condition over the columns of WHARFE_REJECTS
        #[arg(long = "where", value_name = "CONDITION")]
        condition: Option<String>,
        /// How the table is printed
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Show one: why, and its bytes
    Show {
        #[arg(value_name = "PARTITION:OFFSET", value_parser = id)]
        id: (i32, i64),
    },
    /// Put rejects back in at their sources
    Replay {
        /// Which one
        #[arg(value_name = "PARTITION:OFFSET", value_parser = id, required_unless_present = "condition",
              conflicts_with = "condition")]
        id: Option<(i32, i64)>,
        /// The record as it is to be [default: as it was]
        #[arg(long, value_name = "TEXT", conflicts_with_all = ["file", "condition"])]
        value: Option<String>,
        /// A file with the record as it is to be
        #[arg(long, value_name = "FILE", conflicts_with = "condition")]
        file: Option<PathBuf>,
        /// All that fulfil a condition over the columns of WHARFE_REJECTS
        #[arg(long = "where", value_name = "CONDITION")]
        condition: Option<String>,
        /// What goes in for each: an expression over RAW, the record as text; NULL leaves it out
        #[arg(long, value_name = "SQL", requires = "condition")]
        expression: Option<String>,
        /// Only show what would go in
        #[arg(long, requires = "condition")]
        preview: bool,
    },
}

fn id(text: &str) -> Result<(i32, i64), String> {
    let parts = text.split_once(':').and_then(|(p, o)| Some((p.parse().ok()?, o.parse().ok()?)));
    parts.ok_or_else(|| "expected PARTITION:OFFSET, as `wharfe rejects list` shows them".into())
}

pub fn run(args: Args) -> Result<u8> {
    interrupt::install()?;
    let client = Client::new(&args.server);
    match args.command {
        Command::List { condition, format } => list(&client, condition.as_deref(), format),
        Command::Show { id } => show(&client, id),
        Command::Replay { id, value, file, condition, expression, preview } => {
            let value = match (value, file) {
                (Some(text), _) => Some(text.into_bytes()),
                (None, Some(file)) => {
                    let failed = |e| Error::usage(format!("cannot read {}: {}", file.display(), reason(&e)));
                    Some(std::fs::read(&file).map_err(failed)?)
                }
                (None, None) => None,
            };
            let mut body = json!({ "where": condition, "expression": expression });
            if let Some((partition, offset)) = id {
                body = json!({ "partition": partition, "offset": offset });
                body["value"] = json!(value.map(|value| STANDARD.encode(value)));
            }
            replay(&client, &body, preview)
        }
    }
}

fn rows(client: &Client, condition: &str) -> Result<Vec<Vec<Value>>> {
    let sql = format!("SELECT {COLUMNS} FROM WHARFE_REJECTS WHERE {condition}");
    let mut rows = Vec::new();
    for part in client.query(&sql, &Session::default())? {
        match part {
            Part::Header { .. } => {}
            Part::Row { cells, .. } => {
                rows.push(cells.iter().map(|cell| serde_json::from_str(cell).unwrap_or_default()).collect());
            }
            Part::Failed(error) => return Err(error),
        }
    }
    Ok(rows)
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), String::from)
}

fn list(client: &Client, condition: Option<&str>, format: Format) -> Result<u8> {
    let mut out = io::stdout().lock();
    let names = ["ID", "KIND", "SOURCE", "RECORD", "STAGE", "COLUMN", "REASON"].map(String::from).to_vec();
    let all = rows(client, condition.unwrap_or("1 = 1"))?;
    let mut printer = Printer::new(&mut out, format, names).map_err(output_failed)?;
    for row in all {
        let id = format!("{}:{}", row[0], row[1]);
        let record = format!("{}/{}/{}", text(&row[4]), row[5], row[6]);
        let cells = [
            json!(id),
            row[2].clone(),
            row[3].clone(),
            json!(record),
            row[7].clone(),
            row[8].clone(),
            row[9].clone(),
        ];
        printer.row(cells.iter().map(Value::to_string).collect()).map_err(output_failed)?;
    }
    printer.finish().map_err(output_failed)?;
    Ok(0)
}

fn show(client: &Client, (partition, offset): (i32, i64)) -> Result<u8> {
    let found = rows(client, &format!("ROWPARTITION = {partition} AND ROWOFFSET = {offset}"))?;
    let Some(row) = found.first() else {
        return Err(Error::usage(format!("there is no reject {partition}:{offset}")));
    };
    let mut shown = format!("{} of {} at {}\n", text(&row[2]), text(&row[3]), text(&row[7]));
    shown.push_str(&format!("record  {}/{}/{}\n", text(&row[4]), row[5], row[6]));
    shown.push_str(&format!("column  {}\nreason  {}\n", text(&row[8]), text(&row[9])));
    if let Some(raw) = row[10].as_str().and_then(|raw| STANDARD.decode(raw).ok()) {
        shown.push_str(&format!("\n{}\n\n{}", String::from_utf8_lossy(&raw), hex(&raw)));
    }
    let mut out = io::stdout().lock();
    out.write_all(shown.as_bytes()).and_then(|()| out.flush()).map_err(output_failed)?;
    Ok(0)
}

/// Sixteen bytes a line.
fn hex(bytes: &[u8]) -> String {
    let line = |(i, line): (usize, &[u8])| {
        let codes: String = line.iter().map(|byte| format!("{byte:02x} ")).collect();
        let plain: String =
            line.iter().map(|b| if (32..127).contains(b) { char::from(*b) } else { '.' }).collect();
        format!("{:06x}  {codes:<48} {plain}\n", i * 16)
    };
    bytes.chunks(16).enumerate().map(line).collect()
}

/// Exits with 1 when something did not go back in.
fn replay(client: &Client, body: &Value, preview: bool) -> Result<u8> {
    let mut out = io::stdout().lock();
    let mut say = |line: String| writeln!(out, "{line}").map_err(output_failed);
    if preview {
        let answer = client.send("/rejects/preview", body)?;
        for one in answer["records"].as_array().into_iter().flatten() {
            say(format!("{}\n- {}\n+ {}", text(&one["record"]), text(&one["before"]), text(&one["after"])))?;
        }
        say(format!("{} would go back in", answer["count"]))?;
        return Ok(0);
    }
    let answer = client.send("/rejects/replay", body)?;
    let refused = answer["refused"].as_array().cloned().unwrap_or_default();
    for one in &refused {
        say(format!("{}: {}", text(&one["record"]), text(&one["message"])))?;
    }
    say(format!("{} went back in", answer["replayed"]))?;
    Ok(u8::from(!refused.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_beside_their_text() {
        assert_eq!(hex(b"a\x00"), format!("000000  {:<48} a.\n", "61 00"));
        assert!(id("0:17") == Ok((0, 17)) && id("17").is_err());
    }
}

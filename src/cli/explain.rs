//! `wharfe explain`: the plan of every query of a script, without reading an input.

use super::script::Script;
use super::{output_failed, settings};
use crate::error::{Error, Result, reason};
use crate::flow::{self, SinkNode};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Print the plan of every query of a script, without running it
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:\n  wharfe explain dataflows/carparks.sql\n  \
                        wharfe explain --svg flow.svg dataflows/carparks.sql\n  \
                        wharfe explain --data-dir events food.sql")]
pub struct Args {
    /// The script of ksqlDB statements
    #[arg(value_name = "FILE.sql")]
    script: PathBuf,

    /// Where topics live [default: FILE.toml beside the script, or topology.toml]
    #[arg(long, value_name = "FILE")]
    topology: Option<PathBuf>,

    /// Where a run or a gateway keeps its data, if there is one: schemas are looked up there, also while it runs
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,

    /// Write the flow as a picture to a file instead; `-` is standard output
    ///
    /// Topics, streams, queries, tables and sinks, and who feeds whom: the graph that the console shows.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

pub fn run(args: Args) -> Result<u8> {
    let script = Script::file(&args.script)?;
    let topology = settings::topology(&args.script, args.topology.as_deref(), &[])?;
    let data_dir = args.data_dir.as_deref();
    if let Some(dir) = data_dir.filter(|dir| !dir.is_dir()) {
        return Err(Error::usage(format!("--data-dir {}: there is no such directory", dir.display())));
    }
    let located = |e: Error| e.in_text(&script.name, &script.text);
    if let Some(file) = &args.svg {
        let (described, sinks) =
            crate::engine::described_script(&script.statements, &topology, data_dir).map_err(located)?;
        let sinks: Vec<SinkNode> = sinks.iter().map(SinkNode::of).collect();
        return write_picture(file, &flow::svg(&flow::graph(&described, &sinks)));
    }
    let plan = crate::engine::explain_script(&script.statements, &topology, data_dir).map_err(located)?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", plan.trim_end()).and_then(|()| out.flush()).map_err(output_failed)?;
    Ok(0)
}

fn write_picture(file: &Path, picture: &str) -> Result<u8> {
    if file == Path::new("-") {
        let mut out = std::io::stdout().lock();
        out.write_all(picture.as_bytes()).and_then(|()| out.flush()).map_err(output_failed)?;
    } else {
        std::fs::write(file, picture)
            .map_err(|e| Error::runtime(format!("cannot write {}: {}", file.display(), reason(&e))))?;
    }
    Ok(0)
}

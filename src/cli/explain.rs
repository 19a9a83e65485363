//! `wharfe explain`: the plan of every query of a script, without reading an input.

use super::script::Script;
use super::{output_failed, settings};
use crate::error::Result;
use std::io::Write;
use std::path::PathBuf;

/// Print the plan of every query of a script, without running it
#[derive(clap::Args, Debug)]
#[command(after_help = "Example:\n  wharfe explain dataflows/carparks.sql")]
pub struct Args {
    /// The script of ksqlDB statements
    #[arg(value_name = "FILE.sql")]
    script: PathBuf,

    /// Where topics live [default: FILE.toml beside the script, if it exists]
    #[arg(long, value_name = "FILE")]
    topology: Option<PathBuf>,
}

pub fn run(args: Args) -> Result<u8> {
    let script = Script::file(&args.script)?;
    let topology = settings::topology(&args.script, args.topology.as_deref(), &[])?;
    let plan = crate::engine::explain_script(&script.statements, &topology)
        .map_err(|e| e.in_text(&script.name, &script.text))?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", plan.trim_end()).and_then(|()| out.flush()).map_err(output_failed)?;
    Ok(0)
}

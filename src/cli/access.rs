//! `wharfe access hash`: what stands for a password in an access file.

use super::output_failed;
use crate::error::{Error, Result, reason};
use crate::server::access::hash;
use std::io::Write;

/// Passwords are no longer than this.
const LINE_BYTES_MAX: u64 = 4_096;

/// What an access file needs
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    /// Read a password from standard input, write its argon2 hash
    ///
    /// The hash goes into the file of `wharfe run --access`, the password nowhere.
    #[command(after_help = "Example:\n  systemd-ask-password | wharfe access hash")]
    Hash,
}

pub fn run(args: Args) -> Result<u8> {
    let Command::Hash = args.command;
    let mut line = String::new();
    let input = std::io::Read::take(std::io::stdin().lock(), LINE_BYTES_MAX);
    std::io::BufRead::read_line(&mut std::io::BufReader::new(input), &mut line)
        .map_err(|e| Error::runtime(format!("cannot read the password: {}", reason(&e))))?;
    let password = line.trim_end_matches(['\n', '\r']);
    if password.is_empty() {
        return Err(Error::usage("there is no password on standard input"));
    }
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", hash(password)?).and_then(|()| out.flush()).map_err(output_failed)?;
    Ok(0)
}

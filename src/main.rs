//! The subcommands, and how each ends: 0 well, 1 run time, 2 usage, SQL or topology, 3 rejects under
//! `--strict`, 130 interrupted.

use clap::Parser;
use std::process::ExitCode;
use wharfe::cli::{self, Cli, Command};
use wharfe::error::Code;

#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Run(args) => cli::run::run(args),
        Command::Query(args) => cli::query::run(args),
        Command::Shell(args) => cli::shell::run(args),
        Command::Explain(args) => cli::explain::run(args),
        Command::Generate(args) => cli::generate::run(args),
        Command::Registry(args) => cli::registry::run(args),
        Command::Bench(args) => cli::bench::run(args),
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            if error.code != Code::Interrupted {
                eprintln!("error: {error}");
            }
            ExitCode::from(error.exit_code() as u8)
        }
    }
}

//! The subcommands, and how each ends: 0 well, 1 run time, 2 usage, SQL or topology, 3 rejects under
//! `--strict`, 130 interrupted.

use clap::Parser;
use std::ffi::{c_int, c_long};
use std::process::ExitCode;
use wharfe::cli::{self, Cli, Command};
use wharfe::error::Code;

#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    give_memory_back();
    let command = Cli::parse().command;
    cli::log::begin(command.log());
    let done = match command {
        Command::Run(args) => cli::run::run(args),
        Command::Query(args) => cli::query::run(args),
        Command::Lag(args) => cli::lag::run(args),
        Command::Shell(args) => cli::shell::run(args),
        Command::Test(args) => cli::test::run(args),
        Command::Explain(args) => cli::explain::run(args),
        Command::Generate(args) => cli::generate::run(args),
        Command::Registry(args) => cli::registry::run(args),
        Command::Gateway(args) => cli::gateway::run(args),
        Command::Schema(args) => cli::events::schema(args),
        Command::Consume(args) => cli::events::consume(args),
        Command::Subscriptions(args) => cli::events::subscriptions(args),
        Command::Watch(args) => cli::events::watch(args),
        Command::Trace(args) => cli::events::trace(args),
        Command::Archive(args) => cli::archive::run(args),
        Command::Rejects(args) => cli::rejects::run(args),
        Command::Access(args) => cli::access::run(args),
        Command::Bench(args) => cli::bench::run(args),
        Command::BenchPart(args) => cli::bench::part::run(args),
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            if error.code != Code::Interrupted {
                cli::log::fail(&error);
            }
            ExitCode::from(error.exit_code() as u8)
        }
    }
}

/// Tells the allocator to return freed memory after 10 ms instead of a second: merging a table of
/// many keys frees large blocks, and until they are returned they count as ours.
fn give_memory_back() {
    /// `mi_option_purge_delay` in mimalloc.h, milliseconds; the same number in its versions 2 and 3.
    const PURGE_DELAY: c_int = 15;
    unsafe extern "C" {
        fn mi_option_set_default(option: c_int, value: c_long);
    }
    // SAFETY: sets a number in the allocator that is linked above; a number it does not know, it
    // ignores. An environment variable that sets the same option keeps the upper hand.
    unsafe { mi_option_set_default(PURGE_DELAY, 10) }
}

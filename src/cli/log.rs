//! What there is to say while something runs: a line each on standard error, as text or as JSON.

use crate::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::time::{ChronoLocal, ChronoUtc};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Every line is to be JSON.
static JSON: AtomicBool = AtomicBool::new(false);

#[derive(clap::Args, Clone, Copy, Debug, Default)]
#[group(id = "log")]
pub struct Args {
    /// How what happens is told, on standard error
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT", help_heading = "Output")]
    log_format: Format,

    /// What is told: this and what is worse
    #[arg(long, value_enum, default_value_t, value_name = "LEVEL", help_heading = "Output")]
    log_level: Level,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Format {
    /// For people
    #[default]
    Text,
    /// One object a line
    Json,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Level {
    Error,
    Warn,
    #[default]
    Info,
    Debug,
    Trace,
}

/// From now on lines are written.
pub fn begin(args: Args) {
    let level = match args.log_level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    };
    // Libraries tell how they work; of that only what goes wrong is of use here.
    let which =
        Targets::new().with_target(env!("CARGO_PKG_NAME"), level).with_default(level.min(LevelFilter::WARN));
    let lines =
        tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false).with_ansi(false);
    let lines = match args.log_format {
        Format::Text => lines.with_timer(ChronoLocal::new("%H:%M:%S".into())).boxed(),
        Format::Json => lines.json().flatten_event(true).with_timer(ChronoUtc::rfc_3339()).boxed(),
    };
    JSON.store(args.log_format == Format::Json, Ordering::Relaxed);
    // Somebody who embeds this may have said where they go before.
    let _ = tracing_subscriber::registry().with(lines.with_filter(which)).try_init();
}

/// Says the result of a command that is none of its answers.
pub fn say(line: &str) {
    if JSON.load(Ordering::Relaxed) { tracing::info!("{line}") } else { eprintln!("{line}") }
}

/// Says why a command has failed.
pub fn fail(error: &Error) {
    if JSON.load(Ordering::Relaxed) { tracing::error!("{error}") } else { eprintln!("error: {error}") }
}

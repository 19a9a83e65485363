//! `wharfe registry`: a schema registry on its own.

use super::{interrupt, log, serving};
use crate::error::{Error, Result, reason};
use crate::registry::{Level, Registry};
use crate::server;
use std::path::PathBuf;
use tokio::sync::oneshot;

/// Serve a schema registry with Confluent's REST interface
///
/// Schemas of the kinds AVRO, PROTOBUF and JSON, with references, compatibility levels and ids that
/// never change. Everything is kept in one directory, and durable before it is answered.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Where the schemas are kept; made if it is not there
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,

    /// HOST:PORT or PORT; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8081")]
    listen: String,

    /// What a new version must be, unless a level is set with PUT /config
    ///
    /// NONE, BACKWARD, FORWARD or FULL, and with _TRANSITIVE to all versions instead of the latest.
    #[arg(long, value_name = "LEVEL", default_value = "BACKWARD", value_parser = level)]
    compatibility: Level,

    #[command(flatten)]
    exposure: serving::Exposure,

    #[command(flatten)]
    pub log: log::Args,
}

const EXAMPLES: &str = "\
Examples:
  wharfe registry --data-dir schemas
  wharfe registry --data-dir schemas --compatibility FULL_TRANSITIVE
  wharfe registry --data-dir schemas --listen 0.0.0.0:8081 --access access.toml --tls-cert cert.pem --tls-key key.pem
  curl http://127.0.0.1:8081/subjects";

fn level(text: &str) -> Result<Level, String> {
    let names = || Level::ALL.map(Level::name).join(", ");
    Level::parse(text).ok_or_else(|| format!("expected one of {}", names()))
}

pub fn run(args: Args) -> Result<u8> {
    let protection = args.exposure.protection()?;
    let listener = serving::listen_guarded(&serving::address(&args.listen), &args.exposure)?;
    let registry = Registry::open_with(&args.data_dir, args.compatibility)?;
    let failed = |e: std::io::Error| Error::runtime(format!("cannot serve: {}", reason(&e)));
    let address = listener.local_addr().map_err(failed)?;
    interrupt::install()?;
    let (stop, stopped) = oneshot::channel();
    interrupt::then(move || {
        let _ = stop.send(());
    });
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(failed)?;
    log::say(&format!(
        "schema registry on {}://{address}, data in {}",
        args.exposure.scheme(),
        args.data_dir.display()
    ));
    runtime
        .block_on(server::registry::serve(listener, registry, protection, async { drop(stopped.await) }))?;
    Ok(0)
}

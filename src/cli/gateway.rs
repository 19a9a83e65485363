//! `wharfe gateway`: events by name, over HTTP, on its own.

use super::{interrupt, log, serving};
use crate::error::{Error, Result, reason};
use crate::gateway::Gateway;
use crate::registry::Client;
use crate::server;
use crate::topology::Topology;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::oneshot;

/// Serve events by name: publish and consume them over HTTP without knowing a cluster
///
/// Publishers POST events by name, consumers are called back with them. Where an event lives, which
/// schemas it has and who is called is kept in the data directory. Zones are named in the topology;
/// without one there is a zone that is a log in the data directory, and no broker is needed.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Where everything is kept; made if it is not there
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,

    /// Zones, events, clusters and tokens: a TOML file
    #[arg(long, value_name = "FILE")]
    topology: Option<PathBuf>,

    /// HOST:PORT or PORT; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8090")]
    listen: String,

    #[command(flatten)]
    exposure: serving::Exposure,

    #[command(flatten)]
    more: More,

    #[command(flatten)]
    pub log: log::Args,
}

/// What a gateway takes wherever it runs.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct More {
    /// Call-backs may go to this private address, network or name; repeatable
    ///
    /// As `callbacks` under [gateway] in the topology: 127.0.0.1, 10.0.0.0/8 or hooks.internal.
    #[arg(long, value_name = "ADDR", help_heading = "Gateway")]
    pub allow_callback: Vec<String>,
}

const EXAMPLES: &str = "\
Examples:
  wharfe gateway --data-dir events --allow-callback 127.0.0.1
  wharfe gateway --data-dir events --topology zones.toml --access access.toml --tls-cert cert.pem --tls-key key.pem --listen 0.0.0.0:8090
  wharfe schema register --namespace mfp --event-type FoodEntryCreated --file FoodEntryCreated.avsc";

pub fn run(args: Args) -> Result<u8> {
    let protection = args.exposure.protection()?;
    let listener = serving::listen_guarded(&serving::address(&args.listen), &args.exposure)?;
    let topology = args.topology.as_deref().map_or_else(|| Ok(Topology::empty()), Topology::load)?;
    let failed = |e: std::io::Error| Error::runtime(format!("cannot serve: {}", reason(&e)));
    let address = listener.local_addr().map_err(failed)?;
    interrupt::install()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_name("gateway")
        .enable_all()
        .build()
        .map_err(failed)?;
    let _inside = runtime.enter();
    let client = Client::open(topology.registry.as_ref(), &args.data_dir.join("registry"))?;
    let gateway = open(&args.data_dir, topology, client, &args.more)?;
    let (stop, stopped) = oneshot::channel();
    interrupt::then(move || {
        tracing::info!("stopping");
        let _ = stop.send(());
    });
    let url = format!("{}://{address}", args.exposure.scheme());
    println!("listening on {url}");
    log::say(&format!("gateway on {url}, data in {}", args.data_dir.display()));
    let stop = async { drop(stopped.await) };
    let serving = server::gateway::serve(listener, Arc::clone(&gateway), protection, stop);
    let served = runtime.block_on(serving);
    runtime.block_on(gateway.close());
    // Threads that wait for clusters need no farewell: whatever was answered is stored.
    drop(_inside);
    runtime.shutdown_background();
    served.map(|()| 0)
}

/// Opens a gateway on the runtime that is entered.
pub fn open(dir: &Path, topology: Topology, client: Client, more: &More) -> Result<Arc<Gateway>> {
    let mut zones = topology.zones;
    zones.gateway.callbacks.extend(more.allow_callback.iter().cloned());
    crate::gateway::deliver::guard::Guard::new(&zones.gateway.callbacks)
        .map_err(|why| Error::usage(format!("--allow-callback: {why}")))?;
    Gateway::open(dir, zones, client)
}

//! The REST server beside a run: its port, taken before anything else starts, and its thread.

use super::run;
use crate::engine::Engine;
use crate::error::{Error, Result, reason};
use crate::gateway::Gateway;
use crate::server;
use crate::server::access::Access;
use std::io;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::sync::oneshot;

const DEFAULT: &str = "127.0.0.1:8088";

/// The workers have the cores; requests only wait for them.
const THREADS: usize = 2;

/// How others than this machine are served: encrypted, and only who is known.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct Exposure {
    /// Who may ask what: a TOML file of tokens and users with roles
    ///
    /// Needed on addresses that other machines reach. docs/security.md describes it; `wharfe access hash`
    /// makes what stands for a password.
    #[arg(long, value_name = "FILE", help_heading = "Access")]
    pub access: Option<PathBuf>,

    /// Serve by TLS with this certificate: a PEM file, the chain behind it
    #[arg(long, value_name = "FILE", requires = "tls_key", help_heading = "Access")]
    pub tls_cert: Option<PathBuf>,

    /// The certificate's private key: a PEM file
    #[arg(long, value_name = "FILE", requires = "tls_cert", help_heading = "Access")]
    pub tls_key: Option<PathBuf>,

    /// Serve other machines without TLS, behind a proxy that encrypts
    #[arg(long, help_heading = "Access")]
    pub insecure: bool,
}

impl Exposure {
    /// Others than this machine are only served in the open when that was asked for, and only who is known.
    pub fn check(&self, listener: &TcpListener) -> Result<()> {
        let address =
            listener.local_addr().map_err(|e| Error::runtime(format!("cannot serve: {}", reason(&e))))?;
        if address.ip().is_loopback() {
            return Ok(());
        }
        if self.tls_cert.is_none() && !self.insecure {
            return Err(Error::usage(format!(
                "{address} is open to other machines, and nothing would be encrypted"
            ))
            .hint("--tls-cert FILE --tls-key FILE, or --insecure behind a proxy that encrypts"));
        }
        if self.access.is_none() {
            return Err(Error::usage(format!(
                "{address} is open to other machines, and whoever reaches it could do all"
            ))
            .hint("--access FILE with tokens and users"));
        }
        Ok(())
    }

    pub fn protection(&self) -> Result<server::Protection> {
        let access = self.access.as_deref().map(Access::load).transpose()?;
        let tls = match (&self.tls_cert, &self.tls_key) {
            (Some(certificate), Some(key)) => Some(server::access::certificates(certificate, key)?),
            _ => None,
        };
        Ok(server::Protection { access, tls })
    }

    pub fn scheme(&self) -> &'static str {
        if self.tls_cert.is_some() { "https" } else { "http" }
    }
}

/// Takes the port, if this process is to serve.
pub fn bind(args: &run::Args) -> Result<Option<TcpListener>> {
    let wanted = match &args.listen {
        None if args.once => return Ok(None),
        _ if args.process > 0 => return Ok(None),
        None => DEFAULT.to_string(),
        Some(given) => address(given),
    };
    listen_guarded(&wanted, &args.exposure).map(Some)
}

/// Takes a port that may be served so.
pub fn listen_guarded(wanted: &str, exposure: &Exposure) -> Result<TcpListener> {
    let listener = listen(wanted)?;
    exposure.check(&listener)?;
    Ok(listener)
}

/// What is served beside the engine, and to whom.
pub fn options(args: &run::Args) -> Result<server::Options> {
    let dashboards = super::settings::dashboards(args)?;
    Ok(server::Options { dashboards, protection: args.exposure.protection()? })
}

/// Takes a port: HOST:PORT.
fn listen(wanted: &str) -> Result<TcpListener> {
    match TcpListener::bind(wanted) {
        Ok(listener) => Ok(listener),
        Err(e) if e.kind() == io::ErrorKind::AddrInUse => Err(Error::runtime(format!("{wanted} is in use"))
            .hint("serve elsewhere with --listen ADDR, or --listen 127.0.0.1:0 for any free port")),
        Err(e) if e.kind() == io::ErrorKind::InvalidInput => {
            Err(Error::usage(format!("--listen `{wanted}` is not HOST:PORT")))
        }
        Err(e) => Err(Error::runtime(format!("cannot listen on {wanted}: {}", reason(&e)))
            .hint("choose an address with --listen ADDR")),
    }
}

/// A bare port is one of this machine only.
pub fn address(given: &str) -> String {
    let port = given.strip_prefix(':').unwrap_or(given);
    if port.parse::<u16>().is_ok() { format!("127.0.0.1:{port}") } else { given.into() }
}

/// What serves, before it does: statements of the script may need the gateway.
pub struct Prepared {
    runtime: tokio::runtime::Runtime,
    gateway: Option<Arc<Gateway>>,
}

impl Prepared {
    /// `events` opens the gateway that is served beside, if there is to be one.
    pub fn new(events: Option<impl FnOnce() -> Result<Arc<Gateway>>>) -> Result<Prepared> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("serve")
            .enable_all()
            .build()
            .map_err(|e| Error::runtime(format!("cannot serve: {}", reason(&e))))?;
        let gateway = {
            let _inside = runtime.enter();
            events.map(|open| open()).transpose()?
        };
        Ok(Prepared { runtime, gateway })
    }
}

pub struct Serving {
    pub url: String,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<Result<()>>,
}

impl Serving {
    pub fn start(
        listener: TcpListener,
        engine: Engine,
        options: server::Options,
        Prepared { runtime, gateway }: Prepared,
    ) -> Result<Serving> {
        let failed = |e: io::Error| Error::runtime(format!("cannot serve: {}", reason(&e)));
        let scheme = if options.protection.tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}", listener.local_addr().map_err(failed)?);
        let (stop, stopped) = oneshot::channel();
        let serve = move || {
            let stopped = async { drop(stopped.await) };
            let served = runtime.block_on(server::serve(listener, engine, options, gateway.clone(), stopped));
            if let Some(gateway) = gateway {
                runtime.block_on(gateway.close());
            }
            // Requests that block in the engine end with it; there is nobody left to answer.
            runtime.shutdown_background();
            served
        };
        let thread = std::thread::Builder::new().name("server".into()).spawn(serve).map_err(failed)?;
        Ok(Serving { url, stop, thread })
    }

    /// Lets requests under way finish, for a moment.
    pub fn stop(self) -> Result<()> {
        // It fails when the server has ended by itself; its result says why.
        let _ = self.stop.send(());
        self.thread.join().unwrap_or_else(|_| Err(Error::runtime("the server panicked")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_port_means_this_machine() {
        let cases =
            [("8088", "127.0.0.1:8088"), (":1", "127.0.0.1:1"), ("0.0.0.0:1", "0.0.0.0:1"), ("x", "x")];
        for (given, meant) in cases {
            assert_eq!(address(given), meant);
        }
    }
}

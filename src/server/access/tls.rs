//! The listener, with TLS or without. Handshakes are made aside, so that a client that takes its time holds
//! up nobody else.

use crate::error::{Error, Result, reason};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

const HANDSHAKE: Duration = Duration::from_secs(10);
/// Handshakes at a time, and connections that wait to be served.
const WAITING_MAX: usize = 64;

/// What a server shows, from PEM files.
pub fn certificates(certificate: &Path, key: &Path) -> Result<Arc<rustls::ServerConfig>> {
    let failed = |path: &Path, why: String| Error::usage(format!("cannot use {}: {why}", path.display()));
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(certificate)
        .and_then(|all| all.collect())
        .map_err(|e| failed(certificate, e.to_string()))?;
    if chain.is_empty() {
        return Err(failed(certificate, "it holds no certificate in PEM form".into()));
    }
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|e| failed(key, e.to_string()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, secret))
        .map_err(|e| failed(certificate, e.to_string()))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Gives connections whose handshake is made.
pub struct TlsListener {
    address: SocketAddr,
    ready: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
}

impl TlsListener {
    pub fn new(listener: TcpListener, config: Arc<rustls::ServerConfig>) -> Result<TlsListener> {
        let address =
            listener.local_addr().map_err(|e| Error::runtime(format!("cannot serve: {}", reason(&e))))?;
        let (sender, ready) = mpsc::channel(WAITING_MAX);
        tokio::spawn(accept(listener, TlsAcceptor::from(config), sender));
        Ok(TlsListener { address, ready })
    }
}

async fn accept(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    ready: mpsc::Sender<(TlsStream<TcpStream>, SocketAddr)>,
) {
    loop {
        // A place for it first: what cannot be served waits where it costs nothing.
        let Ok(place) = ready.clone().reserve_owned().await else { return };
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            // Too many files are open, or the peer has gone.
            Err(_) => {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        drop(stream.set_nodelay(true));
        let handshake = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream));
        tokio::spawn(async move {
            if let Ok(Ok(stream)) = handshake.await {
                place.send((stream, peer));
            }
        });
    }
}

impl axum::serve::Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.ready.recv().await {
            Some(accepted) => accepted,
            // Its task has ended with the runtime: nothing comes any more.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

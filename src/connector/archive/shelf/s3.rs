//! A bucket of an S3 server, by the variables that all its clients know: AWS_ACCESS_KEY_ID,
//! AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT_URL.
//!
//! Requests are signed and understood by `object_store`; they go out by the HTTP client that the other
//! connectors have, on a thread that waits for them.

use super::{Files, is_another};
use crate::error::{Error, Result, reason};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use http_body_util::BodyExt;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::client::{
    ClientOptions, HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
    HttpService,
};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use std::time::Duration;
use tokio::runtime::Runtime;

/// A request that takes longer is made again.
const PATIENCE: Duration = Duration::from_secs(60);
/// A file that is read has no more bytes.
const FILE_BYTES_MAX: u64 = 4 << 30;

struct Bucket {
    name: String,
    prefix: String,
    store: AmazonS3,
    runtime: Runtime,
}

pub fn check() -> std::result::Result<(), String> {
    Ok(())
}

pub fn open(bucket: &str, prefix: &str) -> Result<Box<dyn Files>> {
    let failed = |why: String| Error::runtime(format!("bucket {bucket}: {why}"));
    let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE));
    let client = Client(config.build().into());
    let store = AmazonS3Builder::from_env().with_bucket_name(bucket).with_http_connector(client).build();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    Ok(Box::new(Bucket {
        name: bucket.into(),
        prefix: prefix.into(),
        store: store.map_err(|e| failed(e.to_string()))?,
        runtime: runtime.map_err(|e| failed(reason(&e)))?,
    }))
}

impl Bucket {
    fn key(&self, name: &str) -> Path {
        Path::from(format!("{}/{name}", self.prefix))
    }

    fn failed(&self, doing: &str, name: &str, error: object_store::Error) -> Error {
        let what = if name.is_empty() { String::new() } else { format!("{name} in ") };
        let why = shortened(&error.to_string());
        Error::runtime(format!("cannot {doing} {what}bucket {}: {why}", self.name)).hint(
            "AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY say which and as whom",
        )
    }
}

impl Files for Bucket {
    fn put_if_absent(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let options = PutOptions::from(PutMode::Create);
        let key = self.key(name);
        let put = self.store.put_opts(&key, bytes.to_vec().into(), options);
        match self.runtime.block_on(put) {
            Ok(_) => Ok(()),
            Err(object_store::Error::AlreadyExists { .. }) if self.read(name)? == bytes => Ok(()),
            Err(object_store::Error::AlreadyExists { .. }) => Err(is_another(name)),
            Err(error) => Err(self.failed("write", name, error)),
        }
    }

    fn list(&self, below: &str) -> Result<Vec<String>> {
        let all = self.key(below);
        let prefix = Path::from(self.prefix.as_str());
        let listed = self.runtime.block_on(async {
            let mut found = Vec::new();
            let mut objects = self.store.list(Some(&all));
            while let Some(object) = objects.next().await {
                let name = object?.location;
                let below = name
                    .prefix_match(&prefix)
                    .map(|parts| parts.map(|part| part.as_ref().to_string()).collect::<Vec<_>>().join("/"));
                found.extend(below);
            }
            Ok(found)
        });
        let mut found = listed.map_err(|e| self.failed("list", below, e))?;
        found.sort();
        Ok(found)
    }

    fn read(&self, name: &str) -> Result<Vec<u8>> {
        let key = self.key(name);
        let read = self.runtime.block_on(async { self.store.get(&key).await?.bytes().await });
        read.map(|bytes| bytes.to_vec()).map_err(|e| self.failed("read", name, e))
    }

    fn delete(&self, name: &str) -> Result<()> {
        match self.runtime.block_on(self.store.delete(&self.key(name))) {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.failed("delete", name, error)),
        }
    }
}

/// What the server says in its answer, which quotes the whole request; else the error's first line.
fn shortened(error: &str) -> String {
    let between = |begin: &str, end: &str| error.split_once(begin)?.1.split_once(end).map(|(text, _)| text);
    match (between("<Code>", "</Code>"), between("<Message>", "</Message>")) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        _ => error.lines().next().unwrap_or_default().into(),
    }
}

/// Carries requests out.
#[derive(Clone, Debug)]
struct Client(ureq::Agent);

impl HttpConnector for Client {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

impl HttpService for Client {
    fn call<'s, 'f>(
        &'s self,
        request: HttpRequest,
    ) -> BoxFuture<'f, std::result::Result<HttpResponse, HttpError>>
    where
        's: 'f,
        Self: 'f,
    {
        let agent = self.0.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let bytes = body.collect().await?.to_bytes();
            let request = ureq::http::Request::from_parts(parts, bytes.to_vec());
            let answered = tokio::task::spawn_blocking(move || -> std::result::Result<_, ureq::Error> {
                let (parts, mut body) = agent.run(request)?.into_parts();
                Ok((parts, body.with_config().limit(FILE_BYTES_MAX).read_to_vec()?))
            });
            match answered.await {
                Ok(Ok((parts, bytes))) => Ok(HttpResponse::from_parts(parts, Bytes::from(bytes).into())),
                Ok(Err(error)) => Err(HttpError::new(kind(&error), error)),
                Err(error) => Err(HttpError::new(HttpErrorKind::Unknown, error)),
            }
        })
    }
}

fn kind(error: &ureq::Error) -> HttpErrorKind {
    match error {
        ureq::Error::Timeout(_) => HttpErrorKind::Timeout,
        ureq::Error::ConnectionFailed | ureq::Error::HostNotFound => HttpErrorKind::Connect,
        ureq::Error::Io(_) => HttpErrorKind::Request,
        _ => HttpErrorKind::Unknown,
    }
}

//! The web console and the dashboards: pages, styles and scripts that are part of the binary.
//!
//! They are served as they lie under `assets/`, there is no step that builds them, and they fetch nothing
//! but what the REST interface gives everybody (`docs/rest.md`). The policy of their pages allows scripts
//! and styles of this server only, none inside of a page, and no evaluation of text.

use super::error::Failure;
use axum::Router;
use axum::extract::Path;
use axum::http::header::{ACCEPT, IF_NONE_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use xxhash_rust::xxh3::xxh3_64;

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

struct Asset {
    name: &'static str,
    media_type: &'static str,
    bytes: &'static [u8],
}

macro_rules! assets {
    ($($name:literal $media_type:ident),* $(,)?) => {
        &[$(Asset {
            name: $name,
            media_type: $media_type,
            bytes: include_bytes!(concat!("assets/", $name)),
        }),*]
    };
}

const ASSETS: &[Asset] = assets![
    "console.html" HTML,
    "console.css" CSS,
    "icon.svg" SVG,
    "app.js" SCRIPT,
    "dom.js" SCRIPT,
    "api.js" SCRIPT,
    "flow.js" SCRIPT,
    "sources.js" SCRIPT,
    "queries.js" SCRIPT,
    "editor.js" SCRIPT,
    "sqltext.js" SCRIPT,
    "topics.js" SCRIPT,
    "rejects.js" SCRIPT,
    "sinks.js" SCRIPT,
    "schemas.js" SCRIPT,
    "health.js" SCRIPT,
    "dashboard.js" SCRIPT,
    "charts.js" SCRIPT,
    "map.js" SCRIPT,
];

pub fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/", get(root))
        .route("/console", get(|headers: HeaderMap| async move { page(&headers) }))
        .route("/console/", get(|| async { Redirect::permanent("/console") }))
        .route(
            "/console/assets/{name}",
            get(|Path(name): Path<String>, headers: HeaderMap| async move { asset(&name, &headers) }),
        )
}

/// A browser is shown the console; ksqlDB's clients are sent to what they ask for.
async fn root(headers: HeaderMap) -> Redirect {
    let accepts = |header: &axum::http::HeaderValue| header.to_str().is_ok_and(|v| v.contains("text/html"));
    Redirect::temporary(if headers.get_all(ACCEPT).iter().any(accepts) { "/console" } else { "/info" })
}

/// The page of the console and of the dashboards: its script looks at the address.
pub fn page(headers: &HeaderMap) -> Result<Response, Failure> {
    asset("console.html", headers)
}

fn asset(name: &str, headers: &HeaderMap) -> Result<Response, Failure> {
    let Some(asset) = ASSETS.iter().find(|asset| asset.name == name) else {
        return Err(Failure::generic(40400, "there is nothing at this path"));
    };
    let tag = format!("\"{:016x}\"", xxh3_64(asset.bytes));
    let fixed = [
        ("etag", tag.as_str()),
        ("cache-control", "no-cache"),
        ("content-security-policy", POLICY),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
    ];
    if headers.get(IF_NONE_MATCH).and_then(|v| v.to_str().ok()).is_some_and(|known| known.contains(&tag)) {
        return Ok((StatusCode::NOT_MODIFIED, fixed).into_response());
    }
    Ok((fixed, [("content-type", asset.media_type)], asset.bytes).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the page and the scripts may weigh together, without what draws charts.
    const BYTES_MAX: usize = 150_000;
    const CHARTS: &[&str] = &["charts.js", "map.js"];

    #[test]
    fn it_stays_small_and_keeps_its_own_policy() {
        let bytes = ASSETS.iter().filter(|a| !CHARTS.contains(&a.name)).map(|a| a.bytes.len()).sum::<usize>();
        assert!(bytes < BYTES_MAX, "{bytes} bytes");
        for asset in ASSETS {
            let text = std::str::from_utf8(asset.bytes).unwrap();
            for refused in
                ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"]
            {
                assert!(!text.contains(refused), "{} has {refused}", asset.name);
            }
            if asset.media_type == HTML {
                let inside = ["<style", " style=", " onclick=", " onload=", "<script>"];
                assert!(!inside.iter().any(|refused| text.contains(refused)), "{}", asset.name);
            }
            // Every module that is imported is there.
            for import in text.split("from \"./").skip(1) {
                let name = import.split('"').next().unwrap();
                assert!(ASSETS.iter().any(|asset| asset.name == name), "{} imports {name}", asset.name);
            }
        }
    }

    #[test]
    fn every_file_is_served() {
        let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/server/console/assets");
        let files = std::fs::read_dir(dir).unwrap().flatten().map(|entry| entry.file_name());
        for file in files {
            assert!(ASSETS.iter().any(|asset| *asset.name == *file), "{file:?} is not among the assets");
        }
    }

    #[test]
    fn what_is_known_is_not_sent_again() {
        let first = asset("app.js", &HeaderMap::new()).unwrap();
        let tag = first.headers()["etag"].clone();
        let mut headers = HeaderMap::new();
        headers.insert(IF_NONE_MATCH, tag);
        assert_eq!(asset("app.js", &headers).unwrap().status(), StatusCode::NOT_MODIFIED);
        assert!(asset("../mod.rs", &headers).is_err());
    }
}

//! ksqlDB's clients, each driven by a script of `clients/` against a server of its own. Where Node or Python
//! or their packages are missing this says so and is skipped; `.ci/run` installs them, and builds the one in Rust.

use crate::harness::{DEADLINE, Served, Site};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// The directory with `node_modules` and, for each package of PyPI, an environment of its name.
const CLIENTS: &str = "WHARFE_CLIENTS";

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(name)
}

/// Runs a script with a server's address; its end is success.
fn drives(name: &str, mut interpreter: Command) {
    let served = Served::start(&Site::new().script(""), &[]);
    let address = served.url.strip_prefix("http://").unwrap();
    ends_well(name, interpreter.arg(script(name)).arg(address));
}

fn ends_well(script: &str, command: &mut Command) {
    let mut child = command.stdin(Stdio::null()).spawn().unwrap();
    let started = Instant::now();
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None if started.elapsed() > DEADLINE => {
                child.kill().unwrap();
                panic!("{script} does not end");
            }
            None => std::thread::sleep(std::time::Duration::from_millis(20)),
        }
    };
    assert!(status.success(), "{script}: {status}");
}

/// Where a package is, if it is there.
fn found(part: PathBuf, package: &str) -> Option<PathBuf> {
    let path = std::env::var_os(CLIENTS).map(|clients| Path::new(&clients).join(part));
    let found = path.filter(|path| path.exists());
    if found.is_none() {
        eprintln!(
            "SKIPPED: {package} is not there; install it as .ci/run does, and name its place with {CLIENTS}"
        );
    }
    found
}

fn node_module(package: &str) -> Option<PathBuf> {
    found(Path::new("node_modules").join(package), package)
}

fn node(package: &str) -> Option<Command> {
    let modules = node_module(package)?;
    let mut command = Command::new("node");
    command.env("NODE_PATH", modules.parent()?);
    Some(command)
}

fn python(package: &str) -> Option<Command> {
    let python = found(Path::new(package).join("bin/python"), package)?;
    let is_there =
        format!("import importlib.util, sys; sys.exit(importlib.util.find_spec('{package}') is None)");
    if Command::new(&python).args(["-c", &is_there]).status().is_ok_and(|status| status.success()) {
        return Some(Command::new(python));
    }
    eprintln!("SKIPPED: {} has no {package}", python.display());
    None
}

#[test]
fn npm_ksqldb_client() {
    node("ksqldb-client").into_iter().for_each(|node| drives("ksqldb-client.js", node));
}

/// Its own 28 tests, as the package has them: they look for its sources where the package has what is built of them.
#[test]
fn npm_ksqldb_clients_own_tests() {
    let (Some(mut node), Some(mocha)) = (node("ksqldb-client"), node_module("mocha")) else { return };
    let package = node_module("ksqldb-client").unwrap();
    let site = Site::new();
    let served = Served::start(&site.script(""), &[]);
    std::fs::create_dir(site.path("tests")).unwrap();
    std::fs::copy(package.join("tests/index.spec.js"), site.path("tests/index.spec.js")).unwrap();
    std::os::unix::fs::symlink(package.join("lib"), site.path("src")).unwrap();
    let (host, port) = served.url.strip_prefix("http://").unwrap().split_once(':').unwrap();
    node.arg(mocha.join("bin/mocha")).args(["--exit", "--reporter", "dot", "--require"]);
    node.arg(script("silent-address.js")).arg("tests/index.spec.js");
    node.current_dir(site.dir()).env("KSQLDB_HOST", host).env("KSQLDB_PORT", port);
    if TcpStream::connect("127.0.0.1:22").is_ok() {
        eprintln!("SKIPPED: one of ksqldb-client's tests, since something listens on port 22 here");
        node.args(["--grep", "invalid port in host", "--invert"]);
    }
    ends_well("ksqldb-client's tests", &mut node);
}

#[test]
fn npm_ksqldb_js() {
    node("ksqldb-js").into_iter().for_each(|node| drives("ksqldb-js.js", node));
}

#[test]
fn crates_io_ksqldb() {
    let Some(client) = found(Path::new("ksqldb-rs").join("debug/ksqldb-client"), "crates.io's ksqldb") else {
        return;
    };
    let served = Served::start(&Site::new().script(""), &[]);
    // It says aloud what it is answered.
    let mut command = Command::new(client);
    command.arg(served.url.strip_prefix("http://").unwrap()).stderr(Stdio::null());
    ends_well("crates.io's ksqldb", &mut command);
}

#[test]
fn pypi_ksqldb() {
    python("ksqldb").into_iter().for_each(|python| drives("ksqldb_.py", python));
}

#[test]
fn pypi_ksql() {
    python("ksql").into_iter().for_each(|python| drives("ksql_.py", python));
}

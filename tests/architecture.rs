//! Who knows whom: ARCHITECTURE.md's invariants, read off the sources.
//!
//! A module knows another one where its code, tests apart, says `crate::other`. What is added here is added
//! on purpose; arrows that run against the reading order are few, and shall become fewer.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Each module with those that it may know.
const KNOWS: &[(&str, &str)] = &[
    ("error", ""),
    ("types", "error"),
    ("value", "types"),
    ("headers", "batch"),
    ("batch", "headers value"),
    ("number_text", ""),
    ("dialect", ""),
    ("time", "number_text"),
    ("clock", ""),
    ("partition", ""),
    ("sql", "error types"),
    ("catalog", "connector error expr format plan registry sql topology types"),
    ("expr", "aggregate batch error format number_text sql time types value"),
    ("aggregate", "batch expr number_text types value"),
    ("plan", "aggregate connector error expr format number_text registry sql types value"),
    ("topology", "connector dialect error expr registry types"),
    ("connector", "batch clock dialect error headers registry time types"),
    ("journal", "connector error"),
    ("format", "batch dialect error expr headers number_text registry time types value"),
    ("registry", "connector error journal"),
    (
        "render",
        "aggregate batch clock connector error expr format headers partition plan registry sql types value",
    ),
    (
        "engine",
        "aggregate batch catalog clock connector error expr flow format headers partition plan registry render \
         sql topology types value",
    ),
    ("flow", ""),
    ("dashboard", "engine error expr types"),
    (
        "gateway",
        "batch clock connector error expr format headers journal number_text partition registry sql time topology \
         types",
    ),
    (
        "server",
        "clock connector dashboard engine error expr flow format gateway registry sql topology types value",
    ),
    ("client", "error"),
    (
        "testing",
        "catalog connector engine error expr format gateway headers plan registry sql topology types value",
    ),
];

/// Crates that only some modules, or files of them, may know.
const ONLY: &[(&str, &str)] = &[
    ("timely", "render engine"),
    ("differential_dataflow", "render"),
    (
        "tokio",
        "server cli gateway connector/archive/shelf/s3 engine/answers engine/local engine/pool engine/print engine/pull",
    ),
    ("axum", "server"),
    ("rdkafka", "connector/kafka"),
    ("parquet", "connector/archive gateway/archive"),
    ("object_store", "connector/archive/shelf/s3"),
    ("ureq", "connector/opensearch connector/archive/shelf/s3 registry topology client cli"),
];

/// Sources without their tests and comments, by their path below `src`.
fn sources() -> BTreeMap<String, String> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut open = vec![src.clone()];
    let mut sources = BTreeMap::new();
    while let Some(dir) = open.pop() {
        for path in fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") && !is_test(&path) {
                let name = path.strip_prefix(&src).unwrap().with_extension("").display().to_string();
                sources.insert(name, code(&fs::read_to_string(&path).unwrap()));
            }
        }
    }
    sources
}

fn is_test(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "tests") || path.ends_with("tests.rs")
}

fn code(text: &str) -> String {
    let before_tests = text.split("\n#[cfg(test)]\nmod ").next().unwrap_or(text);
    before_tests.lines().map(|line| line.split("//").next().unwrap_or(line)).collect::<Vec<_>>().join("\n")
}

fn module(file: &str) -> &str {
    file.split('/').next().unwrap_or(file)
}

/// The names behind each `root::` in a text.
fn named<'t>(text: &'t str, root: &str) -> BTreeSet<&'t str> {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let mut names = BTreeSet::new();
    for (at, _) in text.match_indices(root) {
        let before = text[..at].chars().next_back();
        let rest = &text[at + root.len()..];
        if before.is_none_or(|c| !is_name(c) && c != ':') && rest.starts_with("::") {
            let name = rest[2..].split(|c| !is_name(c)).next().unwrap_or_default();
            names.insert(name);
        }
    }
    names
}

#[test]
fn modules_know_whom_they_may() {
    let mut wrong = Vec::new();
    let allowed: BTreeMap<&str, BTreeSet<&str>> =
        KNOWS.iter().map(|(module, known)| (*module, known.split_whitespace().collect())).collect();
    let sources = sources();
    let mut used: BTreeSet<(&str, &str)> = BTreeSet::new();
    for (file, text) in sources.iter().filter(|(file, _)| !matches!(module(file), "cli" | "lib" | "main")) {
        let own = module(file);
        let Some(known) = allowed.get(own) else {
            wrong.push(format!("src/{file}.rs: the module {own} is not listed in KNOWS"));
            continue;
        };
        for other in named(text, "crate").into_iter().filter(|other| *other != own && !other.is_empty()) {
            used.insert((own, other));
            if !known.contains(other) {
                wrong.push(format!("src/{file}.rs: {own} is not to know {other}"));
            }
        }
    }
    for (module, known) in &allowed {
        for other in known.iter().filter(|other| !used.contains(&(*module, **other))) {
            wrong.push(format!("KNOWS lets {module} know {other}, which it does not"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn crates_are_known_where_they_may_be() {
    let mut wrong = Vec::new();
    let sources = sources();
    for (krate, places) in ONLY {
        let places: Vec<&str> = places.split_whitespace().collect();
        for (file, text) in &sources {
            let may = places.iter().any(|place| {
                file.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
                    || PathBuf::from(file).starts_with(place)
            });
            if !may && !named(text, krate).is_empty() {
                wrong.push(format!("src/{file}.rs is not to know {krate}"));
            }
        }
        let is_known = |place: &&str| {
            let within = |file: &&String| PathBuf::from(file).starts_with(place);
            sources.iter().any(|(file, text)| within(&file) && !named(text, krate).is_empty())
        };
        wrong.extend(
            places.iter().filter(|place| !is_known(place)).map(|place| format!("{place}: no {krate}")),
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

//! What holds over all kinds, what survives a restart, and properties of random Avro schemas.

use super::*;
use proptest::prelude::*;
use std::fs::OpenOptions;
use std::io::Write;

fn field(ty: &str) -> Schema {
    let text = format!(r#"{{"type":"record","name":"R","fields":[{{"name":"f","type":{ty}}}]}}"#);
    Schema::new(Kind::Avro, text)
}

fn open() -> (tempfile::TempDir, Registry) {
    let dir = tempfile::tempdir().unwrap();
    let registry = Registry::open(dir.path()).unwrap();
    (dir, registry)
}

#[test]
fn an_equal_schema_keeps_its_id_and_version() {
    let (dir, registry) = open();
    let first = registry.register_version("s", field(r#""int""#)).unwrap();
    let spaced = Schema::new(Kind::Avro, first.schema.text.replace(':', " : "));
    assert_eq!(registry.register_version("s", spaced.clone()).unwrap(), first);
    assert_eq!(registry.register("t", spaced.clone()).unwrap(), first.id);
    let second = registry.register_version("s", field(r#""long""#)).unwrap();
    assert_eq!((second.id, second.number), (first.id + 1, 2));
    drop(registry);
    // A torn tail is cut; ids are as before.
    let log = dir.path().join("log/0/00000000000000000000.log");
    OpenOptions::new().append(true).open(&log).unwrap().write_all(&[200, 0, 0, 0, 1, 2, 3]).unwrap();
    let registry = Registry::open(dir.path()).unwrap();
    assert_eq!(registry.latest("s").unwrap(), second);
    assert_eq!(registry.register_version("s", spaced).unwrap(), first);
    let third = registry.register("u", field(r#""string""#)).unwrap();
    assert_eq!(third, second.id + 1);
    assert_eq!(registry.subjects(Deleted::Hidden), ["s", "t", "u"]);
}

#[test]
fn one_process_at_a_time() {
    let (dir, registry) = open();
    let error = Registry::open(dir.path()).err().unwrap().to_string();
    assert!(error.contains("is open in another process"), "{error}");
    drop(registry);
    assert!(Registry::open(dir.path()).is_ok());
}

#[test]
fn deletion_has_two_steps() {
    let (dir, registry) = open();
    let id = registry.register("s", field(r#""int""#)).unwrap();
    registry.register("s", field(r#""long""#)).unwrap();
    let code = |result: Result<u32>| result.unwrap_err().code;
    assert_eq!(code(registry.delete_version("s", At::Number(1), true)), 40407);
    assert_eq!(registry.delete_version("s", At::Number(1), false).unwrap(), 1);
    assert_eq!(code(registry.delete_version("s", At::Number(1), false)), 40406);
    assert_eq!(registry.version("s", At::Number(1)).unwrap_err().code, 40402);
    assert!(registry.schema(id).is_ok(), "messages of it are still about");
    assert_eq!(registry.delete_subject("s", true).unwrap_err().code, 40405);
    assert_eq!(registry.delete_subject("s", false).unwrap(), [2]);
    assert_eq!(registry.delete_subject("s", false).unwrap_err().code, 40404);
    assert_eq!(registry.subjects(Deleted::Shown), ["s"]);
    assert_eq!(registry.delete_subject("s", true).unwrap(), [1, 2]);
    assert_eq!(registry.latest("s").unwrap_err().code, 40401);
    drop(registry);
    let registry = Registry::open(dir.path()).unwrap();
    assert!(registry.subjects(Deleted::Shown).is_empty());
    assert_eq!(registry.register("s", field(r#""int""#)).unwrap(), id, "an id is never given twice");
}

#[test]
fn references_are_pinned_and_protected() {
    let (_dir, registry) = open();
    let part = r#"{"type":"record","name":"P","fields":[]}"#;
    registry.register("p", Schema::new(Kind::Avro, part)).unwrap();
    let reference = Reference { name: "P".into(), subject: "p".into(), version: -1 };
    let whole = Schema { references: vec![reference], ..field(r#""P""#) };
    let id = registry.register("w", whole).unwrap();
    assert_eq!(registry.schema(id).unwrap().references[0].version, 1);
    assert_eq!(registry.referrers("p", At::Latest).unwrap(), [id]);
    assert_eq!(registry.delete_subject("p", false).unwrap_err().code, 42206);
    assert_eq!(registry.register("w", field(r#""P""#)).unwrap_err().code, 42201);
}

#[test]
fn levels_decide_who_reads_whom() {
    use Level::*;
    // int → long: only the new one reads the old one's data. The first version, string, reads nothing else.
    let cases = [
        (None, true),
        (Backward, true),
        (Forward, false),
        (Full, false),
        (BackwardTransitive, false),
        (ForwardTransitive, false),
        (FullTransitive, false),
    ];
    for (level, is_taken) in cases {
        let (_dir, registry) = open();
        registry.set_level(Option::None, Some(None)).unwrap();
        registry.register("s", field(r#""string""#)).unwrap();
        registry.register("s", field(r#""int""#)).unwrap();
        registry.set_level(Some("s"), Some(level)).unwrap();
        let done = registry.register("s", field(r#""long""#));
        assert_eq!(done.is_ok(), is_taken, "{level}: {done:?}");
        if let Err(fault) = done {
            assert_eq!(fault.code, 409);
            assert!(fault.message.contains("TYPE_MISMATCH at R.f: the reader has"), "{fault}");
        }
    }
}

#[test]
fn another_kind_is_incompatible() {
    let (_dir, registry) = open();
    registry.register("s", field(r#""int""#)).unwrap();
    let found = registry.check("s", At::Latest, Schema::new(Kind::Json, "{}")).unwrap();
    assert_eq!(found[0].rule, "SCHEMA_TYPE_CHANGED");
}

/// Types of a field, a few levels deep.
fn types() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "\"int\"",
        "\"long\"",
        "\"float\"",
        "\"double\"",
        "\"string\"",
        "\"bytes\"",
        "\"boolean\"",
    ]);
    leaf.prop_map(String::from).prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|ty| format!(r#"{{"type":"array","items":{ty}}}"#)),
            inner.clone().prop_map(|ty| format!(r#"{{"type":"map","values":{ty}}}"#)),
            inner.prop_filter_map("no union in a union", |ty| {
                (!ty.starts_with('[')).then(|| format!(r#"["null",{ty}]"#))
            }),
        ]
    })
}

/// A record of up to four fields out of six names, some with defaults.
fn records() -> impl Strategy<Value = Schema> {
    let field = (types(), any::<bool>()).prop_map(|(ty, has_default)| match ty.starts_with('[') {
        true if has_default => format!(r#""type":{ty},"default":null"#),
        _ => format!(r#""type":{ty}"#),
    });
    prop::collection::btree_map(0..6, field, 0..4).prop_map(|fields| {
        let fields: Vec<_> = fields.iter().map(|(i, f)| format!(r#"{{"name":"f{i}",{f}}}"#)).collect();
        let text = format!(r#"{{"type":"record","name":"R","fields":[{}]}}"#, fields.join(","));
        Schema::new(Kind::Avro, text)
    })
}

proptest! {
    #[test]
    fn full_is_backward_and_forward(a in records(), b in records()) {
        let parse = |schema: &Schema| Parsed::parse(schema, &[]).unwrap();
        let (a, b) = (parse(&a), parse(&b));
        for level in Level::ALL {
            prop_assert!(compatibility::check(level, &a, &a, 1).is_empty(), "a schema reads itself");
        }
        let is_taken = |level| compatibility::check(level, &a, &b, 1).is_empty();
        prop_assert_eq!(is_taken(Level::Full), is_taken(Level::Backward) && is_taken(Level::Forward));
        prop_assert_eq!(is_taken(Level::Forward), compatibility::check(Level::Backward, &b, &a, 1).is_empty());
    }
}

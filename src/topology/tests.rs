//! Topology files: what they resolve to, and what they are refused for.

use super::*;
use crate::connector::Csv;
use crate::error::Code;

fn parse(text: &str) -> Result<Topology> {
    Topology::parse("t.toml", text, Path::new("/base"))
}

fn resolve(text: &str) -> Place {
    parse(text).unwrap().resolve("t", Path::new("/data"), 3).unwrap()
}

#[test]
fn places_are_resolved() {
    let file = |path: &str, framing, header, follow| Place::File {
        path: path.into(),
        framing,
        header,
        follow,
        dialect: Dialect::default(),
    };
    let generator = |rows, rate, seed| {
        let feed = "carparks".to_string();
        Place::Generator(GeneratorSpec {
            feed,
            rows,
            rate,
            seed,
            car_parks: Some(1000),
            dirty_every: None,
            events_per_second: None,
        })
    };
    for (text, place) in [
        ("connector = 'file'\npath = 'x/a.csv'", file("/base/x/a.csv", Framing::Default, false, true)),
        ("connector = 'file'\npath = '/abs/*.json'", file("/abs/*.json", Framing::Json, false, true)),
        (
            "connector = 'file'\npath = 'a.json'\nframing = 'line'\nheader = true\nfollow = false",
            file("/base/a.json", Framing::Line, true, false),
        ),
        ("connector = 'blackhole'", Place::Blackhole),
        ("connector = 'log'", Place::Log { dir: "/data/topics/t".into(), partitions: 3 }),
        (
            "connector = 'stdin'\nframing = 'json'",
            Place::Stdin { framing: Framing::Json, header: false, dialect: Dialect::default() },
        ),
        ("connector = 'file'\npath = 'a.JSON.gz'", file("/base/a.JSON.gz", Framing::Json, false, true)),
        ("connector = 'file'\npath = 'a.csv.zst'", file("/base/a.csv.zst", Framing::Default, false, true)),
        (
            "connector = 'generator'\nfeed = 'carparks'\nrows = 10_000\nrate = 0.5\nseed = 7\ncar_parks = 1000",
            generator(Some(10_000), Some(0.5), 7),
        ),
        (
            "connector = 'generator'\nfeed = 'carparks'\nrate = 100\ncar_parks = 0x3e8",
            generator(None, Some(100.0), 0),
        ),
    ] {
        assert_eq!(resolve(&format!("[topics.t]\n{text}")), place, "{text}");
    }
}

#[test]
fn the_layout_of_text_is_said() {
    let text = "[topics.t]\nconnector = 'file'\npath = 'x'\nheader = 'names'\nquote = ''\nnull = 'n/a'\nkey = ['id', '\"Id\"']";
    let place = resolve(text);
    let key = vec!["ID".to_string(), "Id".to_string()];
    let dialect = Dialect { quote: None, null: Some("n/a".into()), names: true, key };
    assert_eq!(place.dialect(), Some(&dialect));
    let framing = |place: Place, delimiter| match place.framed_for(delimiter) {
        Place::File { framing, .. } => framing,
        _ => unreachable!("it is a file"),
    };
    let csv = |delimiter, quote| Framing::Csv(Csv { delimiter, quote });
    assert_eq!(framing(place, Some(b'|')), csv(b'|', None));
    let file = |more: &str| resolve(&format!("[topics.t]\nconnector = 'file'\npath = 'x'\n{more}"));
    assert_eq!(framing(file(""), Some(b',')), csv(b',', Some(b'"')));
    assert_eq!(framing(file(""), None), Framing::Line);
    assert_eq!(framing(file("framing = 'csv'\nquote = \"'\""), Some(b';')), csv(b';', Some(b'\'')));
    assert_eq!(framing(file("framing = 'line'"), Some(b',')), Framing::Line);
}

#[test]
fn names_of_topics_keep_their_case() {
    let topology = parse("[topics.Ab]\nconnector = 'log'\n[topics.'a.b']\nconnector = 'log'").unwrap();
    assert_eq!(topology.topics().collect::<Vec<_>>(), ["Ab", "a.b"]);
    assert_eq!(topology.place("AB"), None);
    assert_eq!(Topology::empty().resolve("t", Path::new(""), 1), None);
}

#[test]
fn an_error_shows_its_line() {
    let error = parse("[topics.t]\nconnector = \"file\"\npaht = \"a.csv\"").unwrap_err();
    assert_eq!(error.code, Code::Topology);
    assert_eq!(
        error.to_string(),
        "t.toml:3:1: unknown key paht\n  |\n3 | paht = \"a.csv\"\n  | ^^^^\n  = hint: did you mean path? there are \
         connector, path, framing, header, follow, quote, null, key"
    );
}

#[test]
fn errors_say_what_is_wrong() {
    for (text, message) in [
        ("[topics.t]\nconnector = 'flie'", "unknown connector flie"),
        ("[cluster.t]", "unknown section cluster"),
        ("[topics.t]\npath = 'x'", "topic t has no connector"),
        ("[topics.t]\nconector = 'file'", "unknown key conector"),
        (
            "[topics.t]\nconnector = 'file'\npath = 'x'\nquote = 'ab'",
            "quote must be one character, or \"\" where nothing is a quote",
        ),
        (
            "[topics.t]\nconnector = 'file'\npath = 'x'\nkey = []",
            "key must be names of columns, as in [\"ID\"]",
        ),
        ("[topics.t]\nconnector = 'file'", "topic t has no path"),
        ("[topics.t]\nconnector = 'file'\npath = 3", "path must be a string"),
        ("[topics.t]\nconnector = 'file'\npath = ''", "the path is empty"),
        ("[topics.t]\nconnector = 'file'\npath = 'x'\nframing = 'word'", "framing must be line, json or csv"),
        ("[topics.t]\nconnector = 'file'\npath = 'x'\nheader = 1", "header must be true, false or \"names\""),
        ("[topics.t]\nconnector = 'log'\npath = 'x'", "unknown key path"),
        ("[topics.t]\nconnector = 'generator'\nfeed = 'carpark'", "unknown feed carpark"),
        (
            "[topics.t]\nconnector = 'generator'\nfeed = 'carparks'\nrows = 0",
            "rows must be a whole number, 1 or more",
        ),
        (
            "[topics.t]\nconnector = 'generator'\nfeed = 'carparks'\nrate = -1",
            "rate must be events a second, more than 0",
        ),
        (
            "[topics.t]\nconnector = 'generator'\nfeed = 'carparks'\nrate = nan",
            "rate must be events a second, more than 0",
        ),
        (
            "[topics.'a/b']\nconnector = 'log'",
            "a topic's name cannot hold '/', only letters, digits and . _ -",
        ),
        ("[topics.'..']\nconnector = 'log'", ".. cannot be a topic's name"),
        ("[topics]\nt = 3", "t must be a table"),
        ("topics = 3", "topics must be a table"),
        ("[registry]", "registry has no url"),
        (
            "[registry]\nurl = 'host:1'",
            "url must be http://HOST:PORT or https://HOST:PORT, with a path if it has one",
        ),
        (
            "[registry]\nurl = 'http://u:p@host'",
            "url must be without a password in it: give user and password",
        ),
        ("[registry]\nurl = 'http://host'\nuser = 'u'", "registry: user and password belong together"),
        (
            "[registry]\nurl = 'http://host'\nuser = 'u'\npassword = []",
            "password must be a string, a number, true or false, { env = \"VAR\" } or { file = \"path\" }",
        ),
        (
            "[registry]\nurl = 'http://host'\nuser = 'u'\npassword = { env = 'WHARFE_NO_SUCH' }",
            "registry: the environment has no variable WHARFE_NO_SUCH",
        ),
        (
            "[registry]\nurl = 'http://host'\nuser = 'u'\npassword = { file = 'no' }",
            "registry: cannot read /base/no: no such file or directory",
        ),
        (
            "[registry]\nurl = 'https://host'\nca = 'no'",
            "registry: cannot read /base/no: no such file or directory",
        ),
    ] {
        let error = parse(text).unwrap_err();
        assert_eq!(error.message, message, "{text}");
        assert!(error.span.is_some(), "{text}");
    }
    let error = parse("[topics.t]\nconnector = ").unwrap_err();
    assert!(error.to_string().starts_with("t.toml:2:"), "{error}");
}

#[test]
fn a_registrys_password_is_not_shown() {
    let text = "[registry]\nurl = 'https://host:1/apis/ccompat/v7/'\nuser = 'u'\npassword = 'hunter2'";
    let topology = parse(text).unwrap();
    assert!(!format!("{topology:?}").contains("hunter2"));
    assert_eq!(topology.registry.unwrap().url, "https://host:1/apis/ccompat/v7");
}

#[test]
fn a_topic_is_overridden_by_a_path() {
    let topology = parse("[topics.t]\nconnector = 'file'\npath = 'a.csv'\nheader = true").unwrap();
    let place = |given: &str| {
        topology.clone().with_override(given).unwrap().resolve("t", Path::new("/data"), 1).unwrap()
    };
    assert_eq!(
        place("t=b=c.json"),
        Place::File {
            path: "b=c.json".into(),
            framing: Framing::Json,
            header: true,
            follow: true,
            dialect: Dialect::default()
        }
    );
    assert_eq!(
        place("t=-"),
        Place::Stdin { framing: Framing::Default, header: true, dialect: Dialect::default() }
    );
    for (given, why) in
        [("t", "there is no ="), ("t=", "the path is empty"), ("=x", "the topic's name is empty")]
    {
        let error = Topology::empty().with_override(given).unwrap_err();
        assert_eq!((error.code, error.message), (Code::Usage, format!("--topic {given}: {why}")));
    }
}

#[test]
fn a_missing_topology_is_one_line() {
    let error = Topology::load(Path::new("/no/such.toml")).unwrap_err();
    assert_eq!(error.to_string(), "cannot read topology /no/such.toml: no such file or directory");
}

#[cfg(feature = "kafka")]
mod clusters {
    use super::*;
    use crate::connector::Cluster;

    const LOCAL: &str = "[clusters.local]\n'bootstrap.servers' = 'b:9092'\n";

    fn kafka(toml: &str, topic: &str) -> (Cluster, String) {
        let place = parse(toml).unwrap().resolve(topic, Path::new("/data"), 1).unwrap();
        let Place::Kafka { cluster, topic } = place else { panic!("{place:?}") };
        (cluster, topic)
    }

    #[test]
    fn topics_are_on_clusters() {
        let named = format!("[topics.t]\nconnector = 'kafka'\ncluster = 'local'\ntopic = 'u'\n{LOCAL}");
        assert_eq!(kafka(&named, "t").1, "u");
        assert_eq!(kafka(&named.replace("topic = 'u'", ""), "t").1, "t");
        let default = format!("{LOCAL}[default]\nconnector = 'kafka'\ncluster = 'local'");
        let (cluster, topic) = kafka(&default, "any");
        assert_eq!((cluster.to_string().as_str(), topic.as_str()), ("cluster local (b:9092)", "any"));
    }

    #[test]
    fn settings_are_strings_numbers_or_kept_elsewhere() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("secret"), "hunter2\n").unwrap();
        let toml = format!(
            "{LOCAL}'socket.keepalive.enable' = true\n'linger.ms' = 7\n'client.rack' = {{ env = 'PATH' }}\n\
             'sasl.password' = {{ file = '{}' }}\n[topics.t]\nconnector = 'kafka'\ncluster = 'local'",
            dir.path().join("secret").display()
        );
        let cluster = kafka(&toml, "t").0;
        let values = cluster.values().unwrap();
        for expected in
            [("socket.keepalive.enable", "true"), ("linger.ms", "7"), ("sasl.password", "hunter2")]
        {
            assert!(values.contains(&(expected.0, expected.1.to_string())), "{expected:?}");
        }
        let shown = format!("{:?}", parse(&toml).unwrap());
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn errors_of_clusters_have_their_line() {
        for (text, message) in [
            ("[clusters.c]\n'linger.ms' = 1", "cluster c has no bootstrap.servers"),
            ("[clusters.c]\n'linger.ms' = 'x'", "cluster c: linger.ms: "),
            ("[clusters.c]\n'lingre' = 'x'", "cluster c: lingre: No such configuration property"),
            (
                "[clusters.c]\n'sasl.password' = { env = 'WHARFE_NO_SUCH' }",
                "cluster c: sasl.password: the environment has no variable WHARFE_NO_SUCH",
            ),
            ("[clusters.c]\n'linger.ms' = [1]", "cluster c: linger.ms: it must be a string"),
            ("[topics.t]\nconnector = 'kafka'\ncluster = 'c'", "there is no cluster c"),
            ("[topics.t]\nconnector = 'kafka'", "topic t has no cluster"),
            ("[default]\nconnector = 'file'\npath = 'x'", "unknown default connector file"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.message.starts_with(message), "{text}: {}", error.message);
            assert!(error.span.is_some(), "{text}");
        }
    }
}

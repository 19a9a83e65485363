//! What is asked of a gateway that runs: `schema`, `topology`, `publish`, `consume`, `subscriptions`,
//! `watch`, `trace`.

use super::interrupt;
use crate::client::{Client, encoded};
use crate::error::{Error, Result, reason};
use crate::gateway::evolve;
use crate::topology::EventName;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub const DEFAULT_GATEWAY: &str = "http://127.0.0.1:8090";

/// Which gateway, and as whom.
#[derive(clap::Args, Clone, Debug)]
pub struct At {
    /// Which gateway
    #[arg(long, value_name = "URL", default_value = DEFAULT_GATEWAY)]
    gateway: String,

    /// The secret of a token [default: the variable WHARFE_TOKEN]
    #[arg(long, value_name = "SECRET")]
    token: Option<String>,
}

impl At {
    pub fn client(&self) -> Client {
        let client = Client::new(&self.gateway);
        match self.token.clone().or_else(|| std::env::var("WHARFE_TOKEN").ok()) {
            Some(token) => client.with_token(token),
            None => client,
        }
    }
}

/// Register schemas of events and bring them to life
#[derive(clap::Args, Debug)]
pub struct SchemaArgs {
    #[command(subcommand)]
    command: SchemaCommand,
}

#[derive(clap::Subcommand, Debug)]
enum SchemaCommand {
    /// Register a schema: it is pending until it is activated
    Register {
        #[arg(long)]
        namespace: String,
        #[arg(long)]
        event_type: String,
        /// .avsc, .proto or .json: the kind follows the name
        #[arg(long, visible_alias = "file-name", value_name = "FILE")]
        file: PathBuf,
        /// AVRO, PROTOBUF or JSON, where the file's name does not say it
        #[arg(long, value_name = "KIND")]
        kind: Option<String>,
        #[command(flatten)]
        at: At,
    },
    /// Make a schema available: events can be written with it from now on
    Activate {
        id: String,
        #[command(flatten)]
        at: At,
    },
    /// Mark a schema as one that should not be used any more
    Deprecate {
        id: String,
        #[command(flatten)]
        at: At,
    },
    /// End a schema: nothing can be written with it any more
    Retire {
        id: String,
        #[command(flatten)]
        at: At,
    },
    /// List schemas
    List {
        #[arg(long)]
        namespace: Option<String>,
        #[arg(long)]
        event_type: Option<String>,
        #[command(flatten)]
        at: At,
    },
    /// Show a schema with its metadata
    Show {
        id: String,
        #[command(flatten)]
        at: At,
    },
    /// Show what a schema changes, to the one before or another one
    Diff {
        id: String,
        #[arg(long, value_name = "ID")]
        against: Option<String>,
        #[command(flatten)]
        at: At,
    },
    /// Write a first schema of events in a file: JSON objects, one after the other or in an array
    Infer {
        #[arg(long, value_name = "FILE")]
        from: PathBuf,
        #[arg(long, default_value = "Event")]
        event_type: String,
        #[arg(long, default_value = "events")]
        namespace: String,
    },
}

pub fn schema(args: SchemaArgs) -> Result<u8> {
    match args.command {
        SchemaCommand::Register { namespace, event_type, file, kind, at } => {
            let text = read(&file)?;
            let kind = kind.unwrap_or_else(|| kind_of(&file).into()).to_uppercase();
            let body = json!({ "namespace": namespace, "event_type": event_type, "schema": text, "schema_type": kind });
            let metadata = at.client().asked("POST", "/event-schemas", Some(&body))?;
            show(&metadata);
            let id = metadata["schema_id"].as_str().unwrap_or_default();
            if metadata["status"] == "pending" {
                eprintln!("activate it with: wharfe schema activate {id}");
            }
        }
        SchemaCommand::Activate { id, at } => act(&at, &id, "activate")?,
        SchemaCommand::Deprecate { id, at } => act(&at, &id, "deprecate")?,
        SchemaCommand::Retire { id, at } => act(&at, &id, "retire")?,
        SchemaCommand::List { namespace, event_type, at } => {
            let mut path = "/event-schemas?".to_string();
            for (name, value) in [("namespace", namespace), ("event_type", event_type)] {
                if let Some(value) = value {
                    path.push_str(&format!("{name}={}&", encoded(&value)));
                }
            }
            let found = at.client().asked("GET", &path, None)?;
            for schema in found.as_array().into_iter().flatten() {
                let text = |name: &str| schema[name].as_str().unwrap_or_default().to_string();
                println!(
                    "{}  {:<10}  {}/{}  {}",
                    text("schema_id"),
                    text("status"),
                    text("namespace"),
                    text("event_type"),
                    text("schema_type")
                );
            }
        }
        SchemaCommand::Show { id, at } => {
            show(&at.client().asked("GET", &format!("/event-schemas/{id}"), None)?)
        }
        SchemaCommand::Diff { id, against, at } => {
            let against = against.map_or(String::new(), |other| format!("?against={}", encoded(&other)));
            let diff = at.client().asked("GET", &format!("/event-schemas/{id}/diff{against}"), None)?;
            diff["lines"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .for_each(|line| println!("{line}"));
        }
        SchemaCommand::Infer { from, event_type, namespace } => {
            let events = events_in(&read(&from)?, &from)?;
            let schema = evolve::infer(&event_type, &namespace, &events);
            println!("{}", schema.map_err(|why| Error::usage(format!("{}: {why}", from.display())))?);
        }
    }
    Ok(0)
}

fn act(at: &At, id: &str, action: &str) -> Result<()> {
    show(&at.client().asked("POST", &format!("/event-schemas/{id}/{action}"), None)?);
    Ok(())
}

fn kind_of(file: &Path) -> &'static str {
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("proto") => "PROTOBUF",
        Some("json") => "JSON",
        _ => "AVRO",
    }
}

fn read(file: &Path) -> Result<String> {
    std::fs::read_to_string(file)
        .map_err(|e| Error::usage(format!("cannot read {}: {}", file.display(), reason(&e))))
}

fn events_in(text: &str, file: &Path) -> Result<Vec<Value>> {
    let mut events = Vec::new();
    for value in serde_json::Deserializer::from_str(text).into_iter::<Value>() {
        match value.map_err(|e| Error::usage(format!("{}: {e}", file.display())))? {
            Value::Array(items) => events.extend(items),
            one => events.push(one),
        }
    }
    Ok(events)
}

fn show(value: &Value) {
    println!("{}", serde_json::to_string_pretty(value).unwrap_or_else(|_| value.to_string()));
}

/// Call a receiver back with every event, until Ctrl-C
///
/// Each subscription is kept by the gateway under its name: started again, it goes on where it was. At
/// Ctrl-C it is paused, unless it is detached.
#[derive(clap::Args, Debug)]
pub struct ConsumeArgs {
    /// NAMESPACE/TYPE=URL; repeatable
    #[arg(long = "subscriptions", visible_alias = "subscription", value_name = "EVENT=URL", required = true)]
    subscriptions: Vec<String>,
    /// What the first start reads: earliest, latest or a time
    #[arg(long, default_value = "latest")]
    from: String,
    /// A SQL predicate over the payload
    #[arg(long = "where", value_name = "SQL")]
    predicate: Option<String>,
    /// So many events a call at most
    #[arg(long, default_value_t = 1)]
    batch: u32,
    /// Names the subscriptions: NAME, NAME-2, …
    #[arg(long)]
    name: Option<String>,
    /// Leave it to the gateway and return at once
    #[arg(long)]
    detach: bool,
    #[command(flatten)]
    at: At,
}

pub fn consume(args: ConsumeArgs) -> Result<u8> {
    interrupt::install()?;
    let client = args.at.client();
    let mut names = Vec::new();
    for (i, given) in args.subscriptions.iter().enumerate() {
        let (event, url) = given.split_once('=').ok_or_else(|| {
            Error::usage(format!("--subscriptions {given}: there is no ="))
                .hint("--subscriptions mfp/FoodEntryCreated=http://127.0.0.1:3000/callback")
        })?;
        let event: EventName = event.parse().map_err(Error::usage)?;
        let name = match (&args.name, i) {
            (Some(name), 0) => name.clone(),
            (Some(name), i) => format!("{name}-{}", i + 1),
            (None, _) => format!(
                "{}-{:08x}",
                event.dotted().replace('.', "-"),
                xxhash_rust::xxh3::xxh3_64(url.as_bytes()) as u32
            ),
        };
        let mut body = json!({ "event": event, "url": url, "from": args.from, "batch": args.batch });
        if let Some(predicate) = &args.predicate {
            body["filter"] = predicate.as_str().into();
        }
        let made = client.asked("PUT", &format!("/subscriptions/{name}"), Some(&body))?;
        eprintln!("subscription {name}: {event} to {url}");
        if let Some(secret) = made["secret"].as_str() {
            eprintln!("calls are signed with this secret, which is shown this once: {secret}");
        }
        names.push(name);
    }
    if args.detach {
        return Ok(0);
    }
    follow(&client, &names)
}

/// Tells what is delivered, and pauses all at the end.
fn follow(client: &Client, names: &[String]) -> Result<u8> {
    let mut told = vec![String::new(); names.len()];
    while !interrupt::hit() {
        for (name, told) in names.iter().zip(&mut told) {
            let now = client.asked("GET", &format!("/subscriptions/{name}"), None)?;
            let mut line = format!(
                "{name}: {} delivered, {} failed, {} dead letters",
                now["delivered"], now["failed"], now["dead_letters"]
            );
            for key in ["last_failure", "trouble"] {
                if let Some(why) = now[key].as_str() {
                    line.push_str(&format!("; {why}"));
                }
            }
            if line != *told {
                println!("{line}");
                *told = line;
            }
            if now["state"] == "retired" {
                return Err(Error::runtime(format!("{name}: its receiver has answered 410: it is retired")));
            }
        }
        std::thread::sleep(Duration::from_millis(250));
    }
    for name in names {
        client.asked("POST", &format!("/subscriptions/{name}/pause"), None)?;
    }
    Ok(0)
}

/// List, show, pause, resume and redrive subscriptions
#[derive(clap::Args, Debug)]
pub struct SubscriptionsArgs {
    #[command(subcommand)]
    command: SubscriptionsCommand,
}

#[derive(clap::Subcommand, Debug)]
enum SubscriptionsCommand {
    List {
        #[command(flatten)]
        at: At,
    },
    Show {
        name: String,
        #[command(flatten)]
        at: At,
    },
    Pause {
        name: String,
        #[command(flatten)]
        at: At,
    },
    Resume {
        name: String,
        #[command(flatten)]
        at: At,
    },
    /// Deliver its dead letters again
    Redrive {
        name: String,
        #[command(flatten)]
        at: At,
    },
    /// Sign with a new secret beside the old one
    Rotate {
        name: String,
        #[command(flatten)]
        at: At,
    },
    Delete {
        name: String,
        #[command(flatten)]
        at: At,
    },
}

pub fn subscriptions(args: SubscriptionsArgs) -> Result<u8> {
    use SubscriptionsCommand::*;
    let (at, method, path) = match &args.command {
        List { at } => {
            let all = at.client().asked("GET", "/subscriptions", None)?;
            for one in all.as_array().into_iter().flatten() {
                let text = |name: &str| one[name].as_str().unwrap_or_default().to_string();
                println!(
                    "{:<24}  {:<8}  {}  {}  delivered {}  behind {}  dead letters {}",
                    text("name"),
                    text("state"),
                    text("event"),
                    text("url"),
                    one["delivered"],
                    one["behind"],
                    one["dead_letters"]
                );
            }
            return Ok(0);
        }
        Show { name, at } => (at, "GET", format!("/subscriptions/{name}")),
        Pause { name, at } => (at, "POST", format!("/subscriptions/{name}/pause")),
        Resume { name, at } => (at, "POST", format!("/subscriptions/{name}/resume")),
        Redrive { name, at } => (at, "POST", format!("/subscriptions/{name}/redrive")),
        Rotate { name, at } => (at, "POST", format!("/subscriptions/{name}/rotate")),
        Delete { name, at } => (at, "DELETE", format!("/subscriptions/{name}")),
    };
    show(&at.client().asked(method, &path, None)?);
    Ok(0)
}

/// Show what is published to a zone, as it comes
#[derive(clap::Args, Debug)]
pub struct WatchArgs {
    zone: String,
    /// Only this event
    #[arg(long, value_name = "NAMESPACE/TYPE")]
    event: Option<String>,
    /// Only events for which this SQL predicate holds; needs --event
    #[arg(long = "where", value_name = "SQL", requires = "event")]
    predicate: Option<String>,
    /// earliest, latest or a token
    #[arg(long, default_value = "latest")]
    from: String,
    #[command(flatten)]
    at: At,
}

pub fn watch(args: WatchArgs) -> Result<u8> {
    interrupt::install()?;
    // A stream that says nothing is read until it does.
    interrupt::then(|| std::process::exit(130));
    let mut path = format!("/watch/{}?from={}", encoded(&args.zone), encoded(&args.from));
    for (name, value) in [("event", args.event), ("where", args.predicate)] {
        if let Some(value) = value {
            path.push_str(&format!("&{name}={}", encoded(&value)));
        }
    }
    for event in args.at.client().stream(&path)? {
        let event = serde_json::to_string(&event?).map_err(|e| Error::runtime(e.to_string()))?;
        println!("{event}");
    }
    Ok(0)
}

/// Follow one event: where it was stored, who got it, with times
#[derive(clap::Args, Debug)]
pub struct TraceArgs {
    /// An event's id, or a traceparent
    id: String,
    #[command(flatten)]
    at: At,
}

pub fn trace(args: TraceArgs) -> Result<u8> {
    let ways = args.at.client().asked("GET", &format!("/trace/{}", encoded(&args.id)), None)?;
    for way in ways.as_array().into_iter().flatten() {
        let text = |name: &str| way[name].as_str().unwrap_or_default().to_string();
        println!("{}  {}  from {}  {}", text("id"), text("event"), text("source"), text("traceparent"));
        for step in way["steps"].as_array().into_iter().flatten() {
            let at = crate::gateway::cloudevents::time_text(step["at_ms"].as_i64().unwrap_or_default());
            let rest = step
                .as_object()
                .into_iter()
                .flatten()
                .filter(|(name, _)| !matches!(name.as_str(), "at_ms" | "step"));
            let rest: Vec<String> = rest
                .map(|(name, value)| {
                    format!("{name}={}", value.as_str().map_or_else(|| value.to_string(), String::from))
                })
                .collect();
            println!("  {at}  {:<13} {}", step["step"].as_str().unwrap_or_default(), rest.join(" "));
        }
    }
    Ok(0)
}

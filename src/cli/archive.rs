//! `wharfe archive`: what a zone's archive holds, read back.

use super::{interrupt, output_failed};
use crate::client::{Client, Event};
use crate::connector::archive::layout::{self, Listed, Manifest};
use crate::connector::archive::shelf::{Files, Shelf};
use crate::error::{Error, Result};
use crate::topology::EventName;
use std::io::{self, Write};
use std::path::Path;

/// List an archive's files, read their events, or publish them again
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(subcommand)]
    command: ArchiveCommand,
}

#[derive(clap::Args, Debug)]
struct Which {
    /// The place that the zone's `archive` names: a directory, or s3://BUCKET/PREFIX
    place: String,
    /// Only this event
    #[arg(long, value_name = "NAMESPACE/TYPE")]
    event: Option<EventName>,
    /// Only events of this hour and later, of their time in UTC
    #[arg(long, value_name = "YYYY-MM-DD/HH")]
    from: Option<String>,
    /// Only events before this hour
    #[arg(long, value_name = "YYYY-MM-DD/HH")]
    to: Option<String>,
}

#[derive(clap::Subcommand, Debug)]
enum ArchiveCommand {
    /// The files with their records
    List(Which),
    /// The events as CloudEvents, one a line
    Read(Which),
    /// Publish the events again, under their ids
    Replay {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        at: super::events::At,
    },
}

/// Events that are published in one request.
const BATCH: usize = 100;

pub fn run(args: Args) -> Result<u8> {
    interrupt::install()?;
    match args.command {
        ArchiveCommand::List(which) => {
            let mut out = io::stdout().lock();
            which.files(|_, manifest, file| {
                let (from, to) = (manifest.from, manifest.to);
                writeln!(
                    out,
                    "{}  {} records of offsets {from}..{to}  {} bytes",
                    file.path, file.records, file.bytes
                )
                .map_err(output_failed)
            })?;
        }
        ArchiveCommand::Read(which) => {
            let mut out = io::stdout().lock();
            which.events(|line| writeln!(out, "{line}").map_err(output_failed))?;
        }
        ArchiveCommand::Replay { which, at } => replay(&which, &at.client())?,
    }
    Ok(0)
}

fn replay(which: &Which, client: &Client) -> Result<()> {
    let (mut waiting, mut stored) = (Vec::new(), 0);
    let mut publish = |waiting: &mut Vec<Event>| -> Result<()> {
        for result in client.publish(waiting)? {
            match result.error {
                Some(error) => {
                    return Err(Error::runtime(format!("event {} is refused: {error}", result.id)));
                }
                None => stored += 1,
            }
        }
        waiting.clear();
        Ok(())
    };
    which.events(|line| {
        let mut event: Event = serde_json::from_str(line).map_err(|e| Error::runtime(e.to_string()))?;
        // It may live elsewhere now: the topology knows.
        event.attributes.shift_remove("zone");
        waiting.push(event);
        if waiting.len() == BATCH { publish(&mut waiting) } else { Ok(()) }
    })?;
    if !waiting.is_empty() {
        publish(&mut waiting)?;
    }
    eprintln!("{stored} events published again");
    Ok(())
}

impl Which {
    fn files(&self, mut each: impl FnMut(&dyn Files, &Manifest, &Listed) -> Result<()>) -> Result<()> {
        let shelf = Shelf::parse(&self.place, Path::new("")).map_err(Error::usage)?;
        if let Shelf::Dir(dir) = &shelf
            && !dir.is_dir()
        {
            return Err(Error::usage(format!("there is no archive {shelf}")));
        }
        let files = shelf.open()?;
        let event = self.event.as_ref().map(EventName::dotted);
        for manifest in layout::list(&*files, event.as_deref())? {
            for file in manifest.files.iter().filter(|file| self.is_wanted(&file.path)) {
                interrupt::check()?;
                each(&*files, &manifest, file)?;
            }
        }
        Ok(())
    }

    /// By the hour, which is in the path: `mfp.FoodEntryCreated/2016-04-19/17/…`.
    fn is_wanted(&self, path: &str) -> bool {
        let hour: Vec<&str> = path.split('/').skip(1).take(2).collect();
        let hour = hour.join("/");
        self.from.as_ref().is_none_or(|from| hour >= *from) && self.to.as_ref().is_none_or(|to| hour < *to)
    }

    fn events(&self, mut each: impl FnMut(&str) -> Result<()>) -> Result<()> {
        self.files(|files, _, file| layout::read_file(files, &file.path, &mut each))
    }
}

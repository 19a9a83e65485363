//! Readers that stand still for a moment, until it is known how far all workers together have read.
//!
//! ```text
//! Hold      → all workers      these readers read no further
//! Locate    → all workers      each says when they stand; then, when they do everywhere and what they have
//!                              read has come to these hubs, how far they are
//! Release   → all workers      they read on
//! ```
//! A reader may be dealt blocks that others have not heard of yet; so where it is can only be asked when
//! all stand still.

use super::mail::{Command, Mail};
use super::shared::Shared;
use crate::connector::Position;
use crate::error::{Error, Result};
use crate::plan::{DataflowId, HubId};
use crate::render::Tick;
use crate::render::context::Context;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Readers that do not come to a stand within this time are let go.
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(100);

pub type Positions = BTreeMap<String, Position>;

/// Which readers are to stand still.
#[derive(Clone, Debug, PartialEq)]
pub struct Hold {
    /// Each with the name that checkpoints have for it.
    pub readers: BTreeMap<DataflowId, String>,
    /// What they have read has come to there when it is known how far they are.
    pub hubs: Vec<HubId>,
    /// And is through in these dataflows.
    pub through: Vec<DataflowId>,
    /// Not before they have read all that is there, so that no row waits for one of another.
    pub at_end: bool,
}

/// Readers that stand still as long as somebody has this.
pub struct Held {
    shared: Arc<Shared>,
    readers: Vec<DataflowId>,
    at_end: bool,
    /// How far they are, by name.
    pub positions: Arc<Positions>,
}

impl Hold {
    /// Stops the readers, and finds out how far they are.
    pub fn take(&self, shared: &Arc<Shared>) -> Result<Held> {
        let readers: Vec<DataflowId> = self.readers.keys().copied().collect();
        shared.command(Command::Hold { readers: readers.clone(), at_end: self.at_end });
        let (shared, positions) = (Arc::clone(shared), Arc::default());
        let mut held = Held { shared, readers, at_end: self.at_end, positions };
        let where_they_are = Place {
            readers: held.readers.clone(),
            hubs: self.hubs.clone(),
            through: self.through.clone(),
            keys: self.readers.values().cloned().collect(),
        };
        let that_they_stand = Place { readers: held.readers.clone(), ..Place::default() };
        located(&held.shared, that_they_stand)?;
        held.positions = Arc::new(located(&held.shared, where_they_are)?);
        Ok(held)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.shared
            .command(Command::Release { readers: std::mem::take(&mut self.readers), at_end: self.at_end });
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").field("readers", &self.readers).finish_non_exhaustive()
    }
}

/// What workers are asked: when these readers stand, and what they have read has come to these hubs and is
/// through in these dataflows, where those of these names are.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Place {
    readers: Vec<DataflowId>,
    hubs: Vec<HubId>,
    through: Vec<DataflowId>,
    keys: Vec<String>,
}

/// What all workers together say.
fn located(shared: &Shared, place: Place) -> Result<Positions> {
    let (number, places) = shared.expect_places();
    shared.command(Command::Locate { number, place });
    let begun = Instant::now();
    let mut positions = Positions::new();
    let mut missing = shared.peers;
    while missing > 0 {
        match places.recv_timeout(LOOK) {
            Ok(places) => {
                for (key, position) in places {
                    positions.entry(key).or_default().merge(position);
                }
                missing -= 1;
            }
            Err(_) if shared.has_stopped() => {
                return Err(shared.error().unwrap_or_else(|| Error::runtime("the engine stopped")));
            }
            Err(_) if begun.elapsed() > PATIENCE => {
                shared.forget_places(number);
                let why = format!("its readers have not come to a stand within {} s", PATIENCE.as_secs());
                return Err(
                    Error::runtime(why).hint("try it again when it has caught up; `wharfe lag` shows it")
                );
            }
            Err(_) => {}
        }
    }
    shared.forget_places(number);
    Ok(positions)
}

/// A worker's side: waits until it can say so.
pub struct Locating {
    number: u64,
    place: Place,
    /// The last tick that something was read in.
    tick: Tick,
}

impl Locating {
    pub fn begin(number: u64, place: Place, context: &Context) -> Locating {
        let tick = context.clock.tick().max(context.inflight.last().unwrap_or(0));
        Locating { number, place, tick }
    }

    /// What the worker has to say, if it can.
    pub fn answer(&self, context: &Context) -> Option<Mail> {
        let Place { readers, hubs, through, keys } = &self.place;
        let stand = readers.iter().all(|id| context.pauses.stands(*id) || context.are_done(&[*id]));
        let has_come = hubs.iter().all(|hub| context.hub(*hub).has_passed(self.tick));
        if !stand || !has_come || !through.iter().all(|id| context.has_passed(*id, self.tick)) {
            return None;
        }
        let position = |key: &String| Some((key.clone(), context.position(key)?));
        Some(Mail::Located { number: self.number, positions: keys.iter().filter_map(position).collect() })
    }
}

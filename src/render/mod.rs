//! Plans → dataflows: a record's way, one stage a file.
//!
//! ```text
//!  source    read ──► decode ──► hub                      one dataflow a source
//!                                 │
//!  query     hub ──► transform ──►│ publish in another hub, and store in a log
//!                                 ├ preaggregate ──► exchange ──► arrange      (a table)
//!                                 └ answer                                     (a client)
//!  query     table ──► changes ──► …                                           (table to table)
//! ```
//!
//! A source and a query are a dataflow each, since timely cannot add inputs to a built one; hubs
//! join them inside each worker. Operators never block, sleep or touch the network.

pub mod process;
pub mod context;
pub mod ticks;
pub mod inflight;
pub mod hub;
pub mod rowtime;
pub mod record_times;
pub mod read;
pub mod source;
pub mod stamps;
pub mod gauge;
pub mod standing;
pub mod changing;
pub mod transform;
pub mod clock;
pub mod keyed;
pub mod pairs;
pub mod keeping;
pub mod waiting;
pub mod pacing;
pub mod lanes;
pub mod lateness;
pub mod lookup;
pub mod within;
pub mod joined;
pub mod join;
pub mod foreign;
pub mod rekeyed;
pub mod window;
pub mod sessions;
pub mod preaggregate;
pub mod packed;
pub mod scan;
pub mod table;
pub mod overflow;
pub mod timed;
pub mod pieces;
pub mod placed;
pub mod changes;
pub mod touches;
pub mod pending;
pub mod derive;
pub mod store;
pub mod answer;
pub mod books;
pub mod rejects;
pub mod dataflow;
pub mod kept;
pub mod snapshot;
pub mod journal;

/// The timestamp of all dataflows: microseconds since the engine's epoch, cut by [`ticks::Clock`].
pub type Tick = u64;

/// The tick of what a checkpoint brought back: the past, which was told already. Input comes later.
pub const RESTORED: Tick = 0;

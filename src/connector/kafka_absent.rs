//! In place of `kafka.rs` in a build without the feature `kafka`: the topology refuses the connector
//! before anything of this could be called.

use super::{Cluster, Lag, Layout, Opening, Poll, ReadTo, Record, Room, Source, Survey, Writer};
use crate::error::{Error, Result};

pub const ABSENT: &str = "this build has no Kafka: it was made without the feature kafka";

fn absent<T>() -> Result<T> {
    Err(Error::topology(ABSENT))
}

pub fn check_setting(_: &str, _: &str) -> Result<(), String> {
    Err(ABSENT.into())
}

pub fn survey(_: &Cluster, _: &str) -> Result<Survey> {
    absent()
}

pub fn prepare(_: &Cluster, _: &str, _: Option<Layout>) -> Result<Option<u32>> {
    absent()
}

pub fn topics(_: &Cluster) -> Result<Option<Vec<(String, u32)>>> {
    absent()
}

pub fn delete(_: &Cluster, _: &str) -> Result<()> {
    absent()
}

pub fn open(_: &Cluster, _: &str, _: Opening, _: &Survey) -> Result<Never> {
    absent()
}

pub fn writer(_: &Cluster, _: &str, _: Layout) -> Result<Never> {
    absent()
}

pub fn bare_loop(_: &Cluster, _: &[String], _: Option<&str>, _: (usize, usize)) -> Result<(u64, u64)> {
    absent()
}

/// What a courier would deliver.
pub struct Delivery {
    pub topic: String,
    pub layout: Layout,
    pub outbox: std::path::PathBuf,
    pub notes: Vec<super::Notes>,
    pub ends: super::log::Ends,
    pub is_left: bool,
}

/// A courier that is never hired, since no cluster can be named.
pub struct Courier(Never);

impl Courier {
    pub fn hire(_: &Cluster, _: &str) -> Courier {
        unreachable!("{ABSENT}")
    }

    pub fn deliver(&self, _: Delivery) {
        match self.0 {}
    }

    pub fn failure(&self) -> Option<Error> {
        match self.0 {}
    }

    pub fn delivered(&self) -> std::collections::BTreeMap<std::path::PathBuf, super::log::Ends> {
        match self.0 {}
    }

    pub fn finish(self, _: Option<std::time::Instant>) -> Result<()> {
        match self.0 {}
    }
}

pub type OnAnswer = Box<dyn Fn(usize, std::result::Result<i64, super::Unposted>) + Send + Sync>;

/// A post that is never opened.
pub struct Post(Never);

impl Post {
    pub fn open(_: &Cluster, _: OnAnswer) -> Result<Post> {
        absent()
    }

    pub fn prepare(&self, _: &str, _: Layout) -> std::result::Result<u32, super::Unposted> {
        match self.0 {}
    }

    pub fn send(&self, _: &str, _: u32, _: &Record, _: usize) -> std::result::Result<(), super::Unposted> {
        match self.0 {}
    }

    pub fn is_away(&self) -> bool {
        match self.0 {}
    }

    pub fn mark_away(&self) {
        match self.0 {}
    }
}

/// A source or writer that is never made.
pub enum Never {}

impl Source for Never {
    fn poll(&mut self, _: usize, _: i64) -> Result<Poll> {
        match *self {}
    }

    fn bytes_expected(&self) -> Option<u64> {
        match *self {}
    }

    fn position(&self) -> Option<ReadTo> {
        match *self {}
    }

    fn lag(&self, _: i64) -> Option<Lag> {
        match *self {}
    }
}

impl Writer for Never {
    fn append(&mut self, _: u64, _: u32, _: &Record) -> Result<Room> {
        match *self {}
    }

    fn flush(&mut self) -> Result<Option<u64>> {
        match *self {}
    }

    fn ends(&self) -> Vec<(u32, i64)> {
        match *self {}
    }
}

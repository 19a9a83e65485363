//! A source's errands that may block: looking at the topic, watching for new partitions, and closing
//! the consumer.

use super::Marks;
use super::client::{self, Ears, Trouble};
use crate::connector::Cluster;
use crate::error::Error;
use rdkafka::consumer::{BaseConsumer, Consumer};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

const WATCH_EVERY: Duration = Duration::from_secs(10);
/// So often a topic may be missing before it is gone.
const MISSING_MAX: u32 = 2;
const RETRY_EVERY: Duration = Duration::from_millis(500);
const TIMEOUT: Duration = Duration::from_secs(5);

pub enum News {
    /// Where the partitions begin and end.
    Marks(Vec<Marks>),
    /// The topic has more partitions now.
    Partitions(u32),
    Failed(Error),
}

pub struct Clerk {
    pub news: Receiver<News>,
    closing: SyncSender<Arc<BaseConsumer<Ears>>>,
}

struct Errands {
    consumer: Arc<BaseConsumer<Ears>>,
    cluster: Cluster,
    topic: String,
    news: SyncSender<News>,
    closing: Receiver<Arc<BaseConsumer<Ears>>>,
}

impl Clerk {
    /// `known`: the number of partitions, if the topic has been looked at.
    pub fn hire(
        consumer: &Arc<BaseConsumer<Ears>>,
        cluster: &Cluster,
        topic: &str,
        known: Option<u32>,
        follow: bool,
    ) -> Clerk {
        let ((news, received), (closing, closed)) = (sync_channel(1), sync_channel(1));
        let errands = Errands {
            consumer: Arc::clone(consumer),
            cluster: cluster.clone(),
            topic: topic.to_string(),
            news,
            closing: closed,
        };
        std::thread::spawn(move || errands.run(known, follow));
        Clerk { news: received, closing }
    }

    /// Takes over the consumer's end, which waits for the cluster's connections.
    pub fn close(&self, consumer: Arc<BaseConsumer<Ears>>) {
        let _ = self.closing.send(consumer);
    }
}

impl Errands {
    fn run(&self, known: Option<u32>, follow: bool) {
        let Some(mut known) = known.or_else(|| self.look()) else { return };
        let mut missing = 0;
        while self.idle(WATCH_EVERY) {
            match client::partitions(&self.consumer, &self.cluster, &self.topic, TIMEOUT) {
                Ok(now) => {
                    missing = 0;
                    self.consumer.context().reach.found();
                    if now > known && follow {
                        known = now;
                        let _ = self.news.send(News::Partitions(now));
                    }
                }
                // A broker that comes up does not know its topics yet.
                Err(Trouble::Fatal(_)) if missing < MISSING_MAX => missing += 1,
                Err(Trouble::Fatal(error)) => {
                    let _ = self.news.send(News::Failed(error));
                    return;
                }
                // Reading itself tells what is wrong.
                Err(Trouble::Away(_)) => {}
            }
        }
    }

    /// Looks until the cluster answers.
    fn look(&self) -> Option<u32> {
        loop {
            match client::marks(&self.consumer, &self.cluster, &self.topic, TIMEOUT) {
                Ok(marks) => {
                    self.consumer.context().reach.found();
                    let count = marks.len() as u32;
                    let _ = self.news.send(News::Marks(marks));
                    return Some(count);
                }
                Err(Trouble::Fatal(error)) => {
                    let _ = self.news.send(News::Failed(error));
                    return None;
                }
                Err(Trouble::Away(why)) => self.consumer.context().reach.lost(&why),
            }
            if !self.idle(RETRY_EVERY) {
                return None;
            }
        }
    }

    /// False when the source is closed: what it sent is dropped here.
    fn idle(&self, time: Duration) -> bool {
        matches!(self.closing.recv_timeout(time), Err(RecvTimeoutError::Timeout))
    }
}

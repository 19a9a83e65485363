//! Clusters' producers, and the answers that requests wait for.

use super::{NewRecord, NotStored};
use crate::connector::kafka::Post;
use crate::connector::{Cluster, Layout, Unposted};
use crate::error::Result;
use crate::partition::partition_of;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::oneshot;

/// One cluster, with what is under way to it.
pub struct Posts {
    pub cluster: Cluster,
    post: Arc<Post>,
    tickets: Arc<Tickets>,
    /// Records without a key go round the partitions.
    turn: AtomicU32,
}

/// What became of each record of a request: partition and offset.
pub type Answers = Vec<Result<(u32, i64), NotStored>>;

#[derive(Default)]
struct Tickets {
    next: AtomicUsize,
    open: Mutex<HashMap<usize, (Arc<Batch>, usize)>>,
}

/// A request's records.
struct Batch {
    state: Mutex<BatchState>,
}

struct BatchState {
    answers: Answers,
    left: usize,
    reply: Option<oneshot::Sender<Answers>>,
}

impl Tickets {
    fn answer(&self, ticket: usize, answer: Result<i64, Unposted>) {
        let found = self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&ticket);
        if let Some((batch, index)) = found {
            batch.answer(index, answer.map_err(not_stored));
        }
    }
}

impl Batch {
    fn answer(&self, index: usize, answer: Result<i64, NotStored>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let partition = state.answers[index].as_ref().map_or(0, |(partition, _)| *partition);
        state.answers[index] = answer.map(|offset| (partition, offset));
        state.left -= 1;
        if state.left == 0
            && let Some(reply) = state.reply.take()
        {
            let answers = std::mem::take(&mut state.answers);
            // Who has hung up meanwhile may ask again: the event is there under its id.
            let _ = reply.send(answers);
        }
    }
}

fn not_stored(unposted: Unposted) -> NotStored {
    match unposted {
        Unposted::Away(why) => NotStored::Away(why),
        Unposted::Refused(error) => NotStored::Failed(error),
    }
}

impl Posts {
    pub fn open(cluster: &Cluster) -> Result<Posts> {
        let tickets = Arc::new(Tickets::default());
        let answering = Arc::clone(&tickets);
        let post = Post::open(cluster, Box::new(move |ticket, answer| answering.answer(ticket, answer)))?;
        Ok(Posts { cluster: cluster.clone(), post: Arc::new(post), tickets, turn: AtomicU32::new(0) })
    }

    pub fn is_away(&self) -> bool {
        self.post.is_away()
    }

    /// Waits until the cluster has each record, or it is known that it has not.
    pub async fn append(
        &self,
        topic: &str,
        partitions: u32,
        records: &[(Option<u32>, &NewRecord)],
    ) -> Answers {
        let all = |error: NotStored| records.iter().map(|_| Err(error.clone())).collect();
        let (post, name) = (Arc::clone(&self.post), topic.to_string());
        let layout = Layout { partitions, replicas: None };
        let prepared = tokio::task::spawn_blocking(move || post.prepare(&name, layout)).await;
        let count = match prepared {
            Ok(Ok(count)) => count,
            Ok(Err(unposted)) => {
                if matches!(unposted, Unposted::Away(_)) {
                    self.post.mark_away();
                }
                return all(not_stored(unposted));
            }
            Err(_) => return all(NotStored::Away("the question about its topic failed".into())),
        };
        if records.is_empty() {
            return Vec::new();
        }
        let (reply, replied) = oneshot::channel();
        let places: Vec<u32> =
            records.iter().map(|(partition, record)| self.place(*partition, record, count)).collect();
        let answers = places.iter().map(|partition| Ok((*partition, -1))).collect();
        let batch = Arc::new(Batch {
            state: Mutex::new(BatchState { answers, left: records.len(), reply: Some(reply) }),
        });
        for (index, (_, record)) in records.iter().enumerate() {
            let ticket = self.tickets.next.fetch_add(1, Ordering::Relaxed);
            let mut open = self.tickets.open.lock().unwrap_or_else(PoisonError::into_inner);
            open.insert(ticket, (Arc::clone(&batch), index));
            drop(open);
            if let Err(unposted) = self.post.send(topic, places[index], &record.as_record(), ticket) {
                self.tickets.answer(ticket, Err(unposted));
            }
        }
        drop(batch);
        replied.await.unwrap_or_else(|_| all(NotStored::Away("the producer was closed".into())))
    }

    fn place(&self, partition: Option<u32>, record: &NewRecord, count: u32) -> u32 {
        match (partition, &record.key) {
            (Some(partition), _) if partition < count => partition,
            (_, Some(key)) => partition_of(key, count),
            (_, None) => self.turn.fetch_add(1, Ordering::Relaxed) % count.max(1),
        }
    }
}

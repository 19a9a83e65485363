//! Events that a gateway has accepted for a cluster that is away: they wait in its log, whatever ends it, and come to
//! the cluster in order.

use crate::broker::Broker;
use crate::gateway::{Lab, entry, numbers};
use crate::harness::DEADLINE;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Instant, UNIX_EPOCH};

const USERS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// What was answered with 202, by user.
struct Accepted {
    id: String,
    of: BTreeMap<String, Vec<i64>>,
    next: usize,
}

impl Accepted {
    /// Publishes so many of each user; whether some of them wait.
    fn publish(&mut self, lab: &Lab, count: usize) -> bool {
        let all = self.next..self.next + count;
        self.next = all.end;
        let payloads = all.clone().flat_map(|n| USERS.map(|user| entry(user, n)));
        let (status, body) = lab.publish(&self.id, payloads);
        assert_eq!(status, 202, "{body}");
        for user in USERS {
            self.of.entry(user.into()).or_default().extend(all.clone().map(|n| n as i64));
        }
        body["items"].as_array().unwrap().iter().any(|item| item["waits"] == true)
    }
}

fn until(what: &str, wanted: impl Fn() -> bool) {
    let started = Instant::now();
    while !wanted() {
        assert!(started.elapsed() < DEADLINE, "never: {what}");
        std::thread::yield_now();
    }
}

/// The cluster is killed and comes back, and the gateway is killed as well: while events wait, and while they are
/// brought. All that was accepted gets there, each key's events in their order and in one partition, of which the
/// topic has more than the topology says.
#[test]
fn what_was_accepted_reaches_its_cluster_also_after_kills() {
    let Some((broker, _alone)) = Broker::own() else { return };
    let name = format!("Entry{}", UNIX_EPOCH.elapsed().unwrap().as_millis());
    let (event, topic) = (format!("mfp/{name}"), format!("mfp.{name}"));
    broker.create(&topic, 3);
    let mut lab = Lab::start(&format!(
        "[clusters.eu]\n'bootstrap.servers' = '{}'\n'message.timeout.ms' = 1000\n[zones.all]\nnamespaces = ['*']\n\
         clusters = ['eu']\naway = 'wait'\n[events.'{event}']\nzone = 'all'\nkey = 'user'\npartitions = 2\n",
        broker.bootstrap()
    ));
    let mut accepted = Accepted { id: lab.event("mfp", &name), of: BTreeMap::new(), next: 0 };
    accepted.publish(&lab, 2);
    until("the first are on the cluster", || broker.consume(&topic).len() == 2 * USERS.len());
    for _ in 0..2 {
        broker.service("kill");
        assert!(accepted.publish(&lab, 2), "they wait");
        lab.kill();
        lab.begin();
        assert!(accepted.publish(&lab, 2), "they wait behind those before");
        lab.kill();
        broker.service("start");
        let before = broker.consume(&topic).len();
        lab.begin();
        until("some are brought", || broker.consume(&topic).len() > before);
        lab.kill();
        lab.begin();
        accepted.publish(&lab, 2);
    }
    let count: usize = accepted.of.values().map(Vec::len).sum();
    assert_eq!(stored(&lab, &event, count), accepted.of);
    let places: BTreeSet<_> = broker.consume(&topic).into_iter().map(|r| (r.key, r.partition)).collect();
    assert_eq!(places.len(), USERS.len(), "{places:?}");
}

/// Each user's numbers in the order in which they come first, so many in all: what a crash has brought twice counts once.
fn stored(lab: &Lab, event: &str, count: usize) -> BTreeMap<String, Vec<i64>> {
    let (mut events, mut from) = (Vec::new(), "earliest".to_string());
    let started = Instant::now();
    loop {
        let page = lab.get(&format!("/events/{event}?from={from}&wait=1&limit=1000"));
        from = page["next"].as_str().unwrap().to_string();
        events.extend(page["events"].as_array().unwrap().clone());
        let mut of = numbers(&events);
        for numbers in of.values_mut() {
            let mut seen = BTreeSet::new();
            numbers.retain(|n| seen.insert(*n));
        }
        if of.values().map(Vec::len).sum::<usize>() >= count {
            return of;
        }
        assert!(started.elapsed() < DEADLINE, "{of:?}");
    }
}

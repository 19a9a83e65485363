//! Messages between the workers of all processes: commands from worker 0 to all, mail to worker 0.
//!
//! A dataflow whose time never moves: timely's channels deliver in order from each sender, and only
//! worker 0 sends commands, so every worker sees the same commands in the same order.

use super::mail::Mail;
use crate::error::Error;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::generic::Operator;
use timely::dataflow::operators::generic::operator::source;
use timely::scheduling::Activator;
use timely::worker::Worker;

type Queue<T> = Rc<RefCell<VecDeque<T>>>;

pub struct Post {
    peers: usize,
    out: Option<Queue<(u64, Vec<u8>)>>,
    inbox: Queue<Vec<u8>>,
    activator: Activator,
}

impl Post {
    pub fn new(worker: &mut Worker) -> Post {
        let out: Queue<(u64, Vec<u8>)> = Rc::default();
        let inbox: Queue<Vec<u8>> = Rc::default();
        let (weak, delivered) = (Rc::downgrade(&out), Rc::clone(&inbox));
        let mut activator = None;
        worker.dataflow::<u64, _, _>(|scope| {
            source(scope, "PostOut", |capability, info| {
                activator = Some(scope.activator_for(info.address));
                let mut capability = Some(capability);
                move |output| match weak.upgrade() {
                    // The sender is gone: let the dataflow complete.
                    None => capability = None,
                    Some(queue) => {
                        if let Some(capability) = &capability {
                            let mut session = output.session(capability);
                            queue.borrow_mut().drain(..).for_each(|letter| session.give(letter));
                        }
                    }
                }
            })
            .sink(
                Exchange::new(|letter: &(u64, Vec<u8>)| letter.0),
                "PostIn",
                move |(input, _)| {
                    input.for_each(|_, letters| {
                        delivered.borrow_mut().extend(letters.drain(..).map(|(_, bytes)| bytes));
                    });
                },
            );
        });
        let activator = activator.expect("the source was built");
        Post { peers: worker.peers(), out: Some(out), inbox, activator }
    }

    pub fn send(&self, worker: usize, mail: &Mail) {
        if let Some(out) = &self.out {
            let bytes = bincode::serialize(mail).expect("mail is plain data");
            out.borrow_mut().push_back((worker as u64, bytes));
            self.activator.activate();
        }
    }

    pub fn broadcast(&self, mail: &Mail) {
        (0..self.peers).for_each(|worker| self.send(worker, mail));
    }

    pub fn receive(&self) -> Option<Mail> {
        let bytes = self.inbox.borrow_mut().pop_front()?;
        Some(bincode::deserialize(&bytes).unwrap_or_else(|e| {
            let error = Error::runtime(format!("a message of another process cannot be read: {e}"));
            Mail::Failed(error.hint("start all processes from the same binary"))
        }))
    }

    /// Sends nothing any more.
    pub fn close(&mut self) {
        self.out = None;
        self.activator.activate();
    }
}

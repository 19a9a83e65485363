//! One worker's loop: commands, ticks, steps, and what follows from a closed tick.

use super::checkpoint::{Report, Underway};
use super::data_dir::registry_dir;
use super::hold::Locating;
use super::mail::{Command, Mail};
use super::measures::Meter;
use super::pause::{Move, Pauses};
use super::peeks::Peeks;
use super::post::Post;
use super::shared::Shared;
use super::{BOOKS_HUB, BOOKS_QUERY, Config, Progress};
use crate::error::Result;
use crate::registry::Client;
use crate::render::Tick;
use crate::render::books::Books;
use crate::render::changing::Changing;
use crate::render::context::{Context, frontier};
use crate::render::dataflow::{cancel, change, install};
use crate::render::hub;
use crate::render::inflight::Inflight;
use crate::render::pacing::Pacing;
use crate::render::process::Process;
use crate::render::rejects::RejectLog;
use crate::render::standing::Standing;
use crate::render::ticks::Clock;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use timely::worker::Worker;

/// Runs until the engine is stopped.
pub fn run(worker: &mut Worker, config: &Config, shared: &Arc<Shared>, hello: Option<Command>) {
    let mut post = Post::new(worker);
    let first_of_process = worker.index().is_multiple_of(config.workers);
    shared.set_worker_thread(worker.index() % config.workers);
    if let Some(hello) = hello.filter(|_| worker.index() == 0) {
        post.broadcast(&Mail::Command(hello));
    }
    let Some(context) = greet(worker, &post, config, shared) else {
        post.close();
        return;
    };
    let mut state = Loop::new(context, shared, config.once, first_of_process);
    'run: loop {
        if first_of_process {
            forward(worker, &post, &state);
        }
        state.look();
        worker.step_or_park(Some(state.rest()));
        // Before the clock goes on: a tick that is named ahead must not be passed unseen.
        while let Some(mail) = post.receive() {
            match mail {
                Mail::Command(Command::Stop) => break 'run,
                Mail::Command(command) => state.carry_out(worker, command),
                Mail::Said { process } => post.broadcast(&Mail::Command(Command::Said { process })),
                mail => shared.deliver(mail),
            }
        }
        state.after_step();
    }
    state.stop();
    post.close();
    while worker.has_dataflows() {
        worker.step_or_park(Some(Duration::from_millis(1)));
    }
    state.context.rejects.flush(Tick::MAX);
}

/// Waits for the first command. `None` when the engine stops before.
fn greet(worker: &mut Worker, post: &Post, config: &Config, shared: &Arc<Shared>) -> Option<Rc<Context>> {
    loop {
        worker.step_or_park(Some(Duration::from_millis(10)));
        match post.receive() {
            Some(Mail::Command(Command::Hello { epoch_ms, data_dir })) => {
                return context(worker, config, shared, epoch_ms, &data_dir).map_err(|e| shared.fail(e)).ok();
            }
            Some(Mail::Command(Command::Stop)) => return None,
            _ => {}
        }
    }
}

/// What the operators of this worker share, before anything is installed.
pub(super) fn context(
    worker: &Worker,
    config: &Config,
    shared: &Arc<Shared>,
    epoch_ms: i64,
    data_dir: &Path,
) -> Result<Rc<Context>> {
    let context = Rc::new(Context {
        index: worker.index(),
        peers: worker.peers(),
        pace: config.pace.clone(),
        clock: Clock::new(epoch_ms, &config.pace),
        inflight: Inflight::new(config.pace.inflight_bytes),
        pacing: Pacing::default(),
        hubs: RefCell::default(),
        tables: RefCell::default(),
        kept: RefCell::default(),
        dataflows: RefCell::new(BTreeMap::new()),
        readings: RefCell::default(),
        stamps: RefCell::default(),
        gauges: RefCell::default(),
        pauses: Standing::default(),
        changing: Changing::default(),
        hold: Cell::default(),
        stores: RefCell::default(),
        writers: RefCell::default(),
        left: RefCell::default(),
        books: Books::default(),
        lateness: RefCell::default(),
        rejects: RejectLog::open(data_dir, worker.index(), Arc::clone(shared) as _)?,
        process: Arc::clone(shared) as _,
        schemas: shared
            .schemas(|| Client::beside(config.topology.registry.as_ref(), &registry_dir(data_dir)))?,
    });
    context.books.attach(context.hub(BOOKS_HUB));
    Ok(context)
}

/// Worker 0 sends out commands; the first worker of another process carries its mail to worker 0.
fn forward(worker: &Worker, post: &Post, state: &Loop) {
    let shared = &state.shared;
    let process = shared.process;
    let is_to_be_told = worker.peers() > shared.workers() && state.context.clock.tells(state.said_here());
    if worker.index() == 0 {
        if is_to_be_told {
            post.broadcast(&Mail::Command(Command::Said { process }));
        }
        for mut command in shared.take_commands() {
            match &mut command {
                Command::Peek(peek) => peek.name_tick(&state.context),
                Command::Checkpoint { tick, lead, .. } => {
                    *tick = Some(state.context.clock.ahead(*lead));
                }
                _ => {}
            }
            post.broadcast(&Mail::Command(command));
        }
    } else {
        if is_to_be_told {
            post.send(0, &Mail::Said { process });
        }
        let progress = shared.own_progress();
        if progress != state.told.replace(progress) {
            post.send(0, &Mail::Read { process, progress, done: false });
        }
        for mail in shared.take_mail() {
            post.send(0, &mail);
        }
    }
}

pub(super) struct Loop {
    pub(super) context: Rc<Context>,
    pub(super) shared: Arc<Shared>,
    peeks: Peeks,
    checkpoint: Option<Underway>,
    /// The last attempt at one for which tables were read.
    taken: Option<u64>,
    /// The script has been installed.
    started: bool,
    once: bool,
    ended: bool,
    /// Who wants to know how far readers are.
    locating: Vec<Locating>,
    /// What is waited for, and how many ticks have closed since nothing was left to read.
    settling: Option<(u64, u32)>,
    /// What process 0 was last told that this one has read.
    told: Cell<Progress>,
    /// How often readers of other processes have said something, as far as those have told.
    said_elsewhere: u64,
    meter: Meter,
}

impl Loop {
    pub(super) fn new(
        context: Rc<Context>,
        shared: &Arc<Shared>,
        once: bool,
        first_of_process: bool,
    ) -> Loop {
        Loop {
            context,
            shared: Arc::clone(shared),
            peeks: Peeks::default(),
            checkpoint: None,
            taken: None,
            started: false,
            once,
            ended: false,
            locating: Vec::new(),
            settling: None,
            told: Cell::default(),
            said_elsewhere: 0,
            meter: Meter::new(first_of_process),
        }
    }

    /// All inputs have ended, and all that came of them is done.
    pub(super) fn ended(&self) -> bool {
        self.ended
    }

    pub(super) fn carry_out(&mut self, worker: &mut Worker, command: Command) {
        let context = &self.context;
        match command {
            Command::Install { plans, wanted, started_ms } => {
                self.shared.set_started_ms(started_ms);
                for (hub, wanted) in wanted {
                    *context.hub(hub).wanted.borrow_mut() = wanted;
                }
                for plan in &plans {
                    if let Err(error) = install(worker, plan, context) {
                        self.shared.fail(error);
                    }
                }
                self.started = true;
            }
            Command::Change { plans, wanted } => {
                for (hub, wanted) in wanted {
                    *context.hub(hub).wanted.borrow_mut() = wanted;
                }
                for plan in plans {
                    if let Err(error) = change(plan, context) {
                        self.shared.fail(error);
                    }
                }
            }
            Command::Drop { dataflows, tables, wanted } => {
                for (hub, wanted) in wanted {
                    *context.hub(hub).wanted.borrow_mut() = wanted;
                }
                tables.iter().for_each(|table| drop(context.tables.borrow_mut().remove(table)));
                dataflows.iter().for_each(|id| cancel(context, *id));
            }
            Command::Peek(peek) => {
                self.peeks.open(peek);
                self.peeks.work(context, &self.shared);
            }
            Command::More { peek, worker } if worker == context.index => self.peeks.more(peek),
            Command::More { .. } => {}
            Command::Unpeek { peek } => self.peeks.close(peek),
            Command::Checkpoint { number, tick, dir, states, .. } => {
                let tick = tick.expect("worker 0 fills it in");
                match Underway::begin(number, tick, dir, states, context) {
                    Ok(checkpoint) => self.checkpoint = Some(checkpoint),
                    Err(late) => self.report(number, Report::Missed { late }),
                }
            }
            Command::Abandon { number } => {
                if self.checkpoint.as_ref().is_some_and(|checkpoint| checkpoint.number == number) {
                    self.checkpoint = None;
                    self.context.release();
                }
                if self.taken == Some(number) {
                    context.kept.borrow().values().for_each(|kept| kept.forget_part());
                }
            }
            Command::Hold { readers, at_end } => context.pauses.hold(&readers, at_end),
            Command::Release { readers, at_end } => context.pauses.release(&readers, at_end),
            Command::Locate { number, place } => {
                self.locating.push(Locating::begin(number, place, context));
            }
            Command::Pause(Pauses { moves, stop, go }) => {
                for Move { query, from, to } in moves {
                    context.hub(from).hand_over(query, &context.hub(to));
                }
                context.pauses.stop(&stop, &go);
            }
            Command::Settle { number } if context.index == 0 => self.settling = Some((number, 0)),
            Command::Settle { .. } => {}
            Command::Said { process } if process != self.shared.process => self.said_elsewhere += 1,
            Command::Said { .. } => {}
            Command::Hello { .. } | Command::Stop => unreachable!("they come first and last"),
        }
    }

    /// Wakes the sources when it is time to look at their inputs.
    fn look(&self) {
        if self.context.clock.look(self.said()) {
            self.context.wake_sources();
        }
    }

    /// How often readers of this process have said something.
    fn said_here(&self) -> u64 {
        self.shared.counters.said.load(Ordering::Relaxed)
    }

    /// How often readers have said something, of other processes as far as this one was told.
    fn said(&self) -> u64 {
        self.said_here() + self.said_elsewhere
    }

    pub(super) fn after_step(&mut self) {
        let context = &self.context;
        context.forget_cancelled();
        let is_awaited = context.hold.get().is_some() || self.peeks.wait() || !self.locating.is_empty();
        if context.clock.cut(self.said(), is_awaited) {
            context.wake_sources();
        }
        let drained = self.drained();
        if context.inflight.release(drained.unwrap_or(Tick::MAX)) {
            context.clock.look_now();
            context.wake_sources();
        }
        let ended = self.once && self.started && drained.is_none();
        context.books.publish(if ended { None } else { Some(drained.unwrap_or(context.clock.open())) });
        hub::tend(context, self.once && self.started);
        let told = drained.unwrap_or(Tick::MAX);
        context.rejects.flush(context.hold.get().map_or(told, |hold| told.min(hold + 1)));
        if self.meter.measure(&self.context, &self.shared, drained) {
            self.warn_of_rejects();
        }
        self.go_on_with_checkpoint();
        self.settle(drained);
        self.locate();
        self.context.tell_horizon();
        self.compact();
        self.peeks.work(&self.context, &self.shared);
        if ended && !self.ended && self.books_done() {
            self.ended = true;
            self.shared.set_inputs_done();
        }
    }

    /// The least tick that a maintained dataflow, the books' own apart, has not finished.
    fn drained(&self) -> Option<Tick> {
        let dataflows = self.context.dataflows.borrow();
        dataflows
            .iter()
            .filter(|(id, d)| d.maintained && **id != BOOKS_QUERY)
            .filter_map(|(_, d)| frontier(&d.probe))
            .min()
    }

    fn go_on_with_checkpoint(&mut self) {
        let Some(checkpoint) = &mut self.checkpoint else { return };
        let number = checkpoint.number;
        let step = checkpoint.step(self.context.drained(), &self.context);
        if checkpoint.is_writing() {
            self.taken = Some(number);
        }
        let Some(report) = step else { return };
        self.checkpoint = None;
        self.context.release();
        self.report(number, report);
    }

    /// All is through when some ticks have closed since nothing was left to read: what a tick has brought may
    /// close windows at the next one, and what has left them is told of at the one after that. A tick closes
    /// only when all before it is through.
    fn settle(&mut self, drained: Option<Tick>) {
        /// As many as a row that comes needs to leave by the longest way, and some more.
        const QUIET_TICKS: u32 = 6;
        let Some((number, quiet)) = &mut self.settling else { return };
        if drained.is_some_and(|drained| drained < self.context.clock.tick()) {
            return;
        }
        *quiet = if self.context.is_read() { *quiet + 1 } else { 0 };
        if *quiet > QUIET_TICKS {
            self.shared.set_settled(*number);
            self.settling = None;
            return;
        }
        self.context.clock.look_now();
        self.context.wake_sources();
    }

    /// Answers who waits for readers that stand still.
    fn locate(&mut self) {
        let context = &self.context;
        self.locating.retain(|locating| {
            let answer = locating.answer(context);
            let waits = answer.is_none();
            answer.into_iter().for_each(|mail| self.shared.mail(mail));
            waits
        });
        if !self.locating.is_empty() {
            context.clock.look_now();
            context.wake_sources();
        }
    }

    fn report(&self, number: u64, report: Report) {
        self.shared.mail(Mail::Checkpoint { number, report });
    }

    /// How long there is nothing to do, unless something comes.
    fn rest(&self) -> Duration {
        match &self.checkpoint {
            Some(checkpoint) if checkpoint.is_writing() => Duration::ZERO,
            _ if self.peeks.has_work() || self.settling.is_some() || !self.locating.is_empty() => {
                Duration::ZERO
            }
            _ => self.context.clock.until_look(),
        }
    }

    fn books_done(&self) -> bool {
        self.context.dataflows.borrow().get(&BOOKS_QUERY).is_none_or(|d| d.probe.done())
    }

    /// Keeps a little history, so that a question finds its tick on every worker. Where all inputs have ended
    /// every tick is closed; a checkpoint still names one of the clock's.
    fn compact(&self) {
        let ticks = self.context.pace.tick.as_micros() as Tick;
        let held = if self.context.peers > 1 { 5 * ticks.max(2_000) } else { 0 };
        let since = |closed: Tick| {
            let since = closed.min(self.context.clock.tick()).saturating_sub(held);
            self.context.hold.get().map_or(since, |hold| since.min(hold))
        };
        for table in self.context.tables.borrow().values() {
            table.closed().into_iter().for_each(|closed| table.compact(since(closed)));
        }
        for kept in self.context.kept.borrow().values() {
            kept.closed().into_iter().for_each(|closed| kept.compact(since(closed)));
        }
    }

    /// On worker 0; with `once` the summary tells.
    fn warn_of_rejects(&mut self) {
        if self.context.index == 0 && !self.once {
            self.meter.warn_of_rejects(&self.shared);
        }
    }

    pub(super) fn stop(&mut self) {
        // Other workers may have told of some since this one looked.
        self.warn_of_rejects();
        // What a checkpoint holds back would hold back the end.
        self.context.release();
        let ids: Vec<_> = self.context.dataflows.borrow().keys().copied().collect();
        ids.into_iter().for_each(|id| cancel(&self.context, id));
        self.context.tables.borrow_mut().clear();
        self.context.kept.borrow_mut().clear();
        self.context.books.publish(None);
        self.context.hubs.borrow().values().for_each(|hub| hub.close());
    }
}

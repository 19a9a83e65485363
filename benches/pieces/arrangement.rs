//! Stage 6: updates of an arrangement that holds a million keys. Elements are updates.

use crate::Bench;
use crate::aggregates;
use criterion::{BatchSize, SamplingMode, Throughput};
use differential_dataflow::operators::arrange::TraceAgent;
use differential_dataflow::operators::arrange::arrangement::arrange_core;
use differential_dataflow::trace::TraceReader;
use std::time::{Duration, Instant};
use timely::WorkerConfig;
use timely::communication::Allocator;
use timely::communication::allocator::thread::Thread;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::InputHandle;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::probe::{Handle, Probe};
use timely::dataflow::operators::vec::Input;
use timely::progress::Antichain;
use timely::worker::Worker;
use wharfe::aggregate::{Key, State};
use wharfe::render::Tick;
use wharfe::render::packed::{Blob, StateBatcher, StateSpine, StateUpdate};
use wharfe::value::{Value, encode_row};

const KEYS: u64 = 1_000_000;
const UPDATES: u64 = 20_000;

pub fn benches(c: &mut Bench) {
    let mut arrangement = Arrangement::new();
    let state = aggregates::states(1).remove(0).1;
    let mut keys = Keys::default();
    for _ in 0..KEYS / UPDATES {
        arrangement.apply(keys.next(UPDATES, &state));
    }
    let mut group = c.benchmark_group("arrange");
    group.sample_size(10).sampling_mode(SamplingMode::Flat).measurement_time(Duration::from_secs(3));
    group.throughput(Throughput::Elements(UPDATES));
    group.bench_function("updates at 1,000,000 keys", |b| {
        b.iter_batched(
            || keys.next(UPDATES, &state),
            |updates| arrangement.apply(updates),
            BatchSize::LargeInput,
        )
    });
    group.finish();
    arrangement.close();
}

/// Every key once before any comes again, in an order that is none.
#[derive(Default)]
struct Keys(u64);

impl Keys {
    fn next(&mut self, count: u64, state: &State) -> Vec<(Key, State)> {
        let source = Value::text("v2/Council/CarParkHistoric");
        let first = self.0;
        self.0 += count;
        (first..self.0)
            .map(|i| {
                // Odd, so that it meets all numbers below a power of two; those above KEYS are folded.
                let number = i.wrapping_mul(0x9e37_79b1) % KEYS;
                (encode_row([&source, &Value::text(&format!("Car Park {number:06}"))]), state.clone())
            })
            .collect()
    }
}

/// The arrangement of a table, by itself on this thread.
struct Arrangement {
    worker: Worker,
    input: InputHandle<Tick, CapacityContainerBuilder<Vec<StateUpdate>>>,
    probe: Handle<Tick>,
    trace: TraceAgent<StateSpine>,
    tick: Tick,
}

impl Arrangement {
    fn new() -> Arrangement {
        let allocator = Allocator::Thread(Thread::default());
        let mut worker = Worker::new(WorkerConfig::default(), allocator, Some(Instant::now()));
        let probe = Handle::new();
        let (input, trace) = worker.dataflow::<Tick, _, _>(|scope| {
            let (input, updates) = scope.new_input();
            let arranged = arrange_core::<_, _, StateBatcher, StateSpine>(
                updates,
                Pipeline,
                "ArrangeStates",
                StateBatcher::new,
            );
            arranged.stream.probe_with(&probe);
            (input, arranged.trace)
        });
        Arrangement { worker, input, probe, trace, tick: 0 }
    }

    /// One tick of updates, until it is closed.
    fn apply(&mut self, updates: Vec<(Key, State)>) {
        let tick = self.tick;
        for (key, state) in updates {
            self.input.send(((Blob(key), ()), tick, state));
        }
        self.tick += 1;
        self.input.advance_to(self.tick);
        while self.probe.less_than(&self.tick) {
            self.worker.step();
        }
        // As the engine does when a tick is closed.
        let closed = Antichain::from_elem(tick);
        self.trace.set_logical_compaction(closed.borrow());
        self.trace.set_physical_compaction(Antichain::from_elem(self.tick).borrow());
    }

    fn close(self) {
        let Arrangement { mut worker, input, trace, .. } = self;
        drop((input, trace));
        while worker.has_dataflows() {
            worker.step();
        }
    }
}

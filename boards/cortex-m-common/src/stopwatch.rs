//! An engine that prints what each chunk cost on the console: time, heap and stack.

use core::fmt::Write;

use cortex_m::peripheral::{SYST, syst::SystClkSource};
use kurtoscope_firmware::engine::{ChunkSpec, Engine};
use kurtoscope_shared::{
    Measurement,
    protocol::{Adapter, EngineKind, FaultKind, Limits},
    statistics::SupportedStatistic,
};

use crate::{console::Console, heap::Heap, stack};

/// The timer counts down from here: 24 bits.
const RELOAD: u32 = 0x00ff_ffff;

/// Measures as the engine in it does, and says on the console how many ticks of the processor's clock each chunk took.
/// Chunks of more than 2^24 ticks are shown modulo that.
pub struct Stopwatch<E, const HEAP: usize> {
    engine: E,
    timer: SYST,
    console: Console,
    heap: &'static Heap<HEAP>,
}

impl<E: Engine, const HEAP: usize> Stopwatch<E, HEAP> {
    /// A stopwatch around `engine`.
    pub fn new(engine: E, mut timer: SYST, console: Console, heap: &'static Heap<HEAP>) -> Self {
        timer.set_clock_source(SystClkSource::Core);
        timer.set_reload(RELOAD);
        timer.clear_current();
        timer.enable_counter();
        Self { engine, timer, console, heap }
    }
}

impl<E: Engine, const HEAP: usize> Engine for Stopwatch<E, HEAP> {
    fn kind(&self) -> EngineKind {
        self.engine.kind()
    }

    fn adapter(&self) -> Option<Adapter> {
        self.engine.adapter()
    }

    fn limits(&self) -> Limits {
        self.engine.limits()
    }

    fn statistics(&self) -> &'static [SupportedStatistic] {
        self.engine.statistics()
    }

    fn tolerance(&self) -> f64 {
        self.engine.tolerance()
    }

    fn measure(&mut self, spec: ChunkSpec, payload: &[u8]) -> Result<Measurement, FaultKind> {
        let ChunkSpec { element, requests, .. } = spec;
        let elements = payload.len() / element.size();
        let before = SYST::get_current();
        let outcome = self.engine.measure(spec, payload);
        let ticks = before.wrapping_sub(SYST::get_current()) & RELOAD;
        let (heap, heap_size, stack, stack_size) = (self.heap.peak(), self.heap.size(), stack::peak(), stack::size());
        // A console that cannot be written is no reason not to measure.
        let _ = writeln!(
            self.console,
            "{elements} {element} top {} ticks {ticks} heap {heap} of {heap_size} stack {stack} of {stack_size}",
            requests.extremes.map_or(0, |kept| kept.get())
        );
        let _ = &self.timer;
        outcome
    }
}

//! A device at work: it takes chunks from the common queue while its window has room, and hands in what it measured.

use std::{
    thread,
    time::{Duration, Instant},
};

use kurtoscope_firmware::{
    engine::{BurnEngine, Engine},
    self_test,
};
use kurtoscope_shared::{
    frame,
    protocol::{Chunk, ElementSet, Limits, PROTOCOL_VERSION, SCHEMA_HASH, Statistics, ToDevice, Welcome},
};

use super::{
    conversation::{Conversation, Step, Trouble},
    greeting::{self, Refusal},
    plan::Plan,
    queue::Queue,
    wire::{Heard, Wire},
};
use crate::{
    checkpoint::Checkpoint,
    link::{self, DeviceUrl, LinkError},
    record,
};

/// How long a device thread waits for a message before it looks at the clock and the queue again.
const PULSE: Duration = Duration::from_millis(20);

/// How devices are opened.
#[derive(Debug, Clone, Copy)]
pub struct DeviceOptions {
    /// Work with a device that fails its self-test; the report says so.
    pub allow_untrusted: bool,
    /// How long a device may be silent while it has something to do.
    pub patience: Duration,
}

impl Default for DeviceOptions {
    fn default() -> Self {
        Self { allow_untrusted: false, patience: Duration::from_secs(10) }
    }
}

/// Why a device cannot be used, or was lost.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// Its link cannot be opened.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// It is there but is not worked with.
    #[error("{url}: {refusal}")]
    Refused {
        /// The device.
        url: String,
        /// Why not.
        refusal: Refusal,
    },
    /// It was lost in the middle of a run.
    #[error("{url}: {trouble}")]
    Lost {
        /// The device.
        url: String,
        /// What went wrong.
        trouble: Loss,
    },
}

/// How a device was lost.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Loss {
    /// The link ended.
    #[error("the link ended in the middle of the run{}", .0.as_ref().map(|text| format!(" ({text})")).unwrap_or_default())]
    Ended(Option<String>),
    /// The conversation failed.
    #[error(transparent)]
    Trouble(#[from] Trouble),
    /// It was restarted, and then did not answer properly.
    #[error("it was restarted in the middle of the run, and then: {0}")]
    Restarted(String),
}

/// A device that is greeted, trusted and ready.
#[derive(Debug)]
pub struct Device {
    url: DeviceUrl,
    welcome: Welcome,
    /// None for the engine in this process.
    wire: Option<Wire>,
    /// Where the next conversation goes on counting.
    next_sequence: u32,
    options: DeviceOptions,
}

impl Device {
    /// Opens a device and greets it.
    ///
    /// # Errors
    /// When its link cannot be opened, it does not answer, or it is not to be trusted.
    pub fn open(url: &DeviceUrl, options: DeviceOptions) -> Result<Self, DeviceError> {
        let refused = |refusal| DeviceError::Refused { url: url.to_string(), refusal };
        let (welcome, wire) = match link::open(url)? {
            None => (introduce_local(), None),
            Some(link) => {
                let mut wire = Wire::new(link);
                (greeting::greet(&mut wire, session_number(), options.patience).map_err(refused)?, Some(wire))
            }
        };
        greeting::judge(&welcome, options.allow_untrusted).map_err(refused)?;
        Ok(Self { url: url.clone(), welcome, wire, next_sequence: 0, options })
    }

    /// What the device can take.
    pub fn limits(&self) -> Limits {
        self.welcome.limits
    }

    /// The element types that it measures.
    pub fn elements(&self) -> ElementSet {
        self.welcome.limits.elements
    }

    /// The relative accuracy that its engine states.
    pub fn tolerance(&self) -> f64 {
        self.welcome.self_test.tolerance
    }

    /// The device's URL.
    pub fn url(&self) -> &DeviceUrl {
        &self.url
    }

    /// How long it may be silent.
    pub(super) fn patience(&self) -> Duration {
        self.options.patience
    }

    /// The number of the open session.
    pub(super) fn session(&self) -> u32 {
        self.welcome.session
    }

    /// The number that the next chunk will get.
    pub(super) fn next_sequence(&self) -> u32 {
        self.next_sequence
    }

    /// Says which number the next chunk will get.
    pub(super) fn set_next_sequence(&mut self, sequence: u32) {
        self.next_sequence = sequence;
    }

    /// The link, if there is one.
    pub(super) fn wire(&mut self) -> Option<&mut Wire> {
        self.wire.as_mut()
    }

    /// The device as the record shows it.
    pub fn record(&self) -> record::Device {
        let test = self.welcome.self_test;
        record::Device {
            url: self.url.to_string(),
            board: self.welcome.board.clone(),
            firmware: self.welcome.firmware.clone(),
            engine: self.welcome.engine.name().into(),
            adapter: self.welcome.adapter.clone().map(|adapter| record::Adapter {
                name: adapter.name,
                backend: adapter.backend,
                kind: adapter.kind,
            }),
            self_test: record::SelfTest {
                passed: test.passed && test.max_relative_error <= test.tolerance,
                max_relative_error: test.max_relative_error.is_finite().then_some(test.max_relative_error),
            },
        }
    }

    /// Works until the queue has nothing left to hand out and everything taken is handed in. What a lost device had
    /// taken goes back to the queue.
    ///
    /// # Errors
    /// [`DeviceError::Lost`].
    pub fn work(&mut self, checkpoint: &Checkpoint, plan: &Plan, queue: &Queue) -> Result<Health, DeviceError> {
        let Some(mut wire) = self.wire.take() else {
            return self.work_here(checkpoint, plan, queue);
        };
        let mut talk = Conversation::new(&self.welcome, self.next_sequence, self.options.patience, Instant::now());
        let outcome = self.converse(&mut wire, &mut talk, checkpoint, plan, queue);
        let health = Health { resent: talk.resent(), damaged: wire.damaged() + u64::from(talk.link().damaged) };
        (self.next_sequence, self.welcome.session) = (talk.next_sequence(), talk.session());
        queue.give_back(talk.abandon());
        match outcome {
            Ok(()) => {
                // Kept for the next model of the same command.
                self.wire = Some(wire);
                Ok(health)
            }
            Err(trouble) => Err(DeviceError::Lost { url: self.url.to_string(), trouble }),
        }
    }

    fn converse(
        &mut self,
        wire: &mut Wire,
        talk: &mut Conversation,
        checkpoint: &Checkpoint,
        plan: &Plan,
        queue: &Queue,
    ) -> Result<(), Loss> {
        let mut held = None;
        let mut written = wire.written();
        let send = |wire: &Wire, talk: &Conversation, chunk: usize, sequence: u32| {
            let planned = &plan.chunks[chunk];
            let message = ToDevice::Chunk(Chunk {
                session: talk.session(),
                sequence,
                tensor: planned.target as u32,
                offset: planned.offset,
                count: planned.count,
                element: plan.targets[planned.target].element,
                statistics: Statistics::FULL,
            });
            match plan.payload(checkpoint, planned) {
                Ok(payload) => {
                    let mut buffer = wire.buffer();
                    // Messages of this protocol always encode.
                    let _ = frame::encode(&message, &payload, &mut buffer);
                    wire.send(buffer);
                }
                Err(error) => queue.give_up(error),
            }
        };
        loop {
            while let Some(chunk) = held.take().or_else(|| queue.next()) {
                let bytes = plan.payload_len(&plan.chunks[chunk]);
                if !talk.has_room(bytes) {
                    held = Some(chunk);
                    break;
                }
                let sequence = talk.sent(chunk, bytes, Instant::now());
                send(wire, talk, chunk, sequence);
            }
            if queue.is_given_up() || (talk.is_idle() && queue.is_finished()) {
                return Ok(());
            }
            let heard = wire.hear(PULSE);
            let now = Instant::now();
            if wire.written() != written {
                written = wire.written();
                talk.progressed(now);
            }
            let mut steps = match heard {
                Heard::Message(message) => {
                    talk.receive(message, now, |chunk, found| Plan::accepts(&plan.chunks[chunk], found))
                }
                Heard::Damaged | Heard::Nothing | Heard::Unwritable(_) | Heard::Stranger { .. } => talk.tick(now),
                Heard::Ended(reason) => {
                    queue.give_back(held);
                    return Err(Loss::Ended(reason));
                }
            };
            if steps.contains(&Step::Greet) {
                let greeted = greeting::greet(wire, session_number(), self.options.patience)
                    .and_then(|welcome| greeting::judge(&welcome, self.options.allow_untrusted).map(|()| welcome));
                match greeted {
                    Ok(welcome) => steps = talk.restart(welcome.session, Instant::now()),
                    Err(refusal) => {
                        queue.give_back(held);
                        return Err(Loss::Restarted(refusal.to_string()));
                    }
                }
            }
            for step in steps {
                match step {
                    Step::Measured { chunk, measurement } => queue.hand_in(chunk, *measurement),
                    Step::Resend { chunk, sequence } => send(wire, talk, chunk, sequence),
                    Step::GiveUp(trouble) => {
                        queue.give_back(held);
                        return Err(trouble.into());
                    }
                    Step::Greet => {}
                }
            }
        }
    }

    /// The engine in this process, on every core.
    fn work_here(&self, checkpoint: &Checkpoint, plan: &Plan, queue: &Queue) -> Result<Health, DeviceError> {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let failures = thread::scope(|scope| {
            let workers: Vec<_> = (0..cores).map(|_| scope.spawn(|| measure_here(checkpoint, plan, queue))).collect();
            workers.into_iter().find_map(|worker| worker.join().ok().and_then(Result::err))
        });
        match failures {
            None => Ok(Health::default()),
            Some(trouble) => Err(DeviceError::Lost { url: self.url.to_string(), trouble: trouble.into() }),
        }
    }
}

fn measure_here(checkpoint: &Checkpoint, plan: &Plan, queue: &Queue) -> Result<(), Trouble> {
    let mut engine = BurnEngine::cpu();
    loop {
        let Some(chunk) = queue.next() else {
            if queue.is_finished() || queue.is_given_up() {
                return Ok(());
            }
            // Another device still holds chunks, and may hand them back.
            thread::sleep(PULSE / 10);
            continue;
        };
        let planned = &plan.chunks[chunk];
        let payload = match plan.payload(checkpoint, planned) {
            Ok(payload) => payload,
            Err(error) => {
                queue.give_up(error);
                return Ok(());
            }
        };
        let bytes = payload.len();
        match engine.measure(plan.targets[planned.target].element, payload, Statistics::FULL) {
            Ok(measurement) if Plan::accepts(planned, &measurement) => queue.hand_in(chunk, measurement),
            Ok(_) => {
                queue.give_back([chunk]);
                return Err(Trouble::Nonsense { bytes });
            }
            Err(kind) => {
                queue.give_back([chunk]);
                return Err(Trouble::Refused { bytes, kind });
            }
        }
    }
}

/// How the work went on the link.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Health {
    /// Chunks sent again.
    pub resent: u64,
    /// Frames that arrived damaged, at both ends.
    pub damaged: u64,
}

fn introduce_local() -> Welcome {
    let mut engine = BurnEngine::cpu();
    let self_test = self_test::run(&mut engine);
    Welcome {
        protocol: PROTOCOL_VERSION,
        schema: SCHEMA_HASH,
        session: 0,
        firmware: env!("CARGO_PKG_VERSION").into(),
        board: "this machine".into(),
        identity: String::new(),
        engine: engine.kind(),
        adapter: engine.adapter(),
        limits: engine.limits(),
        self_test,
    }
}

/// A number that no session on the same board had recently: it tells late answers from new ones.
fn session_number() -> u32 {
    let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    (time.as_nanos() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(u64::from(std::process::id())) as u32
}

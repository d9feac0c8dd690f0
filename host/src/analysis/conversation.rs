//! The host's side of the conversation with one device: what is in flight, what was lost, what the window still takes.
//! No I/O and no clock of its own; the caller passes the time in.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use kurtoscope_shared::protocol::{
    FaultKind, Hello, LinkHealth, Measurement, PROTOCOL_VERSION, SCHEMA_HASH, ToDevice, ToHost, Welcome,
};

/// How often a chunk is sent before the device is given up.
pub const ATTEMPTS: u32 = 4;

/// The number of a chunk in the run's plan.
pub type ChunkNumber = usize;

/// A chunk that was sent and is not answered.
#[derive(Debug, Clone, Copy)]
struct InFlight {
    sequence: u32,
    chunk: ChunkNumber,
    bytes: usize,
    attempts: u32,
}

/// What the caller has to do, or should know, after a message or a time-out.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// A chunk is measured.
    Measured {
        /// Which.
        chunk: ChunkNumber,
        /// What was found.
        measurement: Box<Measurement>,
    },
    /// Send this chunk again, under this sequence number.
    Resend {
        /// Which.
        chunk: ChunkNumber,
        /// The new sequence number.
        sequence: u32,
    },
    /// The device has lost the session, most likely because it was restarted: greet it, then send the chunks again that
    /// [`Conversation::restart`] names.
    Greet,
    /// The device is no use any more.
    GiveUp(Trouble),
}

/// Why a device is given up in the middle of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// A chunk was sent as often as is sensible, without an answer.
    #[error("no sound answer to a chunk of {bytes} bytes after {ATTEMPTS} attempts")]
    NoAnswer {
        /// The chunk's payload.
        bytes: usize,
    },
    /// A chunk failed every time.
    #[error("the device refuses a chunk of {bytes} bytes: {kind}")]
    Refused {
        /// The chunk's payload.
        bytes: usize,
        /// What it said last.
        kind: FaultKind,
    },
    /// The device says that it will not recover.
    #[error("the device reports itself unfit: {0}")]
    Unfit(FaultKind),
    /// An answer that contradicts itself or the chunk.
    #[error("the device's answer to a chunk of {bytes} bytes does not add up; its engine or firmware is broken")]
    Nonsense {
        /// The chunk's payload.
        bytes: usize,
    },
}

/// The state of one device's conversation after the greeting.
#[derive(Debug)]
pub struct Conversation {
    session: u32,
    window: usize,
    in_flight: VecDeque<InFlight>,
    flying: usize,
    next_sequence: u32,
    resent: u64,
    link: LinkHealth,
    /// When something was last heard or said that shows the device alive.
    alive: Instant,
    patience: Duration,
}

impl Conversation {
    /// A conversation with a device that answered `welcome`; `patience` is how long it may be silent.
    ///
    /// Chunks are numbered from `first_sequence`. In a second conversation under the same session it must be the first
    /// one's [`next_sequence`](Self::next_sequence), or a late answer from then passes for one from now.
    pub fn new(welcome: &Welcome, first_sequence: u32, patience: Duration, now: Instant) -> Self {
        Self {
            session: welcome.session,
            // A device that announces a window below its payload can still take one chunk at a time.
            window: welcome.limits.window_bytes.max(welcome.limits.max_payload) as usize,
            in_flight: VecDeque::new(),
            flying: 0,
            next_sequence: first_sequence,
            resent: 0,
            link: LinkHealth::default(),
            alive: now,
            patience,
        }
    }

    /// The greeting that opens session number `session`.
    pub const fn hello(session: u32) -> ToDevice {
        ToDevice::Hello(Hello { protocol: PROTOCOL_VERSION, schema: SCHEMA_HASH, session })
    }

    /// The session's number, which every chunk carries.
    pub fn session(&self) -> u32 {
        self.session
    }

    /// Whether the device's window takes `bytes` more now. An idle device takes any chunk.
    pub fn has_room(&self, bytes: usize) -> bool {
        self.in_flight.is_empty() || self.flying + bytes <= self.window
    }

    /// Whether every chunk is answered.
    pub fn is_idle(&self) -> bool {
        self.in_flight.is_empty()
    }

    /// The number that the next chunk will get.
    pub fn next_sequence(&self) -> u32 {
        self.next_sequence
    }

    /// Chunks sent again so far.
    pub fn resent(&self) -> u64 {
        self.resent
    }

    /// The link as the device last saw it.
    pub fn link(&self) -> LinkHealth {
        self.link
    }

    /// Notes that `chunk` is being sent and returns the sequence number to send it under.
    pub fn sent(&mut self, chunk: ChunkNumber, bytes: usize, now: Instant) -> u32 {
        if self.in_flight.is_empty() {
            self.alive = now;
        }
        self.launch(InFlight { sequence: 0, chunk, bytes, attempts: 1 })
    }

    /// Notes that bytes went out or came in: the link is slow, not dead.
    pub fn progressed(&mut self, now: Instant) {
        self.alive = now;
    }

    /// Takes a message from the device. `valid` judges a measurement against its chunk.
    pub fn receive(
        &mut self,
        message: ToHost,
        now: Instant,
        valid: impl Fn(ChunkNumber, &Measurement) -> bool,
    ) -> Vec<Step> {
        match message {
            // A late answer to a greeting that was repeated.
            ToHost::Welcome(_) => Vec::new(),
            ToHost::Report(report) if report.session == self.session => {
                self.alive = now;
                self.link = report.link;
                let Some(flown) = self.land(report.sequence) else { return Vec::new() };
                if !valid(flown.chunk, &report.measurement) {
                    return vec![self.give_up(flown, Trouble::Nonsense { bytes: flown.bytes })];
                }
                // A device answers in order: what was sent before this one and is still open never arrived.
                let mut steps = self.resend_before(report.sequence, FaultKind::Damaged);
                steps.insert(0, Step::Measured { chunk: flown.chunk, measurement: Box::new(report.measurement) });
                steps
            }
            ToHost::Report(_) => Vec::new(),
            ToHost::Fault(fault) => {
                self.alive = now;
                self.link = fault.link;
                self.fault(fault.sequence, fault.kind)
            }
        }
    }

    fn fault(&mut self, sequence: Option<u32>, kind: FaultKind) -> Vec<Step> {
        match (kind, sequence) {
            (FaultKind::Unfit, _) => vec![Step::GiveUp(Trouble::Unfit(kind))],
            (FaultKind::NoSession { found }, _) if found == self.session => vec![Step::Greet],
            (FaultKind::NoSession { .. }, _) => Vec::new(),
            // Which frame it was shows in the order of the answers that follow. With one in flight it is clear now.
            (_, None) if self.in_flight.len() == 1 => self.resend_before(self.next_sequence, kind),
            (_, None) => Vec::new(),
            (_, Some(sequence)) => match self.land(sequence) {
                Some(flown) => vec![self.resend(flown, kind)],
                None => Vec::new(),
            },
        }
    }

    /// Looks at the clock: after a silence as long as the patience, everything in flight is sent again.
    pub fn tick(&mut self, now: Instant) -> Vec<Step> {
        if self.in_flight.is_empty() || now.duration_since(self.alive) < self.patience {
            return Vec::new();
        }
        self.alive = now;
        self.resend_before(self.next_sequence, FaultKind::Damaged)
    }

    /// Begins again with a device that was greeted anew: returns the chunks to send again, with new numbers.
    pub fn restart(&mut self, session: u32, now: Instant) -> Vec<Step> {
        self.session = session;
        self.alive = now;
        self.resend_before(self.next_sequence, FaultKind::Damaged)
    }

    /// The chunks that the device has not answered, for another device to measure.
    pub fn abandon(self) -> impl Iterator<Item = ChunkNumber> {
        self.in_flight.into_iter().map(|flown| flown.chunk)
    }

    fn resend_before(&mut self, sequence: u32, kind: FaultKind) -> Vec<Step> {
        let mut lost = Vec::new();
        self.in_flight.retain(|flown| {
            let before = flown.sequence.wrapping_sub(sequence) > u32::MAX / 2;
            if before {
                lost.push(*flown);
            }
            !before
        });
        self.flying -= lost.iter().map(|flown| flown.bytes).sum::<usize>();
        lost.into_iter().map(|flown| self.resend(flown, kind)).collect()
    }

    fn resend(&mut self, flown: InFlight, kind: FaultKind) -> Step {
        let bytes = flown.bytes;
        if flown.attempts >= ATTEMPTS {
            return match kind {
                FaultKind::Damaged => self.give_up(flown, Trouble::NoAnswer { bytes }),
                kind => self.give_up(flown, Trouble::Refused { bytes, kind }),
            };
        }
        self.resent += 1;
        let sequence = self.launch(InFlight { attempts: flown.attempts + 1, ..flown });
        Step::Resend { chunk: flown.chunk, sequence }
    }

    /// Ends the conversation over a chunk, which stays unanswered: another device will want it.
    fn give_up(&mut self, flown: InFlight, trouble: Trouble) -> Step {
        self.in_flight.push_back(flown);
        Step::GiveUp(trouble)
    }

    fn launch(&mut self, flown: InFlight) -> u32 {
        let sequence = self.next_sequence;
        self.next_sequence = sequence.wrapping_add(1);
        self.flying += flown.bytes;
        self.in_flight.push_back(InFlight { sequence, ..flown });
        sequence
    }

    fn land(&mut self, sequence: u32) -> Option<InFlight> {
        let index = self.in_flight.iter().position(|flown| flown.sequence == sequence)?;
        let flown = self.in_flight.remove(index)?;
        self.flying -= flown.bytes;
        Some(flown)
    }
}

#[cfg(test)]
mod tests;

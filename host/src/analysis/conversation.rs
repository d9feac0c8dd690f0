//! The host's side of the conversation with one device: what is in flight, what was lost, what the window still takes.
//! No I/O and no clock of its own; the caller passes the time in.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use kurtoscope_shared::protocol::{
    FaultKind, Hello, Measurement, PROTOCOL_VERSION, SCHEMA_HASH, ToDevice, ToHost, Welcome,
};

use super::link_counter::LinkCounter;

/// How often a chunk that the device itself refuses is sent before the device is given up.
pub const ATTEMPTS: u32 = 4;
/// The shortest wait before a chunk without an answer is sent again.
const SHORTEST_WAIT: Duration = Duration::from_millis(50);
/// The most that is in flight, bytes, whatever a device announces: all of it is in this program's memory.
const MOST_IN_FLIGHT: usize = 1 << 28;
/// An answer is late when it takes this many times as long as the slowest of late did.
const LATE: u32 = 4;

/// How long to wait for a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// The silence after which the first chunk is sent again, before it is known how fast the device answers; later
    /// waits follow from its answers, and grow while nothing comes.
    pub silence: Duration,
    /// How long nothing at all may be measured, whatever is tried, before the device is given up.
    pub give_up: Duration,
}

/// The number of a chunk in the run's plan.
pub type ChunkNumber = usize;

/// A chunk that was sent and is not answered.
#[derive(Debug, Clone, Copy)]
struct InFlight {
    sequence: u32,
    chunk: ChunkNumber,
    bytes: usize,
    refusals: u32,
    since: Instant,
}

/// A number under which a chunk in flight was sent before. A sound answer to it is as good as one to the newest.
#[derive(Debug, Clone, Copy)]
struct Earlier {
    sequence: u32,
    chunk: ChunkNumber,
    since: Instant,
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
    GiveUp {
        /// Why.
        trouble: Trouble,
        /// The chunk that it failed over, where it was one.
        chunk: Option<ChunkNumber>,
    },
}

/// Why a device is given up in the middle of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// Nothing was measured for as long as is sensible, however often chunks were sent.
    #[error("no sound answer to a chunk of {bytes} bytes for {seconds} s; is the cable sound, and is the rate right?")]
    NoAnswer {
        /// The chunk's payload.
        bytes: usize,
        /// How long nothing was measured.
        seconds: u64,
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
#[derive(Debug, Clone)]
pub struct Conversation {
    session: u32,
    window: usize,
    in_flight: VecDeque<InFlight>,
    /// In the order of sending.
    earlier: VecDeque<Earlier>,
    flying: usize,
    next_sequence: u32,
    resent: u64,
    link: LinkCounter,
    /// When something was last heard or said that shows the device alive.
    alive: Instant,
    /// When a chunk was last measured, or the first of those in flight was sent or still went out.
    fruitful: Instant,
    /// Bytes that went out since a chunk was last measured.
    moved: u64,
    patience: Patience,
    /// The silence after which a chunk is sent again.
    wait: Duration,
    /// The slowest answer of late.
    slowest: Option<Duration>,
}

impl Conversation {
    /// A conversation with a device that answered `welcome`.
    ///
    /// Chunks are numbered from `first_sequence`. In a second conversation under the same session it must be the first
    /// one's [`next_sequence`](Self::next_sequence), or a late answer from then passes for one from now. `link` is what the
    /// device counted before.
    pub fn new(welcome: &Welcome, first_sequence: u32, link: LinkCounter, patience: Patience, now: Instant) -> Self {
        Self {
            session: welcome.session,
            // A device that announces a window below its payload can still take one chunk at a time.
            window: (welcome.limits.window_bytes.max(welcome.limits.max_payload) as usize).min(MOST_IN_FLIGHT),
            in_flight: VecDeque::new(),
            earlier: VecDeque::new(),
            flying: 0,
            next_sequence: first_sequence,
            resent: 0,
            link,
            alive: now,
            fruitful: now,
            moved: 0,
            patience,
            wait: patience.silence,
            slowest: None,
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

    /// What the device counted on the link.
    pub fn link(&self) -> LinkCounter {
        self.link
    }

    /// Notes that `chunk` is being sent and returns the sequence number to send it under.
    pub fn sent(&mut self, chunk: ChunkNumber, bytes: usize, now: Instant) -> u32 {
        if self.in_flight.is_empty() {
            (self.alive, self.fruitful, self.moved) = (now, now, 0);
        }
        self.launch(InFlight { sequence: 0, chunk, bytes, refusals: 0, since: now })
    }

    /// Notes that `bytes` more went out: the link is slow, not dead.
    ///
    /// Bytes of chunks that are sent again and again are no sign of life: beyond twice what is in flight they do not
    /// put off giving up.
    pub fn progressed(&mut self, bytes: u64, now: Instant) {
        self.alive = now;
        self.moved = self.moved.saturating_add(bytes);
        if self.moved <= 2 * self.flying as u64 {
            self.fruitful = now;
        }
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
                self.link.note(report.link);
                let landed = self.land(report.sequence).or_else(|| self.land_earlier(report.sequence));
                let Some(flown) = landed else { return Vec::new() };
                if !valid(flown.chunk, &report.measurement) {
                    return vec![self.give_up(flown, Trouble::Nonsense { bytes: flown.bytes })];
                }
                self.answered(flown, now);
                // A device answers in order: what was sent before this one and is still open never arrived.
                let mut steps = self.resend_before(report.sequence, now);
                steps.insert(0, Step::Measured { chunk: flown.chunk, measurement: Box::new(report.measurement) });
                steps
            }
            ToHost::Report(_) => Vec::new(),
            ToHost::Fault(fault) => {
                self.alive = now;
                self.link.note(fault.link);
                self.fault(fault.sequence, fault.kind, now)
            }
        }
    }

    fn fault(&mut self, sequence: Option<u32>, kind: FaultKind, now: Instant) -> Vec<Step> {
        match (kind, sequence) {
            (FaultKind::Unfit, _) => vec![Step::GiveUp { trouble: Trouble::Unfit(kind), chunk: None }],
            (FaultKind::NoSession { found }, _) if found == self.session => vec![Step::Greet],
            (FaultKind::NoSession { .. }, _) => Vec::new(),
            // Which frame it was shows in the order of the answers that follow. With one in flight it is clear now.
            (_, None) if self.in_flight.len() == 1 => self.resend_before(self.next_sequence, now),
            (_, None) => Vec::new(),
            (_, Some(sequence)) => match self.land(sequence) {
                Some(flown) if flown.refusals + 1 >= ATTEMPTS => {
                    vec![self.give_up(flown, Trouble::Refused { bytes: flown.bytes, kind })]
                }
                Some(flown) => vec![self.resend(InFlight { refusals: flown.refusals + 1, ..flown }, now)],
                None => Vec::new(),
            },
        }
    }

    /// Looks at the clock: after a silence, the first chunk in flight is sent again, and the next silence may be twice as long.
    /// Its answer shows which others never arrived; where the device was only slow, little is measured twice. `is_written`
    /// says that everything sent has left: while it has not, sending more would not help. When nothing was measured for
    /// too long, the device is given up.
    pub fn tick(&mut self, now: Instant, is_written: bool) -> Vec<Step> {
        let Some(first) = self.in_flight.front().copied() else { return Vec::new() };
        let fruitless = now.duration_since(self.fruitful);
        if fruitless >= self.patience.give_up {
            let trouble = Trouble::NoAnswer { bytes: first.bytes, seconds: fruitless.as_secs() };
            return vec![Step::GiveUp { trouble, chunk: self.oldest() }];
        }
        if !is_written || now.duration_since(self.alive) < self.wait {
            return Vec::new();
        }
        self.alive = now;
        self.wait = (self.wait * 2).min(self.longest_wait());
        self.land(first.sequence).map(|flown| self.resend(flown, now)).into_iter().collect()
    }

    /// As long as was asked for, or as the slowest answer of late makes sensible.
    fn longest_wait(&self) -> Duration {
        self.patience.silence.max(SHORTEST_WAIT).max(self.slowest.unwrap_or_default() * 2)
    }

    /// Notes a sound answer, and what it says about how long to wait for others.
    fn answered(&mut self, flown: InFlight, now: Instant) {
        (self.fruitful, self.moved) = (now, 0);
        let took = now.duration_since(flown.since);
        // Slower answers count at once, faster ones by and by.
        let slowest = self.slowest.map_or(took, |slowest| took.max(slowest - slowest / 16));
        self.slowest = Some(slowest);
        self.wait = (slowest * LATE).clamp(SHORTEST_WAIT, self.longest_wait());
        self.earlier.retain(|earlier| earlier.chunk != flown.chunk);
    }

    /// Begins again with a device that was greeted anew: returns the chunks to send again, with new numbers.
    pub fn restart(&mut self, session: u32, now: Instant) -> Vec<Step> {
        self.session = session;
        self.alive = now;
        let steps = self.resend_before(self.next_sequence, now);
        // Answers under the old session are none.
        self.earlier.clear();
        steps
    }

    /// The chunk that the device was at work on: the first that is not answered.
    pub fn oldest(&self) -> Option<ChunkNumber> {
        let (first, earlier) = (self.in_flight.front()?, self.earlier.front());
        let before = earlier.filter(|earlier| is_before(earlier.sequence, first.sequence));
        Some(before.map_or(first.chunk, |earlier| earlier.chunk))
    }

    /// The chunks that the device has not answered, for another device to measure.
    pub fn abandon(self) -> impl Iterator<Item = ChunkNumber> {
        self.in_flight.into_iter().map(|flown| flown.chunk)
    }

    fn resend_before(&mut self, sequence: u32, now: Instant) -> Vec<Step> {
        let mut lost = Vec::new();
        self.in_flight.retain(|flown| {
            let is_lost = is_before(flown.sequence, sequence);
            if is_lost {
                lost.push(*flown);
            }
            !is_lost
        });
        self.flying -= lost.iter().map(|flown| flown.bytes).sum::<usize>();
        lost.into_iter().map(|flown| self.resend(flown, now)).collect()
    }

    fn resend(&mut self, flown: InFlight, now: Instant) -> Step {
        self.resent += 1;
        self.earlier.push_back(Earlier { sequence: flown.sequence, chunk: flown.chunk, since: flown.since });
        let sequence = self.launch(InFlight { since: now, ..flown });
        Step::Resend { chunk: flown.chunk, sequence }
    }

    /// Ends the conversation over a chunk, which stays unanswered: another device will want it.
    fn give_up(&mut self, flown: InFlight, trouble: Trouble) -> Step {
        self.in_flight.push_back(flown);
        Step::GiveUp { trouble, chunk: Some(flown.chunk) }
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

    /// The chunk in flight that was sent under this number before.
    fn land_earlier(&mut self, sequence: u32) -> Option<InFlight> {
        let earlier = *self.earlier.iter().find(|earlier| earlier.sequence == sequence)?;
        let newest = self.in_flight.iter().find(|flown| flown.chunk == earlier.chunk)?.sequence;
        self.land(newest).map(|flown| InFlight { since: earlier.since, ..flown })
    }
}

/// Whether one number comes before another, where numbers begin again at the end.
fn is_before(one: u32, other: u32) -> bool {
    one.wrapping_sub(other) > u32::MAX / 2
}

#[cfg(test)]
mod tests;

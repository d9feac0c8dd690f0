//! The host's side of the conversation with one device: what is in flight, what was lost, what the window still takes.
//! No I/O and no clock of its own; the caller passes the time in.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use kurtoscope_shared::{
    Measurement,
    protocol::{FaultKind, Report, ToHost, Welcome},
};

use super::{
    failure::{DeviceFailureKind, InvalidReport},
    link_counter::LinkCounter,
    options::Timeouts,
    plan::ChunkNumber,
};

/// How often a chunk that the device itself refuses is sent before the device is given up.
pub const ATTEMPTS: u32 = 4;
/// The shortest wait before a chunk without an answer is sent again.
const SHORTEST_WAIT: Duration = Duration::from_millis(50);
/// The maximum in flight, bytes, whatever window a device announces: all of it is in this program's memory.
const MAX_IN_FLIGHT_BYTES: usize = 1 << 28;
/// An answer is late when it takes this many times as long as the slowest recent one did.
const LATE_FACTOR: u32 = 4;

/// A chunk that was sent and is not answered.
#[derive(Debug, Clone, Copy)]
struct InFlight {
    sequence: u32,
    chunk: ChunkNumber,
    bytes: usize,
    refusals: u32,
    since: Instant,
}

/// An earlier copy of a chunk in flight. A valid answer to it is as good as one to the newest.
#[derive(Debug, Clone, Copy)]
struct EarlierCopy {
    sequence: u32,
    chunk: ChunkNumber,
    since: Instant,
}

/// What the caller has to do, or should know, after a message or a time-out.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
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
    /// The device has lost the session, most likely because it was restarted: repeat the handshake, then send the chunks
    /// again that [`Conversation::restart`] names.
    Handshake,
    /// The device is no use any more.
    GiveUp {
        /// Why.
        kind: DeviceFailureKind,
        /// The chunk that is to blame, where one is.
        chunk: Option<ChunkNumber>,
    },
}

/// The state of one device's conversation after the handshake.
#[derive(Debug, Clone)]
pub struct Conversation {
    session: u32,
    window: usize,
    in_flight: VecDeque<InFlight>,
    /// In the order of sending.
    earlier: VecDeque<EarlierCopy>,
    in_flight_bytes: usize,
    next_sequence: u32,
    resent: u64,
    link: LinkCounter,
    /// When a message last came or bytes last went out.
    last_activity: Instant,
    /// When a chunk was last measured, or the first of those in flight was sent or still went out.
    last_progress: Instant,
    /// Bytes that went out since a chunk was last measured.
    written_since_progress: u64,
    timeouts: Timeouts,
    /// The silence after which a chunk is sent again.
    resend_after: Duration,
    /// The slowest recent answer.
    slowest_answer: Option<Duration>,
}

impl Conversation {
    /// A conversation with a device that answered `welcome`.
    ///
    /// Chunks are numbered from `first_sequence`. In a second conversation under the same session it must be the first
    /// one's [`next_sequence`](Self::next_sequence), or a late answer from then passes for one from now. `link` is what the
    /// device counted before.
    pub fn new(welcome: &Welcome, first_sequence: u32, link: LinkCounter, timeouts: Timeouts, now: Instant) -> Self {
        Self {
            session: welcome.session,
            // A device that announces a window below its payload can still take one chunk at a time.
            window: (welcome.limits.window_bytes.max(welcome.limits.max_payload) as usize).min(MAX_IN_FLIGHT_BYTES),
            in_flight: VecDeque::new(),
            earlier: VecDeque::new(),
            in_flight_bytes: 0,
            next_sequence: first_sequence,
            resent: 0,
            link,
            last_activity: now,
            last_progress: now,
            written_since_progress: 0,
            timeouts,
            resend_after: timeouts.resend,
            slowest_answer: None,
        }
    }

    /// The session's number, which every chunk carries.
    pub fn session(&self) -> u32 {
        self.session
    }

    /// Whether the device's window takes `bytes` more now. An idle device takes any chunk.
    pub fn has_room(&self, bytes: usize) -> bool {
        self.in_flight.is_empty() || self.in_flight_bytes + bytes <= self.window
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
            (self.last_activity, self.last_progress, self.written_since_progress) = (now, now, 0);
        }
        self.put_in_flight(InFlight { sequence: 0, chunk, bytes, refusals: 0, since: now })
    }

    /// Notes that `bytes` more went out by `now`: the link is slow, not dead.
    ///
    /// Chunks that are sent repeatedly are no progress: bytes beyond twice what is in flight do not put off giving up.
    pub fn written(&mut self, bytes: u64, now: Instant) {
        self.last_activity = self.last_activity.max(now);
        self.written_since_progress = self.written_since_progress.saturating_add(bytes);
        if self.written_since_progress <= 2 * self.in_flight_bytes as u64 {
            self.last_progress = self.last_progress.max(now);
        }
    }

    /// Takes a message from the device. `check` holds a report against its chunk.
    pub fn receive(
        &mut self,
        message: ToHost,
        now: Instant,
        check: impl Fn(ChunkNumber, &Report) -> Result<(), InvalidReport>,
    ) -> Vec<Action> {
        match message {
            // A late answer to a handshake that was repeated.
            ToHost::Welcome(_) => Vec::new(),
            ToHost::Report(report) if report.session == self.session => {
                self.last_activity = now;
                self.link.note(report.link);
                let answered =
                    self.complete(report.sequence).or_else(|| self.complete_by_earlier_copy(report.sequence));
                let Some(answered) = answered else { return Vec::new() };
                if let Err(reason) = check(answered.chunk, &report) {
                    return vec![self.give_up(answered, DeviceFailureKind::InvalidReport { reason })];
                }
                self.note_answer(answered, now);
                // A device answers in order: what was sent before this one and is still open never arrived.
                let mut actions = self.resend_before(report.sequence, now);
                actions
                    .insert(0, Action::Measured { chunk: answered.chunk, measurement: Box::new(report.measurement) });
                actions
            }
            ToHost::Report(_) => Vec::new(),
            ToHost::Fault(fault) => {
                self.last_activity = now;
                self.link.note(fault.link);
                self.fault(fault.sequence, fault.kind, now)
            }
        }
    }

    fn fault(&mut self, sequence: Option<u32>, kind: FaultKind, now: Instant) -> Vec<Action> {
        match (kind, sequence) {
            (FaultKind::Unfit, _) => {
                vec![Action::GiveUp { kind: DeviceFailureKind::Refused { fault: kind }, chunk: None }]
            }
            (FaultKind::NoSession { found }, _) if found == self.session => vec![Action::Handshake],
            (FaultKind::NoSession { .. }, _) => Vec::new(),
            // Which frame it was shows in the order of the answers that follow. With one in flight it is clear now.
            (_, None) if self.in_flight.len() == 1 => self.resend_before(self.next_sequence, now),
            (_, None) => Vec::new(),
            (_, Some(sequence)) => match self.complete(sequence) {
                Some(refused) if refused.refusals + 1 >= ATTEMPTS => {
                    vec![self.give_up(refused, DeviceFailureKind::Refused { fault: kind })]
                }
                Some(refused) => vec![self.resend(InFlight { refusals: refused.refusals + 1, ..refused }, now)],
                None => Vec::new(),
            },
        }
    }

    /// Looks at the clock: after a silence, the first chunk in flight is sent again, and the next silence may be twice as long.
    /// Its answer shows which others never arrived; where the device was only slow, little is measured twice. `is_written`
    /// says that everything sent has left: while it has not, sending more would not help. When nothing was measured for
    /// too long, the device is given up.
    pub fn tick(&mut self, now: Instant, is_written: bool) -> Vec<Action> {
        let Some(first) = self.in_flight.front().map(|first| first.sequence) else { return Vec::new() };
        let without_progress = now.duration_since(self.last_progress);
        if without_progress >= self.timeouts.give_up {
            let kind = DeviceFailureKind::NoAnswer { waited: without_progress, damaged_frames: 0 };
            return vec![Action::GiveUp { kind, chunk: self.oldest() }];
        }
        if !is_written || now.duration_since(self.last_activity) < self.resend_after {
            return Vec::new();
        }
        self.last_activity = now;
        self.resend_after = (self.resend_after * 2).min(self.longest_wait());
        self.complete(first).map(|silent| self.resend(silent, now)).into_iter().collect()
    }

    /// When [`tick`](Self::tick) should be called next, should nothing happen until then; none where nothing is in flight.
    pub fn deadline(&self, is_written: bool) -> Option<Instant> {
        self.in_flight.front()?;
        let give_up = self.last_progress + self.timeouts.give_up;
        Some(if is_written { give_up.min(self.last_activity + self.resend_after) } else { give_up })
    }

    /// The option's value, or twice the slowest recent answer where that is more.
    fn longest_wait(&self) -> Duration {
        self.timeouts.resend.max(SHORTEST_WAIT).max(self.slowest_answer.unwrap_or_default() * 2)
    }

    /// Notes a valid answer, and what follows from its time for how long to wait for others.
    fn note_answer(&mut self, answered: InFlight, now: Instant) {
        (self.last_progress, self.written_since_progress) = (now, 0);
        let took = now.duration_since(answered.since);
        // Slower answers count at once, faster ones with a sixteenth each.
        let slowest = self.slowest_answer.map_or(took, |slowest| took.max(slowest - slowest / 16));
        self.slowest_answer = Some(slowest);
        self.resend_after = (slowest * LATE_FACTOR).clamp(SHORTEST_WAIT, self.longest_wait());
        self.earlier.retain(|earlier| earlier.chunk != answered.chunk);
    }

    /// Begins again after another handshake: returns the chunks to send again, with new numbers.
    pub fn restart(&mut self, session: u32, now: Instant) -> Vec<Action> {
        self.session = session;
        self.last_activity = now;
        let actions = self.resend_before(self.next_sequence, now);
        // Answers under the old session no longer count.
        self.earlier.clear();
        actions
    }

    /// The chunk that the device was at work on: the first that is not answered.
    pub fn oldest(&self) -> Option<ChunkNumber> {
        let (first, earlier) = (self.in_flight.front()?, self.earlier.front());
        let before = earlier.filter(|earlier| is_before(earlier.sequence, first.sequence));
        Some(before.map_or(first.chunk, |earlier| earlier.chunk))
    }

    /// The chunks that the device has not answered, for another device to measure.
    pub fn into_unanswered(self) -> impl Iterator<Item = ChunkNumber> {
        self.in_flight.into_iter().map(|sent| sent.chunk)
    }

    fn resend_before(&mut self, sequence: u32, now: Instant) -> Vec<Action> {
        let mut lost = Vec::new();
        self.in_flight.retain(|sent| {
            let is_lost = is_before(sent.sequence, sequence);
            if is_lost {
                lost.push(*sent);
            }
            !is_lost
        });
        self.in_flight_bytes -= lost.iter().map(|sent| sent.bytes).sum::<usize>();
        lost.into_iter().map(|sent| self.resend(sent, now)).collect()
    }

    fn resend(&mut self, silent: InFlight, now: Instant) -> Action {
        let InFlight { sequence, chunk, since, .. } = silent;
        self.resent += 1;
        self.earlier.push_back(EarlierCopy { sequence, chunk, since });
        let sequence = self.put_in_flight(InFlight { since: now, ..silent });
        Action::Resend { chunk, sequence }
    }

    /// Ends the conversation over a chunk, which stays unanswered: another device will take it.
    fn give_up(&mut self, failed: InFlight, kind: DeviceFailureKind) -> Action {
        self.in_flight.push_back(failed);
        Action::GiveUp { kind, chunk: Some(failed.chunk) }
    }

    /// Puts a chunk in flight under the next sequence number, which is returned.
    fn put_in_flight(&mut self, sent: InFlight) -> u32 {
        let sequence = self.next_sequence;
        self.next_sequence = sequence.wrapping_add(1);
        self.in_flight_bytes += sent.bytes;
        self.in_flight.push_back(InFlight { sequence, ..sent });
        sequence
    }

    /// Takes the chunk that was sent under this number out of flight.
    fn complete(&mut self, sequence: u32) -> Option<InFlight> {
        let index = self.in_flight.iter().position(|sent| sent.sequence == sequence)?;
        let sent = self.in_flight.remove(index)?;
        self.in_flight_bytes -= sent.bytes;
        Some(sent)
    }

    /// Takes the chunk out of flight that was sent under this number before its newest.
    fn complete_by_earlier_copy(&mut self, sequence: u32) -> Option<InFlight> {
        let earlier = *self.earlier.iter().find(|earlier| earlier.sequence == sequence)?;
        let newest = self.in_flight.iter().find(|sent| sent.chunk == earlier.chunk)?.sequence;
        self.complete(newest).map(|sent| InFlight { since: earlier.since, ..sent })
    }
}

/// Whether one number comes before another, where numbers begin again at the end.
fn is_before(one: u32, other: u32) -> bool {
    one.wrapping_sub(other) > u32::MAX / 2
}

#[cfg(test)]
mod tests;

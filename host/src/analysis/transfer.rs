//! One conversation over one link: takes chunks from the queue while they fit into the device's window, sends them,
//! and hands on what it measured. Opening links, and what happens when this one is lost, are left to `linked`.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use kurtoscope_shared::{
    crc::crc32c,
    frame,
    protocol::{Chunk, Compression, Report, ToDevice, Welcome},
};

use super::{
    compression::Compressor,
    conversation::{Action, Conversation},
    failure::{ChunkLocation, DeviceFailureKind, InvalidReport},
    handshake::{self, accept, recognise, session_number, stated_accuracy},
    options::DeviceOptions,
    plan::{ChunkNumber, MeasurementPlan, PlannedTensor},
    queue::Queue,
    wire::{Wire, WireEvent},
};
use kurtoscope_checkpoint::Checkpoint;

/// The time after which the rate of a link that was not measured before is computed from what it has taken.
const RATE_AFTER: Duration = Duration::from_millis(500);

/// How a conversation ended.
pub(super) enum End {
    /// There is nothing left to do.
    Finished,
    /// The link ended, with the system's reason where it gave one; the device may be found again.
    LinkLost(Option<String>),
    /// The device is of no use any more.
    Failed(DeviceFailureKind, Option<ChunkLocation>),
}

/// One conversation over one link.
pub(super) struct Transfer<'a> {
    pub(super) checkpoint: &'a Checkpoint,
    pub(super) plan: &'a MeasurementPlan,
    pub(super) queue: &'a Queue<'a>,
    pub(super) welcome: &'a Welcome,
    pub(super) options: &'a DeviceOptions,
    pub(super) compressor: &'a mut Compressor,
    /// CRC-32C of the elements of each chunk that was sent and is not answered.
    pub(super) checksums: HashMap<ChunkNumber, u32>,
    /// Bytes of payload sent, as they travelled.
    pub(super) sent_bytes: u64,
}

/// How many bytes a link had taken when its rate began to be measured.
struct RateMeasurement {
    start: Instant,
    written: u64,
    is_done: bool,
}

impl Transfer<'_> {
    /// Works until the queue has nothing left, the link is lost, or the device fails. What is unanswered then is still in
    /// `conversation`.
    pub(super) fn run(&mut self, wire: &mut Wire, conversation: &mut Conversation) -> End {
        self.queue.wake_on_change(wire.waker());
        let mut written = wire.written();
        let mut rate = RateMeasurement { start: Instant::now(), written, is_done: self.compressor.knows_rate() };
        loop {
            self.fill_window(wire, conversation);
            if self.queue.is_cancelled() || (conversation.is_idle() && self.queue.is_over()) {
                return End::Finished;
            }
            let event = wire.next_event(conversation.deadline(wire.is_written()));
            let now = Instant::now();
            // Asked for before the bytes are looked at, so that what is written meanwhile counts next time.
            let is_written = wire.is_written();
            if wire.written() != written {
                conversation.written(wire.written() - written, wire.last_written());
                written = wire.written();
            }
            self.learn_rate(&mut rate, written, now);
            let mut actions = match event {
                WireEvent::Message(message) => {
                    conversation.receive(message, now, |chunk, report| self.check(chunk, report))
                }
                WireEvent::Ended(reason) => return End::LinkLost(reason),
                WireEvent::Damaged
                | WireEvent::OtherVersion { .. }
                | WireEvent::OtherFraming(_)
                | WireEvent::Written
                | WireEvent::Woken
                | WireEvent::TimedOut => Vec::new(),
            };
            actions.extend(conversation.tick(now, is_written));
            if let Some(end) = self.perform(actions, wire, conversation) {
                return end;
            }
        }
    }

    /// Whether a report can be one of this chunk.
    fn check(&self, chunk: ChunkNumber, report: &Report) -> Result<(), InvalidReport> {
        let found = report.payload_checksum;
        if let Some(expected) = self.checksums.get(&chunk).copied().filter(|expected| *expected != found) {
            return Err(InvalidReport::OtherContent { found, expected });
        }
        let accuracy = stated_accuracy(self.welcome);
        let checked = self.plan.check(&self.plan.chunks[chunk], &report.measurement, accuracy);
        checked.map_err(InvalidReport::Implausible)
    }

    /// Sends chunks while the next fits into the device's window.
    fn fill_window(&mut self, wire: &Wire, conversation: &mut Conversation) {
        let (plan, queue) = (self.plan, self.queue);
        let bytes = |chunk: ChunkNumber| plan.payload_len(&plan.chunks[chunk]);
        while let Some(chunk) = queue.try_next(|chunk| conversation.has_room(bytes(chunk))) {
            let sequence = conversation.sent(chunk, bytes(chunk), Instant::now());
            self.send(wire, conversation.session(), chunk, sequence);
        }
    }

    fn learn_rate(&mut self, rate: &mut RateMeasurement, written: u64, now: Instant) {
        let elapsed = now - rate.start;
        if !rate.is_done && elapsed >= RATE_AFTER {
            rate.is_done = true;
            self.compressor.learn_rate((written - rate.written) as f64 / elapsed.as_secs_f64());
        }
    }

    /// Does what the conversation asks for; how it ended, if it did.
    fn perform(&mut self, actions: Vec<Action>, wire: &mut Wire, conversation: &mut Conversation) -> Option<End> {
        let (mut end, mut needs_handshake) = (None, false);
        for action in actions {
            match action {
                Action::Measured { chunk, measurement } => {
                    self.checksums.remove(&chunk);
                    self.queue.complete(chunk, *measurement);
                }
                // After another handshake everything is sent again anyway.
                Action::Resend { .. } if needs_handshake => {}
                Action::Resend { chunk, sequence } => self.send(wire, conversation.session(), chunk, sequence),
                Action::Handshake => needs_handshake = true,
                Action::GiveUp { kind, chunk } => {
                    let kind = match kind {
                        DeviceFailureKind::NoAnswer { waited, .. } => {
                            DeviceFailureKind::NoAnswer { waited, damaged_frames: wire.damaged() }
                        }
                        kind => kind,
                    };
                    end = Some(End::Failed(kind, chunk.map(|chunk| self.plan.location(self.checkpoint, chunk))));
                }
            }
        }
        if end.is_none() && needs_handshake {
            match self.repeat_handshake(wire) {
                Ok(session) => {
                    let actions = conversation.restart(session, Instant::now());
                    return self.perform(actions, wire, conversation);
                }
                Err(DeviceFailureKind::Disconnected { reason, .. }) => end = Some(End::LinkLost(reason)),
                Err(kind) => end = Some(End::Failed(kind, None)),
            }
        }
        end
    }

    /// The handshake with a device that was restarted behind a link that stayed; the new session's number.
    fn repeat_handshake(&self, wire: &mut Wire) -> Result<u32, DeviceFailureKind> {
        let found = handshake::handshake(wire, session_number(), self.options.timeouts.give_up)?;
        let found = recognise(self.welcome, found)?;
        accept(&found, self.options.allow_untrusted)?;
        Ok(found.session)
    }

    fn send(&mut self, wire: &Wire, session: u32, chunk: ChunkNumber, sequence: u32) {
        let planned = &self.plan.chunks[chunk];
        let PlannedTensor { element, row, requests, .. } = self.plan.targets[planned.target];
        let payload = match self.plan.payload(self.checkpoint, planned) {
            Ok(payload) => payload,
            Err(error) => return self.queue.cancel(error),
        };
        self.checksums.insert(chunk, crc32c(&[&payload]));
        let origin = Instant::now();
        let compressed = self.compressor.compress(element, &payload, || origin.elapsed());
        let message = ToDevice::Chunk(Chunk {
            session,
            sequence,
            tensor: planned.target as u32,
            offset: planned.offset,
            count: planned.count,
            element,
            compression: if compressed.is_some() { Compression::BytePlanes } else { Compression::Plain },
            row,
            requests,
        });
        let payload = compressed.unwrap_or(&payload);
        self.sent_bytes += payload.len() as u64;
        let mut buffer = wire.buffer();
        // Messages of this protocol always encode.
        let _ = frame::encode(wire.framing(), &message, payload, &mut buffer);
        wire.send(buffer);
    }
}

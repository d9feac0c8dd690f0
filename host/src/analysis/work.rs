//! A device behind a link at work: it takes chunks from the common queue while its window has room, hands in what it
//! measured, and is looked for again when its link is lost.

use std::{
    collections::HashMap,
    thread,
    time::{Duration, Instant},
};

use kurtoscope_shared::{
    frame,
    protocol::{Chunk, Compression, ToDevice, Welcome},
};

use super::{
    compression::Compressor,
    conversation::{ChunkNumber, Conversation, Step},
    device::{Device, DeviceError, Health, Loss, Place, session_number},
    greeting::{self, Refusal},
    plan::{Plan, Target},
    queue::Queue,
    wire::{Heard, Wire},
};
use kurtoscope_checkpoint::checkpoint::Checkpoint;

/// How long a device's thread waits for a message before it looks at the clock and the queue again.
const PULSE: Duration = Duration::from_millis(20);
/// A program that ends this often over the same chunk will not get over it.
const MOST_CRASHES: u32 = 3;
/// The first wait before a lost link is tried again; each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(50);
/// The time after which it shows how fast a link is whose rate was not measured before.
const TELLING: Duration = Duration::from_millis(500);
/// The longest of those waits.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// How one conversation ended.
enum End {
    /// There is nothing left to do.
    Finished,
    /// The link is gone; the device may be found again.
    LinkLost(Option<String>),
    /// The device is no use any more.
    Over(Loss),
}

impl Device {
    /// Works until the queue has nothing left to hand out and everything taken is handed in. What a lost device had
    /// taken goes back to the queue at once; the device itself is looked for until the time for that is over. How its link
    /// fared is told in either case.
    pub fn work(&mut self, checkpoint: &Checkpoint, plan: &Plan, queue: &Queue) -> (Health, Result<(), DeviceError>) {
        let mut health = Health::default();
        let outcome = match self.connector {
            None => self.work_here(checkpoint, plan, queue),
            Some(_) => self.work_behind_link(checkpoint, plan, queue, &mut health),
        };
        (health, outcome.map_err(|trouble| DeviceError::Lost { url: self.url.to_string(), trouble }))
    }

    fn work_behind_link(
        &mut self,
        checkpoint: &Checkpoint,
        plan: &Plan,
        queue: &Queue,
        health: &mut Health,
    ) -> Result<(), Loss> {
        let mut compressor = Compressor::new(self.options.compression, self.welcome.compressions, self.rate);
        let mut crashes = HashMap::new();
        // Lost at the end of an earlier run of the same command.
        let mut lost = self.wire.is_none().then_some(None);
        loop {
            if let Some(reason) = lost.take() {
                match self.find_again(reason, queue)? {
                    true => health.reconnects += 1,
                    false => return Ok(()),
                }
            }
            let Some(mut wire) = self.wire.take() else { return Ok(()) };
            let is_program = wire.is_program();
            let patience = self.options.patience();
            let damaged = wire.damaged();
            let link = self.link.from_here();
            let mut talk = Conversation::new(&self.welcome, self.next_sequence, link, patience, Instant::now());
            let mut work = Work { checkpoint, plan, queue, device: self, compressor: &mut compressor, sent: 0 };
            let end = work.converse(&mut wire, &mut talk);
            health.sent_bytes += work.sent;
            health.resent += talk.resent();
            health.damaged += wire.damaged() - damaged + talk.link().damaged();
            health.dropped += talk.link().dropped();
            self.link = talk.link();
            (self.next_sequence, self.welcome.session) = (talk.next_sequence(), talk.session());
            let suspect = talk.oldest();
            queue.give_back(talk.abandon());
            match end {
                End::Finished => {
                    // Kept for the next model of the same command.
                    self.wire = Some(wire);
                    return Ok(());
                }
                End::Over(trouble) => return Err(trouble),
                End::LinkLost(reason) => {
                    // Closed before it is opened again: a port has one owner.
                    drop(wire);
                    if let Some(trouble) = suspect.filter(|_| is_program).and_then(|suspect| {
                        let times = crashes.entry(suspect).or_insert(0);
                        *times += 1;
                        let place = || Place::of(checkpoint, plan, suspect);
                        (*times >= MOST_CRASHES).then(|| Loss::Crashes { times: *times, place: place() })
                    }) {
                        return Err(trouble);
                    }
                    lost = Some(reason);
                }
            }
        }
    }

    /// Looks for the device until it is found (`true`), there is nothing left for it to do (`false`), or the time is over.
    fn find_again(&mut self, reason: Option<String>, queue: &Queue) -> Result<bool, Loss> {
        let start = Instant::now();
        queue.tell_lost();
        let mut wait = FIRST_WAIT;
        // Where it was and elsewhere in turn; a board that has no identity is only where it was.
        let step = if self.welcome.identity.is_empty() { 2 } else { 1 };
        for attempt in (0..).step_by(step) {
            let last = match self.reconnect(attempt) {
                Ok(()) => return Ok(true),
                Err(last) => last,
            };
            let until = Instant::now() + wait;
            if start.elapsed() + wait > self.options.give_up {
                return Err(Loss::Ended { reason, seconds: self.options.give_up.as_secs(), last });
            }
            while Instant::now() < until {
                if queue.is_finished() || queue.is_given_up() {
                    return Ok(false);
                }
                thread::sleep(PULSE.min(wait));
            }
            wait = (wait * 2).min(LONGEST_WAIT);
        }
        Ok(false)
    }

    /// Opens the link once more and makes sure that it is the same device that answers; what was found otherwise, in words.
    fn reconnect(&mut self, attempt: u32) -> Result<(), String> {
        let Some(connector) = &mut self.connector else { return Ok(()) };
        let mut wire = Wire::new(connector.open(attempt).map_err(|error| error.to_string())?);
        let patience = super::device::greeting_patience(&self.url, &self.options);
        let found = greeting::greet(&mut wire, session_number(), patience)
            .and_then(|found| recognise(&self.welcome, found))
            .and_then(|found| greeting::judge(&found, self.options.allow_untrusted).map(|()| found))
            .map_err(|refusal| refusal.to_string())?;
        if wire.is_program() {
            self.link = wire.new_counter();
        }
        (self.welcome, self.wire) = (found, Some(wire));
        Ok(())
    }
}

/// The device that answers, if it is the one that was there before: by its name and identity, not by its path.
fn recognise(before: &Welcome, found: Welcome) -> Result<Welcome, Refusal> {
    let same = (&before.board, &before.identity, before.engine, &before.adapter, before.limits)
        == (&found.board, &found.identity, found.engine, &found.adapter, found.limits);
    if same {
        return Ok(found);
    }
    let name = |welcome: &Welcome| match welcome.identity.as_str() {
        "" => welcome.board.clone(),
        identity => format!("{} {identity}", welcome.board),
    };
    Err(Refusal::Another { expected: name(before), found: name(&found) })
}

/// One conversation over one link.
struct Work<'a> {
    checkpoint: &'a Checkpoint,
    plan: &'a Plan,
    queue: &'a Queue<'a>,
    device: &'a Device,
    compressor: &'a mut Compressor,
    /// Bytes of payload sent, as they travelled.
    sent: u64,
}

impl Work<'_> {
    fn converse(&mut self, wire: &mut Wire, talk: &mut Conversation) -> End {
        let mut held = None;
        let end = self.exchange(wire, talk, &mut held);
        self.queue.give_back(held);
        end
    }

    fn exchange(&mut self, wire: &mut Wire, talk: &mut Conversation, held: &mut Option<ChunkNumber>) -> End {
        let (plan, queue) = (self.plan, self.queue);
        let mut written = wire.written();
        let (start, before) = (Instant::now(), written);
        let mut is_rate_known = self.device.rate.is_some();
        loop {
            while let Some(chunk) = held.take().or_else(|| queue.next()) {
                let bytes = plan.payload_len(&plan.chunks[chunk]);
                if !talk.has_room(bytes) {
                    *held = Some(chunk);
                    break;
                }
                let sequence = talk.sent(chunk, bytes, Instant::now());
                self.send(wire, talk.session(), chunk, sequence);
            }
            if queue.is_given_up() || (talk.is_idle() && queue.is_finished()) {
                return End::Finished;
            }
            let heard = wire.hear(PULSE);
            let now = Instant::now();
            if wire.written() != written {
                talk.progressed(wire.written() - written, now);
                written = wire.written();
            }
            if !is_rate_known && now - start >= TELLING {
                is_rate_known = true;
                self.compressor.learn_rate((written - before) as f64 / (now - start).as_secs_f64());
            }
            let mut steps = match heard {
                Heard::Message(message) => {
                    talk.receive(message, now, |chunk, found| plan.accepts(&plan.chunks[chunk], found))
                }
                Heard::Damaged
                | Heard::Nothing
                | Heard::Unwritable(_)
                | Heard::Stranger { .. }
                | Heard::OtherFraming(_) => Vec::new(),
                Heard::Ended(reason) => return End::LinkLost(reason),
            };
            steps.extend(talk.tick(now, wire.is_written()));
            if steps.contains(&Step::Greet) {
                // What was measured before the device forgot the session is not lost.
                let (measured, _): (Vec<_>, Vec<_>) =
                    steps.into_iter().partition(|step| matches!(step, Step::Measured { .. }));
                steps = measured;
                match self.greet_again(wire) {
                    Ok(session) => steps.extend(talk.restart(session, Instant::now())),
                    Err(Refusal::Ended(reason)) => {
                        self.take(steps, wire, talk);
                        return End::LinkLost(reason);
                    }
                    Err(refusal) => {
                        self.take(steps, wire, talk);
                        return End::Over(Loss::Restarted(refusal.to_string()));
                    }
                }
            }
            if let Some(loss) = self.take(steps, wire, talk) {
                return End::Over(loss);
            }
        }
    }

    /// Does what the conversation asks for.
    fn take(&mut self, steps: Vec<Step>, wire: &Wire, talk: &Conversation) -> Option<Loss> {
        let mut over = None;
        for step in steps {
            match step {
                Step::Measured { chunk, measurement } => self.queue.hand_in(chunk, *measurement),
                Step::Resend { chunk, sequence } => self.send(wire, talk.session(), chunk, sequence),
                Step::GiveUp { trouble, chunk } => {
                    let place = chunk.map(|chunk| Place::of(self.checkpoint, self.plan, chunk));
                    over = Some(Loss::Trouble { trouble, place });
                }
                Step::Greet => {}
            }
        }
        over
    }

    /// Greets a device that was restarted behind a link that stayed; the new session's number.
    fn greet_again(&self, wire: &mut Wire) -> Result<u32, Refusal> {
        let options = &self.device.options;
        let found = greeting::greet(wire, session_number(), options.give_up)?;
        let found = recognise(&self.device.welcome, found)?;
        greeting::judge(&found, options.allow_untrusted)?;
        Ok(found.session)
    }

    fn send(&mut self, wire: &Wire, session: u32, chunk: ChunkNumber, sequence: u32) {
        let planned = &self.plan.chunks[chunk];
        let Target { element, row, statistics, .. } = self.plan.targets[planned.target];
        let payload = match self.plan.payload(self.checkpoint, planned) {
            Ok(payload) => payload,
            Err(error) => return self.queue.give_up(error),
        };
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
            statistics,
        });
        let payload = compressed.unwrap_or(&payload);
        self.sent += payload.len() as u64;
        let mut buffer = wire.buffer();
        // Messages of this protocol always encode.
        let _ = frame::encode(wire.framing(), &message, payload, &mut buffer);
        wire.send(buffer);
    }
}

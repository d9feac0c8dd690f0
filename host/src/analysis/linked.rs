//! A device behind a link: opened, worked with, and opened again when its link is lost. The messages are handled by
//! `transfer`'s.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use kurtoscope_shared::protocol::Welcome;

use super::{
    compression::Compressor,
    conversation::Conversation,
    failure::{DeviceFailure, DeviceFailureKind},
    handshake::{accept, handshake, recognise, session_number},
    options::DeviceOptions,
    plan::{ChunkNumber, MeasurementPlan},
    probe::{self, Continuation},
    queue::{LinkStatistics, Queue},
    transfer::{End, Transfer},
    wire::Wire,
};
use crate::link::{Connector, DeviceUrl};
use kurtoscope_checkpoint::Checkpoint;

/// A program that ends this often over the same chunk is given up.
const MAX_CRASHES: u32 = 3;
/// The first wait before a lost link is tried again; each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(50);
/// The longest of those waits.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// A device behind a link.
#[derive(Debug)]
pub(super) struct LinkedDevice {
    url: DeviceUrl,
    options: DeviceOptions,
    pub(super) welcome: Welcome,
    connector: Box<dyn Connector>,
    link: LinkState,
    /// Where the next conversation goes on counting.
    continuation: Continuation,
    /// Bytes a second of its link, where they were measured.
    rate: Option<f64>,
}

/// The link of a device between two runs.
#[derive(Debug)]
enum LinkState {
    /// In use, and kept for the next run.
    Open(Wire),
    /// Lost; the device is still looked for.
    Lost(Option<String>),
}

/// How long a device may take to introduce itself.
fn handshake_timeout(url: &DeviceUrl, options: &DeviceOptions) -> Duration {
    let timeouts = options.timeouts;
    if url.kind().starts_slowly { timeouts.resend.max(timeouts.give_up) } else { timeouts.resend }
}

impl LinkedDevice {
    /// Opens the link and does the handshake.
    ///
    /// # Errors
    /// When the link cannot be opened, nothing answers, or what answers is not to be worked with.
    pub(super) fn open(
        url: &DeviceUrl,
        mut connector: Box<dyn Connector>,
        options: DeviceOptions,
    ) -> Result<Self, DeviceFailure> {
        let link = connector.open(0).map_err(|source| DeviceFailure::cannot_open(url, source))?;
        let mut wire = Wire::new(link);
        let welcome = handshake(&mut wire, session_number(), handshake_timeout(url, &options))
            .and_then(|welcome| accept(&welcome, options.allow_untrusted).map(|()| welcome))
            .map_err(|kind| DeviceFailure::new(url, kind))?;
        let continuation = Continuation { next_sequence: 0, counter: wire.new_counter() };
        let link = LinkState::Open(wire);
        Ok(Self { url: url.clone(), options, welcome, connector, link, continuation, rate: None })
    }

    /// The rate of the link, bytes of payload a second, measured now. Where nothing comes back it is 0, which gives the
    /// smallest chunks: the run itself will find out why.
    pub(super) fn measure_rate(&mut self) -> f64 {
        if let LinkState::Open(wire) = &mut self.link {
            let timeout = self.options.timeouts.resend;
            self.rate = probe::measure_rate(wire, &self.welcome, &mut self.continuation, timeout);
        }
        self.rate.unwrap_or_default()
    }

    /// Works until the queue has nothing left to hand out and every chunk taken is measured. What a lost device had taken
    /// goes back to the queue at once; the device itself is looked for until the time for that is over. `statistics` says
    /// how its link fared, whatever is returned.
    pub(super) fn work(
        &mut self,
        checkpoint: &Checkpoint,
        plan: &MeasurementPlan,
        queue: &Queue,
        statistics: &mut LinkStatistics,
    ) -> Result<(), DeviceFailure> {
        let mut compressor = Compressor::new(self.options.compression, self.welcome.compressions, self.rate);
        let mut crashes: HashMap<ChunkNumber, u32> = HashMap::new();
        loop {
            let state = std::mem::replace(&mut self.link, LinkState::Lost(None));
            let mut wire = match state {
                LinkState::Open(wire) => wire,
                LinkState::Lost(reason) => {
                    let Some(wire) = self.find_again(reason, queue)? else { return Ok(()) };
                    statistics.reconnects += 1;
                    wire
                }
            };
            let is_program = wire.is_program();
            let (end, suspect) = self.converse(&mut wire, checkpoint, plan, queue, &mut compressor, statistics);
            match end {
                End::Finished => {
                    // Kept for the next model of the same command.
                    self.link = LinkState::Open(wire);
                    return Ok(());
                }
                End::Failed(kind, chunk) => return Err(DeviceFailure::new(&self.url, kind).at(chunk)),
                End::LinkLost(reason) => {
                    // Closed before it is opened again: a port has one owner.
                    drop(wire);
                    self.link = LinkState::Lost(reason);
                    if let Some(suspect) = suspect.filter(|_| is_program) {
                        let times = crashes.entry(suspect).or_default();
                        *times += 1;
                        if *times >= MAX_CRASHES {
                            let kind = DeviceFailureKind::Crashed { times: *times };
                            return Err(
                                DeviceFailure::new(&self.url, kind).at(Some(plan.location(checkpoint, suspect)))
                            );
                        }
                    }
                }
            }
        }
    }

    /// One conversation over one link: how it ended, and the chunk that the device was at work on.
    fn converse(
        &mut self,
        wire: &mut Wire,
        checkpoint: &Checkpoint,
        plan: &MeasurementPlan,
        queue: &Queue,
        compressor: &mut Compressor,
        statistics: &mut LinkStatistics,
    ) -> (End, Option<ChunkNumber>) {
        let damaged_before = wire.damaged();
        let Continuation { next_sequence, counter } = self.continuation;
        let mut conversation =
            Conversation::new(&self.welcome, next_sequence, counter.from_here(), self.options.timeouts, Instant::now());
        let (welcome, options) = (&self.welcome, &self.options);
        let checksums = HashMap::new();
        let mut transfer = Transfer { checkpoint, plan, queue, welcome, options, compressor, checksums, sent_bytes: 0 };
        let end = transfer.run(wire, &mut conversation);
        let counter = conversation.link();
        statistics.sent_bytes += transfer.sent_bytes;
        statistics.resent += conversation.resent();
        statistics.damaged += wire.damaged() - damaged_before + counter.damaged();
        statistics.dropped += counter.dropped();
        self.continuation = Continuation { next_sequence: conversation.next_sequence(), counter };
        self.welcome.session = conversation.session();
        let suspect = conversation.oldest();
        queue.requeue(conversation.into_unanswered());
        (end, suspect)
    }

    /// Looks for the device until it is found, or there is nothing left for it to do, which gives `None`.
    ///
    /// # Errors
    /// When the time is over; the source is the failure of the last attempt.
    fn find_again(&mut self, reason: Option<String>, queue: &Queue) -> Result<Option<Wire>, DeviceFailure> {
        let start = Instant::now();
        queue.report_link_lost();
        let mut wait = FIRST_WAIT;
        // Where it was and elsewhere in turn; a board that has no identity is only where it was.
        let step = if self.welcome.identity.is_empty() { 2 } else { 1 };
        for attempt in (0..).step_by(step) {
            let last = match self.reconnect(attempt) {
                Ok(wire) => return Ok(Some(wire)),
                Err(last) => last,
            };
            let give_up = self.options.timeouts.give_up;
            if start.elapsed() + wait > give_up {
                self.link = LinkState::Lost(reason.clone());
                let kind = DeviceFailureKind::Disconnected { reason, searched: Some(give_up) };
                return Err(DeviceFailure::new(&self.url, kind).caused_by(Some(last)));
            }
            if queue.wait_until_over(Instant::now() + wait) {
                break;
            }
            wait = (wait * 2).min(MAX_WAIT);
        }
        self.link = LinkState::Lost(reason);
        Ok(None)
    }

    /// Opens the link again and makes sure that it is the same device that answers.
    fn reconnect(&mut self, attempt: u32) -> Result<Wire, DeviceFailure> {
        let link = self.connector.open(attempt).map_err(|source| DeviceFailure::cannot_open(&self.url, source))?;
        let mut wire = Wire::new(link);
        let timeout = handshake_timeout(&self.url, &self.options);
        let found = handshake(&mut wire, session_number(), timeout)
            .and_then(|found| recognise(&self.welcome, found))
            .and_then(|found| accept(&found, self.options.allow_untrusted).map(|()| found))
            .map_err(|kind| DeviceFailure::new(&self.url, kind))?;
        if wire.is_program() {
            self.continuation.counter = wire.new_counter();
        }
        self.welcome = found;
        Ok(wire)
    }
}

//! The device's side of the conversation: frames in, answers out, no I/O of its own.

use alloc::{collections::VecDeque, string::String, vec::Vec};

use embedded_hal::digital::OutputPin;
use kurtoscope_shared::{
    compression,
    crc::crc32c,
    frame::{self, FrameError, Framing},
    protocol::{
        Chunk, Compression, CompressionSet, Fault, FaultKind, LinkHealth, PROTOCOL_VERSION, Report, SelfTest, ToDevice,
        ToHost, Welcome, peek_version,
    },
};

use crate::{
    engine::{ChunkSpec, Completion, Engine, Payload, Submission},
    self_test,
    status_led::{NoPin, Status, StatusLed},
};

/// What a board says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Board {
    /// The board's name: `raspberry-pi-5`, `virtual`, …
    pub name: String,
    /// What identifies it among others of the same kind: a serial number. May be empty.
    pub identity: String,
}

/// Answers a host: one frame in, one answer out, in the order in which the frames came.
///
/// Holds nothing that a host could miss: a session is a number, and every chunk is measured alone.
///
/// [`answer`](Self::answer) is enough for an engine on the processor. For one that works beside it,
/// [`take`](Self::take) and [`finish`](Self::finish) let chunks overlap.
#[derive(Debug)]
pub struct Session<E, M = NoPin, F = NoPin> {
    engine: E,
    board: Board,
    self_test: SelfTest,
    status_led: StatusLed<M, F>,
    open: Option<u32>,
    link: LinkHealth,
    compressions: CompressionSet,
    /// How answers are framed.
    framing: Framing,
    /// Chunks that the engine has taken, oldest first.
    running: VecDeque<Running>,
    /// Where compressed payloads are decompressed to; as large as the largest so far.
    decompressed: Vec<u8>,
}

/// A chunk that the engine has taken.
#[derive(Debug)]
struct Running {
    chunk: Chunk,
    submission: Submission,
    /// CRC-32C of the elements.
    payload_checksum: u32,
    /// Whether the payload's buffer is the frame's.
    is_frame: bool,
}

impl<E: Engine> Session<E> {
    /// A session on a board without lights. Runs the engine's self-test.
    pub fn new(engine: E, board: Board) -> Self {
        Self::with_status_led(engine, board, StatusLed::none())
    }
}

impl<E: Engine, M: OutputPin, F: OutputPin> Session<E, M, F> {
    /// A session on a board with lights. Runs the engine's self-test.
    pub fn with_status_led(mut engine: E, board: Board, mut status_led: StatusLed<M, F>) -> Self {
        let self_test = self_test::run(&mut engine);
        status_led.show(if self_test.passed { Status::Off } else { Status::Fault });
        let (link, compressions) = (LinkHealth::default(), CompressionSet::ALL);
        let (framing, running, decompressed) = (Framing::Cobs, VecDeque::new(), Vec::new());
        Self { engine, board, self_test, status_led, open: None, link, compressions, framing, running, decompressed }
    }

    /// The same session without compressed payloads, which take memory for a second payload.
    #[must_use]
    pub fn plain_only(self) -> Self {
        Self { compressions: CompressionSet::PLAIN, ..self }
    }

    /// Sets how answers are framed from now on: as the link is that they go to. COBS at first.
    pub fn set_framing(&mut self, framing: Framing) {
        self.framing = framing;
    }

    /// The largest payload that a frame may carry, bytes; what a [`frame::Decoder`] for this session is made with.
    pub fn max_payload(&self) -> usize {
        self.engine.limits().max_payload as usize
    }

    /// Takes one frame as a [`frame::Decoder`] gave it and appends the answer, encoded, to `output`.
    ///
    /// Returns the frame's buffer for reuse where it is free again.
    pub fn answer(&mut self, frame: Result<Vec<u8>, FrameError>, output: &mut Vec<u8>) -> Option<Vec<u8>> {
        let freed = self.take(frame, output);
        self.finish_all(output).or(freed)
    }

    /// Takes one frame; appends answers to `output` as far as they are known. A chunk may stay with the engine: how many
    /// do is returned by [`running`](Self::running).
    ///
    /// Returns a buffer for reuse where one is free again.
    pub fn take(&mut self, frame: Result<Vec<u8>, FrameError>, output: &mut Vec<u8>) -> Option<Vec<u8>> {
        match frame {
            Ok(content) => self.read(content, output),
            Err(_) => {
                let freed = self.finish_all(output);
                self.link.damaged = self.link.damaged.saturating_add(1);
                let answer = self.fault(None, FaultKind::Damaged);
                self.say(&answer, output);
                freed
            }
        }
    }

    /// How many chunks the engine takes before the first of them is collected.
    pub fn in_flight(&self) -> usize {
        self.engine.in_flight()
    }

    /// How many chunks are with the engine, unanswered.
    pub fn running(&self) -> usize {
        self.running.len()
    }

    /// Waits for the oldest chunk that is with the engine, if any, and appends its answer to `output`.
    ///
    /// Returns a buffer for reuse where one is free again.
    pub fn finish(&mut self, output: &mut Vec<u8>) -> Option<Vec<u8>> {
        let Running { chunk, submission, payload_checksum, is_frame } = self.running.pop_front()?;
        let Completion { outcome, payload } = self.engine.wait(submission);
        let answer = match outcome {
            Ok(measurement) => {
                let (session, sequence, link) = (chunk.session, chunk.sequence, self.link);
                ToHost::Report(Report { session, sequence, payload_checksum, link, measurement })
            }
            Err(kind) => self.fault(Some(chunk.sequence), kind),
        };
        if self.running.is_empty() && matches!(answer, ToHost::Report(_)) {
            self.status_led.show(Status::Off);
        }
        self.say(&answer, output);
        let buffer = payload?.into_buffer();
        if is_frame {
            return Some(buffer);
        }
        self.decompressed = buffer;
        None
    }

    /// Answers everything that is with the engine; returns the last buffer that this freed.
    fn finish_all(&mut self, output: &mut Vec<u8>) -> Option<Vec<u8>> {
        let mut freed = None;
        while !self.running.is_empty() {
            freed = self.finish(output).or(freed);
        }
        freed
    }

    fn read(&mut self, content: Vec<u8>, output: &mut Vec<u8>) -> Option<Vec<u8>> {
        let answer = match postcard::take_from_bytes::<ToDevice>(&content) {
            Ok((ToDevice::Chunk(chunk), payload)) => {
                let header = content.len() - payload.len();
                return self.chunk(chunk, content, header, output);
            }
            Ok((ToDevice::Hello(hello), _)) => {
                self.finish_all(output);
                self.welcome(hello.session)
            }
            // A host of another version: it is sent ours and decides.
            Err(_) if peek_version(&content).is_some() => {
                self.finish_all(output);
                self.welcome(0)
            }
            Err(_) => {
                self.finish_all(output);
                self.drop_frame(None, FaultKind::Malformed)
            }
        };
        self.say(&answer, output);
        Some(content)
    }

    fn welcome(&mut self, session: u32) -> ToHost {
        self.open = Some(session);
        self.status_led.show(if self.self_test.passed { Status::Off } else { Status::Fault });
        ToHost::Welcome(Welcome {
            protocol: PROTOCOL_VERSION,
            session,
            firmware: String::from(env!("CARGO_PKG_VERSION")),
            board: self.board.name.clone(),
            identity: self.board.identity.clone(),
            engine: self.engine.kind(),
            adapter: self.engine.adapter(),
            limits: self.engine.limits(),
            statistics: self.engine.statistics().iter().map(|statistic| statistic.key).collect(),
            compressions: self.compressions,
            self_test: self.self_test,
            capabilities: Vec::new(),
        })
    }

    fn chunk(&mut self, chunk: Chunk, content: Vec<u8>, header: usize, output: &mut Vec<u8>) -> Option<Vec<u8>> {
        match self.prepare(&chunk, &content, header) {
            Ok(None) => self.submit(chunk, Payload::new(content, header), true, output),
            Ok(Some(elements)) => self.submit(chunk, elements.into(), false, output).or(Some(content)),
            Err(kind) => {
                // Answers keep the order of the frames.
                self.finish_all(output);
                let answer = self.drop_frame(Some(chunk.sequence), kind);
                self.say(&answer, output);
                Some(content)
            }
        }
    }

    /// Checks a chunk and decompresses it where it is compressed; `None` where its payload is measured as received.
    fn prepare(&mut self, chunk: &Chunk, content: &[u8], header: usize) -> Result<Option<Vec<u8>>, FaultKind> {
        let found = u32::try_from(content.len() - header).unwrap_or(u32::MAX);
        let expected = u64::from(chunk.count) * chunk.element.size() as u64;
        if self.open != Some(chunk.session) {
            return Err(FaultKind::NoSession { found: chunk.session });
        }
        if chunk.compression == Compression::Plain && expected != u64::from(found) {
            return Err(FaultKind::PayloadLength { expected, found });
        }
        if chunk.compression == Compression::Plain {
            return Ok(None);
        }
        if !self.compressions.contains(chunk.compression) {
            return Err(FaultKind::Compression);
        }
        let max = self.engine.limits().max_payload;
        let length = match u32::try_from(expected) {
            // Checked before any memory is taken for it.
            Ok(length) if length <= max => length as usize,
            length => return Err(FaultKind::TooLarge { found: length.unwrap_or(u32::MAX), max }),
        };
        let mut elements = core::mem::take(&mut self.decompressed);
        elements.resize(length, 0);
        match compression::decompress(&content[header..], chunk.element.size(), &mut elements) {
            Ok(()) => Ok(Some(elements)),
            Err(_) => {
                self.decompressed = elements;
                Err(FaultKind::Compression)
            }
        }
    }

    /// Gives a chunk to the engine, and answers for the oldest while that has as many as it takes.
    fn submit(&mut self, chunk: Chunk, payload: Payload, is_frame: bool, output: &mut Vec<u8>) -> Option<Vec<u8>> {
        self.status_led.show(Status::Measuring);
        let Chunk { element, offset, row, requests, .. } = chunk;
        let payload_checksum = crc32c(&[&payload]);
        let submission = self.engine.submit(ChunkSpec { element, offset, row, requests }, payload);
        self.running.push_back(Running { chunk, submission, payload_checksum, is_frame });
        let mut freed = None;
        while self.running.len() >= self.engine.in_flight().max(1) {
            freed = self.finish(output).or(freed);
        }
        freed
    }

    fn drop_frame(&mut self, sequence: Option<u32>, kind: FaultKind) -> ToHost {
        self.link.dropped = self.link.dropped.saturating_add(1);
        self.fault(sequence, kind)
    }

    fn fault(&mut self, sequence: Option<u32>, kind: FaultKind) -> ToHost {
        self.status_led.show(Status::Fault);
        ToHost::Fault(Fault { session: self.open.unwrap_or_default(), sequence, kind, link: self.link })
    }

    /// Appends an answer to `output`.
    fn say(&self, answer: &ToHost, output: &mut Vec<u8>) {
        // Messages of this protocol always encode; a failure would leave `output` as it was, and the host asks again.
        let _ = frame::encode(self.framing, answer, &[], output);
    }
}

#[cfg(test)]
mod tests;

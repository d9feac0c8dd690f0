//! The device's side of the conversation: frames in, answers out, no I/O of its own.

use alloc::{collections::VecDeque, string::String, sync::Arc, vec::Vec};

use bytes::Bytes;
use embedded_hal::digital::OutputPin;
use kurtoscope_shared::{
    frame::{self, FrameError},
    packing,
    protocol::{
        Chunk, Fault, FaultKind, LinkHealth, MAX_TOP, PROTOCOL_VERSION, Packing, PackingSet, Report, SCHEMA_HASH,
        SelfTest, ToDevice, ToHost, Welcome, peek_version,
    },
};

use crate::{
    engine::{Engine, Submission},
    indicator::{Indicator, NoPin, Status},
    self_test,
};

/// What a board says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Board {
    /// The board's name: `raspberry-pi-5`, `virtual`, …
    pub name: String,
    /// What tells it from another of the same kind: a serial number. May be empty.
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
    indicator: Indicator<M, F>,
    open: Option<u32>,
    link: LinkHealth,
    packings: PackingSet,
    /// Chunks that the engine has taken, oldest first.
    running: VecDeque<Running>,
    /// Where packed payloads are unpacked to; as large as the largest so far.
    unpacked: Vec<u8>,
}

/// A chunk that the engine has taken.
#[derive(Debug)]
struct Running {
    chunk: Chunk,
    submission: Submission,
    /// The payload's buffer, and whether it came with the frame.
    buffer: Arc<Vec<u8>>,
    from_frame: bool,
}

impl<E: Engine> Session<E> {
    /// A session on a board without lights. Runs the engine's self-test.
    pub fn new(engine: E, board: Board) -> Self {
        Self::with_indicator(engine, board, Indicator::none())
    }
}

impl<E: Engine, M: OutputPin, F: OutputPin> Session<E, M, F> {
    /// A session on a board with lights. Runs the engine's self-test.
    pub fn with_indicator(mut engine: E, board: Board, mut indicator: Indicator<M, F>) -> Self {
        let self_test = self_test::run(&mut engine);
        indicator.show(if self_test.passed { Status::Off } else { Status::Fault });
        let (link, packings) = (LinkHealth::default(), PackingSet::ALL);
        let (running, unpacked) = (VecDeque::new(), Vec::new());
        Self { engine, board, self_test, indicator, open: None, link, packings, running, unpacked }
    }

    /// The same session without packed payloads, which take memory for a second payload.
    #[must_use]
    pub fn plain_only(self) -> Self {
        Self { packings: PackingSet::PLAIN, ..self }
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
    /// do, [`running`](Self::running) tells.
    ///
    /// Returns a buffer for reuse where one is free again.
    pub fn take(&mut self, frame: Result<Vec<u8>, FrameError>, output: &mut Vec<u8>) -> Option<Vec<u8>> {
        match frame {
            Ok(content) => self.read(content, output),
            Err(_) => {
                let freed = self.finish_all(output);
                self.link.damaged = self.link.damaged.saturating_add(1);
                let answer = self.fault(None, FaultKind::Damaged);
                say(&answer, output);
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
        let Running { chunk, submission, buffer, from_frame } = self.running.pop_front()?;
        let outcome = match submission {
            Submission::Finished(measurement) => Ok(*measurement),
            Submission::Running(number) => self.engine.collect(number),
        };
        let answer = match outcome {
            Ok(measurement) => {
                let (session, sequence, link) = (chunk.session, chunk.sequence, self.link);
                ToHost::Report(Report { session, sequence, measurement, link })
            }
            Err(kind) => self.fault(Some(chunk.sequence), kind),
        };
        if self.running.is_empty() && matches!(answer, ToHost::Report(_)) {
            self.indicator.show(Status::Off);
        }
        say(&answer, output);
        let buffer = Arc::try_unwrap(buffer).ok()?;
        if from_frame {
            return Some(buffer);
        }
        self.unpacked = buffer;
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
            // A host of another version: it learns ours and decides.
            Err(_) if peek_version(&content).is_some() => {
                self.finish_all(output);
                self.welcome(0)
            }
            Err(_) => {
                self.finish_all(output);
                self.drop_frame(None, FaultKind::Malformed)
            }
        };
        say(&answer, output);
        Some(content)
    }

    fn welcome(&mut self, session: u32) -> ToHost {
        self.open = Some(session);
        self.indicator.show(if self.self_test.passed { Status::Off } else { Status::Fault });
        ToHost::Welcome(Welcome {
            protocol: PROTOCOL_VERSION,
            schema: SCHEMA_HASH,
            session,
            firmware: String::from(env!("CARGO_PKG_VERSION")),
            board: self.board.name.clone(),
            identity: self.board.identity.clone(),
            engine: self.engine.kind(),
            adapter: self.engine.adapter(),
            limits: self.engine.limits(),
            packings: self.packings,
            self_test: self.self_test,
        })
    }

    fn chunk(&mut self, chunk: Chunk, content: Vec<u8>, header: usize, output: &mut Vec<u8>) -> Option<Vec<u8>> {
        match self.prepare(&chunk, &content, header) {
            Ok(None) => {
                let content = Arc::new(content);
                let payload = Bytes::from_owner(Lent(content.clone())).slice(header..);
                self.submit(chunk, payload, content, true, output)
            }
            Ok(Some(elements)) => {
                let elements = Arc::new(elements);
                let payload = Bytes::from_owner(Lent(elements.clone()));
                self.submit(chunk, payload, elements, false, output).or(Some(content))
            }
            Err(kind) => {
                // Answers keep the order of the frames.
                self.finish_all(output);
                let answer = self.drop_frame(Some(chunk.sequence), kind);
                say(&answer, output);
                Some(content)
            }
        }
    }

    /// Checks a chunk and unpacks it where it is packed; `None` where its payload is measured as it lies.
    fn prepare(&mut self, chunk: &Chunk, content: &[u8], header: usize) -> Result<Option<Vec<u8>>, FaultKind> {
        let found = u32::try_from(content.len() - header).unwrap_or(u32::MAX);
        let expected = u64::from(chunk.count) * chunk.element.size() as u64;
        if self.open != Some(chunk.session) {
            return Err(FaultKind::NoSession { found: chunk.session });
        }
        if chunk.packing == Packing::Plain && expected != u64::from(found) {
            return Err(FaultKind::PayloadLength { expected, found });
        }
        if chunk.statistics.top > MAX_TOP {
            return Err(FaultKind::TopTooLarge { found: chunk.statistics.top, max: MAX_TOP });
        }
        if chunk.packing == Packing::Plain {
            return Ok(None);
        }
        if !self.packings.contains(chunk.packing) {
            return Err(FaultKind::Packing);
        }
        let max = self.engine.limits().max_payload;
        let length = match u32::try_from(expected) {
            // Checked before any memory is taken for it.
            Ok(length) if length <= max => length as usize,
            length => return Err(FaultKind::TooLarge { found: length.unwrap_or(u32::MAX), max }),
        };
        let mut elements = core::mem::take(&mut self.unpacked);
        elements.resize(length, 0);
        match packing::unpack(&content[header..], chunk.element.size(), &mut elements) {
            Ok(()) => Ok(Some(elements)),
            Err(_) => {
                self.unpacked = elements;
                Err(FaultKind::Packing)
            }
        }
    }

    /// Gives a chunk to the engine, and answers for the oldest while that has as many as it takes.
    fn submit(
        &mut self,
        chunk: Chunk,
        payload: Bytes,
        buffer: Arc<Vec<u8>>,
        from_frame: bool,
        output: &mut Vec<u8>,
    ) -> Option<Vec<u8>> {
        self.indicator.show(Status::Measuring);
        match self.engine.submit(chunk.element, payload, chunk.statistics) {
            Ok(submission) => self.running.push_back(Running { chunk, submission, buffer, from_frame }),
            Err(kind) => {
                self.finish_all(output);
                let answer = self.fault(Some(chunk.sequence), kind);
                say(&answer, output);
                return Arc::try_unwrap(buffer).ok().filter(|_| from_frame);
            }
        }
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
        self.indicator.show(Status::Fault);
        ToHost::Fault(Fault { session: self.open.unwrap_or_default(), sequence, kind, link: self.link })
    }
}

/// Appends an answer to `output`.
fn say(answer: &ToHost, output: &mut Vec<u8>) {
    // Messages of this protocol always encode; a failure would leave `output` as it was, and the host asks again.
    let _ = frame::encode(answer, &[], output);
}

/// A buffer that is shared with an engine for the time of one measurement.
struct Lent(Arc<Vec<u8>>);

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{engine::BurnEngine, indicator::tests::Probe};
    use kurtoscope_shared::{
        Element,
        frame::{Decoder, Event},
        protocol::{Hello, Statistics},
    };
    use proptest::prelude::*;

    fn board() -> Board {
        Board { name: "test".into(), identity: "1".into() }
    }

    fn hello(session: u32) -> ToDevice {
        ToDevice::Hello(Hello { protocol: PROTOCOL_VERSION, schema: SCHEMA_HASH, session })
    }

    fn chunk(session: u32, sequence: u32, count: u32) -> ToDevice {
        let (element, packing, statistics) = (Element::F32, Packing::Plain, Statistics::FULL);
        ToDevice::Chunk(Chunk { session, sequence, tensor: 0, offset: 0, count, element, packing, statistics })
    }

    /// Sends one frame's content to the session and reads its one answer.
    fn ask<E: Engine, M: OutputPin, F: OutputPin>(
        session: &mut Session<E, M, F>,
        message: &ToDevice,
        payload: &[u8],
    ) -> ToHost {
        let mut content = postcard::to_allocvec(message).expect("encodes");
        content.extend_from_slice(payload);
        tell(session, Ok(content))
    }

    fn tell<E: Engine, M: OutputPin, F: OutputPin>(
        session: &mut Session<E, M, F>,
        frame: Result<Vec<u8>, FrameError>,
    ) -> ToHost {
        let mut output = Vec::new();
        session.answer(frame, &mut output);
        let mut decoder = Decoder::new(1 << 16);
        assert_eq!(decoder.push(&output), (output.len(), Event::Frame));
        postcard::from_bytes(decoder.content()).expect("an answer")
    }

    #[test]
    fn greets_and_measures() {
        let mut session = Session::new(BurnEngine::cpu(), board());
        let ToHost::Welcome(welcome) = ask(&mut session, &hello(9), &[]) else { panic!("no welcome") };
        assert_eq!((welcome.session, welcome.board.as_str(), welcome.self_test.passed), (9, "test", true));
        let payload: Vec<u8> = [1.0f32, 2.0, 3.0, 4.0, 10.0].iter().flat_map(|x| x.to_le_bytes()).collect();
        let ToHost::Report(report) = ask(&mut session, &chunk(9, 5, 5), &payload) else { panic!("no report") };
        assert_eq!((report.session, report.sequence), (9, 5));
        let moments = report.measurement.moments;
        assert!((moments.mean - 4.0).abs() < 1e-15 && (moments.m4 - 1394.0).abs() < 1e-9, "{moments:?}");
        assert_eq!(report.measurement.top.highest[0].position, 4);
    }

    #[test]
    fn refuses_with_numbers() {
        let mut session = Session::new(BurnEngine::cpu_with_payload(64), board());
        let fault = |answer| match answer {
            ToHost::Fault(fault) => (fault.sequence, fault.kind),
            other => panic!("no fault: {other:?}"),
        };
        assert_eq!(fault(ask(&mut session, &chunk(9, 5, 1), &[0; 4])), (Some(5), FaultKind::NoSession { found: 9 }));
        ask(&mut session, &hello(9), &[]);
        assert_eq!(
            fault(ask(&mut session, &chunk(9, 6, u32::MAX), &[0; 5])),
            (Some(6), FaultKind::PayloadLength { expected: 17_179_869_180, found: 5 })
        );
        assert_eq!(
            fault(ask(&mut session, &chunk(9, 7, 17), &[0; 68])),
            (Some(7), FaultKind::TooLarge { found: 68, max: 64 })
        );
        assert_eq!(fault(tell(&mut session, Ok(std::vec![9, 9, 9]))), (None, FaultKind::Malformed));
        let damage = FrameError::Short { len: 1 };
        let ToHost::Fault(last) = tell(&mut session, Err(damage)) else { panic!("no fault") };
        assert_eq!(last.kind, FaultKind::Damaged);
        assert_eq!(last.link, LinkHealth { damaged: 1, dropped: 3 });
    }

    /// The same chunk with its payload packed.
    fn packed_chunk(count: u32) -> ToDevice {
        let ToDevice::Chunk(plain) = chunk(9, 1, count) else { unreachable!() };
        ToDevice::Chunk(Chunk { packing: Packing::Planes, ..plain })
    }

    #[test]
    fn packed_chunks_are_measured_as_what_they_stand_for() {
        let mut session = Session::new(BurnEngine::cpu(), board());
        ask(&mut session, &hello(9), &[]);
        let plain: Vec<u8> = (0..3000).flat_map(|x| ((x % 7) as f32 * 0.5 - 1.0).to_le_bytes()).collect();
        let mut packed = Vec::new();
        assert!(packing::pack(&plain, 4, &mut packed));
        let measured = |answer| match answer {
            ToHost::Report(report) => report.measurement,
            other => panic!("no report: {other:?}"),
        };
        let expected = measured(ask(&mut session, &chunk(9, 0, 3000), &plain));
        for _ in 0..2 {
            assert_eq!(measured(ask(&mut session, &packed_chunk(3000), &packed)), expected);
        }
    }

    #[test]
    fn packed_payloads_that_are_none_are_refused_before_memory_is_taken() {
        let refused = |session: &mut Session<BurnEngine>, count, payload: &[u8]| match ask(
            session,
            &packed_chunk(count),
            payload,
        ) {
            ToHost::Fault(fault) => fault.kind,
            other => panic!("no fault: {other:?}"),
        };
        let mut session = Session::new(BurnEngine::cpu_with_payload(64), board());
        ask(&mut session, &hello(9), &[]);
        let constant = [1u8; 8];
        assert_eq!(refused(&mut session, 17, &constant), FaultKind::TooLarge { found: 68, max: 64 });
        let (found, max) = (u32::MAX, 64);
        assert_eq!(refused(&mut session, u32::MAX, &constant), FaultKind::TooLarge { found, max });
        assert_eq!(refused(&mut session, 16, &constant[..5]), FaultKind::Packing);
        let mut plain_only = Session::new(BurnEngine::cpu(), board()).plain_only();
        ask(&mut plain_only, &hello(9), &[]);
        assert_eq!(refused(&mut plain_only, 16, &constant), FaultKind::Packing);
    }

    #[test]
    fn a_host_of_another_version_learns_ours() {
        let mut session = Session::new(BurnEngine::cpu(), board());
        let stranger = postcard::to_allocvec(&(0u32, 77u16, [1u8; 8])).expect("encodes");
        let ToHost::Welcome(welcome) = tell(&mut session, Ok(stranger)) else { panic!("no welcome") };
        assert_eq!((welcome.protocol, welcome.schema), (PROTOCOL_VERSION, SCHEMA_HASH));
    }

    #[test]
    fn lights_follow_the_work() {
        let (measuring, fault) = (Probe::default(), Probe::default());
        let indicator = Indicator::new(measuring.clone(), fault.clone());
        let mut session = Session::with_indicator(BurnEngine::cpu(), board(), indicator);
        ask(&mut session, &hello(1), &[]);
        ask(&mut session, &chunk(1, 0, 1), &[0; 4]);
        assert_eq!((measuring.rises.get(), measuring.high.get(), fault.high.get()), (1, false, false));
        ask(&mut session, &chunk(1, 1, 1), &[0; 3]);
        assert!(fault.high.get());
    }

    #[test]
    fn the_buffer_comes_back() {
        let mut session = Session::new(BurnEngine::cpu(), board());
        ask(&mut session, &hello(1), &[]);
        let mut content = postcard::to_allocvec(&chunk(1, 0, 4)).expect("encodes");
        content.extend([0; 16]);
        let pointer = content.as_ptr();
        let buffer = session.answer(Ok(content), &mut Vec::new()).expect("given back");
        assert_eq!(buffer.as_ptr(), pointer);
    }

    proptest! {
        #[test]
        fn every_frame_gets_exactly_one_answer(content in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut session = Session::new(BurnEngine::cpu_with_payload(256), board());
            tell(&mut session, Ok(content));
        }
    }
}

//! The loop of a device whose engine works beside the processor: a thread reads frames ahead, so that one chunk arrives
//! while another is measured.

use std::{
    sync::mpsc::{Receiver, SyncSender, TryRecvError, channel, sync_channel},
    thread,
    vec::Vec,
};

use embedded_hal::digital::OutputPin;
use embedded_io::{Read, Write};
use kurtoscope_shared::frame::{Decoder, Framing};

use crate::{
    ServeError,
    engine::Engine,
    frame_reader::{Frame, FrameReader},
    session::Session,
};

/// Frames that wait for the engine: with the one that is being read and those in flight, what a host's window may hold.
const AHEAD: usize = 1;

/// Serves one link as [`serve`](fn@crate::serve) does, with chunks overlapping as far as the engine allows.
///
/// Returns when the link has ended and everything that arrived is answered.
///
/// # Errors
/// The first failure of `reader` or `writer`. After a failure of `writer` this still waits for `reader` to end.
pub fn serve_overlapped<E, M, F, R, W>(
    session: &mut Session<E, M, F>,
    framing: Framing,
    reader: R,
    mut writer: W,
) -> Result<(), ServeError<R::Error, W::Error>>
where
    E: Engine,
    M: OutputPin,
    F: OutputPin,
    R: Read + Send,
    R::Error: Send,
    W: Write,
{
    session.set_framing(framing);
    let decoder = Decoder::new(framing, session.max_payload());
    let (give, frames) = sync_channel(AHEAD);
    let (free, freed) = channel();
    // Moves the channel's end, so that a reader that waits for its frame to be taken ends when this does.
    thread::scope(move |scope| {
        scope.spawn(move || read_ahead(reader, decoder, &give, &freed));
        let mut output = Vec::new();
        loop {
            let next = match frames.try_recv() {
                Err(TryRecvError::Empty) if session.running() == 0 => {
                    frames.recv().map_err(|_| TryRecvError::Disconnected)
                }
                next => next,
            };
            let ended = match next {
                Ok(Ok(frame)) => {
                    // A reader that has ended needs no buffers.
                    let _ = session.take(frame, &mut output).map(|buffer| free.send(buffer));
                    None
                }
                // Nothing has arrived: time to wait for the engine instead.
                Err(TryRecvError::Empty) => {
                    let _ = session.finish(&mut output).map(|buffer| free.send(buffer));
                    None
                }
                Ok(Err(error)) => Some(Err(ServeError::Read(error))),
                Err(TryRecvError::Disconnected) => Some(Ok(())),
            };
            if ended.is_some() {
                while session.running() > 0 {
                    session.finish(&mut output);
                }
            }
            if !output.is_empty() {
                writer.write_all(&output).map_err(ServeError::Write)?;
                writer.flush().map_err(ServeError::Write)?;
                output.clear();
            }
            if let Some(outcome) = ended {
                return outcome;
            }
        }
    })
}

/// Reads frames until the link or the other side ends.
fn read_ahead<R: Read>(
    reader: R,
    decoder: Decoder,
    give: &SyncSender<Result<Frame, R::Error>>,
    freed: &Receiver<Vec<u8>>,
) {
    let mut frames = FrameReader::new(reader, decoder);
    while let Some(frame) = frames.next().transpose() {
        let failed = frame.is_err();
        if give.send(frame).is_err() || failed {
            return;
        }
        if let Ok(buffer) = freed.try_recv() {
            frames.restore(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Board,
        engine::{ChunkSpec, Completion, CpuEngine, Payload, Submission},
        serve,
    };
    use embedded_io::{ErrorKind, ErrorType};
    use kurtoscope_shared::{
        Element, Measurement, Requests,
        frame::{self, FrameEvent},
        protocol::{Adapter, Chunk, Compression, EngineKind, FaultKind, Hello, Limits, PROTOCOL_VERSION, ToDevice},
        statistics::SupportedStatistic,
    };
    use std::{
        collections::VecDeque,
        sync::Arc,
        sync::atomic::{AtomicUsize, Ordering},
    };

    /// Computes when asked for the answer, as something beside the processor would, and notes how much it had at once.
    struct Lazy {
        engine: CpuEngine,
        waiting: VecDeque<(u32, ChunkSpec, Payload)>,
        next: u32,
        most: Arc<AtomicUsize>,
    }

    impl Engine for Lazy {
        fn kind(&self) -> EngineKind {
            EngineKind::Gpu
        }
        fn adapter(&self) -> Option<Adapter> {
            None
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
            self.engine.measure(spec, payload)
        }
        fn in_flight(&self) -> usize {
            2
        }
        fn submit(&mut self, spec: ChunkSpec, payload: Payload) -> Submission {
            self.next += 1;
            self.waiting.push_back((self.next, spec, payload));
            self.most.fetch_max(self.waiting.len(), Ordering::Relaxed);
            Submission::Running(self.next)
        }
        fn collect(&mut self, number: u32) -> Completion {
            let (first, spec, payload) = self.waiting.pop_front().expect("one is running");
            assert_eq!(first, number);
            Completion { outcome: self.engine.measure(spec, &payload), payload: Some(payload) }
        }
    }

    struct Sink<'a>(&'a mut Vec<u8>);

    impl ErrorType for Sink<'_> {
        type Error = ErrorKind;
    }

    impl Write for Sink<'_> {
        fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
            self.0.extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> Result<(), ErrorKind> {
            Ok(())
        }
    }

    /// A conversation with faults in it.
    fn conversation(framing: Framing) -> Vec<u8> {
        let mut bytes = Vec::new();
        let hello = Hello { protocol: PROTOCOL_VERSION, session: 5 };
        frame::encode(framing, &ToDevice::Hello(hello), &[], &mut bytes).expect("encodes");
        for sequence in 0..20u32 {
            let count = 1000 + sequence;
            let payload: Vec<u8> = (0..count).flat_map(|x| ((x * x % 97) as f32).to_le_bytes()).collect();
            let (session, compression) = (if sequence == 7 { 6 } else { 5 }, Compression::Plain);
            let chunk = Chunk {
                session,
                sequence,
                tensor: 0,
                offset: 0,
                count,
                element: Element::F32,
                compression,
                row: 0,
                requests: Requests::FULL,
            };
            frame::encode(framing, &ToDevice::Chunk(chunk), &payload, &mut bytes).expect("encodes");
            if sequence == 11 {
                bytes.extend([3, 1, 4, 1, 5, 0]);
            }
        }
        bytes
    }

    #[test]
    fn overlapped_answers_are_those_of_one_after_the_other() {
        for framing in Framing::ALL {
            let board = || Board { name: "test".into(), identity: "1".into() };
            let bytes = conversation(framing);
            let most = Arc::new(AtomicUsize::new(0));
            let engine = Lazy { engine: CpuEngine::default(), waiting: VecDeque::new(), next: 0, most: most.clone() };
            let mut overlapped = Vec::new();
            let mut session = Session::new(engine, board());
            serve_overlapped(&mut session, framing, bytes.as_slice(), Sink(&mut overlapped)).expect("served");

            let engine = Lazy { engine: CpuEngine::default(), waiting: VecDeque::new(), next: 0, most: most.clone() };
            let mut one_by_one = Vec::new();
            let mut one = Session::new(engine, board());
            serve(&mut one, framing, bytes.as_slice(), Sink(&mut one_by_one)).expect("served");
            assert_eq!(overlapped, one_by_one);
            assert!(overlapped.len() > 20 * 100);
            assert_eq!(session.running(), 0);
            assert!((1..=2).contains(&most.load(Ordering::Relaxed)));
            let mut answers = Decoder::new(framing, 1 << 16);
            let mut count = 0;
            let mut rest = overlapped.as_slice();
            loop {
                let (taken, event) = answers.push(rest);
                rest = &rest[taken..];
                match event {
                    FrameEvent::Frame => count += 1,
                    FrameEvent::Damaged(error) => panic!("{error}"),
                    FrameEvent::Starved => break,
                }
            }
            assert_eq!(count, 22, "{framing}: a welcome, 20 chunks, and damage behind the eleventh");
        }
    }

    /// A link that takes nothing.
    struct Broken;

    impl ErrorType for Broken {
        type Error = ErrorKind;
    }

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> Result<usize, ErrorKind> {
            Err(ErrorKind::BrokenPipe)
        }
        fn flush(&mut self) -> Result<(), ErrorKind> {
            Ok(())
        }
    }

    #[test]
    fn a_writer_that_fails_ends_it_with_frames_waiting() {
        let (give, outcome) = channel();
        thread::spawn(move || {
            let mut session =
                Session::new(CpuEngine::default(), Board { name: "test".into(), identity: String::new() });
            give.send(serve_overlapped(&mut session, Framing::Cobs, conversation(Framing::Cobs).as_slice(), Broken))
        });
        let outcome = outcome.recv_timeout(std::time::Duration::from_secs(60)).expect("an end");
        assert_eq!(outcome, Err(ServeError::Write(ErrorKind::BrokenPipe)));
    }

    #[test]
    fn two_chunks_are_with_the_engine_at_once() {
        let most = Arc::new(AtomicUsize::new(0));
        let engine = Lazy { engine: CpuEngine::default(), waiting: VecDeque::new(), next: 0, most: most.clone() };
        let mut session = Session::new(engine, Board { name: "test".into(), identity: String::new() });
        let mut decoder = Decoder::new(Framing::Cobs, 1 << 16);
        let (bytes, mut output) = (conversation(Framing::Cobs), Vec::new());
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let (taken, event) = decoder.push(rest);
            rest = &rest[taken..];
            if event == FrameEvent::Frame {
                session.take(Ok(decoder.take()), &mut output);
            }
        }
        assert_eq!((most.load(Ordering::Relaxed), session.running()), (2, 1));
    }
}

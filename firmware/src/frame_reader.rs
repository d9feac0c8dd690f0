//! Reads frames from a link's receiving half. Answering them is left to the loops in `serve` and `overlap`.

use alloc::{vec, vec::Vec};

use embedded_io::Read;
use kurtoscope_shared::frame::{Decoder, FrameError, FrameEvent};

/// Bytes read at once: what keeps a desktop's pipes busy, or a microcontroller's stack small.
const READ_BYTES: usize = if cfg!(feature = "std") { 1 << 16 } else { 256 };

/// A frame's header and payload, or why it was discarded.
pub(crate) type Frame = Result<Vec<u8>, FrameError>;

/// Reads a link and cuts frames out of what arrives.
pub(crate) struct FrameReader<R> {
    reader: R,
    decoder: Decoder,
    input: Vec<u8>,
    /// Bytes of `input` that were read, and how many of these the decoder has taken.
    read: usize,
    taken: usize,
}

impl<R: Read> FrameReader<R> {
    pub(crate) fn new(reader: R, decoder: Decoder) -> Self {
        Self { reader, decoder, input: vec![0; READ_BYTES], read: 0, taken: 0 }
    }

    /// Waits for the next frame, damaged or not; `None` when the link has ended.
    pub(crate) fn next(&mut self) -> Result<Option<Frame>, R::Error> {
        loop {
            let (taken, event) = self.decoder.push(&self.input[self.taken..self.read]);
            self.taken += taken;
            match event {
                FrameEvent::Frame => return Ok(Some(Ok(self.decoder.take()))),
                FrameEvent::Damaged(error) => return Ok(Some(Err(error))),
                FrameEvent::Starved => {}
            }
            (self.taken, self.read) = (0, self.reader.read(&mut self.input)?);
            if self.read == 0 {
                return Ok(None);
            }
        }
    }

    /// Gives a frame's buffer back for reuse.
    pub(crate) fn restore(&mut self, buffer: Vec<u8>) {
        self.decoder.restore(buffer);
    }
}

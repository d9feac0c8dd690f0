//! The loop of a device: read bytes, cut out frames, answer.

use alloc::{vec, vec::Vec};
use core::fmt;

use embedded_hal::digital::OutputPin;
use embedded_io::{Read, Write};
use kurtoscope_shared::frame::{Decoder, FrameEvent, OVERHEAD_BYTES};

use crate::{engine::Engine, session::Session};

/// Why a device stopped serving.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServeError<R, W> {
    /// Reading failed.
    Read(R),
    /// Writing failed.
    Write(W),
}

impl<R: fmt::Debug, W: fmt::Debug> fmt::Display for ServeError<R, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(error) => write!(f, "the link cannot be read: {error:?}"),
            Self::Write(error) => write!(f, "the link cannot be written: {error:?}"),
        }
    }
}

impl<R: fmt::Debug, W: fmt::Debug> core::error::Error for ServeError<R, W> {}

/// Bytes read at once: what keeps a desktop's pipes busy, or a microcontroller's stack small.
const READ_BYTES: usize = if cfg!(feature = "std") { 1 << 16 } else { 256 };

/// Serves one link until it ends (a read of zero bytes) or fails.
///
/// Blocks in `reader` while there is nothing to do. Answers are written and flushed frame by frame. Allocates the frame
/// buffer once and reuses it.
///
/// # Errors
/// The first failure of `reader` or `writer`; what was not yet answered is lost, and the host will send it again.
pub fn serve<E, M, F, R, W>(
    session: &mut Session<E, M, F>,
    mut reader: R,
    mut writer: W,
) -> Result<(), ServeError<R::Error, W::Error>>
where
    E: Engine,
    M: OutputPin,
    F: OutputPin,
    R: Read,
    W: Write,
{
    // At once as large as it can become: growing would need the old and the new one side by side.
    let frame = Vec::with_capacity(session.max_payload() + OVERHEAD_BYTES);
    let mut decoder = Decoder::with_buffer(session.max_payload(), frame);
    let mut input = vec![0; READ_BYTES];
    let mut output = Vec::new();
    loop {
        let read = reader.read(&mut input).map_err(ServeError::Read)?;
        if read == 0 {
            return Ok(());
        }
        let mut rest = &input[..read];
        while !rest.is_empty() {
            let (taken, event) = decoder.push(rest);
            rest = &rest[taken..];
            let frame = match event {
                FrameEvent::Starved => continue,
                FrameEvent::Frame => Ok(decoder.take()),
                FrameEvent::Damaged(error) => Err(error),
            };
            if let Some(buffer) = session.answer(frame, &mut output) {
                decoder.restore(buffer);
            }
            writer.write_all(&output).map_err(ServeError::Write)?;
            writer.flush().map_err(ServeError::Write)?;
            output.clear();
        }
    }
}

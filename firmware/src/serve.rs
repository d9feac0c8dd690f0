//! The loop of a device: read a frame, answer it.

use alloc::vec::Vec;
use core::fmt;

use embedded_hal::digital::OutputPin;
use embedded_io::{Read, Write};
use kurtoscope_shared::frame::{Decoder, Framing, OVERHEAD_BYTES};

use crate::{engine::Engine, frame_reader::FrameReader, session::Session};

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

/// Serves one link, whose kind decides the framing, until it ends (a read of zero bytes) or fails.
///
/// Blocks in `reader` while there is nothing to do. Answers are written and flushed frame by frame. Allocates the frame
/// buffer once and reuses it.
///
/// # Errors
/// The first failure of `reader` or `writer`; what was not yet answered is lost, and the host will send it again.
pub fn serve<E, M, F, R, W>(
    session: &mut Session<E, M, F>,
    framing: Framing,
    reader: R,
    mut writer: W,
) -> Result<(), ServeError<R::Error, W::Error>>
where
    E: Engine,
    M: OutputPin,
    F: OutputPin,
    R: Read,
    W: Write,
{
    session.set_framing(framing);
    // At once as large as it can become: growing would need the old and the new one side by side.
    let buffer = Vec::with_capacity(session.max_payload() + OVERHEAD_BYTES);
    let decoder = Decoder::with_buffer(framing, session.max_payload(), buffer);
    let mut frames = FrameReader::new(reader, decoder);
    let mut output = Vec::new();
    while let Some(frame) = frames.next().map_err(ServeError::Read)? {
        if let Some(buffer) = session.answer(frame, &mut output) {
            frames.restore(buffer);
        }
        writer.write_all(&output).map_err(ServeError::Write)?;
        writer.flush().map_err(ServeError::Write)?;
        output.clear();
    }
    Ok(())
}

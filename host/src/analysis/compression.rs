//! Whether a chunk travels compressed: where that is faster, for this link and this type of element. No I/O and no
//! clock.

use std::time::Duration;

use kurtoscope_shared::{
    Element, compression,
    protocol::{Compression, CompressionSet},
};

/// When chunks are compressed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CompressionMode {
    /// Where the link is slow enough for it, and the elements compress well enough.
    #[default]
    Auto,
    /// Never.
    Never,
    /// Wherever a device understands it and it makes a chunk shorter.
    Always,
}

/// Compression has to be this many times as fast as the link: the device, which decompresses, may be that much slower
/// than this machine, and both have other work.
const HEADROOM: f64 = 8.0;
/// A compressed chunk has to be shorter than this part of the plain one.
const WORTHWHILE: f64 = 0.95;
/// Chunks of a type that go out plain before it is tried again.
const RETRY: u32 = 64;

/// What is known of one type of element.
#[derive(Debug, Clone, Copy, Default)]
struct Experience {
    /// Compressed bytes a plain byte, in the chunk tried last.
    ratio: f64,
    /// Plain bytes compressed a second.
    speed: f64,
    /// Chunks that go out plain before the next try.
    rest: u32,
}

/// Decides for one device, and compresses.
#[derive(Debug)]
pub struct Compressor {
    mode: CompressionMode,
    understood: bool,
    /// Bytes that the link moves a second, where that is known.
    rate: Option<f64>,
    experience: [Experience; Element::ALL.len()],
    compressed: Vec<u8>,
}

impl Compressor {
    /// A compressor for a device that understands `compressions`, on a link of `rate` bytes a second, if that is known
    /// yet.
    pub fn new(mode: CompressionMode, compressions: CompressionSet, rate: Option<f64>) -> Self {
        let understood = compressions.contains(Compression::BytePlanes);
        Self { mode, understood, rate, experience: Default::default(), compressed: Vec::new() }
    }

    /// Whether the link's rate is known.
    pub fn knows_rate(&self) -> bool {
        self.rate.is_some()
    }

    /// Sets how many bytes the link moves a second.
    pub fn learn_rate(&mut self, rate: f64) {
        self.rate = Some(rate);
    }

    /// Whether the next chunk of this type should be compressed, or tried.
    fn should_compress(&mut self, element: Element) -> bool {
        if !self.understood || self.mode == CompressionMode::Never {
            return false;
        }
        if self.mode == CompressionMode::Always {
            return true;
        }
        let Some(rate) = self.rate else { return false };
        let known = &mut self.experience[element as usize];
        if known.speed == 0.0 || (known.ratio < WORTHWHILE && known.speed > HEADROOM * rate) {
            return true;
        }
        known.rest = known.rest.saturating_sub(1);
        known.rest == 0
    }

    /// The compressed form of `plain`, if it is to travel compressed. `clock` gives the time since some moment.
    pub fn compress(&mut self, element: Element, plain: &[u8], clock: impl Fn() -> Duration) -> Option<&[u8]> {
        if plain.is_empty() || !self.should_compress(element) {
            return None;
        }
        self.compressed.clear();
        let start = clock();
        let is_shorter = compression::compress(plain, element.size(), &mut self.compressed);
        let seconds = (clock().saturating_sub(start)).as_secs_f64().max(1e-9);
        let ratio = if is_shorter { self.compressed.len() as f64 / plain.len() as f64 } else { 1.0 };
        self.experience[element as usize] = Experience { ratio, speed: plain.len() as f64 / seconds, rest: RETRY };
        is_shorter.then_some(&self.compressed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    /// Elements whose upper bytes are nearly all alike, and random ones.
    fn chunks() -> (Vec<u8>, Vec<u8>) {
        let noise = |index: u32| (index.wrapping_mul(0x9e37_79b9).wrapping_mul(0x85eb_ca6b) >> 21) as u8;
        let alike = (0..20_000).map(|index| if index % 2 == 0 { noise(index) } else { 0x3c | noise(index) & 1 });
        (alike.collect(), (0..20_000).map(noise).collect())
    }

    /// Chunks out of `count` that travel compressed when compressing one takes `millis`.
    fn compressed(compressor: &mut Compressor, plain: &[u8], count: usize, millis: u64) -> usize {
        let now = Cell::new(Duration::ZERO);
        let clock = || {
            now.set(now.get() + Duration::from_millis(millis));
            now.get()
        };
        (0..count).filter(|_| compressor.compress(Element::Bf16, plain, clock).is_some()).count()
    }

    #[test]
    fn slow_links_compress_and_fast_ones_do_not() {
        let (alike, _) = chunks();
        // 20 000 bytes in a millisecond are 20 MB/s, good for links of up to 2.5 MB/s.
        let compressor = |rate| Compressor::new(CompressionMode::Auto, CompressionSet::ALL, rate);
        assert_eq!(compressed(&mut compressor(Some(2.4e6)), &alike, 200, 1), 200);
        assert_eq!(compressed(&mut compressor(Some(2.6e6)), &alike, 200, 1), 4, "the first, and every 64th to try");
        assert_eq!(compressed(&mut compressor(None), &alike, 200, 1), 0, "not before the rate is known");
        let mut learning = compressor(None);
        learning.learn_rate(1e6);
        assert_eq!(compressed(&mut learning, &alike, 10, 1), 10);
    }

    #[test]
    fn what_does_not_compress_goes_out_plain() {
        let (_, random) = chunks();
        for mode in [CompressionMode::Auto, CompressionMode::Always] {
            assert_eq!(compressed(&mut Compressor::new(mode, CompressionSet::ALL, Some(1e3)), &random, 200, 1), 0);
        }
    }

    #[test]
    fn what_was_asked_for_and_what_the_device_understands_come_first() {
        let (alike, _) = chunks();
        assert_eq!(
            compressed(&mut Compressor::new(CompressionMode::Never, CompressionSet::ALL, Some(1e3)), &alike, 9, 1),
            0
        );
        assert_eq!(
            compressed(&mut Compressor::new(CompressionMode::Always, CompressionSet::ALL, Some(1e12)), &alike, 9, 1),
            9
        );
        assert_eq!(
            compressed(&mut Compressor::new(CompressionMode::Always, CompressionSet::PLAIN, None), &alike, 9, 1),
            0
        );
        assert!(
            Compressor::new(CompressionMode::Always, CompressionSet::ALL, None)
                .compress(Element::F32, &[], || Duration::ZERO)
                .is_none()
        );
    }
}

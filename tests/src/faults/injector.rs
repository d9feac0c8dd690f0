//! Faults on a stream of bytes: which, and where they strike.

use std::{
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use kurtoscope_shared::Random;

/// What can happen to bytes on their way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// One bit is flipped.
    Flip,
    /// Some bytes vanish.
    Drop,
    /// Some bytes come twice.
    Double,
    /// Two neighbouring runs of bytes change places.
    Swap,
    /// The rest of what was written at once vanishes.
    Cut,
    /// Nothing moves for a while.
    Stall,
    /// The board restarts; the link stays.
    Restart,
    /// The link closes in both directions, and may be opened again.
    Close,
}

impl Fault {
    /// Every fault.
    pub const ALL: [Self; 8] =
        [Self::Flip, Self::Drop, Self::Double, Self::Swap, Self::Cut, Self::Stall, Self::Restart, Self::Close];
}

/// How often each fault strikes, per byte, in the order of [`Fault::ALL`].
pub type Rates = [f64; Fault::ALL.len()];

/// The longest run of bytes that a fault takes, doubles or swaps.
const LONGEST_RUN: usize = 40;
/// The longest stall.
const LONGEST_STALL: usize = 30;

/// How many bytes pass until a fault strikes that strikes each with probability `rate`: geometric.
fn bytes_until(random: &mut Random, rate: f64) -> u64 {
    if rate <= 0.0 {
        return u64::MAX;
    }
    let bytes = (1.0 - random.unit()).ln() / (1.0 - rate).ln();
    if bytes >= 1e18 { u64::MAX } else { bytes as u64 }
}

/// The faults of one direction of one link, kept over restarts and new connections, and counted.
#[derive(Debug)]
pub struct Faults {
    random: Random,
    rates: Rates,
    /// Bytes until each strikes.
    gaps: [u64; Fault::ALL.len()],
    counts: Arc<[AtomicU64; Fault::ALL.len()]>,
}

impl Faults {
    /// Faults at these rates, counted in `counts`.
    pub fn new(seed: u64, rates: Rates, counts: Arc<[AtomicU64; Fault::ALL.len()]>) -> Self {
        let mut random = Random::new(seed);
        let gaps = rates.map(|rate| bytes_until(&mut random, rate));
        Self { random, rates, gaps, counts }
    }

    /// The first fault within the next `length` bytes, and how many pass before it.
    fn next(&mut self, length: usize) -> (usize, Option<Fault>) {
        let nearest = (0..self.gaps.len()).min_by_key(|index| self.gaps[*index]).unwrap_or_default();
        let before = self.gaps[nearest];
        let strikes = before < length as u64;
        let passed = if strikes { before } else { length as u64 };
        for gap in &mut self.gaps {
            *gap = gap.saturating_sub(passed);
        }
        if !strikes {
            return (length, None);
        }
        self.gaps[nearest] = bytes_until(&mut self.random, self.rates[nearest]).saturating_add(1);
        self.counts[nearest].fetch_add(1, Ordering::Relaxed);
        (passed as usize, Some(Fault::ALL[nearest]))
    }
}

/// What a fault asks the board to do; bytes are dealt with already.
pub(super) enum Blow {
    Restart,
    Close,
}

/// Writes `bytes` with faults; a blow that strikes the board comes back, and what was behind it is lost.
pub(super) fn write(faults: &mut Faults, bytes: &[u8], pipe: &mut impl Write) -> io::Result<Option<Blow>> {
    let mut rest = bytes;
    loop {
        let (passed, fault) = faults.next(rest.len());
        pipe.write_all(&rest[..passed])?;
        rest = &rest[passed..];
        let Some(fault) = fault else { return Ok(None) };
        let random = &mut faults.random;
        let run = (1 + random.below(LONGEST_RUN)).min(rest.len());
        match fault {
            Fault::Flip => {
                pipe.write_all(&[rest[0] ^ (1 << random.below(8))])?;
                rest = &rest[1..];
            }
            Fault::Drop => rest = &rest[run..],
            Fault::Double => pipe.write_all(&rest[..run])?,
            Fault::Swap => {
                let (first, second) = rest[..run].split_at(run / 2);
                pipe.write_all(second)?;
                pipe.write_all(first)?;
                rest = &rest[run..];
            }
            Fault::Cut => return Ok(None),
            Fault::Stall => std::thread::sleep(Duration::from_millis(random.below(LONGEST_STALL) as u64)),
            Fault::Restart => return Ok(Some(Blow::Restart)),
            Fault::Close => return Ok(Some(Blow::Close)),
        }
    }
}

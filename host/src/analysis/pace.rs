//! How large chunks should be: from what the devices take and how fast their links were seen to be. No I/O.
//!
//! A chunk on a slow link should take about half a second: long enough that its report and its framing weigh little, short
//! enough that a lost one costs little and progress shows. Sizes are powers of two, so that a rate measured again, a
//! little different, mostly gives the same chunks. On a fast link a chunk is [`LARGEST_CHUNK`] where the device takes as much.

use std::time::Duration;

/// The largest chunk that is chosen, bytes: small enough to share out evenly and to show progress.
pub const LARGEST_CHUNK: usize = 1 << 20;
/// The smallest chunk that is chosen, bytes: below that, reports weigh more than payloads.
pub const SMALLEST_CHUNK: usize = 1 << 10;
/// The time that a chunk should take: the middle, in powers of two, of 0.25 to 1 s.
const TARGET: Duration = Duration::from_millis(500);
/// A probe that took as long is long enough to compute a rate from.
const CONCLUSIVE: Duration = Duration::from_millis(100);
/// A first probe that took as long needs no second one to separate the link's rate from its round-trip time.
const CONCLUSIVE_ALONE: Duration = Duration::from_millis(250);
/// How much larger each probe is than the one before.
const GROWTH: usize = 4;

/// One probe: so many bytes of payload, from sending the first to hearing the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// Bytes of payload.
    pub bytes: usize,
    /// Time to the answer.
    pub took: Duration,
}

/// The payload of the next probe after `samples`, smallest first, on a device that takes `max_payload` bytes; `None` when
/// they are enough.
pub fn next_probe(samples: &[Sample], max_payload: usize) -> Option<usize> {
    let most = max_payload.min(LARGEST_CHUNK);
    match samples.last() {
        None => Some(SMALLEST_CHUNK.min(most)),
        Some(last) if last.took >= CONCLUSIVE_ALONE || last.bytes >= most => None,
        // Twice the first one's time: the bytes show in it, not only the way to and fro.
        Some(last) if last.took >= CONCLUSIVE && samples.first().is_some_and(|first| last.took >= first.took * 2) => {
            None
        }
        Some(last) => Some((last.bytes * GROWTH).min(most)),
    }
}

/// Bytes a second of the link that `samples` were taken on; none without samples.
pub fn rate(samples: &[Sample]) -> Option<f64> {
    let (last, before) = samples.split_last()?;
    let took = last.took.as_secs_f64();
    // What two probes have in common is the way to and fro, which a window of chunks hides. Where they hardly differ,
    // the difference is noise.
    if let Some(previous) = before.last()
        && let more = took - previous.took.as_secs_f64()
        && more >= took / 4.0
        && last.bytes > previous.bytes
    {
        return Some((last.bytes - previous.bytes) as f64 / more);
    }
    (took > 0.0).then(|| last.bytes as f64 / took)
}

/// The chunk size for one device: `max_payload` is what it takes, `rate` the bytes a second of its link, none where there
/// is no link.
pub fn chunk_bytes(max_payload: usize, rate: Option<f64>) -> usize {
    let most = whole(max_payload.min(LARGEST_CHUNK));
    let Some(rate) = rate else { return most };
    let wanted = rate * TARGET.as_secs_f64();
    let (least, greatest) = (SMALLEST_CHUNK.ilog2(), LARGEST_CHUNK.ilog2());
    // Rounded in the exponent: the chunk takes 0.35 to 0.7 s at the measured rate.
    let exponent = wanted.max(1.0).log2().round().clamp(f64::from(least), f64::from(greatest)) as u32;
    most.min(1 << exponent)
}

/// `bytes` cut down to whole elements of every type.
pub fn whole(bytes: usize) -> usize {
    bytes / 8 * 8
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The samples of a link with this rate and this time for the way to and fro.
    fn probe(rate: f64, delay: f64, max_payload: usize) -> Vec<Sample> {
        let mut samples = Vec::new();
        while let Some(bytes) = next_probe(&samples, max_payload) {
            samples.push(Sample { bytes, took: Duration::from_secs_f64(delay + bytes as f64 / rate) });
        }
        samples
    }

    #[test]
    fn a_chunk_takes_a_quarter_to_one_second_on_slow_links() {
        for exponent in 0..70 {
            let rate = 4096.0 * 2f64.powf(f64::from(exponent) / 10.0);
            for delay in [0.0, 0.002, 0.08] {
                let samples = probe(rate, delay, 1 << 20);
                let found = super::rate(&samples).expect("a rate");
                let chunk = chunk_bytes(1 << 20, Some(found));
                let seconds = chunk as f64 / rate;
                assert!((0.25..=1.0).contains(&seconds), "{rate:.0} B/s, {delay} s: {chunk} bytes take {seconds:.2} s");
                assert!(chunk.is_power_of_two());
                let cost: f64 = samples.iter().map(|sample| sample.took.as_secs_f64()).sum();
                assert!(cost < 1.5, "{rate:.0} B/s, {delay} s: measuring took {cost:.2} s");
            }
        }
    }

    #[test]
    fn fast_links_and_none_have_the_same_chunks() {
        for rate in [4e6, 1e8, 1e10, f64::INFINITY] {
            assert_eq!(chunk_bytes(1 << 20, Some(rate)), LARGEST_CHUNK, "{rate}");
            assert_eq!(chunk_bytes(usize::MAX, Some(rate)), LARGEST_CHUNK, "{rate}");
        }
        assert_eq!(chunk_bytes(1 << 20, None), LARGEST_CHUNK);
        let samples = probe(1e8, 0.0001, 1 << 20);
        assert_eq!(chunk_bytes(1 << 20, super::rate(&samples)), LARGEST_CHUNK);
    }

    #[test]
    fn a_device_gets_no_more_than_it_takes() {
        assert_eq!(chunk_bytes(1 << 14, None), 1 << 14);
        assert_eq!(chunk_bytes(5000, Some(1e9)), 5000);
        assert_eq!(chunk_bytes(5003, Some(1e9)), 5000);
        assert_eq!(chunk_bytes(100, Some(1.0)), 96);
        assert!(probe(1e9, 0.0, 5000).iter().all(|sample| sample.bytes <= 5000));
    }

    #[test]
    fn a_dead_slow_link_gets_the_smallest_chunks() {
        assert_eq!(chunk_bytes(1 << 20, Some(10.0)), SMALLEST_CHUNK);
        assert_eq!(chunk_bytes(1 << 20, Some(0.0)), SMALLEST_CHUNK);
        assert_eq!(super::rate(&[]), None);
    }

    #[test]
    fn noise_does_not_make_a_rate_out_of_nothing() {
        let sample = |bytes, millis| Sample { bytes, took: Duration::from_millis(millis) };
        // The larger probe was the faster one: what counts is its own time.
        assert_eq!(super::rate(&[sample(1024, 120), sample(4096, 110)]), Some(4096.0 / 0.110));
    }
}

//! The textbook's two passes in f64, to hold the adapter against.

use kurtoscope_shared::{Element, Extreme, Extremes, MagnitudeHistogram, Moments, statistics::histogram};

/// Elements summed on their own before they are added to the rest: keeps the reference itself within about 1e-14.
const BLOCK: usize = 1024;

/// Everything that a measurement holds, of finite elements.
pub struct Reference {
    pub moments: Moments,
    pub histogram: MagnitudeHistogram,
    pub extremes: Extremes,
}

pub fn measure(bytes: &[u8], element: Element, k: usize) -> Reference {
    let all: Vec<f64> = bytes.chunks_exact(element.size()).filter_map(|bytes| element.decode(bytes)).collect();
    let finite: Vec<f64> = all.iter().copied().filter(|value| value.is_finite()).collect();
    let sum = |term: &dyn Fn(f64) -> f64| -> f64 {
        finite.chunks(BLOCK).map(|block| block.iter().map(|value| term(*value)).sum::<f64>()).sum()
    };
    let count = finite.len() as f64;
    let rough = if finite.is_empty() { 0.0 } else { sum(&|x| x) / count };
    // Once more around the first result, which removes its rounding.
    let mean = if finite.is_empty() { 0.0 } else { rough + sum(&|x| x - rough) / count };
    let mut moments = Moments {
        count: finite.len() as u64,
        mean,
        m2: sum(&|x| (x - mean).powi(2)),
        m3: sum(&|x| (x - mean).powi(3)),
        m4: sum(&|x| (x - mean).powi(4)),
        non_finite: (all.len() - finite.len()) as u64,
        zeros: finite.iter().filter(|value| **value == 0.0).count() as u64,
        ..Moments::EMPTY
    };
    let mut bins = vec![0u64; histogram::BINS];
    for value in finite.iter().filter(|value| **value != 0.0) {
        bins[histogram::bin_of(value.abs())] += 1;
    }
    let mut order: Vec<Extreme> = (0u64..)
        .zip(&all)
        .filter(|(_, value)| value.is_finite())
        .map(|(position, value)| Extreme { position, value: value + 0.0 })
        .collect();
    let mut first = |before: fn(&Extreme, &Extreme) -> std::cmp::Ordering| {
        if order.len() > k && k > 0 {
            order.select_nth_unstable_by(k - 1, |a, b| before(a, b).then(a.position.cmp(&b.position)));
        }
        let mut kept = order[..k.min(order.len())].to_vec();
        kept.sort_by(|a, b| before(a, b).then(a.position.cmp(&b.position)));
        kept
    };
    let extremes = Extremes {
        highest: first(|a, b| b.value.total_cmp(&a.value)),
        lowest: first(|a, b| a.value.total_cmp(&b.value)),
    };
    if let (Some(low), Some(high)) = (finite.iter().copied().reduce(f64::min), finite.iter().copied().reduce(f64::max))
    {
        (moments.min, moments.max) = (low, high);
    }
    Reference { moments, histogram: MagnitudeHistogram::from_dense(&bins), extremes }
}

//! Merging chunk reports into tensors, in an order that does not depend on who answered when.

use std::collections::BTreeMap;

use kurtoscope_shared::{
    Lines, Moments, Noise,
    protocol::{Measurement, Statistics},
};

use super::{
    concentration::{self, Sums},
    plan::{MeasurementPlan, PlannedChunk},
};
use crate::record::Concentration;

/// Elements kept at each end of a tensor.
pub const TOP: usize = Statistics::FULL.top as usize;

/// What all chunks of a target say together.
#[derive(Debug, Clone, Default)]
pub struct Merged {
    /// The merged measurement, its `lines` empty.
    pub measurement: Measurement,
    /// Where the fourth powers lie.
    pub concentration: Option<Concentration>,
    /// The sums behind that, of parts of fused tensors alone: those of the whole come from them.
    pub sums: Sums,
}

/// What waits of a chunk for those before it.
#[derive(Debug)]
struct Waiting {
    count: u64,
    moments: Moments,
    noise: Noise,
    lines: Lines,
}

/// A target in the making.
#[derive(Debug, Default)]
struct PartialTensor {
    merged: Merged,
    waiting: BTreeMap<u64, Waiting>,
    /// Elements that are merged.
    next: u64,
    elements: u64,
    is_part: bool,
}

/// Collects reports in any order.
///
/// Floating-point sums depend on their order, so the sums of a target are merged in order of offset, and wait until
/// everything before them is there: some hundred bytes a waiting chunk, and a number for each of its rows and columns.
/// Histograms and extremes are merged at once.
#[derive(Debug)]
pub struct Collector {
    targets: Vec<PartialTensor>,
}

impl Collector {
    /// A collector for all of a plan's targets.
    pub fn new(plan: &MeasurementPlan) -> Self {
        let target = |target: &super::plan::PlannedTensor| PartialTensor {
            elements: target.runs.elements(),
            is_part: target.is_part,
            ..PartialTensor::default()
        };
        Self { targets: plan.targets.iter().map(target).collect() }
    }

    /// Takes the measurement of one chunk. Each chunk is taken once.
    pub fn take(&mut self, chunk: &PlannedChunk, measurement: &Measurement) {
        let target = &mut self.targets[chunk.target];
        let merged = &mut target.merged.measurement;
        merged.tail.merge(&measurement.tail);
        merged.top.merge(&measurement.top, chunk.offset, TOP);
        let Measurement { moments, noise, lines, .. } = measurement;
        let count = u64::from(chunk.count);
        let waiting = Waiting { count, moments: *moments, noise: noise.clone(), lines: lines.clone() };
        target.waiting.insert(chunk.offset, waiting);
        while let Some(waiting) = target.waiting.remove(&target.next) {
            let is_first = target.next == 0;
            merged.moments = merged.moments.merge(waiting.moments);
            if is_first {
                merged.noise = waiting.noise;
            } else {
                merged.noise.merge(&waiting.noise);
            }
            target.merged.sums.append(&waiting.lines, is_first);
            target.next += waiting.count;
        }
        if target.next >= target.elements {
            target.merged.concentration = concentration::of(&target.merged.sums, &merged.moments);
            if !target.is_part {
                target.merged.sums = Sums::default();
            }
        }
    }

    /// What was merged, one a target, with positions counted in the target's elements.
    pub fn finish(self) -> Vec<Merged> {
        self.targets.into_iter().map(|target| target.merged).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kurtoscope_firmware::engine::{Piece, cpu};
    use kurtoscope_shared::Element;
    use proptest::prelude::*;

    fn plan_of(chunks: &[PlannedChunk], elements: u64) -> MeasurementPlan {
        let runs = kurtoscope_checkpoint::model::Runs::whole(elements);
        let statistics = Statistics::FULL;
        let target = super::super::plan::PlannedTensor {
            tensor: 0,
            runs,
            element: Element::F32,
            row: 4,
            statistics,
            is_part: false,
        };
        MeasurementPlan { entries: vec![], targets: vec![target], chunks: chunks.to_vec(), bytes: 0 }
    }

    proptest! {
        #[test]
        fn the_order_of_arrival_does_not_change_a_bit(rows in prop::collection::vec(prop::array::uniform4(-1e3f32..1e3), 1..50), size in 1usize..12, seed in any::<u64>()) {
            let values = rows.concat();
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            let mut reports: Vec<(PlannedChunk, Measurement)> = bytes
                .chunks(4 * 4 * size)
                .enumerate()
                .map(|(number, bytes)| {
                    let chunk = PlannedChunk { target: 0, offset: (number * 4 * size) as u64, count: (bytes.len() / 4) as u32 };
                    let statistics = Statistics::FULL;
                    let piece = Piece { element: Element::F32, offset: chunk.offset, row: 4, statistics };
                    (chunk, cpu::measure(bytes, piece))
                })
                .collect();
            let plan = plan_of(&reports.iter().map(|(chunk, _)| *chunk).collect::<Vec<_>>(), values.len() as u64);
            let collect = |reports: &[(PlannedChunk, Measurement)]| {
                let mut collector = Collector::new(&plan);
                for (chunk, measurement) in reports {
                    collector.take(chunk, measurement);
                }
                collector.finish().remove(0)
            };
            let in_order = collect(&reports);
            reports.sort_by_key(|(chunk, _)| (chunk.offset + 1).wrapping_mul(seed | 1));
            let shuffled = collect(&reports);
            prop_assert_eq!(&shuffled.measurement, &in_order.measurement);
            prop_assert_eq!(shuffled.concentration, in_order.concentration);
            prop_assert_eq!(in_order.measurement.moments.count, values.len() as u64);
        }
    }
}

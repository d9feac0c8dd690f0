//! Merging chunk reports into tensors, in an order that does not depend on who answered when.

use std::collections::BTreeMap;

use kurtoscope_shared::{Measurement, Requests, statistics::ChunkSpan};

use super::{
    concentration,
    plan::{MeasurementPlan, PlannedChunk, PlannedTensor},
};
use crate::record::Concentration;

/// What all chunks of a target say together.
#[derive(Debug, Clone, Default)]
pub struct Merged {
    /// The merged measurement. Its row and column sums are kept of parts of fused tensors alone, for those of the whole.
    pub measurement: Measurement,
    /// How the fourth powers are concentrated in rows and columns.
    pub concentration: Option<Concentration>,
}

/// A target in the making.
#[derive(Debug, Default)]
struct PartialTensor {
    merged: Merged,
    /// Chunks that wait for those before them, by offset.
    waiting: BTreeMap<u64, (ChunkSpan, Measurement)>,
    /// Elements that are merged.
    next: u64,
    elements: u64,
    requests: Requests,
    keeps_sums: bool,
}

/// Collects reports in any order.
///
/// Floating-point sums depend on their order, so chunks of a target are merged in order of offset, and wait until everything
/// before them is there: a few kilobytes a waiting chunk, and a number for each of its rows and columns.
#[derive(Debug)]
pub struct Collector {
    targets: Vec<PartialTensor>,
}

impl Collector {
    /// A collector for all of a plan's targets.
    pub fn new(plan: &MeasurementPlan) -> Self {
        let target = |target: &PlannedTensor| PartialTensor {
            elements: target.runs.elements(),
            requests: target.requests,
            keeps_sums: target.keeps_sums,
            ..PartialTensor::default()
        };
        Self { targets: plan.targets.iter().map(target).collect() }
    }

    /// Takes the measurement of one chunk. Each chunk is taken once.
    pub fn take(&mut self, plan: &MeasurementPlan, chunk: &PlannedChunk, measurement: &Measurement) {
        let target = &mut self.targets[chunk.target];
        let span = plan.span(chunk);
        if span.offset == target.next {
            target.append(measurement, &span);
        } else {
            target.waiting.insert(span.offset, (span, measurement.clone()));
        }
        while let Some((span, measurement)) = target.waiting.remove(&target.next) {
            target.append(&measurement, &span);
        }
        if target.next >= target.elements {
            let Merged { measurement, concentration } = &mut target.merged;
            *concentration = concentration::of(measurement);
            if !target.keeps_sums {
                measurement.row_column_sums = None;
            }
        }
    }

    /// What was merged, one a target, with positions counted in the target's elements.
    pub fn finish(self) -> Vec<Merged> {
        self.targets.into_iter().map(|target| target.merged).collect()
    }
}

impl PartialTensor {
    fn append(&mut self, next: &Measurement, span: &ChunkSpan) {
        self.merged.measurement.append(next, &self.requests, span);
        self.next += span.count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kurtoscope_firmware::engine::{ChunkSpec, cpu};
    use kurtoscope_shared::Element;
    use proptest::prelude::*;

    fn plan_of(chunks: &[PlannedChunk], elements: u64) -> MeasurementPlan {
        let runs = kurtoscope_checkpoint::model::Runs::whole(elements);
        let requests = Requests::FULL;
        let target = super::super::plan::PlannedTensor {
            tensor: 0,
            runs,
            element: Element::F32,
            row: 4,
            requests,
            keeps_sums: false,
        };
        MeasurementPlan { entries: vec![], targets: vec![target], chunks: chunks.to_vec(), bytes: 0, kept_sums: 0 }
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
                    let requests = Requests::FULL;
                    let spec = ChunkSpec { element: Element::F32, offset: chunk.offset, row: 4, requests };
                    (chunk, cpu::measure::<cpu::Everything>(bytes, spec))
                })
                .collect();
            let plan = plan_of(&reports.iter().map(|(chunk, _)| *chunk).collect::<Vec<_>>(), values.len() as u64);
            let collect = |reports: &[(PlannedChunk, Measurement)]| {
                let mut collector = Collector::new(&plan);
                for (chunk, measurement) in reports {
                    collector.take(&plan, chunk, measurement);
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

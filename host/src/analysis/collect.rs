//! Merging chunk reports into tensors, in an order that does not depend on who answered when.

use std::collections::BTreeMap;

use kurtoscope_shared::{
    Moments,
    protocol::{Measurement, Statistics},
};

use super::plan::{Plan, PlannedChunk};

/// Elements kept at each end of a tensor.
pub const TOP: usize = Statistics::FULL.top as usize;

/// Collects reports in any order.
///
/// Floating-point sums depend on their order, so the moments of a target are merged in order of offset, and wait until
/// everything before them is there; that is 72 bytes a waiting chunk. Histograms and extremes are merged at once.
#[derive(Debug)]
pub struct Collector {
    merged: Vec<Measurement>,
    waiting: Vec<BTreeMap<u64, (Moments, u64)>>,
    next: Vec<u64>,
}

impl Collector {
    /// A collector for all of a plan's targets.
    pub fn new(plan: &Plan) -> Self {
        let targets = plan.targets.len();
        Self {
            merged: vec![Measurement::default(); targets],
            waiting: vec![BTreeMap::new(); targets],
            next: vec![0; targets],
        }
    }

    /// Takes the measurement of one chunk. Each chunk is taken once.
    pub fn take(&mut self, chunk: &PlannedChunk, measurement: &Measurement) {
        let target = chunk.target;
        let merged = &mut self.merged[target];
        merged.tail.merge(&measurement.tail);
        merged.top.merge(&measurement.top, chunk.offset, TOP);
        let (waiting, next) = (&mut self.waiting[target], &mut self.next[target]);
        waiting.insert(chunk.offset, (measurement.moments, u64::from(chunk.count)));
        while let Some((moments, count)) = waiting.remove(next) {
            merged.moments = merged.moments.merge(moments);
            *next += count;
        }
    }

    /// The merged measurements, one a target, with positions counted in the target's elements.
    pub fn finish(self) -> Vec<Measurement> {
        self.merged
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kurtoscope_firmware::engine::cpu;
    use kurtoscope_shared::Element;
    use proptest::prelude::*;

    fn plan_of(chunks: &[PlannedChunk]) -> Plan {
        let runs = crate::model::Runs::whole(0);
        let target = super::super::plan::Target { tensor: 0, runs, element: Element::F32 };
        Plan { entries: vec![], targets: vec![target], chunks: chunks.to_vec(), bytes: 0 }
    }

    proptest! {
        #[test]
        fn the_order_of_arrival_does_not_change_a_bit(values in prop::collection::vec(-1e3f32..1e3, 1..200), size in 1usize..50, seed in any::<u64>()) {
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            let mut reports: Vec<(PlannedChunk, Measurement)> = bytes
                .chunks(4 * size)
                .enumerate()
                .map(|(number, bytes)| {
                    let chunk = PlannedChunk { target: 0, offset: (number * size) as u64, count: (bytes.len() / 4) as u32 };
                    (chunk, cpu::measure(bytes, Element::F32, Statistics::FULL))
                })
                .collect();
            let plan = plan_of(&reports.iter().map(|(chunk, _)| *chunk).collect::<Vec<_>>());
            let collect = |reports: &[(PlannedChunk, Measurement)]| {
                let mut collector = Collector::new(&plan);
                for (chunk, measurement) in reports {
                    collector.take(chunk, measurement);
                }
                collector.finish().remove(0)
            };
            let in_order = collect(&reports);
            reports.sort_by_key(|(chunk, _)| (chunk.offset + 1).wrapping_mul(seed | 1));
            prop_assert_eq!(collect(&reports), in_order.clone());
            prop_assert_eq!(in_order.moments.count, values.len() as u64);
        }
    }
}

//! The measurement of a fused tensor, or of a stack of experts, from those of its parts.

use kurtoscope_checkpoint::model::{Part, row_length};
use kurtoscope_shared::{
    Measurement,
    statistics::{MeasuredPart, PartLayout},
};

use super::{
    collect::Merged,
    plan::{MeasuredParts, MeasurementPlan, PlannedTensor},
};

/// The merge of a tensor's parts: those of each matrix first, then the matrices, which are rows of the tensor.
pub(super) fn joined(found: &MeasuredParts, shape: &[u64], plan: &MeasurementPlan, merged: &[Merged]) -> Measurement {
    let parts = found.parts.chunks(found.per_matrix.max(1));
    let mut matrices: Vec<Measurement> = parts.map(|parts| matrix(parts, &found.matrix, plan, merged)).collect();
    if matrices.len() == 1 {
        return matrices.pop().unwrap_or_default();
    }
    let requests = found.parts.first().map(|(_, target)| plan.targets[*target].requests).unwrap_or_default();
    let row = row_length(&found.matrix);
    let shares_rows = row.is_some() && row == row_length(shape);
    let layout = PartLayout { row: row.unwrap_or(0), shares_rows, position: &|position| position };
    let measured = matrices.iter().map(|measurement| MeasuredPart { measurement, requests, layout });
    Measurement::join(&measured.collect::<Vec<_>>())
}

/// The merge of the parts of one matrix of this shape, with positions in the stored tensor.
fn matrix(parts: &[(Part, usize)], shape: &[u64], plan: &MeasurementPlan, merged: &[Merged]) -> Measurement {
    let targets: Vec<&PlannedTensor> = parts.iter().map(|(_, target)| &plan.targets[*target]).collect();
    // Rows of the whole are rows of its parts, or else made up of one row of each.
    let part_row = parts.first().and_then(|(part, _)| row_length(&part.shape));
    let shares_rows = part_row.is_some() && part_row == row_length(shape);
    let positions: Vec<_> = targets.iter().map(|target| |position: u64| target.runs.position(position)).collect();
    let measured = parts.iter().zip(&targets).zip(&positions).map(|(((_, index), target), position)| {
        let row = u64::from(target.row);
        // Where elements of several parts alternate in a row, no block of the whole is one of a part.
        let layout = PartLayout { row: if target.runs.length < row { 0 } else { row }, shares_rows, position };
        MeasuredPart { measurement: &merged[*index].measurement, requests: target.requests, layout }
    });
    Measurement::join(&measured.collect::<Vec<_>>())
}

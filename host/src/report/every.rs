//! The table of every tensor, with the experts of a large stack in a line.

use std::collections::HashMap;

use super::sections::{component, kurtoses, layer, role};
use super::table::{Cell, Column, Table};
use crate::number;
use crate::record::{LARGE_STACK, Role, Run, Tensor};
use crate::scheme_key::TensorScheme;
use crate::statistics::median;

use Column::{Names, Numbers, Words};

/// Every tensor in the checkpoint's order; of more than 8 experts in a stack the one with the highest kurtosis.
pub(super) fn all_tensors(run: &Run) -> Table {
    let mut table = Table::new([
        ("Tensor", Names),
        ("Role", Words),
        ("Component", Words),
        ("Layer", Numbers),
        ("Shape", Words),
        ("Type", Words),
        ("Pearson", Numbers),
        ("Excess", Numbers),
        ("w/o 1", Numbers),
        ("w/o 4", Numbers),
        ("w/o 16", Numbers),
        ("|z|", Numbers),
        ("int8 dB", Numbers),
        ("int4 dB", Numbers),
        ("NaN, inf", Numbers),
    ]);
    let stacks = Stacks::of(run);
    for (place, tensor) in run.tensors.iter().enumerate() {
        let Some(note) = stacks.note(place, tensor) else { continue };
        let decibels =
            |scheme: TensorScheme| number::decibels(tensor.quantization_error(scheme).and_then(|error| error.sqnr_db));
        let mut row: Vec<Cell> = vec![
            Cell::name(&tensor.name),
            format!("{}{note}", role(tensor.role)).into(),
            component(tensor).into(),
            layer(tensor).into(),
            number::shape(&tensor.shape).into(),
            Cell::name(&tensor.dtype),
        ];
        row.extend(kurtoses(tensor));
        row.extend([
            decibels(TensorScheme::Int8).into(),
            decibels(TensorScheme::Int4).into(),
            number::count(tensor.non_finite).into(),
        ]);
        table.push(row);
    }
    table
}

/// The experts of a run's stacks, by the stack and by which part of an expert they are: their places in the run.
struct Stacks<'a>(HashMap<(&'a str, &'a str), Experts>);

struct Experts {
    count: usize,
    median: Option<f64>,
    /// The place of the one with the highest kurtosis.
    heaviest: usize,
}

impl<'a> Stacks<'a> {
    fn of(run: &'a Run) -> Self {
        let mut places: HashMap<(&str, &str), Vec<usize>> = HashMap::new();
        for (place, tensor) in run.tensors.iter().enumerate() {
            if let Some(key) = expert(tensor) {
                places.entry(key).or_default().push(place);
            }
        }
        let summed_up = places.into_iter().map(|(key, places)| {
            let kurtosis = |place: usize| run.tensors[place].kurtosis;
            let value = |place: usize| kurtosis(place).unwrap_or(f64::NEG_INFINITY);
            // The first of equal ones.
            let heaviest = places.iter().copied().rev().max_by(|a, b| value(*a).total_cmp(&value(*b))).unwrap_or(0);
            let median = median(places.iter().filter_map(|place| kurtosis(*place)));
            (key, Experts { count: places.len(), median, heaviest })
        });
        Self(summed_up.collect())
    }

    /// What is said of a tensor besides its role; `None` where a heavier expert is listed for it.
    fn note(&self, place: usize, tensor: &Tensor) -> Option<String> {
        let Some(experts) =
            expert(tensor).and_then(|key| self.0.get(&key)).filter(|experts| experts.count > LARGE_STACK)
        else {
            return Some(String::new());
        };
        let (count, median) = (experts.count, number::kurtosis(experts.median));
        (experts.heaviest == place).then(|| format!(", heaviest of {count}; their median {median}"))
    }
}

/// The stack that a view is an expert of, and the part of the expert: `[gate]`, or nothing for all of it.
fn expert(tensor: &Tensor) -> Option<(&str, &str)> {
    let stack = tensor.of.as_deref().filter(|_| tensor.role == Role::View)?;
    let (number, part) = tensor.name.strip_prefix(stack)?.strip_prefix('[')?.split_once(']')?;
    number.parse::<u64>().is_ok().then_some((stack, part))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn a_large_stack_is_a_line_for_each_part_and_a_small_one_all_of_its_experts() {
        let mut run = fixture::stacked(12);
        let text = all_tensors(&run).markdown();
        let rows = |text: &str| text.lines().count() - 2;
        assert_eq!(rows(&text), run.tensors.len() - 2 * 11, "{text}");
        assert!(
            text.contains("experts.gate_up_proj[7][gate]") && text.contains("view, heaviest of 12; their median 3.05")
        );
        assert!(text.contains("experts.gate_up_proj[0][up]"), "the first of equal ones: {text}");
        run = fixture::stacked(8);
        assert_eq!(rows(&all_tensors(&run).markdown()), run.tensors.len());
    }
}

//! How many columns share a scale: what the configuration states, else what group numbers say, else the only usual size
//! that gives as many groups. The last group of a row may be shorter, as compressed-tensors and GPTQModel have it.

use super::fault::PackedFault;
use super::settings::{Settings, contradiction};

/// Columns that share a scale, and the group of each column where they are not in order.
pub(super) type Grouping = (u64, Option<Vec<u32>>);

/// How the columns of a weight are grouped, with the group of each column where a tensor states it.
///
/// # Errors
///
/// If nothing determines the size, a group has no columns, or the configuration states another size.
pub(super) fn grouping(
    weight: &str,
    settings: &Settings,
    numbers: Option<Vec<u32>>,
    columns: u64,
    groups: u64,
) -> Result<Grouping, PackedFault> {
    let Some(numbers) = numbers else {
        return Ok((settings.group_size(weight, columns, groups)?, None));
    };
    let counts = counts(&numbers, groups);
    if counts.contains(&0) {
        return Err(PackedFault::Group { weight: weight.to_owned(), columns, groups });
    }
    let group = counts.into_iter().max().unwrap_or(columns);
    match settings.group {
        Some(stated) if stated != group && (stated < columns || groups > 1) => {
            Err(contradiction(weight, "group_size", &stated.to_string(), &group.to_string()))
        }
        _ => Ok((group, out_of_order(numbers, group))),
    }
}

/// The group numbers, unless equal groups of `group` columns have the same.
pub(super) fn out_of_order(numbers: Vec<u32>, group: u64) -> Option<Vec<u32>> {
    let in_order = numbers.iter().zip(0u64..).all(|(&number, column)| u64::from(number) == column / group);
    (!in_order).then_some(numbers)
}

/// Columns of each group.
fn counts(numbers: &[u32], groups: u64) -> Vec<u64> {
    let mut counts = vec![0; groups as usize];
    for &number in numbers {
        counts[number as usize] += 1;
    }
    counts
}

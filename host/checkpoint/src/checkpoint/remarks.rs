//! What a reader must know of the files of a checkpoint: sentences for reports.

use std::collections::HashMap;

use super::files::IndexFile;

/// How many names a sentence lists.
const LISTED: usize = 6;

/// The sentences about files beside the checkpoint's, copies of tensors, and tensors that the index does not list.
pub(super) fn of_files(
    index: Option<&IndexFile>,
    left_out: &[String],
    overlaid: &[String],
    holders: &HashMap<String, usize>,
) -> Vec<String> {
    let mut remarks = Vec::new();
    if !left_out.is_empty() {
        let why = if index.is_some() { "that the index does not name" } else { "beside the model's" };
        remarks.push(format!("Not measured: {} {why} ({}).", files(left_out.len()), list(left_out)));
    }
    if !overlaid.is_empty() {
        let shards = "in several shards: measured is the copy in the shard that the index names";
        remarks.push(match overlaid {
            [only] => format!("The tensor {only} is {shards}."),
            _ => format!("{} tensors are {shards} ({}).", overlaid.len(), list(overlaid)),
        });
    }
    if let Some(index) = index {
        let mut unlisted: Vec<String> = holders.keys().filter(|name| index.shard_of(name).is_none()).cloned().collect();
        unlisted.sort_by(|a, b| super::order::natural(a, b));
        if !unlisted.is_empty() {
            remarks.push(format!(
                "Of the tensors in the shards, {} not in the index and measured all the same ({}).",
                if unlisted.len() == 1 { "1 is".to_owned() } else { format!("{} are", unlisted.len()) },
                list(&unlisted)
            ));
        }
    }
    remarks
}

fn files(count: usize) -> String {
    if count == 1 { "1 file of weights".to_owned() } else { format!("{count} files of weights") }
}

/// The first few names, and how many more.
fn list(names: &[String]) -> String {
    let shown = names.get(..LISTED).unwrap_or(names).join(", ");
    match names.len().checked_sub(LISTED) {
        None | Some(0) => shown,
        Some(more) => format!("{shown} and {more} more"),
    }
}

//! Finds the state dict in what a training tool saved: under which keys the weights are, and which tensors beside them are
//! training state.

use std::collections::HashMap;
use std::path::Path;

use pytorch_reader::{PickleValue, PytorchError, PytorchReader, Tensor};

/// Keys that training tools save a model's weights under, the most certain first.
const WEIGHTS: &[&str] = &[
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "module",
    "net",
    "network",
    "weights",
    "params",
    "ema",
    "model_ema",
];

/// Keys that they save the state of training under.
const TRAINING: &[&str] = &[
    "optimizer",
    "optimizers",
    "optimizer_state",
    "optimizer_state_dict",
    "optimizer_states",
    "last_optimizer_state",
    "optim",
    "scheduler",
    "scheduler_state_dict",
    "lr_scheduler",
    "lr_schedulers",
    "scaler",
    "grad_scaler",
    "amp",
    "callbacks",
    "loops",
    "rng_state",
    "random_rng_state",
    "cuda_rng_state",
];

/// Where in a checkpoint the weights are.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct StateDict {
    /// How the paths of all weights begin.
    prefix: String,
    /// How the paths behind the prefix begin that are training state.
    excluded: Vec<String>,
}

/// Finds the weights among the tensors of the file at `path`.
///
/// A flat state dict has keys like `model.norm.weight` too. They differ from nested ones only in the pickle, which is
/// parsed again to distinguish them where a path begins like either.
pub(super) fn find(path: &Path, tensors: &HashMap<String, Tensor>) -> Result<StateDict, PytorchError> {
    let nested = |name: &String| {
        name.split_once('.').is_some_and(|(first, _)| WEIGHTS.contains(&first) || TRAINING.contains(&first))
    };
    if !tensors.keys().any(nested) {
        return Ok(StateDict::default());
    }
    let root = PytorchReader::read_pickle_data(path, None)?;
    Ok(descend(&root, |prefix| tensors.keys().any(|name| name.starts_with(prefix))))
}

/// Follows the keys of weights for as long as tensors are under them.
pub(super) fn descend(root: &PickleValue, holds_tensors: impl Fn(&str) -> bool) -> StateDict {
    let mut prefix = String::new();
    let mut value = root;
    while let PickleValue::Dict(entries) = value {
        let inner = WEIGHTS.iter().find_map(|key| match entries.get(*key) {
            Some(inner @ PickleValue::Dict(_)) => Some((format!("{prefix}{key}."), inner)),
            _ => None,
        });
        match inner {
            Some((longer, inner)) if holds_tensors(&longer) => (prefix, value) = (longer, inner),
            _ => {
                let training = TRAINING
                    .iter()
                    .filter(|key| matches!(entries.get(**key), Some(PickleValue::Dict(_) | PickleValue::List(_))));
                return StateDict { prefix, excluded: training.map(|key| format!("{key}.")).collect() };
            }
        }
    }
    StateDict { prefix, excluded: Vec::new() }
}

impl StateDict {
    /// The model's own name for the tensor at `path`; `None` where it is not one of the weights.
    pub(super) fn name_of<'a>(&self, path: &'a str) -> Option<&'a str> {
        let name = path.strip_prefix(&self.prefix)?;
        let excluded = self.excluded.iter().any(|training| name.starts_with(training));
        (!excluded).then_some(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dict(entries: &[(&str, PickleValue)]) -> PickleValue {
        PickleValue::Dict(entries.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect())
    }

    fn tensor() -> PickleValue {
        PickleValue::Unsupported("torch.Tensor".to_owned())
    }

    #[test]
    fn weights_are_found_under_the_usual_keys() {
        let flat = dict(&[("model.norm.weight", tensor()), ("module", tensor())]);
        assert_eq!(descend(&flat, |_| true), StateDict::default());
        let deep =
            dict(&[("epoch", PickleValue::Int(1)), ("model", dict(&[("state_dict", dict(&[("w", tensor())]))]))]);
        assert_eq!(descend(&deep, |_| true).prefix, "model.state_dict.");
        assert_eq!(descend(&deep, |_| false).prefix, "", "nothing to be found there");
    }

    #[test]
    fn training_state_is_left_out() {
        let both = dict(&[("encoder", dict(&[("w", tensor())])), ("optimizer", dict(&[("m", tensor())]))]);
        let found = descend(&both, |_| true);
        assert_eq!(found.name_of("encoder.w"), Some("encoder.w"));
        assert_eq!(found.name_of("optimizer.m"), None);
        // A module may be called so.
        let module = dict(&[("optimizer.weight", tensor())]);
        assert_eq!(descend(&module, |_| true).name_of("optimizer.weight"), Some("optimizer.weight"));
        let found = StateDict { prefix: "state_dict.".to_owned(), excluded: Vec::new() };
        assert_eq!((found.name_of("state_dict.a.b"), found.name_of("epoch")), (Some("a.b"), None));
    }
}

//! What llama.cpp's converter does to a name before it looks it up: wrappers dropped, experts merged, fused matrices split.
//! The lines of `renames.txt` say it; their columns are described there.

use std::collections::VecDeque;

use serde_json::Value;

use super::tables::{Architecture, is_number};

/// The architecture of vision and audio towers' files.
pub(super) const TOWERS: &str = "clip";

/// One line of the table.
#[derive(Debug)]
pub(super) struct Rename {
    architectures: Vec<(&'static str, Option<Condition>)>,
    /// The parts to replace, one after the other.
    from: Vec<&'static str>,
    at_start: bool,
    at_end: bool,
    /// What they become; several where a matrix is split.
    to: Vec<Vec<&'static str>>,
}

/// Only where the configuration has a number, or has not.
#[derive(Debug)]
struct Condition {
    key: &'static str,
    wanted: bool,
}

impl Rename {
    /// Reads a line.
    pub(super) fn parse(line: &'static str) -> Option<Self> {
        let mut fields = line.split_whitespace();
        let architectures = fields.next()?.split(',').map(architecture).collect();
        let from = fields.next()?;
        let (from, at_start) = from.strip_prefix('^').map_or((from, false), |rest| (rest, true));
        let (from, at_end) = from.strip_suffix('$').map_or((from, false), |rest| (rest, true));
        let parts = |path: &'static str| if path == "-" { Vec::new() } else { path.split('.').collect() };
        let to: Vec<_> = fields.map(parts).collect();
        (!to.is_empty()).then(|| Self { architectures, from: from.split('.').collect(), at_start, at_end, to })
    }

    /// The architectures that it is for.
    #[cfg(test)]
    pub(super) fn architectures(&self) -> impl Iterator<Item = &'static str> {
        self.architectures.iter().map(|(name, _)| *name)
    }

    /// Whether it is for this model.
    pub(super) fn is_for(&self, architecture: &Architecture, config: Option<&Value>) -> bool {
        self.architectures.iter().any(|(name, condition)| {
            let named = *name == architecture.name || *name == "text" && architecture.name != TOWERS;
            named && condition.as_ref().is_none_or(|condition| condition.holds(config))
        })
    }

    /// The names that a name becomes; `layers` is the number of the model's layers. `None` where it says nothing about it.
    pub(super) fn apply(&self, name: &str, layers: Option<u64>) -> Option<Vec<String>> {
        let parts: Vec<&str> = name.split('.').collect();
        let length = self.from.len();
        let fits = |at: &usize| {
            let window = parts.get(*at..at + length).unwrap_or_default();
            window.len() == length && window.iter().zip(&self.from).all(|(part, pattern)| is_like(part, pattern))
        };
        let at = (0..parts.len()).filter(|&at| at == 0 || !self.at_start).find(fits)?;
        if self.at_end && at + length != parts.len() {
            return None;
        }
        let numbers: VecDeque<&str> = parts[at..at + length].iter().copied().filter(|part| is_number(part)).collect();
        let become_name = |to: &Vec<&str>| {
            let mut numbers = numbers.clone();
            let middle: Option<Vec<String>> = to.iter().map(|part| written(part, &mut numbers, layers)).collect();
            let own = |parts: &[&str]| parts.iter().map(|&part| part.to_owned()).collect::<Vec<_>>();
            Some([own(&parts[..at]), middle?, own(&parts[at + length..])].concat().join("."))
        };
        self.to.iter().map(become_name).collect()
    }
}

/// An architecture and its condition: `granitehybrid[!num_local_experts]`.
fn architecture(text: &'static str) -> (&'static str, Option<Condition>) {
    let Some((name, key)) = text.split_once('[') else { return (text, None) };
    let key = key.trim_end_matches(']');
    let (key, wanted) = key.strip_prefix('!').map_or((key, true), |key| (key, false));
    (name, Some(Condition { key, wanted }))
}

impl Condition {
    fn holds(&self, config: Option<&Value>) -> bool {
        let number = config.and_then(|config| config.get(self.key)).and_then(Value::as_u64);
        (number.unwrap_or(0) > 0) == self.wanted
    }
}

/// Whether a part of a name fits a part of a pattern. Numbers that the pattern spells out are taken literally.
fn is_like(part: &str, pattern: &str) -> bool {
    part == pattern || pattern == "#" && is_number(part)
}

/// A part of the new name.
fn written(part: &str, numbers: &mut VecDeque<&str>, layers: Option<u64>) -> Option<String> {
    match part {
        "#" => numbers.pop_front().map(str::to_owned),
        "#+" => Some(numbers.pop_front()?.parse::<u64>().ok()?.checked_add(layers?)?.to_string()),
        "+" => layers.map(|layers| layers.to_string()),
        _ => Some(part.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn renamed(line: &'static str, name: &str) -> Option<Vec<String>> {
        Rename::parse(line).expect("a line").apply(name, Some(24))
    }

    #[test]
    fn parts_are_replaced_where_they_fit() {
        for (line, name, expected) in [
            ("text  language_model  -", "model.language_model.layers.0.x", Some("model.layers.0.x")),
            ("text  experts.#  experts", "layers.1.experts.17.w1.weight", Some("layers.1.experts.w1.weight")),
            ("a  ^model  -", "model.model.x", Some("model.x")),
            ("a  ^model  -", "my.model.x", None),
            ("a  q_weight$  q.weight", "layers.0.q_weight", Some("layers.0.q.weight")),
            ("a  q_weight$  q.weight", "layers.0.q_weight.scale", None),
            ("a  ^mtp.layers.#  model.layers.#+", "mtp.layers.1.x.weight", Some("model.layers.25.x.weight")),
            ("a  ^mtp.fc  model.layers.+.eh_proj", "mtp.fc.weight", Some("model.layers.24.eh_proj.weight")),
            ("a  ^layers.#.w  blk.#.v", "layers.7.w.weight", Some("blk.7.v.weight")),
        ] {
            assert_eq!(renamed(line, name), expected.map(|name| vec![name.to_owned()]), "{line}: {name}");
        }
    }

    #[test]
    fn a_fused_matrix_becomes_several() {
        let names = renamed("a  ^m.#.wqkv  blk.#.attn_q blk.#.attn_k", "m.3.wqkv.weight").expect("it fits");
        assert_eq!(names, ["blk.3.attn_q.weight", "blk.3.attn_k.weight"]);
    }

    #[test]
    fn without_a_number_of_layers_nothing_is_added_to_it() {
        let line = Rename::parse("a  ^mtp.layers.#  model.layers.#+").expect("a line");
        assert_eq!(line.apply("mtp.layers.0.x", None), None);
        assert_eq!(line.apply("mtp.layers.99999999999999999999.x", Some(1)), None);
    }

    #[test]
    fn a_condition_reads_the_configuration() {
        let condition = |text| architecture(text).1.expect("a condition");
        let dense = serde_json::json!({ "num_local_experts": 0 });
        assert!(!condition("g[num_local_experts]").holds(Some(&dense)));
        assert!(condition("g[!num_local_experts]").holds(Some(&dense)) && condition("g[!n]").holds(None));
    }
}

//! The table of names, `names.tsv`, read once: patterns by their last part, and what else names say.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use super::component::Component;
use super::path::Path;

const TABLE: &str = include_str!("names.tsv");

/// The table.
pub(super) static NAMES: LazyLock<Names> = LazyLock::new(|| Names::parse(TABLE));

/// What names say.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// By the last part that is no number.
    patterns: HashMap<&'static str, Vec<Pattern>>,
    buffers: HashSet<&'static str>,
    buffer_modules: HashSet<&'static str>,
    lists: HashSet<&'static str>,
    towers: HashMap<&'static str, &'static str>,
    marks: HashMap<&'static str, &'static str>,
    wrappers: HashSet<&'static str>,
    adapters: Vec<&'static str>,
}

/// How a path ends, and what it then is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern {
    /// The last parts of the path.
    parts: Vec<&'static str>,
    component: Component,
    /// Whether it is so outside the layers only.
    is_top: bool,
}

impl Pattern {
    fn fits(&self, path: &[&str], is_top: bool) -> bool {
        let Some(start) = path.len().checked_sub(self.parts.len()) else { return false };
        (is_top || !self.is_top) && self.parts.iter().zip(&path[start..]).all(|(&part, &name)| fits(part, name))
    }
}

/// Whether a part of a name fits one of a pattern: `N` is any number, alone or behind a name as in `expert_N`.
fn fits(part: &str, name: &str) -> bool {
    match part.strip_suffix('N') {
        Some("") => is_number(name),
        Some(start) if start.ends_with('_') => name.strip_prefix(start).is_some_and(is_number),
        _ => part == name,
    }
}

/// Whether a part of a path is the number of a layer, an expert or the like.
pub(super) fn is_number(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit())
}

impl Names {
    /// Lines that are none are passed over; a test holds that the table has none.
    fn parse(table: &'static str) -> Self {
        let mut names = Self::default();
        for line in table.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let mut columns = line.split('\t');
            if let (Some(kind), Some(pattern), Some(meaning)) = (columns.next(), columns.next(), columns.next()) {
                names.add(kind, pattern, meaning);
            }
        }
        names
    }

    /// Adds a line; `None` where it is none.
    fn add(&mut self, kind: &str, pattern: &'static str, meaning: &'static str) -> Option<()> {
        match kind {
            "weight" | "top" => {
                let component = *Component::ALL.iter().find(|component| component.name() == meaning)?;
                let parts: Vec<&str> = pattern.split('.').collect();
                let key = parts.iter().rev().find(|part| **part != "N" && !is_number(part))?;
                // Nothing is found by a part of which only the beginning is known.
                if key.ends_with("_N") {
                    return None;
                }
                let pattern = Pattern { parts: parts.clone(), component, is_top: kind == "top" };
                self.patterns.entry(key).or_default().push(pattern);
            }
            "buffer" if meaning == "module" => self.buffer_modules.extend([pattern]),
            "buffer" => self.buffers.extend([pattern]),
            "list" => self.lists.extend([pattern]),
            "tower" => self.towers.extend([(pattern, meaning)]),
            "mark" => self.marks.extend([(pattern, meaning)]),
            "wrapper" => self.wrappers.extend([pattern]),
            "adapter" => self.adapters.push(pattern),
            _ => return None,
        }
        Some(())
    }

    /// What the longest pattern that fits says; of two equally long ones that for the outside of layers. `None` where none fits.
    fn component(&self, path: &[&str], is_top: bool) -> Option<Component> {
        let key = path.iter().rev().find(|part| !is_number(part))?;
        let fitting = self.patterns.get(key)?.iter().filter(|pattern| pattern.fits(path, is_top));
        fitting.max_by_key(|pattern| (pattern.parts.len(), pattern.is_top)).map(|pattern| pattern.component)
    }

    /// Whether a parameter of this name, or of a module of this name, is a constant.
    pub(super) fn is_buffer(&self, module: &str, leaf: &str) -> bool {
        self.buffers.contains(leaf) || self.buffer_modules.contains(module)
    }

    /// Whether the numbers behind this part are layers.
    pub(super) fn is_list(&self, part: &str) -> bool {
        self.lists.contains(part)
    }

    /// Whether training tools add this part.
    pub(super) fn is_wrapper(&self, part: &str) -> bool {
        self.wrappers.contains(part)
    }

    /// Whether this part is that of an adapter.
    pub(super) fn is_adapter(&self, part: &str) -> bool {
        self.adapters
            .iter()
            .any(|name| if name.starts_with('_') { part.ends_with(name) } else { part.starts_with(name) })
    }

    /// The tower that a part of the path before the layer names; `is_first` where nothing is before it.
    pub(super) fn tower(&self, part: &str, is_first: bool) -> Option<&'static str> {
        let anchored = || is_first.then(|| self.towers.get(format!("^{part}").as_str()))?;
        self.towers.get(part).or_else(anchored).copied()
    }

    /// The tower to which a layer with a module of this name belongs.
    pub(super) fn mark(&self, part: &str) -> Option<&'static str> {
        self.marks.get(part).copied()
    }
}

/// The component that a module's weights belong to.
pub(super) fn component(path: &Path<'_>) -> Component {
    known(path).unwrap_or(Component::Other)
}

/// [`component`]; `None` where no pattern fits.
pub(super) fn known(path: &Path<'_>) -> Option<Component> {
    NAMES.component(&path.module, path.layer.is_none())
}

/// The component of a parameter that has a name of its own in its module: `A_log`, `experts.gate_up_proj`.
pub(super) fn known_parameter(path: &Path<'_>) -> Option<Component> {
    let mut whole = path.module.clone();
    whole.push(path.leaf);
    NAMES.component(&whole, path.layer.is_none())
}

/// Whether a module of this name is a normalisation: `ln_1`, `LayerNorm`, `q_norm`, …
pub(super) fn is_norm(module: &str) -> bool {
    let begins = |prefix: &str| {
        let rest = module.strip_prefix(prefix);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(|next: char| next == '_' || next.is_ascii_digit()))
    };
    begins("ln")
        || begins("LN")
        || begins("bn")
        || module.ends_with("_ln")
        || module.ends_with("_rms")
        || says_norm(&module.to_ascii_lowercase())
}

/// Whether "norm" or "normalization" is one of the words of a name, at least the end of one: `layernorm1`, not `subnormal`.
fn says_norm(name: &str) -> bool {
    name.match_indices("norm").any(|(at, word)| {
        let rest = &name[at + word.len()..];
        rest.starts_with("alization") || !rest.starts_with(|next: char| next.is_ascii_lowercase())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use Component::{AttentionOutput, HeadTransform, MlpDown, MlpGate, Other};

    fn of(module: &str) -> Component {
        component(&Path::new(&format!("layers.0.{module}.weight")))
    }

    /// The lines of the table, without comments.
    fn lines() -> impl Iterator<Item = Vec<&'static str>> {
        let lines = TABLE.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        lines.map(|line| line.split('\t').collect())
    }

    #[test]
    fn the_longest_pattern_decides() {
        assert_eq!(of("attention.output.dense"), AttentionOutput);
        assert_eq!(of("output.dense"), MlpDown);
        assert_eq!(of("pooler.dense"), HeadTransform);
        assert_eq!(of("mlp.c_proj"), MlpDown);
        assert_eq!(of("attn.c_proj"), AttentionOutput);
        assert_eq!(of("block_sparse_moe.experts.7.w1"), MlpGate);
        assert_eq!(of("block_sparse_moe.experts.x.w1"), Other);
        assert_eq!(component(&Path::new("weight")), Other);
        assert_eq!(component(&Path::new("layers.0.output.weight")), Other, "a head is outside the layers");
    }

    #[test]
    fn every_line_of_the_table_is_one() {
        for columns in lines() {
            let [kind, pattern, meaning, place] = columns[..] else { panic!("four columns: {columns:?}") };
            assert!(Names::default().add(kind, pattern, meaning).is_some(), "{columns:?}");
            assert!(!place.is_empty() && !pattern.is_empty(), "{columns:?}");
            assert!([kind, pattern, meaning, place].iter().all(|column| column.trim() == *column), "{columns:?}");
        }
    }

    #[test]
    fn no_line_is_double_or_says_what_a_shorter_one_says() {
        let mut seen = HashSet::new();
        for columns in lines() {
            assert!(seen.insert((columns[0], columns[1])), "twice: {columns:?}");
        }
        for columns in lines().filter(|columns| matches!(columns[0], "weight" | "top")) {
            let numbered = columns[1].replace("_N", "_7");
            let path: Vec<&str> = numbered.split('.').map(|part| if part == "N" { "7" } else { part }).collect();
            let is_top = columns[0] == "top";
            let found = |path: &[&str]| NAMES.component(path, is_top).map(Component::name);
            assert_eq!(found(&path), Some(columns[2]), "shadowed: {columns:?}");
            if path.len() > 1 {
                assert_ne!(found(&path[1..]), Some(columns[2]), "a shorter pattern says it already: {columns:?}");
            }
        }
    }

    #[test]
    fn norms() {
        for norm in [
            "ln_1",
            "ln_f",
            "ln1",
            "ln",
            "LayerNorm",
            "final_layer_norm",
            "input_layernorm",
            "attn_norm",
            "norm",
            "bn1",
            "q_ln",
            "pre_layrnorm",
            "before_rms",
        ] {
            assert!(is_norm(norm), "{norm}");
        }
        for other in ["lnear", "line", "", "fc1", "dense", "bnb", "subnormal", "normalizer_proj", "abnormal_head"] {
            assert!(!is_norm(other), "{other}");
        }
    }
}

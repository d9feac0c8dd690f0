//! The tables of names that come with the program: patterns of checkpoints' names with their GGUF names, llama.cpp's
//! architectures with their tensors, and which architecture a model is. Renaming before the look-up is
//! [`rename`](super::rename)'s.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;
use std::sync::LazyLock;

use super::rename::Rename;

const NAMES: [&str; 2] = [include_str!("text.txt"), include_str!("towers.txt")];
const ARCHITECTURES: &str = include_str!("architectures.txt");
const MODELS: &str = include_str!("models.txt");
const RENAMES: &str = include_str!("renames.txt");

/// The tables, parsed when they are first needed.
pub(super) static TABLES: LazyLock<Tables> = LazyLock::new(Tables::parse);

/// Stands for one number in a pattern.
const NUMBER: &str = "#";

/// Marks a second kind of tensor under one name.
const SECOND: &str = "/2";

/// The suffixes that the converter takes off a name that it does not find whole.
const SUFFIXES: [&str; 2] = [".weight", ".bias"];

/// An architecture of llama.cpp.
#[derive(Debug)]
pub(super) struct Architecture {
    /// As `general.architecture` of its files has it.
    pub(super) name: &'static str,
    /// The tensors that its files may have.
    tensors: HashSet<&'static str>,
}

/// One line of the tables of names.
#[derive(Debug)]
struct Line {
    tensor: &'static str,
    /// The only architecture that it is for.
    architecture: Option<&'static str>,
    order: usize,
}

/// All tables.
#[derive(Debug, Default)]
pub(super) struct Tables {
    /// Lines by their pattern.
    patterns: HashMap<&'static str, Vec<Line>>,
    /// Where each tensor's lines begin.
    tensors: HashMap<&'static str, usize>,
    /// Tensors whose lines are replaced in an architecture.
    replaced: HashSet<(&'static str, &'static str)>,
    /// In the order of the file.
    pub(super) architectures: BTreeMap<&'static str, Architecture>,
    models: HashMap<&'static str, Vec<&'static str>>,
    pub(super) renames: Vec<Rename>,
}

impl Tables {
    fn parse() -> Self {
        let mut tables = Self::default();
        for (order, line) in NAMES.into_iter().flat_map(lines).enumerate() {
            let mut fields = line.split_whitespace();
            let (Some(tensor), Some(pattern)) = (fields.next(), fields.next()) else { continue };
            let architecture = fields.next();
            tables.replaced.extend(architecture.map(|name| (name, tensor)));
            tables.tensors.entry(tensor).or_insert(order);
            tables.patterns.entry(pattern).or_default().push(Line { tensor, architecture, order });
        }
        for line in lines(ARCHITECTURES) {
            let Some((name, tensors)) = line.split_once(": ") else { continue };
            let tensors: HashSet<_> = tensors.split_whitespace().collect();
            // Tensors that the converter makes under their own name only have no line of a pattern.
            for &tensor in &tensors {
                tables.tensors.entry(tensor).or_insert(usize::MAX);
            }
            tables.architectures.insert(name, Architecture { name, tensors });
        }
        for line in lines(MODELS) {
            let mut fields = line.split_whitespace();
            let model = fields.next().unwrap_or_default();
            tables.models.insert(model, fields.collect());
        }
        tables.renames = lines(RENAMES).filter_map(Rename::parse).collect();
        tables
    }

    /// The architectures of a class or a `model_type`; none where it is not known.
    pub(super) fn of_model(&self, model: &str) -> impl Iterator<Item = &Architecture> {
        let names = self.models.get(model).map(Vec::as_slice).unwrap_or_default();
        names.iter().filter_map(|name| self.architectures.get(name))
    }

    /// The GGUF name of a tensor that the converter has renamed already, in files of an architecture.
    pub(super) fn look_up(&self, architecture: &Architecture, name: &str) -> Option<String> {
        let suffixed = SUFFIXES.into_iter().filter_map(|suffix| Some((name.strip_suffix(suffix)?, suffix)));
        let mut ways = std::iter::once((name, "")).chain(suffixed);
        ways.find_map(|(module, suffix)| Some(self.module(architecture, module)? + suffix))
    }

    fn module(&self, architecture: &Architecture, module: &str) -> Option<String> {
        patterns_of(module)
            .filter_map(|(pattern, numbers)| {
                let (tensor, order) = self.tensor(architecture, &pattern)?;
                Some((order, filled(tensor, &numbers)))
            })
            .max_by_key(|&(order, _)| order)
            .map(|(_, name)| name)
    }

    /// What a pattern is in an architecture, and the line that says so.
    fn tensor(&self, architecture: &Architecture, pattern: &str) -> Option<(&'static str, usize)> {
        let lines = self.patterns.get(pattern).map(Vec::as_slice).unwrap_or_default().iter();
        let fits = |line: &&Line| match line.architecture {
            Some(only) => only == architecture.name,
            None => !self.replaced.contains(&(architecture.name, line.tensor)),
        };
        let named = lines.filter(fits).map(|line| (line.tensor, line.order));
        let second = format!("{pattern}{SECOND}");
        let itself = [pattern, &second].into_iter().filter_map(|name| self.tensors.get_key_value(name));
        let itself = itself.map(|(&tensor, &order)| (tensor, order));
        let known = named.chain(itself).filter(|(tensor, _)| architecture.tensors.contains(tensor));
        known.max_by_key(|&(_, order)| order)
    }
}

/// The lines that are no comments.
fn lines(text: &'static str) -> impl Iterator<Item = &'static str> {
    text.lines().map(str::trim_end).filter(|line| !line.is_empty() && !line.starts_with("# ") && *line != "#")
}

/// The patterns that a name fits, with the numbers that stand for `#` there: with any one number taken out, with all, and as
/// it is.
fn patterns_of(name: &str) -> impl Iterator<Item = (String, Vec<&str>)> {
    let places = numbers(name);
    let mut without: Vec<Vec<Range<usize>>> = places.iter().map(|place| vec![place.clone()]).collect();
    if places.len() > 1 {
        without.push(places);
    }
    without.push(Vec::new());
    without.into_iter().map(|taken| {
        let (mut pattern, mut end) = (String::new(), 0);
        for place in &taken {
            pattern += &name[end..place.start];
            pattern += NUMBER;
            end = place.end;
        }
        pattern += &name[end..];
        (pattern, taken.into_iter().map(|place| &name[place]).collect())
    })
}

/// Where the numbers in a name are.
fn numbers(name: &str) -> Vec<Range<usize>> {
    let mut places: Vec<Range<usize>> = Vec::new();
    for (at, _) in name.bytes().enumerate().filter(|(_, byte)| byte.is_ascii_digit()) {
        match places.last_mut().filter(|place| place.end == at) {
            Some(place) => place.end = at + 1,
            None => places.push(at..at + 1),
        }
    }
    places
}

/// Whether a part of a name is a number.
pub(super) fn is_number(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit())
}

/// A tensor's name with its numbers.
fn filled(tensor: &str, numbers: &[&str]) -> String {
    let tensor = tensor.strip_suffix(SECOND).unwrap_or(tensor);
    let mut pieces = tensor.split(NUMBER);
    let mut name = pieces.next().unwrap_or_default().to_owned();
    for (at, piece) in pieces.enumerate() {
        name += numbers.get(at).copied().unwrap_or(NUMBER);
        name += piece;
    }
    name
}

#[cfg(test)]
mod tests {
    use kurtoscope_checkpoint::model::{self, Component, Family};

    use super::*;

    #[test]
    fn every_line_has_its_columns() {
        for line in NAMES.into_iter().flat_map(lines) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            assert!(matches!(fields.len(), 2 | 3), "{line}");
            let numbers = |name: &str| name.matches(NUMBER).count();
            assert!(numbers(fields[0]) <= numbers(fields[1]), "{line}: a number has no source");
            assert!(fields.get(2).is_none_or(|name| TABLES.architectures.contains_key(name)), "{line}");
        }
        let architectures = lines(ARCHITECTURES).count();
        assert_eq!(TABLES.architectures.len(), architectures, "each once, with `: `");
        assert_eq!(TABLES.models.len(), lines(MODELS).count(), "each model once");
        assert_eq!(TABLES.renames.len(), lines(RENAMES).count(), "every rename parses");
    }

    #[test]
    fn every_architecture_that_is_named_exists() {
        for (model, architectures) in &TABLES.models {
            assert!(!architectures.is_empty(), "{model}");
            for name in architectures {
                assert!(TABLES.architectures.contains_key(name), "{model}: {name}");
            }
        }
        for rename in &TABLES.renames {
            for name in rename.architectures() {
                assert!(name == "text" || TABLES.architectures.contains_key(name), "{rename:?}");
            }
        }
    }

    #[test]
    fn every_line_is_used_by_some_architecture() {
        for line in NAMES.into_iter().flat_map(lines) {
            let tensor = line.split_whitespace().next().unwrap_or_default();
            assert!(TABLES.architectures.values().any(|known| known.tensors.contains(tensor)), "{tensor}");
        }
    }

    /// Of the names that GGUF files may have, few are of no component that the checkpoint knows, and all that are inside a layer
    /// have it. Generators of speech (`a.gen`) have modules of kinds of their own.
    #[test]
    fn files_of_every_architecture_get_components_and_layers() {
        let tensors: HashSet<&str> =
            TABLES.architectures.values().flat_map(|known| known.tensors.iter().copied()).collect();
        let tensors = tensors.into_iter().filter(|tensor| !tensor.starts_with("a.gen."));
        let names: Vec<String> = tensors.map(|tensor| filled(tensor, &["3", "1"]) + ".weight").collect();
        let naming = model::Naming::of(Family::Unknown, names.iter().map(String::as_str));
        let mut others = Vec::new();
        for name in &names {
            let identity = naming.identify(name, &[64, 64]);
            let is_inside = name.split('.').any(|part| part == "blk") || name.starts_with("convnext.");
            assert_eq!(identity.layer, is_inside.then_some(3).or(identity.layer), "{name}");
            if identity.component == Component::Other && !identity.buffer {
                others.push(name);
            }
        }
        assert!(names.len() > 450 && others.len() * 8 < names.len(), "{} of {}: {others:?}", others.len(), names.len());
    }

    #[test]
    fn patterns_take_numbers_out_one_by_one() {
        let patterns: Vec<_> = patterns_of("a.3.b.0").collect();
        let expected =
            [("a.#.b.0", vec!["3"]), ("a.3.b.#", vec!["0"]), ("a.#.b.#", vec!["3", "0"]), ("a.3.b.0", vec![])];
        assert_eq!(patterns, expected.map(|(pattern, numbers)| (pattern.to_owned(), numbers)));
    }
}

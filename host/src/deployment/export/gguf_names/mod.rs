//! The names that llama.cpp's converter gives to the tensors of a checkpoint, for every architecture that it has.
//!
//! The names are data: `text.txt` and `towers.txt` (what a module is called), `architectures.txt` (the tensors that an
//! architecture has), `models.txt` (which architecture a model is) and `renames.txt` (what happens to names first).
//! `tests/validation/gguf_names.py` holds them against the package `gguf` over all of its architectures.

mod rename;
mod tables;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value;
use thiserror::Error;

use kurtoscope_checkpoint::model::Family;
use rename::TOWERS;
use tables::{Architecture, TABLES, is_number};

/// A tensor's name in the GGUF file of its model.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum GgufName {
    /// Inside a layer: `blk`, 3 and `attn_q.weight`.
    Layer {
        /// The list of layers: `blk`, `enc.blk`, `v.blk`, ….
        list: String,
        /// The layer.
        layer: u32,
        /// The rest of the name, `.weight` included.
        inside: String,
    },
    /// Outside the layers.
    Outside(String),
}

impl GgufName {
    /// A name taken apart at its first number.
    fn new(name: String) -> Self {
        let parts: Vec<&str> = name.split('.').collect();
        let at = parts.iter().position(|part| is_number(part)).filter(|at| at + 1 < parts.len());
        match at.and_then(|at| Some((at, parts[at].parse().ok()?))) {
            Some((at, layer)) => Self::Layer { list: parts[..at].join("."), layer, inside: parts[at + 1..].join(".") },
            None => Self::Outside(name),
        }
    }
}

impl fmt::Display for GgufName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Layer { list, layer, inside } => write!(f, "{list}.{layer}.{inside}"),
            Self::Outside(name) => f.pad(name),
        }
    }
}

/// Why a tensor has no name in GGUF, as a sentence that follows its own.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Unnamed {
    /// The converter knows no such model.
    #[error("llama.cpp has no architecture for {model}")]
    Model {
        /// The family, or what config.json calls it.
        model: String,
    },
    /// The converter has no name for it in this architecture.
    #[error("llama.cpp's converter has no name for it in the architecture {architecture}")]
    Tensor {
        /// The architecture.
        architecture: String,
    },
    /// No architecture has a name for it.
    #[error("llama.cpp's converter has no name for it in any architecture, and config.json names none")]
    Anywhere,
    /// It goes to another file.
    #[error("it belongs to a vision or audio tower, which llama.cpp keeps in a file of its own (mmproj)")]
    Tower,
    /// Architectures disagree, and nothing says which one the model is.
    #[error("config.json does not say which architecture it is, and the name may be {}", names.join(" or "))]
    Ambiguous {
        /// Its names in different architectures.
        names: Vec<String>,
    },
}

/// What names the tensors of one model.
#[derive(Debug, Clone)]
pub struct Naming<'a> {
    /// The architectures that the model may be, asked in order; none where it is not known.
    architectures: Vec<&'static Architecture>,
    /// A model that llama.cpp has no architecture for.
    unknown: Option<String>,
    config: Option<&'a Value>,
}

impl<'a> Naming<'a> {
    /// For a model of this family and configuration: what the metadata of a GGUF file names goes first, then the class and the
    /// `model_type` of config.json, then the family.
    pub fn of(family: Family, config: Option<&'a Value>) -> Self {
        let text = |value: Option<&'a Value>| value.and_then(Value::as_str);
        let stated = config.and_then(|config| config.pointer("/gguf/general.architecture"));
        let classes = config.and_then(|config| config.get("architectures")).and_then(Value::as_array);
        let classes = classes.into_iter().flatten().filter_map(Value::as_str);
        let model_type = text(config.and_then(|config| config.get("model_type")));
        let of_file = text(stated).and_then(|name| TABLES.architectures.get(name));
        let mut architectures: Vec<_> = of_file.into_iter().collect();
        for model in classes.clone().chain(model_type).chain(of_family(family)) {
            let new = TABLES.of_model(model).filter(|new| architectures.iter().all(|known| known.name != new.name));
            architectures.extend(new.collect::<Vec<_>>());
        }
        let named = classes.chain(model_type).next();
        let family = matches!(family, Family::Opt | Family::Xglm).then(|| format!("the family {family}"));
        // Names in a GGUF file are GGUF's own, whatever the architecture.
        let unknown = family.or(named.map(str::to_owned)).filter(|_| architectures.is_empty() && stated.is_none());
        Self { architectures, unknown, config }
    }

    /// For files of an architecture of llama.cpp; `None` where there is none of this name.
    pub fn of_architecture(name: &str) -> Option<Self> {
        let architecture = TABLES.architectures.get(name)?;
        Some(Self { architectures: vec![architecture], unknown: None, config: None })
    }

    /// The tensor's name in GGUF; several where the converter splits it.
    ///
    /// # Errors
    /// Why it has none.
    pub fn names(&self, tensor: &str) -> Result<Vec<GgufName>, Unnamed> {
        let found = |architecture: &&'static Architecture| self.converted(architecture, tensor);
        if let Some(names) = self.architectures.iter().find_map(found) {
            return Ok(names.into_iter().map(GgufName::new).collect());
        }
        if let Some(model) = &self.unknown {
            return Err(Unnamed::Model { model: model.clone() });
        }
        if TABLES.architectures.get(TOWERS).is_some_and(|towers| TABLES.look_up(towers, tensor).is_some()) {
            return Err(Unnamed::Tower);
        }
        match self.architectures.first() {
            Some(architecture) => Err(Unnamed::Tensor { architecture: architecture.name.to_owned() }),
            None => self.agreed(tensor),
        }
    }

    /// The name of a tensor as the table has it, without what the converter does before.
    pub fn in_table(&self, tensor: &str) -> Option<GgufName> {
        self.architectures.iter().find_map(|known| TABLES.look_up(known, tensor)).map(GgufName::new)
    }

    /// The name that all architectures with such a tensor give it.
    fn agreed(&self, tensor: &str) -> Result<Vec<GgufName>, Unnamed> {
        let text = TABLES.architectures.values().filter(|known| known.name != TOWERS);
        let names: BTreeSet<Vec<String>> = text.filter_map(|known| self.converted(known, tensor)).collect();
        let mut each = names.iter();
        match (each.next(), each.next()) {
            (None, _) => Err(Unnamed::Anywhere),
            (Some(names), None) => Ok(names.iter().cloned().map(GgufName::new).collect()),
            _ => Err(Unnamed::Ambiguous { names: names.iter().map(|names| names.join(" and ")).collect() }),
        }
    }

    /// What the converter makes of a name in an architecture.
    fn converted(&self, architecture: &Architecture, tensor: &str) -> Option<Vec<String>> {
        let key = |key: &str| self.config.and_then(|config| config.get(key)).and_then(Value::as_u64);
        let layers = key("num_hidden_layers").or_else(|| key("n_layer"));
        let mut names = vec![tensor.to_owned()];
        for rename in TABLES.renames.iter().filter(|rename| rename.is_for(architecture, self.config)) {
            let renamed = |name: String| rename.apply(&name, layers).unwrap_or_else(|| vec![name]);
            names = names.into_iter().flat_map(renamed).collect();
        }
        let found: Option<Vec<String>> = names.iter().map(|name| TABLES.look_up(architecture, name)).collect();
        found.or_else(|| TABLES.look_up(architecture, tensor).map(|name| vec![name]))
    }
}

/// The `model_type` that stands for a family that its tensors alone tell.
fn of_family(family: Family) -> Option<&'static str> {
    match family {
        Family::Opt | Family::Xglm | Family::Unknown => None,
        family => Some(family.name()),
    }
}

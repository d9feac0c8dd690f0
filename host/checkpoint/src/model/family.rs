//! The model families that Kurtoscope recognises by their configuration or their tensors' names.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::config::model_type;
use super::path::Path;
use super::tower;

/// An architecture family: models of one family share names and layouts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// OPT.
    Opt,
    /// BLOOM.
    Bloom,
    /// GPT-2.
    Gpt2,
    /// GPT-NeoX, which Pythia uses.
    GptNeox,
    /// XGLM.
    Xglm,
    /// LLaMA and what shares its names: SmolLM, Mistral, Gemma, Qwen.
    Llama,
    /// BERT and what shares its names: MiniLM, RoBERTa.
    Bert,
    /// None of the above.
    Unknown,
}

impl Family {
    /// The name in reports and files: `gpt_neox`, …
    pub const fn name(self) -> &'static str {
        match self {
            Self::Opt => "opt",
            Self::Bloom => "bloom",
            Self::Gpt2 => "gpt2",
            Self::GptNeox => "gpt_neox",
            Self::Xglm => "xglm",
            Self::Llama => "llama",
            Self::Bert => "bert",
            Self::Unknown => "unknown",
        }
    }

    /// The family of a model with these tensors and this configuration.
    ///
    /// The configuration's `model_type` decides where it is known, unless the names are those of another family. Without
    /// it the names decide; names that fit no family, or several, give [`Family::Unknown`].
    pub fn recognise<'a>(names: impl Iterator<Item = &'a str> + Clone, config: Option<&Value>) -> Self {
        let marks = Marks::of(names);
        match model_type(config).map(Declared::from) {
            Some(Declared::Lookalike) => Self::Unknown,
            Some(Declared::Known(family)) if marks.allow(family) => family,
            _ => marks.family(),
        }
    }
}

impl std::fmt::Display for Family {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// What a `model_type` says about the family.
enum Declared {
    Known(Family),
    /// Shares names with a family but not its layout: its names must not decide.
    Lookalike,
    Unrecognised,
}

impl From<&str> for Declared {
    fn from(model_type: &str) -> Self {
        Self::Known(match model_type {
            "opt" => Family::Opt,
            "bloom" => Family::Bloom,
            "gpt2" => Family::Gpt2,
            "gpt_neox" => Family::GptNeox,
            "xglm" => Family::Xglm,
            "llama" | "mistral" | "gemma" | "gemma2" | "gemma3" | "gemma3_text" | "qwen2" | "qwen3" | "smollm3" => {
                Family::Llama
            }
            "bert" | "roberta" | "xlm-roberta" | "camembert" | "electra" => Family::Bert,
            // Falcon fuses q, k and v by groups of heads under BLOOM's names; BigCode and ChatGLM share a key and value
            // between heads under those of GPT-2 and NeoX.
            "falcon" | "RefinedWeb" | "RefinedWebModel" | "gpt_bigcode" | "chatglm" => return Self::Lookalike,
            _ => return Self::Unrecognised,
        })
    }
}

/// The modules seen that distinguish families, each by its exact path inside a layer where it has one.
#[derive(Default)]
struct Marks {
    c_attn: bool,
    c_fc: bool,
    bloom_qkv: bool,
    embedding_norm: bool,
    neox_qkv: bool,
    h_to_4h: bool,
    out_proj: bool,
    fc1: bool,
    encoder: bool,
    decoder: bool,
    learned_positions: bool,
    sinusoidal_positions: bool,
    layer_norm: bool,
    o_proj: bool,
    q_proj: bool,
    gate_proj: bool,
    query: bool,
    intermediate: bool,
}

impl Marks {
    fn of<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let mut marks = Self::default();
        for name in names {
            let path = Path::new(name);
            // A tower for images or sound has layers of another family, or those of this one twice.
            if tower::is_of_another_modality(&path) {
                continue;
            }
            let layer = |module: &str| path.is_layer_weight(module);
            let top = |module: &str| path.layer.is_none() && path.last() == module;
            marks.c_attn |= layer("attn.c_attn");
            marks.c_fc |= layer("mlp.c_fc");
            marks.bloom_qkv |= layer("self_attention.query_key_value");
            marks.embedding_norm |= top("word_embeddings_layernorm");
            marks.neox_qkv |= layer("attention.query_key_value");
            marks.h_to_4h |= layer("mlp.dense_h_to_4h");
            marks.out_proj |= layer("self_attn.out_proj");
            marks.fc1 |= layer("fc1");
            marks.encoder |= path.prefix.contains(&"encoder");
            marks.decoder |= path.prefix.contains(&"decoder");
            marks.learned_positions |= top("embed_positions") && matches!(path.leaf, "weight" | "embedding");
            marks.sinusoidal_positions |= top("embed_positions") && path.leaf == "weights";
            marks.layer_norm |= top("layer_norm");
            marks.o_proj |= layer("self_attn.o_proj");
            marks.q_proj |= layer("self_attn.q_proj");
            marks.gate_proj |= layer("mlp.gate_proj");
            marks.query |= layer("attention.self.query");
            marks.intermediate |= layer("intermediate.dense");
        }
        marks
    }

    /// Whether the layers are named as this family names them.
    fn fits(&self, family: Family) -> bool {
        match family {
            Family::Gpt2 => self.c_attn && self.c_fc,
            Family::Bloom => self.bloom_qkv && self.h_to_4h,
            Family::GptNeox => self.neox_qkv && self.h_to_4h,
            // An encoder beside them makes it BART, Whisper or another relative.
            Family::Opt | Family::Xglm => self.out_proj && self.fc1 && !self.encoder,
            Family::Llama => self.o_proj && self.q_proj && self.gate_proj,
            Family::Bert => self.query && self.intermediate,
            Family::Unknown => false,
        }
    }

    /// Whether the names, which may be only a part of the model's, do not indicate another family.
    fn allow(&self, family: Family) -> bool {
        self.fits(family) || self.family() == Family::Unknown
    }

    /// The one family that the names alone determine.
    fn family(&self) -> Family {
        let mut fitting =
            [Family::Gpt2, Family::Bloom, Family::GptNeox, Family::Opt, Family::Xglm, Family::Llama, Family::Bert]
                .into_iter()
                .filter(|&family| self.fits(family) && self.confirms(family));
        match (fitting.next(), fitting.next()) {
            (Some(family), None) => family,
            _ => Family::Unknown,
        }
    }

    /// What it takes beyond the layers' names to distinguish a family from its relatives.
    fn confirms(&self, family: Family) -> bool {
        let opt = self.learned_positions || self.decoder;
        match family {
            // Falcon, which has no such norm, shares BLOOM's layers.
            Family::Bloom => self.embedding_norm,
            Family::Opt => opt,
            Family::Xglm => !opt && (self.sinusoidal_positions || self.layer_norm),
            _ => true,
        }
    }
}

#[cfg(test)]
#[path = "family_tests.rs"]
mod tests;

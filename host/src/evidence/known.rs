//! The names that facts may have, with what each means and which kind of value it takes: one list for the built-in
//! table, for `config.json`, for GGUF metadata and for the user's own file.

use super::FactValue;

/// The beginning of names that users may make up for facts of their own.
pub const OWN: &str = "user.";

/// What kind of value a fact has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FactKind {
    /// A number.
    Number,
    /// A word.
    Text,
    /// Yes or no.
    Flag,
}

impl FactKind {
    /// Whether a value is of this kind.
    pub fn fits(self, value: &FactValue) -> bool {
        matches!(
            (self, value),
            (Self::Number, FactValue::Number(_)) | (Self::Text, FactValue::Text(_)) | (Self::Flag, FactValue::Flag(_))
        )
    }

    /// How errors call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Number => "a number",
            Self::Text => "a text",
            Self::Flag => "true or false",
        }
    }
}

/// A fact's name, kind and meaning.
#[derive(Debug, Clone, Copy)]
pub struct KnownFact {
    /// `training.precision`, …
    pub name: &'static str,
    /// What values it takes.
    pub kind: FactKind,
    /// What it says, for the reports' list of facts.
    pub meaning: &'static str,
    /// The keys of `config.json` that say it, in the order in which they are tried; none for facts that it cannot say.
    pub keys: &'static [&'static str],
}

/// Every fact that has a meaning here.
pub const KNOWN: &[KnownFact] = &[
    known(
        "config.attention_dropout",
        FactKind::Number,
        "dropout on attention weights, as config.json states it",
        &["attention_dropout", "attn_pdrop", "attention_probs_dropout_prob"],
    ),
    known(
        "config.hidden_dropout",
        FactKind::Number,
        "dropout on hidden states, as config.json states it",
        &["hidden_dropout", "resid_pdrop", "hidden_dropout_prob", "dropout"],
    ),
    known(
        "config.softmax_in_fp32",
        FactKind::Flag,
        "softmax of attention in 32 bits, as config.json states it",
        &["attention_softmax_in_fp32"],
    ),
    known("config.stored_type", FactKind::Text, "type of the stored weights", &["torch_dtype", "dtype"]),
    known("config.hidden_size", FactKind::Number, "width of the hidden state", &["hidden_size", "n_embd", "d_model"]),
    known("config.layers", FactKind::Number, "number of layers", &["num_hidden_layers", "n_layer", "num_layers"]),
    known(
        "config.heads",
        FactKind::Number,
        "attention heads in a layer",
        &["num_attention_heads", "n_head", "n_heads", "attention_heads"],
    ),
    known("config.vocabulary", FactKind::Number, "entries of the vocabulary", &["vocab_size"]),
    known(
        "config.context_length",
        FactKind::Number,
        "tokens that the model was made to see at once",
        &["max_position_embeddings", "n_positions", "n_ctx", "seq_length"],
    ),
    known(
        "config.initializer_range",
        FactKind::Number,
        "standard deviation of the initial weights, as config.json states it",
        &["initializer_range", "init_std"],
    ),
    known("training.attention_dropout", FactKind::Number, "dropout on attention weights during training", &[]),
    known("training.hidden_dropout", FactKind::Number, "dropout on hidden states during training", &[]),
    known("training.precision", FactKind::Text, "arithmetic of the training run: fp16, bf16, fp32", &[]),
    known("training.batch_size", FactKind::Number, "tokens in a training step, once ramped up", &[]),
    known("training.optimizer", FactKind::Text, "optimiser of the training run", &[]),
    known("training.weight_decay", FactKind::Number, "weight decay of the training run", &[]),
    known("training.gradient_clipping", FactKind::Number, "norm at which gradients were clipped", &[]),
    known("training.initialization", FactKind::Text, "how the weights were initialised", &[]),
    known("model.language", FactKind::Text, "english or multilingual", &[]),
    known("model.languages", FactKind::Number, "how many natural languages the training data has", &[]),
    known("model.architecture", FactKind::Text, "llama.cpp's name for the architecture", &[]),
    known("model.name", FactKind::Text, "what its makers call it", &[]),
    known("model.author", FactKind::Text, "who made it", &[]),
    known("model.organization", FactKind::Text, "the organisation that made it", &[]),
    known("model.version", FactKind::Text, "its version", &[]),
    known("model.finetune", FactKind::Text, "what it was trained further for: instruct, chat, …", &[]),
    known("model.base_model", FactKind::Text, "the model that it was trained further from", &[]),
    known("model.size_label", FactKind::Text, "its size in a word: 7B, 8x7B", &[]),
    known("model.license", FactKind::Text, "its licence", &[]),
    known("model.quantized_by", FactKind::Text, "who quantized the file", &[]),
    known("model.quantization_version", FactKind::Number, "version of ggml's quantization formats", &[]),
    known("model.file_type", FactKind::Text, "what most matrices of the GGUF file are stored in", &[]),
    known("model.positions", FactKind::Text, "how positions enter: learned, alibi, rotary, sinusoidal", &[]),
    known("model.norm_placement", FactKind::Text, "layer norm before (pre) or after (post) each block", &[]),
];

const fn known(name: &'static str, kind: FactKind, meaning: &'static str, keys: &'static [&'static str]) -> KnownFact {
    KnownFact { name, kind, meaning, keys }
}

/// The fact of this name.
pub fn find(name: &str) -> Option<&'static KnownFact> {
    KNOWN.iter().find(|known| known.name == name)
}

/// The known name that is nearest to a misspelt one, where one is near enough to be meant.
pub fn nearest(name: &str) -> Option<&'static str> {
    let (distance, nearest) = KNOWN.iter().map(|known| (distance(name, known.name), known.name)).min()?;
    (distance <= 3 || distance * 4 <= name.chars().count()).then_some(nearest)
}

/// Levenshtein's distance of two short texts.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (place, from) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], place + 1);
        for (column, to) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(from != *to);
            diagonal = row[column + 1];
            row[column + 1] = substituted.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelt_names_find_their_neighbour() {
        assert_eq!(nearest("training.precison"), Some("training.precision"));
        assert_eq!(nearest("training.attention_droput"), Some("training.attention_dropout"));
        assert_eq!(nearest("tokenizer"), None);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
    }

    #[test]
    fn names_are_unique_and_in_a_namespace() {
        for (place, known) in KNOWN.iter().enumerate() {
            let (space, rest) = known.name.split_once('.').expect("a namespace");
            assert!(["config", "training", "model"].contains(&space) && !rest.contains('.'), "{}", known.name);
            assert!(KNOWN[..place].iter().all(|other| other.name != known.name), "{} twice", known.name);
            assert_eq!(known.keys.is_empty(), space != "config", "{}", known.name);
        }
    }
}

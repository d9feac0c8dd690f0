//! The model families that Kurtoscope knows by their tensors' names.

use serde::{Deserialize, Serialize};

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

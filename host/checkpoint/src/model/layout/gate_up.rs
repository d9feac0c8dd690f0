//! How families order the gate and the first projection of a feed-forward block where both are one tensor.
//!
//! The part that passes through the activation is called the gate here, as in LLaMA, whatever a family's own code calls it. Paths are
//! inside Hugging Face's transformers (`src/transformers/models/…`) unless another project is named.

use super::super::component::Component;
use super::super::config::Configuration;
use super::turns::{Share, Turns};
use super::{Projection, ends_with};

/// An order of gate and first projection along the axis of the outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// The gate's outputs, then the others.
    GateFirst,
    /// The other way round.
    UpFirst,
    /// By turns: a gate's output, the other's, ….
    Interleaved,
}

/// How a module of this name is known to hold both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fused {
    /// By its name.
    Always,
    /// It is twice as wide as the configuration states the block to be; others of this name hold one matrix.
    IfTwiceAsWide,
}

/// A module, the `model_type`s that store it so (any where there are none), and the order. The first that fits decides.
struct Rule {
    module: &'static str,
    model_types: &'static [&'static str],
    fused: Fused,
    order: Order,
}

const fn always(module: &'static str, model_types: &'static [&'static str], order: Order) -> Rule {
    Rule { module, model_types, fused: Fused::Always, order }
}

const fn if_wide(module: &'static str, model_types: &'static [&'static str]) -> Rule {
    Rule { module, model_types, fused: Fused::IfTwiceAsWide, order: Order::GateFirst }
}

const RULES: &[Rule] = &[
    // gpt_oss/modeling_gpt_oss.py, GptOssExperts._apply_gate: [..., ::2] and [..., 1::2]
    always("gate_up_proj", &["gpt_oss"], Order::Interleaved),
    // phi4_multimodal/modeling_phi4_multimodal.py, Phi4MultimodalAudioMLP.forward
    always("gate_up_proj", &["phi4_multimodal_audio"], Order::UpFirst),
    // Every other class of this attribute: `gate, up = ….chunk(2, dim=-1)`, as in phi3, glm, glm4, zamba2, llama4, qwen3_moe
    always("gate_up_proj", &[], Order::GateFirst),
    // gguf-py, gguf/tensor_mapping.py, FFN_GATE_UP_EXP: transformers' stack as it is
    always("ffn_gate_up_exps", &[], Order::GateFirst),
    // modernbert/modeling_modernbert.py, ModernBertMLP.forward; modernbert_decoder likewise
    always("mlp.Wi", &["modernbert", "modernbert-decoder"], Order::GateFirst),
    // conversion_mapping.py, "gte"
    always("up_gate_proj", &["new", "gte"], Order::UpFirst),
    // granitemoe/modeling_granitemoe.py, GraniteMoeMoE.forward; granitemoeshared, granitemoehybrid likewise, for shared_mlp too
    always("block_sparse_moe.input_linear", GRANITE, Order::GateFirst),
    always("shared_mlp.input_linear", GRANITE, Order::GateFirst),
    // jetmoe/modeling_jetmoe.py, JetMoeMoE.forward
    always("mlp.input_linear", &["jetmoe"], Order::GateFirst),
    // aria/modeling_aria.py, AriaGroupedExpertsMLP.forward
    always("experts.fc1", &["aria", "aria_text"], Order::GateFirst),
    // THUDM's modeling_chatglm.py, MLP.forward (ChatGLM2 and 3)
    if_wide("dense_h_to_4h", &["chatglm"]),
    // gguf-py, gguf/tensor_mapping.py, FFN_UP: these architectures' fused tensor as it is
    if_wide("ffn_up", &["phi3", "chatglm", "glm4", "modern-bert"]),
];

const GRANITE: &[&str] = &["granitemoe", "granitemoeshared", "granitemoehybrid"];

/// Modules that hold both in every family that has them, though only some orders are known.
const FUSED: &[&str] = &["gate_up_proj", "up_gate_proj", "ffn_gate_up_exps", "mlp.Wi"];

/// What is known of a tensor that may hold both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// It holds one matrix.
    Single,
    /// It holds both, in this order.
    Fused(Order),
    /// It holds both, in an order that is not known.
    Unordered,
}

/// What is known of a projection with so many outputs, or of its bias.
pub(super) fn known(projection: &Projection<'_>, configuration: &Configuration<'_>, outputs: Option<u64>) -> Known {
    let module = &projection.module();
    let applies = |rule: &&Rule| {
        let for_type = rule.model_types.is_empty() || configuration.is_one_of(rule.model_types);
        ends_with(module, rule.module) && for_type
    };
    // GGUF files order it by their format's own rule; elsewhere no configuration means no family.
    let says = configuration.is_known() || ends_with(module, "ffn_gate_up_exps");
    if let Some(rule) = RULES.iter().filter(|_| says).find(applies) {
        let intermediates = configuration.intermediates();
        let is_wide =
            || outputs.is_some_and(|outputs| intermediates.iter().any(|width| width.checked_mul(2) == Some(outputs)));
        return match rule.fused {
            Fused::IfTwiceAsWide if !is_wide() => Known::Single,
            Fused::Always if is_contradicted(module, outputs, &intermediates) => Known::Unordered,
            _ => Known::Fused(rule.order),
        };
    }
    let is_fused = projection.component == Component::MlpGateUp || FUSED.iter().any(|ending| ends_with(module, ending));
    if is_fused { Known::Unordered } else { Known::Single }
}

/// Whether a configuration that states widths states none that fits. Those of shared experts, and of experts in GGUF files,
/// are not among them.
fn is_contradicted(module: &[&str], outputs: Option<u64>, intermediates: &[u64]) -> bool {
    let is_unstated = module.iter().any(|part| part.contains("shared")) || ends_with(module, "ffn_gate_up_exps");
    let fits = |outputs| intermediates.iter().any(|width| width.checked_mul(2) == Some(outputs));
    !is_unstated && !intermediates.is_empty() && outputs.is_some_and(|outputs| !fits(outputs))
}

impl Order {
    /// The turns of an axis of `lines`; `None` where it cannot be halved.
    pub(super) fn turns(self, lines: u64) -> Option<Turns> {
        let half = lines.checked_div(2).filter(|half| half * 2 == lines && *half > 0)?;
        let gate = |lines| Share { label: "gate", component: Component::MlpGate, lines };
        let up = |lines| Share { label: "up", component: Component::MlpUp, lines };
        Some(match self {
            Self::GateFirst => Turns::once(vec![gate(half), up(half)]),
            Self::UpFirst => Turns::once(vec![up(half), gate(half)]),
            Self::Interleaved => Turns { shares: vec![gate(1), up(1)], repeats: half },
        })
    }
}

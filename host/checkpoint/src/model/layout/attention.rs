//! How families order the queries, keys and values of a fused projection.
//!
//! Orders are facts of the families' own code, named beside each line. Paths are inside Hugging Face's transformers
//! (`src/transformers/models/…`) unless another project is named.

use super::super::component::Component;
use super::super::config::Configuration;
use super::super::family::Family;
use super::turns::{Axis, Share, Turns};
use super::{Projection, ends_with};

/// An order of queries, keys and values along the axis of the outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// As many of each: all queries, all keys, all values.
    Thirds,
    /// The queries of all heads, then keys, then values of all key-value heads.
    Blocks { heads: u64, key_value_heads: u64 },
    /// For each key-value head the queries of its heads, its key, its value.
    Groups { heads: u64, key_value_heads: u64 },
    /// Four times a quarter of the queries, of the values, of the keys.
    Quarters,
    /// For each head its key and its value, as latent attention expands them; without queries.
    KeyValue { heads: u64, key: u64, value: u64 },
}

/// What a family's configuration makes of a fused projection.
type Rule = fn(&Configuration<'_>) -> Option<Order>;

/// The module, the `model_type`s, and the order in which they store it.
const RULES: &[(&str, &[&str], Rule)] = &[
    // phi3/modeling_phi3.py, Phi3Attention.forward; phi4_multimodal/modeling_phi4_multimodal.py
    ("qkv_proj", &["phi3", "phi3_v", "phi4mm", "phi4_multimodal"], blocks),
    // codegen/modeling_codegen.py, CodeGenAttention.forward: mp_num = 4, "query, value, key"
    ("qkv_proj", &["codegen"], quarters),
    // minimax/modeling_minimax.py, MiniMaxLightningAttention.forward
    ("qkv_proj", &["minimax"], heads_alone),
    // conversion_mapping.py, "gte"
    ("qkv_proj", &["new", "gte"], thirds),
    // bloom/modeling_bloom.py, BloomAttention._reshape; gpt_neox/modeling_gpt_neox.py, GPTNeoXAttention.forward;
    // persimmon/modeling_persimmon.py, PersimmonAttention._split_heads
    ("query_key_value", &["bloom", "gpt_neox", "gpt_neox_japanese", "persimmon", "fuyu"], heads_alone),
    // falcon/modeling_falcon.py, FalconAttention._split_heads; convert_custom_code_checkpoint.py for the older names
    ("query_key_value", &["falcon", "RefinedWeb", "RefinedWebModel"], falcon),
    // THUDM's modeling_chatglm.py, SelfAttention.forward
    ("query_key_value", &["chatglm"], chatglm),
    // conversion_mapping.py, "sarvam_moe"
    ("query_key_value", &["sarvam_moe"], blocks),
    // gpt_bigcode/modeling_gpt_bigcode.py, GPTBigCodeAttention.forward
    ("c_attn", &["gpt_bigcode"], gpt_bigcode),
    // Qwen's modeling_qwen.py, QWenAttention.forward
    ("c_attn", &["qwen"], thirds),
    // Baichuan's modeling_baichuan.py, Attention.forward
    ("W_pack", &["baichuan"], thirds),
    // MosaicML's llm-foundry, llmfoundry/models/layers/attention.py, get_qkv; mpt/modeling_mpt.py
    ("Wqkv", &["mpt"], mpt),
    // dbrx/modeling_dbrx.py, DbrxAttention.forward
    ("Wqkv", &["dbrx"], dbrx),
    // modernbert/modeling_modernbert.py, ModernBertAttention.forward; conversion_mapping.py, "nomic_bert"
    ("Wqkv", &["modernbert", "nomic_bert"], thirds),
    // InternLM's modeling_internlm2.py, InternLM2Attention.forward: 'b q (h gs d) -> b q h gs d'
    ("wqkv", &["internlm2"], groups),
    // deberta/modeling_deberta.py, DisentangledSelfAttention.forward
    ("in_proj", &["deberta"], heads_alone),
    // layoutlmv2/modeling_layoutlmv2.py, LayoutLMv2SelfAttention.compute_qkv
    ("qkv_linear", &["layoutlmv2"], thirds),
    // Vision transformers by themselves: `reshape(…, 3, heads, -1)` in each one's modeling file
    (
        "attn.qkv",
        &["blip_vision_model", "blip_2_vision_model", "got_ocr2_vision", "hiera", "sam", "sam_vision_model", "vitdet"],
        thirds,
    ),
    ("attention.qkv", &["timesformer"], thirds),
];

/// The parts of a fused projection whose outputs run along an axis of `lines`, or along that of its bias. `None` where
/// nothing says how they are ordered, or where their sizes contradict the configuration.
pub(super) fn turns(projection: &Projection<'_>, axis: Axis) -> Option<Turns> {
    let configuration = Configuration::of(projection.config, projection.name);
    let (lines, inputs) = match *projection.shape {
        [rows, columns] if axis == Axis::Rows => (rows, Some(columns)),
        [rows, columns] => (columns, Some(rows)),
        [elements] => (elements, None),
        _ => return None,
    };
    order(projection, &configuration)?.turns(lines, inputs, &configuration)
}

/// Whether a projection of keys and values holds both side by side, and not something that both are made of.
pub(super) fn holds_keys_and_values(projection: &Projection<'_>) -> bool {
    let module = projection.module();
    LATENT.iter().any(|ending| ends_with(&module, ending))
}

/// deepseek_v3/modeling_deepseek_v3.py, DeepseekV3Attention.forward; gguf-py, gguf/tensor_mapping.py, ATTN_KV_B
const LATENT: &[&str] = &["kv_b_proj", "wkv_b", "attn_kv_b"];

/// The order in which the family of a projection stores it.
fn order(projection: &Projection<'_>, configuration: &Configuration<'_>) -> Option<Order> {
    let module = &projection.module();
    let has = |ending: &str| ends_with(module, ending);
    // torch/nn/modules/activation.py: MultiheadAttention has this parameter only where all three are equally large.
    if has("in_proj_weight") || has("in_proj_bias") {
        return Some(Order::Thirds);
    }
    if holds_keys_and_values(projection) {
        let key = configuration.number(&["qk_nope_head_dim"])?;
        let value = configuration.number(&["v_head_dim"])?;
        return Some(Order::KeyValue { heads: configuration.heads()?, key, value });
    }
    let found = RULES.iter().find(|(ending, types, _)| has(ending) && configuration.is_one_of(types));
    if let Some((_, _, rule)) = found {
        return rule(configuration);
    }
    let is_family = |family: Family| projection.family == family;
    if has("attn_qkv") {
        // llama.cpp, src/llama-graph.cpp, build_qkv; its Persimmon keeps the order of the original.
        let per_head = configuration.is_one_of(&["persimmon"]);
        let is_square = is_family(Family::Gpt2) || is_family(Family::Bloom) || is_family(Family::GptNeox);
        return match configuration.heads() {
            Some(_) if per_head => heads_alone(configuration),
            Some(_) => blocks(configuration),
            None => is_square.then_some(Order::Thirds),
        };
    }
    // Every vision tower in transformers that calls it so, exaone4_5/modeling_exaone4_5.py the only one with fewer keys.
    if has("qkv") && configuration.is_vision && configuration.is_known() {
        return configuration.key_value_heads().map_or(Some(Order::Thirds), |_| blocks(configuration));
    }
    match projection.family {
        // gpt2/modeling_gpt2.py, GPT2Attention.forward
        Family::Gpt2 if has("c_attn") => Some(Order::Thirds),
        Family::Bloom | Family::GptNeox if has("query_key_value") => heads_alone(configuration),
        _ => None,
    }
}

fn thirds(_: &Configuration<'_>) -> Option<Order> {
    Some(Order::Thirds)
}

fn quarters(_: &Configuration<'_>) -> Option<Order> {
    Some(Order::Quarters)
}

/// Without a number of their own, there are as many keys and values as heads.
fn blocks(configuration: &Configuration<'_>) -> Option<Order> {
    let heads = configuration.heads()?;
    Some(Order::Blocks { heads, key_value_heads: configuration.key_value_heads().unwrap_or(heads) })
}

fn groups(configuration: &Configuration<'_>) -> Option<Order> {
    let heads = configuration.heads()?;
    Some(Order::Groups { heads, key_value_heads: configuration.key_value_heads().unwrap_or(heads) })
}

fn heads_alone(configuration: &Configuration<'_>) -> Option<Order> {
    let heads = configuration.heads()?;
    Some(Order::Groups { heads, key_value_heads: heads })
}

fn falcon(configuration: &Configuration<'_>) -> Option<Order> {
    let heads = configuration.heads()?;
    // Configurations of the first code have no flag; the number of key-value heads is there in the new architecture alone.
    let is_new = configuration.flag("new_decoder_architecture");
    if is_new.unwrap_or(configuration.number(&["n_head_kv"]).is_some()) {
        return groups(configuration);
    }
    if configuration.flag("multi_query").unwrap_or(true) {
        return Some(Order::Blocks { heads, key_value_heads: 1 });
    }
    heads_alone(configuration)
}

fn gpt_bigcode(configuration: &Configuration<'_>) -> Option<Order> {
    if configuration.flag("multi_query").unwrap_or(true) {
        return Some(Order::Blocks { heads: configuration.heads()?, key_value_heads: 1 });
    }
    heads_alone(configuration)
}

fn chatglm(configuration: &Configuration<'_>) -> Option<Order> {
    if configuration.flag("multi_query_attention") == Some(true) {
        let key_value_heads = configuration.number(&["multi_query_group_num"])?;
        return Some(Order::Blocks { heads: configuration.heads()?, key_value_heads });
    }
    heads_alone(configuration)
}

fn mpt(configuration: &Configuration<'_>) -> Option<Order> {
    let heads = configuration.heads()?;
    let is_multi_query = configuration.inner_text("attn_config", "attn_type") == Some("multiquery_attention");
    let stated = configuration.inner_number("attn_config", "kv_n_heads").or(is_multi_query.then_some(1));
    Some(Order::Blocks { heads, key_value_heads: stated.unwrap_or(heads) })
}

fn dbrx(configuration: &Configuration<'_>) -> Option<Order> {
    // DbrxAttentionConfig: 1 where it is not stated.
    let key_value_heads = configuration.inner_number("attn_config", "kv_n_heads").unwrap_or(1);
    Some(Order::Blocks { heads: configuration.heads()?, key_value_heads })
}

impl Order {
    /// The turns of an axis of `lines`; `inputs` is the length of the other axis, which a bias does not have.
    fn turns(self, lines: u64, inputs: Option<u64>, configuration: &Configuration<'_>) -> Option<Turns> {
        match self {
            Self::Thirds => {
                let third = lines.checked_div(3).filter(|third| third * 3 == lines)?;
                let fits = inputs.is_none_or(|inputs| inputs == third) || stated_width(configuration) == Some(third);
                let shares_keys =
                    configuration.key_value_heads().zip(configuration.heads()).is_some_and(|(k, q)| k < q);
                (fits && !shares_keys).then(|| Turns::once(qkv([third; 3])))
            }
            Self::Quarters => {
                let quarter = lines.checked_div(12).filter(|quarter| quarter * 12 == lines)?;
                let [query, key, value] = qkv([quarter; 3])[..] else { return None };
                Some(Turns { shares: vec![query, value, key], repeats: 4 })
            }
            Self::KeyValue { heads, key, value } => {
                let [_, key, value] = qkv([1, key, value])[..] else { return None };
                Some(Turns { shares: vec![key, value], repeats: heads })
            }
            Self::Blocks { heads, key_value_heads } => {
                let channels = head_dim(lines, heads, key_value_heads, configuration)?;
                let shared = key_value_heads.checked_mul(channels)?;
                Some(Turns::once(qkv([heads.checked_mul(channels)?, shared, shared])))
            }
            Self::Groups { heads, key_value_heads } => {
                let channels = head_dim(lines, heads, key_value_heads, configuration)?;
                let in_group = heads.checked_div(key_value_heads).filter(|each| each * key_value_heads == heads)?;
                let shares = qkv([in_group.checked_mul(channels)?, channels, channels]);
                Some(Turns { shares, repeats: key_value_heads })
            }
        }
    }
}

/// The width of all heads together, where the configuration states it.
fn stated_width(configuration: &Configuration<'_>) -> Option<u64> {
    configuration.heads()?.checked_mul(configuration.head_dim()?)
}

/// The channels of a head in a projection of `lines` outputs; `None` where that is no whole number, or another than the
/// configuration states or follows from its width.
fn head_dim(lines: u64, heads: u64, key_value_heads: u64, configuration: &Configuration<'_>) -> Option<u64> {
    let all = heads.checked_add(key_value_heads.checked_mul(2)?)?;
    let found = lines.checked_div(all).filter(|&found| found > 0 && found * all == lines)?;
    let expected = match (configuration.head_dim(), configuration.hidden()) {
        (Some(stated), _) => stated,
        (None, Some(hidden)) => hidden.checked_div(heads).filter(|channels| channels * heads == hidden)?,
        (None, None) => found,
    };
    (found == expected).then_some(found)
}

/// So many lines of queries, keys and values.
fn qkv([query, key, value]: [u64; 3]) -> Vec<Share> {
    vec![
        Share { label: "q", component: Component::AttentionQuery, lines: query },
        Share { label: "k", component: Component::AttentionKey, lines: key },
        Share { label: "v", component: Component::AttentionValue, lines: value },
    ]
}

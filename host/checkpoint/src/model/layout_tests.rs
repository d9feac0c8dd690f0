use super::*;
use proptest::prelude::*;
use serde_json::json;

const GPT2: &str = "h.0.attn.c_attn.weight";
const BLOOM: &str = "h.0.self_attention.query_key_value.weight";

/// The stored positions of one part, in order.
fn positions(part: &Part) -> Vec<u64> {
    part.runs.spans(0..part.runs.elements()).flatten().collect()
}

#[test]
fn gpt2_columns() {
    // [2, 6]: row 0 is q q k k v v at positions 0..6, row 1 the same at 6..12.
    let parts = parts(Family::Gpt2, Component::AttentionQkv, GPT2, &[2, 6], None);
    let summary: Vec<_> = parts.iter().map(|part| (part.suffix, part.component, positions(part))).collect();
    assert_eq!(
        summary,
        [
            ("q", Component::AttentionQuery, vec![0, 1, 6, 7]),
            ("k", Component::AttentionKey, vec![2, 3, 8, 9]),
            ("v", Component::AttentionValue, vec![4, 5, 10, 11]),
        ]
    );
    assert!(parts.iter().all(|part| part.shape == [2, 2]));
}

#[test]
fn bloom_and_neox_rows() {
    // Two heads of one row each, [6, 2]: rows are q0 k0 v0 q1 k1 v1.
    let config = json!({"n_head": 2});
    for family in [Family::Bloom, Family::GptNeox] {
        let parts = parts(family, Component::AttentionQkv, BLOOM, &[6, 2], Some(&config));
        let summary: Vec<_> = parts.iter().map(|part| (part.suffix, positions(part))).collect();
        assert_eq!(summary, [("q", vec![0, 1, 6, 7]), ("k", vec![2, 3, 8, 9]), ("v", vec![4, 5, 10, 11])]);
        assert!(parts.iter().all(|part| part.shape == [2, 2]));
    }
}

#[test]
fn gguf_rows() {
    const GGUF: &str = "blk.0.attn_qkv.weight";
    let config = json!({"num_attention_heads": 2});
    for family in [Family::Gpt2, Family::Bloom, Family::GptNeox] {
        let parts = parts(family, Component::AttentionQkv, GGUF, &[6, 2], Some(&config));
        let summary: Vec<_> = parts.iter().map(|part| (part.suffix, positions(part))).collect();
        assert_eq!(summary, [("q", vec![0, 1, 2, 3]), ("k", vec![4, 5, 6, 7]), ("v", vec![8, 9, 10, 11])]);
    }
    // Keys and values that heads share make the blocks unequal.
    assert!(parts(Family::GptNeox, Component::AttentionQkv, GGUF, &[6, 4], Some(&config)).is_empty());
    assert!(parts(Family::Llama, Component::AttentionQkv, GGUF, &[6, 2], Some(&config)).is_empty());
    let bias = parts(Family::Bloom, Component::Bias, "blk.0.attn_qkv.bias", &[6], Some(&config));
    assert_eq!(bias.iter().map(positions).collect::<Vec<_>>(), [[0, 1], [2, 3], [4, 5]]);
}

#[test]
fn flax_kernels() {
    const KERNEL: &str = "h.0.attn.c_attn.kernel";
    let parts_of = |family, name, shape: &[u64]| {
        let config = json!({"num_attention_heads": 2});
        parts(family, Component::AttentionQkv, name, shape, Some(&config)).iter().map(positions).collect::<Vec<_>>()
    };
    assert_eq!(parts_of(Family::Gpt2, KERNEL, &[6, 2]), [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]);
    assert!(parts_of(Family::Gpt2, KERNEL, &[2, 6]).is_empty());
    // [in, heads * 3 * head_dim], whose rows would divide as if they were output channels.
    assert!(parts_of(Family::Bloom, "h.0.self_attention.query_key_value.kernel", &[12, 36]).is_empty());
    assert_eq!(output_axis(Family::Opt, Component::MlpUp, "layers.0.fc1.kernel"), Some(1));
    assert_eq!(output_axis(Family::Unknown, Component::Head, "lm_head.kernel"), Some(1));
    assert_eq!(output_axis(Family::Gpt2, Component::AttentionQkv, KERNEL), Some(0));
    assert_eq!(output_axis(Family::Gpt2, Component::Head, "lm_head.kernel"), Some(1));
}

#[test]
fn biases() {
    let config = json!({"num_attention_heads": 2});
    let name = "gpt_neox.layers.0.attention.query_key_value.bias";
    let neox = parts(Family::GptNeox, Component::Bias, name, &[12], Some(&config));
    assert_eq!(positions(&neox[1]), [2, 3, 8, 9]);
    assert_eq!((neox[1].suffix, neox[1].component, &neox[1].shape[..]), ("k", Component::Bias, &[4][..]));
    let gpt2 = parts(Family::Gpt2, Component::Bias, "h.0.attn.c_attn.bias", &[6], None);
    assert_eq!(gpt2.iter().map(positions).collect::<Vec<_>>(), [[0, 1], [2, 3], [4, 5]]);
    assert!(parts(Family::Gpt2, Component::Bias, "h.0.attn.c_proj.bias", &[6], None).is_empty());
}

#[test]
fn nothing_is_guessed() {
    let heads = json!({"n_head": 4});
    let huge = json!({"n_head": u64::MAX});
    let whole = Component::AttentionQkv;
    for (why, parts) in [
        ("no heads", parts(Family::Bloom, whole, BLOOM, &[12, 4], None)),
        ("heads overflow", parts(Family::Bloom, whole, BLOOM, &[12, 4], Some(&huge))),
        ("rows do not divide", parts(Family::Bloom, whole, BLOOM, &[18, 4], Some(&heads))),
        ("not three blocks", parts(Family::Gpt2, whole, GPT2, &[4, 8], None)),
        ("[out, in]", parts(Family::Gpt2, whole, GPT2, &[12, 4], None)),
        ("scalar", parts(Family::Gpt2, whole, GPT2, &[], None)),
        ("a vector as weight", parts(Family::Gpt2, whole, GPT2, &[12], None)),
        ("three dimensions", parts(Family::Bloom, whole, BLOOM, &[3, 4, 4], Some(&heads))),
        ("empty", parts(Family::Gpt2, whole, GPT2, &[0, 0], None)),
        ("no width", parts(Family::Bloom, whole, BLOOM, &[12, 0], Some(&heads))),
        ("size overflows", parts(Family::Bloom, whole, BLOOM, &[12 << 40, 1 << 40], Some(&heads))),
        ("unknown layout", parts(Family::Unknown, whole, BLOOM, &[12, 4], Some(&heads))),
        ("not fused", parts(Family::Llama, Component::AttentionQuery, "q_proj.weight", &[12, 4], Some(&heads))),
    ] {
        assert!(parts.is_empty(), "{why}: {parts:?}");
    }
}

#[test]
fn axes() {
    assert_eq!(output_axis(Family::Gpt2, Component::MlpUp, "h.0.mlp.c_fc.weight"), Some(1));
    assert_eq!(output_axis(Family::Gpt2, Component::MlpUp, "blk.0.ffn_up.weight"), Some(0));
    assert_eq!(output_axis(Family::Gpt2, Component::Head, "lm_head.weight"), Some(0));
    assert_eq!(output_axis(Family::Opt, Component::MlpUp, "layers.0.fc1.weight"), Some(0));
    assert_eq!(output_axis(Family::Opt, Component::Norm, "layers.0.final_layer_norm.weight"), None);
}

proptest! {
    #[test]
    fn parts_hold_every_element_once(heads in 1..6u64, head_dim in 1..6u64, width in 1..20u64, pick in 0..4usize) {
        let (rows, d) = (heads * head_dim * 3, heads * head_dim);
        let (family, component, name, shape) = [
            (Family::Bloom, Component::AttentionQkv, BLOOM, vec![rows, width]),
            (Family::GptNeox, Component::Bias, "layers.0.attention.query_key_value.bias", vec![rows]),
            (Family::Gpt2, Component::AttentionQkv, GPT2, vec![d, 3 * d]),
            (Family::Gpt2, Component::Bias, "h.0.attn.c_attn.bias", vec![3 * d]),
        ][pick].clone();
        let parts = parts(family, component, name, &shape, Some(&json!({"n_heads": heads})));
        prop_assert_eq!(parts.len(), 3);
        for part in &parts {
            prop_assert_eq!(part.shape.iter().product::<u64>(), part.runs.elements());
        }
        let mut all: Vec<u64> = parts.iter().flat_map(positions).collect();
        all.sort_unstable();
        prop_assert_eq!(all, (0..shape.iter().product()).collect::<Vec<_>>());
    }
}

#[test]
fn rows_are_trailing_dimensions_that_hold_a_block() {
    assert_eq!(row_length(&[768, 3072]), Some(3072));
    assert_eq!(row_length(&[8, 512, 256]), Some(256));
    // A convolution: an output channel's kernels together.
    assert_eq!(row_length(&[64, 16, 3, 3]), Some(144));
    assert_eq!(row_length(&[64, 3, 16, 16]), Some(256));
    assert_eq!(row_length(&[64, 31]), None);
    assert_eq!(row_length(&[4096]), None);
    assert_eq!(row_length(&[]), None);
    assert_eq!(row_length(&[2, 0]), None);
    assert_eq!(row_length(&[2, u64::MAX, 16]), None);
}

#[test]
fn a_quantized_projection_of_gpt2_has_its_outputs_along_the_rows() {
    let shape = [6, 2];
    assert!(parts(Family::Gpt2, Component::AttentionQkv, GPT2, &shape, None).is_empty());
    let found = parts_of_quantized(Family::Gpt2, Component::AttentionQkv, GPT2, &shape, None);
    assert_eq!((found.len(), found[1].shape.as_slice()), (3, &[2, 2][..]));
    assert!(found[1].runs.spans(0..4).eq(std::iter::once(4..8)));
}

use super::*;
use proptest::prelude::*;
use serde_json::json;

mod families;

const GPT2: &str = "h.0.attn.c_attn.weight";
const BLOOM: &str = "h.0.self_attention.query_key_value.weight";

/// A tensor of an unknown family, not quantized.
fn projection<'a>(name: &'a str, component: Component, shape: &'a [u64], config: Option<&'a Value>) -> Projection<'a> {
    Projection { family: Family::Unknown, component, name, shape, config, stated_axis: None }
}

/// The parts, none where there are none or they are not known.
fn parts_of(projection: Projection<'_>) -> Vec<Part> {
    match projection.division() {
        Division::Parts(found) => found.parts,
        Division::Single | Division::Unknown => Vec::new(),
    }
}

/// The parts of a fused projection of queries, keys and values, or of its bias.
fn parts(family: Family, component: Component, name: &str, shape: &[u64], config: Option<&Value>) -> Vec<Part> {
    parts_of(Projection { family, ..projection(name, component, shape, config) })
}

/// The stored positions of one part, in order.
fn positions(part: &Part) -> Vec<u64> {
    part.runs.spans(0..part.runs.elements()).flatten().collect()
}

fn summary(parts: &[Part]) -> Vec<(&str, Vec<u64>)> {
    parts.iter().map(|part| (part.label.as_str(), positions(part))).collect()
}

#[test]
fn gpt2_columns() {
    // [2, 6]: row 0 is q q k k v v at positions 0..6, row 1 the same at 6..12.
    let parts = parts(Family::Gpt2, Component::AttentionQkv, GPT2, &[2, 6], None);
    assert_eq!(summary(&parts), [("[q]", vec![0, 1, 6, 7]), ("[k]", vec![2, 3, 8, 9]), ("[v]", vec![4, 5, 10, 11])]);
    let components: Vec<Component> = parts.iter().map(|part| part.component).collect();
    assert_eq!(components, [Component::AttentionQuery, Component::AttentionKey, Component::AttentionValue]);
    assert!(parts.iter().all(|part| part.shape == [2, 2] && !part.is_mixture));
}

#[test]
fn gguf_rows() {
    const GGUF: &str = "blk.0.attn_qkv.weight";
    let config = json!({"num_attention_heads": 2});
    for family in [Family::Gpt2, Family::Bloom, Family::GptNeox] {
        for config in [None, Some(&config)] {
            let parts = parts(family, Component::AttentionQkv, GGUF, &[6, 2], config);
            let expected = [("[q]", vec![0, 1, 2, 3]), ("[k]", vec![4, 5, 6, 7]), ("[v]", vec![8, 9, 10, 11])];
            assert_eq!(summary(&parts), expected, "{family}");
        }
    }
    assert!(parts(Family::GptNeox, Component::AttentionQkv, GGUF, &[6, 4], None).is_empty());
    assert!(parts(Family::Llama, Component::AttentionQkv, GGUF, &[6, 2], None).is_empty());
    let bias = parts(Family::Bloom, Component::Bias, "blk.0.attn_qkv.bias", &[6], Some(&config));
    assert_eq!(bias.iter().map(positions).collect::<Vec<_>>(), [[0, 1], [2, 3], [4, 5]]);
}

#[test]
fn flax_kernels() {
    const KERNEL: &str = "h.0.attn.c_attn.kernel";
    let config = json!({"num_attention_heads": 2});
    let of = |family, name, shape: &[u64]| parts(family, Component::AttentionQkv, name, shape, Some(&config));
    let found: Vec<_> = of(Family::Gpt2, KERNEL, &[6, 2]).iter().map(positions).collect();
    assert_eq!(found, [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]);
    assert!(of(Family::Gpt2, KERNEL, &[2, 6]).is_empty());
    // [in, heads * 3 * head_dim], whose rows would divide as if they were output channels.
    assert!(of(Family::Bloom, "h.0.self_attention.query_key_value.kernel", &[12, 36]).is_empty());
}

#[test]
fn biases() {
    let config = json!({"num_attention_heads": 2});
    let name = "gpt_neox.layers.0.attention.query_key_value.bias";
    let neox = parts(Family::GptNeox, Component::Bias, name, &[12], Some(&config));
    assert_eq!(positions(&neox[1]), [2, 3, 8, 9]);
    assert_eq!((&neox[1].label[..], neox[1].component, &neox[1].shape[..]), ("[k]", Component::Bias, &[4][..]));
    let gpt2 = parts(Family::Gpt2, Component::Bias, "h.0.attn.c_attn.bias", &[6], None);
    assert_eq!(gpt2.iter().map(positions).collect::<Vec<_>>(), [[0, 1], [2, 3], [4, 5]]);
    assert!(parts(Family::Gpt2, Component::Bias, "h.0.attn.c_proj.bias", &[6], None).is_empty());
}

#[test]
fn nothing_is_guessed() {
    let heads = json!({"n_head": 4});
    let huge = json!({"n_head": u64::MAX});
    let wide = json!({"n_head": 4, "head_dim": 2});
    let phi3 = json!({"model_type": "phi3", "num_attention_heads": 4, "hidden_size": 8, "num_key_value_heads": 2});
    let whole = Component::AttentionQkv;
    const PHI3: &str = "model.layers.0.self_attn.qkv_proj.weight";
    for (why, family, name, shape, config) in [
        ("no heads", Family::Bloom, BLOOM, &[12, 4][..], None),
        ("heads overflow", Family::Bloom, BLOOM, &[12, 4], Some(&huge)),
        ("rows do not divide", Family::Bloom, BLOOM, &[18, 4], Some(&heads)),
        ("another head_dim", Family::Bloom, BLOOM, &[12, 4], Some(&wide)),
        ("not three blocks", Family::Gpt2, GPT2, &[4, 8], None),
        ("[out, in]", Family::Gpt2, GPT2, &[12, 4], None),
        ("scalar", Family::Gpt2, GPT2, &[], None),
        ("a vector as weight", Family::Gpt2, GPT2, &[12], None),
        ("three dimensions", Family::Bloom, BLOOM, &[3, 4, 4], Some(&heads)),
        ("empty", Family::Gpt2, GPT2, &[0, 0], None),
        ("no width", Family::Bloom, BLOOM, &[12, 0], Some(&heads)),
        ("size overflows", Family::Bloom, BLOOM, &[12 << 40, 1 << 40], Some(&heads)),
        ("unknown layout", Family::Unknown, BLOOM, &[12, 4], Some(&heads)),
        ("thirds without a configuration", Family::Unknown, PHI3, &[24, 8], None),
        ("thirds of another family", Family::Llama, PHI3, &[24, 8], Some(&heads)),
        ("thirds against the configuration", Family::Unknown, PHI3, &[24, 8], Some(&phi3)),
    ] {
        let found = parts(family, whole, name, shape, config);
        assert!(found.is_empty(), "{why}: {found:?}");
    }
    assert!(!parts(Family::Unknown, whole, PHI3, &[16, 8], Some(&phi3)).is_empty());
    let query = parts(Family::Llama, Component::AttentionQuery, "q_proj.weight", &[12, 4], Some(&heads));
    assert!(query.is_empty(), "not fused");
}

#[test]
fn what_is_known_to_be_mixed_is_called_so() {
    let config = json!({"model_type": "phi3", "num_attention_heads": 4});
    for (name, component, expected) in [
        ("model.layers.0.self_attn.qkv_proj.weight", Component::AttentionQkv, Division::Unknown),
        ("model.layers.0.mlp.gate_up_proj.weight", Component::MlpUp, Division::Unknown),
        ("model.layers.0.mlp.up_proj.weight", Component::MlpUp, Division::Single),
        ("model.layers.0.self_attn.q_proj.weight", Component::AttentionQuery, Division::Single),
        ("blk.0.ffn_up.weight", Component::MlpUp, Division::Single),
        ("h.0.mlp.dense_h_to_4h.weight", Component::MlpUp, Division::Single),
    ] {
        assert_eq!(projection(name, component, &[6, 4], None).division(), expected, "{name}");
    }
    let odd = projection("model.layers.0.mlp.gate_up_proj.weight", Component::MlpUp, &[7, 4], Some(&config));
    assert_eq!(odd.division(), Division::Unknown, "seven rows have no halves");
    let vector = projection("model.layers.0.self_attn.qkv_proj.bias", Component::Bias, &[6], None);
    assert_eq!(vector.division(), Division::Single);
}

#[test]
fn axes() {
    let of = |family, component, name: &str| {
        Projection { family, ..projection(name, component, &[4, 4], None) }.output_axis()
    };
    assert_eq!(of(Family::Gpt2, Component::MlpUp, "h.0.mlp.c_fc.weight"), Some(1));
    assert_eq!(of(Family::Gpt2, Component::MlpUp, "blk.0.ffn_up.weight"), Some(0));
    assert_eq!(of(Family::Gpt2, Component::Head, "lm_head.weight"), Some(0));
    assert_eq!(of(Family::Opt, Component::MlpUp, "layers.0.fc1.weight"), Some(0));
    assert_eq!(of(Family::Opt, Component::Norm, "layers.0.final_layer_norm.weight"), None);
    assert_eq!(of(Family::Opt, Component::MlpUp, "layers.0.fc1.kernel"), Some(1));
    assert_eq!(of(Family::Unknown, Component::Head, "lm_head.kernel"), Some(1));
    assert_eq!(of(Family::Gpt2, Component::AttentionQkv, "h.0.attn.c_attn.kernel"), Some(0));
    assert_eq!(of(Family::Gpt2, Component::Head, "lm_head.kernel"), Some(1));
    let quantized = Projection {
        family: Family::Gpt2,
        stated_axis: Some(0),
        ..projection("h.0.mlp.c_fc.weight", Component::MlpUp, &[4, 4], None)
    };
    assert_eq!(quantized.output_axis(), Some(0), "GPT-2's codes have their outputs along the rows");
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
    let stored = Projection { family: Family::Gpt2, ..projection(GPT2, Component::AttentionQkv, &shape, None) };
    assert!(parts_of(stored).is_empty());
    let found = parts_of(Projection { stated_axis: Some(0), ..stored });
    assert_eq!((found.len(), found[1].shape.as_slice()), (3, &[2, 2][..]));
    assert!(found[1].runs.spans(0..4).eq(std::iter::once(4..8)));
}

#[test]
fn a_weight_that_an_exporter_transposed_is_divided_along_its_columns() {
    let config = json!({"model_type": "phi3", "num_attention_heads": 2, "num_key_value_heads": 1, "hidden_size": 2});
    let shape = [2, 4];
    let name = "model.layers.0.self_attn.qkv_proj.weight";
    let stored = projection(name, Component::AttentionQkv, &shape, Some(&config));
    assert_eq!(stored.division(), Division::Unknown, "four rows of two columns are expected");
    let found = parts_of(Projection { stated_axis: Some(1), ..stored });
    assert_eq!(summary(&found), [("[q]", vec![0, 1, 4, 5]), ("[k]", vec![2, 6]), ("[v]", vec![3, 7])]);
}

proptest! {
    #[test]
    fn parts_hold_every_element_once(
        groups in 1..4u64, in_group in 1..4u64, channels in 1..4u64, width in 1..9u64, pick in 0..7usize,
    ) {
        let heads = groups * in_group;
        let grouped = (heads + 2 * groups) * channels;
        let (thirds, square) = (3 * heads * channels, heads * channels);
        let of = |kind: &str| json!({
            "model_type": kind, "num_attention_heads": heads, "num_key_value_heads": groups, "head_dim": channels,
            "new_decoder_architecture": true, "num_kv_heads": groups,
        });
        let (family, component, name, shape, config) = [
            (Family::Bloom, Component::AttentionQkv, BLOOM, vec![thirds, width], json!({"n_heads": heads})),
            (Family::Gpt2, Component::AttentionQkv, GPT2, vec![square, 3 * square], json!({})),
            (Family::Gpt2, Component::Bias, "h.0.attn.c_attn.bias", vec![thirds], json!({})),
            (Family::Unknown, Component::AttentionQkv, "layers.0.self_attn.qkv_proj.weight", vec![grouped, width], of("phi3")),
            (Family::Unknown, Component::AttentionQkv, "layers.0.attention.wqkv.weight", vec![grouped, width], of("internlm2")),
            (Family::Unknown, Component::AttentionQkv, BLOOM, vec![grouped, width], of("falcon")),
            (Family::Unknown, Component::MlpUp, "layers.0.mlp.experts.gate_up_proj", vec![groups, 2 * in_group, width],
             json!({"model_type": "qwen3_moe", "hidden_size": width, "moe_intermediate_size": in_group})),
        ][pick].clone();
        // The pattern table of this crate decides what a bias belongs to.
        let found = parts(family, component, name, &shape, Some(&config));
        prop_assert!(found.len() >= 2 || width == 2 * in_group, "{name}: {found:?}");
        for part in &found {
            prop_assert_eq!(part.shape.iter().product::<u64>(), part.runs.elements());
        }
        let mut all: Vec<u64> = found.iter().flat_map(positions).collect();
        all.sort_unstable();
        prop_assert_eq!(all, (0..shape.iter().product()).collect::<Vec<_>>());
    }
}

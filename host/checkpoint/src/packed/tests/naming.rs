//! Which tensors are taken for which weights.

use kurtoscope_shared::Element;
use serde_json::{Value, json};

use super::super::component::StoredType;
use super::super::settings::Configuration;
use super::super::{Listed, Recognition, Scheme, recognize};

/// Recognizes tensors given as name, type as safetensors calls it, and shape.
fn recognized(tensors: &[(&str, &str, &[u64])], config: Value) -> Recognition {
    let listed: Vec<Listed> = tensors
        .iter()
        .map(|&(name, stored, shape)| Listed { name, stored: StoredType::from_safetensors(stored), shape })
        .collect();
    recognize(&listed, &Configuration::new(&config))
}

fn named(recognition: &Recognition) -> Vec<(&str, Scheme)> {
    recognition.weights.iter().map(|weight| (weight.name.as_str(), weight.scheme)).collect()
}

#[test]
fn gptq_and_awq_are_told_apart_by_shapes() {
    let tensors: &[(&str, &str, &[u64])] = &[
        ("g.qweight", "I32", &[32, 64]),
        ("g.qzeros", "I32", &[2, 8]),
        ("g.scales", "F16", &[2, 64]),
        ("g.g_idx", "I32", &[256]),
        ("g.bias", "F16", &[64]),
        ("a.qweight", "I32", &[256, 8]),
        ("a.qzeros", "I32", &[2, 8]),
        ("a.scales", "F16", &[2, 64]),
    ];
    let found = recognized(tensors, Value::Null);
    assert_eq!(named(&found), [("g.weight", Scheme::Gptq), ("a.weight", Scheme::Awq)]);
    assert_eq!(found.quantization, [1, 2, 3, 6, 7]);
    assert_eq!(found.unexplained, []);
    let config = json!({"quantization_config": {"quant_method": "gptq", "bits": 4}});
    let found = recognized(tensors, config);
    let fault = found.weights[1].open(|_| super::words("x", &[1], [0])).unwrap_err().to_string();
    assert_eq!(fault, "packed codes of a.weight: the configuration states quant_method = gptq, the tensors have awq");
}

#[test]
fn every_scheme_by_its_siblings() {
    let tensors: &[(&str, &str, &[u64])] = &[
        ("ct.weight_packed", "I32", &[8, 4]),
        ("ct.weight_scale", "BF16", &[8, 1]),
        ("ct.weight_shape", "I64", &[2]),
        ("nf4.weight", "U8", &[64, 1]),
        ("nf4.weight.absmax", "F32", &[2]),
        ("nf4.weight.quant_map", "F32", &[16]),
        ("nf4.weight.quant_state.bitsandbytes__nf4", "U8", &[80]),
        ("i8.weight", "I8", &[8, 8]),
        ("i8.SCB", "F32", &[8]),
        ("i8.weight_format", "U8", &[]),
        ("tile.weight", "F8_E4M3", &[256, 256]),
        ("tile.weight_scale_inv", "F32", &[2, 2]),
        ("tile.input_scale", "F32", &[]),
        ("experts.down_proj_blocks", "U8", &[2, 8, 1, 16]),
        ("experts.down_proj_scales", "U8", &[2, 8, 1]),
        ("experts.down_proj_bias", "BF16", &[2, 8]),
        ("nv.weight", "U8", &[8, 8]),
        ("nv.weight_scale", "F8_E4M3", &[8, 1]),
        ("nv.weight_scale_2", "F32", &[]),
        ("mlx.weight", "U32", &[8, 8]),
        ("mlx.scales", "F16", &[8, 1]),
        ("mlx.biases", "F16", &[8, 1]),
        ("f4.weight", "F4", &[64, 64]),
        ("f4.weight_scale", "F8_E8M0", &[64, 2]),
        ("ds.weight", "F8_E4M3", &[256, 256]),
        ("ds.scale", "F8_E8M0", &[2, 2]),
        ("ao._weight_qdata", "I8", &[8, 8]),
        ("ao._weight_scale", "F32", &[8]),
        ("block.0.mlp.mlp1_weight.blocks", "U8", &[2, 8, 1, 16]),
        ("block.0.mlp.mlp1_weight.scales", "U8", &[2, 8, 1]),
        ("block.0.attn.norm.scale", "BF16", &[64]),
        ("comfy.weight", "F8_E4M3", &[64, 64]),
        ("comfy.scale_weight", "F32", &[]),
        ("comfy.scale_input", "F32", &[]),
        ("norm.weight", "BF16", &[64]),
        ("strange", "I32", &[4, 4]),
    ];
    let found = recognized(tensors, Value::Null);
    let expected = [
        ("ct.weight", Scheme::CompressedTensors),
        ("nf4.weight", Scheme::BitsAndBytes4),
        ("i8.weight", Scheme::BitsAndBytes8),
        ("tile.weight", Scheme::Fp8),
        ("experts.down_proj", Scheme::Mxfp4),
        ("nv.weight", Scheme::Nvfp4),
        ("mlx.weight", Scheme::Mlx),
        ("f4.weight", Scheme::Nvfp4),
        ("ds.weight", Scheme::Fp8),
        ("ao.weight", Scheme::Torchao),
        ("block.0.mlp.mlp1_weight", Scheme::Mxfp4),
        ("comfy.weight", Scheme::Fp8),
    ];
    assert_eq!(named(&found), expected);
    assert_eq!(found.quantization, [1, 2, 4, 5, 6, 8, 9, 11, 12, 14, 17, 18, 20, 21, 23, 25, 27, 29, 32, 33]);
    assert_eq!(found.unexplained.len(), 1);
    assert_eq!(found.unexplained[0].reason, "packed codes of strange: no known scheme explains i32 [4, 4]");
}

#[test]
fn plain_checkpoints_are_left_alone() {
    let tensors: &[(&str, &str, &[u64])] = &[
        ("a.weight", "F8_E4M3", &[8, 8]),
        ("clip.logit_scale", "F32", &[]),
        ("attn.k_scale", "F32", &[]),
        ("b.weight", "BF16", &[8, 8]),
    ];
    let found = recognized(tensors, Value::Null);
    assert!(found.weights.is_empty() && found.quantization.is_empty() && found.unexplained.is_empty());
}

#[test]
fn a_stated_method_expects_scales_but_not_where_it_makes_exceptions() {
    let tensors: &[(&str, &str, &[u64])] = &[("a.weight", "F8_E4M3", &[8, 8]), ("lm_head.weight", "F8_E4M3", &[8, 8])];
    let config = json!({"quantization_config": {"quant_method": "fp8", "modules_to_not_convert": ["lm_head"]}});
    let found = recognized(tensors, config);
    assert_eq!(named(&found), [("a.weight", Scheme::Fp8)]);
    let codes = super::bytes("a.weight", Element::F8E4m3, &[8, 8], [0; 64]);
    let fault = found.weights[0].open(|_| codes.clone()).unwrap_err().to_string();
    assert_eq!(fault, "packed codes of a.weight: a.weight_scale is missing");
}

#[test]
fn mlx_takes_bits_of_a_module_from_its_own_entry() {
    let tensors: &[(&str, &str, &[u64])] = &[
        ("a.weight", "U32", &[8, 8]),
        ("a.scales", "F16", &[8, 1]),
        ("a.biases", "F16", &[8, 1]),
        ("b.weight", "U32", &[8, 16]),
        ("b.scales", "F16", &[8, 1]),
        ("b.biases", "F16", &[8, 1]),
    ];
    let config = json!({"quantization": {"bits": 4, "group_size": 64, "b": {"bits": 8, "group_size": 64}}});
    let found = recognized(tensors, config);
    let bits: Vec<_> = found.weights.iter().map(|weight| weight.settings.bits).collect();
    assert_eq!(bits, [Some(4), Some(8)]);
}

#[test]
fn mlx_without_configuration_is_what_readers_of_the_hidden_states_tell() {
    // Rows of 256 bits a group: 2, 4 and 8 bits are possible, but only 4 make the rows of up_proj as long as the norm.
    let tensors: &[(&str, &str, &[u64])] = &[
        ("model.layers.0.mlp.up_proj.weight", "U32", &[128, 8]),
        ("model.layers.0.mlp.up_proj.scales", "F16", &[128, 1]),
        ("model.layers.0.mlp.up_proj.biases", "F16", &[128, 1]),
        ("model.layers.0.mlp.down_proj.weight", "U32", &[64, 16]),
        ("model.layers.0.mlp.down_proj.scales", "F16", &[64, 2]),
        ("model.layers.0.mlp.down_proj.biases", "F16", &[64, 2]),
        ("model.layers.0.input_layernorm.weight", "F16", &[64]),
    ];
    assert_eq!(bits_and_groups(&recognized(tensors, Value::Null)), [(Some(4), Some(64)); 2]);
    // The rows of down_proj are hidden states too.
    assert_eq!(bits_and_groups(&recognized(&tensors[..6], Value::Null)), [(Some(4), Some(64)); 2]);
    // Two norms that differ tell nothing.
    let differ: Vec<_> = [tensors, &[("model.layers.1.input_layernorm.weight", "F16", &[128])]].concat();
    assert_eq!(bits_and_groups(&recognized(&differ, Value::Null)), [(None, None); 2]);
}

fn bits_and_groups(found: &Recognition) -> Vec<(Option<u64>, Option<u64>)> {
    found.weights.iter().map(|weight| (weight.settings.bits, weight.settings.group)).collect()
}

#[test]
fn mlx_without_configuration_is_not_guessed_from_rows_of_the_same_length() {
    // 4 bits in groups of 64 of 128 columns; 8 bits in groups of 32 would make it square.
    let tensors: &[(&str, &str, &[u64])] = &[
        ("model.layers.0.mlp.down_proj.weight", "U32", &[64, 16]),
        ("model.layers.0.mlp.down_proj.scales", "F16", &[64, 2]),
        ("model.layers.0.mlp.down_proj.biases", "F16", &[64, 2]),
        ("model.layers.0.input_layernorm.weight", "F16", &[64]),
    ];
    assert_eq!(bits_and_groups(&recognized(tensors, Value::Null)), [(None, None)]);
}

#[test]
fn a_stated_group_is_kept_without_stated_bits() {
    let tensors: &[(&str, &str, &[u64])] = &[
        ("model.layers.0.mlp.up_proj.weight", "U32", &[64, 16]),
        ("model.layers.0.mlp.up_proj.scales", "F16", &[64, 2]),
        ("model.layers.0.mlp.up_proj.biases", "F16", &[64, 2]),
        ("model.layers.0.input_layernorm.weight", "F16", &[64]),
    ];
    let found = recognized(tensors, json!({"quantization": {"group_size": 64}}));
    assert_eq!(bits_and_groups(&found), [(None, Some(64))]);
    let found = recognized(tensors, json!({"quantization": {"group_size": "64", "bits": "4"}}));
    assert_eq!(bits_and_groups(&found), [(Some(4), Some(64))]);
}

#[test]
fn values_that_are_no_numbers_are_refused_with_words() {
    let tensors: &[(&str, &str, &[u64])] = &[("a.qweight", "I32", &[4, 8]), ("a.scales", "F32", &[2, 8])];
    let config = json!({"quantization_config": {"quant_method": "gptq", "bits": "four", "group_size": -1}});
    let found = recognized(tensors, config);
    let fault = found.weights[0].open(|_| super::words("x", &[1], [0])).unwrap_err().to_string();
    let expected = "the configuration states bits = \"four\", which is not a whole number";
    assert_eq!(fault, format!("packed codes of a.weight: {expected}"));
    let per_row = found.weights[0].settings.per_row.as_ref().map(|(key, value)| (*key, value.as_str()));
    assert_eq!(per_row, Some(("group_size", "-1")));
}

#[test]
fn parts_without_their_codes_are_no_weights() {
    let plain: (&str, &str, &[u64]) = ("b.weight", "BF16", &[64, 64]);
    let parts: &[(&str, &str, &[u64])] = &[
        ("a.scales", "F16", &[4, 64]),
        ("a.biases", "F16", &[4, 64]),
        ("a.qzeros", "I32", &[4, 8]),
        ("a.g_idx", "I32", &[128]),
        ("c.scale", "F16", &[4, 64]),
        ("c.zero", "F16", &[4, 64]),
        ("d.weight_scale", "BF16", &[4, 64]),
        ("d.weight_scale_inv", "F32", &[4, 64]),
        ("e._weight_scale", "F32", &[4, 64]),
        ("experts.down_proj_scales", "U8", &[2, 32, 2]),
        ("experts.gate_up_proj_weight_scale", "F8_E4M3", &[2, 64, 4]),
        ("experts.gate_up_proj_weight_scale_2", "F32", &[2]),
        ("q.weight._scale", "F16", &[64, 8]),
        ("q.weight._shift", "F16", &[64, 8]),
        ("m.scale_packed", "F16", &[2, 64]),
    ];
    // Each alone: another shard has the codes, and nothing else says that the checkpoint is quantized.
    for part in parts.iter().filter(|part| !matches!(part.0, "a.biases" | "c.scale" | "c.zero")) {
        assert_eq!(recognized(&[plain, *part], Value::Null).quantization, [1], "{}", part.0);
    }
    let all = [&[plain], parts].concat();
    assert_eq!(recognized(&all, Value::Null).quantization, (1..all.len()).collect::<Vec<_>>());
    // In a quantized checkpoint, what other checkpoints use otherwise.
    let config = json!({"quantization_config": {"quant_method": "hqq"}});
    let tensors: &[(&str, &str, &[u64])] = &[
        ("c.scale", "F16", &[4, 64]),
        ("f.scale", "F32", &[]),
        ("c.nbits", "I32", &[1]),
        ("blocks.0.norm.scale", "BF16", &[64]),
    ];
    assert_eq!(recognized(tensors, config).quantization, [0, 1, 2]);
    assert!(recognized(tensors, Value::Null).quantization.is_empty());
}

#[test]
fn codes_of_layouts_that_are_not_read_are_unexplained() {
    let tensors: &[(&str, &str, &[u64])] = &[
        ("s.weight.compressed", "BF16", &[64, 64]),
        ("s.weight.bitmask", "U8", &[64, 16]),
        ("m.B", "I32", &[8, 128]),
        ("m.s", "F16", &[4, 64]),
        ("f.weight", "F8_E4M3", &[64, 64]),
        ("f.weight_scale", "F32", &[1]),
        ("g.weight", "F8_E4M3", &[64, 64]),
        ("q.weight._data", "I8", &[64, 128]),
        ("q.weight._scale", "F16", &[64, 1]),
        ("w.weight", "I8", &[64, 128]),
        ("w.weight_scales", "F16", &[64]),
    ];
    let found = recognized(tensors, Value::Null);
    assert_eq!(found.quantization, [1, 3, 5, 8, 10]);
    assert_eq!(found.unexplained.iter().map(|codes| codes.tensor).collect::<Vec<_>>(), [0, 2, 6, 7, 9]);
    let reason = "packed codes of g.weight: g.weight_scale is missing, which other weights of this type have";
    assert_eq!(found.unexplained[2].reason, reason);
}

#[test]
fn scales_beside_unknown_codes_are_not_weights() {
    let tensors: &[(&str, &str, &[u64])] = &[
        ("a.codes", "I8", &[8, 8, 1]),
        ("a.codebooks", "F16", &[1, 256, 1, 8]),
        ("a.scales", "F16", &[8, 1, 1, 1]),
        ("a.bias", "F16", &[8]),
        ("e.gate_up_proj", "U8", &[2, 8, 8]),
        ("e.gate_up_proj_weight_scale", "F8_E4M3", &[2, 8, 1]),
        ("b.scale", "F16", &[8]),
    ];
    let found = recognized(tensors, json!({"quantization_config": {"quant_method": "aqlm"}}));
    assert_eq!(found.quantization, [1, 2, 5]);
    assert_eq!(found.unexplained.iter().map(|codes| codes.tensor).collect::<Vec<_>>(), [0]);
    // Stacked experts under ModelOpt's names: known, and without their second scale a fault when they are opened.
    assert_eq!(named(&found), [("e.gate_up_proj", Scheme::Nvfp4)]);
}

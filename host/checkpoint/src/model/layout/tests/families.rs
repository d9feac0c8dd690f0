//! Each family's order, against fused tensors that are put together line by line as the family's own code takes them
//! apart: the files are named in the tables of `attention.rs` and `gate_up.rs`.

use super::*;

/// A line of a fused tensor: the part that it is of, and which line of the part it is.
type Line = (&'static str, u64);

/// `count` lines of a part, from `first` on.
fn lines(label: &'static str, first: u64, count: u64) -> Vec<Line> {
    (first..first + count).map(|line| (label, line)).collect()
}

/// Where the elements of a part are in a matrix that is put together of these lines along `axis`.
fn expected(fused: &[Line], label: &str, axis: usize, other: u64) -> Vec<u64> {
    let length = fused.len() as u64;
    let at = |line: u64| fused.iter().position(|found| *found == (label, line)).map(|place| place as u64);
    let places: Vec<u64> = (0..).map_while(at).collect();
    match axis {
        0 => places.iter().flat_map(|place| place * other..(place + 1) * other).collect(),
        _ => (0..other).flat_map(|row| places.iter().map(move |place| row * length + place)).collect(),
    }
}

/// Checks the parts of a matrix of these lines and of its bias, or that there are none where `fused` is empty.
fn check(family: Family, name: &str, config: &Value, fused: &[Line], inputs: u64, labels: &[&str]) {
    let shape = [fused.len() as u64, inputs];
    let weight = format!("{name}.weight");
    let component = pattern::component(&Path::new(&weight));
    let found = parts(family, component, &weight, &shape, Some(config));
    assert_eq!(found.iter().map(|part| part.label.as_str()).collect::<Vec<_>>(), labels, "{name} {config}");
    for part in &found {
        let label = part.label.trim_matches(['[', ']']);
        assert_eq!(positions(part), expected(fused, label, 0, inputs), "{name} {label} {config}");
        let rows = fused.iter().filter(|(of, _)| *of == label).count() as u64;
        assert_eq!(part.shape, [rows, inputs], "{name} {label}");
    }
    let bias = parts(family, Component::Bias, &format!("{name}.bias"), &shape[..1], Some(config));
    for part in &bias {
        let label = part.label.trim_matches(['[', ']']);
        assert_eq!(
            (positions(part), part.component),
            (expected(fused, label, 0, 1), Component::Bias),
            "{name} {label}"
        );
    }
    assert_eq!(bias.len(), labels.len(), "{name}.bias");
}

const QKV: [&str; 3] = ["[q]", "[k]", "[v]"];

/// Four heads of three channels, two of keys and values.
const HEADS: u64 = 4;
const SHARED: u64 = 2;
const CHANNELS: u64 = 3;
const WIDTH: u64 = HEADS * CHANNELS;

/// `q` of all heads, `k` and `v` of so many.
fn blocks(key_value_heads: u64) -> Vec<Line> {
    let shared = key_value_heads * CHANNELS;
    [lines("q", 0, WIDTH), lines("k", 0, shared), lines("v", 0, shared)].concat()
}

/// For each key-value head the `q` of its heads, its `k`, its `v`.
fn groups(key_value_heads: u64) -> Vec<Line> {
    let queries = HEADS / key_value_heads * CHANNELS;
    let group = |group: u64| {
        let shared = |label| lines(label, group * CHANNELS, CHANNELS);
        [lines("q", group * queries, queries), shared("k"), shared("v")].concat()
    };
    (0..key_value_heads).flat_map(group).collect()
}

#[test]
fn phi3_has_blocks_of_two_sizes() {
    let name = "model.layers.0.self_attn.qkv_proj";
    let stated = json!({"model_type": "phi3", "num_attention_heads": 4, "num_key_value_heads": 2, "hidden_size": 12});
    check(Family::Unknown, name, &stated, &blocks(SHARED), WIDTH, &QKV);
    // Heads narrower than the model, as in Phi-4-mini's relatives.
    let mut narrow = stated.clone();
    (narrow["hidden_size"], narrow["head_dim"]) = (json!(20), json!(3));
    check(Family::Unknown, name, &narrow, &blocks(SHARED), 20, &QKV);
    let without = json!({"model_type": "phi3", "num_attention_heads": 4, "hidden_size": 12});
    check(Family::Unknown, name, &without, &blocks(HEADS), WIDTH, &QKV);
    let inside = json!({"model_type": "llava", "text_config": stated});
    check(Family::Unknown, "language_model.model.layers.0.self_attn.qkv_proj", &inside, &blocks(SHARED), WIDTH, &QKV);
}

#[test]
fn internlm2_alternates_by_key_value_head() {
    // 'b q (h gs d) -> b q h gs d' with gs = 2 + queries of a group: q is [..., :-2, :], k [..., -2, :], v [..., -1, :].
    let config =
        json!({"model_type": "internlm2", "num_attention_heads": 4, "num_key_value_heads": 2, "hidden_size": 12});
    let order = ["q", "q", "k", "v", "q", "q", "k", "v"].iter().map(|label| (*label, CHANNELS)).collect::<Vec<_>>();
    let mut next = std::collections::HashMap::<&str, u64>::new();
    let by_hand = order.into_iter().flat_map(|(label, count)| {
        let first = next.entry(label).or_default();
        *first += count;
        lines(label, *first - count, count)
    });
    assert_eq!(by_hand.collect::<Vec<_>>(), groups(SHARED));
    assert_eq!(
        parts(
            Family::Unknown,
            Component::AttentionQkv,
            "model.layers.0.attention.wqkv.weight",
            &[24, 12],
            Some(&config)
        )
        .len(),
        3
    );
    let found = parts(
        Family::Unknown,
        Component::AttentionQkv,
        "model.layers.0.attention.wqkv.weight",
        &[24, 12],
        Some(&config),
    );
    for part in &found {
        let label = part.label.trim_matches(['[', ']']);
        assert_eq!(positions(part), expected(&groups(SHARED), label, 0, 12), "{label}");
    }
    let chat =
        json!({"model_type": "internvl_chat", "llm_config": config, "vision_config": {"num_attention_heads": 16}});
    let name = "language_model.model.layers.0.attention.wqkv.weight";
    assert_eq!(parts(Family::Unknown, Component::AttentionQkv, name, &[24, 12], Some(&chat)), found);
}

#[test]
fn falcon_has_three_architectures() {
    let name = "transformer.h.0.self_attention.query_key_value";
    let falcon = |more: Value| {
        let mut config = json!({"model_type": "falcon", "num_attention_heads": 4, "hidden_size": 12});
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        config
    };
    for (more, fused) in [
        (json!({"new_decoder_architecture": true, "num_kv_heads": 2, "multi_query": true}), groups(SHARED)),
        (json!({"new_decoder_architecture": false, "num_kv_heads": 4, "multi_query": true}), blocks(1)),
        (json!({}), blocks(1)),
        (json!({"multi_query": false}), groups(HEADS)),
    ] {
        check(Family::Unknown, name, &falcon(more), &fused, WIDTH, &QKV);
    }
    let first = json!({"model_type": "RefinedWeb", "n_head": 4, "n_head_kv": 2, "hidden_size": 12});
    check(Family::Unknown, name, &first, &groups(SHARED), WIDTH, &QKV);
    let small = json!({"model_type": "RefinedWebModel", "n_head": 4, "multi_query": true, "hidden_size": 12});
    check(Family::Unknown, name, &small, &blocks(1), WIDTH, &QKV);
}

#[test]
fn starcoder_shares_one_key_and_value() {
    let name = "transformer.h.0.attn.c_attn";
    let with =
        |multi_query| json!({"model_type": "gpt_bigcode", "n_head": 4, "n_embd": 12, "multi_query": multi_query});
    check(Family::Unknown, name, &with(true), &blocks(1), WIDTH, &QKV);
    check(Family::Unknown, name, &with(false), &groups(HEADS), WIDTH, &QKV);
}

#[test]
fn heads_alternate_in_bloom_and_neox() {
    let config = json!({"n_head": 4});
    check(Family::Bloom, "h.0.self_attention.query_key_value", &config, &groups(HEADS), WIDTH, &QKV);
    let name = "gpt_neox.layers.0.attention.query_key_value";
    check(Family::GptNeox, name, &json!({"num_attention_heads": 4}), &groups(HEADS), WIDTH, &QKV);
    let persimmon = json!({"model_type": "persimmon", "num_attention_heads": 4, "hidden_size": 12});
    check(Family::Unknown, "model.layers.0.self_attn.query_key_value", &persimmon, &groups(HEADS), WIDTH, &QKV);
    let minimax = json!({"model_type": "minimax", "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 3});
    check(Family::Unknown, "model.layers.0.self_attn.qkv_proj", &minimax, &groups(HEADS), WIDTH, &QKV);
}

#[test]
fn chatglm_shares_keys_where_it_says_so() {
    let name = "transformer.encoder.layers.0.self_attention.query_key_value";
    let shared = json!({
        "model_type": "chatglm", "num_attention_heads": 4, "multi_query_attention": true, "multi_query_group_num": 2,
        "kv_channels": 3, "hidden_size": 12, "ffn_hidden_size": 5,
    });
    check(Family::Unknown, name, &shared, &blocks(SHARED), WIDTH, &QKV);
    let first = json!({"model_type": "chatglm", "num_attention_heads": 4, "hidden_size": 12});
    check(Family::Unknown, "transformer.layers.0.attention.query_key_value", &first, &groups(HEADS), WIDTH, &QKV);
    let name = "transformer.encoder.layers.0.mlp.dense_h_to_4h";
    let halves = [lines("gate", 0, 5), lines("up", 0, 5)].concat();
    check(Family::Unknown, name, &shared, &halves, WIDTH, &["[gate]", "[up]"]);
    check(Family::Unknown, name, &first, &halves, WIDTH, &[]);
}

#[test]
fn latent_attention_expands_a_key_and_a_value_a_head() {
    // kv_b_proj(x).view(…, heads, qk_nope_head_dim + v_head_dim), split in these two.
    let name = "model.layers.0.self_attn.kv_b_proj";
    let config = json!({"num_attention_heads": 4, "qk_nope_head_dim": 2, "v_head_dim": 3, "hidden_size": 12});
    let head = |head: u64| [lines("k", head * 2, 2), lines("v", head * 3, 3)].concat();
    let fused: Vec<Line> = (0..4).flat_map(head).collect();
    let shape = [20, 7];
    let weight = format!("{name}.weight");
    let found = parts(Family::Unknown, Component::AttentionKeyValue, &weight, &shape, Some(&config));
    for part in &found {
        assert_eq!(positions(part), expected(&fused, part.label.trim_matches(['[', ']']), 0, 7), "{}", part.label);
    }
    assert_eq!(found.iter().map(|part| part.label.as_str()).collect::<Vec<_>>(), ["[k]", "[v]"]);
    let unknown = projection(&weight, Component::AttentionKeyValue, &shape, None).division();
    assert_eq!(unknown, Division::Unknown);
    let compressed = "model.layers.0.self_attn.kv_a_proj_with_mqa.weight";
    assert_eq!(
        projection(compressed, Component::AttentionKeyValue, &shape, Some(&config)).division(),
        Division::Single
    );
}

#[test]
fn codegen_has_four_quarters_of_query_value_and_key() {
    // qkv.reshape(4, -1), then split into query, value, key of a quarter of the width each.
    let config = json!({"model_type": "codegen", "n_head": 4, "n_embd": 12});
    let quarter = |part: u64| ["q", "v", "k"].into_iter().flat_map(move |label| lines(label, part * 3, 3));
    let fused: Vec<Line> = (0..4).flat_map(quarter).collect();
    check(Family::Unknown, "transformer.h.0.attn.qkv_proj", &config, &fused, WIDTH, &["[q]", "[v]", "[k]"]);
}

#[test]
fn thirds_and_blocks_called_wqkv() {
    let modernbert = json!({"model_type": "modernbert", "num_attention_heads": 4, "hidden_size": 12});
    check(Family::Unknown, "model.layers.0.attn.Wqkv", &modernbert, &blocks(HEADS), WIDTH, &QKV);
    let mpt = |attention: Value| json!({"model_type": "mpt", "n_heads": 4, "d_model": 12, "attn_config": attention});
    let name = "transformer.blocks.0.attn.Wqkv";
    for (attention, shared) in [
        (json!({"attn_type": "multihead_attention"}), HEADS),
        (json!({"attn_type": "grouped_query_attention", "kv_n_heads": 2}), SHARED),
        (json!({"attn_type": "multiquery_attention"}), 1),
    ] {
        check(Family::Unknown, name, &mpt(attention), &blocks(shared), WIDTH, &QKV);
    }
    let dbrx = json!({"model_type": "dbrx", "n_heads": 4, "d_model": 12, "attn_config": {"kv_n_heads": 2}});
    check(Family::Unknown, "transformer.blocks.0.norm_attn_norm.attn.Wqkv", &dbrx, &blocks(SHARED), WIDTH, &QKV);
    let qwen = json!({"model_type": "qwen", "num_attention_heads": 4, "hidden_size": 12, "kv_channels": 3});
    check(Family::Unknown, "transformer.h.0.attn.c_attn", &qwen, &blocks(HEADS), WIDTH, &QKV);
}

#[test]
fn vision_towers_have_thirds_of_their_own_width() {
    let config = json!({
        "model_type": "qwen2_vl", "num_attention_heads": 28, "num_key_value_heads": 4, "hidden_size": 3584,
        "vision_config": {"embed_dim": 12, "num_heads": 4, "hidden_size": 3584},
    });
    check(Family::Unknown, "visual.blocks.0.attn.qkv", &config, &blocks(HEADS), WIDTH, &QKV);
    let grouped = json!({"vision_config": {"num_heads": 4, "num_key_value_heads": 2, "head_dim": 3}});
    check(Family::Unknown, "visual.blocks.0.attn.qkv", &grouped, &blocks(SHARED), WIDTH, &QKV);
    let nothing = json!({"text_config": {"num_attention_heads": 4, "hidden_size": 12}});
    check(Family::Unknown, "visual.blocks.0.attn.qkv", &nothing, &blocks(HEADS), WIDTH, &[]);
    // PyTorch's MultiheadAttention: the parameter exists only where all three are equally large.
    let name = "visual.transformer.resblocks.0.attn.in_proj_weight";
    let found = parts(Family::Unknown, Component::AttentionQkv, name, &[36, 12], None);
    assert_eq!(found.iter().map(|part| part.shape.clone()).collect::<Vec<_>>(), [[12, 12]; 3]);
    assert_eq!(positions(&found[1]), (144..288).collect::<Vec<_>>());
    let bias = parts(Family::Unknown, Component::Bias, "visual.transformer.resblocks.0.attn.in_proj_bias", &[36], None);
    assert_eq!(positions(&bias[2]), (24..36).collect::<Vec<_>>());
}

#[test]
fn gguf_has_blocks_of_the_sizes_that_its_metadata_states() {
    let config = json!({
        "model_type": "phi3", "num_attention_heads": 4, "num_key_value_heads": 2, "hidden_size": 12, "intermediate_size": 5,
    });
    check(Family::Unknown, "blk.0.attn_qkv", &config, &blocks(SHARED), WIDTH, &QKV);
    let halves = [lines("gate", 0, 5), lines("up", 0, 5)].concat();
    check(Family::Unknown, "blk.0.ffn_up", &config, &halves, WIDTH, &["[gate]", "[up]"]);
    let llama = json!({"model_type": "llama", "num_attention_heads": 4, "hidden_size": 12, "intermediate_size": 5});
    check(Family::Llama, "blk.0.ffn_up", &llama, &halves, WIDTH, &[]);
}

#[test]
fn gate_and_up_are_halves_in_most_families() {
    let halves = [lines("gate", 0, 5), lines("up", 0, 5)].concat();
    let both = ["[gate]", "[up]"];
    for (name, config) in [
        ("model.layers.0.mlp.gate_up_proj", json!({"model_type": "phi3", "hidden_size": 12, "intermediate_size": 5})),
        ("model.layers.0.mlp.gate_up_proj", json!({"model_type": "glm4", "hidden_size": 12})),
        ("layers.0.mlp.Wi", json!({"model_type": "modernbert", "hidden_size": 12, "intermediate_size": 5})),
    ] {
        check(Family::Unknown, name, &config, &halves, WIDTH, &both);
    }
    let contradicts = json!({"model_type": "phi3", "hidden_size": 12, "intermediate_size": 7});
    check(Family::Unknown, "model.layers.0.mlp.gate_up_proj", &contradicts, &halves, WIDTH, &[]);
    let section = json!({"model_type": "phi4_multimodal_audio", "intermediate_size": 5});
    let audio = json!({"model_type": "phi4_multimodal", "audio_config": section});
    let swapped = [lines("up", 0, 5), lines("gate", 0, 5)].concat();
    let name = "model.embed_tokens_extend.audio_embed.encoder.encoders.0.feed_forward_in.gate_up_proj";
    check(Family::Unknown, name, &audio, &swapped, WIDTH, &["[up]", "[gate]"]);
}

/// The parts of a stack of three experts with the shape of one: label and the positions in it.
fn stacked(name: &str, matrix: [u64; 2], config: Option<&Value>, is_quantized: bool) -> Parts {
    let shape = [3, matrix[0], matrix[1]];
    let stated_axis = is_quantized.then_some(1);
    let projection = Projection { stated_axis, ..projection(name, Component::MlpUp, &shape, config) };
    let Division::Parts(found) = projection.division() else { panic!("{name}: {:?}", projection.division()) };
    assert_eq!(found.matrix, matrix);
    assert_eq!(found.parts.len(), 3 * found.per_matrix);
    let elements = matrix[0] * matrix[1];
    for (number, part) in (0..).zip(&found.parts) {
        let expert = number / found.per_matrix as u64;
        let inside = positions(part).into_iter().all(|position| position / elements == expert);
        assert!(inside && part.label.starts_with(&format!("[{expert}]")), "{name}: {part:?}");
    }
    found
}

/// Checks the last of three experts.
fn check_experts(name: &str, matrix: [u64; 2], config: &Value, is_quantized: bool, fused: &[Line], axis: usize) {
    let found = stacked(name, matrix, Some(config), is_quantized);
    let (start, other) = (2 * matrix[0] * matrix[1], matrix[1 - axis]);
    for part in &found.parts[2 * found.per_matrix..] {
        let label = part.label.trim_start_matches("[2]").trim_matches(['[', ']']);
        let inside: Vec<u64> = expected(fused, label, axis, other).iter().map(|position| start + position).collect();
        assert_eq!(positions(part), inside, "{name} {label} {config}");
    }
    assert_eq!((found.per_matrix, found.parts.iter().any(|part| part.is_mixture)), (2, false), "{name}");
}

#[test]
fn experts_gates_are_halves_of_rows_or_of_columns_by_the_models_width() {
    let name = "model.layers.0.mlp.experts.gate_up_proj";
    let halves = [lines("gate", 0, 5), lines("up", 0, 5)].concat();
    let qwen = json!({"model_type": "qwen3_moe", "hidden_size": 4, "moe_intermediate_size": 5, "num_experts": 3});
    check_experts(name, [10, 4], &qwen, false, &halves, 0);
    check_experts(name, [4, 10], &qwen, false, &halves, 1);
    let name = "language_model.model.layers.0.feed_forward.experts.gate_up_proj";
    let llama4 = json!({"model_type": "llama4", "text_config": {"hidden_size": 4, "num_local_experts": 3}});
    check_experts(name, [4, 10], &llama4, false, &halves, 1);
    // Twice the experts' width is the model's: only the family tells.
    let square = json!({"model_type": "llama4", "text_config": {"hidden_size": 10}});
    check_experts(name, [10, 10], &square, false, &halves, 1);
    let rows = json!({"model_type": "mixtral", "hidden_size": 10, "intermediate_size": 5});
    check_experts(name, [10, 10], &rows, false, &halves, 0);
    let granite = json!({"model_type": "granitemoe", "hidden_size": 4, "intermediate_size": 5});
    check_experts("model.layers.0.block_sparse_moe.input_linear.weight", [10, 4], &granite, false, &halves, 0);
    check_experts("blk.0.ffn_gate_up_exps.weight", [10, 4], &json!({"intermediate_size": 99}), false, &halves, 0);
}

#[test]
fn gpt_oss_alternates_gate_and_up() {
    // gate_up[..., ::2] and gate_up[..., 1::2] of x @ gate_up_proj[expert].
    let fused: Vec<Line> = (0..5).flat_map(|line| [("gate", line), ("up", line)]).collect();
    let config = json!({"model_type": "gpt_oss", "hidden_size": 4, "intermediate_size": 5, "num_local_experts": 3});
    let name = "model.layers.0.mlp.experts.gate_up_proj";
    check_experts(name, [4, 10], &config, false, &fused, 1);
    // In MXFP4 the outputs are rows.
    check_experts(name, [10, 4], &config, true, &fused, 0);
    let bias = parts(
        Family::Unknown,
        Component::Bias,
        "model.layers.0.mlp.experts.gate_up_proj_bias",
        &[3, 10],
        Some(&config),
    );
    assert_eq!(
        bias.iter().map(|part| (part.label.as_str(), part.shape.clone())).collect::<Vec<_>>(),
        [("[gate]", vec![3, 5]), ("[up]", vec![3, 5])]
    );
    assert_eq!(positions(&bias[1])[..6], [1, 3, 5, 7, 9, 11]);
}

#[test]
fn experts_are_views_and_their_gates_are_mixtures_where_nothing_tells() {
    let name = "model.layers.0.mlp.experts.gate_up_proj";
    let strange = json!({"model_type": "qwen3_moe", "hidden_size": 7});
    let both = json!({"model_type": "qwen3_vl_moe", "hidden_size": 10});
    for (matrix, config) in [([4, 10], None), ([4, 10], Some(&strange)), ([10, 10], Some(&both))] {
        let found = stacked(name, matrix, config, false);
        assert!(found.per_matrix == 1 && found.parts.iter().all(|part| part.is_mixture), "{config:?}");
    }
    let found = stacked("model.layers.0.mlp.experts.down_proj", [5, 4], None, false);
    assert_eq!(found.parts.iter().map(|part| part.label.as_str()).collect::<Vec<_>>(), ["[0]", "[1]", "[2]"]);
    assert!(found.parts.iter().all(|part| !part.is_mixture && part.component == Component::MlpUp));
    let other = json!({"num_experts": 4});
    let projection = |shape, config| projection("mlp.experts.down_proj", Component::MlpDown, shape, config).division();
    assert_eq!(projection(&[3, 5, 4], Some(&other)), Division::Unknown, "the configuration states four experts");
    assert_eq!(projection(&[4096, 5, 4], None), Division::Unknown, "more than are looked at");
    assert_eq!(projection(&[3, 0, 4], None), Division::Single);
}

#[test]
fn outputs_of_experts_run_along_the_axis_that_is_not_the_models_width() {
    let qwen = json!({"model_type": "qwen3_moe", "hidden_size": 4});
    let llama4 = json!({"model_type": "llama4", "text_config": {"hidden_size": 4}});
    let unknown = json!({"hidden_size": 4});
    for (name, matrix, config, axis) in [
        ("mlp.experts.gate_up_proj", [10, 4], Some(&qwen), Some(1)),
        ("mlp.experts.gate_up_proj", [4, 10], Some(&qwen), Some(2)),
        ("mlp.experts.down_proj", [4, 5], Some(&qwen), Some(1)),
        ("mlp.experts.down_proj", [5, 4], Some(&qwen), Some(2)),
        ("mlp.experts.down_proj", [4, 4], Some(&qwen), Some(1)),
        ("mlp.experts.down_proj", [4, 4], Some(&llama4), Some(2)),
        ("mlp.experts.down_proj", [4, 4], Some(&unknown), None),
        ("mlp.experts.down_proj", [4, 5], None, None),
        ("blk.0.ffn_down_exps.weight", [4, 5], None, Some(1)),
    ] {
        let shape = [3, matrix[0], matrix[1]];
        let found = projection(name, Component::MlpDown, &shape, config).output_axis();
        assert_eq!(found, axis, "{name} {matrix:?} {config:?}");
    }
}

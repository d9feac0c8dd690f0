use super::*;

/// What a tensor is by its own name, whatever else the model has.
fn identify(family: Family, name: &str, shape: &[u64]) -> Identity {
    Naming::of(family, std::iter::empty()).identify(name, shape)
}

/// The tensors of each family as its reference implementation saves them, `N` standing for the layer. Shapes matter to
/// masks alone, so they are left out. A trailing `*` marks a buffer.
const FAMILIES: &[(Family, &[&str], &str)] = &[
    (
        Family::Opt,
        &["model.decoder.", "decoder.", ""],
        "embed_tokens.weight embedding
         embed_positions.weight position_embedding
         project_in.weight embedding_projection
         project_out.weight embedding_projection
         final_layer_norm.weight norm
         final_layer_norm.bias norm
         layers.N.self_attn.q_proj.weight attention_query
         layers.N.self_attn.q_proj.bias bias
         layers.N.self_attn.k_proj.weight attention_key
         layers.N.self_attn.k_proj.bias bias
         layers.N.self_attn.v_proj.weight attention_value
         layers.N.self_attn.v_proj.bias bias
         layers.N.self_attn.out_proj.weight attention_output
         layers.N.self_attn.out_proj.bias bias
         layers.N.self_attn_layer_norm.weight norm
         layers.N.self_attn_layer_norm.bias norm
         layers.N.fc1.weight mlp_up
         layers.N.fc1.bias bias
         layers.N.fc2.weight mlp_down
         layers.N.fc2.bias bias
         layers.N.final_layer_norm.weight norm
         layers.N.final_layer_norm.bias norm
         lm_head.weight head",
    ),
    (
        Family::Bloom,
        &["transformer.", ""],
        "word_embeddings.weight embedding
         word_embeddings_layernorm.weight norm
         word_embeddings_layernorm.bias norm
         h.N.input_layernorm.weight norm
         h.N.input_layernorm.bias norm
         h.N.self_attention.query_key_value.weight attention_qkv
         h.N.self_attention.query_key_value.bias bias
         h.N.self_attention.dense.weight attention_output
         h.N.self_attention.dense.bias bias
         h.N.post_attention_layernorm.weight norm
         h.N.post_attention_layernorm.bias norm
         h.N.mlp.dense_h_to_4h.weight mlp_up
         h.N.mlp.dense_h_to_4h.bias bias
         h.N.mlp.dense_4h_to_h.weight mlp_down
         h.N.mlp.dense_4h_to_h.bias bias
         ln_f.weight norm
         ln_f.bias norm
         lm_head.weight head",
    ),
    (
        Family::Gpt2,
        &["transformer.", ""],
        "wte.weight embedding
         wpe.weight position_embedding
         h.N.ln_1.weight norm
         h.N.ln_1.bias norm
         h.N.attn.bias other*
         h.N.attn.masked_bias other*
         h.N.attn.c_attn.weight attention_qkv
         h.N.attn.c_attn.bias bias
         h.N.attn.c_proj.weight attention_output
         h.N.attn.c_proj.bias bias
         h.N.ln_2.weight norm
         h.N.ln_2.bias norm
         h.N.mlp.c_fc.weight mlp_up
         h.N.mlp.c_fc.bias bias
         h.N.mlp.c_proj.weight mlp_down
         h.N.mlp.c_proj.bias bias
         ln_f.weight norm
         ln_f.bias norm
         lm_head.weight head",
    ),
    (
        Family::GptNeox,
        &["gpt_neox.", ""],
        "embed_in.weight embedding
         layers.N.input_layernorm.weight norm
         layers.N.input_layernorm.bias norm
         layers.N.post_attention_layernorm.weight norm
         layers.N.post_attention_layernorm.bias norm
         layers.N.attention.bias other*
         layers.N.attention.masked_bias other*
         layers.N.attention.rotary_emb.inv_freq other*
         layers.N.attention.rotary_emb.cos_cached other*
         layers.N.attention.rotary_emb.sin_cached other*
         layers.N.attention.query_key_value.weight attention_qkv
         layers.N.attention.query_key_value.bias bias
         layers.N.attention.dense.weight attention_output
         layers.N.attention.dense.bias bias
         layers.N.mlp.dense_h_to_4h.weight mlp_up
         layers.N.mlp.dense_h_to_4h.bias bias
         layers.N.mlp.dense_4h_to_h.weight mlp_down
         layers.N.mlp.dense_4h_to_h.bias bias
         final_layer_norm.weight norm
         final_layer_norm.bias norm
         embed_out.weight head",
    ),
    (
        Family::Xglm,
        &["model.", ""],
        "embed_tokens.weight embedding
         embed_positions.weights position_embedding*
         layers.N.self_attn.q_proj.weight attention_query
         layers.N.self_attn.q_proj.bias bias
         layers.N.self_attn.k_proj.weight attention_key
         layers.N.self_attn.k_proj.bias bias
         layers.N.self_attn.v_proj.weight attention_value
         layers.N.self_attn.v_proj.bias bias
         layers.N.self_attn.out_proj.weight attention_output
         layers.N.self_attn.out_proj.bias bias
         layers.N.self_attn_layer_norm.weight norm
         layers.N.self_attn_layer_norm.bias norm
         layers.N.fc1.weight mlp_up
         layers.N.fc1.bias bias
         layers.N.fc2.weight mlp_down
         layers.N.fc2.bias bias
         layers.N.final_layer_norm.weight norm
         layers.N.final_layer_norm.bias norm
         layer_norm.weight norm
         layer_norm.bias norm
         lm_head.weight head",
    ),
    (
        Family::Llama,
        &["model.", "language_model.model.", ""],
        "embed_tokens.weight embedding
         layers.N.self_attn.q_proj.weight attention_query
         layers.N.self_attn.q_proj.bias bias
         layers.N.self_attn.q_norm.weight norm
         layers.N.self_attn.k_proj.weight attention_key
         layers.N.self_attn.v_proj.weight attention_value
         layers.N.self_attn.o_proj.weight attention_output
         layers.N.self_attn.rotary_emb.inv_freq other*
         layers.N.self_attn.rotary_emb._cos_cached other*
         layers.N.mlp.gate_proj.weight mlp_gate
         layers.N.mlp.up_proj.weight mlp_up
         layers.N.mlp.down_proj.weight mlp_down
         layers.N.input_layernorm.weight norm
         layers.N.post_attention_layernorm.weight norm
         norm.weight norm
         lm_head.weight head",
    ),
    (
        Family::Bert,
        &["bert.", "roberta.", "0.auto_model.", ""],
        "embeddings.word_embeddings.weight embedding
         embeddings.position_embeddings.weight position_embedding
         embeddings.token_type_embeddings.weight embedding
         embeddings.LayerNorm.weight norm
         embeddings.LayerNorm.gamma norm
         embeddings.position_ids other*
         encoder.layer.N.attention.self.query.weight attention_query
         encoder.layer.N.attention.self.query.bias bias
         encoder.layer.N.attention.self.key.weight attention_key
         encoder.layer.N.attention.self.value.weight attention_value
         encoder.layer.N.attention.output.dense.weight attention_output
         encoder.layer.N.attention.output.dense.bias bias
         encoder.layer.N.attention.output.LayerNorm.weight norm
         encoder.layer.N.attention.output.LayerNorm.bias norm
         encoder.layer.N.intermediate.dense.weight mlp_up
         encoder.layer.N.intermediate.dense.bias bias
         encoder.layer.N.output.dense.weight mlp_down
         encoder.layer.N.output.dense.bias bias
         encoder.layer.N.output.LayerNorm.weight norm
         pooler.dense.weight head_transform
         pooler.dense.bias bias
         cls.predictions.decoder.weight head
         cls.predictions.bias bias
         cls.predictions.transform.dense.weight head_transform
         lm_head.decoder.weight head
         lm_head.dense.weight head_transform",
    ),
    (
        Family::Unknown,
        &[""],
        "transformer.h.N.attn.attention.out_proj.weight attention_output
         transformer.h.N.mlp.fc_in.weight mlp_up
         model.layers.N.self_attn.qkv_proj.weight attention_qkv
         model.layers.N.self_attn.q_proj.lora_A.weight adapter
         model.layers.N.self_attn.q_proj.qweight other
         encoder.block.N.layer.0.SelfAttention.q.weight attention_query
         encoder.block.N.layer.0.SelfAttention.relative_attention_bias.weight position_embedding
         model.layers.N.block_sparse_moe.experts.3.w2.weight mlp_down
         model.layers.N.block_sparse_moe.gate.weight router
         model.layers.N.mlp.experts.11.gate_proj.weight mlp_gate
         blk.N.attn_q.weight attention_query
         blk.N.attn_q.bias bias
         blk.N.attn_k.weight attention_key
         blk.N.attn_v.weight attention_value
         blk.N.attn_qkv.weight attention_qkv
         blk.N.attn_qkv.bias bias
         blk.N.attn_output.weight attention_output
         blk.N.attn_q_norm.weight norm
         blk.N.attn_norm.weight norm
         blk.N.attn_output_norm.weight norm
         blk.N.ffn_norm.weight norm
         blk.N.ffn_gate.weight mlp_gate
         blk.N.ffn_up.weight mlp_up
         blk.N.ffn_down.weight mlp_down
         blk.N.ffn_gate.3.weight mlp_gate
         blk.N.ffn_gate_exps.weight mlp_gate
         blk.N.ffn_up_exps.weight mlp_up
         blk.N.ffn_down_shexp.weight mlp_down
         blk.N.ffn_gate_inp.weight router
         dec.blk.N.cross_attn_q.weight attention_query
         enc.blk.N.attn_rel_b.weight position_embedding
         token_embd.weight embedding
         token_embd_norm.weight norm
         token_types.weight embedding
         position_embd.weight position_embedding
         output.weight head
         output_norm.weight norm
         rope_freqs.weight other*
         rope_factors_long.weight other*
         conv1.weight convolution
         bn1.running_mean other*
         fc.bias bias
         cls_token embedding
         . other",
    ),
];

#[test]
fn every_tensor_of_every_family() {
    for (family, prefixes, table) in FAMILIES {
        for line in table.lines() {
            let (name, expected) = line.trim().split_once(' ').expect("a name and a component");
            let (expected, buffer) = expected.strip_suffix('*').map_or((expected, false), |name| (name, true));
            for prefix in *prefixes {
                for layer in [0, 2, 37] {
                    let numbered = format!("{prefix}{}", name.replace(".N.", &format!(".{layer}.")));
                    let identity = identify(*family, &numbered, &[]);
                    assert_eq!(identity.component.name(), expected, "{family}: {numbered}");
                    assert_eq!(identity.buffer, buffer, "{family}: {numbered}");
                    assert_eq!(identity.layer, name.contains(".N.").then_some(layer), "{family}: {numbered}");
                }
            }
        }
    }
}

#[test]
fn known_families_do_not_change_what_a_name_means() {
    for (_, _, table) in FAMILIES {
        for line in table.lines().map(str::trim) {
            let (name, _) = line.split_once(' ').expect("a name and a component");
            let unknown = identify(Family::Unknown, name, &[1, 1, 8, 8]);
            for family in [Family::Opt, Family::Gpt2, Family::Bert] {
                assert_eq!(identify(family, name, &[1, 1, 8, 8]), unknown, "{family}: {name}");
            }
        }
    }
}

#[test]
fn masks_of_unknown_families_are_recognised_by_their_shape() {
    let mask = identify(Family::Unknown, "transformer.h.0.attn.attention.bias", &[1, 1, 2048, 2048]);
    assert_eq!((mask.component, mask.buffer), (Component::Other, true));
    let bias = identify(Family::Unknown, "blocks.0.attn.bias", &[64]);
    assert_eq!((bias.component, bias.buffer), (Component::Bias, false));
}

/// Real names, each with its shape, component, layer and tower, by model; a trailing `*` marks a buffer.
const REFERENCE: &str = include_str!("reference_names.tsv");

#[test]
fn tensors_of_real_models_are_what_their_code_says() {
    let mut wrong = Vec::new();
    for model in REFERENCE.split("\n## ").skip(1) {
        let (title, lines) = model.split_once('\n').expect("a title");
        let lines: Vec<Vec<&str>> =
            lines.lines().filter(|line| !line.is_empty()).map(|line| line.split('\t').collect()).collect();
        assert!(!lines.is_empty(), "{title}");
        let naming = Naming::of(Family::Unknown, lines.iter().map(|line| line[0]));
        for line in &lines {
            let &[name, shape, component, layer, tower] = &line[..] else { panic!("{title}: five columns: {line:?}") };
            let shape: Vec<u64> = shape.split('x').filter_map(|dimension| dimension.parse().ok()).collect();
            let found = naming.identify(name, &shape);
            let said = [
                format!("{}{}", found.component, if found.buffer { "*" } else { "" }),
                found.layer.map_or_else(|| "-".to_owned(), |layer| layer.to_string()),
                found.tower.as_deref().unwrap_or("-").to_owned(),
            ];
            if said != [component, layer, tower] {
                wrong.push(format!("{title}: {name} is {said:?}, not {:?}", [component, layer, tower]));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn many_tensors_are_identified_in_time_that_grows_with_their_number() {
    let names: Vec<String> = (0..64)
        .flat_map(|layer| (0..256).map(move |expert| format!("model.layers.{layer}.mlp.experts.{expert}")))
        .flat_map(|expert| ["gate_proj", "up_proj", "down_proj"].map(|part| format!("{expert}.{part}.weight")))
        .collect();
    assert_eq!(names.len(), 49_152);
    let began = std::time::Instant::now();
    let naming = Naming::of(Family::Unknown, names.iter().map(String::as_str));
    assert!(names.iter().all(|name| naming.identify(name, &[8, 8]).component != Component::Other));
    // It takes a tenth of a second; comparing each name with each other one would take minutes.
    assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
}

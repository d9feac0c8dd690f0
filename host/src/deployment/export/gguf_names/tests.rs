use serde_json::json;

use super::*;

/// The names of a tensor of a model with this configuration, joined.
fn named(config: &Value, tensor: &str) -> Result<String, Unnamed> {
    let names = Naming::of(Family::Unknown, Some(config)).names(tensor)?;
    Ok(names.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
}

/// Names as transformers writes them, and as llama.cpp's converter (conversion/*.py) turns them into GGUF's.
#[test]
fn names_of_models_of_every_kind() {
    for (model, name, expected) in [
        ("LlamaForCausalLM", "model.layers.11.self_attn.q_proj.weight", "blk.11.attn_q.weight"),
        ("LlamaForCausalLM", "model.embed_tokens.weight", "token_embd.weight"),
        ("LlamaForCausalLM", "lm_head.weight", "output.weight"),
        ("LlavaForConditionalGeneration", "language_model.model.layers.1.mlp.up_proj.weight", "blk.1.ffn_up.weight"),
        ("LlamaForCausalLM", "_orig_mod.model.layers.1.mlp.up_proj.weight", "blk.1.ffn_up.weight"),
        ("LlamaForCausalLM", "model.layers.1.mlp.up_proj.base_layer.weight", "blk.1.ffn_up.weight"),
        ("mixtral", "model.layers.0.block_sparse_moe.experts.3.w1.weight", "blk.0.ffn_gate_exps.weight"),
        ("mixtral", "model.layers.0.block_sparse_moe.gate.weight", "blk.0.ffn_gate_inp.weight"),
        ("GPT2LMHeadModel", "transformer.h.0.attn.c_attn.weight", "blk.0.attn_qkv.weight"),
        ("gpt2", "h.3.attn.c_proj.weight", "blk.3.attn_output.weight"),
        ("bloom", "transformer.h.2.mlp.dense_h_to_4h.weight", "blk.2.ffn_up.weight"),
        ("gpt_neox", "gpt_neox.layers.5.attention.dense.weight", "blk.5.attn_output.weight"),
        ("gptj", "transformer.h.5.mlp.fc_in.weight", "blk.5.ffn_up.weight"),
        ("bert", "bert.encoder.layer.1.attention.output.dense.weight", "blk.1.attn_output.weight"),
        ("xlm-roberta", "roberta.encoder.layer.1.output.dense.weight", "blk.1.ffn_down.weight"),
        ("modernbert", "model.layers.2.mlp.Wi.weight", "blk.2.ffn_up.weight"),
        ("falcon", "transformer.h.7.self_attention.query_key_value.weight", "blk.7.attn_qkv.weight"),
        ("gpt_bigcode", "transformer.h.7.attn.c_attn.weight", "blk.7.attn_qkv.weight"),
        ("phi3", "model.layers.0.self_attn.qkv_proj.weight", "blk.0.attn_qkv.weight"),
        ("phi3", "model.layers.0.mlp.gate_up_proj.weight", "blk.0.ffn_up.weight"),
        (
            "internlm2",
            "model.layers.0.attention.wqkv.weight",
            "blk.0.attn_q.weight blk.0.attn_k.weight blk.0.attn_v.weight",
        ),
        ("qwen3_moe", "model.layers.4.mlp.experts.63.down_proj.weight", "blk.4.ffn_down_exps.weight"),
        ("qwen3_moe", "model.layers.4.mlp.experts.down_proj", "blk.4.ffn_down_exps.weight"),
        ("qwen3_moe", "model.layers.4.mlp.experts.gate_up_proj", "blk.4.ffn_gate_exps.weight blk.4.ffn_up_exps.weight"),
        ("gpt_oss", "model.layers.0.mlp.experts.gate_up_proj", "blk.0.ffn_gate_exps.weight blk.0.ffn_up_exps.weight"),
        ("gemma4", "model.language_model.layers.0.experts.gate_up_proj", "blk.0.ffn_gate_up_exps.weight"),
        ("deepseek_v3", "model.layers.3.self_attn.kv_a_proj_with_mqa.weight", "blk.3.attn_kv_a_mqa.weight"),
        ("deepseek_v3", "model.layers.3.self_attn.kv_b_proj.weight", "blk.3.attn_k_b.weight blk.3.attn_v_b.weight"),
        ("deepseek_v3", "model.layers.3.mlp.shared_experts.up_proj.weight", "blk.3.ffn_up_shexp.weight"),
        ("deepseek_v4", "layers.3.ffn.experts.17.w2.weight", "blk.3.ffn_down_exps.weight"),
        ("mamba", "backbone.layers.0.mixer.A_log", "blk.0.ssm_a"),
        ("mamba", "backbone.layers.0.mixer.in_proj.weight", "blk.0.ssm_in.weight"),
        ("t5", "encoder.block.3.layer.0.SelfAttention.q.weight", "enc.blk.3.attn_q.weight"),
        ("t5", "decoder.block.3.layer.1.EncDecAttention.o.weight", "dec.blk.3.cross_attn_o.weight"),
        ("rwkv7", "model.layers.0.attn.w_lora.lora.0.weight", "blk.0.time_mix_w1.weight"),
        (
            "granitemoe",
            "model.layers.1.block_sparse_moe.input_linear.weight",
            "blk.1.ffn_gate_exps.weight blk.1.ffn_up_exps.weight",
        ),
        ("Qwen2VLForConditionalGeneration", "model.language_model.layers.0.mlp.up_proj.weight", "blk.0.ffn_up.weight"),
    ] {
        let key = if model.chars().next().is_some_and(char::is_uppercase) { "architectures" } else { "model_type" };
        let config = if key == "model_type" { json!({ key: model }) } else { json!({ key: [model] }) };
        assert_eq!(named(&config, name).as_deref(), Ok(expected), "{model}: {name}");
    }
}

#[test]
fn the_family_decides_without_a_configuration() {
    let name = |family, tensor| Naming::of(family, None).names(tensor).map(|names| names[0].to_string());
    let of_bert = name(Family::Bert, "encoder.layer.1.output.dense.weight");
    assert_eq!(of_bert.as_deref(), Ok("blk.1.ffn_down.weight"));
    let of_neox = name(Family::GptNeox, "embed_out.weight");
    assert_eq!(of_neox.as_deref(), Ok("output.weight"));
}

#[test]
fn without_an_architecture_all_must_agree() {
    let nothing_known = Naming::of(Family::Unknown, None);
    let names = nothing_known.names("model.layers.7.mlp.down_proj.weight").expect("one name");
    assert_eq!(names, [GgufName::new("blk.7.ffn_down.weight".into())]);
    assert_eq!(
        nothing_known.names("blk.7.ffn_down_exps.weight").expect("GGUF's own")[0].to_string(),
        "blk.7.ffn_down_exps.weight"
    );
    let reason = nothing_known
        .names("model.layers.7.self_attn.q_proj.weight")
        .expect_err("RWKV and ruGPT 3 have such names too");
    assert!(reason.to_string().contains("blk.7.attn_q.weight or blk.7.attn_qkv.weight"), "{reason}");
    assert_eq!(nothing_known.names("layers.0.strange.weight"), Err(Unnamed::Anywhere));
}

#[test]
fn the_metadata_of_a_gguf_file_names_its_architecture() {
    let config = json!({ "model_type": "gpt_neox", "gguf": { "general.architecture": "gptneox" } });
    assert_eq!(named(&config, "blk.3.attn_qkv.weight").as_deref(), Ok("blk.3.attn_qkv.weight"));
    let config = json!({ "model_type": "new", "gguf": { "general.architecture": "new" } });
    assert_eq!(named(&config, "blk.3.attn_q.weight").as_deref(), Ok("blk.3.attn_q.weight"));
}

#[test]
fn what_has_no_name_says_why() {
    for (family, config, tensor, reason) in [
        (Family::Opt, json!({ "model_type": "opt" }), "model.decoder.layers.0.fc1.weight", "for the family opt"),
        (Family::Unknown, json!({ "architectures": ["StrangeLM"] }), "layers.0.fc1.weight", "for StrangeLM"),
        (Family::Llama, json!({}), "model.layers.0.strange.weight", "in the architecture llama"),
        (
            Family::Llama,
            json!({ "architectures": ["LlavaForConditionalGeneration"] }),
            "vision_tower.vision_model.encoder.layers.0.mlp.fc1.weight",
            "file of its own (mmproj)",
        ),
    ] {
        let found = Naming::of(family, Some(&config)).names(tensor).expect_err("no name").to_string();
        assert!(found.contains(reason), "{tensor}: {found}");
    }
}

#[test]
fn layers_of_predicted_tokens_come_behind_the_others() {
    let config = json!({ "model_type": "qwen3_next", "num_hidden_layers": 48 });
    assert_eq!(named(&config, "mtp.fc.weight").as_deref(), Ok("blk.48.nextn.eh_proj.weight"));
    assert_eq!(named(&config, "mtp.layers.0.self_attn.q_proj.weight").as_deref(), Ok("blk.48.attn_q.weight"));
}

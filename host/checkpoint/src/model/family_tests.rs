use super::*;
use serde_json::json;

const OPT: &[&str] = &[
    "model.decoder.embed_tokens.weight",
    "model.decoder.embed_positions.weight",
    "model.decoder.layers.0.self_attn.out_proj.weight",
    "model.decoder.layers.0.fc1.weight",
];
const BLOOM: &[&str] = &[
    "transformer.word_embeddings_layernorm.weight",
    "transformer.h.0.self_attention.query_key_value.weight",
    "transformer.h.0.mlp.dense_h_to_4h.weight",
];
const GPT2: &[&str] =
    &["transformer.wte.weight", "transformer.h.0.attn.c_attn.weight", "transformer.h.0.mlp.c_fc.weight"];
const GPT_NEOX: &[&str] = &[
    "gpt_neox.layers.0.attention.query_key_value.weight",
    "gpt_neox.layers.0.mlp.dense_h_to_4h.weight",
    "embed_out.weight",
];
const XGLM: &[&str] = &[
    "model.embed_tokens.weight",
    "model.layers.0.self_attn.out_proj.weight",
    "model.layers.0.fc1.weight",
    "model.layer_norm.weight",
];
const LLAMA: &[&str] = &[
    "model.layers.0.self_attn.q_proj.weight",
    "model.layers.0.self_attn.o_proj.weight",
    "model.layers.0.mlp.gate_proj.weight",
];
const BERT: &[&str] =
    &["bert.encoder.layer.0.attention.self.query.weight", "bert.encoder.layer.0.intermediate.dense.weight"];

const FAMILIES: [(Family, &[&str]); 7] = [
    (Family::Opt, OPT),
    (Family::Bloom, BLOOM),
    (Family::Gpt2, GPT2),
    (Family::GptNeox, GPT_NEOX),
    (Family::Xglm, XGLM),
    (Family::Llama, LLAMA),
    (Family::Bert, BERT),
];

fn recognise(names: &[&str], model_type: Option<&str>) -> Family {
    let config = model_type.map(|model_type| json!({ "model_type": model_type }));
    Family::recognise(names.iter().copied(), config.as_ref())
}

#[test]
fn by_names_alone() {
    for (family, names) in FAMILIES {
        assert_eq!(recognise(names, None), family);
        assert_eq!(recognise(names, Some("something_new")), family);
        let stripped: Vec<&str> = names
            .iter()
            .map(|name| {
                ["model.decoder.", "transformer.", "gpt_neox.", "bert.", "model."]
                    .iter()
                    .find_map(|prefix| name.strip_prefix(prefix))
                    .unwrap_or(name)
            })
            .collect();
        assert_eq!(recognise(&stripped, None), family, "{stripped:?}");
    }
    assert_eq!(recognise(&[], None), Family::Unknown);
}

#[test]
fn by_configuration() {
    for (family, names) in FAMILIES {
        assert_eq!(recognise(names, Some(family.name())), family);
        assert_eq!(recognise(&["some.adapter.weight"], Some(family.name())), family);
    }
    assert_eq!(recognise(LLAMA, Some("qwen2")), Family::Llama);
    assert_eq!(recognise(BERT, Some("xlm-roberta")), Family::Bert);
    // The names in GGUF files are those of no family.
    let gguf = ["token_embd.weight", "blk.0.attn_q.weight", "blk.0.ffn_gate.weight"];
    assert_eq!(recognise(&gguf, Some("gpt_neox")), Family::GptNeox);
    assert_eq!(recognise(&gguf, None), Family::Unknown);
    // Layers alone do not distinguish OPT from XGLM, nor BLOOM from Falcon: the configuration does.
    let layers = ["layers.0.self_attn.out_proj.weight", "layers.0.fc1.weight"];
    assert_eq!(recognise(&layers, None), Family::Unknown);
    assert_eq!(recognise(&layers, Some("opt")), Family::Opt);
    assert_eq!(recognise(&layers, Some("xglm")), Family::Xglm);
    assert_eq!(recognise(&BLOOM[1..], None), Family::Unknown);
    assert_eq!(recognise(&BLOOM[1..], Some("bloom")), Family::Bloom);
}

#[test]
fn names_overrule_a_configuration_of_another_family() {
    assert_eq!(recognise(GPT2, Some("llama")), Family::Gpt2);
    assert_eq!(recognise(GPT_NEOX, Some("bloom")), Family::GptNeox);
}

#[test]
fn lookalikes_and_mixtures_are_unknown() {
    assert_eq!(recognise(BLOOM, Some("falcon")), Family::Unknown);
    assert_eq!(recognise(GPT2, Some("gpt_bigcode")), Family::Unknown);
    let mixture: Vec<&str> = GPT2.iter().chain(BERT).copied().collect();
    assert_eq!(recognise(&mixture, None), Family::Unknown);
    let bart = [OPT, &["model.encoder.layers.0.self_attn.out_proj.weight", "model.encoder.layers.0.fc1.weight"]];
    assert_eq!(recognise(&bart.concat(), None), Family::Unknown);
}

#[test]
fn odd_configurations_are_passed_over() {
    for config in [json!(null), json!([]), json!({"model_type": 3}), json!("llama")] {
        assert_eq!(Family::recognise(OPT.iter().copied(), Some(&config)), Family::Opt, "{config}");
    }
}

#[test]
fn names_match_the_files() {
    for (family, _) in FAMILIES {
        assert_eq!(serde_json::to_value(family).expect("a name"), family.name());
        assert_eq!(family.to_string(), family.name());
    }
}

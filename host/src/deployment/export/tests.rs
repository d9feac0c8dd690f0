use super::*;
use crate::deployment::testing::{Made, run};
use crate::record::Role;
use kurtoscope_checkpoint::model::Family;

fn target(name: &str) -> &'static Target {
    Target::named(name).expect("a target")
}

/// Three layers with one bad and one hopeless matrix, an embedding, a tied head, and a name that no one should paste as it is.
fn model() -> Run {
    let mut tensors = Vec::new();
    let embedding = Made::new("model.embed_tokens.weight", &[1024, 256]).all(0.0);
    let embedding = embedding.with(|tensor| tensor.component = Component::Embedding).tensor();
    let mut head = embedding.clone();
    (head.name, head.role, head.of) = ("lm_head.weight".into(), Role::Tied, Some(embedding.name.clone()));
    tensors.push(embedding);
    for layer in 0..3 {
        for (name, loss) in [("self_attn.q_proj", 0.0), ("mlp.down_proj", [0.0, 12.0, 30.0][layer])] {
            let name = format!("model.layers.{layer}.{name}.weight");
            tensors.push(Made::new(&name, &[256, 256]).all(loss).tensor());
        }
    }
    tensors.push(Made::new("odd\"name'\u{1b}.weight", &[256, 256]).all(0.0).tensor());
    tensors.push(head);
    run(tensors)
}

fn rendered(tool: Tool, run: &Run, name: &str) -> Result<String, ExportError> {
    let target = target(name);
    let plan = DeploymentPlan::of(run, target).expect("a plan");
    render(tool, &Assignment::of_plan(run, target, &plan))
}

#[test]
fn for_llama_cpp() {
    insta::assert_snapshot!(rendered(Tool::LlamaCpp, &model(), "q4_k").expect("named"));
}

#[test]
fn for_onnx_runtime() {
    insta::assert_snapshot!(rendered(Tool::OnnxRuntime, &model(), "int8-per-channel").expect("written"));
}

#[test]
fn for_torchao() {
    insta::assert_snapshot!(rendered(Tool::Torchao, &model(), "int4-g128").expect("written"));
}

#[test]
fn for_executorch() {
    let text = rendered(Tool::Executorch, &model(), "int4-g32").expect("written");
    assert!(text.contains("weight_dtype=torch.int4, weight_granularity=PerGroup(32)"), "{text}");
}

#[test]
fn a_budget_lists_every_matrix() {
    let run = model();
    let plan = Allocated::of(&run, target("q4_0"), 5.0).expect("a plan");
    let text = render(Tool::LlamaCpp, &Assignment::of_budget(&run, target("q4_0"), &plan)).expect("named");
    assert!(text.contains("a budget of 5 bits"), "{text}");
    assert!(text.contains("ffn_down") && text.contains("--token-embedding-type"), "{text}");
}

#[test]
fn experts_that_llama_cpp_stacks_share_a_type() {
    let expert = |expert: u32, loss| {
        let name = format!("model.layers.0.block_sparse_moe.experts.{expert}.w2.weight");
        Made::new(&name, &[256, 256]).all(loss).tensor()
    };
    let mut run = run(vec![expert(0, 0.0), expert(1, 30.0), expert(2, 0.0)]);
    run.model.config = Some(serde_json::json!({ "architectures": ["MixtralForCausalLM"] }));
    let text = rendered(Tool::LlamaCpp, &run, "q4_k").expect("named");
    assert!(text.contains(r"'^blk\.[0-9]+\.ffn_down_exps\.weight$=f16'"), "{text}");
    assert_eq!(text.matches("--tensor-type").count(), 1, "{text}");
    assert!(text.contains("# 1 tensor is made of several matrices"), "{text}");
}

#[test]
fn towers_are_left_to_their_own_file() {
    let vision = "vision_tower.vision_model.encoder.layers.0.mlp.fc1.weight";
    let text = "language_model.model.layers.0.mlp.up_proj.weight";
    let mut run = run([vision, text].map(|name| Made::new(name, &[256, 256]).all(0.0).tensor()).into());
    run.model.config = Some(serde_json::json!({ "architectures": ["LlavaForConditionalGeneration"] }));
    let script = rendered(Tool::LlamaCpp, &run, "q4_k").expect("named");
    assert!(script.contains(r"'^blk\.[0-9]+\.ffn_up\.weight$=q4_K'"), "{script}");
    assert_eq!(script.matches("--tensor-type").count(), 1, "{script}");
    assert!(script.contains(&format!("# not in here: {vision}: it belongs to a vision or audio tower")), "{script}");
}

#[test]
fn tools_that_do_not_know_a_target_name_those_that_they_know() {
    let error = rendered(Tool::LlamaCpp, &model(), "int4-g128").expect_err("no type").to_string();
    assert_eq!(error, "llama.cpp has nothing like int4-g128; it has q8_0, q4_0, q4_k");
    assert!(rendered(Tool::Torchao, &model(), "int8-per-tensor").is_err());
}

#[test]
fn families_without_an_architecture_are_an_error() {
    let mut run = model();
    run.model.family = Family::Opt;
    run.model.config = None;
    let error = rendered(Tool::LlamaCpp, &run, "q8_0").expect_err("no names").to_string();
    assert!(error.contains("no architecture for the family opt"), "{error}");
}

use kurtoscope_shared::quantization::Scheme;

use super::budget::budget;
use super::overview::{brief, overview};
use super::target::plan;
use super::*;
use crate::deployment::testing::{Made, run};
use crate::deployment::{Allocated, DeploymentPlan, Target};
use crate::report::hypotheses::{markdown, terminal};
use crate::report::terminal::Style;
use crate::scheme_key::TensorScheme;

fn target(name: &str) -> &'static Target {
    Target::named(name).expect("a target")
}

/// Matrices that need each remedy, and one whose name no one should print as it is.
fn model() -> Run {
    let made = |name: &str, loss: f64| {
        Made::new(name, &[1024, 1024]).all(loss).kurtosis(3.1, 3.0).concentrated(0.0105, 0.0105)
    };
    run(vec![
        made("model.layers.0.self_attn.q_proj.weight", 0.0).tensor(),
        made("model.layers.0.self_attn.o_proj.weight", 0.5)
            .kurtosis(560.0, 3.1)
            .concentrated(0.99, 0.99)
            .predicted(TensorScheme::Int8, 10.7)
            .predicted(TensorScheme::Int8Clipped, 38.0)
            .tensor(),
        made("model.layers.0.mlp.down_proj.weight", 12.0).kurtosis(40.0, 39.0).concentrated(0.011, 0.9).tensor(),
        made("odd|`name`\u{1b}[31m.weight", 31.0).tensor(),
        made("model.layers.1.mlp.up_proj.weight", 1.0).kurtosis(9.0, 8.9).tensor(),
    ])
}

fn shown(blocks: &[Block]) -> String {
    terminal::render(blocks, "", &Style { width: 100, color: false })
}

#[test]
fn a_target_on_a_terminal() {
    let run = model();
    insta::assert_snapshot!(shown(&plan(
        &run,
        &DeploymentPlan::of(&run, target("int8-per-tensor")).expect("a plan"),
        2
    )));
}

#[test]
fn a_target_as_markdown() {
    let run = model();
    let found = DeploymentPlan::of(&run, target("int4-g128")).expect("a plan");
    insta::assert_snapshot!(markdown::render(&plan(&run, &found, usize::MAX)));
}

#[test]
fn a_budget_on_a_terminal() {
    let run = model();
    let found = Allocated::of(&run, target("int4-g32"), 5.2).expect("a plan");
    insta::assert_snapshot!(shown(&budget(&run, &found, SHOWN)));
}

#[test]
fn all_targets_on_a_terminal() {
    let mut run = model();
    run.model.synthetic = true;
    for tensor in &mut run.tensors {
        tensor.quantization.remove(Scheme::Nf4B64.key());
    }
    let (plans, without) = DeploymentPlan::all(&run);
    insta::assert_snapshot!(shown(&overview(&run, &plans, &without)));
}

#[test]
fn the_brief_names_the_worst_with_remedies() {
    let run = model();
    let (targets, worst) = brief(&run, 2).expect("figures");
    assert!(targets.markdown().contains("| int8-per-tensor |"), "{}", targets.markdown());
    let worst = worst.markdown();
    assert!(worst.lines().nth(2).is_some_and(|line| line.contains("odd")), "{worst}");
    assert!(
        worst.lines().nth(3).is_some_and(|line| line.contains("down_proj") && line.contains("| rotation |")),
        "{worst}"
    );
    assert_eq!(brief(&crate::deployment::testing::run(vec![]), 2).map(|_| ()), None);
}

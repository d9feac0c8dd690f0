//! Any bytes as a finished run: plans, exports, budgets and comparisons are made of it, or refused.

#![no_main]

use kurtoscope_host::{
    compare::compare,
    deployment::{
        Allocated, DeploymentPlan, Target,
        export::{Assignment, Tool, render},
        target::ALL,
    },
    record::Run,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((&number, rest)) = bytes.split_first() else { return };
    let Ok(run) = serde_json::from_slice::<Run>(rest) else { return };
    let _ = compare(&run, &run);
    let _ = DeploymentPlan::all(&run);
    let target: &'static Target = &ALL[usize::from(number) % ALL.len()];
    if let Ok(plan) = DeploymentPlan::of(&run, target) {
        for tool in Tool::ALL {
            let _ = render(tool, &Assignment::of_plan(&run, target, &plan));
        }
    }
    let bits = f64::from(number) / 16.0;
    if let Ok(allocated) = Allocated::of(&run, target, bits) {
        for tool in Tool::ALL {
            let _ = render(tool, &Assignment::of_budget(&run, target, &allocated));
        }
    }
});

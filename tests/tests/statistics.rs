//! Devices that do not measure what this program measures, in the same form: what is missing, and that it is said; and
//! reports of other content than their chunk's.

use std::{fs, path::PathBuf, time::Duration};

use kurtoscope_checkpoint::Checkpoint;
use kurtoscope_host::{
    analysis::{Device, Quiet, RunOptions, analyze_with},
    link::DeviceUrl,
    record::{Run, Tensor},
    run_file,
};
use kurtoscope_shared::{
    ColumnErrors, Requests,
    statistics::{ChunkSpan, Statistic},
};
use kurtoscope_tests::{
    checkpoints::{self, Safetensors, noise},
    command::Outcome,
    misbehaving, tested,
};
use tempfile::TempDir;

/// Many times what a run takes here.
const LONGEST: Duration = Duration::from_secs(60);

/// A model of 64 chunks for a device that takes 16 KiB at once.
struct Model(TempDir);

impl Model {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        checkpoints::write_noise(&folder.path().join("model.safetensors"), 4, 64 << 10).expect("writable");
        Self(folder)
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("model.safetensors")
    }

    fn measure(&self, device: &str) -> (Run, Outcome) {
        tested!().analyze(&self.path(), &[device]).impatient().within(LONGEST).measured()
    }
}

/// A record without what follows from the histogram of magnitudes.
fn without_histogram(tensor: &Tensor) -> Tensor {
    let mut tensor = tensor.clone();
    tensor.quantiles.clear();
    tensor.quantization.retain(|scheme, _| !scheme.contains("per_tensor"));
    tensor
}

#[test]
fn a_statistic_that_a_device_lacks_or_has_in_another_form_is_missing_alone_and_that_is_said() {
    let model = Model::new();
    let (all, outcome) = model.measure(&misbehaving!("good"));
    assert_eq!((outcome.stderr.as_str(), all.missing_statistics.len()), ("", 0));
    assert!(all.tensors.iter().all(|tensor| *tensor != without_histogram(tensor)), "there is something to miss");
    for fault in ["lacks", "otherkey"] {
        let device = misbehaving!(fault);
        let (run, outcome) = model.measure(&device);
        outcome.assert_said(&[&device, "not measured by this device: histogram of magnitudes"]);
        let printed = tested!().analyze(&model.path(), &[&device]).impatient().within(LONGEST).run().stdout;
        assert!(printed.lines().next().is_some_and(|line| line.contains("INCOMPLETE")), "{printed}");
        let [missing] = run.missing_statistics.as_slice() else { panic!("{:?}", run.missing_statistics) };
        assert_eq!(
            (&missing.device, missing.statistics.as_slice()),
            (&device, &["histogram of magnitudes".into()][..])
        );
        for (found, all) in run.tensors.iter().zip(&all.tensors) {
            assert_eq!(*found, without_histogram(all), "{fault}: everything else is there, to the last bit");
        }
    }
}

#[test]
fn a_statistic_that_only_the_device_knows_changes_nothing() {
    let model = Model::new();
    let (all, _) = model.measure(&misbehaving!("good"));
    let (run, outcome) = model.measure(&misbehaving!("extra"));
    assert_eq!((outcome.stderr.as_str(), &run.tensors), ("", &all.tensors));
    assert!(run.missing_statistics.is_empty());
}

#[test]
fn a_report_under_another_number_or_of_other_content_is_refused() {
    let model = Model::new();
    let out = model.0.path().join("out");
    for fault in ["checksum", "misnumber"] {
        let device = misbehaving!(fault);
        let outcome = tested!()
            .analyze(&model.path(), &[&device])
            .args(["--out".as_ref(), out.as_os_str()])
            .impatient()
            .within(LONGEST)
            .run();
        outcome.assert_failed(&[&device, "report contradicts itself or its chunk: it is of elements with CRC-32C"]);
        assert!(run_file::read(&out.join("run.json")).is_err(), "nothing is reported");
        fs::remove_dir_all(&out).expect("a folder");
    }
}

#[test]
fn column_errors_are_kept_where_a_caller_asks_for_them() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("model.safetensors");
    let values = noise(64 * 100, 1);
    Safetensors::new().f32("layers.0.weight", &[64, 100], &values).write(&path).expect("writable");
    let model = Checkpoint::open(&path).expect("a model");
    let measure = |statistics| {
        let mut devices = [Device::open(&DeviceUrl::Local, Default::default()).expect("this machine")];
        let mut options = RunOptions { statistics, chunk_bytes: Some(10 * 400), ..RunOptions::default() };
        analyze_with(&model, &mut devices, &mut options, &mut Quiet).expect("measured")
    };
    let run = measure(Requests { column_errors: Some(()), ..Requests::FULL });
    let found = run.tensors[0].column_errors.as_ref().expect("asked for");
    let wide: Vec<f64> = values.iter().map(|value| f64::from(*value)).collect();
    let expected = ColumnErrors::reference(&wide, (), &ChunkSpan { offset: 0, count: 6400, row: 100 });
    for (found, expected) in [(&found.squares, &expected.squares), (&found.int4_g32, &expected.errors)] {
        let near = |(found, expected): (&Option<f64>, &f64)| (found.expect("finite") / expected - 1.0).abs() < 1e-9;
        assert!(found.len() == 100 && found.iter().zip(expected).all(near), "{found:?}");
    }
    let json = serde_json::to_string(&run).expect("numbers and strings");
    assert_eq!(serde_json::from_str::<Run>(&json).expect("the same").tensors, run.tensors);
    // Nobody else sees any of it.
    let json = serde_json::to_string(&measure(Requests::FULL)).expect("numbers and strings");
    assert!(!json.contains("column_errors"));
}

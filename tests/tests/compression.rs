//! Compressed chunks change what crosses a link, and nothing else.

use kurtoscope_tests::{checkpoints, tested};

#[test]
fn compressed_and_plain_runs_end_in_the_same_bits() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("model.safetensors");
    checkpoints::write_noise(&path, 3, 100_000).expect("writable");
    // The chunk size is fixed, since otherwise it follows from how fast the link is now.
    let run = |mode: &str| {
        tested!().analyze(&path, &["pty:"]).args(["--packing", mode, "--chunk-bytes", "65536"]).measured().0
    };
    let (plain, compressed) = (run("never"), run("always"));
    assert_eq!(plain.tensors, compressed.tensors);
    assert_eq!(plain.devices[0].sent_bytes, plain.bytes);
    // The exponents of f32 are a quarter of it and hold few bits.
    let part = compressed.devices[0].sent_bytes as f64 / compressed.bytes as f64;
    assert!((0.75..0.9).contains(&part), "{part}");
    // Whether it compresses by itself depends on how fast this machine is now; the result does not.
    assert_eq!(run("auto").tensors, plain.tensors);
}

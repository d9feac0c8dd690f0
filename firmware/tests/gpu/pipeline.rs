//! Chunks that are on the adapter together.

use kurtoscope_firmware::engine::{ChunkSpec, Engine, Submission};
use kurtoscope_shared::{Element, Requests};

use super::engine;

#[test]
fn chunks_in_flight_do_not_disturb_each_other() {
    let Some(mut engine) = engine(1 << 24) else { return };
    assert!(engine.in_flight() >= 2);
    let chunks: Vec<Vec<u8>> = [(50_000, 1.0f32), (200_003, 1e-20), (7, 3.0), (1_000_000, 1e20)]
        .map(|(count, size)| (0..count).flat_map(|x| (size * (x as f32 * 0.37).sin()).to_le_bytes()).collect())
        .to_vec();
    let alone: Vec<_> = chunks
        .iter()
        .map(|chunk| engine.measure(ChunkSpec::of(Element::F32, Requests::FULL), chunk).expect("measured"))
        .collect();
    let submitted: Vec<_> = chunks
        .iter()
        .map(|chunk| engine.submit(ChunkSpec::of(Element::F32, Requests::FULL), chunk.clone().into()))
        .collect();
    for (submission, expected) in submitted.into_iter().zip(alone) {
        let Submission::Running(number) = submission else { panic!("the adapter measures these") };
        assert_eq!(engine.collect(number).outcome, Ok(expected));
    }
}

//! What goes wrong on an adapter is reported as a fault, and the engine goes on.

use kurtoscope_firmware::{
    engine::{ChunkSpec, Engine},
    self_test,
};
use kurtoscope_shared::{Element, Requests, protocol::FaultKind};

use super::engine;

fn wave(count: usize) -> Vec<u8> {
    (0..count).flat_map(|x| (x as f32 * 0.7).sin().to_le_bytes()).collect()
}

#[test]
fn the_adapter_proves_itself_up_to_sixteen_million_elements() {
    let Some(mut engine) = engine(1 << 26) else { return };
    let outcome = self_test::run(&mut engine);
    println!("{}: {outcome:?}", engine.description());
    assert!(outcome.passed && outcome.max_relative_error <= 1e-6, "{outcome:?}");
    // Sizes of f32 and f16 each, six to seven of them, and f64 on the processor.
    assert!(outcome.answers >= 14, "{outcome:?}");
}

#[test]
fn a_lost_adapter_is_opened_again() {
    let Some(mut engine) = engine(1 << 22) else { return };
    let chunk = wave(300_001);
    let before = engine.measure(ChunkSpec::of(Element::F32, Requests::FULL), &chunk).expect("measured");
    engine.handles().0.destroy();
    let fault = engine.measure(ChunkSpec::of(Element::F32, Requests::FULL), &chunk).expect_err("the device is gone");
    assert!(matches!(fault, FaultKind::DeviceLost | FaultKind::Engine), "{fault:?}");
    let after = engine.measure(ChunkSpec::of(Element::F32, Requests::FULL), &chunk).expect("opened again");
    assert_eq!(after, before);
}

#[test]
fn an_adapter_that_is_lost_again_and_again_is_given_up() {
    let Some(mut engine) = engine(1 << 22) else { return };
    let faults: Vec<_> = (0..3)
        .map(|_| {
            engine.handles().0.destroy();
            engine.measure(ChunkSpec::of(Element::F32, Requests::MOMENTS), &wave(5000)).expect_err("the device is gone")
        })
        .collect();
    assert_eq!(faults[2], FaultKind::Unfit, "{faults:?}");
}

#[test]
fn chunks_beyond_the_limits_never_reach_the_adapter() {
    let Some(mut engine) = engine(1 << 12) else { return };
    let refused = engine.measure(ChunkSpec::of(Element::F32, Requests::MOMENTS), &wave(1025));
    assert_eq!(refused, Err(FaultKind::TooLarge { found: 4100, max: 4096 }));
    let ragged = engine.measure(ChunkSpec::of(Element::F32, Requests::MOMENTS), &wave(10)[..39]);
    assert_eq!(ragged, Err(FaultKind::PayloadLength { expected: 40, found: 39 }));
    assert!(engine.measure(ChunkSpec::of(Element::F32, Requests::MOMENTS), &wave(10)).is_ok());
}

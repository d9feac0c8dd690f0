//! The GPU engine on a real driver: accuracy, identical bits, failures. On a machine without a graphics adapter every
//! test says that it was skipped; Mesa's lavapipe is enough of an adapter.
//!
//! `KURTOSCOPE_ADAPTER` names the adapter to test. Without it the first that is hardware is taken, then any.

mod accuracy;
mod distributions;
mod failures;
mod pipeline;
mod reference;

use kurtoscope_firmware::engine::gpu::{Choice, GpuEngine, adapters};

/// An engine for payloads of up to `max_payload` bytes on the adapter under test; `None`, loudly, where there is none.
fn engine(max_payload: u32) -> Option<GpuEngine> {
    let choice = match std::env::var("KURTOSCOPE_ADAPTER") {
        Ok(name) => Choice::Named(name),
        Err(_) => {
            let all = adapters();
            let usable = |hardware: bool| all.iter().find(|a| a.lacks().is_none() && a.is_software() != hardware);
            let Some(adapter) = usable(true).or(usable(false)) else {
                eprintln!("SKIPPED: this machine has no graphics adapter that the kernel can run on: {all:?}");
                return None;
            };
            Choice::Named(adapter.name.clone())
        }
    };
    Some(GpuEngine::open_with_payload(choice, max_payload).expect("the adapter under test opens"))
}

//! The real USB stack without hardware: in a guest, the gadget side of the device and the host's side meet at controllers
//! that are joined back to back. Needs QEMU and a kernel (see `guest`); says loudly what it skips.
#![cfg(target_os = "linux")]

mod guest;

use guest::{Guest, guest};
use kurtoscope::record::Run;
use kurtoscope_tests::tested;

/// The tensors as `local` measures them on this machine with chunks of this size.
fn local(guest: &Guest, chunk_bytes: usize) -> String {
    let chunks = chunk_bytes.to_string();
    let model = guest.model("model.safetensors");
    let (run, _) = tested!().analyze(&model, &["local"]).args(["--chunk-bytes", &chunks, "--quiet"]).measured();
    tensors(&run)
}

/// Every number of every tensor; equal text means equal bits.
fn tensors(run: &Run) -> String {
    serde_json::to_string_pretty(&run.tensors).expect("plain data")
}

fn assert_sound(guest: &Guest, name: &str, chunk_bytes: usize) {
    let run = guest.measured(name);
    assert_eq!(tensors(&run), local(guest, chunk_bytes), "{name}");
    let [share] = run.devices.as_slice() else { panic!("{name}: {} devices", run.devices.len()) };
    assert_eq!(
        (share.resent, share.damaged, share.dropped, share.reconnects),
        (0, 0, 0, 0),
        "{name}: a sound link loses nothing"
    );
}

#[test]
fn bulk_transfers_give_the_same_bits_at_every_speed() {
    let Some(guest) = guest() else { return };
    for name in ["bulk-high", "bulk-super", "bulk-packed"] {
        assert_sound(guest, name, 4096);
    }
    assert_sound(guest, "bulk-large", 65_536);
}

#[test]
fn a_serial_port_gives_the_same_bits() {
    let Some(guest) = guest() else { return };
    for name in ["serial-full", "serial-high", "serial-again"] {
        assert_sound(guest, name, 4096);
    }
    assert!(guest.text("serial.devices").contains("serial:/dev/ttyACM0"));
    let error = guest.failed("serial-as-bulk");
    assert!(error.contains("usb:1209:0002") && error.contains("no interface of Kurtoscope's"), "{error}");
}

#[test]
fn gadgets_are_gone_when_their_programs_are() {
    let Some(guest) = guest() else { return };
    for name in ["bulk-high", "bulk-super", "serial-full", "serial-high"] {
        assert_eq!(guest.text(&format!("{name}.left")), "", "{name}");
    }
}

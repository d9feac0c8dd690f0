//! The real USB stack without hardware: in a guest, the gadget side of the device and the host's side meet at controllers
//! that are joined back to back. Needs QEMU and a kernel (see `guest`); says loudly what it skips.
#![cfg(target_os = "linux")]

mod guest;

use std::fmt;

use guest::{Guest, Scenario, guest};
use kurtoscope_host::record::{DeviceShare, Run};
use kurtoscope_tests::tested;

/// What USB 2.0 carries at high speed, bytes a second: 13 packets of 512 bytes in each of 8000 microframes. dummy_hcd
/// keeps no such limit.
const HIGH_SPEED: f64 = 13.0 * 512.0 * 8000.0;

/// The tensors as `local` measures them on this machine with chunks of this size.
fn local(guest: &Guest, model: &str, chunk_bytes: usize) -> String {
    let chunks = chunk_bytes.to_string();
    let model = guest.model(model);
    let (run, _) = tested!().analyze(&model, &["local"]).args(["--chunk-bytes", &chunks, "--quiet"]).measured();
    tensors(&run)
}

/// Every number of every tensor; equal text means equal bits.
fn tensors(run: &Run) -> String {
    serde_json::to_string_pretty(&run.tensors).expect("plain data")
}

/// Checks that the run `name` gave the same bits as `local`, and that nothing was lost on the way.
fn assert_undisturbed(guest: &Guest, name: &str, chunk_bytes: usize) {
    let run = guest.measured(name);
    assert_eq!(tensors(&run), local(guest, "model.safetensors", chunk_bytes), "{name}");
    let share = only(&run);
    let losses = (share.resent, share.damaged, share.dropped, share.reconnects);
    assert_eq!(losses, (0, 0, 0, 0), "{name}: an intact link loses nothing");
}

fn only(run: &Run) -> &DeviceShare {
    let [share] = run.devices.as_slice() else { panic!("{} devices", run.devices.len()) };
    share
}

fn assert_says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "{word:?} is not in: {text}");
    }
}

#[test]
fn bulk_transfers_give_the_same_bits() {
    let Some(guest) = guest(Scenario::Links) else { return };
    for name in ["bulk-high", "bulk-super", "bulk-compressed"] {
        assert_undisturbed(guest, name, 4096);
    }
    assert_undisturbed(guest, "bulk-large", 65_536);
    assert_says(&guest.text("bulk-high.devices"), &["usb:1209:0001:bulk-high", "USB high speed, Kurtoscope, test"]);
}

#[test]
fn a_serial_port_gives_the_same_bits() {
    let Some(guest) = guest(Scenario::Links) else { return };
    for name in ["serial-full", "serial-high", "serial-again"] {
        assert_undisturbed(guest, name, 4096);
    }
    assert_says(&guest.text("serial-high.devices"), &["serial:/dev/ttyACM0"]);
    assert_says(&guest.failed("serial-as-bulk"), &["usb:1209:0002", "no interface of Kurtoscope's", "02/02/01"]);
}

#[test]
fn messages_of_every_length_come_back_whole() {
    let Some(guest) = guest(Scenario::Links) else { return };
    for (name, lengths) in [("bulk-high", 44), ("bulk-super", 44), ("serial-full", 32), ("serial-high", 32)] {
        assert_eq!(guest.text(&format!("lengths-{name}")), format!("{lengths} lengths\n"), "{name}");
    }
}

#[test]
fn gadgets_are_gone_when_their_programs_are() {
    let Some(guest) = guest(Scenario::Links) else { return };
    for name in ["bulk-high", "bulk-super", "serial-full", "serial-high"] {
        assert_eq!(guest.text(&format!("{name}.left")), "", "{name}");
        assert_eq!(guest.text(&format!("{name}.board")).lines().count(), 1, "one line to say where it serves: {name}");
    }
}

#[test]
fn a_board_that_vanishes_is_found_again() {
    let Some(guest) = guest(Scenario::Faults) else { return };
    let expected = local(guest, "large.safetensors", 65_536);
    for name in ["killed", "unplugged", "serial-killed"] {
        let run = guest.measured(name);
        assert_eq!(tensors(&run), expected, "{name}");
        assert!(only(&run).reconnects >= 1, "{name}");
    }
    // What a killed host left in the endpoints does not reach the next one.
    let run = guest.measured("next");
    assert_eq!((tensors(&run), only(&run).damaged), (expected, 0));
}

#[test]
fn two_boards_are_distinguished() {
    let Some(guest) = guest(Scenario::Faults) else { return };
    assert_says(&guest.failed("ambiguous"), &["2 boards", "usb:1209:0001:one", "usb:1209:0001:two"]);
    let expected = local(guest, "large.safetensors", 65_536);
    assert_eq!(tensors(&guest.measured("second")), expected);
    let both = guest.measured("both");
    assert_eq!(tensors(&both), expected);
    assert!(both.devices.iter().all(|share| share.chunks > 0) && both.devices.len() == 2);
}

#[test]
fn mistakes_are_explained() {
    let Some(guest) = guest(Scenario::Faults) else { return };
    assert_says(&guest.failed("absent"), &["no board is attached", "--usb-gadget"]);
    assert_says(&guest.failed("denied"), &["not allowed to open the board", "/etc/udev/rules.d/70-kurtoscope.rules"]);
    assert_says(&guest.failed("busy"), &["in use by another program"]);
    for (name, words) in [
        ("no-port", ["several USB device controllers", "dummy_udc.0, dummy_udc.1"]),
        ("taken", ["another kurtoscope-device", "dummy_udc.0"]),
        ("unknown", ["no USB device controller musb", "dummy_udc.1"]),
        ("led", ["the LED none cannot be used", "::capslock, "]),
        ("led", ["going on without it", "serving on USB (dummy_udc.1)"]),
    ] {
        assert_says(&guest.text(&format!("{name}.board")), &words);
    }
    assert_eq!(guest.text("led.notified"), "READY=1\n", "what a service manager is sent");
    assert_eq!(guest.text("faults.left"), "");
}

#[test]
fn a_run_is_nearly_as_fast_as_a_plain_copy_on_a_bus_that_takes_its_time() {
    let Some(guest) = guest(Scenario::Rates) else { return };
    let expected = local(guest, "large.safetensors", 1 << 20);
    for name in ["rate-bus-bulk", "rate-bus-serial"] {
        let rates = Rates::of(guest, name);
        println!("{name}: {rates}");
        assert_eq!(tensors(&guest.measured(&format!("{name}-all"))), expected, "{name}");
        let ratio = rates.all / rates.copy;
        assert!(ratio >= 0.8, "{name}: {ratio:.2} is below 0.8");
    }
}

#[test]
fn one_slow_processor_fills_a_high_speed_bus_from_both_ends() {
    let Some(guest) = guest(Scenario::Rates) else { return };
    // One processor of a billion instructions a second is both ends here, with both USB stacks, and measures as well; these
    // controllers take no time of their own. The bus of real ports is slower than that; a terminal is not, so on the serial
    // port the least is measured.
    let bulk = Rates::of(guest, "rate-bulk");
    println!("bulk: {bulk}; high speed carries {:.1} MB/s", HIGH_SPEED / 1e6);
    let of_bus = bulk.all / bulk.copy.min(HIGH_SPEED);
    assert!(of_bus >= 0.8, "{of_bus:.2} is below 0.8");
    let serial = Rates::of(guest, "rate-serial");
    println!("serial port: {serial}");
    let of_copy = serial.moments / serial.copy.min(HIGH_SPEED);
    assert!(of_copy >= 0.8, "{of_copy:.2} is below 0.8");
}

/// Bytes of payload a second over the same endpoints.
struct Rates {
    copy: f64,
    moments: f64,
    tails: f64,
    all: f64,
}

impl Rates {
    fn of(guest: &Guest, name: &str) -> Self {
        let copies = guest.text(&format!("{name}.copy"));
        let copies = copies.lines().map(|line| line.parse::<f64>().unwrap_or_else(|_| panic!("{name}: {copies}")));
        let copy = copies.fold(0.0, f64::max);
        let rate = |what: &str| only(&guest.measured(&format!("{name}-{what}"))).rate().expect("measured");
        Self { copy, moments: rate("moments"), tails: rate("tails"), all: rate("all") }
    }
}

impl fmt::Display for Rates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "plain copy {:.1} MB/s; payload", self.copy / 1e6)?;
        for (what, rate) in [("moments", self.moments), ("tails", self.tails), ("all", self.all)] {
            write!(f, ", {what} {:.1} MB/s ({:.2} of the copy)", rate / 1e6, rate / self.copy)?;
        }
        Ok(())
    }
}

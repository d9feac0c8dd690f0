//! A board's USB port in the role of a device, on Linux: sets a gadget up in the kernel's configfs, and takes it away again
//! when the program ends. What travels is left to [`bulk`] (our own interface) and [`serial`] (a serial port).

pub mod bulk;
mod controller;
mod error;
pub mod serial;

use std::{
    fs::File,
    string::String,
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
    low_level::emulate_default_handler,
};
use usb_gadget::{Class, Config, Gadget, Id, OsDescriptor, RegGadget, Strings, function::Handle};

use kurtoscope_shared::usb;

pub use error::GadgetError;

/// How names of our gadgets in configfs begin, so that one left behind by a killed program is found; the rest is the
/// controller's name.
const NAME: &str = "kurtoscope-";
/// Milliamperes that the board may draw from the port, the most that USB 2 grants.
const MAX_POWER: u16 = 500;

/// How the board shows itself.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The USB device controller, as in `/sys/class/udc`; without it the only free one.
    pub controller: Option<String>,
    /// The product's name.
    pub product: String,
    /// The serial number.
    pub serial: String,
}

/// A gadget that a host can see. It goes away when this is dropped, and when a signal ends the program.
#[derive(Debug)]
pub struct Registered {
    held: Arc<Mutex<Option<Held>>>,
    /// The name of the USB device controller.
    pub controller: String,
}

/// What takes the gadget away when dropped.
#[derive(Debug)]
struct Held {
    _gadget: RegGadget,
    /// Shows other programs that the gadget has an owner.
    _lock: File,
}

impl Drop for Registered {
    fn drop(&mut self) {
        release(&self.held);
    }
}

fn release(held: &Mutex<Option<Held>>) {
    drop(held.lock().unwrap_or_else(PoisonError::into_inner).take());
}

/// Makes a gadget with one function visible at the port, in place of one that a killed program left behind.
///
/// # Errors
/// When the kernel or the machine cannot, another program is at it, or no controller is free.
fn register(setup: &Setup, product: u16, class: Class, function: Handle) -> Result<Registered, GadgetError> {
    let held = Arc::new(Mutex::new(None));
    leave_on_signals(held.clone())?;
    // From looking for left-overs to having the lock, one program at a time: a gadget without its lock would be taken for one.
    let _turn = turn()?;
    remove_left_overs()?;
    let controller = controller::find(setup.controller.as_deref())?;
    let strings = Strings::new("Kurtoscope", &setup.product, &setup.serial);
    let mut config = Config::new("Kurtoscope").with_function(function);
    config.max_power = MAX_POWER;
    let mut gadget = Gadget::new(class, Id::new(usb::VENDOR, product), strings)
        .with_os_descriptor(OsDescriptor::microsoft())
        .with_config(config);
    let controller_name = controller.name().to_string_lossy().into_owned();
    gadget.name = Some(std::format!("{NAME}{controller_name}"));
    let gadget = gadget.bind(&controller).map_err(GadgetError::from_set_up)?;
    let lock = File::open(gadget.path()).map_err(GadgetError::from_set_up)?;
    flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|error| GadgetError::from_set_up(error.into()))?;
    *held.lock().unwrap_or_else(PoisonError::into_inner) = Some(Held { _gadget: gadget, _lock: lock });
    Ok(Registered { held, controller: controller_name })
}

/// Waits until no other program is setting a gadget up. Without a controller there is nothing to wait for.
fn turn() -> Result<Option<File>, GadgetError> {
    let Ok(controllers) = File::open("/sys/class/udc") else { return Ok(None) };
    flock(&controllers, FlockOperation::LockExclusive).map_err(|error| GadgetError::from_set_up(error.into()))?;
    Ok(Some(controllers))
}

/// Removes gadgets of ours whose programs are gone.
fn remove_left_overs() -> Result<(), GadgetError> {
    let gadgets = usb_gadget::registered().map_err(GadgetError::Unsupported)?;
    for gadget in gadgets.into_iter().filter(|gadget| gadget.name().as_encoded_bytes().starts_with(NAME.as_bytes())) {
        // One that went away meanwhile needs no removal.
        let Ok(owner) = File::open(gadget.path()) else { continue };
        if flock(&owner, FlockOperation::NonBlockingLockExclusive) != Err(Errno::WOULDBLOCK) {
            gadget.remove().map_err(GadgetError::from_set_up)?;
        }
    }
    Ok(())
}

/// Takes the gadget away on a signal, then ends the program as the signal would have.
fn leave_on_signals(held: Arc<Mutex<Option<Held>>>) -> Result<(), GadgetError> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(GadgetError::Signals)?;
    thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            release(&held);
            let _ = emulate_default_handler(signal);
        }
    });
    Ok(())
}

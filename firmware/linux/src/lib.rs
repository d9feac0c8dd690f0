//! What a board that runs Linux adds to the firmware: the USB port in the role of a device, the status LED, the command.

pub mod command;
#[cfg(target_os = "linux")]
pub mod gadget;
#[cfg(target_os = "linux")]
pub mod led;

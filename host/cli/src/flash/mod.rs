//! Flashing: from a board as it was found to one that runs this version's firmware and has answered.
//!
//! | file | holds |
//! |---|---|
//! | `plan` | steps as data |
//! | `linux` | what goes onto a Linux board, and the plan for a board as it was found |
//! | `survey` | a board as it was found |
//! | `site`, `ssh`, `root` | where a Linux board's files are: behind ssh, or mounted here |
//! | `script` | what runs on the board |
//! | `unit` | the systemd unit |
//! | `program` | for which processor a program was built |
//! | `uf2_file`, `volume` | microcontrollers whose boot loader shows a USB volume |
//! | `probe` | microcontrollers behind a debug probe |
//! | `answer` | the board's answer afterwards |
//!
//! What a board is, and how its firmware is built, is in [`board`](crate::board).

pub mod answer;
pub mod error;
pub mod linux;
pub mod plan;
pub mod probe;
pub mod program;
pub mod root;
mod script;
pub mod site;
pub mod ssh;
pub mod survey;
pub mod uf2_file;
pub mod unit;
pub mod volume;

pub use answer::{BoardLocation, await_answer};
pub use error::FlashError;
pub use linux::Software;
pub use plan::{FlashPlan, Step};
pub use probe::ProbeError;
pub use program::Machine;
pub use root::Root;
pub use script::quote as quoted;
pub use site::Site;
pub use ssh::Ssh;
pub use survey::Survey;
pub use uf2_file::Uf2FileError;
pub use volume::VolumeError;

/// Carries out the steps of a plan, one after the other, and says before each which one it is.
///
/// # Errors
/// As the first step that fails. Those before it are done; a plan that is made anew goes on from there.
pub fn carry_out(site: &mut dyn Site, plan: &FlashPlan, mut before: impl FnMut(&Step)) -> Result<(), FlashError> {
    plan.steps.iter().try_for_each(|step| {
        before(step);
        site.carry_out(&step.what, &step.action)
    })
}

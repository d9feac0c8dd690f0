//! The place where a board's files are: behind ssh, or a root file system that is mounted here.

use super::{error::FlashError, linux::Questions, plan::Action, survey::Survey};

/// A place that can be looked at and changed.
pub trait Site {
    /// What messages call it: `pi@board`, `/mnt`.
    fn place(&self) -> String;

    /// Looks at it and changes nothing.
    ///
    /// # Errors
    /// When it cannot be reached or read.
    fn survey(&mut self, questions: &Questions) -> Result<Survey, FlashError>;

    /// Carries out one action, whole or not at all. `what` says in words what it is, for messages. Called after
    /// [`survey`](Self::survey).
    ///
    /// # Errors
    /// When it cannot be done; what was there before is unharmed.
    fn carry_out(&mut self, what: &str, action: &Action) -> Result<(), FlashError>;

    /// The action as the commands that carry it out, for a dry run.
    fn shown(&self, action: &Action) -> String;
}

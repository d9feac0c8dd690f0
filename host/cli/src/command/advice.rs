//! What a user of this command can do about an error of the libraries, which know nothing of its options.

use std::error::Error;

use kurtoscope_host::{
    analysis::{AnalysisError, DeviceFailure, DeviceFailureKind, JournalError},
    deployment::{PlanError, export::ExportError},
    evidence::EvidenceError,
    hypothesis::DefinitionError,
    link::{AdaptersError, DEVICE_VARIABLE, LinkError, UDEV_RULE, UnixError, UrlError, UsbError},
    run_file::ReadError,
};

use crate::causes::with_causes;

/// An error for people: its message, those of its causes, and what can be done about it.
pub(super) fn in_full(error: &(dyn Error + 'static)) -> String {
    let mut text = with_causes(error);
    if let Some(advice) = advice(error) {
        text.push_str("; ");
        text.push_str(&advice);
    }
    text
}

/// What can be done about an error, or about the first of its causes for which there is something.
pub(super) fn advice(error: &(dyn Error + 'static)) -> Option<String> {
    if let Some(error) = error.downcast_ref::<AnalysisError>() {
        return of_analysis(error);
    }
    let found = if let Some(failure) = error.downcast_ref::<DeviceFailure>() {
        let is_own_program = ["gpu", "pty"].iter().any(|scheme| failure.url.starts_with(scheme));
        match failure.source.as_deref().and_then(|source| source.downcast_ref()) {
            Some(LinkError::Start { .. }) if is_own_program => Some(device_program()),
            _ => of_device(&failure.kind).map(Into::into),
        }
    } else if let Some(error) = error.downcast_ref::<LinkError>() {
        of_link(error)
    } else if let Some(error) = error.downcast_ref::<UsbError>() {
        of_usb(error)
    } else if let Some(error) = error.downcast_ref::<UnixError>() {
        Some(of_unix(error).into())
    } else if let Some(UrlError::Address { .. }) = error.downcast_ref() {
        Some("`kurtoscope devices` shows what is there".into())
    } else if let Some(AdaptersError::Start { .. }) = error.downcast_ref() {
        Some(device_program())
    } else if let Some(error) = error.downcast_ref::<JournalError>() {
        Some(of_journal(error).into())
    } else if let Some(error) = error.downcast_ref::<EvidenceError>() {
        of_evidence(error).map(Into::into)
    } else if let Some(error) = error.downcast_ref::<PlanError>() {
        of_plan(error).map(Into::into)
    } else if let Some(error) = error.downcast_ref::<ExportError>() {
        of_export(error).map(Into::into)
    } else if let Some(error) = error.downcast_ref::<DefinitionError>() {
        of_definition(error).map(Into::into)
    } else {
        error.downcast_ref::<ReadError>().map(|error| of_run_file(error).into())
    };
    found.or_else(|| advice(error.source()?))
}

fn of_analysis(error: &AnalysisError) -> Option<String> {
    let continues = "the same command continues from there";
    match error {
        AnalysisError::NoDevice => Some("`--device local` uses this machine's processor".into()),
        AnalysisError::CannotResume { .. } => Some("without `--resume` the run starts over".into()),
        AnalysisError::Lost { failure, measured, journal, .. } => {
            let kept = journal.as_ref().map(|kept| kept.bytes);
            let about_device = advice(failure.as_ref());
            let about_run = match kept {
                None => Some("`--out DIR` would have kept what was measured for the next run"),
                Some(kept) => (kept > 0 && *measured > 0).then_some(continues),
            };
            let parts: Vec<String> = about_device.into_iter().chain(about_run.map(Into::into)).collect();
            (!parts.is_empty()).then(|| parts.join("; "))
        }
        AnalysisError::Stopped { measured, journal, .. } => match journal {
            None => Some("`--out DIR` would have kept what was measured for the next run".into()),
            Some(kept) => (kept.bytes > 0 && *measured > 0).then(|| continues.into()),
        },
        other => advice(other.source()?),
    }
}

fn of_device(kind: &DeviceFailureKind) -> Option<&'static str> {
    match kind {
        DeviceFailureKind::NoAnswer { .. } => {
            Some("is it powered, is the cable in order, does it run Kurtoscope's firmware, and is the baud rate right?")
        }
        DeviceFailureKind::IncompatibleFraming { .. } => Some(
            "a board on a serial port or terminal is reached with serial:, a program that serves on standard input and \
             output with exec:, a board's own USB interface with usb:",
        ),
        DeviceFailureKind::SelfTestFailed { .. } => Some(
            "its driver or its hardware computes wrongly. `--allow-untrusted` measures all the same, and the report will \
             say so",
        ),
        DeviceFailureKind::Crashed { times: 2.. } => {
            Some("a driver that crashes on a chunk will do so again: update the driver, or use another device")
        }
        DeviceFailureKind::Crashed { .. } => Some("its output is above. Please report it"),
        _ => None,
    }
}

/// What to do where there is no device program.
pub(super) fn device_program() -> String {
    format!(
        "`cargo install --path firmware/linux --features gpu` installs it, and {DEVICE_VARIABLE} names it where it is \
         elsewhere"
    )
}

fn of_link(error: &LinkError) -> Option<String> {
    let advice = match error {
        LinkError::Absent(_) => "`kurtoscope devices` lists the ports that are there",
        LinkError::Busy(_) => "close serial monitors and other runs first",
        LinkError::Denied(_) => "on Linux, add yourself to the group that owns it (dialout)",
        LinkError::Kind(error) => return advice(error.as_ref()),
        _ => return None,
    };
    Some(advice.into())
}

fn of_usb(error: &UsbError) -> Option<String> {
    let advice = match error {
        UsbError::Absent { others } if others.is_empty() => {
            "does the cable carry data, is it in the board's device port, and does `kurtoscope-device --usb-gadget` run there?"
        }
        UsbError::Interface { .. } => {
            "start `kurtoscope-device --usb-gadget` on it, and use `serial:` for a board that shows a serial port"
        }
        UsbError::Denied(_) => {
            return Some(format!(
                "on Linux, let yourself in once and plug the board in again:\n\
                 echo '{UDEV_RULE}' | sudo tee /etc/udev/rules.d/70-kurtoscope.rules\n\
                 sudo udevadm control --reload\n\
                 (and be a member of the group plugdev where you are not logged in at the machine itself)"
            ));
        }
        UsbError::Busy(_) => "end other runs first",
        _ => return None,
    };
    Some(advice.into())
}

const fn of_unix(error: &UnixError) -> &'static str {
    match error {
        UnixError::Absent(_) | UnixError::NobodyListens(_) => {
            "`kurtoscope-device --unix PATH` makes one and listens on it"
        }
        UnixError::NoSocket => "`kurtoscope-device --unix PATH` makes one; a serial port is named by serial:PATH",
        UnixError::Denied(_) => "who may write to the socket's file may connect",
    }
}

fn of_journal(error: &JournalError) -> &'static str {
    match error {
        JournalError::Locked { .. } => "wait for it, or give this run a folder of its own with `--out`",
        JournalError::File { .. } => "`--out` needs a folder that can be written to",
    }
}

const fn of_run_file(error: &ReadError) -> &'static str {
    match error {
        ReadError::File { .. } => "name run.json, or the folder that `--out` wrote it to",
        ReadError::Content { .. } => "measure the model again with `kurtoscope analyze MODEL --out DIR`",
        ReadError::Schema { .. } => {
            "measure the model again with this version, or leave the file out: schemas are not mixed"
        }
    }
}

const fn of_evidence(error: &EvidenceError) -> Option<&'static str> {
    match error {
        EvidenceError::Run(error) => Some(of_run_file(error)),
        EvidenceError::NoRun { .. } => Some("`kurtoscope analyze MODEL --out DIR` writes run.json"),
        EvidenceError::Folder { .. } | EvidenceError::Facts(_) => None,
    }
}

const fn of_plan(error: &PlanError) -> Option<&'static str> {
    match error {
        PlanError::NotMeasured { .. } => Some(
            "measure the model again with this version, on a device that measures it and with `--statistics all`: \
             `kurtoscope analyze MODEL --out DIR`",
        ),
        PlanError::Budget { .. } => Some("`--bits` takes an average within that range"),
        PlanError::NothingToQuantize { .. } | PlanError::Adapter { .. } => None,
    }
}

const fn of_export(error: &ExportError) -> Option<&'static str> {
    match error {
        ExportError::Target { .. } => Some("`--target` takes one of these"),
        ExportError::Names { .. } => None,
    }
}

const fn of_definition(error: &DefinitionError) -> Option<&'static str> {
    match error {
        DefinitionError::Read { .. } => Some("give the path of a TOML file after `--hypothesis`"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kurtoscope_host::analysis::KeptInJournal;
    use std::time::Duration;

    fn lost(kind: DeviceFailureKind, journal: Option<KeptInJournal>) -> AnalysisError {
        let failure = DeviceFailure { url: "exec:x".into(), kind, chunk: None, source: None };
        AnalysisError::Lost { failure: Box::new(failure), measured: 5, total: 9, journal }
    }

    #[test]
    fn a_lost_run_has_advice_about_its_device_and_about_what_was_measured() {
        let text = in_full(&lost(DeviceFailureKind::Crashed { times: 3 }, None));
        assert!(text.contains("5 of 9 bytes were measured") && text.contains(": exec:x: its program ended 3 times"));
        assert!(
            text.contains("; a driver that crashes")
                && text.ends_with("`--out DIR` would have kept what was measured for the next run"),
            "{text}"
        );
        let kept = KeptInJournal { path: "out/run.journal".into(), bytes: 5 };
        let text = in_full(&lost(
            DeviceFailureKind::NoAnswer { waited: Duration::from_secs(2), damaged_frames: 0 },
            Some(kept),
        ));
        assert!(text.ends_with("; the same command continues from there") && !text.contains("--out"), "{text}");
    }

    #[test]
    fn a_run_that_cannot_be_read_has_its_cause_and_advice_once() {
        let source = std::io::Error::other("no disk");
        let error = EvidenceError::from(ReadError::File { path: "a/run.json".into(), source });
        assert_eq!(
            in_full(&error),
            "cannot read a/run.json: no disk; name run.json, or the folder that `--out` wrote it to"
        );
    }

    #[test]
    fn advice_is_found_behind_other_errors() {
        let error: Box<dyn Error> = Box::new(AnalysisError::NoDevice);
        assert!(advice(error.as_ref()).is_some_and(|advice| advice.contains("--device local")));
        assert_eq!(advice(&std::io::Error::other("x")), None);
    }
}

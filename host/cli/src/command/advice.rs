//! What a user of this command can do about an error of the libraries, which know nothing of its options.

use std::error::Error;

use kurtoscope_host::analysis::{AnalysisError, DeviceFailure, DeviceFailureKind, JournalError};

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
        of_device(&failure.kind).map(Into::into)
    } else if let Some(error) = error.downcast_ref::<JournalError>() {
        Some(of_journal(error).into())
    } else {
        None
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
        DeviceFailureKind::SelfTestFailed { .. } => Some(
            "its driver or its hardware computes wrongly. `--allow-untrusted` measures all the same, and the report will \
             say so",
        ),
        DeviceFailureKind::Crashed { times: 2.. } => {
            Some("a driver that crashes on a chunk will do so again: update the driver, or use another device")
        }
        DeviceFailureKind::Crashed { .. } => Some("what it said is above. Please report it"),
        _ => None,
    }
}

fn of_journal(error: &JournalError) -> &'static str {
    match error {
        JournalError::Locked { .. } => "wait for it, or give this run a folder of its own with `--out`",
        JournalError::File { .. } => "`--out` needs a folder that can be written to",
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
    fn advice_is_found_behind_other_errors() {
        let error: Box<dyn Error> = Box::new(AnalysisError::NoDevice);
        assert!(advice(error.as_ref()).is_some_and(|advice| advice.contains("--device local")));
        assert_eq!(advice(&std::io::Error::other("x")), None);
    }
}

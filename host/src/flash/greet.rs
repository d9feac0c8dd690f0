//! After flashing: the board is greeted until it answers, and has to be what was flashed.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::error::FlashError;
use crate::{
    analysis::{Device, DeviceError, DeviceOptions, Refusal},
    link::{self, DeviceUrl},
    record,
};

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(500);
/// How long one serial port is listened to while the board's may still appear.
const LISTENING: Duration = Duration::from_secs(5);

/// Where a flashed board is to be found.
#[derive(Debug, Clone)]
pub enum Whereabouts {
    /// Behind this URL.
    Url(DeviceUrl),
    /// On the serial port that was not there before; these were. The URL is tried when none appears.
    NewPort {
        /// The URLs of the ports that were there.
        before: Vec<String>,
        /// As the board's description has it.
        otherwise: DeviceUrl,
    },
}

impl Whereabouts {
    /// To be asked before flashing: a board that goes by serial ports is known by the port that appears.
    pub fn before_flashing(usual: DeviceUrl) -> Self {
        match usual {
            DeviceUrl::Serial { .. } => Self::NewPort { before: port_urls(), otherwise: usual },
            _ => Self::Url(usual),
        }
    }

    fn urls(&self) -> Vec<DeviceUrl> {
        match self {
            Self::Url(url) => vec![url.clone()],
            Self::NewPort { before, otherwise } => appeared(before, &port_urls(), otherwise),
        }
    }
}

/// The ports that are there now and were not before; `otherwise` if none is.
fn appeared(before: &[String], now: &[String], otherwise: &DeviceUrl) -> Vec<DeviceUrl> {
    let new = now.iter().filter(|url| !before.contains(url));
    let new: Vec<DeviceUrl> = new.filter_map(|url| url.parse().ok()).collect();
    if new.is_empty() { vec![otherwise.clone()] } else { new }
}

fn port_urls() -> Vec<String> {
    link::ports().unwrap_or_default().into_iter().map(|port| port.url).collect()
}

/// Greets the board until it answers, for up to `within`, and checks that its firmware has this program's version. `hint`
/// says how to look at a board that does not answer.
///
/// # Errors
/// [`FlashError::NeverAnswers`]; at once where it answers and is another version, fails its self-test, or appears twice.
pub fn greet(whereabouts: &Whereabouts, within: Duration, hint: &str) -> Result<record::Device, FlashError> {
    let start = Instant::now();
    loop {
        let urls = whereabouts.urls();
        if urls.len() > 1 {
            return Err(FlashError::SeveralBoards { found: urls.iter().map(ToString::to_string).collect() });
        }
        let Some(url) = urls.into_iter().next() else { continue };
        // In whole milliseconds, because messages show it.
        let left = within.saturating_sub(start.elapsed()).max(PAUSE);
        let left = Duration::from_millis(left.as_nanos().div_ceil(1_000_000) as u64);
        let patience = if matches!(whereabouts, Whereabouts::NewPort { .. }) { left.min(LISTENING) } else { left };
        let error = match Device::open(&url, DeviceOptions { patience, ..DeviceOptions::default() }) {
            Ok(device) => return of_this_version(device.record()),
            Err(error) => error,
        };
        if !may_come(&error) {
            return Err(FlashError::Answers(error));
        }
        // A program that is started for us does not come up later: it said why, and would say so again.
        if matches!(url, DeviceUrl::Exec { .. }) && is_ended(&error) {
            return Err(FlashError::Ends { last: last(&error, &url), url: url.to_string(), hint: hint.into() });
        }
        if start.elapsed() >= within {
            return Err(FlashError::NeverAnswers {
                url: url.to_string(),
                seconds: within.as_secs_f64(),
                last: last(&error, &url),
                hint: hint.into(),
            });
        }
        thread::sleep(PAUSE);
    }
}

fn of_this_version(device: record::Device) -> Result<record::Device, FlashError> {
    let expected = env!("CARGO_PKG_VERSION");
    if device.firmware == expected {
        return Ok(device);
    }
    Err(FlashError::OtherVersion { place: device.url, found: device.firmware, expected: expected.into() })
}

/// Whether a board that is starting gives this error.
fn may_come(error: &DeviceError) -> bool {
    match error {
        DeviceError::Link(_) => true,
        DeviceError::Refused { refusal, .. } => matches!(refusal, Refusal::Silent { .. } | Refusal::Ended(_)),
        DeviceError::Lost { .. } => false,
    }
}

fn is_ended(error: &DeviceError) -> bool {
    matches!(error, DeviceError::Refused { refusal: Refusal::Ended(_), .. })
}

/// The error without the URL that its message begins with.
fn last(error: &DeviceError, url: &DeviceUrl) -> String {
    let text = error.to_string();
    text.strip_prefix(&format!("{url}: ")).map(Into::into).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_board_is_the_port_that_was_not_there_before() {
        let port = |name: &str| format!("serial:/dev/{name}?baud=921600");
        let usual: DeviceUrl = port("ttyACM0").parse().expect("a URL");
        let urls = |before: &[&str], now: &[&str]| {
            let [before, now] = [before, now].map(|names| names.iter().map(|name| port(name)).collect::<Vec<_>>());
            appeared(&before, &now, &usual).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(urls(&["ttyACM0"], &["ttyACM0", "ttyACM1"]), [port("ttyACM1")]);
        assert_eq!(urls(&["ttyUSB3"], &["ttyUSB3"]), [port("ttyACM0")], "not yet there: the usual one is tried");
        assert_eq!(urls(&[], &["ttyACM4", "ttyACM5"]), [port("ttyACM4"), port("ttyACM5")], "two: told apart by nobody");
    }
}

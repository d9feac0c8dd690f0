//! After flashing: repeats the handshake until the board answers, and checks that it is what was flashed.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::error::FlashError;
use crate::{causes::with_causes, device_options::link_options};
use kurtoscope_host::{
    analysis::{Device, DeviceFailure, DeviceFailureKind, DeviceOptions, Timeouts},
    link::{self, DeviceUrl, LinkOptions},
    record,
};

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(500);
/// Between two looks for a port. One that goes away for less time than this is not noticed.
const LOOKING: Duration = Duration::from_millis(50);
/// How long one serial port is listened to while the board's may still appear.
const LISTENING: Duration = Duration::from_secs(5);

/// Where a flashed board is to be found.
#[derive(Debug, Clone)]
pub enum BoardLocation {
    /// Behind this URL.
    Url(DeviceUrl),
    /// On a serial port that appears.
    Port(NewPort),
}

/// The serial port of a board that restarts: one that was not there before, or that went away and came back.
#[derive(Debug, Clone)]
pub struct NewPort {
    /// The URLs of the ports that have been there without a break.
    stayed: Vec<String>,
    /// The port of the board's description, where that may be the board's although it never went away.
    patient: Option<DeviceUrl>,
}

impl BoardLocation {
    /// To be asked just before the board restarts. A board that goes by serial ports is known by the port that appears;
    /// `keeps_port` says that it may also be one that stays throughout, such as that of a debug probe.
    pub fn before_restart(usual: DeviceUrl, keeps_port: bool) -> Self {
        match usual {
            DeviceUrl::Serial(_) => Self::Port(NewPort { stayed: port_urls(), patient: keeps_port.then_some(usual) }),
            _ => Self::Url(usual),
        }
    }
}

impl NewPort {
    /// The ports, of those that are there `now`, on which the board may be.
    fn appeared(&mut self, now: &[String]) -> Vec<DeviceUrl> {
        self.stayed.retain(|url| now.contains(url));
        now.iter().filter(|url| !self.stayed.contains(url)).filter_map(|url| url.parse().ok()).collect()
    }
}

fn port_urls() -> Vec<String> {
    link::ports().unwrap_or_default().into_iter().map(|port| port.url).collect()
}

/// Asks the board until it answers, for up to `within`, and checks that it calls itself `board` and that its firmware has
/// this program's version. `hint` says how to look at a board that does not answer.
///
/// # Errors
/// [`FlashError::NeverAnswers`] or [`FlashError::NoPort`]; at once where it answers and is another board or version, fails
/// its self-test, or appears twice.
pub fn await_answer(
    mut location: BoardLocation,
    board: &str,
    within: Duration,
    hint: &str,
) -> Result<record::Device, FlashError> {
    let start = Instant::now();
    let link = match &location {
        BoardLocation::Url(url) => link_options(std::slice::from_ref(url))?,
        BoardLocation::Port(_) => LinkOptions::default(),
    };
    loop {
        let (mut urls, timeout) = match &mut location {
            BoardLocation::Url(url) => (vec![url.clone()], within),
            BoardLocation::Port(port) => (port.appeared(&port_urls()), LISTENING),
        };
        if let (true, BoardLocation::Port(NewPort { patient: Some(usual), .. })) = (urls.is_empty(), &location)
            && start.elapsed() >= LISTENING
        {
            urls.push(usual.clone());
        }
        if urls.len() > 1 {
            return Err(FlashError::SeveralBoards { found: urls.iter().map(ToString::to_string).collect() });
        }
        let Some(url) = urls.into_iter().next() else {
            if start.elapsed() >= within {
                return Err(FlashError::NoPort { seconds: within.as_secs_f64(), hint: hint.into() });
            }
            thread::sleep(LOOKING);
            continue;
        };
        // In whole milliseconds, because messages show it.
        let left = within.saturating_sub(start.elapsed()).max(PAUSE).min(timeout.max(PAUSE));
        let timeout = Duration::from_millis(left.as_nanos().div_ceil(1_000_000) as u64);
        let timeouts = Timeouts { resend: timeout, ..Timeouts::default() };
        let failure =
            match Device::open(&url, DeviceOptions { timeouts, link: link.clone(), ..DeviceOptions::default() }) {
                Ok(device) => return expected(device.record(), board),
                Err(failure) => failure,
            };
        if !may_come(&failure) {
            return Err(FlashError::Answers(failure));
        }
        // A program that is started for us does not come up later: it reported why, and would do so again.
        if matches!(url, DeviceUrl::Exec(_)) && failure.is_disconnected() {
            return Err(FlashError::Ends { last: last(&failure), url: url.to_string(), hint: hint.into() });
        }
        if start.elapsed() >= within {
            return Err(FlashError::NeverAnswers {
                url: url.to_string(),
                seconds: within.as_secs_f64(),
                last: last(&failure),
                hint: hint.into(),
            });
        }
        thread::sleep(PAUSE);
    }
}

/// The device, if it is what was flashed.
fn expected(device: record::Device, board: &str) -> Result<record::Device, FlashError> {
    let version = env!("CARGO_PKG_VERSION");
    if device.board != board {
        return Err(FlashError::OtherBoard { place: device.url, found: device.board, expected: board.into() });
    }
    if device.firmware != version {
        return Err(FlashError::OtherVersion { place: device.url, found: device.firmware, expected: version.into() });
    }
    Ok(device)
}

/// Whether a board that is starting fails in this way.
fn may_come(failure: &DeviceFailure) -> bool {
    matches!(failure.kind, DeviceFailureKind::CannotOpen | DeviceFailureKind::NoAnswer { .. })
        || failure.is_disconnected()
}

/// The failure and its causes, without the URL that its message begins with.
fn last(failure: &DeviceFailure) -> String {
    let text = with_causes(failure);
    text.strip_prefix(&format!("{}: ", failure.url)).map(Into::into).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_board_is_the_port_that_was_not_there_before_or_came_back() {
        let ports =
            |names: &[&str]| names.iter().map(|name| format!("serial:/dev/{name}?baud=921600")).collect::<Vec<_>>();
        let after = |before: &[&str], looks: &[&[&str]]| {
            let mut port = NewPort { stayed: ports(before), patient: None };
            let found = looks.iter().fold(Vec::new(), |_, now| port.appeared(&ports(now)));
            found.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(after(&["ttyACM0"], &[&["ttyACM0", "ttyACM1"]]), ports(&["ttyACM1"]));
        assert_eq!(after(&["ttyACM0"], &[&["ttyACM0"]]), ports(&[]), "another board's port is not asked");
        assert_eq!(after(&["ttyACM0"], &[&[], &["ttyACM0"]]), ports(&["ttyACM0"]), "it restarted");
        assert_eq!(after(&[], &[&["ttyACM4", "ttyACM5"]]), ports(&["ttyACM4", "ttyACM5"]), "two: ambiguous");
    }
}

//! The names of devices: `local`, `gpu[:NAME]`, `pty:`, `serial:PATH?baud=N`, `usb:VENDOR:PRODUCT:SERIAL`, `qemu:MACHINE`,
//! `exec:COMMAND`.

use std::{fmt, path::PathBuf, str::FromStr};

use super::usb::UsbName;

/// Bits per second of a serial port whose URL does not say.
pub const DEFAULT_BAUD: u32 = 921_600;

/// Where a device is and how it is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceUrl {
    /// `local`: the CPU engine in this process, on all cores.
    Local,
    /// `gpu[:NAME]`: a graphics adapter of this machine, behind a process of its own.
    Gpu {
        /// A part of the adapter's name; without it the best adapter that is not software.
        adapter: Option<String>,
    },
    /// `pty:`: a virtual board, the device program behind a pseudo-terminal.
    Pty,
    /// `serial:PATH[?baud=N]`: a board on a serial port, or on a USB port that looks like one.
    Serial {
        /// The port: `/dev/ttyACM0`, `COM3`.
        path: String,
        /// Bits per second; USB ports ignore it.
        baud: u32,
    },
    /// `qemu:MACHINE[?console=FILE]`: a board that QEMU emulates, with its own firmware.
    Qemu {
        /// The machine, or the board's name: `mps2-an386`.
        machine: String,
        /// Where to write what the board writes to its console.
        console: Option<PathBuf>,
    },
    /// `usb:[VENDOR:PRODUCT[:SERIAL]]`: a board with Kurtoscope's own USB interface; the only one that is attached where
    /// nothing is named.
    Usb(UsbName),
    /// `exec:COMMAND`: a program that speaks the protocol on its standard input and output, started by a shell.
    Exec {
        /// The command line.
        command: String,
    },
}

/// Why a device URL cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// The part before the colon is none of ours.
    #[error(
        "\"{0}\" is not a device; there are `local`, `gpu[:NAME]`, `pty:`, `serial:PATH[?baud=N]`, \
         `usb:[VENDOR:PRODUCT[:SERIAL]]`, `qemu:MACHINE` and `exec:COMMAND`"
    )]
    Scheme(String),
    /// A part that must not be empty is.
    #[error("\"{url}\" lacks {missing}: write {example}")]
    Missing {
        /// As given.
        url: String,
        /// What is missing.
        missing: &'static str,
        /// How it is written.
        example: &'static str,
    },
    /// An option that serial ports do not have.
    #[error("\"{0}\" is not an option of serial ports; there is `baud=N`")]
    Option(String),
    /// An option that QEMU's boards do not have.
    #[error("\"{0}\" is not an option of boards in QEMU; there is `console=FILE`")]
    QemuOption(String),
    /// Text behind `usb:` that names no USB device.
    #[error(
        "\"{0}\" names no USB device; write usb: for the only board, or vendor, product and serial number: \
         usb:1209:0001:10000000abcdef"
    )]
    Usb(String),
    /// A rate that is not a positive whole number.
    #[error("\"{0}\" is not a rate in bits per second; 115200, 921600 and 3000000 are common ones")]
    Baud(String),
}

impl FromStr for DeviceUrl {
    type Err = UrlError;

    fn from_str(url: &str) -> Result<Self, UrlError> {
        let missing = |missing, example| Err(UrlError::Missing { url: url.into(), missing, example });
        match url.split_once(':') {
            None if url == "local" => Ok(Self::Local),
            None if url == "gpu" => Ok(Self::Gpu { adapter: None }),
            None if url == "pty" => Ok(Self::Pty),
            None if url == "usb" => Ok(Self::Usb(UsbName::default())),
            Some(("usb", name)) => UsbName::parse(name).map(Self::Usb).map_err(|_| UrlError::Usb(url.into())),
            Some(("local", "")) => Ok(Self::Local),
            Some(("pty", "")) => Ok(Self::Pty),
            Some(("gpu", name)) => {
                let name = name.trim();
                Ok(Self::Gpu { adapter: (!name.is_empty()).then(|| name.into()) })
            }
            Some(("serial", rest)) => {
                let (path, options) = rest.split_once('?').unwrap_or((rest, ""));
                if path.is_empty() {
                    return missing("the port", "serial:/dev/ttyACM0");
                }
                let mut baud = DEFAULT_BAUD;
                for option in options.split('&').filter(|option| !option.is_empty()) {
                    let Some(rate) = option.strip_prefix("baud=") else { return Err(UrlError::Option(option.into())) };
                    baud = rate.parse().ok().filter(|rate| *rate > 0).ok_or_else(|| UrlError::Baud(rate.into()))?;
                }
                Ok(Self::Serial { path: path.into(), baud })
            }
            Some(("qemu", rest)) => {
                let (machine, option) = rest.split_once('?').unwrap_or((rest, ""));
                if machine.is_empty() {
                    return missing("the machine", "qemu:mps2-an386");
                }
                let console = match option.strip_prefix("console=").filter(|file| !file.is_empty()) {
                    None if !option.is_empty() => return Err(UrlError::QemuOption(option.into())),
                    file => file.map(PathBuf::from),
                };
                Ok(Self::Qemu { machine: machine.into(), console })
            }
            Some(("exec", command)) if command.trim().is_empty() => {
                missing("the command", "exec:ssh pi@board kurtoscope-device --stdio")
            }
            Some(("exec", command)) => Ok(Self::Exec { command: command.into() }),
            _ => Err(UrlError::Scheme(url.into())),
        }
    }
}

impl fmt::Display for DeviceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local => write!(f, "local"),
            Self::Gpu { adapter: None } => write!(f, "gpu"),
            Self::Gpu { adapter: Some(name) } => write!(f, "gpu:{name}"),
            Self::Pty => write!(f, "pty:"),
            Self::Serial { path, baud } => write!(f, "serial:{path}?baud={baud}"),
            Self::Qemu { machine, console: None } => write!(f, "qemu:{machine}"),
            Self::Qemu { machine, console: Some(file) } => write!(f, "qemu:{machine}?console={}", file.display()),
            Self::Usb(name) => write!(f, "usb:{name}"),
            Self::Exec { command } => write!(f, "exec:{command}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for url in [
            "local",
            "gpu",
            "gpu:radeon 780M",
            "pty:",
            "serial:/dev/ttyACM0?baud=115200",
            "qemu:mps2-an386",
            "qemu:mps2-an386?console=/tmp/console",
            "usb:",
            "usb:1209:0001:10000000abcdef",
            "exec:ssh pi@board kurtoscope-device --stdio",
        ] {
            assert_eq!(url.parse::<DeviceUrl>().expect(url).to_string(), url);
        }
        assert_eq!("gpu:".parse(), Ok(DeviceUrl::Gpu { adapter: None }));
        let short: DeviceUrl = "serial:COM3".parse().expect("valid");
        assert_eq!(short, DeviceUrl::Serial { path: "COM3".into(), baud: DEFAULT_BAUD });
    }

    #[test]
    fn mistakes_are_named() {
        for (url, part) in [
            ("gpx", "\"gpx\" is not a device"),
            ("serial:", "lacks the port: write serial:/dev/ttyACM0"),
            ("serial:/dev/x?parity=even", "\"parity=even\" is not an option"),
            ("serial:/dev/x?baud=fast", "\"fast\" is not a rate"),
            ("serial:/dev/x?baud=0", "\"0\" is not a rate"),
            ("qemu:", "lacks the machine: write qemu:mps2-an386"),
            ("qemu:mps2-an386?fast", "\"fast\" is not an option"),
            ("qemu:mps2-an386?console=", "\"console=\" is not an option"),
            ("usb:board", "\"usb:board\" names no USB device"),
            ("exec: ", "lacks the command"),
            ("local:9", "\"local:9\" is not a device"),
        ] {
            let error = url.parse::<DeviceUrl>().expect_err(url).to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}

//! A light of a board that runs Linux, as an output pin: an LED that the kernel names, or a line of a GPIO chip.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::Path,
    string::{String, ToString},
    vec::Vec,
};

use embedded_hal::digital::{ErrorKind, ErrorType, OutputPin};
use linux_embedded_hal::{
    CdevPin,
    gpio_cdev::{self, Chip, LineRequestFlags},
};

/// Where the kernel lists its LEDs.
const LEDS: &str = "/sys/class/leds";

/// Which light: `ACT`, `green:status`, … as in `/sys/class/leds`, or `gpiochip0:17`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LedName {
    /// An LED that the kernel drives.
    Led(String),
    /// A line of a GPIO chip that is high when lit.
    Line {
        /// The chip's name in `/dev`.
        chip: String,
        /// The line's number on the chip.
        line: u32,
    },
}

impl core::str::FromStr for LedName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.strip_prefix("/dev/").unwrap_or(text);
        match text.split_once(':') {
            Some((chip, line)) if chip.starts_with("gpiochip") => {
                let line = line.parse().map_err(|_| "a line is a number: gpiochip0:17")?;
                Ok(Self::Line { chip: chip.into(), line })
            }
            _ if text.is_empty() || text.contains('/') => {
                Err("a light is a name from /sys/class/leds, or gpiochip0:17")
            }
            _ => Ok(Self::Led(text.into())),
        }
    }
}

/// Why a light cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LedError {
    /// The LED cannot be taken over.
    #[error("the LED {name} cannot be used: {source}; there is {}, and writing needs root", list(.found))]
    Led {
        /// As asked for.
        name: String,
        /// The system's reason.
        source: io::Error,
        /// The LEDs that there are.
        found: Vec<String>,
    },
    /// The line cannot be taken over.
    #[error("line {line} of /dev/{chip} cannot be used: {source}; `gpioinfo` lists chips and lines")]
    Line {
        /// The chip.
        chip: String,
        /// The line.
        line: u32,
        /// The system's reason.
        source: gpio_cdev::Error,
    },
}

fn list(found: &[String]) -> String {
    if found.is_empty() { std::format!("none in {LEDS}") } else { found.join(", ") }
}

/// A light, switched off when it is dropped. An LED keeps no trigger: what lit it before no longer does.
#[derive(Debug)]
pub struct LinuxLed(Kind);

enum Kind {
    /// A board without this light.
    None,
    Led {
        brightness: File,
        /// What to write for full brightness.
        full: Vec<u8>,
    },
    Line(CdevPin),
}

impl core::fmt::Debug for Kind {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Led { .. } => "Led",
            Self::Line(_) => "Line",
        })
    }
}

impl LinuxLed {
    /// A light that is not there.
    pub const fn none() -> Self {
        Self(Kind::None)
    }

    /// Takes a light over; one that is not there where no name is given.
    ///
    /// # Errors
    /// When it does not exist or may not be used.
    pub fn open(name: Option<&LedName>) -> Result<Self, LedError> {
        Self::open_in(name, Path::new(LEDS))
    }

    fn open_in(name: Option<&LedName>, leds: &Path) -> Result<Self, LedError> {
        match name {
            None => Ok(Self::none()),
            Some(LedName::Led(name)) => Self::led(&leds.join(name)).map_err(|source| {
                let entries = fs::read_dir(leds).into_iter().flatten().flatten();
                let mut found: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into()).collect();
                found.sort();
                LedError::Led { name: name.clone(), source, found }
            }),
            Some(LedName::Line { chip, line }) => {
                let open = || {
                    let line = Chip::new(Path::new("/dev").join(chip))?.get_line(*line)?;
                    CdevPin::new(line.request(LineRequestFlags::OUTPUT, 0, "kurtoscope")?)
                };
                let failed = |source| LedError::Line { chip: chip.clone(), line: *line, source };
                Ok(Self(Kind::Line(open().map_err(failed)?)))
            }
        }
    }

    fn led(folder: &Path) -> io::Result<Self> {
        fs::write(folder.join("trigger"), "none")?;
        let full = fs::read_to_string(folder.join("max_brightness"))?.trim().to_string().into_bytes();
        let brightness = OpenOptions::new().write(true).open(folder.join("brightness"))?;
        Ok(Self(Kind::Led { brightness, full }))
    }
}

/// A light that the system did not switch.
#[derive(Debug)]
pub struct LedFault;

impl embedded_hal::digital::Error for LedFault {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Other
    }
}

impl ErrorType for LinuxLed {
    type Error = LedFault;
}

impl OutputPin for LinuxLed {
    fn set_low(&mut self) -> Result<(), LedFault> {
        match &mut self.0 {
            Kind::None => Ok(()),
            Kind::Led { brightness, .. } => brightness.write_all_at(b"0", 0).map_err(|_| LedFault),
            Kind::Line(pin) => pin.set_low().map_err(|_| LedFault),
        }
    }

    fn set_high(&mut self) -> Result<(), LedFault> {
        match &mut self.0 {
            Kind::None => Ok(()),
            Kind::Led { brightness, full } => brightness.write_all_at(full, 0).map_err(|_| LedFault),
            Kind::Line(pin) => pin.set_high().map_err(|_| LedFault),
        }
    }
}

impl Drop for LinuxLed {
    fn drop(&mut self) {
        let _ = self.set_low();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_leds_from_lines() {
        assert_eq!("ACT".parse(), Ok(LedName::Led("ACT".into())));
        assert_eq!("green:status".parse(), Ok(LedName::Led("green:status".into())));
        let line = LedName::Line { chip: "gpiochip0".into(), line: 17 };
        assert_eq!("gpiochip0:17".parse(), Ok(line.clone()));
        assert_eq!("/dev/gpiochip0:17".parse(), Ok(line));
        for text in ["", "../x", "gpiochip0:led", "gpiochip0:-1"] {
            assert!(text.parse::<LedName>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_led_is_lit_with_all_that_it_has() {
        let root = std::env::temp_dir().join(std::format!("kurtoscope-led-{}", std::process::id()));
        let led = root.join("green:status");
        fs::create_dir_all(&led).expect("a folder");
        for (file, content) in [("trigger", "[mmc0] none"), ("max_brightness", "255\n"), ("brightness", "")] {
            fs::write(led.join(file), content).expect("written");
        }
        let read = |file: &str| fs::read_to_string(led.join(file)).expect("read");
        let name = LedName::Led("green:status".into());
        let mut led = LinuxLed::open_in(Some(&name), &root).expect("an LED");
        assert_eq!(read("trigger"), "none");
        led.set_high().expect("lit");
        assert_eq!(read("brightness"), "255");
        led.set_low().expect("dark");
        // A plain file keeps the bytes behind what was written; the kernel's does not.
        assert!(read("brightness").starts_with('0'));
        let error = LinuxLed::open_in(Some(&LedName::Led("red".into())), &root).expect_err("no such LED").to_string();
        assert!(error.contains("the LED red") && error.contains("there is green:status"), "{error}");
        fs::remove_dir_all(&root).expect("removed");
    }

    #[test]
    fn a_line_that_is_not_there_is_an_error() {
        let name = LedName::Line { chip: "gpiochip250".into(), line: 3 };
        let error = LinuxLed::open(Some(&name)).expect_err("no such chip").to_string();
        assert!(error.contains("line 3 of /dev/gpiochip250"), "{error}");
    }
}

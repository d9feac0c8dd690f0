//! `board.toml`: the description of one board. Reads and checks it; finding it is left to `catalogue`.
//!
//! ```toml
//! name = "my-board"                          # as the folder's
//! title = "My board"
//! chip = "RP2350 (2 x Cortex-M33, 150 MHz)"
//! kind = "microcontroller"                   # or "linux-gpu"
//! target = "thumbv8m.main-none-eabihf"       # Rust's name for what its programs are compiled for
//! links = ["serial:/dev/ttyACM0"]            # device URLs that fit
//! wiring = "One USB cable."
//!
//! [firmware]
//! manifest = "Cargo.toml"                    # from the board's folder
//! binary = "firmware"
//!
//! [flash]
//! method = "uf2-volume"                      # or "probe-rs", "ssh", "qemu"
//! board_id = "RP2350"                        # as its INFO_UF2.TXT says
//! family = 0xe48bff59
//! enter = "Hold BOOTSEL while you plug the cable in."
//!
//! [expect]
//! max_payload = 16384
//! ```

use std::{collections::BTreeMap, path::Path};

use serde::Deserialize;

use super::BoardError;

/// A board as its `board.toml` describes it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// The folder's name, by which commands know the board.
    pub name: String,
    /// What people call it.
    pub title: String,
    /// Its processors and clock.
    pub chip: String,
    /// What runs on it.
    pub kind: Kind,
    /// The target triple of its firmware.
    pub target: String,
    /// Device URLs that fit, the usual one first.
    pub links: Vec<String>,
    /// How it is wired to the host, in words.
    pub wiring: String,
    /// What else a user should know.
    #[serde(default)]
    pub notes: Vec<String>,
    /// What is built for it.
    pub firmware: Firmware,
    /// How that gets onto it.
    pub flash: Flash,
    /// What to expect of it.
    pub expect: Expectations,
    /// How Linux on it is set up; boards of kind `linux-gpu` have this.
    pub linux: Option<Linux>,
    /// How QEMU emulates it; boards that exist in QEMU alone have this.
    pub qemu: Option<Qemu>,
}

/// What runs on a board.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Linux, with a graphics adapter that has Vulkan: the command `kurtoscope-device`.
    LinuxGpu,
    /// No operating system: a firmware of the board's own around `kurtoscope-firmware`.
    Microcontroller,
}

impl Kind {
    /// As `board.toml` writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LinuxGpu => "linux-gpu",
            Self::Microcontroller => "microcontroller",
        }
    }
}

/// What is built for a board.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Firmware {
    /// Path of the crate's `Cargo.toml`, from the board's folder.
    pub manifest: String,
    /// Name of the binary.
    pub binary: String,
    /// Features to build with, besides the default ones.
    #[serde(default)]
    pub features: Vec<String>,
}

/// How firmware gets onto a board.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "method", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Flash {
    /// The board shows a USB volume onto which a UF2 file is copied.
    Uf2Volume {
        /// How the boot loader calls the board: `Board-ID` in the volume's `INFO_UF2.TXT`.
        board_id: String,
        /// The family number that the boot loader accepts.
        family: u32,
        /// What to do so that the volume appears, in words.
        enter: String,
        /// The chip's name in probe-rs, for those who have a debug probe.
        chip: Option<String>,
    },
    /// A debug probe writes the chip's flash memory.
    ProbeRs {
        /// The chip's name in probe-rs.
        chip: String,
    },
    /// Files are copied over the user's own ssh.
    Ssh {
        /// The user that the board's usual system image comes with.
        user: String,
    },
    /// Nothing is flashed: QEMU loads the program.
    Qemu,
}

impl Flash {
    /// As `board.toml` writes it.
    pub const fn method(&self) -> &'static str {
        match self {
            Self::Uf2Volume { .. } => "uf2-volume",
            Self::ProbeRs { .. } => "probe-rs",
            Self::Ssh { .. } => "ssh",
            Self::Qemu => "qemu",
        }
    }
}

/// What to expect of a board.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectations {
    /// Largest payload of one chunk, bytes.
    pub max_payload: u32,
    /// Random-access memory of the board, bytes.
    pub ram_bytes: Option<u64>,
    /// Memory for programs, bytes.
    pub flash_bytes: Option<u64>,
    /// Lowest and highest rate to the device, bytes a second, by the link's scheme (`usb`, `serial`, …).
    #[serde(default)]
    pub rates: BTreeMap<String, [u64; 2]>,
}

/// How Linux on a board is set up.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Linux {
    /// What the device side computes with: `cpu`, `gpu` or `gpu=NAME`.
    pub engine: String,
    /// A light that shows what the device does: one of `/sys/class/leds`, or a line of a chip, `gpiochip0:17`.
    pub led: Option<String>,
    /// The USB port with which the board can be a device.
    pub gadget: Option<Gadget>,
}

/// The USB port with which a board can be a device. What it shows there is in [`kurtoscope_shared::usb`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gadget {
    /// The controller's name in `/sys/class/udc`, where the board has several; otherwise the only free one is taken.
    pub controller: Option<String>,
    /// What the board's boot configuration needs, so that its port can be a device's end.
    pub boot: Option<BootLine>,
}

/// A line of a boot configuration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BootLine {
    /// The file on the board.
    pub path: String,
    /// The line.
    pub line: String,
}

/// How QEMU emulates a board.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Qemu {
    /// The program: `qemu-system-arm`.
    pub program: String,
    /// The Debian package that holds it.
    pub package: String,
    /// What follows `-M`; also what follows `qemu:` in a device URL.
    pub machine: String,
    /// Further arguments.
    #[serde(default)]
    pub arguments: Vec<String>,
}

impl Description {
    /// Reads the text of the `board.toml` at `path`.
    ///
    /// # Errors
    /// [`BoardError::Content`] with the line where the text is not TOML, lacks something, has a key that nothing
    /// reads, or has parts that do not fit each other.
    pub fn parse(path: &Path, text: &str) -> Result<Self, BoardError> {
        let error = |line, message| BoardError::Content { path: path.to_owned(), line, message };
        let description: Self = toml::from_str(text).map_err(|found| {
            let before = found.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            error(before.matches('\n').count() + 1, found.message().trim_end_matches('.').to_owned())
        })?;
        let line = |start: &str| text.lines().position(|line| line.starts_with(start)).map_or(1, |at| at + 1);
        description.check(path).map_err(|(key, message)| error(line(key), message))
    }

    /// Checks what the types cannot; an error comes with the start of the line that it is about.
    fn check(self, path: &Path) -> Result<Self, (&'static str, String)> {
        let folder = path.parent().and_then(Path::file_name).and_then(|name| name.to_str()).unwrap_or_default();
        let is_plain = |name: &str| {
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        };
        if self.name != folder {
            return Err(("name", format!("the name \"{}\" is not that of the folder, \"{folder}\"", self.name)));
        }
        for (key, value) in [("name", &self.name), ("target", &self.target), ("[firmware]", &self.firmware.binary)] {
            if !is_plain(value) {
                return Err((key, format!("\"{value}\" may hold letters, digits, -, _ and . only")));
            }
        }
        if self.links.is_empty() {
            return Err(("links", "at least one device URL is needed".into()));
        }
        if self.expect.max_payload < 8 {
            return Err(("[expect]", format!("max_payload = {} holds no element of 8 bytes", self.expect.max_payload)));
        }
        if let Some((scheme, [low, high])) = self.expect.rates.iter().find(|(_, [low, high])| low > high) {
            return Err(("[expect]", format!("the rate over {scheme} goes from {low} down to {high}")));
        }
        match self.kind {
            Kind::LinuxGpu if self.linux.is_none() => {
                Err(("kind", "a board of kind linux-gpu needs a table [linux]".into()))
            }
            Kind::Microcontroller if self.linux.is_some() => {
                Err(("[linux]", "a board of kind microcontroller does not run Linux".into()))
            }
            _ if self.qemu.is_none() && self.flash == Flash::Qemu => {
                Err(("[flash]", "method = \"qemu\" needs a table [qemu]".into()))
            }
            _ => Ok(self),
        }
    }
}

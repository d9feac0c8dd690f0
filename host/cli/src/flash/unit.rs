//! The systemd unit under which `kurtoscope-device` serves on a board's USB port.

use super::survey::Survey;

/// How the service is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// The board's name, under which it introduces itself.
    pub board: String,
    /// The engine: `cpu`, `gpu` or `gpu=NAME`.
    pub engine: String,
    /// The light that shows what the device does: one of `/sys/class/leds`, or a line of a chip, `gpiochip0:17`.
    pub light: Option<String>,
    /// The USB device controller; the only free one where none is named.
    pub controller: Option<String>,
}

impl Service {
    /// The light, if it is one of the kernel's and the board as it was found has none of this name. Of a board that does not
    /// run, nothing is known.
    pub fn missing_light(&self, found: &Survey) -> Option<&str> {
        let lights = found.lights.as_ref()?;
        let of_the_kernel = |light: &&str| !light.trim_start_matches("/dev/").starts_with("gpiochip");
        self.light.as_deref().filter(of_the_kernel).filter(|light| !lights.iter().any(|there| there == light))
    }

    /// The unit's text, for the program at `program` on the board as it was found.
    ///
    /// The gadget needs root, because configfs and FunctionFS do. The program says when hosts can see the board, and that is
    /// when the service counts as started. A port that becomes a device's end late, or a host that is unplugged, ends the
    /// program; it is started again for as long as the board is on.
    pub fn unit(&self, program: &str, found: &Survey) -> String {
        let words = [program, "--usb-gadget", "--board", &self.board, "--engine", &self.engine];
        let light = self.light.as_deref().filter(|_| self.missing_light(found).is_none());
        let options = [("--led", light), ("--udc", self.controller.as_deref())];
        let options = options.into_iter().filter_map(|(option, value)| Some([option, value?])).flatten();
        let command: Vec<String> = words.into_iter().chain(options).map(quoted).collect();
        format!(
            "\
[Unit]
Description=Kurtoscope device: measures what a host sends over USB
StartLimitIntervalSec=0

[Service]
Type=notify
ExecStartPre=-modprobe libcomposite
ExecStart={}
Restart=always
RestartSec=5

[Install]
WantedBy=multi-user.target
",
            command.join(" ")
        )
    }
}

/// A word as systemd reads it back: specifiers and variables are ordinary text.
fn quoted(word: &str) -> String {
    let escaped = word.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%").replace('$', "$$");
    let plain = !escaped.is_empty()
        && escaped.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_=/.:,+@".contains(letter));
    if plain { escaped } else { format!("\"{escaped}\"") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_spaces_stay_one_word() {
        let mut service = Service {
            board: "my-board".into(),
            engine: "gpu=V3D 7.1 100%".into(),
            light: Some("ACT".into()),
            controller: None,
        };
        let mut found = Survey { lights: Some(vec!["PWR".into()]), ..Survey::default() };
        let unit = service.unit("/usr/local/bin/kurtoscope-device", &found);
        assert!(
            unit.contains(
                "ExecStart=/usr/local/bin/kurtoscope-device --usb-gadget --board my-board --engine \"gpu=V3D 7.1 100%%\"\n"
            ),
            "{unit}"
        );
        service.engine = "cpu".into();
        found.lights = Some(vec!["PWR".into(), "ACT".into()]);
        assert!(service.unit("/x", &found).contains(" --engine cpu --led ACT\n"));
        // A line of a chip is none of the kernel's lights.
        (service.light, service.controller) = (Some("gpiochip0:17".into()), Some("fe980000.usb".into()));
        assert!(service.unit("/x", &found).contains(" --led gpiochip0:17 --udc fe980000.usb\n"));
    }
}

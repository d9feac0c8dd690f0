//! The systemd unit under which `kurtoscope-device` serves on a board's USB port.

use super::survey::Survey;

/// How the service is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// The board's name, under which it introduces itself.
    pub board: String,
    /// The engine: `cpu`, `gpu` or `gpu=NAME`.
    pub engine: String,
    /// The light that shows what the device does, in `/sys/class/leds`.
    pub light: Option<String>,
}

impl Service {
    /// The light, if the board as it was found has none of this name. Of a board that does not run, nothing is known.
    pub fn missing_light(&self, found: &Survey) -> Option<&str> {
        let lights = found.lights.as_ref()?;
        self.light.as_deref().filter(|light| !lights.iter().any(|there| there == light))
    }

    /// The unit's text, for the program at `program` on the board as it was found.
    ///
    /// The gadget needs root, because configfs and FunctionFS do. A port that becomes a device's end late, or a host that
    /// is unplugged, ends the program; it is started again for as long as the board is on.
    pub fn unit(&self, program: &str, found: &Survey) -> String {
        let words = [program, "--usb-gadget", "--board", &self.board, "--engine", &self.engine];
        let light = self.light.as_deref().filter(|_| self.missing_light(found).is_none());
        let command: Vec<String> =
            words.into_iter().chain(light.into_iter().flat_map(|light| ["--led", light])).map(quoted).collect();
        format!(
            "\
[Unit]
Description=Kurtoscope device: measures what a host sends over USB
StartLimitIntervalSec=0

[Service]
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
        let mut service =
            Service { board: "my-board".into(), engine: "gpu=V3D 7.1 100%".into(), light: Some("ACT".into()) };
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
    }
}

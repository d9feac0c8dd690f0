//! What goes onto a Linux board, and the steps that bring a board as it was found to that, or undo it.

use super::{
    error::FlashError,
    plan::{Action, Content, Plan, Put},
    program::Machine,
    survey::{Found, Privilege, Survey},
    unit,
};
use crate::board::BootLine;

/// Where the program goes.
pub const PROGRAM: &str = "/usr/local/bin/kurtoscope-device";
/// Where the service is described.
pub const UNIT: &str = "/etc/systemd/system/kurtoscope-device.service";
/// The list of what was put there, written last: without it the finishing steps are done again.
pub const MANIFEST: &str = "/usr/local/share/kurtoscope/installed";
/// What a copy is called until it is whole; left behind when the power goes while copying.
const LEFTOVER: &str = "/usr/local/bin/.kurtoscope-device.new";
/// The service's name.
pub const SERVICE: &str = "kurtoscope-device.service";
/// The link by which systemd starts the service at boot.
pub const ENABLED: &str = "/etc/systemd/system/multi-user.target.wants/kurtoscope-device.service";

/// What is left for the file system to breathe, beside the files themselves.
const SPARE_BYTES: u64 = 1 << 20;

/// Marks the lines that are ours in a file that is somebody else's.
const BEGIN: &str = "# kurtoscope: begin (removed by `kurtoscope flash --remove`)";
const END: &str = "# kurtoscope: end";

/// What goes onto a board.
#[derive(Debug, Clone)]
pub struct Software {
    /// The board's name: its folder in `boards/`.
    pub board: String,
    /// What its processor is.
    pub machine: Machine,
    /// The program.
    pub program: Content,
    /// The program's version.
    pub version: String,
    /// How the service is started; none where the board is reached through `exec:` alone.
    pub service: Option<unit::Service>,
    /// What its boot configuration needs for the service.
    pub boot: Option<BootLine>,
}

impl Software {
    /// The files whose state decides what is to be done, and those of them whose text is needed.
    pub fn questions(&self) -> Questions {
        Questions {
            files: [PROGRAM, UNIT, MANIFEST, LEFTOVER].map(String::from).to_vec(),
            texts: self.boot.iter().map(|boot| boot.path.clone()).collect(),
        }
    }

    /// The steps that bring a board from what was found to this software: none when it is up to date.
    ///
    /// # Errors
    /// When the board is another machine, has no room, cannot be written, or lacks root or systemd.
    pub fn install(&self, place: &str, found: &Survey) -> Result<Plan, FlashError> {
        self.check_machine(place, found)?;
        let mut plan = Plan::default();
        let mut changes = Vec::new();
        if !found.holds(PROGRAM, self.program.sha256()) {
            changes.push(put(
                PROGRAM,
                self.program.clone(),
                Some(0o755),
                Some(format!("kurtoscope-device {}", self.version)),
            ));
        }
        let unit = self.service.as_ref().map(|service| Content::new(service.unit(PROGRAM, found)));
        if let Some(light) = self.service.as_ref().and_then(|service| service.missing_light(found)) {
            plan.notes.push(format!("there is no light {light} in /sys/class/leds; the service goes without"));
        }
        if let Some(unit) = unit.as_ref().filter(|unit| !found.holds(UNIT, unit.sha256())) {
            changes.push(put(UNIT, unit.clone(), Some(0o644), None));
        }
        if let Some(boot) = self.boot.as_ref().filter(|_| unit.is_some()) {
            match found.files.get(&boot.path) {
                Some(Found { text: Some(text), .. }) => {
                    if let Some(text) = with_line(text, &boot.line) {
                        changes.push(put(&boot.path, Content::new(text), None, None));
                        plan.notes.push(format!("restart the board once, so that \"{}\" takes effect", boot.line));
                    }
                }
                Some(Found { text: None, .. }) | None => plan.notes.push(format!(
                    "{} cannot be read there; for the USB link it needs the line \"{}\"",
                    boot.path, boot.line
                )),
            }
        }
        let manifest = self.manifest(unit.as_ref());
        let finished = found.holds(MANIFEST, manifest.sha256()) && (unit.is_none() || found.enabled);
        if changes.is_empty() && finished && !found.has(LEFTOVER) {
            return Ok(plan);
        }
        if unit.is_some() && !found.systemd {
            return Err(FlashError::NoSystemd { place: place.into() });
        }
        check_writable(place, found)?;
        check_room(place, found, &changes)?;
        if found.has(MANIFEST) {
            plan.push(format!("remove {MANIFEST} until all is done"), Action::Delete { path: MANIFEST.into() });
        }
        if found.has(LEFTOVER) {
            plan.push("remove what an interrupted copy left", Action::Delete { path: LEFTOVER.into() });
        }
        for change in changes {
            let kind = if found.has(&change.path) { "replace" } else { "put" };
            let is_tried = change.version.is_some() && found.is_running();
            let tried = if is_tried { ", tried with --version first" } else { "" };
            plan.push(format!("{kind} {} ({}{tried})", change.path, change.content.size()), Action::Put(change));
        }
        if unit.is_some() {
            let when = if found.is_running() { "now and at every boot" } else { "at every boot" };
            plan.push(format!("start {SERVICE} {when}"), Action::Enable);
        } else if found.has(UNIT) || found.enabled {
            remove_service(found, &mut plan);
        }
        let put = put(MANIFEST, manifest, Some(0o644), None);
        plan.push(format!("put {MANIFEST}, which says that all is done"), Action::Put(put));
        Ok(plan)
    }

    /// The steps that undo [`install`](Self::install): none where nothing of it is there.
    ///
    /// # Errors
    /// When the board cannot be written, or lacks root.
    pub fn remove(&self, place: &str, found: &Survey) -> Result<Plan, FlashError> {
        let mut plan = Plan::default();
        remove_service(found, &mut plan);
        let boot = self.boot.as_ref().and_then(|boot| Some((boot, found.files.get(&boot.path)?.text.as_ref()?)));
        if let Some((boot, text)) = boot.and_then(|(boot, text)| Some((boot, without_lines(text)?))) {
            plan.push(
                format!("take our lines out of {}", boot.path),
                Action::Put(put(&boot.path, Content::new(text), None, None)),
            );
        }
        for path in [PROGRAM, LEFTOVER, MANIFEST].into_iter().filter(|path| found.has(path)) {
            plan.push(format!("remove {path}"), Action::Delete { path: path.into() });
        }
        if !plan.steps.is_empty() {
            check_writable(place, found)?;
        }
        Ok(plan)
    }

    fn check_machine(&self, place: &str, found: &Survey) -> Result<(), FlashError> {
        match &found.machine {
            Some(name) if Machine::of_name(name) != Some(self.machine) => Err(FlashError::OtherMachine {
                place: place.into(),
                board: self.board.clone(),
                found: name.clone(),
                expected: self.machine,
            }),
            _ => Ok(()),
        }
    }

    /// A line for each file, as `sha256sum --check` reads them.
    fn manifest(&self, unit: Option<&Content>) -> Content {
        let files = [(PROGRAM, Some(&self.program)), (UNIT, unit)];
        let lines = files.iter().filter_map(|(path, content)| Some(format!("{}  {path}\n", (*content)?.sha256())));
        Content::new(lines.collect::<String>())
    }
}

/// What a survey has to find out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Questions {
    /// Files of which the digest is asked.
    pub files: Vec<String>,
    /// Files of which the text is asked too.
    pub texts: Vec<String>,
}

fn put(path: &str, content: Content, mode: Option<u32>, version: Option<String>) -> Put {
    Put { path: path.into(), content, mode, version }
}

fn remove_service(found: &Survey, plan: &mut Plan) {
    if !found.has(UNIT) && !found.enabled {
        return;
    }
    let stop = if found.is_running() { "stop it, and start it no more" } else { "start it no more" };
    plan.push(format!("{SERVICE}: {stop}"), Action::Disable);
    plan.push(format!("remove {UNIT}"), Action::Delete { path: UNIT.into() });
    if found.is_running() {
        plan.push("have systemd forget it", Action::Forget);
    }
}

fn check_writable(place: &str, found: &Survey) -> Result<(), FlashError> {
    if found.privilege == Privilege::None {
        return Err(FlashError::NotRoot { place: place.into() });
    }
    match &found.read_only {
        Some(path) => Err(FlashError::ReadOnly { place: place.into(), path: path.clone() }),
        None => Ok(()),
    }
}

/// Old and new content lie side by side until the new one is sound, so the new one has to fit into what is free.
fn check_room(place: &str, found: &Survey, changes: &[Put]) -> Result<(), FlashError> {
    let largest = changes.iter().max_by_key(|put| put.content.bytes().len());
    let (Some(free), Some(largest)) = (found.free_bytes, largest) else { return Ok(()) };
    let needed = largest.content.bytes().len() as u64 + SPARE_BYTES;
    if free >= needed {
        return Ok(());
    }
    Err(FlashError::Full { place: place.into(), path: largest.path.clone(), needed, free: Some(free) })
}

/// The text with the line added in a block of ours; nothing if it is there already. The block opens a section for
/// all boards, because a line at the end of the file would belong to the section that happens to be last.
fn with_line(text: &str, line: &str) -> Option<String> {
    if text.lines().any(|there| there.trim() == line) {
        return None;
    }
    let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    Some(format!("{text}{end}{BEGIN}\n[all]\n{line}\n{END}\n"))
}

/// The text without our block; nothing if it has none.
fn without_lines(text: &str) -> Option<String> {
    let start = text.find(BEGIN)?;
    let end = start + text[start..].find(END)? + END.len();
    let end = end + text[end..].starts_with('\n') as usize;
    Some(format!("{}{}", &text[..start], &text[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_added_once_and_taken_out_again() {
        for before in ["", "arm_64bit=1\n", "[cm5]\ndtoverlay=dwc2,dr_mode=host\n"] {
            let after = with_line(before, "dtoverlay=dwc2").expect("added");
            assert!(after.ends_with("[all]\ndtoverlay=dwc2\n# kurtoscope: end\n"), "{after}");
            assert_eq!(with_line(&after, "dtoverlay=dwc2"), None);
            assert_eq!(without_lines(&after).as_deref(), Some(before));
        }
        assert_eq!(without_lines("dtoverlay=dwc2\n"), None, "a line of the user's own stays");
        // What the user wrote behind our block stays as well.
        let after = with_line("a=1\n", "dtoverlay=dwc2").expect("added") + "b=2\n";
        assert_eq!(without_lines(&after).as_deref(), Some("a=1\nb=2\n"));
    }
}

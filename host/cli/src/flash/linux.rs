//! What goes onto a Linux board, and the steps that bring a board as it was found to that, or undo it.

use super::{
    error::FlashError,
    plan::{Action, Content, FlashPlan, Put},
    program::Machine,
    survey::{Privilege, Survey},
    unit,
};
use crate::board::BootLine as Boot;

/// Where the program goes.
pub const PROGRAM: &str = "/usr/local/bin/kurtoscope-device";
/// Where the service is described.
pub const UNIT: &str = "/etc/systemd/system/kurtoscope-device.service";
/// The list of what was put there, written last: without it the finishing steps are done again.
pub const MANIFEST: &str = "/usr/local/share/kurtoscope/installed";
/// The folder that is there for that list alone.
pub(super) const MANIFEST_FOLDER: &str = "/usr/local/share/kurtoscope";
/// The service's name.
pub const SERVICE: &str = "kurtoscope-device.service";
/// The link by which systemd starts the service at boot.
pub const ENABLED: &str = "/etc/systemd/system/multi-user.target.wants/kurtoscope-device.service";

/// What is left for the file system to breathe, beside the files themselves.
const SPARE_BYTES: u64 = 1 << 20;

/// Marks our lines in a file that belongs to the user.
const BEGIN: &str = "# kurtoscope: begin (removed by `kurtoscope flash --remove`)";
/// Stands behind [`BEGIN`] where the line before it had no end of its own.
const AFTER_AN_OPEN_LINE: &str = " together with the end of the line above";
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
    pub boot: Option<Boot>,
}

impl Software {
    /// The files whose state decides what is to be done, and those of them whose text is needed.
    pub fn questions(&self) -> Questions {
        let boot = self.boot.iter().map(|boot| boot.path.as_str());
        let leftovers = [PROGRAM, UNIT, MANIFEST].into_iter().chain(boot.clone()).map(leftover);
        Questions {
            files: [PROGRAM, UNIT, MANIFEST].into_iter().map(String::from).chain(leftovers).collect(),
            texts: boot.map(String::from).collect(),
        }
    }

    /// The steps that bring a board from what was found to this software: none when it is up to date.
    ///
    /// # Errors
    /// When the board is another machine, has too little space, cannot be written, or lacks root or systemd.
    pub fn install(&self, place: &str, found: &Survey) -> Result<FlashPlan, FlashError> {
        self.check_machine(place, found)?;
        let mut plan = FlashPlan::default();
        let mut changes = Vec::new();
        if !found.holds(PROGRAM, self.program.sha256()) {
            let version = Some(format!("kurtoscope-device {}", self.version));
            changes.push(put(PROGRAM, self.program.clone(), Some(0o755), version));
        }
        let unit = self.service.as_ref().map(|service| Content::new(service.unit(PROGRAM, found)));
        if let Some(light) = self.service.as_ref().and_then(|service| service.missing_light(found)) {
            plan.notes.push(format!("there is no light {light} in /sys/class/leds; the service goes without"));
        }
        if let Some(unit) = unit.as_ref().filter(|unit| !found.holds(UNIT, unit.sha256())) {
            changes.push(put(UNIT, unit.clone(), Some(0o644), None));
        }
        if unit.is_some() {
            self.prepare_boot(found, &mut plan, &mut changes);
        }
        // Without a port there is nothing to serve on, and the service tries again by itself until there is one.
        let starts = unit.is_some() && found.is_running() && !found.device_ports.is_empty();
        let manifest = self.manifest(unit.as_ref());
        let finished =
            found.holds(MANIFEST, manifest.sha256()) && (unit.is_none() || found.enabled) && (!starts || found.active);
        let leftovers: Vec<&String> = self.leftovers(found).collect();
        if changes.is_empty() && finished && leftovers.is_empty() {
            return Ok(plan);
        }
        if unit.is_some() && !found.systemd {
            return Err(FlashError::NoSystemd { place: place.into() });
        }
        let changed = changes.iter().map(|put| put.path.as_str()).chain([MANIFEST]);
        check_writable(place, found, changed.chain(leftovers.iter().map(|path| path.as_str())))?;
        check_room(place, found, &changes, &leftovers)?;
        if found.has(MANIFEST) {
            plan.push(format!("remove {MANIFEST} until all is done"), Action::Delete { path: MANIFEST.into() });
        }
        for path in leftovers {
            plan.push(format!("remove {path}, which an interrupted copy left"), Action::Delete { path: path.clone() });
        }
        for change in changes {
            let kind = if found.has(&change.path) { "replace" } else { "put" };
            let is_tried = change.version.is_some() && found.is_running();
            let tried = if is_tried { ", tried with --version first" } else { "" };
            plan.push(format!("{kind} {} ({}{tried})", change.path, change.content.size()), Action::Put(change));
        }
        if unit.is_some() {
            plan.push(format!("have {SERVICE} started at every boot"), Action::Enable);
        } else if found.has(UNIT) || found.enabled {
            remove_service(found, &mut plan);
        }
        if starts {
            plan.push(format!("start {SERVICE} now, and wait until hosts can see the board"), Action::Start);
        }
        let put = put(MANIFEST, manifest, Some(0o644), None);
        plan.push(format!("put {MANIFEST}, which says that all is done"), Action::Put(put));
        Ok(plan)
    }

    /// What the boot configuration needs for the service, and what the user has to know about it.
    fn prepare_boot(&self, found: &Survey, plan: &mut FlashPlan, changes: &mut Vec<Put>) {
        let no_port = found.is_running() && found.device_ports.is_empty();
        let Some(boot) = &self.boot else {
            if no_port {
                plan.notes.push(
                    "no USB port of the board is a device's end now (/sys/class/udc is empty); the service waits for one"
                        .into(),
                );
            }
            return;
        };
        let Some(text) = found.files.get(&boot.path).and_then(|file| file.text.as_deref()) else {
            let Boot { path, line } = boot;
            plan.notes.push(format!("{path} cannot be read there; for the USB link it needs the line \"{line}\""));
            return;
        };
        let with_line = with_line(text, &boot.line);
        if with_line.is_some() || no_port {
            plan.notes.push(format!("restart the board once, so that \"{}\" takes effect", boot.line));
        }
        changes.extend(with_line.map(|text| put(&boot.path, Content::new(text), None, None)));
    }

    /// The steps that undo [`install`](Self::install): none where nothing of it is there.
    ///
    /// # Errors
    /// When the board cannot be written, or lacks root.
    pub fn remove(&self, place: &str, found: &Survey) -> Result<FlashPlan, FlashError> {
        let mut plan = FlashPlan::default();
        let mut changed = Vec::new();
        if remove_service(found, &mut plan) {
            changed.push(UNIT);
        }
        let boot = self.boot.as_ref().and_then(|boot| Some((boot, found.files.get(&boot.path)?.text.as_ref()?)));
        if let Some((boot, text)) = boot.and_then(|(boot, text)| Some((boot, without_lines(text)?))) {
            changed.push(&boot.path);
            plan.push(
                format!("take our lines out of {}", boot.path),
                Action::Put(put(&boot.path, Content::new(text), None, None)),
            );
            plan.notes.push("the board's USB port becomes what it was when the board is restarted".into());
        }
        let files = [PROGRAM, MANIFEST].into_iter().filter(|path| found.has(path));
        for path in files.chain(self.leftovers(found).map(String::as_str)) {
            changed.push(path);
            plan.push(format!("remove {path}"), Action::Delete { path: path.into() });
        }
        if !plan.steps.is_empty() {
            check_writable(place, found, changed)?;
        }
        Ok(plan)
    }

    /// What interrupted copies left: files that never got their names.
    fn leftovers<'a>(&self, found: &'a Survey) -> impl Iterator<Item = &'a String> + use<'a> {
        let boot = self.boot.iter().map(|boot| boot.path.as_str());
        let names: Vec<String> = [PROGRAM, UNIT, MANIFEST].into_iter().chain(boot).map(leftover).collect();
        found.files.keys().filter(move |path| names.contains(path))
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

impl Questions {
    /// All files that are asked about, in the order of their numbers.
    pub fn all(&self) -> impl Iterator<Item = &str> {
        self.files.iter().chain(&self.texts).map(String::as_str)
    }
}

/// What a copy of the file at `path` is called until it is whole.
pub(super) fn leftover(path: &str) -> String {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    format!("{folder}/.{name}.new")
}

fn put(path: &str, content: Content, mode: Option<u32>, version: Option<String>) -> Put {
    Put { path: path.into(), content, mode, version }
}

/// Adds the steps that remove the service; gives whether there are any.
fn remove_service(found: &Survey, plan: &mut FlashPlan) -> bool {
    if !found.has(UNIT) && !found.enabled {
        return false;
    }
    let stop = if found.is_running() { "stop it, and start it no more" } else { "start it no more" };
    plan.push(format!("{SERVICE}: {stop}"), Action::Disable);
    plan.push(format!("remove {UNIT}"), Action::Delete { path: UNIT.into() });
    if found.is_running() {
        plan.push("have systemd forget it", Action::Forget);
    }
    true
}

fn check_writable<'a>(
    place: &str,
    found: &Survey,
    changed: impl IntoIterator<Item = &'a str>,
) -> Result<(), FlashError> {
    if found.privilege == Privilege::None {
        return Err(FlashError::NotRoot { place: place.into() });
    }
    match changed.into_iter().find_map(|path| found.read_only.get(path)) {
        Some(folder) => Err(FlashError::ReadOnly { place: place.into(), path: folder.clone() }),
        None => Ok(()),
    }
}

/// Old and new content are both there until the new one is checked, so the new one has to fit into what is free once the
/// leftovers are gone.
fn check_room(place: &str, found: &Survey, changes: &[Put], leftovers: &[&String]) -> Result<(), FlashError> {
    let largest = changes.iter().max_by_key(|put| put.content.bytes().len());
    let (Some(free), Some(largest)) = (found.free_bytes, largest) else { return Ok(()) };
    // What is free is known of the file system that the program goes to, and only its own leftover is large.
    let of_program = leftovers.iter().filter(|path| **path == &leftover(PROGRAM));
    let freed: u64 = of_program.filter_map(|path| found.files.get(*path)).map(|file| file.bytes).sum();
    let needed = largest.content.bytes().len() as u64 + SPARE_BYTES;
    if free + freed >= needed {
        return Ok(());
    }
    Err(FlashError::Full { place: place.into(), path: largest.path.clone(), needed, free: Some(free) })
}

/// The text with the line added in a block of ours; nothing if it is there already, for all boards. The block opens a
/// section for all boards, because a line at the end of the file would belong to the section that happens to be last.
fn with_line(text: &str, line: &str) -> Option<String> {
    let mut for_all = true;
    for there in text.lines().map(str::trim) {
        if there.starts_with('[') {
            for_all = there == "[all]";
        } else if for_all && there == line {
            return None;
        }
    }
    let (end, open) = if text.is_empty() || text.ends_with('\n') { ("", "") } else { ("\n", AFTER_AN_OPEN_LINE) };
    Some(format!("{text}{end}{BEGIN}{open}\n[all]\n{line}\n{END}\n"))
}

/// The text without our block; nothing if it has none.
fn without_lines(text: &str) -> Option<String> {
    let start = text.find(BEGIN)?;
    let (before, block) = text.split_at(start);
    let end = block.find(END)? + END.len();
    let after = &block[end..];
    let after = after.strip_prefix('\n').unwrap_or(after);
    let was_open = after.is_empty() && block[BEGIN.len()..].starts_with(AFTER_AN_OPEN_LINE);
    let before = before.strip_suffix('\n').filter(|_| was_open).unwrap_or(before);
    Some(format!("{before}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_added_once_and_taken_out_again() {
        for before in ["", "arm_64bit=1\n", "[cm5]\ndtoverlay=dwc2,dr_mode=host\n", "last=line without an end", "\n"] {
            let after = with_line(before, "dtoverlay=dwc2").expect("added");
            assert!(after.ends_with("\n[all]\ndtoverlay=dwc2\n# kurtoscope: end\n"), "{after}");
            assert_eq!(with_line(&after, "dtoverlay=dwc2"), None);
            assert_eq!(without_lines(&after).as_deref(), Some(before));
        }
        assert_eq!(without_lines("dtoverlay=dwc2\n"), None, "a line of the user's own stays");
        // What the user wrote behind our block stays as well.
        let after = with_line("a=1\n", "dtoverlay=dwc2").expect("added") + "b=2\n";
        assert_eq!(without_lines(&after).as_deref(), Some("a=1\nb=2\n"));
        let after = with_line("a=1", "dtoverlay=dwc2").expect("added") + "b=2\n";
        assert_eq!(without_lines(&after).as_deref(), Some("a=1\nb=2\n"));
    }

    #[test]
    fn a_line_for_other_boards_does_not_count() {
        let line = "dtoverlay=dwc2";
        assert!(with_line("[pi4]\ndtoverlay=dwc2\n", line).is_some());
        assert_eq!(with_line("[pi4]\nx=1\n[all]\n dtoverlay=dwc2 \n[pi5]\n", line), None);
        assert_eq!(with_line("dtoverlay=dwc2\n[pi4]\n", line), None);
    }
}

//! Flashing a board that runs Linux: over ssh, or into its root file system.

use super::arguments::{
    FlashArguments, WayError, confirm_answer, describe_firmware, firmware, print_line, read, show_progress,
};
use crate::board::{Board, Flash};
use crate::command::arguments::Outcome;
use crate::flash::{
    BoardLocation, FlashError, FlashPlan, Machine, Root, Site, Software, Ssh, Survey, carry_out, linux::PROGRAM,
    plan::Content, unit::Service,
};

type Failure = Box<dyn std::error::Error + Send + Sync>;

pub(super) fn run(arguments: &FlashArguments, board: &Board) -> Outcome {
    match (&arguments.to, &arguments.root) {
        (Some(to), _) => over_ssh(arguments, board, to),
        (None, Some(root)) => into_root(arguments, board, root),
        (None, None) => {
            let user = if let Flash::Ssh { user } = &board.description.flash { user } else { "USER" };
            Err(WayError::NoPlace { board: board.description.name.clone(), user: user.into() }.into())
        }
    }
}

fn over_ssh(arguments: &FlashArguments, board: &Board, to: &str) -> Outcome {
    let mut ssh = Ssh::new(to)?;
    let (plan, done) = flash(arguments, board, &mut ssh)?;
    if arguments.dry_run {
        return Ok(());
    }
    if arguments.remove {
        print_line(done)?;
        return note(&plan);
    }
    show_progress(done);
    show_notes(&plan);
    let location = BoardLocation::Url(match &arguments.device {
        Some(device) => device.clone(),
        None => {
            let (name, engine) = (&board.description.name, engine(arguments, board));
            ssh.url(&[PROGRAM, "--stdio", "--board", name, "--engine", &engine]).parse()?
        }
    });
    let hint = format!("`ssh {to} {PROGRAM} --version` and `ssh {to} journalctl -u kurtoscope-device`");
    confirm_answer(arguments, board, location, &hint)
}

fn into_root(arguments: &FlashArguments, board: &Board, root: &std::path::Path) -> Outcome {
    let (plan, done) = flash(arguments, board, &mut Root::new(root)?)?;
    if arguments.dry_run {
        return Ok(());
    }
    match &arguments.device {
        Some(device) if !arguments.remove => {
            show_progress(done);
            show_notes(&plan);
            confirm_answer(arguments, board, BoardLocation::Url(device.clone()), "a screen, or its serial console")
        }
        _ => {
            print_line(done)?;
            note(&plan)
        }
    }
}

/// The notes before the board answers: they hold whatever it answers.
fn show_notes(plan: &FlashPlan) {
    plan.notes.iter().for_each(|note| show_progress(&format!("Note: {note}")));
}

fn note(plan: &FlashPlan) -> Outcome {
    plan.notes.iter().try_for_each(|note| print_line(&format!("Note: {note}")))
}

/// Applies the plan to the board, or prints its steps. Returns the plan, and a sentence about the state reached.
fn flash(arguments: &FlashArguments, board: &Board, site: &mut dyn Site) -> Result<(FlashPlan, &'static str), Failure> {
    let software = software(arguments, board)?;
    let found = site.survey(&software.questions())?;
    let place = site.place();
    show_progress(&format!("{place}: {}", describe(&found)));
    let plan = if arguments.remove { software.remove(&place, &found)? } else { software.install(&place, &found)? };
    let done = match (plan.steps.is_empty(), arguments.remove) {
        (true, true) => "Nothing of Kurtoscope is there",
        (true, false) => "Already up to date",
        (false, true) => "Removed",
        (false, false) => "Flashed",
    };
    if arguments.dry_run {
        show(arguments, board, site, &plan, done)?;
        return Ok((plan, done));
    }
    let (count, mut number) = (plan.steps.len(), 0);
    carry_out(site, &plan, |step| {
        number += 1;
        show_progress(&format!("{number}/{count} {}", step.what));
    })?;
    Ok((plan, done))
}

/// The steps, and the commands by which each would be done.
fn show(arguments: &FlashArguments, board: &Board, site: &dyn Site, plan: &FlashPlan, done: &str) -> Outcome {
    if plan.steps.is_empty() {
        return print_line(done);
    }
    let firmware = describe_firmware(arguments, board);
    print_line(&format!("Firmware: {firmware}\nThese steps would be done, and nothing is changed now:"))?;
    for (number, step) in plan.steps.iter().enumerate() {
        print_line(&format!("{}. {}\n    {}", number + 1, step.what, indented(&site.shown(&step.action))))?;
        if let Some(text) = step.action.content().and_then(Content::text) {
            print_line(&format!("    with this content:\n    {}", indented(text)))?;
        }
    }
    note(plan)
}

fn indented(text: &str) -> String {
    text.trim_end().replace('\n', "\n    ")
}

fn engine(arguments: &FlashArguments, board: &Board) -> String {
    let described = board.description.linux.as_ref().map(|linux| linux.engine.clone());
    arguments.engine.clone().or(described).unwrap_or_else(|| "cpu".into())
}

/// What goes onto this board.
fn software(arguments: &FlashArguments, board: &Board) -> Result<Software, Failure> {
    let description = &board.description;
    let machine = Machine::of_name(&description.target).ok_or_else(|| WayError::Unknown {
        board: description.name.clone(),
        what: "a target whose processor is known here",
    })?;
    // What is removed is known by its places, so nothing has to be built for it.
    let unbuilt = arguments.remove || (arguments.dry_run && arguments.firmware.is_none());
    let program = if unbuilt { Content::unbuilt() } else { Content::new(program(arguments, board, machine)?) };
    let linux = description.linux.as_ref();
    let gadget = linux.and_then(|linux| linux.gadget.as_ref());
    let service = gadget.filter(|_| !arguments.no_service).map(|gadget| Service {
        board: description.name.clone(),
        engine: engine(arguments, board),
        light: arguments.led.clone().or_else(|| linux.and_then(|linux| linux.led.clone())),
        controller: arguments.udc.clone().or_else(|| gadget.controller.clone()),
    });
    let version = env!("CARGO_PKG_VERSION").into();
    let boot = gadget.and_then(|gadget| gadget.boot.clone());
    Ok(Software { board: description.name.clone(), machine, program, version, service, boot })
}

fn program(arguments: &FlashArguments, board: &Board, machine: Machine) -> Result<Vec<u8>, Failure> {
    let path = firmware(arguments, board)?.program;
    let program = read(&path)?;
    match Machine::of_program(&program) {
        Some(found) if found == machine => Ok(program),
        Some(found) => {
            let board = board.description.name.clone();
            Err(FlashError::OtherProgram { path, board, found, expected: machine }.into())
        }
        None => Err(FlashError::NotAProgram { path, expected: machine }.into()),
    }
}

/// A board as it was found, in a line.
fn describe(found: &Survey) -> String {
    let mut words = vec![found.machine.clone().unwrap_or_else(|| "unknown processor".into())];
    words.push(if found.systemd { "systemd".into() } else { "no systemd".into() });
    words.extend(found.free_bytes.map(|bytes| format!("{} MiB free", bytes >> 20)));
    words.push(match &found.version {
        Some(version) => format!("has {version}"),
        None if found.has(PROGRAM) => "has a kurtoscope-device".into(),
        None => "has no kurtoscope-device".into(),
    });
    if !found.device_ports.is_empty() {
        words.push(format!("USB device port {}", found.device_ports.join(", ")));
    }
    words.join(", ")
}

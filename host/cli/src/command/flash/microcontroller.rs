//! Flashing a microcontroller: through its boot loader's volume, or a debug probe.

use super::{
    FlashArguments, Method, Outcome, WayError, confirm_answer, describe_firmware, firmware, print_line, read,
    show_progress,
};
use crate::board::{Board, Flash, uf2};
use crate::flash::{BoardLocation, probe, uf2_file, volume};
use kurtoscope_host::link::DeviceUrl;

/// What to look at where the board does not answer.
const HINT: &str = "its lights, another cable and `kurtoscope devices`, or flash it once more";

pub(super) fn run(arguments: &FlashArguments, board: &Board) -> Outcome {
    let usual: DeviceUrl = match (&arguments.device, board.description.links.first()) {
        (Some(device), _) => device.clone(),
        (None, Some(link)) => link.parse()?,
        (None, None) => return Err(unknown(board, "a link").into()),
    };
    let method = arguments.method.unwrap_or(match board.description.flash {
        Flash::ProbeRs { .. } => Method::ProbeRs,
        _ => Method::Uf2,
    });
    let misplaced = |of| Err(WayError::NotForThisKind { board: board.description.name.clone(), of }.into());
    match (method, &board.description.flash) {
        (Method::Uf2, _) if arguments.probe.is_some() => misplaced("debug probes (--method probe-rs)"),
        (Method::ProbeRs, _) if arguments.volume.is_some() => misplaced("volumes of boot loaders"),
        (Method::Uf2, Flash::Uf2Volume { board_id, family, enter, .. }) => {
            through_volume(arguments, board, usual, board_id, *family, enter)
        }
        (Method::ProbeRs, Flash::ProbeRs { chip } | Flash::Uf2Volume { chip: Some(chip), .. }) => {
            through_probe(arguments, board, usual, chip)
        }
        (Method::Uf2, _) => Err(unknown(board, "its boot loader's volume").into()),
        (Method::ProbeRs, _) => Err(unknown(board, "the chip's name in probe-rs").into()),
    }
}

/// Where the board is after it restarted: to be asked just before.
fn location(arguments: &FlashArguments, usual: DeviceUrl, keeps_port: bool) -> BoardLocation {
    match arguments.device {
        Some(_) => BoardLocation::Url(usual),
        None => BoardLocation::before_restart(usual, keeps_port),
    }
}

fn unknown(board: &Board, what: &'static str) -> WayError {
    WayError::Unknown { board: board.description.name.clone(), what }
}

fn through_volume(
    arguments: &FlashArguments,
    board: &Board,
    usual: DeviceUrl,
    board_id: &str,
    family: u32,
    enter: &str,
) -> Outcome {
    let name = &board.description.name;
    let given = arguments.volume.as_deref();
    if arguments.dry_run {
        let place = volume::find(given, board_id, enter)
            .map_or_else(|error| format!("a volume (now: {error})"), |path| path.display().to_string());
        return print_line(&format!(
            "These steps would be done, and nothing is changed now:\n\
             1. read {}, which has to be whole and for chips of family {family:#010x}\n\
             2. copy it to {place}\n\
             3. wait for the boot loader to restart the board, or read the file back\n\
             4. wait for the board to answer and show its self-test",
            describe_firmware(arguments, board)
        ));
    }
    let path = firmware(arguments, board)?.image;
    let bytes = read(&path)?;
    // A program as cargo leaves it is brought into the form that the boot loader takes.
    let bytes =
        if bytes.starts_with(b"\x7fELF") { uf2::from_elf(&bytes, &board.description.target, family)? } else { bytes };
    let blocks = uf2_file::check(&path, &bytes, name, family)?;
    let volume = volume::find(given, board_id, enter)?;
    let location = location(arguments, usual, false);
    show_progress(&format!("Copying {blocks} blocks to {}", volume.display()));
    show_progress(match volume::write(&volume, &bytes)? {
        volume::Taken::Restarted => "The boot loader took all of them and restarted the board",
        volume::Taken::ReadBack => {
            "Read back: the same bytes. The volume is still there; restart the board if it does not by itself"
        }
    });
    confirm_answer(arguments, board, location, HINT)
}

fn through_probe(arguments: &FlashArguments, board: &Board, usual: DeviceUrl, chip: &str) -> Outcome {
    let commands = |program: &std::path::Path| probe::commands(chip, arguments.probe.as_deref(), program);
    if arguments.dry_run {
        let program = describe_firmware(arguments, board);
        let commands = commands(program.as_ref()).into_iter().map(|words| format!("probe-rs {}", words.join(" ")));
        let steps = commands.chain(["wait for the board to answer and show its self-test".into()]);
        print_line("These steps would be done, and nothing is changed now:")?;
        return steps.enumerate().try_for_each(|(number, step)| print_line(&format!("{}. {step}", number + 1)));
    }
    let program = firmware(arguments, board)?.program;
    read(&program)?;
    let way_out = matches!(board.description.flash, Flash::Uf2Volume { .. })
        .then_some("bring the board into boot mode and flash with --method uf2");
    probe::find(arguments.probe.as_deref(), way_out)?;
    let location = location(arguments, usual, true);
    for words in commands(&program) {
        show_progress(&format!("probe-rs {}", words.join(" ")));
        probe::run(&words, way_out)?;
    }
    confirm_answer(arguments, board, location, HINT)
}

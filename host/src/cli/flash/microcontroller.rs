//! Flashing a microcontroller: through its boot loader's volume, or a debug probe.

use super::{FlashArguments, Method, Outcome, WayError, firmware, firmware_in_words, meet, read, say, tell};
use crate::{
    board::{Board, Flash, uf2},
    flash::{Whereabouts, probe, uf2_file, volume},
};

pub(super) fn run(arguments: &FlashArguments, board: &Board) -> Outcome {
    let usual = match (&arguments.device, board.description.links.first()) {
        (Some(device), _) => Whereabouts::Url(device.clone()),
        (None, Some(link)) => Whereabouts::before_flashing(link.parse()?),
        (None, None) => return Err(unknown(board, "a link").into()),
    };
    match (arguments.method, &board.description.flash) {
        (None | Some(Method::Uf2), Flash::Uf2Volume { volume, family, enter }) => {
            through_volume(arguments, board, volume, *family, enter)?;
        }
        (None | Some(Method::ProbeRs), Flash::ProbeRs { chip }) => through_probe(arguments, board, chip)?,
        (Some(Method::Uf2), _) => return Err(unknown(board, "its boot loader's volume").into()),
        (_, _) => return Err(unknown(board, "the chip's name in probe-rs").into()),
    }
    if arguments.dry_run {
        return Ok(());
    }
    meet(arguments, &usual, "its lights, another cable, and `kurtoscope devices`")
}

fn unknown(board: &Board, what: &'static str) -> WayError {
    WayError::Unknown { board: board.description.name.clone(), what }
}

fn through_volume(arguments: &FlashArguments, board: &Board, board_id: &str, family: u32, enter: &str) -> Outcome {
    let name = &board.description.name;
    let given = arguments.volume.as_deref();
    if arguments.dry_run {
        let place = volume::find(given, board_id, enter)
            .map_or_else(|error| format!("a volume (now: {error})"), |path| path.display().to_string());
        return say(&format!(
            "These steps would be done, and nothing is changed now:\n\
             1. check {}: a whole UF2 file for chips of family {family:#010x}\n\
             2. copy it to {place}\n\
             3. wait for the boot loader to restart the board, or read the file back\n\
             4. greet the board and show its self-test",
            firmware_in_words(arguments, board)
        ));
    }
    let path = firmware(arguments, board)?.image;
    let bytes = read(&path)?;
    // A program as cargo leaves it is brought into the form that the boot loader takes.
    let bytes = if bytes.starts_with(b"\x7fELF") { uf2::from_elf(&bytes, family)? } else { bytes };
    let blocks = uf2_file::check(&path, &bytes, name, family)?;
    let volume = volume::find(given, board_id, enter)?;
    tell(&format!("Copying {blocks} blocks to {}", volume.display()));
    tell(match volume::write(&volume, &bytes)? {
        volume::Taken::Restarted => "The boot loader took all of them and restarted the board",
        volume::Taken::ReadBack => {
            "Read back: the same bytes. The volume is still there; restart the board if it does not by itself"
        }
    });
    Ok(())
}

fn through_probe(arguments: &FlashArguments, board: &Board, chip: &str) -> Outcome {
    let commands = |program: &std::path::Path| probe::commands(chip, arguments.probe.as_deref(), program);
    if arguments.dry_run {
        say("These steps would be done, and nothing is changed now:")?;
        let program = firmware_in_words(arguments, board);
        return commands(program.as_ref())
            .iter()
            .enumerate()
            .try_for_each(|(number, words)| say(&format!("{}. probe-rs {}", number + 1, words.join(" "))));
    }
    let program = firmware(arguments, board)?.program;
    read(&program)?;
    probe::find(arguments.probe.as_deref())?;
    for words in commands(&program) {
        tell(&format!("probe-rs {}", words.join(" ")));
        probe::run(&words)?;
    }
    Ok(())
}

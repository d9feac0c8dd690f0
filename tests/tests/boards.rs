//! Boards as data: those of the checkout are valid, a new folder is a new board, and mistakes are named with file and
//! line. Nothing here compiles for another processor.

use std::{
    fs,
    path::{Path, PathBuf},
};

use kurtoscope::board::{Board, BoardError, Catalogue, Description, Flash, Kind, Origin};
use kurtoscope_host::link::DeviceUrl;
use kurtoscope_tests::{command::Tested, tested};
use tempfile::TempDir;

/// A board that is there for this test alone: this machine, as if something could be flashed on it.
const VALID: &str = r#"name = "probe"
title = "A board for a test"
chip = "This machine"
kind = "microcontroller"
target = "TARGET"
links = ["serial:/dev/ttyACM0"]
wiring = "A red wire."

[firmware]
manifest = "Cargo.toml"
binary = "probe"

[flash]
method = "probe-rs"
chip = "none"

[expect]
max_payload = 16384
"#;

/// A folder of boards with one board in it.
fn folder(description: &str) -> (TempDir, PathBuf) {
    let boards = tempfile::tempdir().expect("a folder");
    let board = boards.path().join("probe");
    fs::create_dir(&board).expect("a folder");
    fs::write(board.join("board.toml"), description).expect("written");
    (boards, board)
}

fn boards(folder: &Path, arguments: &[&str]) -> Tested {
    tested!().args(["boards".as_ref(), "--boards".as_ref(), folder.as_os_str()]).args(arguments)
}

#[test]
fn every_board_of_the_checkout_is_described() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("../boards");
    let catalogue = Catalogue::load(Some(&here)).expect("boards");
    let folders = fs::read_dir(&here).expect("boards").flatten();
    let described = folders.filter(|entry| entry.path().join("board.toml").is_file()).count();
    assert_eq!(catalogue.names().count(), described, "the program was built with the same boards");
    assert!(described > 0);
    for board in catalogue.boards() {
        let Board { description, origin } = board.unwrap_or_else(|error| panic!("{error}"));
        let Origin::Folder(folder) = origin else { panic!("{}: found in the program", description.name) };
        assert!(folder.join(&description.firmware.manifest).is_file(), "{}: no manifest", description.name);
        for link in &description.links {
            link.parse::<DeviceUrl>().unwrap_or_else(|error| panic!("{}: {error}", description.name));
        }
        match (description.kind, &description.flash) {
            (Kind::LinuxGpu, flash) => assert!(matches!(flash, Flash::Ssh { .. }), "{}", description.name),
            (Kind::Microcontroller, flash) => assert!(!matches!(flash, Flash::Ssh { .. }), "{}", description.name),
        }
    }
    let listed = tested!().args(["boards"]).run();
    assert_eq!(listed.code, Some(0), "{}", listed.stderr);
    for name in catalogue.names() {
        assert!(listed.stdout.contains(name), "{name} is not in: {}", listed.stdout);
    }
}

#[test]
fn a_new_board_is_a_new_folder() {
    let (boards_folder, _board) = folder(VALID);
    let listed = boards(boards_folder.path(), &[]).run();
    assert!(listed.stdout.lines().any(|line| line.starts_with("probe ") && line.contains("A board for a test")));
    let shown = boards(boards_folder.path(), &["show", "probe"]).run();
    for words in ["A board for a test", "This machine", "A red wire.", "up to 16 KiB", "a debug probe, chip none"] {
        assert!(shown.stdout.contains(words), "{words:?} is not in: {}", shown.stdout);
    }
    let through_variable = tested!()
        .with(|command| {
            command.env("KURTOSCOPE_BOARDS", boards_folder.path());
        })
        .args(["boards", "show", "probe"])
        .run();
    assert_eq!(through_variable.stdout, shown.stdout);
}

#[test]
fn mistakes_are_named_with_file_and_line() {
    let cases: [(&str, &str, usize, &str); 8] = [
        ("chip = \"This machine\"", "chop = \"This machine\"", 3, "unknown field `chop`"),
        ("chip = \"none\"", "chop = \"none\"", 0, "unknown field `chop`"),
        ("kind = \"microcontroller\"", "kind = \"toaster\"", 4, "unknown variant `toaster`"),
        ("kind = \"microcontroller\"", "kind = \"linux-gpu\"", 4, "needs a table [linux]"),
        ("name = \"probe\"", "name = \"prob\"", 1, "not that of the folder, \"probe\""),
        ("max_payload = 16384", "max_payload = 4", 17, "holds no element of 8 bytes"),
        ("links = [\"serial:/dev/ttyACM0\"]", "links = []", 6, "at least one device URL"),
        ("title = ", "title = = ", 2, ""),
    ];
    for (right, wrong, line, words) in cases {
        let (boards_folder, board) = folder(&VALID.replacen(right, wrong, 1));
        let file = board.join("board.toml").display().to_string();
        let place = if line == 0 { format!("{file}:") } else { format!("{file}:{line}: ") };
        boards(boards_folder.path(), &["show", "probe"]).run().assert_failed(&[&place, words]);
        let listed = boards(boards_folder.path(), &[]).run();
        assert_eq!(listed.code, Some(1), "a list with a board that is wrong: {}", listed.stdout);
        assert!(listed.stdout.contains("qemu-mps2-an386"), "the others are listed all the same");
        listed.assert_said(&[&place, words]);
        let unread = boards(boards_folder.path(), &[]).run_unread();
        assert_eq!(unread.code, Some(1), "the same when nobody reads the list: {}", unread.stderr);
    }
}

#[test]
fn boards_that_are_not_there() {
    tested!().args(["boards", "show", "toaster"]).run().assert_failed(&["no board \"toaster\"", "qemu-mps2-an386"]);
    let empty = tempfile::tempdir().expect("a folder");
    boards(empty.path(), &[]).run().assert_failed(&["holds a board.toml"]);
    boards(&empty.path().join("nowhere"), &[]).run().assert_failed(&["nowhere: cannot be read"]);
    let known_by_name = Board {
        description: Description::parse(Path::new("boards/probe/board.toml"), VALID).expect("valid"),
        origin: Origin::BuiltIn,
    };
    let error = known_by_name.folder().expect_err("no sources");
    assert!(matches!(error, BoardError::NoSources { .. }) && error.to_string().contains("--boards DIR"), "{error}");
}

#[test]
fn what_to_install_is_said_where_nothing_compiles_for_a_board() {
    let (boards_folder, _board) = folder(&VALID.replace("TARGET", "thumbv9-imaginary-linux"));
    boards(boards_folder.path(), &["build", "probe"])
        .run()
        .assert_failed(&["compiles for thumbv9-imaginary-linux", "rustup target add thumbv9-imaginary-linux"]);
}

#[test]
fn firmware_is_built_and_failures_are_cargos() {
    let Some(target) = host_target() else {
        println!("SKIPPED: no rustc on the path");
        return;
    };
    let (boards_folder, board) = folder(&VALID.replace("TARGET", &target));
    fs::create_dir(board.join("src")).expect("a folder");
    let manifest = "[package]\nname = \"probe\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n";
    fs::write(board.join("Cargo.toml"), manifest).expect("written");
    fs::write(board.join("Cargo.lock"), "version = 4\n\n[[package]]\nname = \"probe\"\nversion = \"0.0.0\"\n")
        .expect("written");
    let build = |source: &str| {
        fs::write(board.join("src/main.rs"), source).expect("written");
        let target = boards_folder.path().join("target");
        boards(boards_folder.path(), &["build", "probe"])
            .with(|command| {
                command.env("CARGO_TARGET_DIR", target);
            })
            .run()
    };
    let built = build("fn main() { println!(\"I am the firmware\"); }");
    assert_eq!(built.code, Some(0), "{}", built.stderr);
    let program = built.stdout.lines().next().expect("a path");
    let said = std::process::Command::new(program).output().expect("it runs");
    assert_eq!(said.stdout, b"I am the firmware\n");
    build("compile_error!(\"a mistake\");").assert_failed(&["a mistake", "probe: building its firmware failed"]);
}

/// What this machine's compiler compiles for by itself.
fn host_target() -> Option<String> {
    let output = std::process::Command::new("rustc").arg("-vV").output().ok()?;
    let about = String::from_utf8(output.stdout).ok()?;
    about.lines().find_map(|line| line.strip_prefix("host: ")).map(str::to_owned)
}

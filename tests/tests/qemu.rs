//! Microcontrollers, run for real in QEMU: the same moments as the references, within 32 KiB of memory, at a price that is
//! measured. Building firmware takes minutes, so all of this is skipped, and says so, unless `KURTOSCOPE_QEMU=1` is set;
//! likewise where QEMU or a toolchain is missing.

use std::{
    env, fs,
    path::{Path, PathBuf},
    time::Duration,
};

use kurtoscope::board::{self, Board, BuildRequest, Catalogue};
use kurtoscope_tests::{checkpoints::Safetensors, command::fixtures, reference::Reference, tested};

/// Set where firmware is to be built and run.
const REQUESTED: &str = "KURTOSCOPE_QEMU";
/// What the firmware states as its accuracy.
const TOLERANCE: f64 = 1e-6;
/// Longer than a first build of the firmware takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(1800);
/// What the firmware may take.
const MOST_RAM: u64 = 32 << 10;
const MOST_PROGRAM: u64 = 200_000;
const MOST_INSTRUCTIONS: f64 = 65.0;

/// The machines, and what one instruction is in them: with `-icount shift=0` an instruction takes a nanosecond, and the
/// processor's clock ticks as often as this in a second.
const MACHINES: [(&str, f64); 2] = [("mps2-an386", 25e6), ("mps2-an505", 20e6)];

/// The board behind a machine, or why it cannot be run here.
fn board_or_reason(machine: &str) -> Result<Board, String> {
    if env::var_os(REQUESTED).is_none_or(|value| value.is_empty()) {
        return Err(format!("set {REQUESTED}=1 to build firmware and run it"));
    }
    let catalogue = Catalogue::load(None).map_err(|error| error.to_string())?;
    let board = catalogue.find_in_qemu(machine).map_err(|error| error.to_string())?;
    let qemu = board.description.qemu.as_ref().ok_or("no table [qemu]")?;
    let path = env::var_os("PATH").unwrap_or_default();
    if !env::split_paths(&path).any(|folder| folder.join(&qemu.program).is_file()) {
        return Err(format!("{} is not on the path", qemu.program));
    }
    let folder = board.folder().map_err(|error| error.to_string())?;
    match board::find_toolchain(&board.description.target, folder) {
        Ok(_) => Ok(board),
        Err(missing) => Err(format!("no toolchain for {}: {missing:?}", board.description.target)),
    }
}

macro_rules! board_or_skip {
    ($machine:expr) => {
        match board_or_reason($machine) {
            Ok(board) => board,
            Err(reason) => {
                println!("SKIPPED: qemu:{}: {reason}", $machine);
                continue;
            }
        }
    };
}

#[test]
fn the_same_moments_as_the_references() {
    for (machine, _) in MACHINES {
        let _board = board_or_skip!(machine);
        for model in ["zoo", "opt_f16", "opt_bf16", "gpt2"] {
            let (run, _) =
                tested!().analyze(&fixtures().join(model), &[&format!("qemu:{machine}")]).within(PATIENCE).measured();
            let errors = Reference::read(&fixtures().join(format!("{model}.csv"))).compare(&run);
            println!("qemu:{machine} {model}: {errors}; {:.1} kB/s", run.bytes as f64 / run.seconds / 1e3);
            assert!(errors.max() <= TOLERANCE, "{machine} {model}: {errors}");
            assert_eq!(run.device.self_test.tolerance, Some(TOLERANCE));
            assert!(run.device.self_test.passed);
        }
    }
}

/// A line of the console: `4096 f32 top 16 ticks 5000 heap 1 of 2 stack 3 of 4`.
#[derive(Debug, Clone, Copy)]
struct Cost {
    elements: u64,
    is_f32: bool,
    ticks: u64,
    heap: [u64; 2],
    stack: [u64; 2],
}

impl Cost {
    fn read(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [elements, element, "top", _, "ticks", ticks, "heap", heap, "of", heap_size, "stack", stack, "of", size] =
            words[..]
        else {
            return None;
        };
        let number = |word: &str| word.parse().ok();
        Some(Self {
            elements: number(elements)?,
            is_f32: element == "f32",
            ticks: number(ticks)?,
            heap: [number(heap)?, number(heap_size)?],
            stack: [number(stack)?, number(size)?],
        })
    }
}

/// Boards with what QEMU needs to count instructions: a folder of boards in which this machine has further arguments.
fn counting(board: &Board, folder: &Path) -> PathBuf {
    let sources = board.folder().expect("in the checkout");
    let copy = folder.join(&board.description.name);
    fs::create_dir(&copy).expect("a folder");
    let text = fs::read_to_string(sources.join("board.toml")).expect("readable");
    let manifest = fs::canonicalize(sources.join(&board.description.firmware.manifest)).expect("it is there");
    let text = text
        .replace("manifest = \"Cargo.toml\"", &format!("manifest = {manifest:?}"))
        .replace("[qemu]\n", "[qemu]\narguments = [\"-icount\", \"shift=0\"]\n");
    fs::write(copy.join("board.toml"), text).expect("written");
    folder.to_owned()
}

#[test]
fn memory_and_instructions_are_as_promised() {
    for (machine, clock) in MACHINES {
        let board = board_or_skip!(machine);
        let folder = tempfile::tempdir().expect("a folder");
        let (model, console) = (folder.path().join("model.safetensors"), folder.path().join("console"));
        kurtoscope_tests::checkpoints::write_noise(&model, 2, 40_960).expect("written");
        let boards = folder.path().join("boards");
        fs::create_dir(&boards).expect("a folder");
        let boards = counting(&board, &boards);
        let target = env::var_os("CARGO_TARGET_DIR")
            .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target").into());
        let (run, _) = tested!()
            .analyze(&model, &[&format!("qemu:{machine}?console={}", console.display())])
            .args(["--chunk-bytes", "16384", "--packing", "never"])
            .with(|command| {
                command.env("KURTOSCOPE_BOARDS", boards).env("CARGO_TARGET_DIR", target);
            })
            .within(PATIENCE)
            .measured();
        let costs: Vec<Cost> =
            fs::read_to_string(&console).expect("a console").lines().filter_map(Cost::read).collect();
        let chunks: Vec<Cost> = costs.iter().copied().filter(|cost| cost.is_f32 && cost.elements == 4096).collect();
        assert!(chunks.len() >= 20, "{machine}: the self-test and 20 chunks: {costs:?}");
        let instructions = |cost: &Cost| cost.ticks as f64 * (1e9 / clock) / cost.elements as f64;
        // The tensors', after the self-test's.
        let each = chunks[chunks.len() - 20..].iter().map(instructions).sum::<f64>() / 20.0;
        let last = costs.last().expect("there are some");

        let built = board::build(BuildRequest { board: &board, show: false }).expect("built before");
        let size = board::size(&built.program).expect("a program");
        let used = size.variables - last.heap[1] + last.heap[0] + last.stack[0];
        println!(
            "qemu:{machine}: program {} bytes of {MOST_PROGRAM}; memory {used} bytes used of {MOST_RAM}: heap {} of {} \
             (a chunk's 16384 in it), stack {} of {}, other variables {}; {each:.1} instructions an f32 element with the top 16; \
             {:.1} kB/s at one instruction a nanosecond",
            size.program,
            last.heap[0],
            last.heap[1],
            last.stack[0],
            last.stack[1],
            size.variables - last.heap[1],
            run.bytes as f64 / run.seconds / 1e3,
        );
        assert!(size.program < MOST_PROGRAM, "{machine}: {size:?}");
        assert!(size.variables + last.stack[1] <= MOST_RAM, "{machine}: {size:?} and a stack of {}", last.stack[1]);
        assert!(last.stack[0] + 512 <= last.stack[1], "{machine}: the stack is nearly full: {last:?}");
        assert!(each <= MOST_INSTRUCTIONS, "{machine}: {each} instructions an element");
    }
}

/// What f32 cannot hold is measured in f64: right, and slower.
#[test]
fn values_that_are_hard_in_32_bits() {
    for (machine, _) in MACHINES {
        let _board = board_or_skip!(machine);
        let folder = tempfile::tempdir().expect("a folder");
        let model = folder.path().join("model.safetensors");
        let noise = kurtoscope_tests::checkpoints::noise(6000, 5);
        let changed = |change: fn(f32) -> f32| noise.iter().map(|value| change(*value)).collect::<Vec<f32>>();
        let mut special = noise.clone();
        (special[17], special[4000], special[5999]) = (f32::NAN, f32::INFINITY, 1e30);
        Safetensors::new()
            .f32("tiny", &[6000], &changed(|value| value * 1e-30))
            .f32("huge", &[6000], &changed(|value| value * 1e30))
            .f32("far", &[6000], &changed(|value| value + 1000.0))
            .f32("two values", &[6000], &changed(|value| if value > 0.01 { 0.1 } else { -0.3 }))
            .f32("constant", &[6000], &changed(|_| 0.1))
            .f32("special", &[6000], &special)
            .write(&model)
            .expect("written");
        let (on_board, _) = tested!().analyze(&model, &[&format!("qemu:{machine}")]).within(PATIENCE).measured();
        let (here, _) = tested!().analyze(&model, &["local"]).measured();
        for (found, expected) in on_board.tensors.iter().zip(&here.tensors) {
            let exact = |tensor: &kurtoscope_host::record::Tensor| {
                (tensor.name.clone(), tensor.count, tensor.non_finite, tensor.zeros, tensor.min, tensor.max)
            };
            assert_eq!(exact(found), exact(expected));
            assert_eq!(found.kurtosis.is_some(), expected.kurtosis.is_some(), "{}", found.name);
            if let (Some(a), Some(b)) = (found.kurtosis, expected.kurtosis) {
                assert!((a / b - 1.0).abs() <= TOLERANCE, "{}: {a} against {b}", found.name);
            }
            let top = |tensor: &kurtoscope_host::record::Tensor| {
                tensor.top.iter().map(|outlier| (outlier.index.clone(), outlier.value)).collect::<Vec<_>>()
            };
            assert_eq!(top(found), top(expected), "{}", found.name);
            assert!(found.quantiles.is_empty(), "the histogram is left out");
        }
    }
}

#[test]
fn what_cannot_be_started_is_reported() {
    tested!().analyze(&fixtures().join("zoo"), &["qemu:toaster"]).run().assert_failed(&[
        "qemu:toaster",
        "there are",
        "qemu:mps2-an386",
    ]);
    if let Err(reason) = board_or_reason("mps2-an386") {
        println!("SKIPPED: a machine that QEMU does not know: {reason}");
        return;
    }
    let nowhere = tempfile::tempdir().expect("a folder");
    tested!()
        .analyze(&fixtures().join("zoo"), &["qemu:mps2-an386"])
        .with(|command| {
            command.env("PATH", nowhere.path());
        })
        .run()
        .assert_failed(&["qemu-system-arm is not on the path", "apt-get install qemu-system-arm"]);
}

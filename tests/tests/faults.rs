//! Transfers over faulty links end in the same bits as undisturbed ones, a thousand times over.
//!
//! `cargo test --release --test faults -- --nocapture` prints what was injected. `KURTOSCOPE_SCENARIOS` sets how many
//! scenarios there are, `KURTOSCOPE_SEED` repeats a single one.

use std::{
    array::from_fn,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use kurtoscope::causes::with_causes;
use kurtoscope_checkpoint::Checkpoint;
use kurtoscope_firmware::Framing;
use kurtoscope_host::{
    analysis::{
        AnalysisError, CompressionMode, Device, DeviceFailure, DeviceOptions, Quiet, RunOptions, Timeouts, analyze_with,
    },
    link::{DeviceUrl, ExecAddress, SerialAddress},
    record::Run,
};
use kurtoscope_shared::Random;
use kurtoscope_tests::{
    checkpoints::{Safetensors, noise},
    faults::{Board, Fault, Faults, Life, Rates},
};
use serde_json::json;

const SCENARIOS: u64 = 1000;
/// Most of a scenario is waiting, so many run at once.
const WORKERS: usize = 16;
/// What the boards take: small, so that a small model has many chunks.
const MAX_PAYLOAD: u32 = 1024;
/// Short enough to be quick, long enough for a busy machine.
const RESEND: Duration = Duration::from_millis(150);
/// Far more than any scenario needs: who is given up has met a defect.
const GIVE_UP: Duration = Duration::from_secs(60);
const TIMEOUTS: Timeouts = Timeouts { resend: RESEND, give_up: GIVE_UP };

type Counts = Arc<[AtomicU64; Fault::ALL.len()]>;

/// What happens in one run, all of it from one seed.
struct Scenario {
    seed: u64,
    framing: Framing,
    compression: CompressionMode,
    boards: Vec<(Rates, Rates, Life)>,
}

impl Scenario {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let compression = if random.below(2) == 0 { CompressionMode::Always } else { CompressionMode::Never };
        let boards = 1 + random.below(3);
        let boards = (0..boards)
            .map(|number| {
                let (to_device, to_host) = (rates(&mut random), rates(&mut random));
                let back = Life::Back { after: random.below(3) as u32 };
                // The first of several may die for good; the last one has to live.
                let dies = number + 1 < boards && random.below(3) == 0;
                (to_device, to_host, if dies { Life::Dead } else { back })
            })
            .collect();
        let framing = Framing::ALL[(seed % 2) as usize];
        Self { seed, framing, compression, boards }
    }

    /// Measures `model` on the scenario's boards.
    fn run(&self, model: &Checkpoint, counts: &Counts) -> Result<Run, String> {
        let options = DeviceOptions { timeouts: TIMEOUTS, compression: self.compression, ..DeviceOptions::default() };
        let mut devices = Vec::new();
        for (number, (to_device, to_host, life)) in self.boards.iter().enumerate() {
            let seed = self.seed.wrapping_mul(64).wrapping_add(2 * number as u64);
            let to_device = Arc::new(Mutex::new(Faults::new(seed, *to_device, counts.clone())));
            let to_host = Arc::new(Mutex::new(Faults::new(seed + 1, *to_host, counts.clone())));
            let url = DeviceUrl::Exec(ExecAddress { command: format!("board {number}") });
            // A command whose handshake fails ends at once, and its user tries again.
            let device = (0..100).find_map(|_| {
                let board = Board {
                    identity: format!("board {number}"),
                    framing: self.framing,
                    max_payload: MAX_PAYLOAD,
                    life: *life,
                    to_device: to_device.clone(),
                    to_host: to_host.clone(),
                    plugged: false,
                };
                Device::connect(&url, Box::new(board), options.clone()).ok()
            });
            devices.push(device.ok_or_else(|| format!("board {number} was never opened"))?);
        }
        measure(model, &mut devices).map_err(|error| with_causes(&error))
    }
}

/// Measures in chunks of one size, whatever rates are measured on these links.
fn measure(model: &Checkpoint, devices: &mut [Device]) -> Result<Run, AnalysisError> {
    let mut options = RunOptions { chunk_bytes: Some(MAX_PAYLOAD as usize), ..RunOptions::default() };
    analyze_with(model, devices, &mut options, &mut Quiet)
}

/// Rates of up to one fault in about two frames; a third of the kinds of fault is left out.
fn rates(random: &mut Random) -> Rates {
    let scale = 10f64.powf(-5.0 + 1.9 * random.unit());
    Fault::ALL.map(|fault| {
        let share = if random.below(3) == 0 { 0.0 } else { random.unit() };
        match fault {
            // These cost whole windows, and time.
            Fault::Restart | Fault::Close | Fault::Stall => share * scale.min(4e-5),
            _ => share * scale / 3.0,
        }
    })
}

/// Tensors of three types, in about 60 chunks, with a last chunk that is not full.
fn write_model(path: &Path) {
    let (wide, narrow) = (noise(5_000, 3), noise(9_001, 4));
    let halves = |values: &[f32], narrow: fn(f32) -> u16| -> Vec<u8> {
        values.iter().flat_map(|value| narrow(*value).to_le_bytes()).collect()
    };
    let bf16 = halves(&narrow, |value| (value.to_bits() >> 16) as u16);
    let start = 4 * (wide.len() + 64);
    Safetensors::new()
        .f32("layers.0.weight", &[50, 100], &wide)
        .f32("layers.0.bias", &[64], &noise(64, 5))
        .entry("layers.1.weight", json!({ "dtype": "BF16", "shape": [9_001], "data_offsets": [start, start + bf16.len()] }))
        .data(&bf16)
        .entry(
            "layers.2.weight",
            json!({ "dtype": "F16", "shape": [4_096], "data_offsets": [start + bf16.len(), start + bf16.len() + 8_192] }),
        )
        .data(&halves(&noise(4_096, 6), |value| 0x2c00 | (value.to_bits() >> 11 & 0x83ff) as u16))
        .write(path)
        .expect("writable");
}

/// Every statistic of every tensor, with floats as the bits that JSON holds exactly.
fn statistics(run: &Run) -> String {
    serde_json::to_string(&run.tensors).expect("numbers and strings")
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is to be a number: {text}")))
}

#[test]
fn disturbed_transfers_end_in_the_same_bits() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("model.safetensors");
    write_model(&path);
    let model = Checkpoint::open(&path).expect("a model");
    let counts: Counts = Arc::new(from_fn(|_| AtomicU64::new(0)));
    let compression = CompressionMode::Never;
    let [undisturbed, other] = Framing::ALL.map(|framing| {
        let boards = vec![([0.0; 8], [0.0; 8], Life::Back { after: 0 })];
        let calm = Scenario { seed: 0, framing, compression, boards };
        statistics(&calm.run(&model, &counts).expect("nothing disturbs it"))
    });
    assert_eq!(undisturbed, other);
    assert!(counts.iter().all(|count| count.load(Ordering::Relaxed) == 0));

    let single = number("KURTOSCOPE_SEED");
    let seeds = single.map_or(1..1 + number("KURTOSCOPE_SCENARIOS").unwrap_or(SCENARIOS), |seed| seed..seed + 1);
    let next = AtomicU64::new(seeds.start);
    let totals = [(); 4].map(|()| AtomicUsize::new(0));
    let start = Instant::now();
    let failures = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    let failure = match Scenario::new(seed).run(&model, &counts) {
                        Ok(run) => {
                            for share in &run.devices {
                                let found = [share.resent, share.damaged, share.dropped, share.reconnects];
                                for (total, found) in totals.iter().zip(found) {
                                    total.fetch_add(found as usize, Ordering::Relaxed);
                                }
                            }
                            (statistics(&run) != undisturbed).then(|| "other statistics".to_owned())
                        }
                        Err(error) => Some(error),
                    };
                    if let Some(failure) = failure {
                        let mut failures = failures.lock().expect("no panic");
                        failures.push(format!("KURTOSCOPE_SEED={seed}: {failure}"));
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().expect("no panic");
    let scenarios = seeds.end - seeds.start;
    let struck: Vec<u64> = counts.iter().map(|count| count.load(Ordering::Relaxed)).collect();
    let listed: Vec<String> =
        Fault::ALL.iter().zip(&struck).map(|(fault, count)| format!("{fault:?} {count}")).collect();
    let [resent, damaged, dropped, reconnects] = totals.each_ref().map(|total| total.load(Ordering::Relaxed));
    println!(
        "{scenarios} scenarios in {:.0} s, {} faults injected ({}): {} ended in other bits or not at all; {resent} chunks \
         sent again, {damaged} damaged and {dropped} dropped frames, {reconnects} links found again",
        start.elapsed().as_secs_f64(),
        struck.iter().sum::<u64>(),
        listed.join(", "),
        failures.len(),
    );
    assert!(failures.is_empty(), "{} of {scenarios} scenarios failed:\n{}", failures.len(), failures.join("\n"));
    // Every kind of fault struck, or the scenarios show less than they claim.
    assert!(single.is_some() || scenarios < 20 || struck.iter().all(|count| *count > 0), "{listed:?}");
}

fn calm_board(identity: &str, life: Life) -> Board {
    let calm = || Arc::new(Mutex::new(Faults::new(1, [0.0; 8], Arc::new(from_fn(|_| AtomicU64::new(0))))));
    Board {
        identity: identity.into(),
        framing: Framing::Cobs,
        max_payload: MAX_PAYLOAD,
        life,
        to_device: calm(),
        to_host: calm(),
        plugged: false,
    }
}

/// The same faults around a board that is a process of its own, behind real pseudo-terminals; a cable that is pulled comes
/// back under another path.
#[cfg(unix)]
#[test]
fn disturbed_terminals_end_in_the_same_bits() {
    use kurtoscope_tests::faults::PtyBoard;

    const SCENARIOS: u64 = 24;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("model.safetensors");
    write_model(&path);
    let model = Checkpoint::open(&path).expect("a model");
    let counts: Counts = Arc::new(from_fn(|_| AtomicU64::new(0)));
    let measure_behind_terminals = |seed: u64, rates: [Rates; 2]| {
        let faults = |number: u64, rates| Arc::new(Mutex::new(Faults::new(2 * seed + number, rates, counts.clone())));
        let (to_device, to_host) = (faults(0, rates[0]), faults(1, rates[1]));
        let options = DeviceOptions { timeouts: TIMEOUTS, ..DeviceOptions::default() };
        let url = DeviceUrl::Serial(SerialAddress { path: format!("terminal {seed}"), baud: 115_200 });
        let device = (0..100).find_map(|_| {
            let (to_device, to_host) = (to_device.clone(), to_host.clone());
            let program = env!("CARGO_BIN_EXE_kurtoscope-under-test").into();
            let framing = Framing::ALL[(seed % 2) as usize];
            let board = PtyBoard { program, framing, to_device, to_host, plugged: None };
            Device::connect(&url, Box::new(board), options.clone()).ok()
        });
        measure(&model, &mut [device.unwrap_or_else(|| panic!("seed {seed}: never opened"))])
            .unwrap_or_else(|error| panic!("seed {seed}: {error}"))
    };
    let undisturbed = statistics(&measure_behind_terminals(0, [[0.0; 8]; 2]));
    let next = AtomicU64::new(1);
    let reconnects = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed > SCENARIOS {
                        return;
                    }
                    let mut random = Random::new(seed ^ 0x7074_7900);
                    let run = measure_behind_terminals(seed, [rates(&mut random), rates(&mut random)]);
                    reconnects.fetch_add(run.devices[0].reconnects, Ordering::Relaxed);
                    assert!(statistics(&run) == undisturbed, "seed {seed} ended in other bits");
                }
            });
        }
    });
    let struck: u64 = counts.iter().map(|count| count.load(Ordering::Relaxed)).sum();
    println!(
        "{SCENARIOS} scenarios behind pseudo-terminals, {struck} faults injected, {} cables found again, all in the same bits",
        reconnects.load(Ordering::Relaxed)
    );
    assert!(struck > 0 && reconnects.load(Ordering::Relaxed) > 0);
}

/// The same faults around a board that is a process of its own, behind real sockets; one that restarts closes its connection.
#[cfg(unix)]
#[test]
fn disturbed_sockets_end_in_the_same_bits() {
    use kurtoscope_tests::faults::UnixBoard;

    const SCENARIOS: u64 = 24;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("model.safetensors");
    write_model(&path);
    let model = Checkpoint::open(&path).expect("a model");
    let counts: Counts = Arc::new(from_fn(|_| AtomicU64::new(0)));
    let measure_behind_sockets = |seed: u64, rates: [Rates; 2]| {
        let faults = |number: u64, rates| Arc::new(Mutex::new(Faults::new(2 * seed + number, rates, counts.clone())));
        let program = Path::new(env!("CARGO_BIN_EXE_kurtoscope-under-test"));
        let board = UnixBoard::start(program, faults(0, rates[0]), faults(1, rates[1])).expect("started");
        let options = DeviceOptions { timeouts: TIMEOUTS, ..DeviceOptions::default() };
        let device = (0..100).find_map(|_| Device::open(&board.url(), options.clone()).ok());
        measure(&model, &mut [device.unwrap_or_else(|| panic!("seed {seed}: never opened"))])
            .unwrap_or_else(|error| panic!("seed {seed}: {}", with_causes(&error)))
    };
    let undisturbed = statistics(&measure_behind_sockets(0, [[0.0; 8]; 2]));
    let reconnects: u64 = (1..=SCENARIOS)
        .map(|seed| {
            let mut random = Random::new(seed ^ 0x756e_6978);
            let run = measure_behind_sockets(seed, [rates(&mut random), rates(&mut random)]);
            assert!(statistics(&run) == undisturbed, "seed {seed} ended in other bits");
            run.devices[0].reconnects
        })
        .sum();
    let struck: u64 = counts.iter().map(|count| count.load(Ordering::Relaxed)).sum();
    println!(
        "{SCENARIOS} scenarios behind sockets, {struck} faults injected, {reconnects} connections found again, all in the same bits"
    );
    assert!(struck > 0 && reconnects > 0);
}

/// A board whose cable is pulled in the middle, and after which another board answers on the same port.
#[derive(Debug)]
struct Swapped {
    first: Option<Board>,
    second: Board,
}

impl kurtoscope_host::link::Connector for Swapped {
    fn open(&mut self, attempt: u32) -> Result<kurtoscope_host::link::Link, kurtoscope_host::link::LinkError> {
        match self.first.take() {
            Some(mut first) => first.open(attempt),
            None => self.second.open(attempt),
        }
    }
}

#[test]
fn another_board_on_the_same_port_is_not_taken_for_the_lost_one() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("model.safetensors");
    write_model(&path);
    let model = Checkpoint::open(&path).expect("a model");
    let first = calm_board("serial 17", Life::Dead);
    let closing = Fault::ALL.map(|fault| if fault == Fault::Close { 1e-4 } else { 0.0 });
    *first.to_device.lock().expect("no panic") = Faults::new(3, closing, Arc::new(from_fn(|_| AtomicU64::new(0))));
    let swapped = Swapped { first: Some(first), second: calm_board("serial 18", Life::Back { after: 0 }) };
    let options = DeviceOptions {
        timeouts: Timeouts { give_up: Duration::from_secs(1), ..TIMEOUTS },
        ..DeviceOptions::default()
    };
    let url = DeviceUrl::Serial(SerialAddress { path: "/dev/ttyACM0".into(), baud: 115_200 });
    let mut devices = [Device::connect(&url, Box::new(swapped), options).expect("opened")];
    let error = measure(&model, &mut devices).expect_err("the board is gone");
    let error = with_causes(&error);
    assert!(error.contains("in memory serial 18 answers where in memory serial 17 was lost"), "{error}");
    assert!(error.contains("within 1 s it did not come back") && error.contains("nothing was written"), "{error}");
}

/// A board that has moved to another port after its cable was pulled.
#[derive(Debug)]
struct Moved(Board);

impl kurtoscope_host::link::Connector for Moved {
    fn open(&mut self, attempt: u32) -> Result<kurtoscope_host::link::Link, kurtoscope_host::link::LinkError> {
        if self.0.plugged && attempt.is_multiple_of(2) {
            let source = std::io::Error::new(std::io::ErrorKind::NotFound, "the old port");
            return Err(kurtoscope_host::link::LinkError::Absent(source));
        }
        self.0.open(attempt)
    }
}

#[test]
fn a_board_is_known_under_another_path_by_its_identity_alone() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("model.safetensors");
    write_model(&path);
    let model = Checkpoint::open(&path).expect("a model");
    let options = DeviceOptions {
        timeouts: Timeouts { give_up: Duration::from_secs(2), ..TIMEOUTS },
        ..DeviceOptions::default()
    };
    let url = DeviceUrl::Serial(SerialAddress { path: "/dev/ttyACM0".into(), baud: 115_200 });
    let run = |identity: &str| {
        let board = calm_board(identity, Life::Back { after: 0 });
        let closing = Fault::ALL.map(|fault| if fault == Fault::Close { 5e-5 } else { 0.0 });
        *board.to_device.lock().expect("no panic") = Faults::new(3, closing, Arc::new(from_fn(|_| AtomicU64::new(0))));
        measure(&model, &mut [Device::connect(&url, Box::new(Moved(board)), options.clone()).expect("opened")])
    };
    let moved = run("serial 17").expect("it is found again");
    assert!(moved.devices[0].reconnects > 0);
    let error = run("").expect_err("it could be any board");
    let error = with_causes(&error);
    assert!(error.contains("the old port") && error.contains("did not come back"), "{error}");
}

#[test]
fn a_dead_board_does_not_hold_up_the_others() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("model.safetensors");
    write_model(&path);
    let model = Checkpoint::open(&path).expect("a model");
    let options = DeviceOptions { timeouts: TIMEOUTS, ..DeviceOptions::default() };
    let dying = calm_board("dying", Life::Dead);
    let closing = Fault::ALL.map(|fault| if fault == Fault::Close { 3e-4 } else { 0.0 });
    *dying.to_device.lock().expect("no panic") = Faults::new(5, closing, Arc::new(from_fn(|_| AtomicU64::new(0))));
    let open = |board: Board| -> Result<Device, DeviceFailure> {
        let url = DeviceUrl::Exec(ExecAddress { command: board.identity.clone() });
        Device::connect(&url, Box::new(board), options.clone())
    };
    let mut devices =
        [open(dying).expect("opened"), open(calm_board("healthy", Life::Back { after: 0 })).expect("opened")];
    let start = Instant::now();
    let run = measure(&model, &mut devices).expect("one board is left");
    assert!(start.elapsed() < GIVE_UP / 2, "the run waited for the dead board");
    assert_eq!(run.devices.iter().map(|share| share.bytes).sum::<u64>(), run.bytes);
    assert!(run.devices[1].chunks > run.devices[0].chunks);
    let mut alone = [open(calm_board("healthy", Life::Back { after: 0 })).expect("opened")];
    assert_eq!(statistics(&run), statistics(&measure(&model, &mut alone).expect("measured")));
}

//! The machine in which both ends of a cable meet: Debian's kernel in QEMU, with USB controllers that are joined back to
//! back (dummy_hcd). Started once for each scenario; everything that it left is kept for the tests.

use std::{
    env,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Mutex, OnceLock, PoisonError},
    thread,
    time::{Duration, Instant},
};

use kurtoscope_host::{record::Run, run_file};
use kurtoscope_tests::checkpoints::{Safetensors, noise, write_noise};
use serde_json::json;
use tempfile::TempDir;

/// Names the folder of an unpacked kernel package, as `tests/usb/fetch-kernel.sh` leaves it.
const KERNEL: &str = "KURTOSCOPE_USB_KERNEL";
/// Longer than all scenarios take on a busy machine without virtualisation.
const PATIENCE: Duration = Duration::from_secs(400);
/// Space for what the guest leaves.
const DISK_BYTES: u64 = 64 << 20;

/// What the guest left.
pub struct Guest {
    folder: TempDir,
}

/// What guests do, each in a run of its own: `tests/usb/guest/NAME.sh`.
#[derive(Debug, Clone, Copy)]
pub enum Scenario {
    /// One host and one board on every kind of link.
    Links,
    /// What goes wrong.
    Faults,
    /// How fast it is.
    Rates,
}

impl Scenario {
    /// How time passes in the guest. Figures come from a clock that counts instructions, one a nanosecond, on one processor:
    /// they are the same however busy this machine is. There the fast string instructions are switched off, which would
    /// count once for each byte and move dozens at once in hardware.
    fn clock(self) -> &'static [&'static str] {
        match self {
            Self::Links | Self::Faults => &["-accel", "tcg,thread=multi", "-smp", "2", "-cpu", "max"],
            Self::Rates => &["-accel", "tcg", "-icount", "shift=0,sleep=off", "-cpu", "max,erms=off,fsrm=off"],
        }
    }
}

/// The results of the guest's one run of this scenario; none where this machine lacks something for it, which is printed.
pub fn guest(scenario: Scenario) -> Option<&'static Guest> {
    static GUESTS: [OnceLock<Guest>; 3] = [const { OnceLock::new() }; 3];
    // One guest at a time: each needs all of the machine.
    static TURN: Mutex<()> = Mutex::new(());
    if let Some(missing) = missing() {
        println!("SKIPPED: the USB stack in a guest, {scenario:?}: {missing}");
        return None;
    }
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    Some(GUESTS[scenario as usize].get_or_init(|| Guest::run(scenario)))
}

/// What this machine lacks.
fn missing() -> Option<String> {
    if env::var_os(KERNEL).is_none_or(|folder| folder.is_empty()) {
        return Some(format!("no kernel: run tests/usb/fetch-kernel.sh FOLDER, then set {KERNEL}=FOLDER"));
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]).collect();
    ["qemu-system-x86_64", "busybox", "cpio", "modprobe", "depmod", "ldd", "tar"]
        .into_iter()
        .find(|program| !folders.iter().any(|folder| folder.join(program).is_file()))
        .map(|program| format!("no {program} (packages qemu-system-x86, busybox-static, cpio, kmod)"))
}

impl Guest {
    fn run(scenario: Scenario) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let guest = Self { folder };
        let [image, disk, inside] = ["image", "disk", "inside"].map(|name| guest.folder.path().join(name));
        fs::create_dir(&inside).expect("a folder");
        write_models(&inside);
        let kernel = PathBuf::from(env::var_os(KERNEL).expect("looked at before"));
        let path = format!("{}:/usr/sbin:/sbin", env::var("PATH").unwrap_or_default());
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("usb/image.sh");
        let packed = Command::new(script)
            .args([&kernel, &image, &inside])
            .args([env!("CARGO_BIN_EXE_kurtoscope-under-test"), env!("CARGO_BIN_EXE_usb-copy")])
            .env("PATH", path)
            .status();
        assert!(packed.is_ok_and(|status| status.success()), "the image is not packed");
        File::create(&disk).and_then(|file| file.set_len(DISK_BYTES)).expect("a disk");
        let said = boot(scenario, &kernel, &image, &disk);
        let out = guest.folder.path().join("out");
        fs::create_dir(&out).expect("a folder");
        let unpacked = Command::new("tar").arg("xmf").arg(&disk).arg("-C").arg(&out).status();
        assert!(unpacked.is_ok_and(|status| status.success()), "the guest left nothing:\n{said}");
        println!("{}", guest.text("guest.log"));
        guest
    }

    /// The file `name` among what the guest left.
    pub fn text(&self, name: &str) -> String {
        let path = self.folder.path().join("out").join(name);
        String::from_utf8_lossy(&fs::read(&path).unwrap_or_else(|error| panic!("{name}: {error}"))).into_owned()
    }

    /// The run `name`, which must have gone well.
    pub fn measured(&self, name: &str) -> Run {
        let (code, error) = (self.text(&format!("{name}.code")), self.text(&format!("{name}.err")));
        assert_eq!(code.trim(), "0", "{name}: {error}");
        run_file::read(&self.folder.path().join(format!("out/{name}.json")))
            .unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// What the run `name`, which must have failed, wrote to standard error.
    pub fn failed(&self, name: &str) -> String {
        assert_eq!(self.text(&format!("{name}.code")).trim(), "1", "{name}");
        let error = self.text(&format!("{name}.err"));
        assert!(!error.contains("panicked"), "{name}: {error}");
        error
    }

    /// The model `name` that the guest measures.
    pub fn model(&self, name: &str) -> PathBuf {
        self.folder.path().join("inside").join(name)
    }
}

/// Runs the guest to its end and gives what its console said.
fn boot(scenario: Scenario, kernel: &Path, image: &Path, disk: &Path) -> String {
    let boot = fs::read_dir(kernel.join("boot")).into_iter().flatten().flatten();
    let is_kernel = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz"));
    let kernel = boot.map(|entry| entry.path()).find(is_kernel).expect("a kernel in the package");
    let console = image.with_file_name("console");
    // Emulated, not virtualised: it has to work inside other guests, and Debian's kernel hangs in some of them under KVM.
    let mut guest = Command::new("qemu-system-x86_64")
        .args(scenario.clock())
        .args(["-M", "pc", "-m", "1024"])
        .args(["-nographic", "-no-reboot", "-net", "none", "-append"])
        .arg(format!("console=ttyS0 quiet panic=-1 no_timer_check scenario={}", format!("{scenario:?}").to_lowercase()))
        .arg("-kernel")
        .arg(kernel)
        .arg("-initrd")
        .arg(image)
        .arg("-drive")
        .arg(format!("file={},format=raw,if=virtio", disk.display()))
        .stdin(Stdio::null())
        .stdout(File::create(&console).expect("writable"))
        .spawn()
        .expect("QEMU starts");
    let until = Instant::now() + PATIENCE;
    while guest.try_wait().expect("a child").is_none() && Instant::now() < until {
        thread::sleep(Duration::from_millis(100));
    }
    let in_time = guest.try_wait().expect("a child").is_some();
    let _ = guest.kill();
    let _ = guest.wait();
    let said = String::from_utf8_lossy(&fs::read(&console).unwrap_or_default()).into_owned();
    assert!(in_time && said.contains("GUEST done"), "the guest did not come to its end:\n{said}");
    said
}

/// A model of many small tensors, whose frames are of every length around the packets of USB, and a large one.
fn write_models(folder: &Path) {
    let mut file = Safetensors::new();
    let mut start = 0;
    for length in (30..=140).chain(440..=570).chain([1024, 4096, 4097, 8192]) {
        let bytes: Vec<u8> =
            noise(length, length as u64).into_iter().map(|value| (value * 1000.0) as i8 as u8).collect();
        let entry = json!({ "dtype": "I8", "shape": [length], "data_offsets": [start, start + length] });
        file = file.entry(&format!("length.{length}.weight"), entry).data(&bytes);
        start += length;
    }
    file.write(&folder.join("model.safetensors")).expect("writable");
    write_noise(&folder.join("large.safetensors"), 2, 1 << 20).expect("writable");
}

//! Stand-ins for boards: a directory tree with the programs that the scripts call there, and an `ssh` that runs commands in
//! it and can be set to fail. What is compared is the tree.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use kurtoscope_tests::command::{Outcome, Tested};
use tempfile::TempDir;

/// `ssh [options] -- pi@board COMMAND`. Paths of the board become paths in the tree, standard input stays what it is.
/// `DIE_AT=n` ends the connection before the nth command, `DIE_AFTER=n` after it, `CUT_AT=n` in the middle of its input.
const SSH: &str = r##"#!/bin/sh
while :; do case "$1" in -o) shift 2;; --) shift; break;; *) break;; esac; done
[ "$1" = pi@board ] || { echo "ssh: Could not resolve hostname $1: Name or service not known" >&2; exit 255; }
shift
[ -z "$REFUSE" ] || { echo "$REFUSE" >&2; exit 255; }
echo x >>"$BOARD/calls"
call=$(wc -l <"$BOARD/calls")
gone() { echo "Connection to board closed by remote host." >&2; exit 255; }
[ "$call" != "${DIE_AT:-0}" ] || gone
line=$(printf '%s' "$*" | sed -e "s#/usr/local/#$BOARD/usr/local/#g" -e "s#/etc/systemd/#$BOARD/etc/systemd/#g" \
  -e "s#/run/systemd/#$BOARD/run/systemd/#g" -e "s#/boot/#$BOARD/boot/#g" -e "s#/sys/class/#$BOARD/sys/class/#g")
[ -z "$(cat "$BOARD/emulator" 2>/dev/null)" ] ||
  line=$(printf '%s' "$line" | sed -e "s#[^ (\"]*kurtoscope-device[.new]* --#$(cat "$BOARD/emulator") &#g")
PATH=$BOARD/bin:$PATH; export PATH
if [ "$call" = "${CUT_AT:-0}" ]; then head -c 100000 | sh -c "$line"; gone; fi
sh -c "$line"
code=$?
[ "$call" != "${DIE_AFTER:-0}" ] || gone
exit "$code"
"##;

/// The file `active` says whether the service runs, `fails` that it will not.
const SYSTEMCTL: &str = r#"#!/bin/sh
[ "$1" != is-active ] || exec test -e "$BOARD/active"
echo "$*" >>"$BOARD/systemctl.log"
wants=$BOARD/etc/systemd/system/multi-user.target.wants
case "$1" in
  enable) mkdir -p "$wants" && ln -sf "/etc/systemd/system/$2" "$wants/$2";;
  disable) rm -f "$wants/$3" "$BOARD/active";;
  restart)
    rm -f "$BOARD/active"
    [ ! -e "$BOARD/fails" ] || { echo "Job for $2 failed. See \"systemctl status $2\" for details." >&2; exit 1; }
    touch "$BOARD/active";;
esac
"#;

const JOURNALCTL: &str = "#!/bin/sh\necho 'kurtoscope-device: the USB device controller fe980000.usb is taken'\n";

/// The test boards: one that runs Linux on this machine's processor, one with a boot loader's volume, the same on a serial
/// port, one with a probe.
fn descriptions() -> [(&'static str, String); 4] {
    let head = |name: &str, kind: &str, target: &str| {
        format!(
            "name = \"{name}\"\ntitle = \"Test board\"\nchip = \"none\"\nkind = \"{kind}\"\ntarget = \"{target}\"\n\
             links = [\"exec:false\"]\nwiring = \"None.\"\n[firmware]\nmanifest = \"Cargo.toml\"\nbinary = \"kurtoscope-device\"\n\
             [expect]\nmax_payload = 16384\n"
        )
    };
    let here = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let linux = head("test-linux", "linux-gpu", &here)
        + "[flash]\nmethod = \"ssh\"\nuser = \"pi\"\n[linux]\nengine = \"cpu\"\n[linux.gadget]\n\
           boot = { path = \"/boot/firmware/config.txt\", line = \"dtoverlay=dwc2\" }\n";
    let pico = head("test-pico", "microcontroller", "thumbv8m.main-none-eabihf")
        + "[flash]\nmethod = \"uf2-volume\"\nboard_id = \"RP2350\"\nfamily = 0xe48bff59\nenter = \"Hold BOOTSEL.\"\n\
           chip = \"RP235x\"\n";
    let probed = head("test-probed", "microcontroller", "thumbv7em-none-eabihf")
        + "[flash]\nmethod = \"probe-rs\"\nchip = \"STM32F405RG\"\n";
    let serial = pico.replace("test-pico", "test-serial").replace("exec:false", "serial:/dev/ttyACM250");
    [("test-linux", linux), ("test-pico", pico), ("test-serial", serial), ("test-probed", probed)]
}

/// The configuration that the board came with. It ends in a section for another board.
pub const CONFIG: &str = "# made by the vendor\narm_64bit=1\n\n[cm5]\ndtoverlay=dwc2,dr_mode=host\n";

/// A tree, the `ssh` that leads to it, and the descriptions of boards.
pub struct Bench {
    folder: TempDir,
}

impl Bench {
    pub fn new() -> Self {
        let bench = Self { folder: tempfile::tempdir().expect("a temporary folder") };
        let tree = bench.tree();
        for folder in [
            "usr/local/bin",
            "usr/bin",
            "etc/systemd/system",
            "usr/lib/systemd",
            "run/systemd/system",
            "bin",
            "boot/firmware",
        ] {
            fs::create_dir_all(tree.join(folder)).expect("writable");
        }
        fs::write(tree.join("boot/firmware/config.txt"), CONFIG).expect("writable");
        fs::write(tree.join("usr/lib/systemd/systemd"), "").expect("writable");
        // A program from which the processor of a mounted file system is read.
        fs::copy(bench.program(), tree.join("usr/bin/env")).expect("writable");
        fs::create_dir_all(tree.join("sys/class/udc/fe980000.usb")).expect("writable");
        bench.board_has("systemctl", SYSTEMCTL);
        bench.board_has("journalctl", JOURNALCTL);
        bench.board_has("id", "#!/bin/sh\necho 0\n");
        bench.this_machine_has("ssh", SSH);
        for (name, text) in descriptions() {
            let folder = bench.folder.path().join("boards").join(name);
            fs::create_dir_all(&folder).expect("writable");
            fs::write(folder.join("board.toml"), text).expect("writable");
        }
        bench
    }

    /// Lets other users read what is here.
    pub fn everybody_may_look(&self) {
        fs::set_permissions(self.folder.path(), fs::Permissions::from_mode(0o755)).expect("ours");
    }

    /// The board's root.
    pub fn tree(&self) -> PathBuf {
        self.folder.path().join("tree")
    }

    /// A folder beside the tree.
    pub fn beside(&self, name: &str) -> PathBuf {
        let folder = self.folder.path().join(name);
        fs::create_dir_all(&folder).expect("writable");
        folder
    }

    /// Puts sources into a board's folder: a program that prints this for whatever it is asked.
    pub fn sources_of(&self, board: &str, prints: &str) {
        let folder = self.folder.path().join("boards").join(board);
        let head = "name = \"kurtoscope-device\"\nversion = \"0.0.0\"\n";
        let files = [
            ("Cargo.toml", format!("[package]\n{head}edition = \"2024\"\n[workspace]\n")),
            ("Cargo.lock", format!("version = 4\n\n[[package]]\n{head}")),
            ("src/main.rs", format!("fn main() {{ println!({prints:?}); }}\n")),
        ];
        fs::create_dir_all(folder.join("src")).expect("writable");
        for (name, text) in files {
            fs::write(folder.join(name), text).expect("writable");
        }
    }

    /// The firmware: the device side, for this machine.
    pub fn program(&self) -> PathBuf {
        env!("CARGO_BIN_EXE_kurtoscope-device-under-test").into()
    }

    /// Gives the board a program.
    pub fn board_has(&self, name: &str, text: &str) {
        executable(&self.tree().join("bin").join(name), text);
    }

    /// Has the board's own program run by this emulator.
    pub fn emulates(&self, program: &str) {
        fs::write(self.tree().join("emulator"), program).expect("writable");
    }

    /// Gives this machine a program.
    pub fn this_machine_has(&self, name: &str, text: &str) {
        executable(&self.beside("path").join(name), text);
    }

    /// `kurtoscope flash BOARD …`, with this bench's programs first.
    pub fn flash(&self, board: &str, arguments: &[&str]) -> Tested {
        self.command(board, &self.folder.path().join("boards"), arguments)
    }

    /// The same with the boards of this checkout.
    pub fn flash_of_this_checkout(&self, board: &str, arguments: &[&str]) -> Tested {
        self.command(board, &Path::new(env!("CARGO_MANIFEST_DIR")).join("../boards"), arguments)
    }

    fn command(&self, board: &str, boards: &Path, arguments: &[&str]) -> Tested {
        // Calls are counted anew for each command.
        let _ = fs::remove_file(self.tree().join("calls"));
        let path = std::env::var("PATH").unwrap_or_default();
        let path = format!("{}:{path}", self.beside("path").display());
        kurtoscope_tests::tested!().args(["flash", board, "--boards"]).args([boards]).args(arguments).with(|command| {
            command.env("PATH", path).env("BOARD", self.tree());
            for variable in ["REFUSE", "DIE_AT", "DIE_AFTER", "CUT_AT", "KURTOSCOPE_BOARDS"] {
                command.env_remove(variable);
            }
        })
    }

    /// Flashes the Linux board over ssh with this firmware.
    pub fn over_ssh(&self, firmware: &Path, more: &[&str]) -> Tested {
        let firmware = firmware.to_string_lossy();
        self.flash("test-linux", &[&["--to", "pi@board", "--firmware", &firmware], more].concat())
    }

    /// Flashes and succeeds.
    pub fn flashed(&self) -> Outcome {
        let outcome = self.over_ssh(&self.program(), &[]).run();
        assert_eq!(outcome.code, Some(0), "{}{}", outcome.stdout, outcome.stderr);
        outcome
    }

    /// Every file of the board that flashing could concern, with its permissions and content; links with where they lead.
    pub fn state(&self) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
        let mut files = BTreeMap::new();
        for part in ["usr/local", "etc", "boot"] {
            collect(&self.tree(), Path::new(part), &mut files);
        }
        files
    }
}

fn collect(root: &Path, at: &Path, files: &mut BTreeMap<PathBuf, (u32, Vec<u8>)>) {
    for entry in fs::read_dir(root.join(at)).expect("a folder").flatten() {
        let (path, kind) = (at.join(entry.file_name()), entry.file_type().expect("a kind"));
        if kind.is_dir() {
            collect(root, &path, files);
        } else if kind.is_symlink() {
            let target = fs::read_link(entry.path()).expect("a link");
            files.insert(path, (0, target.into_os_string().into_encoded_bytes()));
        } else {
            let mode = entry.metadata().expect("metadata").permissions().mode() & 0o777;
            files.insert(path, (mode, fs::read(entry.path()).expect("readable")));
        }
    }
}

fn executable(path: &Path, text: &str) {
    fs::write(path, text).expect("writable");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("ours");
}

/// A file system of its own in memory; unmounted when dropped.
pub struct Mounted(PathBuf);

impl Mounted {
    /// Mounts a file system of `size` over `folder`. Nothing, loudly, where that is not allowed here.
    pub fn new(folder: &Path, size: &str) -> Option<Self> {
        let done = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size},mode=755"), "tmpfs"])
            .arg(folder)
            .output()
            .is_ok_and(|output| output.status.success());
        if !done {
            println!(
                "SKIPPED: no file system can be mounted here (it takes root): full and read-only ones are not tried"
            );
        }
        done.then(|| Self(folder.into()))
    }

    /// Makes it read-only.
    pub fn lock(&self) {
        self.remount("ro");
    }

    /// Makes it writable again.
    pub fn unlock(&self) {
        self.remount("rw");
    }

    /// Gives it this size.
    pub fn resize(&self, size: &str) {
        self.remount(&format!("size={size}"));
    }

    fn remount(&self, how: &str) {
        let status = Command::new("mount").args(["-o", &format!("remount,{how}")]).arg(&self.0).status();
        assert!(status.is_ok_and(|status| status.success()), "{}: cannot be remounted {how}", self.0.display());
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

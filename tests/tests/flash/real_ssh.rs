//! The same through a real ssh client and a real server on this machine, which runs what it is asked in the board's tree.

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::board::Bench;

const SERVER: &str = "/usr/sbin/sshd";

/// A server that ends with the test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn write(path: &Path, text: &str, mode: u32) {
    fs::write(path, text).expect("writable");
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("ours");
}

/// Starts a server whose only user is this one, with a key, and whose commands are run as the bench's `ssh` does. Gives
/// an `ssh` whose configuration knows the board.
fn serve(bench: &Bench) -> Option<Server> {
    if !Path::new(SERVER).exists() {
        println!("SKIPPED: no {SERVER} here (Debian: openssh-server): flashing through a real ssh is not tried");
        return None;
    }
    let folder = bench.beside("server");
    for key in ["host_key", "key"] {
        let path = folder.join(key);
        let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&path).status();
        assert!(made.is_ok_and(|status| status.success()), "ssh-keygen makes no key");
    }
    // Started by root, the server needs this folder, which a system's start makes.
    let _ = fs::create_dir_all("/run/sshd");
    let port = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port();
    let at = folder.display();
    let stand_in = bench.beside("path").join("ssh");
    let board = folder.join("board");
    let tree = bench.tree();
    // What the client sent is run by the stand-in, in the tree.
    fs::rename(&stand_in, folder.join("stand-in")).expect("there");
    let run = format!(
        "#!/bin/sh\nBOARD='{}'; export BOARD\nexec '{at}/stand-in' -- pi@board \"$SSH_ORIGINAL_COMMAND\"\n",
        tree.display()
    );
    write(&board, &run, 0o755);
    fs::copy(folder.join("key.pub"), folder.join("authorized")).expect("there");
    write(
        &folder.join("sshd_config"),
        &format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {at}/host_key\nAuthorizedKeysFile {at}/authorized\nPidFile none\n\
             StrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin yes\nForceCommand {}\n",
            board.display()
        ),
        0o600,
    );
    let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_else(|_| "root".into());
    write(
        &folder.join("ssh_config"),
        &format!(
            "Host board\n  HostName 127.0.0.1\n  Port {port}\n  User {user}\n  IdentityFile {at}/key\n  \
             IdentitiesOnly yes\n  BatchMode yes\n  StrictHostKeyChecking no\n  UserKnownHostsFile /dev/null\n  LogLevel ERROR\n"
        ),
        0o600,
    );
    write(&stand_in, &format!("#!/bin/sh\nexec /usr/bin/ssh -F '{at}/ssh_config' \"$@\"\n"), 0o755);
    let server = Command::new(SERVER)
        .args(["-D", "-e", "-f"])
        .arg(folder.join("sshd_config"))
        .stderr(Stdio::from(fs::File::create(folder.join("log")).expect("writable")))
        .spawn();
    let mut server = Server(server.expect("a server"));
    let start = Instant::now();
    let answers = || Command::new(&stand_in).args(["board", "true"]).output().is_ok_and(|said| said.status.success());
    while !answers() {
        let ended = server.0.try_wait().expect("a child").is_some();
        if ended || start.elapsed() > Duration::from_secs(20) {
            let log = fs::read_to_string(folder.join("log")).unwrap_or_default();
            println!("SKIPPED: an ssh server cannot be used here: {}", log.trim());
            return None;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Some(server)
}

#[test]
fn through_a_real_ssh_client_and_server() {
    let bench = Bench::new();
    let before = bench.state();
    let Some(_server) = serve(&bench) else { return };
    let program = bench.program().display().to_string();
    let arguments = ["--to", "board", "--firmware", &program, "--engine", "cpu"];
    let dry = bench.flash("test-linux", &[&arguments[..], &["--dry-run"]].concat()).run();
    assert!(dry.code == Some(0) && bench.state() == before, "{}", dry.said());
    for state in ["1/6 put /usr/local/bin/kurtoscope-device", "Already up to date"] {
        let outcome = bench.flash("test-linux", &arguments).run();
        assert_eq!(outcome.code, Some(0), "{}", outcome.said());
        for part in [state, "test-linux answers: firmware 0.1.0", "Self-test passed"] {
            assert!(outcome.said().contains(part), "{part}: {}", outcome.said());
        }
    }
    let removed = bench.flash("test-linux", &["--to", "board", "--remove"]).run();
    assert_eq!(removed.code, Some(0), "{}", removed.said());
    assert_eq!(bench.state(), before);
    // A key that the server does not know.
    fs::write(bench.beside("server").join("authorized"), "").expect("writable");
    bench.flash("test-linux", &arguments).run().assert_failed(&["board: ssh did not get through", "Permission denied"]);
}

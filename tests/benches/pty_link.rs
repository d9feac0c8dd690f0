//! A checkpoint through a virtual board, against a plain `cat` reading the same kind of pseudo-terminal, and through a
//! device behind pipes, against a `cat` behind a pipe.
//!
//! `cargo bench -p kurtoscope-tests --bench pty_link [-- MEBIBYTES]`. Both sides move the same number of bytes from a
//! slave to its master; Kurtoscope's figure counts payload bytes only and includes framing, checksums, measuring and
//! merging. Rounds alternate, and the table shows medians.

use std::{
    fs::OpenOptions,
    io::Write,
    process::{Command, Stdio},
    time::Instant,
};

use kurtoscope_checkpoint::Checkpoint;
use kurtoscope_host::{
    analysis,
    link::{DeviceProgram, DeviceUrl, LinkOptions, PtyAddress},
};
use kurtoscope_shared::Random;
use rustix::{
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{OptionalActions, tcgetattr, tcsetattr},
};
use safetensors::{Dtype, tensor::TensorView};

const ROUNDS: usize = 5;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    // The virtual board is this program, started again.
    if std::env::args().nth(1).as_deref() == Some("device") {
        std::process::exit(i32::from(
            format!("{:?}", kurtoscope::main()) != format!("{:?}", std::process::ExitCode::SUCCESS),
        ));
    }
    let mebibytes: usize = std::env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(64);
    let data = noise(mebibytes << 20);
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("model.safetensors");
    let view = TensorView::new(Dtype::F32, vec![data.len() / 4], &data)?;
    std::fs::write(&file, safetensors::serialize([("noise", view)], None)?)?;
    let checkpoint = Checkpoint::open(&file)?;
    let (mut plain, mut link) = (Vec::new(), Vec::new());
    let (mut plain_pipe, mut pipe) = (Vec::new(), Vec::new());
    let program = format!("exec:'{}' device --stdio", std::env::current_exe()?.display());
    let exec: DeviceUrl = program.parse()?;
    // This program is the device as well.
    let own = DeviceProgram { path: std::env::current_exe()?, arguments: vec!["device".into()] };
    let link_options = LinkOptions { pty_program: Some(own), ..LinkOptions::default() };
    let options = analysis::DeviceOptions { link: link_options, ..Default::default() };
    for _ in 0..ROUNDS {
        plain_pipe.push(data.len() as f64 / cat_pipe(&data)?);
        let mut devices = [analysis::Device::open(&exec, Default::default())?];
        let start = Instant::now();
        analysis::analyze(&checkpoint, &mut devices, &mut analysis::Quiet)?;
        pipe.push(data.len() as f64 / start.elapsed().as_secs_f64());
        drop(devices);
        plain.push(data.len() as f64 / cat(&data)?);
        let mut devices = [analysis::Device::open(&DeviceUrl::Pty(PtyAddress), options.clone())?];
        let start = Instant::now();
        analysis::analyze(&checkpoint, &mut devices, &mut analysis::Quiet)?;
        link.push(data.len() as f64 / start.elapsed().as_secs_f64());
    }
    let (plain, link) = (median(&mut plain), median(&mut link));
    println!("{mebibytes} MiB through a pseudo-terminal, median of {ROUNDS} rounds");
    println!("plain cat            {:>8.1} MB/s", plain / 1e6);
    println!("kurtoscope, payload  {:>8.1} MB/s, ratio {:.2}", link / 1e6, link / plain);
    let (plain, pipe) = (median(&mut plain_pipe), median(&mut pipe));
    println!("through a pipe (exec:)");
    println!("plain cat            {:>8.1} MB/s", plain / 1e6);
    println!("kurtoscope, payload  {:>8.1} MB/s, ratio {:.2}", pipe / 1e6, pipe / plain);
    Ok(())
}

/// Seconds in which `cat` reads `data` from a pseudo-terminal.
fn cat(data: &[u8]) -> Outcome<f64> {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let path = ptsname(&master, Vec::new())?;
    let mut attributes = tcgetattr(&master)?;
    attributes.make_raw();
    tcsetattr(&master, OptionalActions::Now, &attributes)?;
    let mut slave = OpenOptions::new().read(true).write(true).open(path.to_str()?)?;
    let start = Instant::now();
    let mut reader =
        Command::new("cat").stdin(Stdio::from(master)).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    slave.write_all(data)?;
    // The hang-up ends cat once it has read everything.
    drop(slave);
    reader.wait()?;
    Ok(start.elapsed().as_secs_f64())
}

/// Seconds in which `cat` reads `data` from a pipe.
fn cat_pipe(data: &[u8]) -> Outcome<f64> {
    let start = Instant::now();
    let mut reader = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    // Dropped at the end of the statement, which ends cat.
    reader.stdin.take().ok_or("no pipe")?.write_all(data)?;
    reader.wait()?;
    Ok(start.elapsed().as_secs_f64())
}

fn noise(len: usize) -> Vec<u8> {
    let mut random = Random::new(1);
    (0..len / 4).flat_map(|_| (random.normal() as f32 * 0.02).to_le_bytes()).collect()
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

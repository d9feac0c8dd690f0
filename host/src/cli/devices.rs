//! `kurtoscope devices`: what could be given to `--device` on this machine.

use std::io::{self, Write};

use super::Outcome;
use crate::link;

pub(super) fn run() -> Outcome {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut rows = vec![
        ("local".to_owned(), format!("CPU engine in this process, {cores} cores")),
        ("pty:".to_owned(), "virtual board: CPU engine in a process of its own, behind a pseudo-terminal".to_owned()),
    ];
    let ports = link::ports();
    match &ports {
        Ok(ports) => rows.extend(ports.iter().map(|port| (port.url.clone(), port.description.clone()))),
        Err(error) => rows.push(("serial:…".to_owned(), format!("the serial ports cannot be listed: {error}"))),
    }
    rows.push((
        "exec:COMMAND".to_owned(),
        "a program that speaks the protocol on its standard input and output".to_owned(),
    ));
    let width = rows.iter().map(|(url, _)| url.len()).max().unwrap_or_default();
    let mut out = io::stdout().lock();
    for (url, what) in &rows {
        writeln!(out, "{url:width$}  {what}")?;
    }
    if matches!(&ports, Ok(ports) if ports.is_empty()) {
        writeln!(
            out,
            "\nNo serial ports. A board that is plugged in and missing here may lack its driver or your permission."
        )?;
    }
    let adapters = graphics_adapters();
    if !adapters.is_empty() {
        writeln!(out, "\nGraphics adapters (this version's engine computes on the processor):")?;
        for adapter in adapters {
            writeln!(out, "  {adapter}")?;
        }
    }
    Ok(())
}

/// The render nodes of Linux's graphics drivers.
fn graphics_adapters() -> Vec<String> {
    let Ok(entries) = std::fs::read_dir("/sys/class/drm") else { return Vec::new() };
    let nodes = entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with("renderD"));
    let mut adapters: Vec<String> = nodes
        .map(|entry| {
            let driver = std::fs::read_link(entry.path().join("device/driver")).ok();
            let driver = driver.and_then(|path| path.file_name().map(|name| name.to_string_lossy().into_owned()));
            let node = entry.file_name().to_string_lossy().into_owned();
            format!("/dev/dri/{node}: driver {}", driver.unwrap_or_else(|| "unknown".into()))
        })
        .collect();
    adapters.sort();
    adapters
}

//! A plain copy over the endpoints that Kurtoscope uses, without its protocol: what a link can do at most, and whether it
//! keeps bytes of every length.
//!
//! `usb-copy bulk` and `usb-copy acm` are a board: they read messages (eight bytes, the length, then so many bytes), and
//! answer with the length, or with the bytes themselves where the length's highest bit is set. `usb-copy to URL BYTES`
//! writes one message and prints bytes a second; `usb-copy lengths URL MOST` has messages of all the lengths up to MOST at
//! which packets and transfers begin and end sent back and compares them. `usb-copy join PORT` is a cable: it plugs the
//! board on this machine's virtual controller (usbip_vudc) into that port of its virtual hub (vhci_hcd). `usb-copy notified
//! SOCKET` stands in for systemd: it prints the first thing that a service says there.

use std::{
    error::Error,
    io::{self, ErrorKind, Read, Write},
    time::Instant,
};

use kurtoscope_host::link::{DeviceUrl, Link, LinkOptions};

/// Set in a length: send the bytes back.
const ECHO: u64 = 1 << 63;
/// Bytes written or read at once, as the command does.
const PIECE: usize = 1 << 16;
/// Bytes around which lengths are tried: the packets of full, high and SuperSpeed, a transfer, all transfers in flight.
const EDGES: [usize; 7] = [64, 128, 512, 1024, 4096, 1 << 14, 1 << 18];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["bulk"] => serve_bulk(),
        ["acm"] => serve_acm(),
        ["to", url, bytes] => copy(&mut open(url)?, bytes.parse()?),
        ["lengths", url, most] => lengths(&mut open(url)?, most.parse()?),
        ["join", port] => join(port.parse()?),
        ["notified", socket] => notified(socket),
        _ => Err("usage: usb-copy bulk | acm | to URL BYTES | lengths URL MOST | join PORT | notified SOCKET".into()),
    }
}

/// A board on bulk endpoints.
#[cfg(target_os = "linux")]
fn serve_bulk() -> Result<(), Box<dyn Error>> {
    let (_gadget, mut reader, mut writer) = kurtoscope_device::gadget::bulk::BulkGadget::open(&setup())?;
    loop {
        match serve(&mut reader, &mut writer) {
            Err(error) if error.kind() == ErrorKind::ConnectionReset => writer.reset(),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
            outcome => outcome?,
        }
    }
}

/// A board on a serial port.
#[cfg(target_os = "linux")]
fn serve_acm() -> Result<(), Box<dyn Error>> {
    let gadget = kurtoscope_device::gadget::serial::SerialGadget::open(&setup())?;
    let mut link = open(&format!("serial:{}", gadget.terminal.display()))?;
    Ok(serve(&mut Patient(&mut link.reader), &mut link.writer)?)
}

#[cfg(target_os = "linux")]
fn setup() -> kurtoscope_device::gadget::Setup {
    kurtoscope_device::gadget::Setup { controller: None, product: "copy".into(), serial: "copy".into() }
}

#[cfg(not(target_os = "linux"))]
fn serve_bulk() -> Result<(), Box<dyn Error>> {
    Err("boards need Linux".into())
}

#[cfg(not(target_os = "linux"))]
use serve_bulk as serve_acm;

fn open(url: &str) -> Result<Link, Box<dyn Error>> {
    Ok(url.parse::<DeviceUrl>()?.open(&LinkOptions::default())?)
}

/// Plugs a board in at high speed.
#[cfg(target_os = "linux")]
fn join(port: u8) -> Result<(), Box<dyn Error>> {
    use std::{fs, os::fd::AsRawFd, os::unix::net::UnixStream};

    /// What kernels call high speed.
    const HIGH_SPEED: u8 = 3;
    const DEVICE: u8 = 1;
    // Both controllers keep their end of the socket.
    let (board, host) = UnixStream::pair()?;
    fs::write("/sys/devices/platform/usbip-vudc.0/usbip_sockfd", board.as_raw_fd().to_string())?;
    fs::write("/sys/devices/platform/vhci_hcd.0/attach", format!("{port} {} {DEVICE} {HIGH_SPEED}", host.as_raw_fd()))?;
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn join(_port: u8) -> Result<(), Box<dyn Error>> {
    Err("boards need Linux".into())
}

/// Prints the first notification that a service sends its manager.
#[cfg(target_os = "linux")]
fn notified(socket: &str) -> Result<(), Box<dyn Error>> {
    let mut message = [0; 256];
    let length = std::os::unix::net::UnixDatagram::bind(socket)?.recv(&mut message)?;
    print!("{}", String::from_utf8_lossy(&message[..length]));
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn notified(_socket: &str) -> Result<(), Box<dyn Error>> {
    Err("services need Linux".into())
}

/// A reader that waits as long as it takes.
struct Patient<'a>(&'a mut dyn Read);

impl Read for Patient<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.read(buffer) {
                Err(error) if error.kind() == ErrorKind::TimedOut => {}
                outcome => return outcome,
            }
        }
    }
}

/// Answers messages until the link ends.
fn serve(reader: &mut dyn Read, writer: &mut dyn Write) -> io::Result<()> {
    let mut buffer = vec![0; PIECE];
    loop {
        let mut length = [0; 8];
        reader.read_exact(&mut length)?;
        let (echo, bytes) = (u64::from_le_bytes(length) & ECHO != 0, u64::from_le_bytes(length) & !ECHO);
        let mut left = bytes;
        while left > 0 {
            let most = left.min(PIECE as u64) as usize;
            let read = reader.read(&mut buffer[..most])?;
            if read == 0 {
                return Ok(());
            }
            left -= read as u64;
            if echo {
                writer.write_all(&buffer[..read])?;
            }
        }
        if !echo {
            writer.write_all(&length)?;
        }
        writer.flush()?;
    }
}

/// Writes one message and waits until the board has read it.
fn copy(link: &mut Link, bytes: usize) -> Result<(), Box<dyn Error>> {
    let piece = pattern(PIECE);
    let start = Instant::now();
    link.writer.write_all(&(bytes as u64).to_le_bytes())?;
    let mut left = bytes;
    while left > 0 {
        let count = left.min(PIECE);
        link.writer.write_all(&piece[..count])?;
        left -= count;
    }
    link.writer.flush()?;
    let mut answer = [0; 8];
    Patient(&mut link.reader).read_exact(&mut answer)?;
    println!("{}", bytes as f64 / start.elapsed().as_secs_f64());
    Ok(())
}

/// Has messages sent back whose lengths, with and without their eight bytes, are at and beside all edges.
fn lengths(link: &mut Link, most: usize) -> Result<(), Box<dyn Error>> {
    let around = |edge: usize| [edge - 9, edge - 8, edge - 7, edge - 1, edge, edge + 1];
    let all: Vec<usize> =
        [1, 2].into_iter().chain(EDGES.into_iter().flat_map(around)).filter(|length| *length <= most).collect();
    for length in &all {
        let sent = pattern(*length);
        link.writer.write_all(&(*length as u64 | ECHO).to_le_bytes())?;
        link.writer.write_all(&sent)?;
        link.writer.flush()?;
        let mut answer = vec![0; *length];
        Patient(&mut link.reader).read_exact(&mut answer)?;
        if answer != sent {
            return Err(format!("a message of {length} bytes came back changed").into());
        }
    }
    println!("{} lengths", all.len());
    Ok(())
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index % 251) as u8).collect()
}

//! A link of one's own: measures a checkpoint on a device behind TCP, which the library has no URL for. Without an address, a
//! board in this process listens on a port of its own.
//! `cargo run --release -p kurtoscope-host --example own_link -- model.safetensors [HOST:PORT]`

use std::{
    env,
    error::Error,
    io::{self, Write},
    net::{Shutdown, TcpListener, TcpStream},
    path::Path,
    thread,
};

use embedded_io_adapters::std::FromStd;
use kurtoscope_checkpoint::Checkpoint;
use kurtoscope_firmware::{Board, Framing, Session, engine::CpuEngine, serve};
use kurtoscope_host::{
    analysis::{self, Device, DeviceOptions, Quiet},
    link::{Connector, DeviceUrl, ExecAddress, Link, LinkError},
};

/// Opens the connection, and opens it again when the device was lost.
#[derive(Debug)]
struct TcpConnector {
    address: String,
}

impl Connector for TcpConnector {
    fn open(&mut self, _attempt: u32) -> Result<Link, LinkError> {
        let stream = TcpStream::connect(&self.address).map_err(LinkError::Absent)?;
        stream.set_nodelay(true).map_err(LinkError::Absent)?;
        let reader = stream.try_clone().map_err(LinkError::Absent)?;
        let writer = ClosingWriter(stream);
        // TCP loses no bytes, so frames need only their length.
        let framing = Framing::LengthPrefixed;
        Ok(Link { reader: Box::new(reader), writer: Box::new(writer), framing, process: None })
    }
}

/// Closes both directions when the host is done, so that neither end waits for the other.
struct ClosingWriter(TcpStream);

impl Write for ClosingWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Drop for ClosingWriter {
    fn drop(&mut self) {
        // Where the connection is closed already there is nothing to do.
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

/// A board behind a port of this machine: what a real one does on its own hardware. Its address.
fn start_board() -> io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?.to_string();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let Ok(reader) = stream.try_clone() else { continue };
            let board = Board { name: "in this process".into(), identity: "example".into() };
            let mut session = Session::new(CpuEngine::default(), board);
            if let Err(error) = serve(&mut session, Framing::LengthPrefixed, FromStd::new(reader), FromStd::new(stream))
            {
                eprintln!("the board's connection ended: {error:?}");
            }
        }
    });
    Ok(address)
}

fn main() -> Result<(), Box<dyn Error>> {
    let path = env::args_os().nth(1).ok_or("usage: own_link MODEL [HOST:PORT]")?;
    let address = env::args().nth(2).map_or_else(start_board, Ok)?;
    let checkpoint = Checkpoint::open(Path::new(&path))?;

    // What reports call the device; the library opens nothing by this name.
    let url = DeviceUrl::Exec(ExecAddress { command: format!("tcp {address}") });
    let device = Device::connect(&url, Box::new(TcpConnector { address }), DeviceOptions::default())?;
    let run = analysis::analyze(&checkpoint, &mut [device], &mut Quiet)?;
    println!("{} tensors, {} bytes, measured on {}", run.tensors.len(), run.bytes, run.device.board);
    Ok(())
}

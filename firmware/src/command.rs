//! The command `kurtoscope-device`: a board that runs an operating system.

use std::{
    fs::File,
    io::{self, Read, Write},
    path::PathBuf,
    string::String,
    time::Duration,
};

use clap::{Args, ValueEnum};
use embedded_io_adapters::std::FromStd;
use rustix::{
    fs::{Mode, OFlags},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{OptionalActions, tcgetattr, tcsetattr},
};

use crate::{
    Board, ServeError, Session,
    engine::{BurnEngine, Engine},
    serve, serve_overlapped,
};

/// On which link to serve, as whom.
#[derive(Debug, Clone, Args)]
pub struct DeviceArguments {
    #[command(flatten)]
    link: LinkArguments,

    /// Bits per second on a serial port; a USB port ignores them
    #[arg(long, value_name = "N", default_value_t = 921_600, requires = "serial")]
    baud: u32,

    /// Serve one host on the pseudo-terminal, then end
    #[arg(long, requires = "pty")]
    once: bool,

    /// What computes: cpu, gpu (the first graphics adapter that is hardware), or gpu=NAME (the first whose name holds
    /// NAME, software included)
    #[arg(long, value_name = "ENGINE", default_value = "cpu")]
    engine: EngineChoice,

    /// How --adapters lists
    #[arg(long, value_enum, default_value_t, requires = "adapters")]
    format: Format,

    /// The name under which the board introduces itself
    #[arg(long, value_name = "NAME", default_value = "virtual")]
    board: String,
}

/// What computes.
#[derive(Debug, Clone, PartialEq, Eq)]
enum EngineChoice {
    Cpu,
    Gpu(Option<String>),
}

impl std::str::FromStr for EngineChoice {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('=') {
            None if text == "cpu" => Ok(Self::Cpu),
            None if text == "gpu" => Ok(Self::Gpu(None)),
            Some(("gpu", name)) if !name.is_empty() => Ok(Self::Gpu(Some(name.into()))),
            _ => Err("there are cpu, gpu and gpu=NAME; --adapters lists the names"),
        }
    }
}

/// How a list is written.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Format {
    /// A line an adapter.
    #[default]
    Text,
    /// An array for programs.
    Json,
}

/// Exactly one link, or a question that needs none.
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = false)]
struct LinkArguments {
    /// Serve on standard input and output: for `exec:` links, ssh among them
    #[arg(long)]
    stdio: bool,

    /// Serve on a serial port, or on the gadget side of a USB port
    #[arg(long, value_name = "PATH")]
    serial: Option<PathBuf>,

    /// Create a pseudo-terminal, print its path, and serve on it
    #[arg(long)]
    pty: bool,

    /// List the graphics adapters of this machine, with driver and limits, and end
    #[arg(long)]
    adapters: bool,
}

/// Why the command ended.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// The serial port cannot be opened.
    #[error(
        "{path}: the serial port cannot be opened: {source}; is it plugged in, and may you open it (group dialout)?"
    )]
    Serial {
        /// The port.
        path: PathBuf,
        /// The system's reason.
        source: serialport::Error,
    },
    /// No pseudo-terminal to be had.
    #[error("no pseudo-terminal can be created: {0}")]
    Pty(#[source] io::Error),
    /// Graphics adapters were asked of a program that knows none.
    #[cfg(not(feature = "gpu"))]
    #[error(
        "this program was built without graphics adapters; `cargo install --path firmware --features gpu` builds the \
         device command that has them"
    )]
    NoGpu,
    /// No graphics adapter can be used.
    #[cfg(feature = "gpu")]
    #[error(transparent)]
    Adapter(#[from] crate::engine::gpu::OpenError),
    /// The list cannot be written.
    #[error("the list of adapters cannot be written: {0}")]
    Output(#[source] io::Error),
    /// The link failed while serving.
    #[error(transparent)]
    Link(#[from] ServeError<io::Error, io::Error>),
}

/// Serves until the host hangs up, or lists adapters.
///
/// # Errors
/// When the engine cannot be had, or the link cannot be opened or fails.
pub fn run(arguments: &DeviceArguments) -> Result<(), DeviceError> {
    if arguments.link.adapters {
        return list_adapters(arguments.format);
    }
    let board = Board { name: arguments.board.clone(), identity: identity() };
    match &arguments.engine {
        EngineChoice::Cpu => serve_link(arguments, &mut Session::new(BurnEngine::cpu(), board)),
        EngineChoice::Gpu(name) => serve_gpu(arguments, name.clone(), board),
    }
}

#[cfg(feature = "gpu")]
fn serve_gpu(arguments: &DeviceArguments, name: Option<String>, board: Board) -> Result<(), DeviceError> {
    use crate::engine::gpu::{Choice, GpuEngine};
    let engine = GpuEngine::open(name.map_or(Choice::Hardware, Choice::Named))?;
    serve_link(arguments, &mut Session::new(engine, board))
}

#[cfg(not(feature = "gpu"))]
fn serve_gpu(_: &DeviceArguments, _: Option<String>, _: Board) -> Result<(), DeviceError> {
    Err(DeviceError::NoGpu)
}

#[cfg(feature = "gpu")]
fn list_adapters(format: Format) -> Result<(), DeviceError> {
    let adapters = crate::engine::gpu::adapters();
    let mut out = io::stdout().lock();
    match format {
        Format::Json => {
            let all: std::vec::Vec<_> = adapters.iter().map(crate::engine::gpu::AdapterDescription::to_json).collect();
            writeln!(out, "{}", serde_json::Value::from(all))
        }
        Format::Text if adapters.is_empty() => {
            writeln!(out, "no graphics adapter is to be seen; is a Vulkan driver installed?")
        }
        Format::Text => adapters.iter().try_for_each(|adapter| writeln!(out, "{adapter}")),
    }
    .map_err(DeviceError::Output)
}

#[cfg(not(feature = "gpu"))]
fn list_adapters(_: Format) -> Result<(), DeviceError> {
    Err(DeviceError::NoGpu)
}

fn serve_link<E: Engine>(arguments: &DeviceArguments, session: &mut Session<E>) -> Result<(), DeviceError> {
    if let Some(path) = &arguments.link.serial {
        let failed = |source| DeviceError::Serial { path: path.clone(), source };
        // A link has no end of its own: wait for the host as long as it takes.
        let port = serialport::new(path.to_string_lossy(), arguments.baud)
            .timeout(Duration::from_secs(u64::from(u32::MAX)))
            .open()
            .map_err(failed)?;
        let writer = port.try_clone().map_err(failed)?;
        return Ok(serve_streams(session, port, writer)?);
    }
    if arguments.link.pty {
        return serve_pty(session, arguments.once);
    }
    Ok(serve_streams(session, Unbuffered(io::stdin()), io::stdout().lock())?)
}

/// Serves a pair of streams in the way that suits the engine.
fn serve_streams<E: Engine, R: Read + Send, W: Write>(
    session: &mut Session<E>,
    reader: R,
    writer: W,
) -> Result<(), ServeError<io::Error, io::Error>> {
    if session.in_flight() > 1 {
        serve_overlapped(session, FromStd::new(reader), FromStd::new(writer))
    } else {
        serve(session, FromStd::new(reader), FromStd::new(writer))
    }
}

fn serve_pty<E: Engine>(session: &mut Session<E>, once: bool) -> Result<(), DeviceError> {
    let failed = |error: rustix::io::Errno| DeviceError::Pty(error.into());
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).map_err(failed)?;
    grantpt(&master).map_err(failed)?;
    unlockpt(&master).map_err(failed)?;
    let path = ptsname(&master, std::vec::Vec::new()).map_err(failed)?;
    let mut attributes = tcgetattr(&master).map_err(failed)?;
    attributes.make_raw();
    tcsetattr(&master, OptionalActions::Now, &attributes).map_err(failed)?;
    // Kept open until the first host has come, or the terminal would report a hang-up before anyone dialled.
    let mut keeper =
        Some(rustix::fs::open(path.as_c_str(), OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).map_err(failed)?);
    std::println!("{}", path.to_string_lossy());
    io::stdout().flush().map_err(DeviceError::Pty)?;
    let master = File::from(master);
    loop {
        let reader = Terminal { master: &master, keeper: &mut keeper };
        let outcome = serve_streams(session, reader, &master);
        // A terminal without a host reads as an I/O error, which here is the end of a conversation.
        match outcome {
            Ok(()) => {}
            Err(ServeError::Read(error) | ServeError::Write(error))
                if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => {}
            Err(error) => return Err(error.into()),
        }
        if once {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The master side of a pseudo-terminal; lets go of the other side once a host has written to it.
struct Terminal<'a, K> {
    master: &'a File,
    keeper: &'a mut Option<K>,
}

impl<K> Read for Terminal<'_, K> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.master.read(buffer)?;
        self.keeper.take();
        Ok(read)
    }
}

/// Standard input without the standard library's buffer, which would copy everything once more.
struct Unbuffered(io::Stdin);

impl Read for Unbuffered {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match rustix::io::read(&self.0, &mut *buffer) {
                Err(rustix::io::Errno::INTR) => {}
                outcome => return outcome.map_err(Into::into),
            }
        }
    }
}

/// The machine's own identity, where the system has one.
fn identity() -> String {
    std::fs::read_to_string("/etc/machine-id").map(|text| text.trim().into()).unwrap_or_default()
}

//! The command `kurtoscope-device`: a board that runs an operating system.

mod identity;
mod links;
mod unix;
#[cfg(target_os = "linux")]
mod usb;

use std::{io, path::PathBuf, string::String};

use clap::{Args, ValueEnum};
use embedded_hal::digital::OutputPin;

#[cfg(target_os = "linux")]
use crate::{
    gadget::GadgetError,
    led::{LedName, LinuxLed},
};
use kurtoscope_firmware::{
    Board, ServeError, Session,
    engine::{CpuEngine, Engine},
    status_led::StatusLed,
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

    /// The USB device controller for --usb-gadget and --acm, where there is more than one; /sys/class/udc lists them
    #[cfg(target_os = "linux")]
    #[arg(long, value_name = "NAME")]
    udc: Option<String>,

    /// A light that is on while a chunk is measured: an LED of /sys/class/leds, or a line of a chip: gpiochip0:17
    #[cfg(target_os = "linux")]
    #[arg(long, value_name = "LIGHT")]
    led: Option<LedName>,

    /// A light that is on after a fault, until a chunk has been measured
    #[cfg(target_os = "linux")]
    #[arg(long, value_name = "LIGHT")]
    fault_led: Option<LedName>,

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

    /// Show Kurtoscope's own interface on the board's USB port and serve there: for `usb:` links; needs root
    #[cfg(target_os = "linux")]
    #[arg(long)]
    usb_gadget: bool,

    /// Show a serial port on the board's USB port and serve there: for `serial:` links; slower than --usb-gadget; needs
    /// root
    #[cfg(target_os = "linux")]
    #[arg(long)]
    acm: bool,

    /// Create a pseudo-terminal, print its path, and serve on it
    #[arg(long)]
    pty: bool,

    /// Create a Unix-domain socket and serve on it, one host after the other: for `unix:` links
    #[arg(long, value_name = "PATH")]
    unix: Option<PathBuf>,

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
    /// The board cannot show itself on USB.
    #[cfg(target_os = "linux")]
    #[error(transparent)]
    Gadget(#[from] GadgetError),
    /// No pseudo-terminal to be had.
    #[error("no pseudo-terminal can be created: {0}")]
    Pty(#[source] io::Error),
    /// The socket cannot be created, or accepts no connections.
    #[error("{path}: the socket cannot be served: {source}")]
    Unix {
        /// The socket.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Graphics adapters were requested from a program that is built without the GPU engine.
    #[cfg(not(feature = "gpu"))]
    #[error(
        "this program was built without graphics adapters; `cargo install --path firmware/linux --features gpu` builds the \
         device command that has them"
    )]
    NoGpu,
    /// No graphics adapter can be used.
    #[cfg(feature = "gpu")]
    #[error(transparent)]
    Adapter(#[from] kurtoscope_firmware::engine::gpu::OpenError),
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
    let board = Board { name: arguments.board.clone(), identity: identity::identity() };
    match &arguments.engine {
        EngineChoice::Cpu => serve_board(arguments, CpuEngine::default(), board),
        EngineChoice::Gpu(name) => serve_gpu(arguments, name.clone(), board),
    }
}

#[cfg(feature = "gpu")]
fn serve_gpu(arguments: &DeviceArguments, name: Option<String>, board: Board) -> Result<(), DeviceError> {
    use kurtoscope_firmware::engine::gpu::{Choice, GpuEngine};
    let engine = GpuEngine::open(name.map_or(Choice::Hardware, Choice::Named))?;
    serve_board(arguments, engine, board)
}

#[cfg(not(feature = "gpu"))]
fn serve_gpu(_: &DeviceArguments, _: Option<String>, _: Board) -> Result<(), DeviceError> {
    Err(DeviceError::NoGpu)
}

#[cfg(target_os = "linux")]
fn serve_board<E: Engine>(arguments: &DeviceArguments, engine: E, board: Board) -> Result<(), DeviceError> {
    let lights = StatusLed::new(light(arguments.led.as_ref()), light(arguments.fault_led.as_ref()));
    let setup = usb::setup(arguments, &board);
    let mut session = Session::with_status_led(engine, board, lights);
    match &arguments.link {
        LinkArguments { usb_gadget: true, .. } => usb::serve_bulk(&mut session, &setup),
        LinkArguments { acm: true, .. } => usb::serve_acm(&mut session, &setup),
        _ => serve_link(arguments, &mut session),
    }
}

/// The light of this name. One that cannot be used is no reason not to measure.
#[cfg(target_os = "linux")]
fn light(name: Option<&LedName>) -> LinuxLed {
    LinuxLed::open(name).unwrap_or_else(|error| {
        std::eprintln!("kurtoscope-device: {error}; going on without it");
        LinuxLed::none()
    })
}

#[cfg(not(target_os = "linux"))]
fn serve_board<E: Engine>(arguments: &DeviceArguments, engine: E, board: Board) -> Result<(), DeviceError> {
    serve_link(arguments, &mut Session::with_status_led(engine, board, StatusLed::none()))
}

fn serve_link<E: Engine, M: OutputPin, F: OutputPin>(
    arguments: &DeviceArguments,
    session: &mut Session<E, M, F>,
) -> Result<(), DeviceError> {
    match &arguments.link {
        LinkArguments { serial: Some(path), .. } => links::serve_serial(session, path, arguments.baud),
        LinkArguments { pty: true, .. } => links::serve_pty(session, arguments.once),
        LinkArguments { unix: Some(path), .. } => unix::serve_unix(session, path),
        _ => links::serve_stdio(session),
    }
}

#[cfg(feature = "gpu")]
fn list_adapters(format: Format) -> Result<(), DeviceError> {
    let adapters = kurtoscope_firmware::engine::gpu::adapters();
    use io::Write;
    let mut out = io::stdout().lock();
    match format {
        Format::Json => {
            let all: std::vec::Vec<_> =
                adapters.iter().map(kurtoscope_firmware::engine::gpu::AdapterDescription::to_json).collect();
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

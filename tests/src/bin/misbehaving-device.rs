//! A device that speaks the protocol on standard input and output and does one thing wrong, named by its argument. `crash`
//! takes a file as second argument, and counts its crashes there. The variable KURTOSCOPE_TEST_NAME gives it another name,
//! KURTOSCOPE_TEST_PAYLOAD the most bytes of a chunk that it takes.

use std::{
    borrow::Cow,
    io::{self, Read, Write},
    process::ExitCode,
};

use embedded_io_adapters::std::FromStd;
use kurtoscope_firmware::{
    Board, Framing, Session,
    engine::{ChunkSpec, CpuEngine, Engine},
    serve,
};
use kurtoscope_shared::{
    Extremes, MagnitudeHistogram, Measurement, QuantizationErrors, Requests, RowColumnSums, frame,
    protocol::{Adapter, EngineKind, FaultKind, Limits, Report, ToHost, Welcome},
    statistics::{Statistic, SupportedStatistic},
};

/// Chunks that are measured well before the fault shows.
const GOOD_CHUNKS: u32 = 3;

/// The first element of a chunk that this driver does not survive.
const POISON: f32 = 12_345.0;

/// The processor's engine with a fault.
struct Faulty {
    engine: CpuEngine,
    statistics: &'static [SupportedStatistic],
    fault: Fault,
    measured: u32,
}

impl Faulty {
    /// Dies if crashes are left: the file holds how many, one byte each.
    fn crash() {
        let Some(file) = std::env::args().nth(2) else { return };
        let left = std::fs::read(&file).unwrap_or_default();
        let Some((_, left)) = left.split_first() else { return };
        if std::fs::write(&file, left).is_ok() {
            // The first is caught by a handler that looks for overflown stacks.
            for _ in 0..3 {
                let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::SEGV);
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    /// Every chunk takes a fiftieth of a second.
    Slow,
    /// The fourth moment is a thousandth too large: the self-test shows it.
    Wrong,
    /// The process ends after a few chunks.
    Vanish,
    /// The process dies of a segmentation fault at a chunk that begins with [`POISON`], as often as the file says.
    Crash,
    /// Every thousandth element is missing from the sums of a run's chunks, as broken reductions lose them.
    Drop,
    /// Subnormal numbers count as zeros.
    Flush,
    /// Every value is rounded to binary16 first.
    Half,
    /// Every chunk after the first few is refused.
    Refuse,
    /// After the first few, counts do not add up.
    Nonsense,
    /// After the first few, nothing comes any more.
    Hang,
}

/// The engine that the command line names, and the statistics that it introduces itself with.
fn engine(payload: u32) -> (CpuEngine, &'static [SupportedStatistic]) {
    let all = CpuEngine::with_max_payload(payload);
    let mut statistics = all.statistics().to_vec();
    match std::env::args().nth(1).as_deref() {
        Some("lacks") => {
            let without = CpuEngine::measuring::<(Extremes, QuantizationErrors, RowColumnSums)>(payload);
            let statistics = without.statistics();
            return (without, statistics);
        }
        // A tag that no host has.
        Some("extra") => {
            let mut unknown = SupportedStatistic::of::<Extremes>();
            (unknown.key.tag, unknown.key.key) = (60_000, *b"tomorrow");
            statistics.push(unknown);
        }
        // The histogram has other fields in this firmware.
        Some("otherkey") => {
            let histograms = statistics.iter_mut().filter(|known| known.key.tag == MagnitudeHistogram::TAG);
            histograms.for_each(|histogram| histogram.key.key[0] ^= 1);
        }
        _ => {}
    }
    (all, Vec::leak(statistics))
}

/// The f32 elements of `payload`, each changed.
fn altered(payload: &[u8], change: impl Fn(f32) -> f32) -> Vec<u8> {
    let values = payload.as_chunks().0.iter().map(|bytes| change(f32::from_le_bytes(*bytes)));
    values.flat_map(f32::to_le_bytes).collect()
}

impl Engine for Faulty {
    fn kind(&self) -> EngineKind {
        self.engine.kind()
    }

    fn adapter(&self) -> Option<Adapter> {
        self.engine.adapter()
    }

    fn limits(&self) -> Limits {
        self.engine.limits()
    }

    fn statistics(&self) -> &'static [SupportedStatistic] {
        self.statistics
    }

    fn tolerance(&self) -> f64 {
        self.engine.tolerance()
    }

    fn measure(&mut self, spec: ChunkSpec, payload: &[u8]) -> Result<Measurement, FaultKind> {
        if self.fault == Fault::Crash && payload.starts_with(&POISON.to_le_bytes()) {
            Self::crash();
        }
        let payload = match self.fault {
            Fault::Flush => Cow::from(altered(payload, |value| if value.is_subnormal() { 0.0 } else { value })),
            Fault::Half => altered(payload, |value| half::f16::from_f32(value).to_f32()).into(),
            _ => payload.into(),
        };
        let mut found = self.engine.measure(spec, &payload)?;
        // A run asks for more than the self-test.
        let is_of_run = spec.requests.extremes == Requests::FULL.extremes;
        if self.fault == Fault::Drop && is_of_run {
            let thinned = payload.chunks(4).enumerate().filter(|(index, _)| index % 1000 != 999);
            let thinned: Vec<u8> = thinned.flat_map(|(_, bytes)| bytes.iter().copied()).collect();
            let summed = self.engine.measure(ChunkSpec::of(spec.element, Requests::MOMENTS), &thinned)?.moments;
            (found.moments.mean, found.moments.m2) = (summed.mean, summed.m2);
            (found.moments.m3, found.moments.m4) = (summed.m3, summed.m4);
        }
        if self.fault == Fault::Wrong {
            found.moments.m4 *= 1.001;
        }
        if !is_of_run {
            return Ok(found);
        }
        self.measured += 1;
        if self.fault == Fault::Slow {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        if self.measured > GOOD_CHUNKS {
            match self.fault {
                Fault::Vanish => std::process::exit(9),
                Fault::Refuse => return Err(FaultKind::Engine),
                Fault::Nonsense => found.moments.count += 1,
                Fault::Hang => loop {
                    std::thread::park();
                },
                Fault::None | Fault::Slow | Fault::Wrong | Fault::Crash | Fault::Drop | Fault::Flush | Fault::Half => {}
            }
        }
        Ok(found)
    }
}

/// What is made of a message on its way to the host.
type Rewrite = Box<dyn FnMut(ToHost) -> Option<ToHost>>;

/// Passes messages on, changed.
struct Rewriter<W> {
    to: W,
    decoder: frame::Decoder,
    rewrite: Rewrite,
}

impl<W: Write> Write for Rewriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut rest = bytes;
        loop {
            let (taken, event) = self.decoder.push(rest);
            rest = &rest[taken..];
            if event == frame::FrameEvent::Starved {
                break;
            }
            let received =
                (event == frame::FrameEvent::Frame).then(|| postcard::take_from_bytes(self.decoder.content()));
            if let Some(Ok((message, _))) = received
                && let Some(message) = (self.rewrite)(message)
            {
                let mut wire = Vec::new();
                frame::encode(Framing::LengthPrefixed, &message, &[], &mut wire).map_err(io::Error::other)?;
                self.to.write_all(&wire)?;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// What the fault of the command line makes of messages; none for most.
fn rewrite() -> Option<Rewrite> {
    match std::env::args().nth(1).as_deref() {
        // The introduction with an older version of the firmware in it, and nothing else.
        Some("older") => Some(Box::new(|message| match message {
            ToHost::Welcome(welcome) => Some(ToHost::Welcome(Welcome { firmware: "0.0.9".into(), ..welcome })),
            _ => None,
        })),
        // After the first few, reports are of other content than they say.
        Some("checksum") => Some(rewrite_reports(|report, _| report.payload_checksum ^= 1)),
        // After the first few, each report comes under the number of the next chunk.
        Some("misnumber") => Some(rewrite_reports(|report, next| report.sequence = next)),
        _ => None,
    }
}

/// Changes a run's reports after the first few; `change` is also given the number of the chunk behind the report's.
fn rewrite_reports(change: fn(&mut Report, u32)) -> Rewrite {
    let mut reports = 0;
    Box::new(move |message| match message {
        ToHost::Report(mut report) if report.measurement.extremes.is_some() => {
            let next = report.sequence.wrapping_add(1);
            reports += 1;
            if reports > GOOD_CHUNKS {
                change(&mut report, next);
            }
            Some(ToHost::Report(report))
        }
        message => Some(message),
    })
}

/// Whether this is the fault that the command line names.
fn is_called(fault: &str) -> bool {
    std::env::args().nth(1).as_deref() == Some(fault)
}

fn main() -> ExitCode {
    let fault = match std::env::args().nth(1).as_deref() {
        Some("good" | "older" | "cobs" | "banner" | "lacks" | "extra" | "otherkey" | "checksum" | "misnumber") => {
            Fault::None
        }
        Some("slow") => Fault::Slow,
        Some("wrong") => Fault::Wrong,
        Some("vanish") => Fault::Vanish,
        Some("crash") => Fault::Crash,
        Some("drop") => Fault::Drop,
        Some("flush") => Fault::Flush,
        Some("half") => Fault::Half,
        Some("refuse") => Fault::Refuse,
        Some("nonsense") => Fault::Nonsense,
        Some("hang") => Fault::Hang,
        Some("silent") => {
            // Reads everything, says nothing.
            let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
            return ExitCode::SUCCESS;
        }
        Some("noise") => {
            let _ = io::stdout().write_all(&[0x55, 0xaa, 0x00].repeat(1000));
            let _ = io::stdout().flush();
            let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
            return ExitCode::SUCCESS;
        }
        Some("other-protocol") => {
            // Waits for the Hello, then answers as version 77 of the protocol would.
            let _ = io::stdin().lock().read(&mut [0; 64]);
            let mut wire = Vec::new();
            let welcome = (0u32, 77u16, "a field of the future");
            if frame::encode(Framing::LengthPrefixed, &welcome, &[], &mut wire).is_ok() {
                let _ = io::stdout().write_all(&wire);
                let _ = io::stdout().flush();
            }
            let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
            return ExitCode::SUCCESS;
        }
        other => {
            eprintln!("misbehaving-device: unknown fault {other:?}");
            return ExitCode::FAILURE;
        }
    };
    let payload = std::env::var("KURTOSCOPE_TEST_PAYLOAD").ok().and_then(|bytes| bytes.parse().ok()).unwrap_or(1 << 14);
    let (engine, statistics) = engine(payload);
    let engine = Faulty { engine, statistics, fault, measured: 0 };
    let name = std::env::var("KURTOSCOPE_TEST_NAME").unwrap_or_else(|_| "misbehaving".into());
    let board = Board { name, identity: String::new() };
    let mut session = Session::new(engine, board);
    let mut to: Box<dyn Write> = Box::new(io::stdout().lock());
    // A device that takes this link for a serial one, and one whose shell has something to say first.
    let framing = if is_called("cobs") { Framing::Cobs } else { Framing::LengthPrefixed };
    if is_called("banner") && to.write_all(b"Last login: yesterday\n\0\xfe\xfeKS\n").is_err() {
        return ExitCode::FAILURE;
    }
    if let Some(rewrite) = rewrite() {
        to = Box::new(Rewriter { to, decoder: frame::Decoder::new(Framing::LengthPrefixed, 1 << 20), rewrite });
    }
    match serve(&mut session, framing, FromStd::new(io::stdin().lock()), FromStd::new(to)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

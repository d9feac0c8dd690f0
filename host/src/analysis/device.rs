//! A device: opened, greeted, judged, and known again when its link was lost. How it works is told in `work` (behind a
//! link) and `here` (in this process).

use std::{fmt, time::Duration};

use kurtoscope_shared::protocol::{ElementSet, Limits, Welcome};

use super::{
    conversation::{ChunkNumber, Patience, Trouble},
    greeting::{self, Refusal},
    here,
    link_counter::LinkCounter,
    packing::PackingMode,
    plan::Plan,
    wire::Wire,
};
use crate::{
    link::{Connector, DeviceUrl, LinkError, UrlConnector},
    record,
};
use kurtoscope_checkpoint::Checkpoint;

/// How devices are opened.
#[derive(Debug, Clone, Copy)]
pub struct DeviceOptions {
    /// Work with a device that fails its self-test; the report says so.
    pub allow_untrusted: bool,
    /// How long a device may be silent while it has something to do, before what it was sent is sent again.
    pub patience: Duration,
    /// When chunks travel packed.
    pub packing: PackingMode,
    /// How long a device may be lost, or answer nothing sound, before the run goes on without it.
    pub give_up: Duration,
}

impl DeviceOptions {
    pub(super) fn patience(&self) -> Patience {
        Patience { silence: self.patience, give_up: self.give_up }
    }
}

impl Default for DeviceOptions {
    fn default() -> Self {
        Self {
            allow_untrusted: false,
            patience: Duration::from_secs(10),
            give_up: Duration::from_secs(60),
            packing: PackingMode::Auto,
        }
    }
}

/// Why a device cannot be used, or was lost.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// Its link cannot be opened.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// It is there but is not worked with.
    #[error("{url}: {refusal}")]
    Refused {
        /// The device.
        url: String,
        /// Why not.
        refusal: Refusal,
    },
    /// It was lost in the middle of a run.
    #[error("{url}: {trouble}")]
    Lost {
        /// The device.
        url: String,
        /// What went wrong.
        trouble: Loss,
    },
}

/// How a device was lost.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Loss {
    /// The link ended and did not come back.
    #[error("the link ended in the middle of the run{}, and within {seconds} s it did not come back: {last}", because(.reason))]
    Ended {
        /// Why it ended, where the system said.
        reason: Option<String>,
        /// How long was tried.
        seconds: u64,
        /// What the last attempt found.
        last: String,
    },
    /// The program behind the link ended again and again while it was at work on the same chunk.
    #[error(
        "its program ended {times} times over the same chunk ({place}); a driver that crashes on it will do so again: update \
         the driver, or use another device"
    )]
    Crashes {
        /// How often.
        times: u32,
        /// The chunk.
        place: Place,
    },
    /// The conversation failed.
    #[error("{trouble}{}", place.as_ref().map(|place| format!(" ({place})")).unwrap_or_default())]
    Trouble {
        /// In what way.
        trouble: Trouble,
        /// The chunk that it failed over, where it was one.
        place: Option<Place>,
    },
    /// The engine in this process panicked, which is a fault of this program.
    #[error("the engine in this process panicked; what it said is above. Please report it")]
    Panicked,
    /// It was restarted, and then did not answer properly.
    #[error("it was restarted in the middle of the run, and then: {0}")]
    Restarted(String),
}

/// A chunk of a checkpoint, for messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The tensor.
    pub tensor: String,
    /// The chunk's first element in what is measured of the tensor.
    pub offset: u64,
    /// The chunk's elements.
    pub count: u32,
}

impl Place {
    /// Where a chunk of a plan is.
    pub(super) fn of(checkpoint: &Checkpoint, plan: &Plan, chunk: ChunkNumber) -> Self {
        let planned = &plan.chunks[chunk];
        let tensor = checkpoint.tensors[plan.targets[planned.target].tensor].name.clone();
        Self { tensor, offset: planned.offset, count: planned.count }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} elements of \"{}\" from element {}", self.count, self.tensor, self.offset)
    }
}

fn because(text: &Option<String>) -> String {
    text.as_ref().map(|text| format!(" ({text})")).unwrap_or_default()
}

/// A device that is greeted, trusted and ready.
#[derive(Debug)]
pub struct Device {
    pub(super) url: DeviceUrl,
    pub(super) welcome: Welcome,
    /// Opens its link; none for the engine in this process.
    pub(super) connector: Option<Box<dyn Connector>>,
    /// The link; none for the engine in this process, and while it is lost.
    pub(super) wire: Option<Wire>,
    /// Where the next conversation goes on counting.
    pub(super) next_sequence: u32,
    /// What it counted on its link so far.
    pub(super) link: LinkCounter,
    /// Bytes a second of its link, where they were measured.
    pub(super) rate: Option<f64>,
    pub(super) options: DeviceOptions,
}

/// How long a device may take to introduce itself: one that opens a graphics adapter compiles its kernels and proves
/// itself on large chunks first, and one that QEMU imitates is slow.
pub(super) fn greeting_patience(url: &DeviceUrl, options: &DeviceOptions) -> Duration {
    match url {
        DeviceUrl::Gpu { .. } | DeviceUrl::Qemu { .. } => options.patience.max(options.give_up),
        _ => options.patience,
    }
}

impl Device {
    /// Opens a device and greets it.
    ///
    /// # Errors
    /// When its link cannot be opened, it does not answer, or it is not to be trusted.
    pub fn open(url: &DeviceUrl, options: DeviceOptions) -> Result<Self, DeviceError> {
        if *url != DeviceUrl::Local {
            return Self::connect(url, Box::new(UrlConnector(url.clone())), options);
        }
        let welcome = here::introduce();
        let refused = |refusal| DeviceError::Refused { url: url.to_string(), refusal };
        greeting::judge(&welcome, options.allow_untrusted).map_err(refused)?;
        let link = LinkCounter::default();
        Ok(Self { url: url.clone(), welcome, connector: None, wire: None, next_sequence: 0, link, rate: None, options })
    }

    /// Opens a device behind a link of the caller's making; `url` is what reports call it.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn connect(
        url: &DeviceUrl,
        mut connector: Box<dyn Connector>,
        options: DeviceOptions,
    ) -> Result<Self, DeviceError> {
        let refused = |refusal| DeviceError::Refused { url: url.to_string(), refusal };
        let mut wire = Wire::new(connector.open(0)?);
        let welcome =
            greeting::greet(&mut wire, session_number(), greeting_patience(url, &options)).map_err(refused)?;
        greeting::judge(&welcome, options.allow_untrusted).map_err(refused)?;
        let link = wire.new_counter();
        let (connector, wire) = (Some(connector), Some(wire));
        Ok(Self { url: url.clone(), welcome, connector, wire, next_sequence: 0, link, rate: None, options })
    }

    /// What the device can take.
    pub fn limits(&self) -> Limits {
        self.welcome.limits
    }

    /// The element types that it measures.
    pub fn elements(&self) -> ElementSet {
        self.welcome.limits.elements
    }

    /// The relative accuracy that its engine states.
    pub fn tolerance(&self) -> f64 {
        self.welcome.self_test.tolerance.min(greeting::LOOSEST_TOLERANCE)
    }

    /// The device's URL.
    pub fn url(&self) -> &DeviceUrl {
        &self.url
    }

    /// How long it may be silent.
    pub(super) fn patience(&self) -> Duration {
        self.options.patience
    }

    /// The number of the open session.
    pub(super) fn session(&self) -> u32 {
        self.welcome.session
    }

    /// The number that the next chunk will get.
    pub(super) fn next_sequence(&self) -> u32 {
        self.next_sequence
    }

    /// Says which number the next chunk will get.
    pub(super) fn set_next_sequence(&mut self, sequence: u32) {
        self.next_sequence = sequence;
    }

    /// The link, if there is one.
    pub(super) fn wire(&mut self) -> Option<&mut Wire> {
        self.wire.as_mut()
    }

    /// The device as the record shows it.
    pub fn record(&self) -> record::Device {
        let test = self.welcome.self_test;
        record::Device {
            url: self.url.to_string(),
            board: self.welcome.board.clone(),
            firmware: self.welcome.firmware.clone(),
            engine: self.welcome.engine.name().into(),
            adapter: self.welcome.adapter.clone().map(|adapter| record::Adapter {
                name: adapter.name,
                backend: adapter.backend,
                kind: adapter.kind,
            }),
            self_test: record::SelfTest {
                passed: test.passed && test.max_relative_error <= test.tolerance,
                max_relative_error: test.max_relative_error.is_finite().then_some(test.max_relative_error),
                tolerance: test.tolerance.is_finite().then_some(test.tolerance),
            },
        }
    }
}

/// How the work went on the link.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Health {
    /// Chunks sent again.
    pub resent: u64,
    /// Frames that arrived damaged, at both ends.
    pub damaged: u64,
    /// Sound frames that the device could not use.
    pub dropped: u64,
    /// How often the link was lost and found again.
    pub reconnects: u64,
    /// Bytes of payload sent, as they travelled, those sent again included.
    pub sent_bytes: u64,
}

/// A number that no session on the same board had recently: it tells late answers from new ones.
pub(super) fn session_number() -> u32 {
    let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    (time.as_nanos() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(u64::from(std::process::id())) as u32
}

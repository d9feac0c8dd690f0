//! Graphics adapters: which there are, which to take, how to open one.

use core::fmt;
use std::{
    panic::catch_unwind,
    string::{String, ToString},
    vec::Vec,
};

use burn::tensor::Device;
use burn_wgpu::{RuntimeOptions, WgpuInitError, WgpuSetup, try_init_device, wgpu};
use kurtoscope_shared::protocol;
use serde_json::{Value, json};

use super::{failure::Failure, layout::UNITS};

/// Compute interfaces that are looked through. OpenGL is left out: it shows the adapters of the others once more, or a
/// software rasterizer in place of none.
const BACKENDS: wgpu::Backends = wgpu::Backends::PRIMARY;

/// Shared memory that the kernel's histogram needs, bytes.
const SHARED_BYTES: u32 = 4 * kurtoscope_shared::statistics::histogram::BINS as u32;
/// Storage buffers that the kernel and its arguments need.
const STORAGE_BUFFERS: u32 = 4;

/// A graphics adapter of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdapterDescription {
    /// The driver's name for it.
    pub name: String,
    /// `vulkan`, `metal` or `dx12`.
    pub backend: String,
    /// `discrete`, `integrated`, `virtual`, `software` or `other`.
    pub kind: &'static str,
    /// The driver's name and version, as it reports them.
    pub driver: String,
    /// Largest buffer that a kernel can read, bytes: what bounds a chunk.
    pub max_chunk_bytes: u64,
    /// Units of a workgroup.
    pub max_workgroup_units: u32,
    /// Shared memory of a workgroup, bytes.
    pub max_shared_bytes: u32,
    /// Storage buffers of a kernel.
    pub max_storage_buffers: u32,
    /// Workgroups along one dimension.
    pub max_workgroups: u32,
}

impl AdapterDescription {
    fn of(adapter: &wgpu::Adapter) -> Self {
        let (info, limits) = (adapter.get_info(), adapter.limits());
        Self {
            name: info.name,
            backend: info.backend.to_string(),
            kind: match info.device_type {
                wgpu::DeviceType::DiscreteGpu => "discrete",
                wgpu::DeviceType::IntegratedGpu => "integrated",
                wgpu::DeviceType::VirtualGpu => "virtual",
                wgpu::DeviceType::Cpu => SOFTWARE,
                wgpu::DeviceType::Other => "other",
            },
            driver: [info.driver, info.driver_info].join(" ").trim().into(),
            max_chunk_bytes: limits.max_buffer_size.min(limits.max_storage_buffer_binding_size),
            max_workgroup_units: limits.max_compute_invocations_per_workgroup.min(limits.max_compute_workgroup_size_x),
            max_shared_bytes: limits.max_compute_workgroup_storage_size,
            max_storage_buffers: limits.max_storage_buffers_per_shader_stage,
            max_workgroups: limits.max_compute_workgroups_per_dimension,
        }
    }

    /// Whether the processor stands in for graphics hardware.
    pub fn is_software(&self) -> bool {
        self.kind == SOFTWARE
    }

    /// What the adapter lacks of what the kernel needs; `None` where it lacks nothing.
    pub fn lacks(&self) -> Option<String> {
        let needs = [
            ("units in a workgroup", self.max_workgroup_units, UNITS),
            ("bytes of shared memory", self.max_shared_bytes, SHARED_BYTES),
            ("storage buffers in a kernel", self.max_storage_buffers, STORAGE_BUFFERS),
        ];
        let missing = needs.iter().find(|(_, found, needed)| found < needed);
        missing.map(|(what, found, needed)| std::format!("{found} {what} where {needed} are needed"))
    }

    /// As a device introduces it.
    pub fn introduction(&self) -> protocol::Adapter {
        protocol::Adapter { name: self.name.clone(), backend: self.backend.clone(), kind: self.kind.into() }
    }

    /// As an object for programs.
    pub fn to_json(&self) -> Value {
        json!({
            "name": self.name,
            "backend": self.backend,
            "kind": self.kind,
            "driver": self.driver,
            "max_chunk_bytes": self.max_chunk_bytes,
            "max_workgroup_units": self.max_workgroup_units,
            "max_shared_bytes": self.max_shared_bytes,
            "max_storage_buffers": self.max_storage_buffers,
            "max_workgroups": self.max_workgroups,
        })
    }
}

impl fmt::Display for AdapterDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let megabytes = self.max_chunk_bytes >> 20;
        write!(f, "{} ({}, {}, {}; chunks up to {megabytes} MiB", self.name, self.backend, self.kind, self.driver)?;
        let (units, shared) = (self.max_workgroup_units, self.max_shared_bytes >> 10);
        write!(f, ", {units} units and {shared} KiB a workgroup)")?;
        self.lacks().map_or(Ok(()), |missing| write!(f, ": cannot be used, it has {missing}"))
    }
}

/// The kind of an adapter that is a program.
const SOFTWARE: &str = "software";

/// Which adapter to take.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Choice {
    /// The first that is hardware: discrete before integrated before virtual before others.
    #[default]
    Hardware,
    /// The first whose name holds this, in any case of letters; software as well.
    Named(String),
}

impl Choice {
    /// The choice's place in `adapters`.
    fn find(&self, adapters: &[AdapterDescription]) -> Option<usize> {
        let usable = |adapter: &AdapterDescription| adapter.lacks().is_none();
        match self {
            Self::Hardware => ["discrete", "integrated", "virtual", "other"]
                .iter()
                .find_map(|kind| adapters.iter().position(|adapter| adapter.kind == *kind && usable(adapter))),
            Self::Named(name) => {
                let name = name.to_lowercase();
                adapters.iter().position(|adapter| adapter.name.to_lowercase().contains(&name) && usable(adapter))
            }
        }
    }
}

/// Why no adapter can be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// None is there.
    #[error("no graphics adapter is to be seen; is a Vulkan driver installed, and may you open /dev/dri/render*?")]
    NoAdapter,
    /// None is hardware.
    #[error("the only graphics adapters are programs, which are taken by name alone, as in --engine gpu={}: {}",
        .names.first().map(String::as_str).unwrap_or_default(), .names.join(", "))]
    SoftwareOnly {
        /// Those that are there.
        names: Vec<String>,
    },
    /// None has the name, or none that has it can be used.
    #[error("no usable graphics adapter has {wanted:?} in its name; there are: {}", .found.join(", "))]
    NotFound {
        /// As asked for.
        wanted: String,
        /// Those that are there, with what they lack.
        found: Vec<String>,
    },
    /// None that is hardware can be used.
    #[error("no graphics adapter can be used: {}", .0.join(", "))]
    NoneUsable(Vec<String>),
    /// The driver refused.
    #[error("{name} cannot be opened: {reason}")]
    Refused {
        /// The adapter.
        name: String,
        /// The driver's message.
        reason: String,
    },
}

/// Every adapter of this machine, those that cannot be used included.
pub fn adapters() -> Vec<AdapterDescription> {
    enumerate().1.iter().map(AdapterDescription::of).collect()
}

/// An adapter in use.
#[derive(Debug, Clone)]
pub(super) struct Opened {
    /// As burn sees it.
    pub(super) device: Device,
    /// As wgpu sees it.
    pub(super) handles: (wgpu::Device, wgpu::Queue),
    /// What is known of it.
    pub(super) description: AdapterDescription,
}

/// Opens the chosen adapter as a burn device.
///
/// # Errors
/// When none fits, or its driver refuses or panics.
pub(super) fn open(choice: &Choice) -> Result<Opened, OpenError> {
    catch_unwind(|| try_open(choice)).unwrap_or_else(|thrown| {
        let (name, reason) = ("the adapter".into(), Failure::from_panic(&*thrown).to_string());
        Err(OpenError::Refused { name, reason })
    })
}

fn try_open(choice: &Choice) -> Result<Opened, OpenError> {
    let (instance, adapters) = enumerate();
    let described: Vec<_> = adapters.iter().map(AdapterDescription::of).collect();
    let place = choice.find(&described).ok_or_else(|| missing(choice, &described))?;
    let (adapter, description) = (adapters[place].clone(), described[place].clone());
    let refused = |reason: String| OpenError::Refused { name: description.name.clone(), reason };
    let wanted = wgpu::DeviceDescriptor {
        required_features: adapter
            .features()
            .difference(wgpu::Features::MAPPABLE_PRIMARY_BUFFERS | wgpu::Features::all_experimental_mask()),
        required_limits: adapter.limits(),
        memory_hints: wgpu::MemoryHints::MemoryUsage,
        ..Default::default()
    };
    let (device, queue) =
        cubecl::future::block_on(adapter.request_device(&wanted)).map_err(|error| refused(error.to_string()))?;
    let (backend, handles) = (adapter.get_info().backend, (device.clone(), queue.clone()));
    let setup = WgpuSetup { instance, adapter, device, queue, backend };
    let device = RuntimeOptions::try_default()
        .and_then(|options| try_init_device(setup, options))
        .map_err(|error: WgpuInitError| refused(error.to_string()))?;
    Ok(Opened { device: device.into(), handles, description })
}

fn enumerate() -> (wgpu::Instance, Vec<wgpu::Adapter>) {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends: BACKENDS,
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    });
    let adapters = cubecl::future::block_on(instance.enumerate_adapters(BACKENDS));
    (instance, adapters)
}

fn missing(choice: &Choice, adapters: &[AdapterDescription]) -> OpenError {
    let all = || adapters.iter().map(ToString::to_string).collect();
    match choice {
        _ if adapters.is_empty() => OpenError::NoAdapter,
        Choice::Named(wanted) => OpenError::NotFound { wanted: wanted.clone(), found: all() },
        Choice::Hardware if adapters.iter().all(AdapterDescription::is_software) => {
            OpenError::SoftwareOnly { names: adapters.iter().map(|adapter| adapter.name.clone()).collect() }
        }
        Choice::Hardware => OpenError::NoneUsable(all()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adapter(name: &str, kind: &'static str) -> AdapterDescription {
        AdapterDescription {
            name: name.into(),
            backend: "vulkan".into(),
            kind,
            driver: String::new(),
            max_chunk_bytes: 1 << 27,
            max_workgroup_units: 256,
            max_shared_bytes: 16 << 10,
            max_storage_buffers: 8,
            max_workgroups: 65_535,
        }
    }

    #[test]
    fn hardware_comes_first_and_software_by_name_alone() {
        let all = [adapter("llvmpipe", SOFTWARE), adapter("Iris", "integrated"), adapter("Arc", "discrete")];
        assert_eq!(Choice::Hardware.find(&all), Some(2));
        assert_eq!(Choice::Hardware.find(&all[..2]), Some(1));
        assert_eq!(Choice::Hardware.find(&all[..1]), None);
        assert_eq!(Choice::Named("LLVM".into()).find(&all), Some(0));
        assert!(missing(&Choice::Hardware, &all[..1]).to_string().contains("gpu=llvmpipe"));
        assert!(matches!(missing(&Choice::Hardware, &[]), OpenError::NoAdapter));
    }

    #[test]
    fn adapters_that_lack_something_are_passed_over() {
        let small = AdapterDescription { max_shared_bytes: 4096, ..adapter("Small", "discrete") };
        assert_eq!(Choice::Hardware.find(&[small.clone(), adapter("Large", "discrete")]), Some(1));
        let said = missing(&Choice::Named("small".into()), &[small]).to_string();
        assert!(said.contains("4096 bytes of shared memory where 8160 are needed"), "{said}");
    }
}

//! A device that takes part in runs: the engine in this process, or one behind a link. How each works is in `local` and
//! `linked`.

use kurtoscope_shared::{
    protocol::{ElementSet, Limits, Welcome},
    statistics::StatisticKey,
};

use super::{
    failure::DeviceFailure,
    handshake::{accept, passes_self_test, stated_accuracy},
    linked::LinkedDevice,
    local,
    options::DeviceOptions,
    plan::MeasurementPlan,
    queue::{LinkStatistics, Queue},
};
use crate::{
    link::{Connector, DeviceUrl, UrlConnector},
    record,
};
use kurtoscope_checkpoint::Checkpoint;

/// A device that has answered, is trusted, and is ready.
#[derive(Debug)]
pub struct Device {
    url: DeviceUrl,
    place: Place,
}

/// Where a device computes.
#[derive(Debug)]
enum Place {
    /// In this process.
    Local(Box<Welcome>),
    /// Behind a link.
    Linked(Box<LinkedDevice>),
}

impl Device {
    /// Opens the device of this URL and does the handshake with it.
    ///
    /// Blocks until the device has answered or its time is over; a kind that starts slowly (a graphics adapter, a board in
    /// QEMU) has [`Timeouts::give_up`](super::Timeouts::give_up), others [`Timeouts::resend`](super::Timeouts::resend).
    ///
    /// # Errors
    /// When its link cannot be opened, it does not answer, or it is not to be trusted. Nothing is left open.
    pub fn open(url: &DeviceUrl, options: DeviceOptions) -> Result<Self, DeviceFailure> {
        if *url != DeviceUrl::Local {
            let connector = UrlConnector { url: url.clone(), options: options.link.clone() };
            return Self::connect(url, Box::new(connector), options);
        }
        let welcome = local::introduce();
        accept(&welcome, options.allow_untrusted).map_err(|kind| DeviceFailure::new(url, kind))?;
        Ok(Self { url: url.clone(), place: Place::Local(Box::new(welcome)) })
    }

    /// Opens a device behind a link of the caller's making; `url` is what reports call it.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn connect(
        url: &DeviceUrl,
        connector: Box<dyn Connector>,
        options: DeviceOptions,
    ) -> Result<Self, DeviceFailure> {
        let linked = LinkedDevice::open(url, connector, options)?;
        Ok(Self { url: url.clone(), place: Place::Linked(Box::new(linked)) })
    }

    fn welcome(&self) -> &Welcome {
        match &self.place {
            Place::Local(welcome) => welcome,
            Place::Linked(device) => &device.welcome,
        }
    }

    /// What the device can take.
    pub fn limits(&self) -> Limits {
        self.welcome().limits
    }

    /// The element types that it measures.
    pub fn elements(&self) -> ElementSet {
        self.limits().elements
    }

    /// The statistics that it measures.
    pub fn statistics(&self) -> &[StatisticKey] {
        &self.welcome().statistics
    }

    /// The relative accuracy that its engine states.
    pub fn tolerance(&self) -> f64 {
        stated_accuracy(self.welcome())
    }

    /// The device's URL.
    pub fn url(&self) -> &DeviceUrl {
        &self.url
    }

    /// The rate of its link, bytes of payload a second, measured now; `None` where there is no link.
    pub(super) fn measure_rate(&mut self) -> Option<f64> {
        match &mut self.place {
            Place::Local(_) => None,
            Place::Linked(device) => Some(device.measure_rate()),
        }
    }

    /// Works until the queue has nothing left to hand out and every chunk taken is measured or back in the queue. How its
    /// link fared is returned in either case.
    pub(super) fn work(
        &mut self,
        checkpoint: &Checkpoint,
        plan: &MeasurementPlan,
        queue: &Queue,
    ) -> (LinkStatistics, Result<(), DeviceFailure>) {
        let mut statistics = LinkStatistics::default();
        let outcome = match &mut self.place {
            Place::Local(_) => local::work(checkpoint, plan, queue),
            Place::Linked(device) => device.work(checkpoint, plan, queue, &mut statistics),
        };
        (statistics, outcome)
    }

    /// The device as the record shows it.
    pub fn record(&self) -> record::Device {
        let Welcome { board, firmware, engine, adapter, self_test: test, .. } = self.welcome();
        record::Device {
            url: self.url.to_string(),
            board: board.clone(),
            firmware: firmware.clone(),
            engine: engine.name().into(),
            adapter: adapter.clone().map(|adapter| record::Adapter {
                name: adapter.name,
                backend: adapter.backend,
                kind: adapter.kind,
            }),
            self_test: record::SelfTest {
                passed: passes_self_test(self.welcome()),
                max_relative_error: test.max_relative_error.is_finite().then_some(test.max_relative_error),
                tolerance: test.tolerance.is_finite().then_some(test.tolerance),
            },
        }
    }
}

//! How a run begins: cut into chunks and from nothing, or with what a journal holds of it.

use kurtoscope_shared::statistics::name_of;

use super::{
    collect::Collector,
    device::Device,
    error::AnalysisError,
    journal::{Beginning, Journal, JournalEngine, JournalEntry, JournalHeader, Resume},
    options::RunOptions,
    pace,
    plan::MeasurementPlan,
    progress::Progress,
};
use crate::record;
use kurtoscope_checkpoint::{Checkpoint, model::Family};

/// A run that is about to measure what is left of it.
#[derive(Debug)]
pub struct PreparedRun {
    /// What is measured.
    pub plan: MeasurementPlan,
    /// What is merged already.
    pub collector: Collector,
    /// The chunks that are still to be measured, in order.
    pub pending: Vec<usize>,
    /// The bytes that earlier runs measured.
    pub bytes: u64,
    /// What the devices of earlier runs did, in the order of the journal.
    pub earlier: Vec<EarlierDevice>,
}

/// A device of an earlier run.
#[derive(Debug)]
pub struct EarlierDevice {
    /// As reports show it.
    pub device: record::Device,
    /// What its engine stated as its accuracy.
    pub tolerance: f64,
    /// Chunks that it measured.
    pub chunks: u64,
    /// Bytes of those chunks.
    pub bytes: u64,
}

/// Begins a run of `checkpoint`, where the journal allows it with what an earlier one measured.
///
/// # Errors
/// [`AnalysisError::ChunkBytes`] and [`AnalysisError::CannotResume`].
pub fn start(
    checkpoint: &Checkpoint,
    family: Family,
    devices: &mut [Device],
    options: &mut RunOptions<'_>,
    progress: &mut dyn Progress,
) -> Result<PreparedRun, AnalysisError> {
    let asked = check_asked(options.chunk_bytes, devices)?;
    let wanted = devices.iter().fold(options.statistics, |wanted, device| wanted.limited_to(device.statistics()));
    let Some(journal) = options.journal.as_deref_mut() else {
        let plan = MeasurementPlan::new(checkpoint, family, asked.unwrap_or_else(|| choose(devices)), wanted);
        return Ok(PreparedRun::from_nothing(plan));
    };
    let mut header = JournalHeader {
        tool: env!("CARGO_PKG_VERSION").into(),
        statistics: wanted.keys(),
        fingerprint: checkpoint.fingerprint(),
        chunk_bytes: 0,
        plan: 0,
        engines: devices.iter().map(engine).collect(),
    };
    let objection = match journal.found() {
        Beginning::Nothing => "there is no journal of an unfinished run".into(),
        Beginning::Unreadable => "another version of kurtoscope wrote it, or its first bytes are damaged".into(),
        Beginning::Run(found) => match mismatch(found, &header, asked, devices) {
            Some(reason) => reason,
            None => {
                let plan = MeasurementPlan::new(checkpoint, family, found.chunk_bytes as usize, wanted);
                if plan.digest() == found.plan {
                    return Ok(replay(plan, journal, progress));
                }
                "its config.json, the names of its tensors or what is to be measured have changed".into()
            }
        },
    };
    let path = journal.path().display().to_string();
    if journal.resume() == Resume::Required {
        return Err(AnalysisError::CannotResume { path, reason: objection });
    }
    match journal.found() {
        Beginning::Nothing => {}
        Beginning::Run(_) => progress.notice(&format!("starting over, because {path} is of another run: {objection}")),
        Beginning::Unreadable => progress.notice(&format!("starting over, because {path} cannot be read: {objection}")),
    }
    let chunk_bytes = asked.unwrap_or_else(|| choose(devices));
    let plan = MeasurementPlan::new(checkpoint, family, chunk_bytes, wanted);
    (header.chunk_bytes, header.plan) = (chunk_bytes as u64, plan.digest());
    journal.begin(header);
    Ok(PreparedRun::from_nothing(plan))
}

impl PreparedRun {
    fn from_nothing(plan: MeasurementPlan) -> Self {
        let collector = Collector::new(&plan);
        let pending = (0..plan.chunks.len()).collect();
        Self { plan, collector, pending, bytes: 0, earlier: Vec::new() }
    }
}

/// The chunk size that was asked for, if every device takes it.
fn check_asked(asked: Option<usize>, devices: &[Device]) -> Result<Option<usize>, AnalysisError> {
    let Some(asked) = asked else { return Ok(None) };
    let smallest = devices.iter().min_by_key(|device| device.limits().max_payload).ok_or(AnalysisError::NoDevice)?;
    let most = pace::whole(smallest.limits().max_payload as usize);
    if !(8..=most).contains(&asked) {
        return Err(AnalysisError::ChunkBytes { requested: asked, url: smallest.url().to_string(), max: most });
    }
    Ok(Some(pace::whole(asked)))
}

/// The chunk size that suits all devices: the smallest of those that suit each.
fn choose(devices: &mut [Device]) -> usize {
    let each = devices.iter_mut().map(|device| {
        let rate = device.measure_rate();
        pace::chunk_bytes(device.limits().max_payload as usize, rate)
    });
    // Without devices nothing is measured, in chunks of any size.
    each.min().unwrap_or(pace::LARGEST_CHUNK)
}

fn engine(device: &Device) -> JournalEngine {
    let record = device.record();
    JournalEngine {
        kind: record.engine,
        firmware: record.firmware,
        tolerance: device.tolerance(),
        is_trusted: record.self_test.passed,
    }
}

/// Why the journal of the run `found` cannot be continued by the run `now`.
fn mismatch(found: &JournalHeader, now: &JournalHeader, asked: Option<usize>, devices: &[Device]) -> Option<String> {
    if found.fingerprint != now.fingerprint {
        return Some("it measured another checkpoint, or this one before it was changed".into());
    }
    if found.tool != now.tool {
        return Some(format!("it was begun by kurtoscope {}, this is {}", found.tool, now.tool));
    }
    if let Some(other) = now
        .statistics
        .iter()
        .find(|known| found.statistics.iter().any(|held| held.tag == known.tag && held.key != known.key))
    {
        let name = name_of(other.tag).unwrap_or_default();
        return Some(format!(
            "its statistic \"{name}\" has another form than this version's, which needs every chunk once more"
        ));
    }
    if let Some(asked) = asked.filter(|asked| *asked as u64 != found.chunk_bytes) {
        return Some(format!("it is in chunks of {} bytes, and {asked} are asked for", found.chunk_bytes));
    }
    if let Some(device) = devices.iter().find(|device| u64::from(device.limits().max_payload) < found.chunk_bytes) {
        return Some(format!(
            "it is in chunks of {} bytes, and {} takes {}",
            found.chunk_bytes,
            device.url(),
            device.limits().max_payload
        ));
    }
    // A journal of one kind of engine is not silently continued by another. Where a run began with several kinds, those
    // that are left may go on.
    let another = now.engines.iter().find(|engine| !found.engines.contains(engine))?;
    let describe = |engine: &JournalEngine| {
        let trust = if engine.is_trusted { "" } else { ", untrusted" };
        format!("{}, accurate to {:.0e}, firmware {}{trust}", engine.kind, engine.tolerance, engine.firmware)
    };
    let before: Vec<String> = found.engines.iter().map(describe).collect();
    Some(format!("it was measured by other engines ({}), and this is {}", before.join("; "), describe(another)))
}

/// Merges what the journal holds of `plan`.
fn replay(plan: MeasurementPlan, journal: &mut Journal, progress: &mut dyn Progress) -> PreparedRun {
    let mut collector = Collector::new(&plan);
    let mut done = vec![false; plan.chunks.len()];
    let mut earlier: Vec<EarlierDevice> = Vec::new();
    let mut bytes = 0;
    let end = journal.replay(|entry| match entry {
        JournalEntry::Run(_) => true,
        JournalEntry::Device { device, tolerance } => {
            earlier.push(EarlierDevice { device, tolerance, chunks: 0, bytes: 0 });
            true
        }
        JournalEntry::Measured { chunk, device, measurement } => {
            let place = usize::try_from(chunk).unwrap_or(usize::MAX);
            let (Some(planned), Some(is_done), Some(share)) =
                (plan.chunks.get(place), done.get_mut(place), earlier.get_mut(device as usize))
            else {
                return false;
            };
            if plan.check(planned, &measurement, share.tolerance).is_err() {
                return false;
            }
            if !std::mem::replace(is_done, true) {
                let length = plan.payload_len(planned) as u64;
                collector.take(&plan, planned, &measurement);
                (share.chunks, share.bytes, bytes) = (share.chunks + 1, share.bytes + length, bytes + length);
            }
            true
        }
    });
    if end.is_damaged {
        progress.notice(&format!(
            "{} is damaged at byte {}; what followed is measured again",
            journal.path().display(),
            end.valid_bytes
        ));
    }
    let pending = done.iter().enumerate().filter(|(_, is_done)| !**is_done).map(|(place, _)| place).collect();
    PreparedRun { plan, collector, pending, bytes, earlier }
}

/// Adds what the devices of earlier runs did: to their shares in this run where they take part in it again.
pub fn add_earlier(shares: &mut Vec<record::DeviceShare>, earlier: Vec<EarlierDevice>) {
    for EarlierDevice { device, chunks, bytes, .. } in earlier.into_iter().filter(|earlier| earlier.chunks > 0) {
        match shares.iter_mut().find(|share| share.device == device) {
            Some(share) => {
                share.chunks += chunks;
                share.bytes += bytes;
                share.resumed_bytes += bytes;
            }
            None => shares.push(record::DeviceShare {
                device,
                chunks,
                bytes,
                resent: 0,
                damaged: 0,
                dropped: 0,
                reconnects: 0,
                sent_bytes: 0,
                resumed_bytes: bytes,
                seconds: 0.0,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kurtoscope_shared::{
        MagnitudeHistogram, Requests,
        statistics::{Statistic, StatisticKey},
    };

    fn header(statistics: Vec<StatisticKey>) -> JournalHeader {
        JournalHeader {
            tool: "0.1.0".into(),
            statistics,
            fingerprint: "6f1c".into(),
            chunk_bytes: 4096,
            plan: 7,
            engines: Vec::new(),
        }
    }

    #[test]
    fn a_journal_whose_statistics_have_other_keys_is_not_continued() {
        let now = header(Requests::TAILS.keys());
        assert_eq!(mismatch(&now, &now, None, &[]), None);
        let mut before = now.clone();
        let histograms = before.statistics.iter_mut().filter(|held| held.tag == MagnitudeHistogram::TAG);
        histograms.for_each(|held| held.key[7] ^= 1);
        let reason = mismatch(&before, &now, None, &[]).expect("another form");
        assert_eq!(
            reason,
            "its statistic \"histogram of magnitudes\" has another form than this version's, which needs every chunk once more"
        );
    }
}

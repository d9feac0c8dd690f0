//! A device's link counters, which count since it started, reduced to what happened while this host was connected.

use kurtoscope_shared::protocol::LinkHealth;

/// The damaged and dropped frames of a device, from the first count that arrives on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LinkCounter {
    last: Option<LinkHealth>,
    damaged: u64,
    dropped: u64,
}

impl LinkCounter {
    /// For a device that has just been started, and begins at zero.
    pub fn of_a_new_device() -> Self {
        Self { last: Some(LinkHealth::default()), ..Self::default() }
    }

    /// The device says `now`. Less than before means that it was restarted.
    pub fn note(&mut self, now: LinkHealth) {
        let before = match self.last {
            Some(last) if now.damaged >= last.damaged && now.dropped >= last.dropped => last,
            Some(_) => LinkHealth::default(),
            None => now,
        };
        self.damaged += u64::from(now.damaged - before.damaged);
        self.dropped += u64::from(now.dropped - before.dropped);
        self.last = Some(now);
    }

    /// The same point, with nothing counted so far.
    #[must_use]
    pub fn from_here(self) -> Self {
        Self { last: self.last, ..Self::default() }
    }

    /// Frames that reached the device damaged.
    pub fn damaged(self) -> u64 {
        self.damaged
    }

    /// Frames that the device dropped.
    pub fn dropped(self) -> u64 {
        self.dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_happened_meanwhile_counts() {
        let health = |damaged, dropped| LinkHealth { damaged, dropped };
        let mut old = LinkCounter::default();
        for now in [health(700, 3), health(700, 3), health(702, 4)] {
            old.note(now);
        }
        assert_eq!((old.damaged(), old.dropped()), (2, 1));
        // Another conversation goes on from there, and a restart begins at zero.
        let mut next = old.from_here();
        next.note(health(703, 4));
        next.note(health(5, 0));
        next.note(health(6, 0));
        assert_eq!((next.damaged(), next.dropped()), (7, 0));
        let mut new = LinkCounter::of_a_new_device();
        new.note(health(5, 1));
        assert_eq!((new.damaged(), new.dropped()), (5, 1));
    }
}

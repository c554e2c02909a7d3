//! The timers of one virtual router, and the order of all virtual routers' next deadlines.

use crate::{Instant, VrIndex};

/// A timer of a virtual router.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Timer {
    /// `Active_Down_Timer`.
    ActiveDown,
    /// `Adver_Timer`.
    Adver,
    /// A lower-priority Active has been borne long enough.
    PreemptDelay,
    /// The second burst of announcements.
    SecondBurst,
    /// Refresh of the announcements.
    Refresh,
    /// Second burst after a lower-priority advert.
    LowerPriorityEcho,
    /// Third burst after a lower-priority advert.
    LowerPriorityBurst,
    /// The addresses are given up after a handover.
    Linger,
    /// Addresses that the kernel refused are tried again.
    Retry,
}

impl Timer {
    const ALL: [Self; 9] = [
        Self::ActiveDown,
        Self::Adver,
        Self::PreemptDelay,
        Self::SecondBurst,
        Self::Refresh,
        Self::LowerPriorityEcho,
        Self::LowerPriorityBurst,
        Self::Linger,
        Self::Retry,
    ];
}

/// One optional deadline per timer.
#[derive(Clone, Debug)]
pub(crate) struct TimerTable([Instant; Timer::ALL.len()]);

impl TimerTable {
    pub(crate) const fn new() -> Self {
        Self([Instant::FAR_FUTURE; Timer::ALL.len()])
    }

    pub(crate) fn set(&mut self, timer: Timer, at: Instant) {
        self.0[timer as usize] = at;
    }

    pub(crate) fn stop(&mut self, timer: Timer) {
        self.0[timer as usize] = Instant::FAR_FUTURE;
    }

    pub(crate) fn get(&self, timer: Timer) -> Option<Instant> {
        Some(self.0[timer as usize]).filter(|at| *at != Instant::FAR_FUTURE)
    }

    /// Every one, in their order.
    pub(crate) fn deadlines(&self) -> impl Iterator<Item = Option<Instant>> + '_ {
        Timer::ALL.into_iter().map(|timer| self.get(timer))
    }

    /// The earliest and which it is.
    pub(crate) fn next(&self) -> (Instant, Timer) {
        let mut next = (Instant::FAR_FUTURE, Timer::ActiveDown);
        for timer in Timer::ALL {
            if self.0[timer as usize] < next.0 {
                next = (self.0[timer as usize], timer);
            }
        }
        next
    }

    /// Takes out the earliest that is due.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<(Timer, Instant)> {
        let (at, timer) = self.next();
        if at > now {
            return None;
        }
        self.stop(timer);
        Some((timer, at))
    }
}

/// A binary heap over (deadline, virtual router) in which a virtual router's place is known, so that its
/// deadline can be moved. It does not allocate once every index has been seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct DeadlineHeap {
    heap: Vec<(Instant, u32)>,
    place: Vec<u32>,
}

const NOWHERE: u32 = u32::MAX;

impl DeadlineHeap {
    /// Puts the deadline of `vr` where it belongs; `FAR_FUTURE` takes it out.
    pub(crate) fn set(&mut self, vr: VrIndex, at: Instant) {
        let index = vr.0 as usize;
        if index >= self.place.len() {
            self.place.resize(index + 1, NOWHERE);
        }
        let place = self.place[index];
        if place == NOWHERE {
            if at == Instant::FAR_FUTURE {
                return;
            }
            self.heap.push((at, vr.0));
            self.up(self.heap.len() - 1);
            return;
        }
        let place = place as usize;
        if at == Instant::FAR_FUTURE {
            let last = self.heap.len() - 1;
            self.swap(place, last);
            self.heap.pop();
            self.place[index] = NOWHERE;
            if place < self.heap.len() {
                self.up(place);
                self.down(place);
            }
            return;
        }
        self.heap[place].0 = at;
        self.up(place);
        self.down(self.place[index] as usize);
    }

    /// The earliest.
    pub(crate) fn peek(&self) -> Option<(Instant, VrIndex)> {
        self.heap.first().map(|(at, vr)| (*at, VrIndex(*vr)))
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.heap.swap(a, b);
        for i in [a, b] {
            self.note_place(i);
        }
    }

    fn note_place(&mut self, i: usize) {
        let vr = self.heap[i].1 as usize;
        self.place[vr] = u32::try_from(i).unwrap_or(NOWHERE);
    }

    fn up(&mut self, mut i: usize) {
        self.note_place(i);
        while i > 0 && self.heap[i] < self.heap[(i - 1) / 2] {
            self.swap(i, (i - 1) / 2);
            i = (i - 1) / 2;
        }
    }

    fn down(&mut self, mut i: usize) {
        loop {
            let mut least = i;
            for child in [2 * i + 1, 2 * i + 2] {
                if child < self.heap.len() && self.heap[child] < self.heap[least] {
                    least = child;
                }
            }
            if least == i {
                return;
            }
            self.swap(i, least);
            i = least;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heap_agrees_with_sorting_whatever_is_set() {
        let mut heap = DeadlineHeap::default();
        let mut model = [Instant::FAR_FUTURE; 40];
        let mut x = 12_345_u64;
        for _ in 0..20_000 {
            x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let vr = usize::try_from(x >> 40).unwrap() % model.len();
            let at =
                if x.is_multiple_of(5) { Instant::FAR_FUTURE } else { Instant::from_nanos((x >> 8) % 1000) };
            model[vr] = at;
            heap.set(VrIndex(u32::try_from(vr).unwrap()), at);
            let least = model.iter().min().copied().filter(|at| *at != Instant::FAR_FUTURE);
            assert_eq!(heap.peek().map(|(at, _)| at), least);
        }
    }
}

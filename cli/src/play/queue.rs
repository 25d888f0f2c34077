//! From a thread that makes sound to the sound card's callback: a bounded queue that never blocks the
//! callback.
#![cfg_attr(not(feature = "sound"), allow(dead_code))]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use rtrb::{Consumer, Producer, RingBuffer};

/// What both ends know.
#[derive(Debug, Default)]
pub struct Shared {
    ended: AtomicBool,
    missing: AtomicU64,
}

impl Shared {
    /// Samples that were due and not there.
    pub fn missing(&self) -> u64 {
        self.missing.load(Relaxed)
    }
}

/// The maker's end.
pub struct Feed {
    ring: Producer<f32>,
    shared: Arc<Shared>,
}

/// The callback's end.
pub struct Drain {
    ring: Consumer<f32>,
    shared: Arc<Shared>,
    /// Silent until so many samples are there, or the sound has ended.
    begin_with: usize,
}

/// A queue of `capacity` samples, whose sound begins when `begin_with` are there.
pub fn queue(capacity: usize, begin_with: usize) -> (Feed, Drain, Arc<Shared>) {
    let (producer, consumer) = RingBuffer::new(capacity);
    let shared = Arc::new(Shared::default());
    (
        Feed { ring: producer, shared: shared.clone() },
        Drain { ring: consumer, shared: shared.clone(), begin_with },
        shared,
    )
}

impl Feed {
    /// Waits until `samples` are in; false if `go_on` said no.
    pub fn push(&mut self, mut samples: &[f32], go_on: &dyn Fn() -> bool) -> bool {
        while !samples.is_empty() {
            let room = self.ring.slots().min(samples.len());
            for sample in &samples[..room] {
                let _ = self.ring.push(*sample);
            }
            samples = &samples[room..];
            if samples.is_empty() {
                break;
            }
            if !go_on() || self.ring.is_abandoned() {
                return false;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        true
    }

    /// Takes what there is room for, and drops the rest: for callbacks.
    pub fn offer(&mut self, sample: f32) {
        let _ = self.ring.push(sample);
    }

    /// Nothing will follow.
    pub fn end(&self) {
        self.shared.ended.store(true, Relaxed);
    }

    /// Whether all was played.
    pub fn is_drained(&self) -> bool {
        self.ring.slots() == self.ring.buffer().capacity()
    }
}

impl Drain {
    /// The next sample; silence where it is missing.
    pub fn next(&mut self) -> f32 {
        let ended = self.shared.ended.load(Relaxed);
        if self.begin_with > 0 {
            if self.ring.slots() < self.begin_with && !ended {
                return 0.0;
            }
            self.begin_with = 0;
        }
        match self.ring.pop() {
            Ok(sample) => sample,
            Err(_) => {
                if !ended {
                    self.shared.missing.fetch_add(1, Relaxed);
                }
                0.0
            }
        }
    }

    /// Samples that are there.
    #[cfg(test)]
    pub fn waiting(&self) -> usize {
        self.ring.slots()
    }

    /// Drops the oldest until `most` are left: two cards' clocks drift.
    pub fn keep(&mut self, most: usize) {
        while self.ring.slots() > most {
            let _ = self.ring.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_sound_comes_out_in_order_after_the_wait_and_gaps_are_counted() {
        let (mut feed, mut drain, shared) = queue(8, 3);
        assert!(feed.push(&[1.0, 2.0], &|| true));
        assert_eq!([drain.next(), drain.next()], [0.0, 0.0], "too little to begin with");
        assert!(feed.push(&[3.0, 4.0], &|| true));
        assert_eq!([1.0, 2.0, 3.0, 4.0], [(); 4].map(|()| drain.next()));
        assert_eq!((drain.next(), shared.missing()), (0.0, 1));
        assert!(feed.push(&[5.0], &|| true));
        feed.end();
        assert!(!feed.is_drained());
        assert_eq!([5.0, 0.0], [drain.next(), drain.next()]);
        assert!(feed.is_drained());
        assert_eq!(shared.missing(), 1, "after the end nothing is missing");
    }

    #[test]
    fn a_full_queue_waits_until_it_is_told_not_to_and_a_callback_never_does() {
        let (mut feed, mut drain, _) = queue(4, 0);
        assert!(!feed.push(&[1.0; 9], &|| false));
        feed.offer(9.0);
        assert_eq!(drain.waiting(), 4);
        drain.keep(2);
        assert_eq!(drain.waiting(), 2);
    }

    #[test]
    fn a_thread_feeds_more_than_fits() {
        let (mut feed, mut drain, _) = queue(16, 1);
        let sound: Vec<f32> = (1..=1000).map(|v| v as f32).collect();
        let expected = sound.clone();
        let thread = std::thread::spawn(move || {
            let done = feed.push(&sound, &|| true);
            feed.end();
            done
        });
        let mut heard = Vec::new();
        while heard.len() < 1000 {
            match drain.next() {
                0.0 => std::thread::yield_now(),
                sample => heard.push(sample),
            }
        }
        assert!(thread.join().is_ok_and(|done| done));
        assert_eq!(heard, expected);
    }
}

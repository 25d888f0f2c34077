//! A thread of the plugin's own that runs [`Workshop::update`] when the audio thread or the editor asks.
//!
//! nice-plug has one background thread for all instances, but in 0.4.2 it ends for good when it meets a task
//! of an instance that is gone, and the host is then aborted when the last instance goes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, Thread};

use crate::workshop::Workshop;

/// Ends its thread when it is dropped.
pub struct Updater {
    stop: Arc<AtomicBool>,
    /// None where the system gave no thread: then changes wait for the next `activate`.
    thread: Option<JoinHandle<()>>,
}

impl Updater {
    /// Starts the thread.
    pub fn new(workshop: Arc<Workshop>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let work = move || {
            loop {
                std::thread::park();
                if stopped.load(Ordering::Acquire) {
                    return;
                }
                workshop.update();
            }
        };
        let thread = std::thread::Builder::new().name("vocoder-updater".into()).spawn(work).ok();
        Self { stop, thread }
    }

    /// Asks for an update, for the editor.
    pub fn bell(&self) -> Box<dyn Fn() + Send + Sync> {
        let thread = self.thread();
        Box::new(move || thread.iter().for_each(Thread::unpark))
    }

    /// Who is to be unparked for an update.
    pub fn thread(&self) -> Option<Thread> {
        self.thread.as_ref().map(|handle| handle.thread().clone())
    }

    fn ring(&self) {
        if let Some(handle) = &self.thread {
            handle.thread().unpark();
        }
    }
}

impl Drop for Updater {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.ring();
        if let Some(handle) = self.thread.take() {
            let _ = handle.join();
        }
    }
}

//! The most memory that this process has held.

/// Its largest resident size in bytes, since it began or since [`forget_peak`]; `None` where the system
/// doesn't tell.
pub fn peak() -> Option<u64> {
    // proc(5): VmHWM is the high-water mark of the resident set, in KiB.
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
}

/// Begins anew with what is held now. Where the system can't, the peak is that since the beginning.
pub fn forget_peak() {
    // proc(5): 5 resets the high-water mark. A kernel without it leaves a peak that is too high, never
    // too low.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_peak_outlives_what_was_held() {
        let before = peak().unwrap();
        // Other tests may free some memory meanwhile, hence the half.
        drop(std::hint::black_box(vec![1u8; 256 << 20]));
        assert!(peak().unwrap() > before + (128 << 20));
    }
}

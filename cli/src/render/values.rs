//! Values of flags.

use vocoder::sampler::Clip;

/// A limit of predictions, or none.
pub fn parse_clip(text: &str) -> Result<Clip, String> {
    match (text, text.parse::<f32>()) {
        ("none", _) => Ok(Clip::None),
        (_, Ok(limit)) if limit > 0.0 && limit.is_finite() => Ok(Clip::Signal(limit)),
        _ => Err(format!("expected a limit above 0 or none, got '{text}'")),
    }
}

/// Threads that compute.
pub fn parse_threads(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(threads @ 1..=1024) => Ok(threads),
        _ => Err(format!("expected 1 to 1024, got '{text}'")),
    }
}

/// A length of time, above 0.
pub fn parse_seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if seconds > 0.0 && seconds <= 86_400.0 => Ok(seconds),
        _ => Err(format!("expected seconds above 0, up to a day, got '{text}'")),
    }
}

//! Files that are held over the window or let go there: what they are good for, and how that shows.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::{Duration, Instant};

use egui::{Align2, Color32, Rect, Stroke, StrokeKind, Ui, vec2};

use vocoder::voice::FORMAT;

use super::Face;
use super::theme::{self, ACCENT, GROUND, TEXT, WARN};
use crate::voices;

/// How long a notice stays.
const NOTICE: Duration = Duration::from_secs(12);

/// Of a safetensors file, so much is read to tell a voice from a mel: its metadata comes first.
const HEAD_BYTES: u64 = 1 << 20;

/// What a file is to a plugin.
#[derive(Debug, PartialEq, Eq)]
pub enum Given {
    /// A voice.
    Voice,
    /// Something for the instrument to play.
    Clip,
    /// Neither: why, in a line.
    Useless(String),
}

/// What `file` is to the plugin with that face. A voice is opened where it is played: it may still be
/// damaged.
pub fn judge(file: &Path, face: &Face) -> Given {
    let takes_clips = matches!(face, Face::Instrument(_));
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    if voices::is_voice_file(file) {
        match kind_of(file) {
            Safetensors::Mel if takes_clips => return Given::Clip,
            Safetensors::Other => {
                return Given::Useless(format!("{name}: no voice is in this file"));
            }
            Safetensors::Mel => return Given::Useless(format!("{name}: a mel, not a voice")),
            Safetensors::Voice => return Given::Voice,
        }
    }
    match (takes_clips, voices::is_clip_file(file)) {
        (true, true) => Given::Clip,
        (true, false) => Given::Useless(format!(
            "{name}: expected a voice (.safetensors) or a clip (audio, or a mel as .npy or .safetensors)"
        )),
        (false, _) => Given::Useless(format!("{name}: expected a voice (.safetensors)")),
    }
}

/// What a safetensors file holds.
enum Safetensors {
    Voice,
    Mel,
    Other,
}

/// By the names in its head; that it is as long as it says is for its reader to find out.
fn kind_of(file: &Path) -> Safetensors {
    let mut head = Vec::new();
    let read = File::open(file).and_then(|file| file.take(HEAD_BYTES).read_to_end(&mut head));
    let holds = |part: &str| head.windows(part.len()).any(|bytes| bytes == part.as_bytes());
    match read {
        Ok(_) if holds(&format!("\"{FORMAT}\"")) => Safetensors::Voice,
        Ok(_) if holds("\"mel\":{\"dtype\"") => Safetensors::Mel,
        _ => Safetensors::Other,
    }
}

/// Shows what becomes of the files that are held over the window, if there are any.
pub fn paint(ui: &Ui, face: &Face) {
    let held = ui.input(|input| input.raw.hovered_files.clone());
    let Some(file) = held.iter().find_map(|file| file.path.as_deref()) else { return };
    let stem = voices::stem(file);
    let (text, colour) = match judge(file, face) {
        Given::Voice => (format!("Drop to use the voice \"{stem}\""), ACCENT),
        Given::Clip => (format!("Drop to play \"{stem}\""), ACCENT),
        Given::Useless(why) => (why, WARN),
    };
    let layer = egui::LayerId::new(egui::Order::Foreground, egui::Id::unique("vocoder drop"));
    let (painter, all) = (ui.ctx().layer_painter(layer), ui.max_rect());
    painter.rect_filled(all, 0.0, Color32::from_black_alpha(150));
    let edge = Stroke::new(3.0, colour);
    painter.rect_stroke(all.shrink(6.0), theme::ROUND, edge, StrokeKind::Inside);
    let width = (theme::width(&painter, &text, 18.0) + 48.0).min(all.width() - 48.0);
    let label = Rect::from_center_size(all.center(), vec2(width, 56.0));
    painter.rect(label, theme::ROUND, GROUND, Stroke::new(1.0, colour), StrokeKind::Inside);
    theme::text(&painter, label.shrink(20.0), Align2::CENTER_CENTER, &text, 18.0, TEXT);
}

/// A line for a while.
#[derive(Default)]
pub struct Notice(Option<(String, Instant)>);

impl Notice {
    /// Says `text` from now on.
    pub fn say(&mut self, text: String) {
        self.0 = Some((text, Instant::now()));
    }

    /// Says nothing.
    pub fn clear(&mut self) {
        self.0 = None;
    }

    /// What is said now; empty for nothing.
    pub fn text(&self) -> &str {
        match &self.0 {
            Some((text, since)) if since.elapsed() < NOTICE => text,
            _ => "",
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::path::PathBuf;
    use std::sync::Arc;

    use vocoder::mel::{Mel, MelConfig};

    use super::*;

    fn root(file: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file)
    }

    #[test]
    fn a_file_is_told_by_what_is_in_it() {
        let (effect, instrument) = (Face::Effect(Arc::default()), Face::Instrument(Arc::default()));
        let voice = root("models/speech-stream.safetensors");
        assert_eq!(judge(&voice, &effect), Given::Voice);
        assert_eq!(judge(&voice, &instrument), Given::Voice);
        let sound = root("samples/kokoro_af_heart.flac");
        assert_eq!(judge(&sound, &instrument), Given::Clip);
        let why = "kokoro_af_heart.flac: expected a voice (.safetensors)";
        assert_eq!(judge(&sound, &effect), Given::Useless(why.into()));

        let folder = std::env::temp_dir().join(format!("vocoder-drop-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let mel = folder.join("mel.safetensors");
        let config = MelConfig::default();
        let frames = vec![0.0; 2 * config.n_mels];
        vocoder::mel::file::write(&mel, &Mel::new(config, frames).unwrap()).unwrap();
        assert_eq!(judge(&mel, &instrument), Given::Clip);
        assert!(matches!(judge(&mel, &effect), Given::Useless(_)));
        let junk = folder.join("junk.safetensors");
        std::fs::write(&junk, "junk").unwrap();
        assert!(matches!(judge(&junk, &instrument), Given::Useless(_)));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}

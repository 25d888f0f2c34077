//! A list to choose a file from: small, the same on all platforms, and without a dialogue of the system,
//! which in a plugin may block the host.

use std::path::{Path, PathBuf};

use egui::{Align2, Key, Rect, ScrollArea, Sense, TextEdit, Ui, vec2};

use super::theme::{self, ACCENT, DIM, FIELD_HOVERED, TEXT};

const SIZE: egui::Vec2 = vec2(520.0, 360.0);
const LINE: f32 = 24.0;

/// What is being chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// A voice file.
    Voice,
    /// Something for the instrument to play.
    Clip,
}

/// The open list.
pub struct Files {
    wanted: Wanted,
    folder: PathBuf,
    /// The folder as a person may type it; a file's path is taken too.
    typed: String,
    folders: Vec<PathBuf>,
    files: Vec<PathBuf>,
}

/// What came of a frame.
pub enum Outcome {
    /// Nothing yet.
    Open,
    /// It was closed.
    Closed,
    /// This file.
    Chosen(PathBuf),
}

impl Files {
    /// Opens the list where `near` lies, else where the user's files are.
    pub fn open(wanted: Wanted, near: Option<&Path>) -> Self {
        let home = || std::env::var_os("HOME").or_else(|| std::env::var_os("USERPROFILE"));
        let folder = near
            .and_then(Path::parent)
            .filter(|folder| folder.is_dir())
            .map(Path::to_path_buf)
            .or_else(|| crate::voices::folder().filter(|f| wanted == Wanted::Voice && f.is_dir()))
            .or_else(|| home().map(PathBuf::from))
            .unwrap_or_else(|| PathBuf::from("/"));
        let mut files = Self {
            wanted,
            folder: PathBuf::new(),
            typed: String::new(),
            folders: Vec::new(),
            files: Vec::new(),
        };
        files.enter(folder);
        files
    }

    /// What is being chosen.
    pub fn wanted(&self) -> Wanted {
        self.wanted
    }

    /// Draws it over the window.
    pub fn show(&mut self, context: &egui::Context) -> Outcome {
        let mut outcome = Outcome::Open;
        let modal = egui::Modal::new(egui::Id::unique("vocoder files")).show(context, |ui| {
            ui.set_min_size(SIZE);
            ui.set_max_size(SIZE);
            outcome = self.ui(ui);
        });
        if modal.should_close() { Outcome::Closed } else { outcome }
    }

    fn ui(&mut self, ui: &mut Ui) -> Outcome {
        let mut outcome = Outcome::Open;
        ui.horizontal(|ui| {
            ui.label(match self.wanted {
                Wanted::Voice => "Choose a voice (.safetensors)",
                Wanted::Clip => "Choose a clip (audio or mel)",
            });
            ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                if ui.button("Close").clicked() {
                    outcome = Outcome::Closed;
                }
            });
        });
        let field = TextEdit::singleline(&mut self.typed)
            .desired_width(f32::INFINITY)
            .hint_text("A folder, or a file")
            .margin(vec2(8.0, 6.0));
        let response = ui.add(field);
        if response.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter)) {
            let typed = PathBuf::from(self.typed.trim());
            if typed.is_file() {
                return Outcome::Chosen(typed);
            }
            if typed.is_dir() {
                self.enter(typed);
            }
        }
        ui.add_space(4.0);
        let mut entered = None;
        ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            if let Some(parent) = self.folder.parent()
                && line(ui, "../  (the folder above)", true)
            {
                entered = Some(parent.to_path_buf());
            }
            for folder in &self.folders {
                if line(ui, &format!("{}/", name(folder)), true) {
                    entered = Some(folder.clone());
                }
            }
            for file in &self.files {
                if line(ui, &name(file), false) {
                    outcome = Outcome::Chosen(file.clone());
                }
            }
            if self.files.is_empty() {
                ui.add_space(8.0);
                ui.colored_label(DIM, "No such file in this folder");
            }
        });
        if let Some(folder) = entered {
            self.enter(folder);
        }
        outcome
    }

    fn enter(&mut self, folder: PathBuf) {
        let is_wanted = |file: &Path| match self.wanted {
            Wanted::Voice => crate::voices::is_voice_file(file),
            Wanted::Clip => crate::voices::is_clip_file(file),
        };
        let visible = |path: &Path| !name(path).starts_with('.');
        let mut entries: Vec<PathBuf> = std::fs::read_dir(&folder)
            .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
            .unwrap_or_default();
        entries.retain(|path| visible(path));
        entries.sort_by_key(|path| name(path).to_lowercase());
        let (folders, files): (Vec<PathBuf>, Vec<PathBuf>) =
            entries.into_iter().partition(|path| path.is_dir());
        self.folders = folders;
        self.files = files.into_iter().filter(|file| is_wanted(file)).collect();
        self.typed = folder.display().to_string();
        self.folder = folder;
    }
}

fn name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// A line of the list; true when it was clicked.
fn line(ui: &mut Ui, text: &str, is_folder: bool) -> bool {
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), LINE), Sense::click());
    if response.hovered() {
        ui.painter().rect_filled(rect, theme::ROUND_FIELD, FIELD_HOVERED);
    }
    let colour = match (response.hovered(), is_folder) {
        (true, _) => ACCENT,
        (false, true) => DIM,
        (false, false) => TEXT,
    };
    let inner = Rect::from_min_max(rect.min + vec2(8.0, 0.0), rect.max - vec2(8.0, 0.0));
    theme::text(ui.painter(), inner, Align2::LEFT_CENTER, text, theme::BODY, colour);
    response.clicked()
}

/// The files that a pasted or dropped text names: paths or `file://` addresses, one a line.
pub fn named_in(text: &str) -> Vec<PathBuf> {
    text.lines()
        .map(str::trim)
        .filter_map(|line| match line.strip_prefix("file://") {
            Some(address) => decoded(address),
            None => Some(line.to_string()),
        })
        .map(PathBuf::from)
        .filter(|path| path.is_absolute() && path.is_file())
        .collect()
}

/// `%20` and the like as the bytes that they stand for.
fn decoded(address: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(address.len());
    let mut rest = address.as_bytes();
    while let [first, tail @ ..] = rest {
        if *first == b'%' {
            let code = std::str::from_utf8(tail.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(code, 16).ok()?);
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_decoded() {
        assert_eq!(decoded("/a%20b/%C3%A4").as_deref(), Some("/a b/ä"));
        assert_eq!(decoded("/a%2"), None);
        assert_eq!(decoded("/a%zz"), None);
    }

    #[test]
    fn only_files_that_are_there_are_named() {
        let here = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        let text = format!("file://{here}\n/no/such/file\n\n{here}");
        assert_eq!(named_in(&text), [PathBuf::from(here), PathBuf::from(here)]);
    }
}

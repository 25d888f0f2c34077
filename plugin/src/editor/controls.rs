//! The four groups of controls: voice, shape, chain, output.

use egui::{Align2, Popup, Rect, ScrollArea, Ui, pos2, vec2};
use nice_plug::prelude::ParamSetter;

use super::files::Wanted;
use super::knob::knob;
use super::theme::{self, ACCENT, DIM, GAP, TEXT};
use super::{Face, choice, header};
use crate::params::Device;
use crate::voices::{self, VoiceRef};

/// Height of the row of groups.
pub const HEIGHT: f32 = 188.0;

/// Width of a knob's cell.
const CELL: f32 = 74.0;
/// Height of fields.
const FIELD: f32 = 26.0;
/// Height of a knob with its label and value.
const KNOB: f32 = 104.0;

/// What a person asked for that is more than a parameter.
pub enum Wish {
    /// This voice.
    Voice(VoiceRef),
    /// A file from the list.
    Choose(Wanted),
}

/// Draws the groups into `rect`, side by side; `about` is said of the voice.
pub fn groups(
    ui: &mut Ui,
    rect: Rect,
    face: &Face,
    about: &str,
    setter: &ParamSetter,
) -> Option<Wish> {
    let chain_knobs = if face.follow().is_some() { 4.0 } else { 3.0 };
    let card = |knobs: f32| knobs * CELL + 2.0 * GAP;
    let fixed = card(4.0) + card(chain_knobs) + card(2.0) + 3.0 * GAP;
    let voice_width = (rect.width() - fixed).clamp(190.0, 300.0);
    // What the voice does not take is shared by the knobs.
    let spare = (rect.width() - fixed - voice_width).max(0.0) / (6.0 + chain_knobs);
    let mut left = rect.left();
    let mut next = |width: f32| {
        let place = Rect::from_min_size(pos2(left, rect.top()), vec2(width, rect.height()));
        left += width + GAP;
        place
    };
    let wish = voice(ui, next(voice_width), face, about, setter);
    shape(ui, next(card(4.0) + 4.0 * spare), face, setter);
    chain(ui, next(card(chain_knobs) + chain_knobs * spare), face, setter);
    output(ui, next(card(2.0) + 2.0 * spare), face, setter);
    wish
}

fn voice(ui: &mut Ui, rect: Rect, face: &Face, about: &str, setter: &ParamSetter) -> Option<Wish> {
    let inner = theme::card(ui.painter(), rect, "Voice");
    let title =
        Rect::from_min_size(pos2(inner.left(), rect.top() + GAP), vec2(inner.width(), 16.0));
    theme::text(ui.painter(), title, Align2::RIGHT_CENTER, about, theme::SMALL, DIM);
    let chain = &face.knobs().chain;
    let (menu, rest) = inner.split_top_bottom_at_y(inner.top() + FIELD);
    let wish = voice_menu(ui, menu, &face.knobs().voice.get());
    let (quality, rest) = field(ui, rest, "Quality");
    let help = "What latency is spent on: another quality means another latency";
    choice::segments(ui, quality, &["Low", "Balanced", "Studio"], help, &chain.quality, setter);
    let (left, right) = rest.split_left_right_at_fraction(0.5);
    let (device, _) = field(ui, left.with_max_x(left.right() - 4.0), "Device");
    let gpu = if Device::GPU_BUILT {
        "Where the network is computed"
    } else {
        "Where the network is computed: this build knows the CPU only"
    };
    choice::segments(ui, device, &["CPU", "GPU"], gpu, &chain.device, setter);
    let (wait, _) = field(ui, right.with_min_x(right.left() + 4.0), "Wait");
    let help = "Auto: offline renders wait for inference. Always: for hosts that render offline without saying so";
    choice::segments(ui, wait, &["Auto", "Always"], help, &chain.wait, setter);
    wish
}

/// A label, the field below it, and what is left.
fn field(ui: &Ui, rect: Rect, label: &str) -> (Rect, Rect) {
    let top = rect.top() + 6.0;
    let line = Rect::from_min_size(pos2(rect.left(), top), vec2(rect.width(), 16.0));
    theme::text(ui.painter(), line, Align2::LEFT_CENTER, label, theme::SMALL, DIM);
    let field = Rect::from_min_size(line.left_bottom() + vec2(0.0, 1.0), vec2(rect.width(), FIELD));
    (field, rect.with_min_y(field.bottom()))
}

fn voice_menu(ui: &mut Ui, rect: Rect, current: &VoiceRef) -> Option<Wish> {
    let response = header::menu_button(ui, rect, &current.name, "Voice");
    let mut wish = None;
    Popup::menu(&response).width(rect.width().max(240.0)).show(|ui| {
        ScrollArea::vertical().max_height(320.0).show(ui, |ui| {
            for voice in voices::all() {
                let is_current = voice.name == current.name && voice.file == current.file;
                let colour = if is_current { ACCENT } else { TEXT };
                if ui.button(egui::RichText::new(&voice.name).color(colour)).clicked() {
                    wish = Some(Wish::Voice(voice));
                    ui.close();
                }
            }
            ui.separator();
            if ui.button("Choose a file\u{2026}").clicked() {
                wish = Some(Wish::Choose(Wanted::Voice));
                ui.close();
            }
            if let Some(folder) = voices::folder() {
                let note = format!("Voices in {} are listed here", folder.display());
                ui.label(egui::RichText::new(note).color(DIM).size(theme::SMALL));
            }
        });
    });
    wish
}

fn shape(ui: &mut Ui, rect: Rect, face: &Face, setter: &ParamSetter) {
    let inner = theme::card(ui.painter(), rect, "Shape");
    let shape = &face.knobs().shape;
    let mut cells = Cells::new(inner, 4);
    knob(ui, cells.next(), "Pitch", "Moves harmonics, keeps the envelope", &shape.pitch, setter);
    knob(
        ui,
        cells.next(),
        "Formant",
        "Moves the envelope, keeps the pitch",
        &shape.formant,
        setter,
    );
    knob(ui, cells.next(), "Tilt", "Brighter or darker, around 1 kHz", &shape.tilt, setter);
    knob(ui, cells.next(), "Smear", "Lets the mel linger", &shape.smear, setter);
    let help = "Holds the mel of the moment";
    choice::switch(ui, below(inner), "Freeze", help, &shape.freeze, setter);
}

fn chain(ui: &mut Ui, rect: Rect, face: &Face, setter: &ParamSetter) {
    let inner = theme::card(ui.painter(), rect, "Chain");
    let chain = &face.knobs().chain;
    let mut cells = Cells::new(inner, if face.follow().is_some() { 4 } else { 3 });
    knob(ui, cells.next(), "Steps", "From noise to sound in so many steps", &chain.steps, setter);
    let help = "How strong the noise is; 1 is what the voice was trained on";
    knob(ui, cells.next(), "Temperature", help, &chain.temperature, setter);
    if let Some(follow) = face.follow() {
        let help = "Starts from noise (0 %), or ever nearer to the input's own waveform";
        knob(ui, cells.next(), "Follow", help, follow, setter);
    }
    knob(ui, cells.next(), "Seed", "Selects the noise", &chain.seed, setter);
    let help = "Fixed: the same in each pass. Running: another seed each time";
    choice::segments(
        ui,
        below(inner),
        &["Fixed seed", "Running seed"],
        help,
        &chain.seed_mode,
        setter,
    );
}

fn output(ui: &mut Ui, rect: Rect, face: &Face, setter: &ParamSetter) {
    let inner = theme::card(ui.painter(), rect, "Output");
    let output = &face.knobs().output;
    let mut cells = Cells::new(inner, 2);
    knob(ui, cells.next(), "Mix", "Dry to wet, aligned to the sample", &output.mix, setter);
    knob(ui, cells.next(), "Gain", "After the mix", &output.gain, setter);
    let line = below(inner);
    let hint = "Right-click resets";
    theme::text(ui.painter(), line, Align2::CENTER_CENTER, hint, theme::SMALL, DIM);
}

/// The line below the knobs of a card.
fn below(inner: Rect) -> Rect {
    Rect::from_min_max(pos2(inner.left(), inner.bottom() - FIELD), inner.max)
}

/// Equal places for knobs.
struct Cells {
    left: f32,
    top: f32,
    width: f32,
}

impl Cells {
    fn new(inner: Rect, count: usize) -> Self {
        Self { left: inner.left(), top: inner.top(), width: inner.width() / count as f32 }
    }

    fn next(&mut self) -> Rect {
        let cell = Rect::from_min_size(pos2(self.left, self.top), vec2(self.width, KNOB));
        self.left += self.width;
        cell
    }
}

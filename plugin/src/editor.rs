//! The window: what comes in and goes out as mel spectrograms, the way from noise to sound, meters, and
//! every control.
//!
//! Places are computed from the window's size, so that nothing overlaps; what grows are the pictures.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use egui::{Rect, Ui, vec2};
use nice_plug::context::gui::GuiContext;
use nice_plug::prelude::{FloatParam, ParamSetter};

mod choice;
mod controls;
mod drop;
mod files;
mod header;
mod keyboard;
mod knob;
mod level_path;
mod mel_view;
mod meters;
mod theme;

use crate::pane::{Contents, Pane};
use crate::params::{Device, EffectParams, InstrumentParams, Knobs};
use crate::presets::{self, Preset};
use crate::voices::{Clip, VoiceRef};
use crate::workshop::Workshop;
use controls::Wish;
use drop::{Given, Notice};
use files::{Files, Outcome, Wanted};
use keyboard::Keyboard;
use mel_view::{Axis, MelView};
use meters::Meters;

/// Width and height of the effect's new window, in points.
pub const EFFECT_SIZE: (f32, f32) = (1180.0, 740.0);
/// The instrument's has a keyboard.
pub const INSTRUMENT_SIZE: (f32, f32) = (1180.0, 860.0);
/// The smallest window.
const LEAST_SIZE: (f32, f32) = (1060.0, 640.0);

/// Which of the two plugins the window belongs to.
pub enum Face {
    /// The effect.
    Effect(Arc<EffectParams>),
    /// The instrument.
    Instrument(Arc<InstrumentParams>),
}

impl Face {
    /// What both plugins have.
    pub fn knobs(&self) -> &Arc<Knobs> {
        match self {
            Self::Effect(params) => &params.knobs,
            Self::Instrument(params) => &params.knobs,
        }
    }

    /// The effect's parameter of that name.
    pub fn follow(&self) -> Option<&FloatParam> {
        match self {
            Self::Effect(params) => Some(&params.start.follow),
            Self::Instrument(_) => None,
        }
    }

    /// The presets for it.
    pub fn presets(&self) -> &'static [Preset] {
        match self {
            Self::Effect(_) => presets::EFFECT,
            Self::Instrument(_) => presets::INSTRUMENT,
        }
    }

    /// What the upper picture shows.
    pub fn source(&self) -> &'static str {
        match self {
            Self::Effect(_) => "Input",
            Self::Instrument(_) => "Notes",
        }
    }

    /// In a word.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Effect(_) => "effect",
            Self::Instrument(_) => "instrument",
        }
    }
}

/// Asks the host's background thread for [`Workshop::update`].
pub type Update = Box<dyn Fn() + Send>;

/// The window of one plugin.
pub struct Window {
    face: Face,
    workshop: Arc<Workshop>,
    update: Update,
    host: Option<GuiContext>,
    input: MelView,
    output: MelView,
    axis: Axis,
    meters: Meters,
    keyboard: Keyboard,
    files: Option<Files>,
    /// The place of the preset that was set last.
    preset: usize,
    /// What there is to say of a file that was given and can't be used.
    notice: Notice,
}

/// The editor of a plugin.
pub fn create(face: Face, workshop: Arc<Workshop>, update: Update) -> Option<Pane<Window>> {
    let (title, knobs) = (format!("Vocoder {}", face.kind()), Arc::clone(face.knobs()));
    Some(Pane::new(title, knobs, LEAST_SIZE, Window::new(face, workshop, update)))
}

impl Window {
    fn new(face: Face, workshop: Arc<Workshop>, update: Update) -> Self {
        Self {
            face,
            workshop,
            update,
            host: None,
            input: MelView::new("input"),
            output: MelView::new("output"),
            axis: Axis::default(),
            meters: Meters::default(),
            keyboard: Keyboard::default(),
            files: None,
            preset: 0,
            notice: Notice::default(),
        }
    }

    fn contents(&mut self, ui: &mut Ui, setter: &ParamSetter) {
        let gap = theme::GAP;
        let all = ui.max_rect().shrink(gap);
        let (head, rest) = all.split_top_bottom_at_y(all.top() + header::HEIGHT);
        let (rest, foot) = rest.split_top_bottom_at_y(rest.bottom() - header::FOOT);
        let rest = Rect::from_min_max(rest.min + vec2(0.0, 4.0), rest.max - vec2(0.0, 6.0));
        header::header(ui, head, &self.face, &mut self.preset, setter);
        header::foot(ui, foot, &self.workshop, self.notice.text());
        let rest = match &self.face {
            Face::Effect(_) => rest,
            Face::Instrument(params) => {
                let top = rest.bottom() - keyboard::HEIGHT;
                let (above, strip) = rest.split_top_bottom_at_y(top);
                if self.keyboard.ui(ui, strip, params, &self.workshop, setter) {
                    let near = params.clip.get().file;
                    self.files = Some(Files::open(Wanted::Clip, near.as_deref()));
                }
                above.with_max_y(above.bottom() - gap)
            }
        };
        let (pictures, row) = rest.split_top_bottom_at_y(rest.bottom() - controls::HEIGHT);
        match controls::groups(ui, row, &self.face, &self.axis.about(), setter) {
            Some(Wish::Voice(voice)) => self.choose_voice(voice),
            Some(Wish::Choose(wanted)) => {
                let near = self.face.knobs().voice.get().file;
                self.files = Some(Files::open(wanted, near.as_deref()));
            }
            None => {}
        }
        self.pictures(ui, pictures.with_max_y(pictures.bottom() - gap));
    }

    fn pictures(&mut self, ui: &Ui, rect: Rect) {
        let gap = theme::GAP;
        let right_width = (0.27 * rect.width()).clamp(280.0, 380.0);
        let (left, right) = rect.split_left_right_at_x(rect.right() - right_width);
        let painter = ui.painter();
        let mels = theme::card(painter, left.with_max_x(left.right() - gap), "");
        let (above, below) = mels.split_top_bottom_at_fraction(0.5);
        let above = above.with_max_y(above.bottom() - 0.5 * gap);
        let below = below.with_min_y(below.top() + 0.5 * gap);
        self.input.paint(painter, above, self.face.source(), &self.axis);
        self.output.paint(painter, below, "Output", &self.axis);

        let meters_height = (meters::HEIGHT + 22.0 + 2.0 * gap).min(0.6 * right.height());
        let (path, meters) = right.split_top_bottom_at_y(right.bottom() - meters_height);
        let path = theme::card(
            painter,
            path.with_max_y(path.bottom() - gap),
            "Noise to sound: SNR in dB, by step",
        );
        level_path::paint(painter, path, &self.workshop.telemetry.levels());
        let meters = theme::card(painter, meters, "Worker");
        let device = match self.face.knobs().chain.device.value() {
            Device::Gpu if Device::GPU_BUILT => "GPU",
            _ => "CPU",
        };
        self.meters.paint(painter, meters, &self.workshop.telemetry, device);
    }

    /// Takes over what was chosen from the list of files.
    fn file_list(&mut self, context: &egui::Context) {
        let Some(files) = &mut self.files else { return };
        let wanted = files.wanted();
        match files.show(context) {
            Outcome::Open => {}
            Outcome::Closed => self.files = None,
            Outcome::Chosen(file) => {
                self.files = None;
                match wanted {
                    Wanted::Voice => self.choose_voice(VoiceRef::of_file(&file)),
                    Wanted::Clip => self.choose_clip(&file),
                }
            }
        }
    }

    /// Files that were dropped on the window, or copied in a file manager and pasted here.
    fn files_given(&mut self, ui: &Ui) {
        let dropped: Vec<PathBuf> = ui.input(|input| {
            input.raw.dropped_files.iter().map(|file| file.path().to_path_buf()).collect()
        });
        let pasted: Vec<PathBuf> = if is_typing(ui) {
            Vec::new()
        } else {
            let named = |event: &egui::Event| match event {
                egui::Event::Paste(text) => files::named_in(text),
                _ => Vec::new(),
            };
            ui.input(|input| input.events.iter().flat_map(named).collect())
        };
        for file in dropped.into_iter().chain(pasted) {
            match drop::judge(&file, &self.face) {
                Given::Voice => {
                    self.files = None;
                    self.choose_voice(VoiceRef::of_file(&file));
                }
                Given::Clip => {
                    self.files = None;
                    self.choose_clip(&file);
                }
                Given::Useless(why) => self.notice.say(why),
            }
        }
    }

    fn choose_voice(&mut self, voice: VoiceRef) {
        self.notice.clear();
        self.face.knobs().voice.put(voice);
        (self.update)();
    }

    fn choose_clip(&mut self, file: &Path) {
        self.notice.clear();
        if let Face::Instrument(params) = &self.face {
            params.clip.put(Clip { file: Some(file.into()) });
            (self.update)();
        }
    }
}

impl Contents for Window {
    fn opened(&mut self, context: &egui::Context, host: GuiContext) {
        theme::apply(context);
        self.host = Some(host);
    }

    fn ui(&mut self, ui: &mut Ui) {
        let Some(host) = self.host.clone() else { return };
        if let Some(remote) = self.workshop.remote() {
            self.axis.follow(remote.mel());
            for frame in remote.take_mels() {
                self.input.push(ui.ctx(), &frame.input, &self.axis);
                self.output.push(ui.ctx(), &frame.output, &self.axis);
            }
        }
        ui.painter().rect_filled(ui.max_rect(), 0.0, theme::GROUND);
        self.files_given(ui);
        self.contents(ui, &host.param_setter());
        self.file_list(&ui.ctx().clone());
        drop::paint(ui, &self.face);
    }

    fn closed(&mut self) {
        self.host = None;
        self.input.close();
        self.output.close();
        self.files = None;
    }
}

/// Whether a text field has the keyboard.
fn is_typing(ui: &Ui) -> bool {
    ui.memory(|memory| memory.focused().is_some())
}

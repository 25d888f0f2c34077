//! The window: what comes in and goes out as mel spectrograms, the way from noise to sound, meters, and
//! every control.
//!
//! Places are computed from the window's size, so that nothing overlaps; what grows are the pictures.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use egui::{Rect, Ui, vec2};
use nice_plug::context::gui::GuiContext;
use nice_plug::editor::dpi::LogicalSize;
use nice_plug::prelude::{FloatParam, ParamSetter, ResizeHint};
use nice_plug_egui::{
    EguiEditor, EguiEditorState, EguiNiceSettings, Frame, KeyCapture, NiceEguiApp, RepaintNotifier,
    baseview, create_egui_editor,
};

mod choice;
mod controls;
mod files;
mod header;
mod keyboard;
mod knob;
mod level_path;
mod mel_view;
mod meters;
mod theme;

use crate::params::{Device, EffectParams, InstrumentParams, Knobs};
use crate::presets::{self, Preset};
use crate::voices::{self, Clip, VoiceRef};
use crate::workshop::Workshop;
use controls::Wish;
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

/// Between two frames while sound runs: 30 a second.
const FRAME: Duration = Duration::from_millis(33);

/// Which of the two plugins the window belongs to.
pub enum Face {
    /// The effect.
    Effect(Arc<EffectParams>),
    /// The instrument.
    Instrument(Arc<InstrumentParams>),
}

impl Face {
    /// What both plugins have.
    pub fn knobs(&self) -> &Knobs {
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
    /// The window has the size that was saved.
    is_sized: bool,
}

/// The editor of a plugin.
pub fn create(face: Face, workshop: Arc<Workshop>, update: Update) -> Option<EguiEditor<Window>> {
    let (width, height) = face.knobs().window.get();
    let least = LogicalSize::new(LEAST_SIZE.0, LEAST_SIZE.1);
    let settings = EguiNiceSettings::new()
        .with_tile(format!("Vocoder {}", face.kind()))
        .with_resize_hint(ResizeHint::resizable().with_min_logical_size(least));
    let size = EguiEditorState::from_size(LogicalSize::new(width, height), 1.0);
    create_egui_editor(size, RepaintNotifier::new(), settings, Window::new(face, workshop, update))
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
            is_sized: false,
        }
    }

    fn contents(&mut self, ui: &mut Ui, setter: &ParamSetter) {
        let gap = theme::GAP;
        let all = ui.max_rect().shrink(gap);
        let (head, rest) = all.split_top_bottom_at_y(all.top() + header::HEIGHT);
        let (rest, foot) = rest.split_top_bottom_at_y(rest.bottom() - header::FOOT);
        let rest = Rect::from_min_max(rest.min + vec2(0.0, 4.0), rest.max - vec2(0.0, 6.0));
        header::header(ui, head, &self.face, &mut self.preset, setter);
        header::foot(ui, foot, &self.workshop);
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

    /// Files that were copied in a file manager and pasted here.
    ///
    /// Note: egui-baseview 0.9 passes no dropped files on, though baseview itself reports them; egui's
    /// own event is read all the same, for when it does. What is pasted it reports as typed text.
    fn files_given(&mut self, ui: &Ui) {
        if is_typing(ui) {
            return;
        }
        let given: Vec<PathBuf> = ui.input(|input| {
            let dropped = input.raw.dropped_files.iter().map(|file| file.path().to_path_buf());
            let pasted = input.events.iter().filter_map(|event| match event {
                egui::Event::Paste(text) | egui::Event::Text(text) => Some(files::named_in(text)),
                _ => None,
            });
            dropped.chain(pasted.flatten()).collect()
        });
        for file in given {
            if voices::is_voice_file(&file) {
                self.choose_voice(VoiceRef::of_file(&file));
            } else if voices::is_clip_file(&file) {
                self.choose_clip(&file);
            }
        }
    }

    fn choose_voice(&self, voice: VoiceRef) {
        self.face.knobs().voice.put(voice);
        (self.update)();
    }

    fn choose_clip(&self, file: &Path) {
        if let Face::Instrument(params) = &self.face {
            params.clip.put(Clip { file: Some(file.into()) });
            (self.update)();
        }
    }

    /// Asks for the size that was saved: a project is loaded after the editor was made.
    fn restore_size(&mut self, ui: &Ui) {
        if self.is_sized {
            return;
        }
        self.is_sized = true;
        let (width, height) = self.face.knobs().window.get();
        let now = ui.max_rect().size();
        if (now.x - width).abs() > 1.0 || (now.y - height).abs() > 1.0 {
            let size = vec2(width.max(LEAST_SIZE.0), height.max(LEAST_SIZE.1));
            ui.send_viewport_cmd(egui::ViewportCommand::InnerSize(size));
        }
    }
}

impl NiceEguiApp for Window {
    fn build(
        &mut self,
        context: egui::Context,
        host: GuiContext,
        _frame: &mut Frame,
    ) -> Result<(), baseview::HandlerError> {
        theme::apply(&context);
        self.host = Some(host);
        self.is_sized = false;
        Ok(())
    }

    fn ui(&mut self, ui: &mut Ui, frame: &mut Frame) {
        let Some(host) = self.host.clone() else { return };
        self.restore_size(ui);
        // Keys are the host's (its space bar starts and stops) unless somebody types here.
        frame.set_key_capture(if is_typing(ui) {
            KeyCapture::CaptureAll
        } else {
            KeyCapture::IgnoreAll
        });
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
        ui.request_repaint_after(FRAME);
    }

    fn resized(&mut self, size: baseview::WindowSize) {
        // Before the first frame it is the size of a new window, not one that somebody chose.
        if self.is_sized {
            self.face.knobs().window.put((size.logical.width as f32, size.logical.height as f32));
        }
    }

    fn editor_closed(&mut self) {
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

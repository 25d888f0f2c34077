//! The pane: an egui window in a host's window, or of its own. It is baseview (window and events) and
//! egui_glow (OpenGL) under nice-plug's [`Editor`].
//!
//! Note: nice-plug-egui would be this module, but egui-baseview beneath it drops the drag-and-drop events
//! that baseview has, lets nobody else at them, and panics where OpenGL fails.

use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use baseview::dpi::Size;
use baseview::gl::GlConfig;
use baseview::host::{Host, HostCallbacks, HostMainThreadCaller};
use baseview::{HandlerError, Window, WindowSettings, WindowSize};
use nice_plug::context::gui::GuiContext;
use nice_plug::editor::dpi::{LogicalSize, NativeSize};
use nice_plug::editor::{
    self, Editor, EditorHandle, HostMethods, ParentWindowHandle, ResizeHint, SpawnedEditor,
};

mod canvas;
mod handler;
mod input;

use handler::Handler;

use crate::params::Knobs;

/// What a pane shows. It outlives the window: a host opens and closes that as it likes.
pub trait Contents: Send + 'static {
    /// A window was opened, whose widgets live in `context`.
    fn opened(&mut self, context: &egui::Context, host: GuiContext);

    /// Draws a frame.
    fn ui(&mut self, ui: &mut egui::Ui);

    /// The window was closed: what belongs to its context is to be dropped.
    fn closed(&mut self);
}

/// A window that a host may open.
pub struct Pane<C> {
    title: String,
    /// Width and height of the smallest window, in points.
    least: (f32, f32),
    sizes: Arc<Sizes>,
    contents: Arc<Mutex<C>>,
}

/// What the window's thread and the host's both know.
struct Sizes {
    /// Have the window's width and height in points, which are saved with a project.
    knobs: Arc<Knobs>,
    /// Pixels of a point, as bits: 1 until a window says otherwise.
    scale: AtomicU64,
}

impl Sizes {
    fn scale(&self) -> f64 {
        f64::from_bits(self.scale.load(Relaxed))
    }

    /// The window has another size, or was moved to another screen.
    fn follow(&self, size: WindowSize) {
        self.scale.store(size.scale_factor.to_bits(), Relaxed);
        let now = (size.logical.width as f32, size.logical.height as f32);
        let before = self.knobs.window.get();
        // What comes back from whole pixels is not quite what was asked for.
        if (now.0 - before.0).abs() > 1.0 || (now.1 - before.1).abs() > 1.0 {
            self.knobs.window.put(now);
        }
    }
}

impl<C: Contents> Pane<C> {
    /// A window of the size that `knobs` hold, which follows it.
    pub fn new(title: String, knobs: Arc<Knobs>, least: (f32, f32), contents: C) -> Self {
        let sizes = Arc::new(Sizes { knobs, scale: AtomicU64::new(1f64.to_bits()) });
        Self { title, least, sizes, contents: Arc::new(Mutex::new(contents)) }
    }

    fn points(&self) -> LogicalSize<f32> {
        let (width, height) = self.sizes.knobs.window.get();
        LogicalSize::new(width.max(self.least.0), height.max(self.least.1))
    }
}

impl<C: Contents> Editor for Pane<C> {
    type Handle = PaneHandle;

    fn spawn(
        &self,
        parent: Option<ParentWindowHandle>,
        wait_for_parent: bool,
        fallback_scale_factor: Option<f64>,
        gui_context: GuiContext,
        host: Option<HostMethods>,
    ) -> Result<SpawnedEditor<PaneHandle>, Box<dyn Error>> {
        let settings = WindowSettings::new()
            .with_title(self.title.clone())
            .with_size(self.points())
            .with_min_size(Size::from(LogicalSize::new(self.least.0, self.least.1)))
            .with_resizable(true)
            .with_parent(parent.as_ref())
            .with_wait_for_parent(wait_for_parent)
            .with_fallback_scale_factor(fallback_scale_factor)
            .with_gl_config(GlConfig::default());
        let (contents, sizes) = (Arc::clone(&self.contents), Arc::clone(&self.sizes));
        let build = move |window| Handler::new(window, contents, sizes, gui_context);
        let window = Window::create_with_host(settings, build, host.map(host_of))?;
        Ok(SpawnedEditor { handle: PaneHandle { hint: self.resize_hint() }, window })
    }

    fn size(&self) -> NativeSize<u32> {
        NativeSize::from_size(self.points().into(), self.sizes.scale())
    }

    fn resize_hint(&self) -> ResizeHint {
        ResizeHint::resizable().with_min_logical_size(LogicalSize::new(self.least.0, self.least.1))
    }

    unsafe fn assume_standalone_in_process(&self) {
        // SAFETY: the two have the same contract.
        unsafe { baseview::assume_standalone_in_process() }
    }
}

/// nice-plug's two halves of a host as baseview's: the traits are the same.
fn host_of(host: HostMethods) -> Host {
    struct Callbacks(Box<dyn editor::HostCallbacks>);
    impl HostCallbacks for Callbacks {
        fn request_resize(&mut self, size: WindowSize) -> Result<(), HandlerError> {
            let asked = self.0.request_resize(size.physical.into(), size.scale_factor);
            asked.map_err(HandlerError::from_boxed)
        }

        fn destroyed(&mut self) {
            self.0.destroyed();
        }
    }
    struct Caller(Box<dyn editor::HostMainThreadCaller>);
    impl HostMainThreadCaller for Caller {
        fn call_main_thread(&mut self) {
            self.0.call_main_thread();
        }
    }
    Host::new()
        .with_callbacks(Callbacks(host.callbacks))
        .with_main_thread(Caller(host.main_thread_caller))
}

/// The host's hold on an open window.
pub struct PaneHandle {
    hint: ResizeHint,
}

impl EditorHandle for PaneHandle {
    type Window = Window;
    type Error = baseview::Error;

    fn run_until_closed(window: Window) -> Result<(), baseview::Error> {
        window.run_until_closed()
    }

    fn set_parent(
        &self,
        parent: ParentWindowHandle,
        window: &Window,
    ) -> Result<(), baseview::Error> {
        window.set_parent(&parent)
    }

    fn show(&self, window: &Window) -> Result<(), baseview::Error> {
        window.show()
    }

    fn hide(&self, window: &Window) -> Result<(), baseview::Error> {
        window.hide()
    }

    fn set_size(&self, size: NativeSize<u32>, window: &Window) -> Result<(), baseview::Error> {
        window.resize(size)
    }

    fn host_main_thread_callback(&self, window: &Window) {
        window.host_main_thread_callback();
    }

    fn adjust_size(&self, size: NativeSize<u32>, window: &Window) -> Option<NativeSize<u32>> {
        let now = window.size();
        let current = NativeSize::from_logical_or_physical(now.logical, now.physical);
        Some(self.hint.adjust_size(size, current, now.scale_factor))
    }

    fn set_fallback_scale_factor(
        &self,
        scale_factor: f64,
        window: &Window,
    ) -> Result<(), baseview::Error> {
        window.suggest_fallback_scale_factor(scale_factor)
    }

    // A frame that shows the new value comes with the next tick of the window's clock.
    fn param_value_changed(&self, _id: &str, _normalized_value: f32) {}

    fn param_modulation_changed(&self, _id: &str, _modulation_offset: f32) {}
}

/// The contents, also after a panic in a frame: what they show is the plugin's, not theirs.
fn lock<C>(contents: &Mutex<C>) -> std::sync::MutexGuard<'_, C> {
    contents.lock().unwrap_or_else(PoisonError::into_inner)
}

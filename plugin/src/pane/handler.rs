//! What a window does when it is asked to draw, or when something happens to it.

use std::cell::{Cell, RefCell};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use baseview::{
    DropEffect, Event, EventStatus, HandlerError, MouseCursor, MouseEvent, TimerHandle,
    WindowContext, WindowHandler, WindowSize,
};
use copypasta::{ClipboardContext, ClipboardProvider};
use nice_plug::context::gui::GuiContext;

use super::canvas::Canvas;
use super::input::{Input, Wish, cursor};
use super::{Contents, Sizes, lock};

/// Between two frames at rest: 30 a second. Whatever happens in the window is drawn at once.
const FRAME: Duration = Duration::from_millis(33);

/// One open window.
///
/// baseview may call again while it is called, so nothing stays borrowed across a call to the window.
pub struct Handler<C: Contents> {
    window: WindowContext,
    context: egui::Context,
    contents: Arc<Mutex<C>>,
    sizes: Arc<Sizes>,
    canvas: RefCell<Canvas>,
    input: RefCell<Input>,
    /// Opened when it is first needed.
    clipboard: RefCell<Option<ClipboardContext>>,
    cursor: Cell<MouseCursor>,
    began: Instant,
    /// Ticks once a [`FRAME`]. On X11 it stops when this is dropped.
    _clock: TimerHandle,
}

impl<C: Contents> Handler<C> {
    /// The handler of `window`.
    ///
    /// # Errors
    /// There is no OpenGL, or no timer.
    pub fn new(
        window: WindowContext,
        contents: Arc<Mutex<C>>,
        sizes: Arc<Sizes>,
        host: GuiContext,
    ) -> Result<Self, HandlerError> {
        let canvas = Canvas::new(&window)?;
        let context = egui::Context::default();
        // The pictures grow with the window; a zoom beside that would make the least size wrong.
        context.options_mut(|options| options.zoom_with_keyboard = false);
        let waker = window.waker();
        context.set_request_repaint_callback(move |asked| waker.request_redraw_after(asked.delay));
        let clock = window.create_timer(FRAME)?;
        sizes.follow(window.size());
        let input = RefCell::new(Input::new(canvas.max_texture_side()));
        lock(&contents).opened(&context, host);
        Ok(Self {
            window,
            context,
            contents,
            sizes,
            canvas: RefCell::new(canvas),
            input,
            clipboard: RefCell::new(None),
            cursor: Cell::new(MouseCursor::Default),
            began: Instant::now(),
            _clock: clock,
        })
    }

    fn with_clipboard<T>(
        &self,
        work: impl FnOnce(&mut ClipboardContext) -> Option<T>,
    ) -> Option<T> {
        let mut clipboard = self.clipboard.borrow_mut();
        if clipboard.is_none() {
            *clipboard = ClipboardContext::new().ok();
        }
        clipboard.as_mut().and_then(work)
    }
}

impl<C: Contents> WindowHandler for Handler<C> {
    fn draw(&self) -> Result<(), HandlerError> {
        let size = self.window.size();
        let input = self.input.borrow_mut().take(size, self.began.elapsed());
        let mut output = self.context.run_ui(input, |ui| lock(&self.contents).ui(ui));
        let pixels_per_point = output.pixels_per_point;
        let primitives = self.context.tessellate(output.shapes, pixels_per_point);
        let pixels = [size.physical.width, size.physical.height];
        self.canvas.borrow_mut().paint(
            pixels,
            pixels_per_point,
            &primitives,
            &mut output.textures_delta,
        )?;
        for command in output.platform_output.commands {
            if let egui::OutputCommand::CopyText(text) = command {
                self.with_clipboard(|clipboard| clipboard.set_contents(text).ok());
            }
        }
        let cursor = cursor(output.platform_output.cursor_icon);
        if self.cursor.replace(cursor) != cursor {
            self.window.set_mouse_cursor(cursor)?;
        }
        Ok(())
    }

    fn resized(&self, size: WindowSize) -> Result<(), HandlerError> {
        self.sizes.follow(size);
        Ok(())
    }

    fn on_event(&self, event: Event) -> EventStatus {
        if matches!(event, Event::Mouse(MouseEvent::ButtonPressed { .. }))
            && !self.window.has_focus()
        {
            // Hosts do not give a window in theirs the keyboard when it is clicked. One that can't
            // have it still has the mouse.
            let _ = self.window.focus();
        }
        let scale = self.window.scale_factor();
        let wish = self.input.borrow_mut().happened(&event, scale);
        self.window.request_redraw();
        match wish {
            Wish::Paste => {
                if let Some(text) = self.with_clipboard(|clipboard| clipboard.get_contents().ok()) {
                    self.input.borrow_mut().paste(text);
                }
            }
            Wish::Drop => return EventStatus::AcceptDrop(DropEffect::Copy),
            Wish::None => {}
        }
        // Keys are the host's (its space bar starts and stops) unless somebody types here.
        match event {
            Event::Keyboard(_) if !self.context.egui_wants_keyboard_input() => EventStatus::Ignored,
            _ => EventStatus::Captured,
        }
    }

    fn on_timer(&self, _timer: &TimerHandle) {
        self.window.request_redraw();
    }
}

impl<C: Contents> Drop for Handler<C> {
    fn drop(&mut self) {
        lock(&self.contents).closed();
    }
}

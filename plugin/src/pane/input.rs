//! What happens to a window, in egui's words.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use baseview::dpi::PhysicalPosition;
use baseview::{
    DropData, Event, MouseButton, MouseCursor, MouseEvent, ScrollDelta, WindowEvent, WindowSize,
};
use egui::{CursorIcon, HoveredFile, Key, PointerButton, Pos2, RawInput, Rect, Vec2, pos2, vec2};
use keyboard_types::{Code, Key as TypedKey, KeyState, KeyboardEvent, Modifiers};

/// What an event asks for that egui does not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// Nothing.
    None,
    /// The clipboard's text, through [`Input::paste`].
    Paste,
    /// The files in the event's hands.
    Drop,
}

/// Gathers what happens between two frames.
pub struct Input {
    raw: RawInput,
    modifiers: egui::Modifiers,
    /// Where the pointer was last, in points; baseview says it with no other event.
    pointer: Option<Pos2>,
}

impl Input {
    /// Nothing has happened yet.
    pub fn new(max_texture_side: usize) -> Self {
        let raw = RawInput { max_texture_side: Some(max_texture_side), ..RawInput::default() };
        Self { raw, modifiers: egui::Modifiers::default(), pointer: None }
    }

    /// All of it, for a frame in a window of `size`, at `time` since the window was opened.
    pub fn take(&mut self, size: WindowSize, time: Duration) -> RawInput {
        let scale = size.scale_factor as f32;
        let points = vec2(size.physical.width as f32, size.physical.height as f32) / scale;
        self.raw.screen_rect = Some(Rect::from_min_size(Pos2::ZERO, points));
        self.raw.time = Some(time.as_secs_f64());
        if let Some(viewport) = self.raw.viewports.get_mut(&egui::ViewportId::ROOT) {
            viewport.native_pixels_per_point = Some(scale);
        }
        self.raw.take()
    }

    /// Takes `event` in, in a window of `scale` pixels a point.
    pub fn happened(&mut self, event: &Event, scale: f64) -> Wish {
        match event {
            Event::Mouse(event) => self.mouse(event, scale),
            Event::Keyboard(event) => self.key(event),
            Event::Window(WindowEvent::Focused) => self.focus(true),
            Event::Window(WindowEvent::Unfocused) => self.focus(false),
            _ => Wish::None,
        }
    }

    /// Text from the clipboard.
    pub fn paste(&mut self, text: String) {
        self.raw.events.push(egui::Event::Paste(text));
    }

    fn mouse(&mut self, event: &MouseEvent, scale: f64) -> Wish {
        match event {
            MouseEvent::CursorMoved { position, modifiers } => {
                self.hold(*modifiers);
                self.point(position, scale);
            }
            MouseEvent::ButtonPressed { button, modifiers } => {
                self.button(*button, true, *modifiers);
            }
            MouseEvent::ButtonReleased { button, modifiers } => {
                self.button(*button, false, *modifiers);
            }
            MouseEvent::WheelScrolled { delta, modifiers } => {
                self.hold(*modifiers);
                let (unit, delta) = match *delta {
                    ScrollDelta::Lines { x, y } => (egui::MouseWheelUnit::Line, vec2(x, y)),
                    ScrollDelta::Pixels { x, y } => (egui::MouseWheelUnit::Point, vec2(x, y)),
                };
                self.wheel(unit, delta);
            }
            MouseEvent::CursorLeft => {
                self.pointer = None;
                self.raw.events.push(egui::Event::PointerGone);
            }
            MouseEvent::DragEntered { position, data, .. }
            | MouseEvent::DragMoved { position, data, .. } => {
                self.point(position, scale);
                let file =
                    |path: &PathBuf| HoveredFile { path: Some(path.clone()), ..Default::default() };
                self.raw.hovered_files = files(data).iter().map(file).collect();
                return if files(data).is_empty() { Wish::None } else { Wish::Drop };
            }
            MouseEvent::DragLeft => self.raw.hovered_files.clear(),
            MouseEvent::DragDropped { position, data, .. } => {
                self.point(position, scale);
                self.raw.hovered_files.clear();
                for path in files(data) {
                    self.raw.dropped_files.push(Arc::new(Dropped(path.clone())));
                }
                return if files(data).is_empty() { Wish::None } else { Wish::Drop };
            }
            _ => {}
        }
        Wish::None
    }

    fn key(&mut self, event: &KeyboardEvent) -> Wish {
        self.hold(event.modifiers);
        let pressed = event.state == KeyState::Down;
        let modifiers = self.modifiers;
        if let Some(key) = Key::from_name(&event.key.to_string()) {
            let (physical_key, repeat) = (None, event.repeat);
            self.raw.events.push(egui::Event::Key {
                key,
                physical_key,
                pressed,
                repeat,
                modifiers,
            });
        }
        if !pressed {
            return Wish::None;
        }
        if modifiers.command {
            match event.code {
                Code::KeyX => self.raw.events.push(egui::Event::Cut),
                Code::KeyC => self.raw.events.push(egui::Event::Copy),
                Code::KeyV => return Wish::Paste,
                _ => {}
            }
        } else if let TypedKey::Character(text) = &event.key
            && !modifiers.ctrl
            && !text.chars().any(char::is_control)
        {
            self.raw.events.push(egui::Event::Text(text.clone()));
        }
        Wish::None
    }

    fn focus(&mut self, focused: bool) -> Wish {
        self.raw.focused = focused;
        self.raw.events.push(egui::Event::WindowFocused(focused));
        Wish::None
    }

    fn point(&mut self, position: &PhysicalPosition<f64>, scale: f64) {
        let place = pos2((position.x / scale) as f32, (position.y / scale) as f32);
        self.pointer = Some(place);
        self.raw.events.push(egui::Event::PointerMoved(place));
    }

    fn button(&mut self, button: MouseButton, pressed: bool, modifiers: Modifiers) {
        self.hold(modifiers);
        let button = match button {
            MouseButton::Left => PointerButton::Primary,
            MouseButton::Right => PointerButton::Secondary,
            MouseButton::Middle => PointerButton::Middle,
            _ => return,
        };
        if let Some(pos) = self.pointer {
            let modifiers = self.modifiers;
            self.raw.events.push(egui::Event::PointerButton { pos, button, pressed, modifiers });
        }
    }

    fn wheel(&mut self, unit: egui::MouseWheelUnit, delta: Vec2) {
        self.raw.events.push(egui::Event::MouseWheel {
            unit,
            delta,
            modifiers: self.modifiers,
            phase: egui::TouchPhase::Move,
            source: egui::MouseWheelSource::Unknown,
        });
    }

    fn hold(&mut self, held: Modifiers) {
        let is_mac = cfg!(target_os = "macos");
        let now = egui::Modifiers {
            alt: held.alt(),
            ctrl: held.ctrl(),
            shift: held.shift(),
            mac_cmd: is_mac && held.meta(),
            command: if is_mac { held.meta() } else { held.ctrl() },
        };
        if now != self.modifiers {
            self.modifiers = now;
            self.raw.events.push(egui::Event::ModifiersChanged(now));
        }
    }
}

fn files(data: &DropData) -> &[PathBuf] {
    match data {
        DropData::Files(files) => files,
        _ => &[],
    }
}

/// A file that was let go over the window.
#[derive(Debug)]
struct Dropped(PathBuf);

impl egui::DroppedFile for Dropped {
    fn path(&self) -> &Path {
        &self.0
    }

    fn bytes(&self) -> Result<Vec<u8>, String> {
        std::fs::read(&self.0).map_err(|error| error.to_string())
    }
}

/// The pointer's shape; those that this window's widgets do not ask for are the arrow.
pub fn cursor(icon: CursorIcon) -> MouseCursor {
    match icon {
        CursorIcon::None => MouseCursor::Hidden,
        CursorIcon::PointingHand => MouseCursor::Hand,
        CursorIcon::Grab => MouseCursor::Hand,
        CursorIcon::Grabbing => MouseCursor::HandGrabbing,
        CursorIcon::Text => MouseCursor::Text,
        CursorIcon::ResizeVertical => MouseCursor::NsResize,
        CursorIcon::ResizeHorizontal => MouseCursor::EwResize,
        CursorIcon::NotAllowed | CursorIcon::NoDrop => MouseCursor::NotAllowed,
        CursorIcon::Copy => MouseCursor::Copy,
        _ => MouseCursor::Default,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use baseview::dpi::PhysicalSize;
    use keyboard_types::NamedKey;

    fn taken(input: &mut Input) -> RawInput {
        let size = WindowSize::from_physical(PhysicalSize::new(300, 150), 1.5);
        input.take(size, Duration::from_secs(2))
    }

    fn drag(kind: fn(PhysicalPosition<f64>, Modifiers, DropData) -> MouseEvent) -> Event {
        let data = DropData::Files(vec!["/a/b.safetensors".into()]);
        Event::Mouse(kind(PhysicalPosition::new(30.0, 45.0), Modifiers::empty(), data))
    }

    fn key(key: TypedKey, code: Code, modifiers: Modifiers) -> Event {
        Event::Keyboard(KeyboardEvent { key, code, modifiers, ..KeyboardEvent::default() })
    }

    #[test]
    fn pixels_become_points() {
        let mut input = Input::new(2048);
        let position = PhysicalPosition::new(30.0, 45.0);
        let moved = MouseEvent::CursorMoved { position, modifiers: Modifiers::empty() };
        input.happened(&Event::Mouse(moved), 1.5);
        let raw = taken(&mut input);
        assert_eq!(raw.screen_rect, Some(Rect::from_min_size(Pos2::ZERO, vec2(200.0, 100.0))));
        assert_eq!(raw.events, [egui::Event::PointerMoved(pos2(20.0, 30.0))]);
        assert_eq!(raw.viewport().native_pixels_per_point, Some(1.5));
        assert!(taken(&mut input).events.is_empty());
    }

    #[test]
    fn a_dragged_file_hovers_until_it_leaves_or_falls() {
        let mut input = Input::new(2048);
        let entered =
            drag(|position, modifiers, data| MouseEvent::DragEntered { position, modifiers, data });
        assert_eq!(input.happened(&entered, 1.0), Wish::Drop);
        assert_eq!(taken(&mut input).hovered_files.len(), 1);
        // It hovers on without an event.
        assert_eq!(taken(&mut input).hovered_files.len(), 1);
        input.happened(&Event::Mouse(MouseEvent::DragLeft), 1.0);
        assert!(taken(&mut input).hovered_files.is_empty());

        input.happened(&entered, 1.0);
        let dropped =
            drag(|position, modifiers, data| MouseEvent::DragDropped { position, modifiers, data });
        assert_eq!(input.happened(&dropped, 1.0), Wish::Drop);
        let raw = taken(&mut input);
        assert!(raw.hovered_files.is_empty());
        assert_eq!(raw.dropped_files[0].path(), Path::new("/a/b.safetensors"));
        assert!(taken(&mut input).dropped_files.is_empty());
        let nothing = MouseEvent::DragEntered {
            position: PhysicalPosition::new(0.0, 0.0),
            modifiers: Modifiers::empty(),
            data: DropData::None,
        };
        assert_eq!(input.happened(&Event::Mouse(nothing), 1.0), Wish::None);
    }

    #[test]
    fn keys_are_typed_or_asked_for() {
        let mut input = Input::new(2048);
        let a = || TypedKey::Character("a".into());
        assert_eq!(input.happened(&key(a(), Code::KeyA, Modifiers::empty()), 1.0), Wish::None);
        let events = taken(&mut input).events;
        assert!(
            matches!(&events[..], [egui::Event::Key { key: Key::A, .. }, egui::Event::Text(t)] if t == "a")
        );

        let down = TypedKey::Named(NamedKey::ArrowDown);
        input.happened(&key(down, Code::ArrowDown, Modifiers::empty()), 1.0);
        let events = taken(&mut input).events;
        assert!(matches!(&events[..], [egui::Event::Key { key: Key::ArrowDown, .. }]));

        let held = if cfg!(target_os = "macos") { Modifiers::META } else { Modifiers::CONTROL };
        let v = TypedKey::Character("v".into());
        assert_eq!(input.happened(&key(v, Code::KeyV, held), 1.0), Wish::Paste);
        assert!(!taken(&mut input).events.iter().any(|e| matches!(e, egui::Event::Text(_))));
    }
}

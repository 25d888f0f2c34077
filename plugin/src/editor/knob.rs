//! A knob for a parameter: drag (with shift: finely), wheel, double-click or click on the value to type,
//! right-click or ctrl-click to reset.

use std::f32::consts::PI;

use egui::text::{CCursor, CCursorRange};
use egui::text_edit::TextEditState;
use egui::{Align2, Key, Pos2, Rect, Response, Sense, Stroke, TextEdit, Ui, pos2, vec2};
use nice_plug::prelude::{Param, ParamSetter};

use super::theme::{self, ACCENT, DIM, EDGE, FIELD, FIELD_HOVERED, TEXT};

/// Where the arc begins and ends, clockwise from the right, in radians.
const START: f32 = 0.75 * PI;
const SWEEP: f32 = 1.5 * PI;

/// Points of dragging for the whole range.
const THROW: f32 = 220.0;
/// How much finer it gets with shift.
const FINE: f32 = 0.1;

/// Height of the label and of the value.
const LINE: f32 = 18.0;

/// Draws a knob into `rect`: label, knob, value from top to bottom.
pub fn knob<P: Param>(
    ui: &mut Ui,
    rect: Rect,
    label: &str,
    help: &str,
    param: &P,
    setter: &ParamSetter,
) {
    let (top, rest) = rect.split_top_bottom_at_y(rect.top() + LINE);
    let (middle, bottom) = rest.split_top_bottom_at_y(rest.bottom() - LINE);
    let radius = 0.5 * (middle.height() - 4.0).min(middle.width() - 10.0).clamp(16.0, 52.0);
    let id = ui.scope_id().with(("knob", label));
    let response = ui.interact(middle, id, Sense::click_and_drag());
    let entry = id.with("entry");
    turn(ui, &response, entry, param, setter);
    theme::text(ui.painter(), top, Align2::CENTER_CENTER, label, theme::SMALL, DIM);
    paint(ui, middle.center(), radius, &response, param);
    value(ui, bottom, entry, param, setter);
    response.on_hover_text(help);
}

/// What the mouse does.
fn turn<P: Param>(ui: &Ui, response: &Response, entry: egui::Id, param: &P, setter: &ParamSetter) {
    let (reset, fine) = ui.input(|input| (input.modifiers.command, input.modifiers.shift));
    if response.double_clicked() && !reset {
        open_entry(ui, entry, param);
        return;
    }
    if response.secondary_clicked() || response.clicked() && reset {
        change(setter, param, param.default_normalized_value());
        return;
    }
    // The drag is followed in a number of its own: a stepped parameter would swallow small moves.
    let travel = response.id.with("travel");
    if response.drag_started() {
        setter.begin_set_parameter(param);
        let from = param.unmodulated_normalized_value();
        ui.data_mut(|data| data.insert_temp(travel, from));
    }
    if response.dragged() {
        let delta = response.drag_delta();
        let scale = if fine { FINE } else { 1.0 } / THROW;
        let from: f32 = ui.data(|data| data.get_temp(travel)).unwrap_or_default();
        let to = (from + (delta.x - delta.y) * scale).clamp(0.0, 1.0);
        ui.data_mut(|data| data.insert_temp(travel, to));
        setter.set_parameter(param, param.preview_plain(to));
    }
    if response.drag_stopped() {
        setter.end_set_parameter(param);
    }
    if response.hovered() {
        let wheel = ui.input(|input| input.smooth_scroll_delta().y);
        step_by_wheel(ui, response.id.with("wheel"), wheel, fine, param, setter);
    }
}

/// A step for every 24 points of wheel.
fn step_by_wheel<P: Param>(
    ui: &Ui,
    id: egui::Id,
    wheel: f32,
    fine: bool,
    param: &P,
    setter: &ParamSetter,
) {
    const POINTS: f32 = 24.0;
    let mut saved: f32 = ui.data(|data| data.get_temp(id)).unwrap_or_default();
    saved += wheel;
    let mut position = param.unmodulated_normalized_value();
    let before = position;
    while saved.abs() >= POINTS {
        position = if saved > 0.0 {
            param.next_normalized_step(position, fine)
        } else {
            param.previous_normalized_step(position, fine)
        };
        saved -= POINTS.copysign(saved);
    }
    ui.data_mut(|data| data.insert_temp(id, saved));
    if position != before {
        change(setter, param, position);
    }
}

fn paint<P: Param>(ui: &Ui, centre: Pos2, radius: f32, response: &Response, param: &P) {
    let painter = ui.painter();
    let angle = |position: f32| START + SWEEP * position.clamp(0.0, 1.0);
    let at = |angle: f32, radius: f32| centre + radius * vec2(angle.cos(), angle.sin());
    let arc = |from: f32, to: f32| -> Vec<Pos2> {
        let pieces = ((to - from).abs() / 0.08).ceil().max(1.0) as usize;
        (0..=pieces).map(|i| at(from + (to - from) * i as f32 / pieces as f32, radius)).collect()
    };
    painter.line(arc(angle(0.0), angle(1.0)), Stroke::new(3.0, EDGE));
    let position = param.modulated_normalized_value();
    // From the neutral value on where that lies inside the range, else from the start.
    let neutral = param.default_normalized_value();
    let from = if (0.2..0.8).contains(&neutral) { neutral } else { 0.0 };
    if (position - from).abs() > 1e-3 {
        painter.line(arc(angle(from), angle(position)), Stroke::new(3.0, ACCENT));
    }
    let active = response.hovered() || response.dragged();
    let fill = if active { FIELD_HOVERED } else { FIELD };
    painter.circle(centre, radius - 5.5, fill, Stroke::new(1.0, EDGE));
    let hand = angle(param.unmodulated_normalized_value());
    let colour = if active { ACCENT } else { TEXT };
    painter.line_segment(
        [at(hand, (radius - 5.5) * 0.45), at(hand, radius - 8.5)],
        Stroke::new(2.5, colour),
    );
}

/// What is being typed.
#[derive(Clone, Default)]
struct Entry {
    text: String,
    /// It has no focus yet: the click that opens it would take it away again.
    is_new: bool,
}

fn open_entry<P: Param>(ui: &Ui, entry: egui::Id, param: &P) {
    ui.data_mut(|data| {
        data.insert_temp(entry, Entry { text: param.to_string(), is_new: true });
    });
}

/// The value, or a field to type it in.
fn value<P: Param>(ui: &mut Ui, rect: Rect, entry: egui::Id, param: &P, setter: &ParamSetter) {
    let open: Option<Entry> = ui.data(|data| data.get_temp(entry));
    let Some(open) = open else {
        let response = ui.interact(rect, entry.with("value"), Sense::click());
        let colour = if response.hovered() { ACCENT } else { TEXT };
        let text = param.to_string();
        theme::text(ui.painter(), rect, Align2::CENTER_CENTER, &text, theme::BODY, colour);
        if response.clicked() {
            open_entry(ui, entry, param);
        }
        if response.secondary_clicked() {
            change(setter, param, param.default_normalized_value());
        }
        response.on_hover_cursor(egui::CursorIcon::Text);
        return;
    };
    let typed = field(ui, rect, entry.with("field"), open);
    if let Typed::On(open) = typed {
        ui.data_mut(|data| data.insert_temp(entry, open));
        return;
    }
    ui.data_mut(|data| data.remove_temp::<Entry>(entry));
    if let Typed::Done(text) = typed
        && let Some(position) = param.string_to_normalized_value(&text)
    {
        change(setter, param, position);
    }
}

/// What became of a field.
enum Typed {
    /// It is still open.
    On(Entry),
    /// It was left without a value.
    Left,
    /// This was entered.
    Done(String),
}

fn field(ui: &mut Ui, rect: Rect, id: egui::Id, mut open: Entry) -> Typed {
    let field = TextEdit::singleline(&mut open.text)
        .id(id)
        .font(theme::font(theme::BODY))
        .align(Align2::CENTER_CENTER)
        .margin(vec2(2.0, 0.0));
    let room = Rect::from_min_max(pos2(rect.left() + 2.0, rect.top()), rect.max - vec2(2.0, 0.0));
    let response = ui.put(room, field);
    let (done, escaped, clicked) = ui.input(|input| {
        let pressed = |key| input.key_pressed(key);
        (pressed(Key::Enter), pressed(Key::Escape), input.pointer.any_click())
    });
    if escaped {
        return Typed::Left;
    }
    if open.is_new {
        if !clicked {
            // All is selected, so that typing replaces it.
            let mut state = TextEditState::load(ui.ctx(), id).unwrap_or_default();
            let end = CCursor::new(open.text.chars().count());
            state.cursor.set_char_range(Some(CCursorRange::two(CCursor::new(0), end)));
            state.store(ui.ctx(), id);
            response.request_focus();
            open.is_new = false;
        }
        return Typed::On(open);
    }
    if done || response.lost_focus() || !response.has_focus() {
        return Typed::Done(open.text);
    }
    Typed::On(open)
}

/// Sets the parameter to where `position` lies, in one gesture.
pub fn change<P: Param>(setter: &ParamSetter, param: &P, position: f32) {
    setter.begin_set_parameter(param);
    setter.set_parameter(param, param.preview_plain(position));
    setter.end_set_parameter(param);
}

//! The line at the top: name, presets, bypass; and the line at the bottom.

use egui::{Align2, Button, Popup, Rect, RichText, ScrollArea, Sense, Ui, Vec2, pos2, vec2};
use nice_plug::prelude::ParamSetter;

use super::theme::{self, ACCENT, DIM, FIELD, FIELD_HOVERED, TEXT};
use super::{Face, choice, meters};
use crate::presets::{self, Preset};
use crate::workshop::Workshop;

/// Height of the line at the top.
pub const HEIGHT: f32 = 36.0;
/// Height of the line at the bottom.
pub const FOOT: f32 = 22.0;

/// Draws the line at the top.
pub fn header(ui: &mut Ui, rect: Rect, face: &Face, last: &mut usize, setter: &ParamSetter) {
    let name = Rect::from_min_size(rect.min, vec2(110.0, rect.height()));
    theme::text(ui.painter(), name, Align2::LEFT_CENTER, "vocoder", 23.0, TEXT);
    let kind = Rect::from_min_max(pos2(rect.left() + 96.0, rect.top() + 5.0), rect.max);
    theme::text(ui.painter(), kind, Align2::LEFT_CENTER, face.kind(), theme::BODY, ACCENT);

    let bypass = Rect::from_min_max(pos2(rect.right() - 92.0, rect.top() + 3.0), rect.max);
    let help = "Passes the input with the same delay";
    let knobs = face.knobs();
    choice::switch(
        ui,
        bypass.with_max_y(rect.bottom() - 3.0),
        "Bypass",
        help,
        &knobs.output.bypass,
        setter,
    );

    let middle = Rect::from_center_size(rect.center(), vec2(340.0, rect.height() - 6.0));
    let (left, rest) = middle.split_left_right_at_x(middle.left() + 34.0);
    let (menu, right) = rest.split_left_right_at_x(rest.right() - 34.0);
    let all = face.presets();
    let current = presets::current(all, knobs, face.follow());
    if let Some(place) = current.and_then(|now| all.iter().position(|other| other == now)) {
        *last = place;
    }
    let chosen = preset_menu(ui, menu.shrink2(vec2(4.0, 0.0)), all, current, *last);
    let step = |by: usize| all.get((*last + by) % all.len().max(1));
    let back =
        arrow(ui, left, vec2(-1.0, 0.0), "Preset before").then(|| step(all.len() - 1)).flatten();
    let on = arrow(ui, right, vec2(1.0, 0.0), "Next preset").then(|| step(1)).flatten();
    if let Some(preset) = chosen.or(back).or(on) {
        preset.apply(setter, knobs, face.follow());
        *last = all.iter().position(|other| other == preset).unwrap_or_default();
    }
}

/// A button with the preset's name; what was chosen from its menu.
fn preset_menu<'a>(
    ui: &mut Ui,
    rect: Rect,
    all: &'a [Preset],
    current: Option<&Preset>,
    last: usize,
) -> Option<&'a Preset> {
    let label = match (current, all.get(last)) {
        (Some(preset), _) => preset.name.to_string(),
        (None, Some(preset)) => format!("{} (changed)", preset.name),
        (None, None) => String::new(),
    };
    let response = menu_button(ui, rect, &label, "Preset");
    let mut chosen = None;
    Popup::menu(&response).width(rect.width()).show(|ui| {
        ScrollArea::vertical().max_height(420.0).show(ui, |ui| {
            for preset in all {
                let is_current = current.is_some_and(|now| now.name == preset.name);
                let colour = if is_current { ACCENT } else { TEXT };
                let text = RichText::new(preset.name).color(colour);
                if ui.add(Button::new(text).frame_when_inactive(false)).clicked() {
                    chosen = Some(preset);
                    ui.close();
                }
            }
        });
    });
    chosen
}

/// A field that opens a menu: text, and a mark at its right.
pub fn menu_button(ui: &mut Ui, rect: Rect, label: &str, help: &str) -> egui::Response {
    let response = ui.interact(rect, ui.scope_id().with(("menu", help)), Sense::click());
    let fill = if response.hovered() { FIELD_HOVERED } else { FIELD };
    let edge = egui::Stroke::new(1.0, theme::EDGE);
    ui.painter().rect(rect, theme::ROUND_FIELD, fill, edge, egui::StrokeKind::Inside);
    let inner = rect.shrink2(vec2(10.0, 0.0));
    let (text, mark) = inner.split_left_right_at_x(inner.right() - 14.0);
    theme::text(ui.painter(), text, Align2::LEFT_CENTER, label, theme::BODY, TEXT);
    theme::triangle(ui.painter(), mark.center(), vec2(0.0, 1.0), DIM);
    response.on_hover_text(help)
}

fn arrow(ui: &mut Ui, rect: Rect, towards: Vec2, help: &str) -> bool {
    let response = ui.interact(rect, ui.scope_id().with(help), Sense::click());
    let fill = if response.hovered() { FIELD_HOVERED } else { FIELD };
    let edge = egui::Stroke::new(1.0, theme::EDGE);
    ui.painter().rect(rect, theme::ROUND_FIELD, fill, edge, egui::StrokeKind::Inside);
    theme::triangle(ui.painter(), rect.center(), towards, DIM);
    response.on_hover_text(help).clicked()
}

/// Draws the line at the bottom: what goes on, and what there is to say about it; `notice` comes first.
pub fn foot(ui: &Ui, rect: Rect, workshop: &Workshop, notice: &str) {
    let (word, colour) = meters::status(&workshop.telemetry);
    let painter = ui.painter();
    painter.circle_filled(pos2(rect.left() + 6.0, rect.center().y), 4.0, colour);
    let rest = rect.with_min_x(rect.left() + 18.0);
    theme::text(painter, rest, Align2::LEFT_CENTER, word, theme::BODY, colour);
    let after = rest.left() + theme::width(painter, word, theme::BODY) + 14.0;
    let rate = match workshop.telemetry.rate() {
        0 => String::new(),
        rate => format!("{} kHz", f64::from(rate) / 1000.0),
    };
    let right = theme::width(painter, &rate, theme::BODY);
    theme::text(painter, rest, Align2::RIGHT_CENTER, &rate, theme::BODY, DIM);
    let message = Rect::from_min_max(pos2(after, rect.top()), rest.max - vec2(right + 14.0, 0.0));
    let (text, colour) = match notice {
        "" => (workshop.message(), TEXT),
        notice => (notice.into(), theme::WARN),
    };
    theme::text(painter, message, Align2::LEFT_CENTER, &text, theme::BODY, colour);
}

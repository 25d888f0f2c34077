//! Parameters with few values: side by side, and switches.

use egui::{Align2, Rect, Sense, Stroke, StrokeKind, Ui, pos2, vec2};
use nice_plug::params::enums::Enum;
use nice_plug::prelude::{BoolParam, EnumParam, Param, ParamSetter};

use super::theme::{self, ACCENT, DIM, EDGE, FIELD, FIELD_HOVERED, ON_ACCENT, TEXT};

/// All values of `param` side by side; right-click resets. `names` are shown in place of the host's
/// where those are long.
pub fn segments<T: Enum + PartialEq + Copy + 'static>(
    ui: &mut Ui,
    rect: Rect,
    names: &[&str],
    help: &str,
    param: &EnumParam<T>,
    setter: &ParamSetter,
) {
    ui.painter().rect(rect, theme::ROUND_FIELD, FIELD, Stroke::new(1.0, EDGE), StrokeKind::Inside);
    let width = rect.width() / names.len().max(1) as f32;
    let chosen = param.value().to_index();
    for (i, name) in names.iter().enumerate() {
        let part = Rect::from_min_size(
            pos2(rect.left() + i as f32 * width, rect.top()),
            vec2(width, rect.height()),
        );
        let response = ui.interact(part, ui.scope_id().with((param.name(), i)), Sense::click());
        let (fill, colour) = match (i == chosen, response.hovered()) {
            (true, _) => (Some(ACCENT), ON_ACCENT),
            (false, true) => (Some(FIELD_HOVERED), TEXT),
            (false, false) => (None, DIM),
        };
        if let Some(fill) = fill {
            ui.painter().rect_filled(part.shrink(2.0), theme::ROUND_FIELD, fill);
        }
        theme::text(
            ui.painter(),
            part.shrink(3.0),
            Align2::CENTER_CENTER,
            name,
            theme::SMALL,
            colour,
        );
        let wanted = if response.secondary_clicked() {
            Some(param.default_plain_value())
        } else if response.clicked() && i != chosen {
            Some(T::from_index(i))
        } else {
            None
        };
        if let Some(value) = wanted {
            setter.begin_set_parameter(param);
            setter.set_parameter(param, value);
            setter.end_set_parameter(param);
        }
        response.on_hover_text(help);
    }
}

/// A button that stays down; right-click resets.
pub fn switch(
    ui: &mut Ui,
    rect: Rect,
    name: &str,
    help: &str,
    param: &BoolParam,
    setter: &ParamSetter,
) {
    let response = ui.interact(rect, ui.scope_id().with(("switch", name)), Sense::click());
    let on = param.value();
    let (fill, colour) = match (on, response.hovered()) {
        (true, _) => (ACCENT, ON_ACCENT),
        (false, true) => (FIELD_HOVERED, TEXT),
        (false, false) => (FIELD, TEXT),
    };
    ui.painter().rect(rect, theme::ROUND_FIELD, fill, Stroke::new(1.0, EDGE), StrokeKind::Inside);
    theme::text(ui.painter(), rect.shrink(4.0), Align2::CENTER_CENTER, name, theme::BODY, colour);
    if response.clicked() || response.secondary_clicked() {
        setter.begin_set_parameter(param);
        setter.set_parameter(param, response.clicked() && !on);
        setter.end_set_parameter(param);
    }
    response.on_hover_text(help);
}

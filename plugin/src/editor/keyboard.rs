//! The instrument's clip, and keys to try it with.

use egui::{Align2, Color32, Rect, Sense, Stroke, StrokeKind, Ui, pos2, vec2};
use live::NoteEvent;

use nice_plug::prelude::ParamSetter;

use super::choice;
use super::knob::knob;
use super::theme::{self, ACCENT, EDGE, GAP, TEXT};
use crate::params::InstrumentParams;
use crate::voices;
use crate::workshop::Workshop;

/// Height of the strip.
pub const HEIGHT: f32 = 146.0;

/// Width of the clip's part, and of a knob's cell.
const CLIP: f32 = 170.0;
const CELL: f32 = 74.0;

const LOWEST: u8 = 36;
/// White keys from there: five octaves, and a C.
const WHITES: usize = 36;

const WHITE: Color32 = Color32::from_rgb(214, 217, 224);
const BLACK: Color32 = Color32::from_rgb(28, 30, 38);

/// The key that the mouse holds.
#[derive(Default)]
pub struct Keyboard {
    held: Option<u8>,
}

impl Keyboard {
    /// Draws the strip; true when a clip is to be chosen.
    pub fn ui(
        &mut self,
        ui: &mut Ui,
        rect: Rect,
        params: &InstrumentParams,
        workshop: &Workshop,
        setter: &ParamSetter,
    ) -> bool {
        let width = CLIP + 4.0 * CELL + 3.0 * GAP;
        let (left, right) = rect.split_left_right_at_x(rect.left() + width);
        let keys = theme::card(ui.painter(), right.with_min_x(right.left() + GAP), "");
        self.keys(ui, keys, workshop);
        let inner = theme::card(ui.painter(), left, "Note");
        let (clip, knobs) = inner.split_left_right_at_x(inner.left() + CLIP);
        let note = &params.note;
        let mut place = Rect::from_min_size(knobs.min + vec2(GAP, -8.0), vec2(CELL, 112.0));
        let mut next = || {
            let cell = place;
            place = place.translate(vec2(CELL, 0.0));
            cell
        };
        knob(ui, next(), "Attack", "How long a note rises", &note.attack, setter);
        knob(ui, next(), "Release", "How long it falls by 60 dB", &note.release, setter);
        let help = "How fast notes go through the clip; at 0 % they stand";
        knob(ui, next(), "Speed", help, &note.speed, setter);
        knob(ui, next(), "Begin", "Where in the clip notes begin", &note.begin, setter);
        clip_part(ui, clip, params, setter)
    }

    fn keys(&mut self, ui: &mut Ui, rect: Rect, workshop: &Workshop) {
        let response = ui.interact(rect, ui.scope_id().with("keys"), Sense::click_and_drag());
        let width = rect.width() / WHITES as f32;
        let under = response
            .interact_pointer_pos()
            .filter(|_| response.is_pointer_button_down_on())
            .and_then(|pointer| key_at(rect, width, pointer));
        if under != self.held {
            if let Some(key) = self.held {
                workshop.play(NoteEvent::Off { key });
            }
            if let Some(key) = under {
                // Softer at the top of a key, as on many on-screen keyboards.
                let part = response
                    .interact_pointer_pos()
                    .map_or(0.5, |p| (p.y - rect.top()) / rect.height());
                let velocity = (0.35 + 0.65 * part).clamp(0.05, 1.0);
                workshop.play(NoteEvent::On { key, velocity });
            }
            self.held = under;
        }
        for (key, place) in whites(rect, width) {
            let fill = if self.held == Some(key) { ACCENT } else { WHITE };
            let place = place.shrink2(vec2(0.5, 0.0));
            ui.painter().rect(place, 2.0, fill, Stroke::new(1.0, EDGE), StrokeKind::Inside);
            if key % 12 == 0 {
                let line = Rect::from_min_max(pos2(place.left(), place.bottom() - 18.0), place.max);
                let name = format!("C{}", key / 12 - 1);
                theme::text(ui.painter(), line, Align2::CENTER_CENTER, &name, 11.0, BLACK);
            }
        }
        for (key, place) in blacks(rect, width) {
            let fill = if self.held == Some(key) { ACCENT } else { BLACK };
            ui.painter().rect(place, 2.0, fill, Stroke::new(1.0, EDGE), StrokeKind::Inside);
        }
    }
}

/// The clip's name, a button to choose another, and whether it repeats.
fn clip_part(ui: &mut Ui, rect: Rect, params: &InstrumentParams, setter: &ParamSetter) -> bool {
    let name = params.clip.get().file.as_deref().map_or_else(|| "no clip".into(), voices::stem);
    let line = Rect::from_min_size(rect.min, vec2(rect.width(), 22.0));
    theme::text(ui.painter(), line, Align2::LEFT_CENTER, &name, theme::BODY, TEXT);
    let button = |from_bottom: f32| {
        let corner = pos2(rect.left(), rect.bottom() - from_bottom);
        Rect::from_min_size(corner, vec2(rect.width(), 28.0))
    };
    let help = "Notes begin again at the clip's end; else they end there";
    choice::switch(ui, button(28.0), "Loop", help, &params.note.looped, setter);
    ui.put(button(62.0), egui::Button::new("Choose a clip\u{2026}")).clicked()
}

/// The white keys and where they lie.
fn whites(rect: Rect, width: f32) -> impl Iterator<Item = (u8, Rect)> {
    const STEPS: [u8; 7] = [0, 2, 4, 5, 7, 9, 11];
    (0..WHITES).map(move |i| {
        let key = LOWEST + 12 * (i / 7) as u8 + STEPS[i % 7];
        let corner = pos2(rect.left() + i as f32 * width, rect.top());
        (key, Rect::from_min_size(corner, vec2(width, rect.height())))
    })
}

/// The black keys and where they lie: over the right edge of the white key below.
fn blacks(rect: Rect, width: f32) -> impl Iterator<Item = (u8, Rect)> {
    whites(rect, width).take(WHITES - 1).filter(|(key, _)| !matches!(key % 12, 4 | 11)).map(
        move |(key, white)| {
            let size = vec2(0.6 * width, 0.6 * white.height());
            let corner = pos2(white.right() - 0.5 * size.x, white.top());
            (key + 1, Rect::from_min_size(corner, size))
        },
    )
}

fn key_at(rect: Rect, width: f32, pointer: egui::Pos2) -> Option<u8> {
    let on = |(_, place): &(u8, Rect)| place.contains(pointer);
    blacks(rect, width).find(on).or_else(|| whites(rect, width).find(on)).map(|(key, _)| key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_lie_as_on_a_piano() {
        let rect = Rect::from_min_size(pos2(0.0, 0.0), vec2(360.0, 60.0));
        let whites: Vec<u8> = whites(rect, 10.0).map(|(key, _)| key).collect();
        assert_eq!(&whites[..8], [36, 38, 40, 41, 43, 45, 47, 48]);
        assert_eq!(whites.last(), Some(&96));
        assert_eq!(blacks(rect, 10.0).count(), 25);
        assert_eq!(key_at(rect, 10.0, pos2(5.0, 50.0)), Some(36));
        assert_eq!(key_at(rect, 10.0, pos2(10.0, 5.0)), Some(37));
        assert_eq!(key_at(rect, 10.0, pos2(500.0, 5.0)), None);
    }
}

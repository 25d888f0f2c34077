//! Colours, sizes, and how text is set.

use egui::epaint::text::{LayoutJob, TextWrapping};
use egui::{
    Align2, Color32, CornerRadius, FontFamily, FontId, Painter, Pos2, Rect, Shape, Stroke,
    StrokeKind, Vec2,
};

/// Behind everything.
pub const GROUND: Color32 = Color32::from_rgb(12, 13, 17);
/// Cards.
pub const CARD: Color32 = Color32::from_rgb(21, 23, 30);
/// Fields and tracks on cards.
pub const FIELD: Color32 = Color32::from_rgb(32, 35, 45);
/// Fields under the pointer.
pub const FIELD_HOVERED: Color32 = Color32::from_rgb(43, 47, 60);
/// Borders and grids.
pub const EDGE: Color32 = Color32::from_rgb(40, 44, 56);
/// What is read.
pub const TEXT: Color32 = Color32::from_rgb(232, 234, 240);
/// What explains.
pub const DIM: Color32 = Color32::from_rgb(156, 163, 178);
/// What is set, and where the sound is.
pub const ACCENT: Color32 = Color32::from_rgb(251, 155, 104);
/// Text on [`ACCENT`].
pub const ON_ACCENT: Color32 = Color32::from_rgb(32, 16, 10);
/// All is well.
pub const GOOD: Color32 = Color32::from_rgb(110, 201, 152);
/// It may get late.
pub const WARN: Color32 = Color32::from_rgb(240, 190, 90);
/// It is late, or broken.
pub const BAD: Color32 = Color32::from_rgb(238, 99, 99);

/// Between cards, and between a card's edge and what is on it.
pub const GAP: f32 = 10.0;
/// Corners of cards.
pub const ROUND: CornerRadius = CornerRadius::same(8);
/// Corners of fields.
pub const ROUND_FIELD: CornerRadius = CornerRadius::same(5);

/// Text that is read.
pub const BODY: f32 = 13.5;
/// Text that explains.
pub const SMALL: f32 = 12.0;

/// Text in the window's font.
pub fn font(size: f32) -> FontId {
    FontId::new(size, FontFamily::Proportional)
}

/// Gives egui's own widgets these colours.
pub fn apply(context: &egui::Context) {
    context.set_theme(egui::Theme::Dark);
    context.style_mut_of(egui::Theme::Dark, |style| {
        let visuals = &mut style.visuals;
        visuals.panel_fill = GROUND;
        visuals.window_fill = CARD;
        visuals.window_stroke = Stroke::new(1.0, EDGE);
        visuals.extreme_bg_color = GROUND;
        visuals.override_text_color = Some(TEXT);
        visuals.selection.bg_fill = ACCENT.gamma_multiply(0.45);
        visuals.selection.stroke = Stroke::new(1.0, ACCENT);
        for (state, fill) in [
            (&mut visuals.widgets.inactive, FIELD),
            (&mut visuals.widgets.hovered, FIELD_HOVERED),
            (&mut visuals.widgets.active, FIELD_HOVERED),
            (&mut visuals.widgets.open, FIELD_HOVERED),
        ] {
            state.bg_fill = fill;
            state.weak_bg_fill = fill;
            state.bg_stroke = Stroke::NONE;
            state.corner_radius = ROUND_FIELD;
        }
        for font in style.text_styles.values_mut() {
            font.size = BODY;
        }
        style.spacing.button_padding = egui::vec2(10.0, 5.0);
        style.spacing.item_spacing = egui::vec2(6.0, 4.0);
        style.interaction.selectable_labels = false;
    });
}

/// A card, and the room on it below its title.
pub fn card(painter: &Painter, rect: Rect, title: &str) -> Rect {
    painter.rect(rect, ROUND, CARD, Stroke::new(1.0, EDGE), StrokeKind::Inside);
    let mut inner = rect.shrink(GAP);
    if !title.is_empty() {
        let line = Rect::from_min_size(inner.min, egui::vec2(inner.width(), 16.0));
        text(painter, line, Align2::LEFT_CENTER, title, SMALL, DIM);
        inner.min.y += 16.0 + 6.0;
    }
    inner
}

/// One line of text in `rect`; what is too long ends in an ellipsis.
pub fn text(painter: &Painter, rect: Rect, align: Align2, text: &str, size: f32, colour: Color32) {
    let mut job = LayoutJob::simple_singleline(text.into(), font(size), colour);
    job.wrap = TextWrapping::truncate_at_width(rect.width().max(0.0));
    let galley = painter.layout_job(job);
    let place = align.align_size_within_rect(galley.size(), rect);
    painter.galley(place.min, galley, colour);
}

/// How wide `text` is.
pub fn width(painter: &Painter, text: &str, size: f32) -> f32 {
    painter.layout_no_wrap(text.into(), font(size), TEXT).size().x
}

/// A small triangle that points `towards` one side: the window's font has none.
pub fn triangle(painter: &Painter, centre: Pos2, towards: Vec2, colour: Color32) {
    let (ahead, aside) = (4.0 * towards, 4.5 * towards.rot90());
    let corners = vec![centre + ahead, centre - ahead + aside, centre - ahead - aside];
    painter.add(Shape::convex_polygon(corners, colour, Stroke::NONE));
}

/// The colour of `level`, from 0 (black) to 1 (pale yellow), as in the library's pictures.
pub fn magma(level: f32) -> Color32 {
    let [red, green, blue] = vocoder::colour_map::magma(level);
    Color32::from_rgb(red, green, blue)
}

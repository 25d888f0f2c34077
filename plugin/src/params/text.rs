//! How values are written, and read again when a person types them: with or without the unit.

use std::sync::Arc;

use nice_plug::prelude::{FloatParam, formatters};

/// A plain number with `digits` after the point.
pub fn plain(param: FloatParam, digits: usize) -> FloatParam {
    param
        .with_value_to_string(formatters::v2s_f32_rounded(digits))
        .with_string_to_value(Arc::new(|text| number(text, "")))
}

/// A number with its sign, so that 0 stands out as the neutral value.
pub fn signed(param: FloatParam, unit: &'static str, digits: usize) -> FloatParam {
    param
        .with_unit(unit)
        .with_value_to_string(Arc::new(move |value| {
            let text = format!("{value:+.digits$}");
            let is_zero = text.bytes().all(|c| matches!(c, b'+' | b'-' | b'0' | b'.'));
            if is_zero { format!("{:.digits$}", 0.0) } else { text }
        }))
        .with_string_to_value(Arc::new(move |text| number(text, unit)))
}

/// 0 to 1 as 0 to 100 %.
pub fn percent(param: FloatParam) -> FloatParam {
    param
        .with_unit(" %")
        .with_value_to_string(formatters::v2s_f32_percentage(0))
        .with_string_to_value(formatters::s2v_f32_percentage())
}

/// Linear gain as decibels.
pub fn decibels(param: FloatParam) -> FloatParam {
    param
        .with_unit(" dB")
        .with_value_to_string(formatters::v2s_f32_gain_to_db(1))
        .with_string_to_value(formatters::s2v_f32_gain_to_db())
}

/// Milliseconds, from one second on as seconds; 0 is "off".
pub fn milliseconds(param: FloatParam) -> FloatParam {
    param
        .with_value_to_string(Arc::new(|ms| match ms {
            ms if ms < 0.5 => "off".into(),
            ms if ms < 999.5 => format!("{ms:.0} ms"),
            ms => format!("{:.2} s", ms / 1000.0),
        }))
        .with_string_to_value(Arc::new(|text| {
            let text = text.trim();
            if text.eq_ignore_ascii_case("off") {
                return Some(0.0);
            }
            let seconds = text.strip_suffix('s').filter(|rest| !rest.ends_with('m'));
            seconds.map_or_else(|| number(text, "ms"), |s| number(s, "").map(|s| s * 1000.0))
        }))
}

/// The number in `text`, which may end in `unit`.
fn number(text: &str, unit: &str) -> Option<f32> {
    let text = text.trim();
    let text = text.strip_suffix(unit.trim()).unwrap_or(text);
    text.trim().parse().ok().filter(|value: &f32| value.is_finite())
}

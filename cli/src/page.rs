//! Pages of HTML that need nothing beside themselves: pictures and sounds are inside.

use std::fmt::{Display, Write};
use std::path::Path;

use anyhow::{Context, Result};
use vocoder::output_file::write_whole;

/// A page in the making.
pub struct Page {
    html: String,
}

const STYLE: &str = "
:root { --ink: #26262e; --pale: #82828c; --line: #e3e3e8; --card: #fff; --ground: #f6f6f8; }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 16px/1.5 system-ui, 'Segoe UI', Roboto, sans-serif; }
main { max-width: 1180px; margin: 0 auto; padding: 32px 24px 64px; }
h1 { font-size: 30px; margin: 0 0 4px; } h2 { font-size: 21px; margin: 0 0 8px; }
p { max-width: 78ch; } .lead { color: var(--pale); margin-top: 0; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 12px;
  padding: 20px 22px; margin: 20px 0; overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 15px; }
th, td { padding: 5px 14px 5px 0; text-align: right; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; } th { color: var(--pale); font-weight: 600; }
img, svg { max-width: 100%; height: auto; display: block; }
figure { margin: 12px 0 0; } figcaption { color: var(--pale); font-size: 14px; }
.players { display: flex; flex-wrap: wrap; gap: 8px 24px; margin-top: 12px; }
.players label { font-size: 14px; color: var(--pale); } audio { display: block; height: 34px; }
.wave { stroke: #7b2a8c; stroke-width: 1; fill: none; } .wave-axis { stroke: var(--line); }
";

impl Page {
    /// A page with a title, and a sentence or two below it.
    pub fn new(title: &str, lead: &str) -> Self {
        let (title, lead) = (escaped(title), escaped(lead));
        Self {
            html: format!(
                "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
                 <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
                 <title>{title}</title>\n<style>{STYLE}</style></head>\n<body><main>\n\
                 <h1>{title}</h1>\n<p class=\"lead\">{lead}</p>\n"
            ),
        }
    }

    /// A card with a heading; `parts` are pieces of HTML from the functions below.
    pub fn section(&mut self, heading: &str, parts: &[String]) {
        let heading = escaped(heading);
        let parts = parts.join("\n");
        self.html.push_str(&format!("<section>\n<h2>{heading}</h2>\n{parts}\n</section>\n"));
    }

    /// Writes the page; `path` then holds all of it, or what it held before.
    ///
    /// # Errors
    /// A file that can't be written.
    pub fn save(mut self, path: &Path) -> Result<()> {
        self.html.push_str("</main></body></html>\n");
        write_whole(path, self.html.as_bytes()).with_context(|| path.display().to_string())
    }
}

/// A paragraph.
pub fn paragraph(text: impl Display) -> String {
    format!("<p>{}</p>", escaped(&text.to_string()))
}

/// A table, its first column to the left and the others, figures, to the right.
pub fn table(heads: &[&str], rows: &[Vec<String>]) -> String {
    let cells = |tag: &str, cells: &mut dyn Iterator<Item = &str>| {
        let cells: String = cells.map(|c| format!("<{tag}>{}</{tag}>", escaped(c))).collect();
        format!("<tr>{cells}</tr>")
    };
    let head = cells("th", &mut heads.iter().copied());
    let rows: Vec<String> =
        rows.iter().map(|row| cells("td", &mut row.iter().map(String::as_str))).collect();
    format!("<table><thead>{head}</thead><tbody>{}</tbody></table>", rows.join("\n"))
}

/// A PNG picture.
pub fn picture(png: &[u8], caption: &str) -> String {
    let caption = escaped(caption);
    format!(
        "<figure><img alt=\"{caption}\" src=\"data:image/png;base64,{}\">\
         <figcaption>{caption}</figcaption></figure>",
        base64(png)
    )
}

/// Players for sounds at `sample_rate`, side by side.
pub fn players(sounds: &[(&str, &[f32])], sample_rate: u32) -> String {
    let player = |(name, samples): &(&str, &[f32])| {
        format!(
            "<label>{}<audio controls preload=\"none\" src=\"data:audio/wav;base64,{}\"></audio></label>",
            escaped(name),
            base64(&wav(samples, sample_rate))
        )
    };
    let players: Vec<String> = sounds.iter().map(player).collect();
    format!("<div class=\"players\">{}</div>", players.join("\n"))
}

/// The waveform, from least to most in each of 800 columns, of samples within +-`peak`.
pub fn waveform(samples: &[f32], peak: f32) -> String {
    const COLUMNS: usize = 800;
    const HALF: f32 = 50.0;
    let mut path = String::new();
    for column in 0..COLUMNS.min(samples.len()) {
        let at = |column: usize| column * samples.len() / COLUMNS.min(samples.len());
        let part = &samples[at(column)..at(column + 1)];
        let least = part.iter().copied().fold(f32::INFINITY, f32::min);
        let most = part.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let y = |value: f32| HALF - HALF * (value / peak.max(1e-9)).clamp(-1.0, 1.0);
        // Writing to a string cannot fail.
        let _ = write!(path, "M{column} {:.1}V{:.1}", y(most), y(least) + 0.3);
    }
    format!(
        "<svg viewBox=\"0 0 {COLUMNS} 100\" role=\"img\" aria-label=\"waveform\">\
         <line class=\"wave-axis\" x1=\"0\" y1=\"{HALF}\" x2=\"{COLUMNS}\" y2=\"{HALF}\"/>\
         <path class=\"wave\" d=\"{path}\"/></svg>"
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A wav file, one channel of 16 bits (RIFF, WAVE_FORMAT_PCM).
fn wav(samples: &[f32], sample_rate: u32) -> Vec<u8> {
    let length = 2 * samples.len() as u32;
    let mut bytes = Vec::with_capacity(44 + length as usize);
    bytes.extend(b"RIFF");
    bytes.extend((36 + length).to_le_bytes());
    bytes.extend(b"WAVEfmt ");
    bytes.extend(16u32.to_le_bytes());
    bytes.extend([1, 0, 1, 0]); // PCM, one channel
    bytes.extend(sample_rate.to_le_bytes());
    bytes.extend((2 * sample_rate).to_le_bytes());
    bytes.extend([2, 0, 16, 0]); // bytes a frame, bits a sample
    bytes.extend(b"data");
    bytes.extend(length.to_le_bytes());
    for sample in samples {
        let value = (sample * 32_767.0).round().clamp(-32_768.0, 32_767.0);
        bytes.extend((value as i16).to_le_bytes());
    }
    bytes
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const SIGNS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let byte = |i: usize| u32::from(three.get(i).copied().unwrap_or(0));
        let word = byte(0) << 16 | byte(1) << 8 | byte(2);
        for i in 0..4 {
            let sign = SIGNS[(word >> (18 - 6 * i) & 63) as usize] as char;
            text.push(if i <= three.len() { sign } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of RFC 4648, section 10.
    #[test]
    fn base64_is_the_rfcs() {
        for (bytes, text) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn sounds_are_wav_files_and_text_is_escaped() {
        let bytes = wav(&[0.0, 1.0, -2.0], 24_000);
        assert_eq!(bytes.len(), 50);
        assert_eq!(&bytes[44..], [0, 0, 255, 127, 0, 128]);
        assert!(table(&["a<b"], &[vec!["\"&".into()]]).contains("<th>a&lt;b</th>"));
        assert!(waveform(&[0.5; 10], 1.0).contains("M9 25.0V25.3"));
        assert!(waveform(&[], 1.0).contains("d=\"\""));
    }
}

//! `vocoder eval --report`: a page to look at and to listen to, and a picture a file.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use vocoder::mel::{MelConfig, MelExtractor};
use vocoder::metrics::SAMPLE_RATE;
use vocoder::output_file::write_whole;
use vocoder::picture::{self, Panel};

use super::figures::{FIGURES, Figures, MEAN_HEADS, file_heads, file_rows, mean_rows};
use crate::page::{self, Page};

/// Clips beyond these have figures and a picture, but no place on the page, which holds all sound.
const MOST_ON_PAGE: usize = 24;

/// Seconds of a clip that are drawn and heard.
const SECONDS: usize = 10;

/// A report in the making.
pub struct Report {
    folder: PathBuf,
    extractor: MelExtractor,
    /// Heading and parts of each file's section.
    sections: Vec<(String, Vec<String>)>,
}

impl Report {
    /// A report into `folder`, which is made.
    ///
    /// # Errors
    /// The folder can't be made.
    pub fn new(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the folder {}", folder.display()))?;
        Ok(Self {
            folder: folder.to_path_buf(),
            extractor: MelExtractor::new(&MelConfig::default())?,
            sections: Vec::new(),
        })
    }

    /// Draws one pair: the recording, its rendering and Griffin-Lim's, at [`SAMPLE_RATE`].
    ///
    /// # Errors
    /// A picture that can't be written.
    pub fn add(&mut self, figures: &Figures, sounds: [&[f32]; 3]) -> Result<()> {
        let shown = SECONDS * SAMPLE_RATE as usize;
        let sounds = sounds.map(|sound| &sound[..sound.len().min(shown)]);
        let names = ["recording", "rendering", "Griffin-Lim"];
        let mut mels = Vec::new();
        for sound in sounds {
            // As long as the recording, so that there is a difference to draw.
            let mut sound = sound.to_vec();
            sound.resize(sounds[0].len(), 0.0);
            mels.push(self.extractor.extract(&sound)?);
        }
        let panels: Vec<Panel> =
            names.iter().zip(&mels).map(|(title, mel)| Panel { title, mel }).collect();
        let png = picture::encode_comparison(&panels[0], &panels[1..])?;
        let path = self.folder.join(flat(&figures.file)).with_extension("png");
        write_whole(&path, &png).with_context(|| path.display().to_string())?;
        if self.sections.len() < MOST_ON_PAGE {
            let row = |name: &str, comparison| {
                let cells = FIGURES.iter().map(|figure| figure.cell(comparison));
                std::iter::once(name.to_string()).chain(cells).collect()
            };
            let rows =
                [row("rendering", &figures.generated), row("Griffin-Lim", &figures.griffin_lim)];
            let heard: Vec<(&str, &[f32])> = names.into_iter().zip(sounds).collect();
            let parts = vec![
                page::table(&file_heads(), &rows),
                page::players(&heard, SAMPLE_RATE),
                page::picture(
                    &png,
                    "Each row: the spectrogram, and how far it is from the recording's",
                ),
            ];
            self.sections.push((figures.file.clone(), parts));
        }
        Ok(())
    }

    /// Writes `report.html`, and says where.
    ///
    /// # Errors
    /// A file that can't be written.
    pub fn finish(self, figures: &[Figures]) -> Result<PathBuf> {
        let lead = format!(
            "{} clips at 24 kHz, beside Griffin-Lim from the same mels. What each figure means is \
             in the documentation of vocoder::metrics.",
            figures.len()
        );
        let mut page = Page::new("How far renderings are from the recordings", &lead);
        page.section("In the mean", &[page::table(&MEAN_HEADS, &mean_rows(figures))]);
        page.section("Each file", &[page::table(&file_heads(), &file_rows(figures))]);
        for (heading, parts) in &self.sections {
            page.section(heading, parts);
        }
        let path = self.folder.join("report.html");
        page.save(&path)?;
        Ok(path)
    }
}

/// A file's name for a path below a folder.
fn flat(name: &str) -> String {
    name.replace(['/', '\\'], "_")
}

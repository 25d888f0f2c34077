//! Presets as `.vstpreset` files: a header, the plugin's state, and a list of what lies where.
//!
//! The layout is that of the VST3 SDK's `vstpresetfile.h`: `VST3`, a version, the class id as 32
//! hexadecimal digits, the list's position; the chunks; `List`, their number, and for each its id,
//! position and size. Numbers are little-endian.

use std::fs;
use std::path::{Path, PathBuf};

use nice_plug::prelude::{Plugin, PluginState, Vst3Plugin};

use super::{EFFECT, INSTRUMENT, Preset, VENDOR};
use crate::{Effect, Instrument};

const HEADER: usize = 4 + 4 + 32 + 8;

/// The bytes of the file that carries `state` for the class `class_id`.
///
/// # Errors
/// A state that can't be written as JSON.
pub fn to_file(class_id: &[u8; 16], state: &PluginState) -> serde_json::Result<Vec<u8>> {
    let component = serde_json::to_vec(state)?;
    let length = component.len() as i64;
    let mut file = Vec::with_capacity(HEADER + component.len() + 28);
    file.extend(b"VST3");
    file.extend(1_i32.to_le_bytes());
    for byte in class_id {
        file.extend(format!("{byte:02X}").bytes());
    }
    file.extend((HEADER as i64 + length).to_le_bytes());
    file.extend(component);
    file.extend(b"List");
    file.extend(1_i32.to_le_bytes());
    file.extend(b"Comp");
    file.extend((HEADER as i64).to_le_bytes());
    file.extend(length.to_le_bytes());
    Ok(file)
}

/// The class id and the state, as JSON, of a file that [`to_file`] made, or a host: the state is the
/// first chunk for the component. None where it is no such file.
pub fn from_file(file: &[u8]) -> Option<([u8; 16], &[u8])> {
    let number = |at: usize| -> Option<usize> {
        let bytes = file.get(at..at.checked_add(8)?)?.try_into().ok()?;
        usize::try_from(i64::from_le_bytes(bytes)).ok()
    };
    if file.get(..4)? != b"VST3" {
        return None;
    }
    let mut class_id = [0; 16];
    for (byte, digits) in class_id.iter_mut().zip(file.get(8..40)?.chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    let list = number(40)?;
    if file.get(list..list.checked_add(4)?)? != b"List" {
        return None;
    }
    // Chunks of the class's own may come before it.
    let entries = file.get(list.checked_add(8)?..)?.chunks_exact(20);
    let place = entries.enumerate().find(|(_, entry)| entry.starts_with(b"Comp"))?.0;
    let entry = list + 8 + 20 * place;
    let begin = number(entry + 4)?;
    Some((class_id, file.get(begin..begin.checked_add(number(entry + 12)?)?)?))
}

/// Where this user's presets lie, for VST3 hosts by the standard of VST3, and for
/// CLAP hosts: as `make install-plugin` puts them there.
pub fn folder() -> Option<PathBuf> {
    let variable = if cfg!(windows) { "USERPROFILE" } else { "HOME" };
    let home = std::env::var_os(variable).filter(|home| !home.is_empty()).map(PathBuf::from)?;
    let presets = if cfg!(windows) {
        home.join("Documents").join("VST3 Presets")
    } else if cfg!(target_os = "macos") {
        home.join("Library/Audio/Presets")
    } else {
        home.join(".vst3/presets")
    };
    Some(presets.join(VENDOR))
}

/// Writes all presets under `folder` as hosts look for them, `VENDOR/PLUGIN/PRESET.vstpreset`, and
/// returns the files.
///
/// # Errors
/// A folder or file that can't be written.
pub fn write_all(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = write::<Effect>(folder, EFFECT, true)?;
    files.extend(write::<Instrument>(folder, INSTRUMENT, false)?);
    Ok(files)
}

fn write<P: Plugin + Vst3Plugin>(
    folder: &Path,
    presets: &[Preset],
    has_follow: bool,
) -> std::io::Result<Vec<PathBuf>> {
    let folder = folder.join(VENDOR).join(P::NAME);
    fs::create_dir_all(&folder)?;
    let mut files = Vec::new();
    for preset in presets {
        let file = folder.join(preset.name).with_extension("vstpreset");
        fs::write(&file, to_file(&P::VST3_CLASS_ID, &preset.state(has_follow))?)?;
        files.push(file);
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_file_says_where_its_state_lies() {
        let state = EFFECT[2].state(true);
        let file = to_file(&Effect::VST3_CLASS_ID, &state).unwrap();
        assert_eq!(&file[..4], b"VST3");
        assert_eq!(&file[8..40], b"566F636F646572456666656374303031");
        let number = |at: usize| i64::from_le_bytes(file[at..at + 8].try_into().unwrap()) as usize;
        let list = number(40);
        assert_eq!(&file[list..list + 4], b"List");
        assert_eq!(&file[list + 8..list + 12], b"Comp");
        let (at, size) = (number(list + 12), number(list + 20));
        assert_eq!(list + 28, file.len());
        let back: PluginState = serde_json::from_slice(&file[at..at + size]).unwrap();
        assert_eq!(from_file(&file), Some((Effect::VST3_CLASS_ID, &file[at..at + size])));
        assert_eq!(
            serde_json::to_string(&back.params).unwrap(),
            serde_json::to_string(&state.params).unwrap()
        );
        // Cut short anywhere, it is no such file.
        assert!((0..file.len()).all(|length| from_file(&file[..length]).is_none()));
    }
}

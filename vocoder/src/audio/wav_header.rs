//! A first look at a wav file's header, for what the decoder reports badly or not at all.

use std::io::{Read, Seek, SeekFrom};

/// Bytes of a RIFF file before its first chunk.
const RIFF_HEADER: u64 = 12;
/// Chunks that are looked at; the format stands among the first.
const MAX_CHUNKS: usize = 32;

/// The number of channels that a wav file claims; none for files of another kind and for damaged
/// ones. Leaves the position at the file's beginning.
pub(super) fn channels(file: &mut (impl Read + Seek)) -> Option<u16> {
    let found = find_channels(file);
    file.rewind().ok()?;
    found
}

fn find_channels(file: &mut (impl Read + Seek)) -> Option<u16> {
    let mut riff = [0; RIFF_HEADER as usize];
    file.read_exact(&mut riff).ok()?;
    if &riff[..4] != b"RIFF" || &riff[8..] != b"WAVE" {
        return None;
    }
    for _ in 0..MAX_CHUNKS {
        let mut chunk = [0; 8];
        file.read_exact(&mut chunk).ok()?;
        let [.., a, b, c, d] = chunk;
        if &chunk[..4] == b"fmt " {
            let mut format = [0; 4];
            file.read_exact(&mut format).ok()?;
            return Some(u16::from_le_bytes([format[2], format[3]]));
        }
        // Chunks begin at even positions.
        let length = u64::from(u32::from_le_bytes([a, b, c, d])).next_multiple_of(2);
        file.seek(SeekFrom::Current(length as i64)).ok()?;
    }
    None
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn finds_the_format_behind_an_odd_chunk() {
        let mut bytes = b"RIFF\0\0\0\0WAVEJUNK\x03\0\0\0abc\0fmt \x10\0\0\0\x01\0".to_vec();
        bytes.extend([64, 0]);
        let mut file = Cursor::new(bytes.clone());
        assert_eq!(channels(&mut file), Some(64));
        assert_eq!(file.position(), 0);
        for length in 0..bytes.len() {
            assert_eq!(channels(&mut Cursor::new(&bytes[..length])), None);
        }
    }
}

#![allow(clippy::unwrap_used)]
use proptest::prelude::*;

use super::*;

fn config() -> MelConfig {
    MelConfig { n_mels: 3, ..MelConfig::default() }
}

/// Two frames of three bands.
fn mel() -> Mel {
    Mel::new(config(), vec![-1.0, -2.0, -3.0, -4.0, -5.0, -6.0]).unwrap()
}

/// A `.npy` file by hand, version 1.0.
fn npy(description: &str, fortran: bool, shape: &str, data: &[u8]) -> Vec<u8> {
    let order = if fortran { "True" } else { "False" };
    let header =
        format!("{{'descr': '{description}', 'fortran_order': {order}, 'shape': {shape}, }}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

fn le(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn read_bytes(name: &str, bytes: &[u8]) -> Result<MelFile> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    read(&path, &config())
}

/// The message without the file's name.
fn refusal(name: &str, bytes: &[u8]) -> String {
    let message = read_bytes(name, bytes).unwrap_err().to_string();
    assert!(!message.contains('\n'), "one line: {message}");
    message.split_once(": ").unwrap().1.to_string()
}

#[test]
fn both_kinds_come_back() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["mel.npy", "mel.safetensors"] {
        let path = folder.path().join(name);
        write(&path, &mel()).unwrap();
        assert_eq!(read(&path, &config()).unwrap(), MelFile { mel: mel(), notice: None });
    }
    assert!(write(&folder.path().join("mel.pt"), &mel()).is_err());
    assert!(read(&folder.path().join("missing.npy"), &config()).is_err());
}

#[test]
fn every_layout_and_type_of_npy_gives_the_same_mel() {
    let by_band = [-1.0, -4.0, -2.0, -5.0, -3.0, -6.0];
    let by_frame = [-1.0, -2.0, -3.0, -4.0, -5.0, -6.0];
    let half: Vec<u8> =
        by_band.iter().flat_map(|&v| half::f16::from_f32(v).to_le_bytes()).collect();
    let double: Vec<u8> = by_band.iter().flat_map(|&v| f64::from(v).to_be_bytes()).collect();
    let cases = [
        (npy("<f4", false, "(3, 2)", &le(&by_band)), false),
        (npy("<f4", true, "(3, 2)", &le(&by_frame)), false),
        (npy("<f4", false, "(2, 3)", &le(&by_frame)), true),
        (npy("<f4", true, "(2, 3)", &le(&by_band)), true),
        (npy("<f4", false, "(1, 3, 2)", &le(&by_band)), false),
        (npy("<f4", true, "(1, 3, 2)", &le(&by_frame)), false),
        (npy("<f2", false, "(3, 2)", &half), false),
        (npy(">f8", false, "(3, 2)", &double), false),
    ];
    for (index, (bytes, noticed)) in cases.iter().enumerate() {
        let file = read_bytes("mel.npy", bytes).unwrap();
        assert_eq!(file.mel, mel(), "case {index}");
        assert_eq!(file.notice.is_some(), *noticed, "case {index}");
    }
}

#[test]
fn a_square_array_is_bands_by_frames() {
    let square: Vec<f32> = (1..=9).map(|i| -(i as f32)).collect();
    let file = read_bytes("mel.npy", &npy("<f4", false, "(3, 3)", &le(&square))).unwrap();
    assert_eq!(file.mel.frame(0), [-1.0, -4.0, -7.0]);
    assert_eq!(file.notice, None);
}

#[test]
fn what_is_no_mel_is_refused_in_one_line() {
    let six = le(&[-1.0; 6]);
    let cases: [(Vec<u8>, &str); 13] = [
        (vec![], "not a NumPy array file"),
        (b"\x93NUMPY\x01".to_vec(), "truncated header"),
        (npy("<f4", false, "(3, 2)", &six)[..40].to_vec(), "truncated header"),
        (npy("<f4", false, "(3, 2)", &six[..20]), "npy data: expected 24 bytes"),
        (npy("<i4", false, "(3, 2)", &six), "npy type: expected f2, f4 or f8"),
        (npy("<f4", false, "(6,)", &six), "mel shape: expected [3, frames]"),
        (npy("<f4", false, "(2, 3, 1)", &six), "mel shape: expected [3, frames]"),
        (npy("<f4", false, "(2, 5)", &le(&[-1.0; 10])), "mel shape: expected [3, frames]"),
        (npy("<f4", false, "(3, 0)", &[]), "mel: expected at least one frame"),
        (npy("<f4", false, "(4294967296, 4294967296, 4)", &six), "impossible shape"),
        (npy("<f4", false, &"(".repeat(3000), &six), "header of no plain array"),
        (npy("<f4", false, "(3, 1)", &le(&[-1.0, f32::NAN, 0.0])), "mel frame 0, band 1"),
        (npy("<f4", false, "(3, 1)", &le(&[-1.0, 60.0, 0.0])), "mel frame 0, band 1"),
    ];
    for (bytes, expected) in cases {
        let message = refusal("mel.npy", &bytes);
        assert!(message.contains(expected), "{message} lacks {expected}");
    }
}

#[test]
fn safetensors_made_with_other_settings_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mel.safetensors");
    let other = MelConfig { hop: 256, ..config() };
    write(&path, &Mel::new(other, vec![-1.0; 6]).unwrap()).unwrap();
    let message = read(&path, &config()).unwrap_err().to_string();
    assert!(message.ends_with("mel hop: expected 300, got 256"), "{message}");
}

#[test]
fn safetensors_from_elsewhere_need_no_settings() {
    let bytes = le(&[-1.0, -4.0, -2.0, -5.0, -3.0, -6.0]);
    let view = TensorView::new(Dtype::F32, vec![1, 3, 2], &bytes).unwrap();
    let named = |name| safetensors::serialize([(name, view.clone())], None).unwrap();
    assert_eq!(read_bytes("mel.safetensors", &named("mel")).unwrap().mel, mel());
    let message = refusal("mel.safetensors", &named("spectrogram"));
    assert_eq!(message, "safetensors: expected a tensor named mel, got spectrogram");
}

proptest! {
    #[test]
    fn damage_never_panics(at in 0usize..400, byte: u8, cut in 0usize..400, kind in 0usize..2) {
        let name = ["mel.npy", "mel.safetensors"][kind];
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        write(&path, &mel()).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        let at = at % bytes.len();
        bytes[at] = byte;
        bytes.truncate(bytes.len() - cut % bytes.len());
        std::fs::write(&path, bytes).unwrap();
        let _ = read(&path, &config());
    }
}

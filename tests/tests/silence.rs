//! What the shipped voices must not add to a sound: hiss where there is silence, clicks, tones.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use live::{Controls, Quality, VoiceChoice, load_voice, render_offline};
use vocoder::audio::AudioReader;
use vocoder::engine::Precision;
use vocoder::noise::Noise;
use vocoder_tests::arguments;
use vocoder_tests::program::{output, speech};

const RATE: usize = 24_000;

/// Reads `path`, at 24 kHz.
fn read(path: &std::path::Path) -> Vec<f32> {
    let (mut reader, mut samples) = (AudioReader::open(path).unwrap(), Vec::new());
    while reader.next_block(&mut samples).unwrap() {}
    assert_eq!(reader.info().sample_rate as usize, RATE);
    samples
}

/// `input` by each shipped voice, as its users hear it by default.
fn renderings(input: &[f32]) -> Vec<(String, Vec<f32>)> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("in.wav");
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: RATE as u32,
        bits_per_sample: 32,
        sample_format: hound::SampleFormat::Float,
    };
    let mut wav = hound::WavWriter::create(&file, spec).unwrap();
    input.iter().for_each(|v| wav.write_sample(*v).unwrap());
    wav.finalize().unwrap();
    let mut list: Vec<(String, Vec<f32>)> = ["speech", "speech-fast"]
        .into_iter()
        .map(|voice| {
            let out = folder.path().join(format!("{voice}.wav"));
            output(arguments![
                "render", &file, "-o", &out, "--voice", voice, "--format", "f32", "-q"
            ]);
            (voice.to_string(), read(&out))
        })
        .collect();
    let voice = load_voice(&VoiceChoice::default()).unwrap().voice;
    for quality in Quality::ALL {
        let how = (quality, Precision::Auto);
        let sound = render_offline(&voice, input, RATE as u32, how, &Controls::default()).unwrap();
        list.push((format!("speech-stream {quality}"), sound));
    }
    list
}

fn dbfs(x: &[f32]) -> f32 {
    10.0 * (x.iter().map(|v| v * v).sum::<f32>() / x.len() as f32 + 1e-20).log10()
}

/// Half a second of speech, a second of digital silence, and the speech again.
#[test]
fn silence_stays_silent() {
    let speech = &read(&speech())[RATE / 2..RATE];
    let input = [speech, &vec![0.0; RATE], speech].concat();
    for (name, sound) in renderings(&input) {
        // A window and the look-ahead away from the speech.
        let silence = dbfs(&sound[RATE * 7 / 10..RATE * 13 / 10]);
        println!("{name}: {silence:.1} dBFS");
        assert!(silence < -70.0, "{name}: {silence:.1} dBFS");
        assert!(dbfs(&sound[..RATE / 2]) > -40.0, "{name}: the speech is missing");
    }
}

/// A step between neighbours that is far beyond the sound's own around it.
#[test]
fn nothing_clicks() {
    let input = read(&speech());
    let input = &input[..input.len().min(3 * RATE)];
    let roughest = |x: &[f32]| {
        // The second difference over its own level in 20 ms: a click stands alone, speech does not.
        let bends: Vec<f32> = x.windows(3).map(|w| w[0] - 2.0 * w[1] + w[2]).collect();
        let most = bends.chunks(480).map(|chunk| {
            let level = (chunk.iter().map(|v| v * v).sum::<f32>() / chunk.len() as f32).sqrt();
            chunk.iter().fold(0f32, |m, v| m.max(v.abs())) / (level + 1e-3)
        });
        most.fold(0.0, f32::max)
    };
    let theirs = roughest(input);
    for (name, sound) in renderings(input) {
        let ours = roughest(&sound);
        println!("{name}: {ours:.1}, the recording: {theirs:.1}");
        assert!(ours < 1.5 * theirs, "{name}: {ours:.1}, the recording: {theirs:.1}");
    }
    let mut clicked = input.to_vec();
    clicked[RATE] += 0.5;
    assert!(roughest(&clicked) > 1.5 * theirs, "a click would not be found");
}

/// Noise has no tones, and so has what is made of it.
#[test]
fn no_tone_is_added() {
    let mut input = vec![0f32; 2 * RATE];
    Noise::new(8).fill(0, 0, &mut input);
    input.iter_mut().for_each(|v| *v *= 0.03);
    for (name, sound) in renderings(&input) {
        let peak = tallest_tone(&sound[RATE / 4..]);
        println!("{name}: {peak:.1} dB");
        assert!(peak < 8.0, "{name}: a tone of {peak:.1} dB above its neighbours");
    }
    let tone = |i: usize| 0.006 * (std::f32::consts::TAU * 3000.0 * i as f32 / RATE as f32).sin();
    let whistling: Vec<f32> = input.iter().enumerate().map(|(i, v)| v + tone(i)).collect();
    assert!(tallest_tone(&whistling) > 8.0, "a tone would not be found");
}

/// By how many dB the long-term spectrum stands out of its neighbourhood at most, from 100 Hz to 11 kHz.
fn tallest_tone(x: &[f32]) -> f32 {
    const SIZE: usize = 1024;
    let mut planner = realfft::RealFftPlanner::<f32>::new();
    let transform = planner.plan_fft_forward(SIZE);
    let mut energy = vec![0f32; SIZE / 2 + 1];
    let mut spectrum = transform.make_output_vec();
    for start in (0..x.len() - SIZE).step_by(SIZE / 2) {
        let mut frame: Vec<f32> = (0..SIZE)
            .map(|i| {
                let turn = std::f32::consts::TAU * i as f32 / SIZE as f32;
                x[start + i] * (0.5 - 0.5 * turn.cos())
            })
            .collect();
        transform.process(&mut frame, &mut spectrum).unwrap();
        energy.iter_mut().zip(&spectrum).for_each(|(e, v)| *e += v.norm_sqr());
    }
    let hz = RATE as f32 / SIZE as f32;
    let bins = (100.0 / hz) as usize..(11_000.0 / hz) as usize;
    bins.map(|k| {
        let mut around: Vec<f32> = (k.saturating_sub(12)..k + 13)
            .filter(|j| j.abs_diff(k) > 2)
            .map(|j| energy[j])
            .collect();
        around.sort_by(f32::total_cmp);
        10.0 * (energy[k] / around[around.len() / 2]).log10()
    })
    .fold(f32::MIN, f32::max)
}

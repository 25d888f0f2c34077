//! After the first pieces a reverse step allocates nothing: however many steps there are, a piece costs the
//! same allocations, those of the prior and of what is given back.
#![allow(clippy::unwrap_used, missing_docs)]

use candle_core::Device;
use vocoder::config::Padding;
use vocoder::engine::Precision;
use vocoder::prior::PriorConfig;
use vocoder::render::{Renderer, Settings};
use vocoder::schedule::Schedule;
use vocoder_tests::allocations::{Watched, count};
use vocoder_tests::rendering::{self, part};
use vocoder_tests::voices::{mel, steady_voice};

#[global_allocator]
static ALLOCATOR: Watched = Watched;

/// Allocations and releases of the pieces after the first 24: six blocks of those networks that render in
/// blocks.
fn of_a_piece(padding: Padding, sampler: &str, precision: Precision, steps: usize) -> Vec<usize> {
    let voice = steady_voice("eighth", padding, PriorConfig::Energy { floor: 1e-3 });
    let settings = Settings {
        schedule: Schedule::log_snr(steps, 0.4, 0.999).unwrap(),
        precision,
        chunk_frames: 4,
        ..rendering::settings(sampler)
    };
    let mel = mel(144);
    let mut renderer = Renderer::new(&voice, &Device::Cpu, settings).unwrap();
    // On one thread, so that all work is seen.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    pool.install(|| {
        let pieces = (0..36).map(|piece| part(&mel, 4 * piece..4 * piece + 4));
        pieces.map(|piece| count(|| renderer.push(&piece).unwrap()).0).skip(24).collect()
    })
}

#[test]
fn more_steps_do_not_allocate_more() {
    for padding in [Padding::Symmetric, Padding::Causal { look_ahead: 1 }] {
        for sampler in ["ancestral", "dpm++2m"] {
            for precision in [Precision::F32, Precision::Bf16, Precision::Int16, Precision::Int8] {
                let few = of_a_piece(padding, sampler, precision, 1);
                let many = of_a_piece(padding, sampler, precision, 6);
                println!("{padding:?} {sampler} {precision}: {few:?} {many:?}");
                // A symmetric network of more steps looks further ahead, so that fewer pieces give sound.
                let (least, most) = (few.iter().min().unwrap(), few.iter().max().unwrap());
                let fits = |n: &usize| (least..=most).contains(&n);
                assert!(many.iter().all(fits), "{padding:?} {sampler}: {few:?} {many:?}");
            }
        }
    }
}

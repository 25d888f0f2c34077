//! What each key means, in a line: printed by `vocoder train --print-config`, and the list of keys
//! that a config may have.

/// The comment of the key or table `path` (`optimiser.clip`).
pub(super) fn of(path: &str) -> Option<&'static str> {
    COMMENTS.iter().find(|(key, _)| *key == path).map(|(_, comment)| *comment)
}

/// Whether some config has the key or table `path`.
pub(super) fn is_known(path: &str) -> bool {
    COMMENTS.iter().any(|(key, _)| {
        key.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    })
}

/// Every key.
pub(super) fn keys() -> impl Iterator<Item = &'static str> {
    COMMENTS.iter().map(|(key, _)| *key)
}

/// Keys with their comments. Where the paper (WaveGrad Base) has a value, it is given.
const COMMENTS: &[(&str, &str)] = &[
    ("seed", "Selects initial weights, crops, levels and noise."),
    ("steps", "Optimiser steps in all (paper: about 1 million)."),
    ("batch", "Crops in a batch (paper: 256)."),
    ("crop_frames", "Frames of mel in a crop (paper: 24, which is 7200 samples or 0.3 s)."),
    ("gain_db", "Range of a random gain on each crop, in dB (paper: none, [0, 0])."),
    ("workers", "Threads that prepare batches."),
    (
        "keep_clips",
        "Prepare each clip once, at a gain of its own, and keep it in memory (8 MB a minute), for GPUs that outrun the workers.",
    ),
    (
        "mel_dropout",
        "Share of the crops that are trained without their mel, for classifier-free guidance (paper: 0; Ho & Salimans 2022).",
    ),
    (
        "precision",
        "Products of convolutions: f32, tf32, bf16 or f16 (signals in half precision too: the fastest on NVIDIA GPUs, f32 elsewhere); weights and sums are f32. On the CPU fewer bits are slower, for trial.",
    ),
    ("loss", "Distance of predicted and true noise, or velocity: l1 (paper) or mse."),
    (
        "stft",
        "Weight of the multi-resolution STFT distance of the predicted clean signal; 0 is off (paper: off; Yamamoto et al. 2020).",
    ),
    (
        "weighting",
        "How much a crop counts by its level: uniform (paper), truncated-snr (Salimans & Ho 2022), clean (1 / SNR) or a table [weighting.min-snr] (Hang et al. 2023).",
    ),
    ("weighting.min-snr", "Crops above an SNR of gamma count gamma / SNR."),
    ("weighting.min-snr.gamma", "SNR, l^2 / (1 - l^2) (Hang et al.: 5)."),
    (
        "distill",
        "What is learned from a teacher (`train --distill`); by all kinds but guidance at the levels of its steps.",
    ),
    (
        "distill.progressive",
        "One step for each two of the teacher (Salimans & Ho 2022); or [distill.consistency], [distill.guidance].",
    ),
    ("distill.progressive.steps", "The student's steps."),
    (
        "distill.consistency",
        "The clean signal from any level, for 1 to 4 steps (Song et al. 2023); or [distill.progressive], [distill.guidance].",
    ),
    ("distill.consistency.levels", "Levels of the discretised schedule (Song et al.: 18 to 40)."),
    (
        "distill.guidance",
        "What the teacher predicts under guidance, in one evaluation instead of two (Meng et al. 2023); or [distill.progressive], [distill.consistency].",
    ),
    (
        "distill.guidance.weight",
        "How far predictions lean on the mel; the teacher was trained with mel_dropout.",
    ),
    (
        "levels.hierarchical",
        "Noise levels as the paper draws them; or [levels.log-snr], or [levels.log-snr-laplace].",
    ),
    ("levels.hierarchical.first_beta", "The cleanest step's beta (open implementations: 1e-6)."),
    ("levels.hierarchical.last_beta", "The noisiest step's beta (open implementations: 0.01)."),
    ("levels.hierarchical.steps", "Number of betas (paper: 1000)."),
    (
        "levels.log-snr",
        "Noise levels uniform in ln(l / sigma) (Kingma et al. 2021); or [levels.hierarchical] (paper), or [levels.log-snr-laplace].",
    ),
    ("levels.log-snr.min", "ln(l / sigma) of the noisiest level (paper's range: -2.51)."),
    ("levels.log-snr.max", "ln(l / sigma) of the cleanest level (paper's range: 6.91)."),
    (
        "levels.log-snr-laplace",
        "Noise levels from a Laplace density in ln(l / sigma) (Hang et al. 2024); or [levels.hierarchical] (paper), or [levels.log-snr].",
    ),
    (
        "levels.log-snr-laplace.centre",
        "ln(l / sigma) of the most frequent level (Hang et al., for images: 0).",
    ),
    (
        "levels.log-snr-laplace.scale",
        "Mean distance from the centre (Hang et al., in these units: 0.25).",
    ),
    ("levels.log-snr-laplace.min", "ln(l / sigma) of the noisiest level."),
    ("levels.log-snr-laplace.max", "ln(l / sigma) of the cleanest level."),
    ("optimiser", "AdamW, and what surrounds it. The paper doesn't name its optimiser."),
    ("optimiser.learning_rate", "Peak learning rate (paper: not given; lmnt-com/wavegrad: 2e-4)."),
    ("optimiser.accumulate", "Batches whose mean gradient makes one step (paper: 1)."),
    ("optimiser.warm_up", "Steps over which the rate rises to its peak."),
    (
        "optimiser.final_rate",
        "Rate at the last step over the peak, along a half cosine; 1 keeps it constant.",
    ),
    ("optimiser.beta1", "Decay of the mean gradient."),
    ("optimiser.beta2", "Decay of the mean squared gradient."),
    ("optimiser.weight_decay", "Decoupled decay of weights (not biases), times the rate."),
    ("optimiser.clip", "Gradients are scaled down to this global norm (lmnt-com/wavegrad: 1)."),
    (
        "optimiser.ema",
        "Decay of the mean of the weights, which becomes the voice (paper: not given; BDDM: 0.999).",
    ),
    ("saving", "When the run saves, validates and shows itself."),
    ("saving.every", "Steps between checkpoints."),
    ("saving.keep", "Checkpoints that are kept."),
    ("saving.validate_every", "Steps between validations on held-out clips."),
    ("saving.validate_crops", "Crops that a validation looks at; 0 for none."),
    (
        "saving.preview_every",
        "Steps between previews: held-out clips rendered at 6 and 50 steps; 0 for none.",
    ),
    ("saving.preview_clips", "Held-out clips in a preview."),
    ("saving.preview_seconds", "Most seconds of a clip that a preview renders."),
    ("mel", "The mel that conditions the network."),
    ("mel.sample_rate", "Samples per second (paper: 24000)."),
    ("mel.n_mels", "Bands (paper: 128)."),
    ("mel.n_fft", "Length of the Fourier transform, in samples (paper: 2048)."),
    ("mel.window", "Length of the Hann window, in samples (paper: 1200)."),
    ("mel.hop", "Samples from one frame to the next (paper: 300)."),
    ("mel.f_min_hz", "Lower edge of the lowest band, in Hz (paper: 20)."),
    ("mel.f_max_hz", "Upper edge of the highest band, in Hz (paper: 12000)."),
    ("mel.scale", "Spacing of the bands: slaney or htk."),
    ("mel.norm", "Scaling of the bands: slaney (area 1) or none (peak 1)."),
    ("mel.power", "What the bands sum: magnitude or energy."),
    ("mel.energy_guard", "Added to each bin's energy."),
    ("mel.unit_window", "Divide the spectrum by the window's root sum of squares."),
    ("mel.log", "Compression: natural, log10, db or unit-db."),
    ("mel.floor", "Smallest linear value of a band."),
    ("mel.padding", "Where frame 0 lies: centre or hifi-gan."),
    ("model", "Shape of the network."),
    ("model.n_mels", "Bands of the mel: as mel.n_mels (paper: 128)."),
    ("model.first", "Channels of the convolution over the mel (paper: 768)."),
    ("model.stem", "Channels of the convolution over the waveform (paper: 32)."),
    ("model.stem_taps", "Taps of that convolution, odd (paper: 5)."),
    ("model.taps", "Taps of the other convolutions but the 1x1 residuals, odd (paper: 3)."),
    ("model.down", "Channels of the downsampling blocks (paper: 128, 128, 256, 512)."),
    ("model.up", "Channels of the upsampling blocks (paper: 512, 512, 256, 128, 128)."),
    ("model.factors", "Upsampling factors; their product is the hop (paper: 5, 5, 3, 2, 2)."),
    ("model.up_dilations", "Dilations of the four convolutions of each upsampling block."),
    (
        "model.down_dilations",
        "Dilations of the three convolutions of each downsampling block (paper: 1, 2, 4).",
    ),
    (
        "model.padding",
        "On which side convolutions are padded: symmetric (paper) or [model.padding.causal].",
    ),
    ("model.padding.causal", "All padding on the past's side."),
    (
        "model.padding.causal.look_ahead",
        "Frames of mel that the network sees ahead of the waveform.",
    ),
    ("model.mel_shift", "Added to the mel before mel_scale."),
    (
        "model.mel_scale",
        "Multiplies the shifted mel, so that the network sees values of about unit size.",
    ),
    (
        "model.level.level",
        "The network is told the noise level itself (paper); or [model.level.log-snr].",
    ),
    ("model.level.level.scale", "Radians per unit of level (paper: 5000)."),
    ("model.level.log-snr", "The network is told ln(l / sigma); or [model.level.level] (paper)."),
    ("model.level.log-snr.scale", "Radians per unit of ln(l / sigma)."),
    (
        "model.prediction",
        "What the network predicts: noise (paper) or velocity (Salimans & Ho 2022).",
    ),
    (
        "model.resampling",
        "How rows become more and fewer: nearest, or linear (as ivanvovk/WaveGrad; slow on the CPU).",
    ),
    (
        "model.prior",
        "What the chain starts from: standard (paper), [model.prior.energy] or [model.prior.spectral].",
    ),
    (
        "model.prior.energy",
        "Noise as loud as the mel says (PriorGrad, Lee et al. 2022); or standard (paper), or [model.prior.spectral].",
    ),
    ("model.prior.energy.floor", "The least deviation; 1e-3 is -60 dB of full scale."),
    (
        "model.prior.spectral",
        "Noise with the mel's spectral envelope (after SpecGrad, Koizumi et al. 2022); or standard (paper), or [model.prior.energy].",
    ),
    ("model.prior.spectral.floor", "The least deviation; 1e-3 is -60 dB of full scale."),
    (
        "model.prior.spectral.order",
        "Poles of the envelope: 24 follow formants, 100 and more also harmonics.",
    ),
    ("model.prior.spectral.smear_hz", "Width by which the envelope is smeared, in Hz."),
    (
        "model.prior.spectral.share",
        "How much of the envelope, in decibels, the noise follows: 1 is all of it, 0.5 won (docs/ab.md).",
    ),
];

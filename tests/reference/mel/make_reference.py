"""Makes reference.safetensors: the mels of one clip by librosa and by torchaudio.

Each preset follows its origin's own code, named beside it, and not our configuration, so that a
mistake in a preset shows. The libraries' versions are stored in the file's metadata.

    pip install numpy soundfile librosa torch torchaudio safetensors
    python tests/reference/mel/make_reference.py

Holds `audio` [samples] and, per preset, `PRESET/librosa` and `PRESET/torchaudio` [n_mels, frames].
"""

from pathlib import Path

import librosa
import numpy as np
import soundfile
import torch
import torchaudio
from safetensors.numpy import save_file

HERE = Path(__file__).parent
SPEECH = HERE / "../../../samples/kokoro_af_heart.flac"


def clip():
    """0.7 s of speech, then a chirp over all frequencies with a little noise, of 0.3 s.

    The presets take it at their own rates as it is: a mel does not know what was said.
    """
    rate = 24_000
    speech, _ = soundfile.read(SPEECH, dtype="float32")
    speech = speech[rate // 2 : rate // 2 + int(0.7 * rate)]
    t = np.arange(int(0.3 * rate)) / rate
    chirp = 0.5 * np.sin(2 * np.pi * (50 * t + 0.5 * (11_500 / 0.3) * t**2))
    chirp += np.random.default_rng(1).normal(0, 1e-3, len(t))
    return np.concatenate([speech, chirp.astype(np.float32)])


def librosa_mel(y, *, power, norm, htk, log, **settings):
    # Since version 0.10 librosa pads with zeros unless told: torch reflects.
    mel = librosa.feature.melspectrogram(
        y=y, power=power, norm=norm, htk=htk, pad_mode="reflect", **settings
    )
    return log(mel)


def torchaudio_mel(y, *, log, **settings):
    return log(torchaudio.transforms.MelSpectrogram(**settings)(torch.from_numpy(y)))


def natural(floor):
    """ln with a floor, for arrays and for tensors."""

    def log(x):
        if isinstance(x, torch.Tensor):
            return torch.log(torch.clamp(x, min=floor))
        return np.log(np.maximum(x, np.float32(floor)))

    return log


def wavegrad_24k(y):
    """The paper's section 4.1; Slaney bands and magnitude are this project's choice."""
    common = dict(n_fft=2048, win_length=1200, hop_length=300, n_mels=128, power=1.0)
    return (
        librosa_mel(y, sr=24_000, fmin=20, fmax=12_000, norm="slaney", htk=False,
                    log=natural(1e-5), **common),
        torchaudio_mel(y, sample_rate=24_000, f_min=20, f_max=12_000, norm="slaney",
                       mel_scale="slaney", log=natural(1e-5), **common),
    )


def hifigan_22k(y):
    """jik876/hifi-gan, meldataset.py, mel_spectrogram."""
    n_fft, hop, sr, n_mels, fmin, fmax = 1024, 256, 22_050, 80, 0, 8_000
    pad = (n_fft - hop) // 2
    bank = librosa.filters.mel(sr=sr, n_fft=n_fft, n_mels=n_mels, fmin=fmin, fmax=fmax)
    spec = librosa.stft(np.pad(y, pad, mode="reflect"), n_fft=n_fft, hop_length=hop,
                        win_length=n_fft, center=False)
    by_librosa = natural(1e-5)(bank @ np.sqrt(np.abs(spec) ** 2 + np.float32(1e-9)))

    padded = torch.nn.functional.pad(torch.from_numpy(y)[None], (pad, pad), mode="reflect")[0]
    spec = torch.stft(padded, n_fft, hop_length=hop, win_length=n_fft,
                      window=torch.hann_window(n_fft), center=False, return_complex=True)
    spec = torch.sqrt(torch.view_as_real(spec).pow(2).sum(-1) + 1e-9)
    bank = torchaudio.functional.melscale_fbanks(n_fft // 2 + 1, fmin, fmax, n_mels, sr,
                                                 norm="slaney", mel_scale="slaney")
    return by_librosa, natural(1e-5)(bank.T @ spec)


def tacotron2_22k(y):
    """NVIDIA/tacotron2, layers.py, TacotronSTFT: centred, reflected, no guard under the root."""
    common = dict(n_fft=1024, win_length=1024, hop_length=256, n_mels=80, power=1.0)
    return (
        librosa_mel(y, sr=22_050, fmin=0, fmax=8_000, norm="slaney", htk=False,
                    log=natural(1e-5), **common),
        torchaudio_mel(y, sample_rate=22_050, f_min=0, f_max=8_000, norm="slaney",
                       mel_scale="slaney", log=natural(1e-5), **common),
    )


def vocos_24k(y):
    """gemelo-ai/vocos, feature_extractors.py, MelSpectrogramFeatures."""
    common = dict(n_fft=1024, hop_length=256, n_mels=100, power=1)
    return (
        librosa_mel(y, sr=24_000, fmin=0, fmax=12_000, norm=None, htk=True,
                    log=natural(1e-7), **common),
        torchaudio_mel(y, sample_rate=24_000, center=True, log=natural(1e-7), **common),
    )


def lmnt(y, rate):
    """lmnt-com/wavegrad 0.1.5, preprocess.py, transform."""
    common = dict(n_fft=2048, win_length=1200, hop_length=300, power=1.0)

    def scaled(x):
        decibels = 20 * torch.log10(torch.clamp(torch.as_tensor(x), min=1e-5)) - 20
        return torch.clamp((decibels + 100) / 100, 0.0, 1.0)

    root_energy = np.sqrt(np.sum(librosa.filters.get_window("hann", 1200) ** 2))
    return (
        librosa_mel(y, sr=rate, n_mels=128, fmin=20, fmax=rate / 2, norm=None, htk=True,
                    log=lambda x: scaled(x / np.float32(root_energy)).numpy(), **common),
        torchaudio_mel(y, sample_rate=rate, f_min=20.0, f_max=rate / 2.0, normalized=True,
                       log=scaled, **common),
    )


def ivanvovk_22k(y):
    """ivanvovk/WaveGrad, data.py, MelSpectrogramFixed by configs/default.json, with its last frame."""
    common = dict(n_fft=1024, win_length=1024, hop_length=300, n_mels=80, power=2.0)
    return (
        librosa_mel(y, sr=22_050, fmin=80, fmax=8_000, norm=None, htk=True,
                    log=lambda x: np.log10(np.maximum(x, np.float32(1e-10))), **common),
        torchaudio_mel(y, sample_rate=22_050, f_min=80, f_max=8_000,
                       log=lambda x: torch.log10(x.clamp(min=1e-10)), **common),
    )


def parallel_wavegan_24k(y):
    """kan-bayashi/ParallelWaveGAN, bin/preprocess.py, logmelfilterbank, by its configs at 24 kHz."""
    common = dict(n_fft=2048, win_length=1200, hop_length=300, n_mels=80, power=1.0)
    return (
        librosa_mel(y, sr=24_000, fmin=80, fmax=7_600, norm="slaney", htk=False,
                    log=lambda x: np.log10(np.maximum(x, np.float32(1e-10))), **common),
        torchaudio_mel(y, sample_rate=24_000, f_min=80, f_max=7_600, norm="slaney",
                       mel_scale="slaney", log=lambda x: torch.log10(x.clamp(min=1e-10)), **common),
    )


def energy_db(y):
    """No preset: energy, decibels, HTK scale and Slaney's norm at once."""
    common = dict(n_fft=1024, win_length=800, hop_length=200, n_mels=64, power=2.0)
    return (
        librosa_mel(y, sr=16_000, fmin=60, fmax=7_600, norm="slaney", htk=True,
                    log=lambda x: librosa.power_to_db(x, amin=1e-8, top_db=None), **common),
        torchaudio_mel(y, sample_rate=16_000, f_min=60, f_max=7_600, norm="slaney",
                       mel_scale="htk", log=lambda x: 10 * torch.log10(x.clamp(min=1e-8)),
                       **common),
    )


def main():
    y = clip()
    arrays = {"audio": y}
    recipes = {
        "wavegrad-24k": wavegrad_24k(y),
        "hifigan-22k": hifigan_22k(y),
        "tacotron2-22k": tacotron2_22k(y),
        "vocos-24k": vocos_24k(y),
        "lmnt-22k": lmnt(y, 22_050),
        "lmnt-24k": lmnt(y, 24_000),
        "ivanvovk-22k": ivanvovk_22k(y),
        "parallel-wavegan-24k": parallel_wavegan_24k(y),
        "energy-db": energy_db(y),
    }
    for name, (by_librosa, by_torchaudio) in recipes.items():
        by_librosa, by_torchaudio = np.asarray(by_librosa), by_torchaudio.numpy()
        gap = np.abs(by_librosa - by_torchaudio)
        print(f"{name}: {by_librosa.shape}, librosa - torchaudio: "
              f"mean {gap.mean():.1e}, max {gap.max():.1e}")
        arrays[f"{name}/librosa"] = np.ascontiguousarray(by_librosa, dtype=np.float32)
        arrays[f"{name}/torchaudio"] = np.ascontiguousarray(by_torchaudio, dtype=np.float32)
    versions = {m.__name__: m.__version__ for m in (np, librosa, torch, torchaudio)}
    save_file(arrays, HERE / "reference.safetensors", metadata=versions)


if __name__ == "__main__":
    main()

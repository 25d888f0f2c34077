#!/usr/bin/env python3
"""Prints the quality table: judge.py RECORDINGS RENDERINGS METHOD...

For each method, RENDERINGS/METHOD holds the rendered clips, METHOD.json what `vocoder render --json`
printed and METHOD.eval.json what `vocoder eval --json` printed. Computed here: PESQ-WB (ITU-T P.862.2) and
STOI (Taal et al. 2011) at 16 kHz, ViSQOL v3 in audio mode at 48 kHz (Chinen et al. 2020) and a predicted opinion
score at 16 kHz, as its difference from the recording's: DNSMOS OVRL (Reddy et al. 2022) or, where the variable
DISTILL_MOS names its ONNX export, DistillMOS (Stahl & Gamper 2025). The other columns are the program's own.
With LEAN=yes ViSQOL and the opinion score, which take most of the time, are left out.
"""

import contextlib
import io
import json
import logging
import math
import os
import sys
import warnings
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path

warnings.filterwarnings("ignore")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import soundfile
from pesq import pesq
from pystoi import stoi
from scipy.signal import get_window, resample_poly

# Two-sided 95 % points of Student's t for 35 degrees of freedom (36 clips), and for many.
T_35, T_MANY = 2.030, 1.960
DISTILL_MOS = os.environ.get("DISTILL_MOS")
LEAN = os.environ.get("LEAN") == "yes"

# Of `vocoder eval --json`: the head, the key, a factor and digits.
OWN = [
    ("LS-MAE", "ls_mae", 1, 3),
    ("MR-STFT", "mr_stft", 1, 3),
    ("MCD dB", "mcd13_db", 1, 2),
    ("F0 cents", "f0_rmse_cents", 1, 1),
    ("VUV-F1", "vuv_f1", 1, 3),
    ("FFE %", "ffe", 100, 1),
]
# Ours: the head and digits, in the order of `scores`.
JUDGED = [("PESQ-WB", 3), ("STOI", 3)]
if not LEAN:
    JUDGED += [("ViSQOL", 2), ("ΔDistillMOS" if DISTILL_MOS else "ΔDNSMOS", 3)]


def scores(pair):
    """Of a recording and its rendering, in the order of JUDGED."""
    wide = at(16_000, pair)
    if LEAN:
        return intrusive(wide)
    similarity = visqol().measure_from_arrays(*at(48_000, pair), 48_000).moslqo
    opinion = distill_mos if DISTILL_MOS else dnsmos
    if pair[0] not in of_recordings:
        of_recordings[pair[0]] = opinion(wide[0])
    return *intrusive(wide), similarity, opinion(wide[1]) - of_recordings[pair[0]]


# The opinion scores that this process has worked out.
of_recordings = {}


def pesq_and_stoi(pair):
    """Of a recording and its rendering; what is quick to work out."""
    return intrusive(at(16_000, pair))


def intrusive(wide):
    return pesq(16_000, *wide, "wb"), stoi(*wide, 16_000)


def at(rate, pair):
    """Both sounds of a pair of files, equally long, at a rate."""
    sounds = [read(path) for path in pair]
    length = min(len(sound) for sound, _ in sounds)
    return [resampled(sound[:length], own, rate) for sound, own in sounds]


def read(path):
    sound, rate = soundfile.read(path)
    return sound, rate


def resampled(sound, own, rate):
    divisor = math.gcd(rate, own)
    return resample_poly(sound, rate // divisor, own // divisor)


@cache
def visqol():
    from visqol import VisqolApi

    logging.getLogger("visqol").setLevel(logging.ERROR)
    judge = VisqolApi()
    judge.create(mode="audio")
    return judge


def dnsmos(sound):
    from speechmos import dnsmos

    with contextlib.redirect_stdout(io.StringIO()):
        return float(dnsmos.run(np.clip(sound, -1, 1).astype(np.float32), 16_000)["ovrl_mos"])


def distill_mos(sound):
    """The mean over windows of 7.68 s, a second apart or less: each scaled to a peak of 1, as a spectrum of
    20 ms Hann windows every 10 ms whose magnitudes are raised to 0.3."""
    window, hop, length = 320, 160, 122_880
    beyond = max(0, len(sound) - length)
    sound = np.pad(sound, (0, max(0, length - len(sound))))
    marks = []
    for start in np.linspace(0, beyond, math.ceil(beyond / 16_000) + 1).astype(int):
        part = sound[start : start + length]
        part = np.pad(part / (np.abs(part).max() + 1e-8), hop // 2, mode="reflect")
        frames = np.lib.stride_tricks.sliding_window_view(part, window)[::hop].T
        spectrum = np.fft.rfft(frames * get_window("hann", window)[:, None], axis=0)
        spectrum *= np.maximum(np.abs(spectrum), 1e-12) ** -0.7
        parts = np.stack([spectrum.real, spectrum.imag])[None].astype(np.float32)
        marks.append(float(distill_network().run(None, {"spec": parts})[0].ravel()[0]))
    return np.mean(marks)


@cache
def distill_network():
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(DISTILL_MOS, options)


def with_interval(values, digits):
    t = T_35 if len(values) == 36 else T_MANY
    half = t * np.std(values, ddof=1) / math.sqrt(len(values))
    return f"{np.mean(values):.{digits}f} ± {half:.{digits}f}"


def row(pool, recordings, folder, method):
    pairs = [(recordings / f"{clip.stem}.flac", clip) for clip in sorted((folder / method).iterdir())]
    judged = zip(*pool.map(scores, pairs))
    mean = json.loads((folder / f"{method}.eval.json").read_text())["mean"]["generated"]
    own = [
        f"{scale * mean[key]['mean']:.{digits}f} ± {scale * mean[key]['half_width']:.{digits}f}"
        for _, key, scale, digits in OWN
    ]
    summary = json.loads((folder / f"{method}.json").read_text().splitlines()[-1])["summary"]
    speed = f"{summary['computing_s'] / summary['audio_s']:.2f}"
    marks = [with_interval(values, digits) for values, (_, digits) in zip(judged, JUDGED)]
    return [method.replace("-", " "), *marks, *own, speed]


def main():
    recordings, folder = Path(sys.argv[1]), Path(sys.argv[2])
    heads = ["", *(head for head, _ in JUDGED), *(head for head, *_ in OWN), "RTF"]
    print("| " + " | ".join(heads) + " |\n|" + " --- |" * len(heads))
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for method in sys.argv[3:]:
            print("| " + " | ".join(row(pool, recordings, folder, method)) + " |", flush=True)


if __name__ == "__main__":
    main()

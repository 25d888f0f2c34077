#!/usr/bin/env python3
"""Prints the quality table: judge.py RECORDINGS RENDERINGS METHOD...

For each method, RENDERINGS/METHOD holds the rendered clips, METHOD.json what `vocoder render --json`
printed and METHOD.eval.json what `vocoder eval --json` printed. PESQ-WB (ITU-T P.862.2) and STOI
(Taal et al. 2011) are computed here, at 16 kHz; the other columns are the program's own.
"""

import json
import math
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import soundfile
from pesq import pesq
from pystoi import stoi
from scipy.signal import resample_poly

RATE = 16_000
# Two-sided 95 % points of Student's t for 35 degrees of freedom (36 clips), and for many.
T_35, T_MANY = 2.030, 1.960

# Of `vocoder eval --json`: the key, a factor and digits.
OWN = [("ls_mae", 1, 3), ("mr_stft", 1, 3), ("f0_rmse_cents", 1, 1), ("vuv_f1", 1, 3), ("ffe", 100, 1)]


def at_16_khz(path):
    samples, rate = soundfile.read(path)
    divisor = math.gcd(RATE, rate)
    return resample_poly(samples, RATE // divisor, rate // divisor)


def scores(pair):
    """(PESQ-WB, STOI) of a recording and its rendering."""
    recording, rendering = (at_16_khz(path) for path in pair)
    length = min(len(recording), len(rendering))
    recording, rendering = recording[:length], rendering[:length]
    return pesq(RATE, recording, rendering, "wb"), stoi(recording, rendering, RATE)


def with_interval(values):
    t = T_35 if len(values) == 36 else T_MANY
    half = t * np.std(values, ddof=1) / math.sqrt(len(values))
    return f"{np.mean(values):.3f} ± {half:.3f}"


def row(recordings, folder, method):
    pairs = [(recordings / f"{clip.stem}.flac", clip) for clip in sorted((folder / method).iterdir())]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        pesqs, stois = zip(*pool.map(scores, pairs))
    summary = json.loads((folder / f"{method}.json").read_text().splitlines()[-1])["summary"]
    mean = json.loads((folder / f"{method}.eval.json").read_text())["mean"]["generated"]
    own = [
        f"{scale * mean[key]['mean']:.{digits}f} ± {scale * mean[key]['half_width']:.{digits}f}"
        for key, scale, digits in OWN
    ]
    speed = f"{summary['computing_s'] / summary['audio_s']:.2f}"
    return [method.replace("-", " "), with_interval(pesqs), with_interval(stois), *own, speed]


def main():
    recordings, folder = Path(sys.argv[1]), Path(sys.argv[2])
    heads = ["", "PESQ-WB", "STOI", "LS-MAE", "MR-STFT", "F0 cents", "VUV-F1", "FFE %", "RTF"]
    print("| " + " | ".join(heads) + " |\n|" + " --- |" * len(heads))
    for method in sys.argv[3:]:
        print("| " + " | ".join(row(recordings, folder, method)) + " |", flush=True)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Pitch tracks to compare vocoder::metrics::pitch with, by programs that share no code with it:

    make_reference.py EVALUATE.py EVAL_CLIPS_DIR > reference.json

EVALUATE.py is the project's quality judge: WORLD's harvest and stonemask (pyworld) at 16 kHz every
5 ms from 60 to 600 Hz, voiced where D4C's love-train and a gate of -45 dB say so. Of each clip the
pitch in thousandths of a hertz, 0 where unvoiced. Made with pyworld 0.3.5.
"""
import importlib.util, json, sys
from pathlib import Path

import numpy as np

CLIPS = ("am_liam-015001", "bf_alice-015003", "kerstin-0268", "kerstin-1641", "lj-0021", "lj-0028")
# One of them, spoilt by white noise, stands for renderings with noise.
NOISY = "bf_alice-015003"


def noisy(x):
    """`x` and uniform noise within +-2^-6, by Knuth's multiplicative hash: the same in f32 and f64."""
    words = (np.arange(len(x), dtype=np.uint64) * 2654435761) & 0xFFFFFFFF
    return x + ((words >> 16).astype(np.int64) - 32768) * 2.0**-21


def main():
    spec = importlib.util.spec_from_file_location("evaluate", sys.argv[1])
    judge = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(judge)
    tracks = {}
    for clip in CLIPS:
        samples, _ = judge.load(Path(sys.argv[2], f"{clip}.flac"))
        f0, voiced = judge.f0_track(samples)
        tracks[clip] = [int(round(1000 * f)) if v else 0 for f, v in zip(f0, voiced)]
    samples, _ = judge.load(Path(sys.argv[2], f"{NOISY}.flac"))
    f0, voiced = judge.f0_track(noisy(samples))
    tracks["noisy"] = [int(round(1000 * f)) if v else 0 for f, v in zip(f0, voiced)]
    print(json.dumps(tracks))


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Reference values for vocoder::metrics from a program that shares no code with it:

    make_reference.py EVALUATE.py SAMPLES_DIR > reference.json

EVALUATE.py is the project's quality judge (librosa 0.11, SciPy, pyworld, pesq; LS-MAE, LS-MSE, MCD13,
MR-STFT, F0 RMSE, VUV-F1, FFE, PESQ-WB and the alignment as its README defines them). Each clip of SAMPLES_DIR
is spoilt in ways that need no stored audio: every operation is exact in f32, so the test does the
same to the same bits.
"""
import json, subprocess, sys, tempfile
from pathlib import Path

import numpy as np, soundfile as sf


def words(count):
    """Knuth's multiplicative hash of 0, 1, 2, ... as 32-bit words."""
    return (np.arange(count, dtype=np.uint64) * 2654435761) & 0xFFFFFFFF


def noise(x):
    """White, uniform within +-2^-7."""
    steps = (words(len(x)) >> 16).astype(np.int64) - 32768
    return x + steps.astype(np.float32) * np.float32(2.0**-22)


def late_and_soft(x):
    """20 ms late, at half the level."""
    return np.concatenate([np.zeros(480, np.float32), np.float32(0.5) * x])


def coarse(x):
    """Rounded to multiples of 2^-6."""
    return np.float32(2.0**-6) * np.round(np.float32(2.0**6) * x)


def scrambled(x):
    """The sign of each block of 32 samples by chance, 10 ms late: only the envelope is left to align."""
    signs = np.where((words(len(x) // 32 + 1) >> 31) == 1, -1, 1).astype(np.float32)
    return np.concatenate([np.zeros(240, np.float32), x * np.repeat(signs, 32)[: len(x)]])


def matched(x):
    """As late_and_soft, and brought back to the recording's level by the judge."""
    return late_and_soft(x)


def cut(x):
    """The last quarter is missing."""
    return x[: len(x) * 3 // 4]


def early(x):
    """The first 5 ms are missing."""
    return x[120:]


def main():
    judge, samples = sys.argv[1], Path(sys.argv[2])
    out = {}
    for kind in (noise, late_and_soft, matched, coarse, scrambled, cut, early):
        with tempfile.TemporaryDirectory() as folder:
            ref, gen = Path(folder, "ref"), Path(folder, "gen")
            ref.mkdir(), gen.mkdir()
            for clip in sorted(samples.glob("*.flac")):
                x, rate = sf.read(clip, dtype="float32")
                assert rate == 24000 and x.ndim == 1
                sf.write(ref / f"{clip.stem}.wav", x, rate, subtype="FLOAT")
                sf.write(gen / f"{clip.stem}.wav", kind(x), rate, subtype="FLOAT")
            result = Path(folder, "result.json")
            subprocess.run([sys.executable, judge, ref, gen, "--metrics", "ls,mrstft,f0,pesq", "--json", result, "--quiet"]
                           + ["--match-level"] * (kind is matched), check=True, stdout=subprocess.DEVNULL)
            out[kind.__name__] = json.loads(result.read_text())
    keep = ("LS-MAE", "LS-MSE", "MR-STFT", "MCD13", "F0-RMSE", "VUV-F1", "FFE", "PESQ-WB", "lag_ms", "level_dB", "len_ms")
    table = {kind: {"files": {Path(name).stem: {k: row[k] for k in keep} for name, row in r["files"].items()},
                    "ls_mae_mean": [r["summary"]["LS-MAE"][k] for k in ("mean", "ci95", "n")]}
             for kind, r in out.items()}
    print(json.dumps(table, indent=1))


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Prints the table of schedules: schedules.py COMPARED...

COMPARED.json is what `vocoder schedule compare --json` printed, COMPARED the folder that its
`--renderings` made. PESQ-WB (ITU-T P.862.2) is computed here, at 16 kHz, the rest is the program's own.
Rows are sorted by PESQ; the learned row's lead over each other is given with its 95 % interval over the
clips. The best of each column, rows of more steps aside, is bold.
"""

import json
import math
import sys
from pathlib import Path

import numpy as np
import soundfile
from pesq import pesq
from scipy.signal import resample_poly
from scipy.stats import t

RATE = 16_000

# Of a row's distance: the key, a factor, digits and the head.
OWN = [
    ("ls_mae", 1, 4, "LS-MAE"),
    ("mr_stft", 1, 4, "MR-STFT"),
    ("ffe", 100, 2, "FFE %"),
    ("f0_rmse_cents", 1, 1, "F0 cents"),
]


def at_16_khz(path):
    samples, rate = soundfile.read(path)
    divisor = math.gcd(RATE, rate)
    return resample_poly(samples, RATE // divisor, rate // divisor)


def scores(recordings, folder):
    """PESQ-WB of each clip."""
    clips = sorted(recordings.iterdir(), key=lambda path: int(path.stem))
    return np.array([pesq(RATE, at_16_khz(clip), at_16_khz(folder / clip.name), "wb") for clip in clips])


def rows(compared):
    for i, row in enumerate(json.loads(compared.with_name(compared.name + ".json").read_text())):
        yield row | {"pesq": scores(compared / "recordings", compared / str(i + 1))}


def lead(own, other):
    """By how much `own` is better, with its interval."""
    difference = own - other
    if not difference.any():
        return ""
    half = t.ppf(0.975, len(difference) - 1) * difference.std(ddof=1) / math.sqrt(len(difference))
    return f"{difference.mean():+.3f} ± {half:.3f}"


def main():
    table = [row for name in sys.argv[1:] for row in rows(Path(name))]
    own = next(row for row in table if row["by"] == "ours")
    chains = [row for row in table if row["schedule"]]
    rivals = sorted((row for row in chains if row["steps"] == own["steps"]), key=lambda row: -row["pesq"].mean())
    longer = [row for row in chains if row["steps"] != own["steps"]]
    figures = [("pesq", lambda row: row["pesq"].mean(), 3, max)]
    figures += [(key, lambda row, key=key, scale=scale: scale * row["distance"][key], digits, min) for key, scale, digits, _ in OWN]
    best = {key: round(choose(of(row) for row in rivals), digits) for key, of, digits, choose in figures}
    heads = ["schedule", "sampler", "steps", "first level", "PESQ-WB", "ours leads by", *(head for *_, head in OWN)]
    print("| " + " | ".join(heads) + " |\n|" + " --- |" * len(heads))
    for row in rivals + longer:
        schedule = row["schedule"]
        levels = schedule["levels"] if isinstance(schedule, dict) else schedule
        cells = [row["by"], row["sampler"], str(row["steps"]), f"{levels[0]:.3f}"]
        for key, of, digits, _ in figures:
            cell = f"{of(row):.{digits}f}"
            is_best = row in rivals and round(of(row), digits) == best[key]
            cells.append(f"**{cell}**" if is_best else cell)
            if key == "pesq":
                cells.append(lead(own["pesq"], row["pesq"]))
        print("| " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()

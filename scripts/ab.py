#!/usr/bin/env python3
"""Compares training settings at equal computing time: see scripts/ab.

Every arm differs from the first in what its name says. Its steps are as many as fit into the same
processor time, measured in a short run of each arm whose network, crops or noise cost something else
than the first's. The learning rate's cosine then ends with the arm's own last step. Renderings are the
bare chain: six steps from noise, no polish.
"""

import argparse
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import fmean

from judge import pesq_and_stoi

OUT = Path("target/ab")
EVAL = Path("tests/eval")
WIDTHS = {
    "eighth": "first = 96\nstem = 8\ndown = [16, 16, 32, 64]\nup = [64, 64, 32, 16, 16]",
    "quarter": "first = 192\nstem = 16\ndown = [32, 32, 64, 128]\nup = [128, 128, 64, 32, 32]",
}
# Of an arm: seed, top-level keys, keys of [optimiser] and of [model], tables, width, whether its
# validation loss is of the same quantity on the same crops as the default's, and whether its steps cost
# what the default's do.
DEFAULT = dict(seed=1, keys="", optimiser="", model="", tables="", width="eighth", comparable=True, same_cost=True)


def arm(**change):
    return DEFAULT | change


def crops(frames):
    return arm(keys=f"crop_frames = {frames}\nbatch = {8 * 24 // frames}", comparable=False, same_cost=False)


LAPLACE = "[levels.log-snr-laplace]\ncentre = 0.5\nscale = 1.0\nmin = -2.5\nmax = 5.0"
HIERARCHICAL = "[levels.hierarchical]\nfirst_beta = 1e-6\nlast_beta = 0.01\nsteps = 1000"

ARMS = {
    "default": arm(),
    "default, seed 2": arm(seed=2),
    "loss mse": arm(keys="loss = 'mse'", comparable=False),
    "prediction velocity": arm(model="prediction = 'velocity'"),
    "prior standard": arm(model="prior = 'standard'", comparable=False, same_cost=False),
    "prior whole": arm(tables="[levels.log-snr]\nmin = -2.5\nmax = 5.0\n[model.prior.spectral]\nfloor = 3e-4\norder = 128\nsmear_hz = 12.0\nshare = 1.0", comparable=False),
    "prior energy": arm(tables="[model.prior.energy]\nfloor = 1e-3", comparable=False, same_cost=False),
    "weighting min-snr 5": arm(tables="[weighting.min-snr]\ngamma = 5.0"),
    "weighting truncated-snr": arm(keys="weighting = 'truncated-snr'"),
    "levels laplace": arm(tables=LAPLACE),
    "levels hierarchical": arm(tables=HIERARCHICAL),
    "stft 0.1": arm(keys="stft = 0.1", same_cost=False),
    "mel dropout 0.1": arm(keys="mel_dropout = 0.1"),
    "ema 0.9": arm(optimiser="ema = 0.9"),
    "crops of 12 frames": crops(12),
    "crops of 48 frames": crops(48),
    "crops of 96 frames": crops(96),
    "quarter width": arm(width="quarter", same_cost=False),
    "default, seed 3": arm(seed=3),
}
# The same voices once more, with other steps of the chain: width against depth.
RENDERINGS = {"default": [6, 12], "quarter width": [6, 3]}


def key(name):
    """The name of an arm's files."""
    return name.replace(" ", "-").replace(",", "").replace(".", "_")


def config(a):
    optimiser = "learning_rate = 2e-3\nwarm_up = 50\n"
    optimiser += a["optimiser"] or "ema = 0.99"
    keys = a["keys"] if "batch" in a["keys"] else a["keys"] + "\nbatch = 8"
    return (
        f"preset = 'speech-quarter'\nseed = {a['seed']}\nworkers = 1\n{keys}\n"
        f"[optimiser]\n{optimiser}\n"
        "[saving]\nevery = 1000000\nvalidate_every = 1000000\npreview_every = 0\n"
        f"[model]\n{WIDTHS[a['width']]}\n{a['model']}\n{a['tables']}\n"
    )


def processor_seconds(command):
    """Runs it, and returns the processor time that it took."""
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(f"ab: error: status {child.returncode}: {' '.join(map(str, command))}")
    return usage.ru_utime + usage.ru_stime


class Bench:
    def __init__(self, args):
        self.args = args

    def train(self, folder, steps):
        return processor_seconds(
            [self.args.program, "train", "-q", "--config", folder.with_suffix(".toml"), "--steps", steps,
             "--threads", "1", "--device", "cpu", "--cache", OUT / "cache", "--out", folder, "--data"]
            + self.args.data
        )  # fmt: skip

    def trial(self, name, steps):
        """Processor time of a short run, the better of two."""
        folder = OUT / f"{key(name)}-trial"
        folder.with_suffix(".toml").write_text(config(ARMS[name]))
        times = []
        for _ in range(2):
            # A run refuses a folder that holds one.
            subprocess.run(["rm", "-rf", folder], check=True)
            times.append(self.train(folder, str(steps)))
        return min(times)

    def calibrate(self):
        """Seconds before the first step and after the last, and of a step of the default's."""
        kept = OUT / "costs.json"
        if not kept.exists():
            short, long = self.trial("default", 8), self.trial("default", 48)
            step = (long - short) / 40
            kept.write_text(json.dumps({"around": short - 8 * step, "step": step}))
        self.costs = json.loads(kept.read_text())

    def step_seconds(self, name):
        if ARMS[name]["same_cost"]:
            return self.costs["step"]
        return (self.trial(name, 48) - self.trial(name, 8)) / 40

    def run(self, name):
        folder = OUT / key(name)
        result = folder.with_suffix(".json")
        if result.exists():
            return
        folder.with_suffix(".toml").write_text(config(ARMS[name]))
        steps = max(60, round(self.args.seconds / self.step_seconds(name)))
        # A short run may mislead: once more where the long one took another time.
        goal = self.args.seconds + self.costs["around"]
        for _ in range(2):
            subprocess.run(["rm", "-rf", folder], check=True)
            spent = self.train(folder, str(steps))
            if 0.85 < spent / goal < 1.15:
                break
            steps = max(60, round(steps * self.args.seconds / (spent - self.costs["around"])))
        log = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
        validation = [event["loss"] for event in log if event["event"] == "validation"][-1]
        record = {"steps": steps, "seconds": spent, "validation": validation, "renderings": {}}
        for chain in RENDERINGS.get(name, [6]):
            record["renderings"][chain] = self.render(folder, chain)
        result.write_text(json.dumps(record))

    def render(self, folder, chain):
        clips = sorted(EVAL.glob("*.flac"))[:: self.args.every]
        recordings, rendered = OUT / "recordings", folder / f"rendered-{chain}"
        recordings.mkdir(exist_ok=True)
        for clip in clips:
            link = recordings / clip.name
            if not link.exists():
                link.symlink_to(clip.resolve())
        run = lambda *command: subprocess.run(command, check=True, capture_output=True, text=True).stdout
        run(self.args.program, "render", recordings, "-o", rendered, "--voice", folder / "voice.safetensors",
            "--steps", str(chain), "--start", "noise", "--polish", "0", "--threads", "1", "--format", "f32",
            "--precision", "f32", "-q")  # fmt: skip
        own = json.loads(run(self.args.program, "eval", recordings, rendered, "--json", "-q"))
        mean = own["mean"]["generated"]
        judged = [pesq_and_stoi((clip, rendered / f"{clip.stem}.wav")) for clip in clips]
        pesq, stoi = (fmean(column) for column in zip(*judged))
        keys = ["ls_mae", "mr_stft", "f0_rmse_cents", "vuv_f1", "ffe"]
        # A measure is null where no clip has it: pitch, where nothing is voiced.
        return {"pesq": pesq, "stoi": stoi} | {key: (mean[key] or {}).get("mean") for key in keys}


def table():
    heads = ["arm", "steps", "CPU s", "validation", "LS-MAE", "MR-STFT", "PESQ-WB", "STOI", "F0 cents", "VUV-F1", "FFE %"]
    print("| " + " | ".join(heads) + " |\n|" + " --- |" * len(heads))
    for name, a in ARMS.items():
        result = OUT / f"{key(name)}.json"
        if not result.exists():
            continue
        record = json.loads(result.read_text())
        for chain, r in record["renderings"].items():
            validation = f"{record['validation']:.4f}" if a["comparable"] else "other unit"
            label = name if chain == "6" else f"{name}, {chain} steps of the chain"
            pitch = "none" if r["f0_rmse_cents"] is None else f"{r['f0_rmse_cents']:.0f}"
            cells = [label, str(record["steps"]), f"{record['seconds']:.0f}", validation, f"{r['ls_mae']:.3f}", f"{r['mr_stft']:.3f}",
                     f"{r['pesq']:.3f}", f"{r['stoi']:.3f}", pitch,
                     f"{r['vuv_f1']:.3f}", f"{100 * r['ffe']:.1f}"]  # fmt: skip
            print("| " + " | ".join(cells) + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", nargs="+", default=[], help="folders of speech; none: print the table")
    parser.add_argument("--seconds", type=float, default=240, help="processor time an arm")
    parser.add_argument("--only", nargs="+", choices=ARMS, default=list(ARMS), metavar="ARM")
    parser.add_argument("--program", default="target/release/vocoder")
    parser.add_argument("--every", type=int, default=3, help="render every n-th clip of tests/eval")
    parser.add_argument("--at-a-time", type=int, default=1, help="arms that run side by side")
    args = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    if args.data:
        bench = Bench(args)
        bench.calibrate()
        with ThreadPoolExecutor(args.at_a_time) as pool:
            list(pool.map(bench.run, args.only))
    table()


if __name__ == "__main__":
    main()

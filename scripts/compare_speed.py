#!/usr/bin/env python3
"""Times one reverse step: this program beside the PyPI package `wavegrad` 0.1.5 on PyTorch (f32, and
bf16 by autocast where the processor has it), the same graph on ONNX Runtime, and candle's own operations: compare_speed.py PRESET...

Every figure is the best of several runs that take turns with the others', since machines are noisy.
GFLOP/s counts two operations a multiplication of the network as published, for all alike.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import onnxruntime
import torch

from wavegrad_preset import HOP, N_MELS, PRESETS, RATE, Preset

SECONDS, RUNS = 2, 4


def best(seconds, name, run):
    start = time.perf_counter()
    run()
    seconds[name] = min(seconds.get(name, 1e9), time.perf_counter() - start)


def ours(seconds, preset, threads):
    # In f32, and whatever else this processor is good at.
    command = ["target/release/vocoder", "bench", "--voice", preset]
    command += ["--threads", threads, "--steps", 6, "--seconds", SECONDS, "--stream", 0, "--chunk", 0]
    command += ["--runs", 2, "--json", "-q"]
    for line in subprocess.check_output([str(word) for word in command]).splitlines():
        row = json.loads(line)
        # Six steps share what depends on the mel alone, as in every render.
        took = row["rtf"] * SECONDS / 6
        seconds[f"vocoder {row['precision']}"] = min(seconds.get(f"vocoder {row['precision']}", 1e9), took)


def candle(seconds, preset, threads):
    command = ["target/release/candle_forward", preset, str(SECONDS), str(threads)]
    took = subprocess.check_output(command, env=os.environ | {"CANDLE_NUM_THREADS": str(threads)})
    seconds["candle f32"] = min(seconds.get("candle f32", 1e9), float(took))


def measure(preset, threads, folder):
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    model = Preset(*PRESETS[preset]).eval()
    frames = SECONDS * RATE // HOP
    inputs = (torch.randn(1, frames * HOP), torch.randn(1, N_MELS, frames), torch.tensor([0.7]))
    graph = folder / f"{preset}.onnx"
    if not graph.exists():
        torch.onnx.export(model, inputs, str(graph), dynamo=False, input_names=["audio", "mel", "level"])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    fed = dict(zip(["audio", "mel", "level"], (value.numpy() for value in inputs)))

    def autocast():
        with torch.autocast("cpu", dtype=torch.bfloat16):
            model(*inputs)

    seconds = {}
    with torch.inference_mode():
        for _ in range(RUNS):
            best(seconds, "PyTorch f32", lambda: model(*inputs))
            best(seconds, "ONNX Runtime f32", lambda: session.run(None, fed))
            ours(seconds, preset, threads)
            if "vocoder bf16" in seconds:
                best(seconds, "PyTorch bf16", autocast)
        candle(seconds, preset, threads)
    return seconds


def macs(preset):
    """Multiplications a second of audio, from the program."""
    row = subprocess.check_output(
        ["target/release/vocoder", "bench", "--voice", preset, "--precision", "f32", "--threads", "1",
         "--steps", "1", "--seconds", "0.1", "--stream", "0", "--chunk", "0", "--runs", "1", "--json", "-q"])
    row = json.loads(row)
    return row["gflops"] * row["rtf"] / 2


def main():
    print("| network | threads | program | s a step and second | GFLOP/s a thread | vocoder f32 is faster by | vocoder's fastest is faster by |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        for preset in sys.argv[1].split() if len(sys.argv) == 2 else sys.argv[1:]:
            work = macs(preset)
            for threads in (1, 2):
                seconds = measure(preset, threads, Path(folder))
                for name in sorted(seconds, key=seconds.get):
                    each = seconds[name] / SECONDS
                    ours = [s for name, s in seconds.items() if name.startswith("vocoder")]
                    ratios = [f"{seconds[name] / s:.2f}" for s in (seconds["vocoder f32"], min(ours))]
                    print(f"| {preset} | {threads} | {name} | {each:.3f} | {2 * work / each / threads:.0f} "
                          f"| {ratios[0]} | {ratios[1]} |", flush=True)


if __name__ == "__main__":
    main()

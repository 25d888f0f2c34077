#!/usr/bin/env python3
"""Times a step of training: this program beside the PyPI package `wavegrad` 0.1.5 on PyTorch, from the
same weights on the same batch, f32: compare_training.py [PRESET...]

A step is what the package's learner does: L1 between true and predicted noise, gradients clipped to a
norm of 1, Adam. Ours also keeps the mean of the weights. Each side runs in a process of its own, in turns;
a figure is the best of all steps, since machines are noisy. That both train the same network shows in
their losses, which are compared step by step.
"""

import json
import os
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from torch import nn

from wavegrad_preset import HOP, N_MELS, PRESETS, Preset

BATCH, FRAMES = 8, 24
ROUNDS = int(os.environ.get("ROUNDS", 3))
STEPS = {"base": 2, "half": 3, "quarter": 4}
# Losses are equal but for rounding, which each step multiplies.
TOLERANCE = 2e-4


def state(preset):
    """The network and the batch, the same in every process."""
    torch.manual_seed(1)
    model = Preset(*PRESETS[preset])
    noise = torch.randn(BATCH, FRAMES * HOP)
    level = torch.rand(BATCH) * 0.9 + 0.05
    clean = 0.3 * torch.sin(torch.arange(FRAMES * HOP) * 0.05).expand(BATCH, -1)
    noisy = level[:, None] * clean + (1 - level[:, None] ** 2) ** 0.5 * noise
    batch = {"noisy": noisy, "noise": noise, "mel": torch.randn(BATCH, N_MELS, FRAMES), "level": level}
    return model, batch


def write(path, tensors):
    """A safetensors file."""
    header, blobs, at = {}, [], 0
    for name, tensor in tensors.items():
        blob = tensor.detach().contiguous().numpy().tobytes()
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [at, at + len(blob)]}
        blobs.append(blob)
        at += len(blob)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def memory(line):
    """Bytes of a line of Linux's account of this process."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(next(l for l in status.splitlines() if l.startswith(line)).split()[1])


def pytorch(preset, threads, steps):
    """PyTorch's side, as the package's learner takes a step."""
    torch.set_num_threads(threads)
    idle = memory("VmRSS")
    model, batch = state(preset)
    optimiser = torch.optim.Adam(model.parameters(), lr=2e-4)
    loss_fn, best, losses = nn.L1Loss(), 1e9, []
    for _ in range(steps):
        start = time.perf_counter()
        for parameter in model.parameters():
            parameter.grad = None
        predicted = model(batch["noisy"], batch["mel"], batch["level"])
        loss = loss_fn(batch["noise"], predicted.squeeze(1))
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        best = min(best, time.perf_counter() - start)
        losses.append(loss.item())
    print(json.dumps({"seconds": best, "losses": losses, "bytes": memory("VmHWM") - idle}))


def measure(preset, threads, file):
    """Of each side the best seconds of a step and the peak of memory."""
    settings = {"CANDLE_NUM_THREADS": "1", "MIMALLOC_PURGE_DELAY": "-1"}
    steps = STEPS.get(preset, 3)
    commands = {
        "vocoder": ["target/release/train_network", file, threads, steps],
        "PyTorch": [sys.executable, __file__, "--pytorch", preset, threads, steps],
    }
    sides = {}
    for _ in range(ROUNDS):
        for name, command in commands.items():
            output = subprocess.check_output([str(word) for word in command], env=os.environ | settings)
            row = json.loads(output)
            best = sides.setdefault(name, row)
            best["seconds"] = min(best["seconds"], row["seconds"])
    for ours, theirs in zip(sides["vocoder"]["losses"], sides["PyTorch"]["losses"]):
        if abs(ours - theirs) > TOLERANCE * theirs:
            sys.exit(f"compare-training: error: {preset}: losses {ours} and {theirs} of the same step")
    return sides


def main():
    if sys.argv[1:2] == ["--pytorch"]:
        pytorch(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
        return
    print(f"| network | threads | program | s a step | samples/s | peak memory, MB | vocoder is faster by |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        for preset in sys.argv[1:] or ["quarter", "half", "base"]:
            file = Path(folder) / "state.safetensors"
            model, batch = state(preset)
            write(file, {f"model.{k}": v for k, v in model.state_dict().items()} | batch)
            for threads in os.environ.get("THREADS", "1 2").split():
                sides = measure(preset, int(threads), file)
                for name, row in sides.items():
                    seconds = row["seconds"]
                    print(f"| {preset} | {threads} | {name} | {seconds:.3f} | {BATCH * FRAMES * HOP / seconds:.0f} "
                          f"| {row['bytes'] / 1e6:.0f} | {seconds / sides['vocoder']['seconds']:.2f} |", flush=True)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Times a step of training: this program beside the PyPI package `wavegrad` 0.1.5 on PyTorch, from the
same weights on the same batch, f32: compare_training.py [PRESET...]

With GPU=PROGRAM, which names the `train_network` that scripts/build-cuda has built, on an NVIDIA GPU, in half
precision (PyTorch by its own mixed precision), bfloat16, TF32 and f32, and then the losses of each. Memory there
is the most that the driver has given out, above what it had before: a CUDA context, half a gigabyte, is in it.

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

BATCH, FRAMES = int(os.environ.get("BATCH", 8)), 24
GPU = os.environ.get("GPU")
# Of these steps the losses are printed.
GPU_STEPS = [1, 2, 3, 5, 7, 10, 15, 20, 30]
ROUNDS = int(os.environ.get("ROUNDS", 3))
STEPS = {"base": 2, "half": 3, "quarter": 10, "gpu": 40}
# Losses are equal but for rounding, which each step multiplies: in f32 to 3e-5 after 10 steps, 2e-4 after 15, 1e-2
# after 27, and then no more.
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


def pytorch(preset, threads, steps, precision="f32"):
    """PyTorch's side, as the package's learner takes a step."""
    torch.set_num_threads(threads)
    idle = memory("VmRSS")
    model, batch = state(preset)
    device = "cuda" if GPU else "cpu"
    model = model.to(device)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"
    torch.backends.cudnn.benchmark = True
    narrow = {"f16": torch.float16, "bf16": torch.bfloat16}.get(precision)
    scaler = torch.amp.GradScaler(device, enabled=precision == "f16")
    optimiser = torch.optim.Adam(model.parameters(), lr=2e-4)
    loss_fn, best, losses = nn.L1Loss(), 1e9, []
    for _ in range(steps):
        start = time.perf_counter()
        # As a learner does, from a batch in the host's memory.
        part = {name: tensor.to(device) for name, tensor in batch.items()}
        for parameter in model.parameters():
            parameter.grad = None
        with torch.autocast(device, dtype=narrow, enabled=narrow is not None):
            predicted = model(part["noisy"], part["mel"], part["level"])
            loss = loss_fn(part["noise"], predicted.squeeze(1).float())
        scaler.scale(loss).backward()
        scaler.unscale_(optimiser)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        scaler.step(optimiser)
        scaler.update()
        losses.append(loss.item())
        best = min(best, time.perf_counter() - start)
    print(json.dumps({"seconds": best, "losses": losses, "bytes": memory("VmHWM") - idle}))


def most_device_memory(command):
    """What a command prints, and the most MB of the GPU's memory in use while it ran, above those before."""
    query = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    idle = int(subprocess.check_output(query).split()[0])
    with subprocess.Popen(query + ["-lms", "20"], stdout=subprocess.PIPE, text=True) as watch:
        output = subprocess.check_output([str(word) for word in command])
        watch.terminate()
        return output, max(int(line) for line in watch.communicate()[0].split()) - idle


def on_gpu(presets):
    """The tables of a GPU: how fast and large each side is, and how its losses run."""
    print(f"{torch.cuda.get_device_name()}, batch {BATCH} of {FRAMES * HOP} samples, best of {STEPS['gpu']} steps\n")
    print("| network | program | precision | ms a step | samples/s | memory, MB | vocoder f16 is faster by |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    curves = []
    with tempfile.TemporaryDirectory() as folder:
        for preset in presets:
            file = Path(folder) / "state.safetensors"
            model, batch = state(preset)
            write(file, {f"model.{k}": v for k, v in model.state_dict().items()} | batch)
            ours = None
            precisions = ["f16", "bf16", "tf32", "f32"]
            for name, precision in [(name, p) for name in ["vocoder", "PyTorch"] for p in precisions]:
                command = [GPU, file, 4, STEPS["gpu"], precision]
                if name == "PyTorch":
                    command = [sys.executable, __file__, "--pytorch", preset, 4, STEPS["gpu"], precision]
                output, memory = most_device_memory(command)
                row = json.loads(output)
                seconds = row["seconds"]
                ours = ours or seconds
                print(f"| {preset} | {name} | {precision} | {seconds * 1e3:.1f} | {BATCH * FRAMES * HOP / seconds:.0f} "
                      f"| {memory} | {seconds / ours:.2f} |", flush=True)
                curve = [f"{row['losses'][step - 1]:.4f}" for step in GPU_STEPS]
                curves.append(f"| {preset} | {name} | {precision} | {' | '.join(curve)} |")
    print(f"\n| network | program | precision | loss in step {' | '.join(map(str, GPU_STEPS))} |")
    print("| --- " * (3 + len(GPU_STEPS)) + "|")
    print("\n".join(curves))


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
        pytorch(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), *sys.argv[5:])
        return
    if GPU:
        on_gpu(sys.argv[1:] or ["quarter", "half", "base"])
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

"""Writes `checkpoint.pt`: the network of `reference.safetensors` as wavegrad's `learner.py` saves it.

    python make_checkpoint.py

and `ivanvovk.pt`, `unknown.pt`: as much of other implementations' checkpoints as tells them apart. Needs
torch and safetensors.
"""

from pathlib import Path

import torch
from safetensors.torch import load_file

here = Path(__file__).parent
reference = load_file(here / "reference.safetensors")
prefix = "model."
model = {k[len(prefix) :]: v.clone() for k, v in sorted(reference.items()) if k.startswith(prefix)}
optimizer = torch.optim.Adam([torch.nn.Parameter(v) for v in model.values()], lr=2e-4)
params = {
    "learning_rate": 2e-4,
    "max_grad_norm": 1.0,
    "sample_rate": 22050,
    "n_mels": 16,
    "hop_samples": 300,
    "crop_mel_frames": 24,
    "noise_schedule": [1e-6 + i * 1e-5 for i in range(1000)],
}
checkpoint = {
    "step": 123456,
    "model": model,
    "optimizer": optimizer.state_dict(),
    "params": params,
    "scaler": torch.amp.GradScaler("cpu", enabled=False).state_dict(),
}
torch.save(checkpoint, here / "checkpoint.pt")

names = ["nn.ublock_preconv.conv1d.weight", "nn.films.0.positional_encoding.pe", "betas"]
torch.save({"iteration": 1, "model": {n: torch.zeros(2) for n in names}}, here / "ivanvovk.pt")
torch.save({"encoder.weight": torch.zeros(2)}, here / "unknown.pt")

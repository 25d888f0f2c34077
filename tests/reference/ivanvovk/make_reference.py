"""Writes `checkpoint.pt` and `reference.safetensors` beside itself: a narrow network of ivanvovk/WaveGrad's
own classes, saved as its `logger.py` saves it, and what it computes.

    git clone https://github.com/ivanvovk/WaveGrad && git -C WaveGrad checkout 721c37c
    python make_reference.py WaveGrad

Needs torch and safetensors. Names in the file; arrays are f32, `[batch, channels, time]`:

    input.audio, input.mel, input.level, output
"""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy
import torch
from safetensors.torch import save_file

sys.path.insert(0, sys.argv[1])
# The repository is of 2020: numpy has dropped this name since.
numpy.product = numpy.prod
from model.nn import WaveGradNN  # noqa: E402

N_MELS, FRAMES, HOP, BATCH = 16, 3, 300, 2
config = SimpleNamespace(
    data_config=SimpleNamespace(n_mels=N_MELS),
    model_config=SimpleNamespace(
        factors=[5, 5, 3, 2, 2],
        upsampling_preconv_out_channels=24,
        upsampling_out_channels=[28, 20, 16, 12, 10],
        upsampling_dilations=[[1, 2, 1, 2]] * 2 + [[1, 2, 4, 8]] * 3,
        # Fixed in its FiLM modules.
        downsampling_preconv_out_channels=32,
        downsampling_out_channels=[12, 16, 20, 24],
        downsampling_dilations=[[1, 2, 4]] * 4,
    ),
)
torch.manual_seed(1)
network = WaveGradNN(config)
audio, mel = torch.randn(BATCH, FRAMES * HOP), torch.randn(BATCH, N_MELS, FRAMES)
level = torch.tensor([0.95, 0.3])
with torch.no_grad():
    output = network(mel, audio, level)

here = Path(__file__).parent
state = {f"nn.{name}": value for name, value in network.state_dict().items()}
# Of its diffusion process: read and left alone.
state["betas"] = torch.linspace(1e-6, 1e-2, 50)
torch.save({"iteration": 98765, "model": state, "optimizer": {}}, here / "checkpoint.pt")
arrays = {"input.audio": audio, "input.mel": mel, "input.level": level, "output": output}
save_file({name: value.contiguous() for name, value in arrays.items()}, here / "reference.safetensors")

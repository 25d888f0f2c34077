"""The PyPI package `wavegrad` 0.1.5 with the widths of our presets, for the comparisons of speed."""

from torch import nn
from wavegrad.model import Conv1d, DBlock, FiLM, UBlock, WaveGrad

N_MELS, HOP, RATE = 128, 300, 24_000
# first, stem, down, up: vocoder/src/config.rs
PRESETS = {
    "base": (768, 32, [128, 128, 256, 512], [512, 512, 256, 128, 128]),
    "half": (384, 16, [64, 64, 128, 256], [256, 256, 128, 64, 64]),
    "quarter": (192, 16, [32, 32, 64, 128], [128, 128, 64, 32, 32]),
}


class Preset(WaveGrad):
    """`WaveGrad` with a preset's widths: its own `forward`, its own blocks, factors and dilations."""

    def __init__(self, first, stem, down, up):
        nn.Module.__init__(self)
        dilations = [[1, 2, 1, 2]] * 2 + [[1, 2, 4, 8]] * 3
        self.downsample = nn.ModuleList(
            [Conv1d(1, stem, 5, padding=2)]
            + [DBlock(a, b, f) for a, b, f in zip([stem, *down], down, [2, 2, 3, 5])]
        )
        self.film = nn.ModuleList([FiLM(a, b) for a, b in zip([stem, *down], reversed(up))])
        self.upsample = nn.ModuleList(
            [UBlock(a, b, f, d) for a, b, f, d in zip([first, *up], up, [5, 5, 3, 2, 2], dilations)]
        )
        self.first_conv = Conv1d(N_MELS, first, 3, padding=1)
        self.last_conv = Conv1d(up[-1], 1, 3, padding=1)

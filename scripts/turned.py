#!/usr/bin/env python3
"""Turns the phases of recordings, all by one angle: turned.py DEGREES IN OUT.

What comes out has the recording's magnitudes, in every window, and sounds the same; a mel does not tell the two
apart. So it says what a measure makes of a sound from a mel that could not be better. Each clip of the folder IN
goes to OUT/NAME.wav; printed is the summary that `vocoder render --json` prints last.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import soundfile

angle, source, out = np.deg2rad(float(sys.argv[1])), Path(sys.argv[2]), Path(sys.argv[3])
out.mkdir(parents=True, exist_ok=True)
audio = computing = 0.0
for path in sorted(source.glob("*.flac")):
    sound, rate = soundfile.read(path)
    begin = time.process_time()
    # As much silence beside it as it is long: what is turned does not come back in at the other end.
    spectrum = np.fft.rfft(sound, 2 * len(sound))
    spectrum[1:-1] *= np.exp(1j * angle)
    made = np.fft.irfft(spectrum)[: len(sound)]
    computing += time.process_time() - begin
    audio += len(sound) / rate
    soundfile.write(out / f"{path.stem}.wav", made.astype(np.float32), rate, subtype="FLOAT")
print(json.dumps({"summary": {"audio_s": audio, "computing_s": computing}}))

#!/usr/bin/env python3
"""Takes recordings apart and puts them together again by WORLD (Morise et al. 2016): world.py IN OUT.

Pitch by Harvest and StoneMask, envelope by CheapTrick, aperiodicity by D4C, all as they are set by default. Each
clip of the folder IN goes to OUT/NAME.wav; printed is the summary that `vocoder render --json` prints last, the
time that of the synthesis alone.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import pyworld
import soundfile

source, out = Path(sys.argv[1]), Path(sys.argv[2])
out.mkdir(parents=True, exist_ok=True)
audio = computing = 0.0
for path in sorted(source.glob("*.flac")):
    sound, rate = soundfile.read(path)
    pitch, times = pyworld.harvest(sound, rate)
    pitch = pyworld.stonemask(sound, pitch, times, rate)
    envelope = pyworld.cheaptrick(sound, pitch, times, rate)
    aperiodicity = pyworld.d4c(sound, pitch, times, rate)
    begin = time.process_time()
    made = pyworld.synthesize(pitch, envelope, aperiodicity, rate)
    computing += time.process_time() - begin
    audio += len(sound) / rate
    made = np.pad(made, (0, max(0, len(sound) - len(made))))[: len(sound)]
    soundfile.write(out / f"{path.stem}.wav", made.astype(np.float32), rate, subtype="FLOAT")
print(json.dumps({"summary": {"audio_s": audio, "computing_s": computing}}))

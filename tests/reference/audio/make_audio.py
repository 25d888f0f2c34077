"""Makes one short tone in each format that has no Rust encoder here.

    pip install numpy soundfile
    python tests/reference/audio/make_audio.py

Half a second of 440 Hz at half of full scale, 24 kHz; two channels with the right one silent.
"""

from pathlib import Path

import numpy as np
import soundfile

HERE = Path(__file__).parent
RATE = 24_000

tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE // 2) / RATE)
stereo = np.stack([tone, np.zeros_like(tone)], axis=1)
for name, container, coding in [
    ("tone.ogg", "OGG", "VORBIS"),
    ("tone.mp3", "MP3", "MPEG_LAYER_III"),
    ("tone.flac", "FLAC", "PCM_24"),
    ("tone.aiff", "AIFF", "PCM_16"),
]:
    soundfile.write(HERE / name, stereo, RATE, format=container, subtype=coding)

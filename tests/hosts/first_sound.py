"""Plays a clip through the freshly installed plugin: first_sound.py BUNDLE AUDIO. Fails if it is silent."""

import sys

import numpy as np
import soundfile
from pedalboard import load_plugin

bundle, audio = sys.argv[1:]
sound, rate = soundfile.read(audio, dtype="float32", always_2d=True)
plugin = load_plugin(bundle, plugin_name="Vocoder")
played = plugin.process(sound[:, 0], rate)
level = lambda x: float(np.sqrt(np.mean(np.square(x))))
if not np.isfinite(played).all() or level(played) < 0.3 * level(sound):
    sys.exit(f"first_sound: error: {bundle}: expected the clip's level {level(sound):.3f}, got {level(played):.3f}")
print(f"first_sound: {len(sound) / rate:.1f} s played at {level(played):.3f}, the clip is at {level(sound):.3f}")

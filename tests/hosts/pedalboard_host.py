"""The VST3 in pedalboard (JUCE): placement, parameters, state, repeatability, the instrument.

python pedalboard_host.py Vocoder.vst3 samples/kokoro_af_heart.flac
"""

import sys

import numpy as np
from mido import Message
from pedalboard import load_plugin
from pedalboard.io import AudioFile

BUNDLE, SAMPLE = sys.argv[1:3]
RATE = 48000


def check(what, holds):
    print(("ok    " if holds else "FAIL  ") + what)
    if not holds:
        sys.exit(1)


def load(name="Vocoder"):
    return load_plugin(BUNDLE, plugin_name=name)


with AudioFile(SAMPLE).resampled_to(RATE) as file:
    speech = file.read(file.frames)[:1]
stereo = np.concatenate([speech, 0.5 * speech]).astype(np.float32)
noise = np.random.default_rng(0).uniform(-1, 1, (2, RATE)).astype(np.float32)

effect = load()
check("it is an effect", effect.is_effect)
# Milliseconds of latency at blocks of 512 and quality balanced: what `live` computes.
check("parameters have names", {"pitch", "formant", "steps", "mix", "bypass"} <= set(
    name.split("_")[0] for name in effect.parameters))


def parameter(plugin, start):
    """The one parameter whose key starts so."""
    return next(key for key in plugin.parameters if key == start or key.startswith(start + "_"))


for block in (512, 8192, 100):
    plugin = load()
    setattr(plugin, parameter(plugin, "mix"), 0.0)
    dry = plugin.process(noise, RATE, buffer_size=block)
    # pedalboard takes the latency off.
    check(f"dry equals the input, blocks of {block}",
          dry.shape == noise.shape and np.abs(dry - noise).max() < 1e-6)
    plugin = load()
    plugin.bypass = True
    check(f"bypass is exact, blocks of {block}",
          np.array_equal(plugin.process(noise, RATE, buffer_size=block), noise))

first = load().process(stereo, RATE, buffer_size=512)
check("there is wet sound", first.std() > 1e-3 and not np.allclose(first, stereo, atol=1e-3))
check("all of it is finite", np.isfinite(first).all())
check("it is the same again", np.array_equal(first, load().process(stereo, RATE, buffer_size=512)))

for key in list(effect.parameters):
    values = effect.parameters[key].valid_values
    if not values:
        continue
    for value in (values[0], values[-1], values[len(values) // 2]):
        setattr(effect, key, value)
check("every parameter takes its least, middle and greatest value", True)

# Parameters reach the plugin with the next block.
effect.bypass = False
effect.process(stereo[:, :4800], RATE)
other = load()
other.raw_state = effect.raw_state
other.process(stereo[:, :4800], RATE)
check("the state brings every parameter back",
      all(getattr(effect, key) == getattr(other, key) for key in effect.parameters))

instrument = load("Vocoder Instrument")
check("the second is an instrument", instrument.is_instrument)
sound = instrument([Message("note_on", note=60, velocity=100, time=0.1),
                    Message("note_off", note=60, time=0.8)], duration=1.5, sample_rate=RATE)
check("it runs without a clip, silent", np.isfinite(sound).all() and np.abs(sound).max() < 0.1)
print("pedalboard: all holds")

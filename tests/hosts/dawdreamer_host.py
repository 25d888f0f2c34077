"""The VST3 in DawDreamer, which renders faster than real time and never says so: the parameter "Wait for
inference" makes that exact.

python dawdreamer_host.py Vocoder.vst3 samples/kokoro_af_heart.flac
"""

import sys

import dawdreamer
import numpy as np
import soundfile

BUNDLE, SAMPLE = sys.argv[1:3]
RATE = 48000
SECONDS = 1.5


def check(what, holds):
    print(("ok    " if holds else "FAIL  ") + what)
    if not holds:
        sys.exit(1)


speech, rate = soundfile.read(SAMPLE, dtype="float32")
places = np.arange(int(SECONDS * RATE)) * rate / RATE
speech = np.interp(places, np.arange(len(speech)), speech).astype(np.float32)
stereo = np.stack([speech, speech])


def render(settings, block=512):
    engine = dawdreamer.RenderEngine(RATE, block)
    source = engine.make_playback_processor("source", stereo)
    plugin = engine.make_plugin_processor("plugin", BUNDLE)
    names = {entry["name"]: entry["index"] for entry in plugin.get_parameters_description()}
    for name, value in settings.items():
        plugin.set_parameter(names[name], value)
    engine.load_graph([(source, []), (plugin, ["source"])])
    engine.render(SECONDS)
    return engine.get_audio(), plugin.get_latency_samples()


def without(sound, latency):
    """The part that both have, the latency taken off whether or not the host did."""
    length = sound.shape[1] - latency
    late = np.abs(sound[:, latency:] - stereo[:, :length]).max()
    early = np.abs(sound[:, :length] - stereo[:, :length]).max()
    return min(late, early)


for block in (512, 128):
    dry, latency = render({"Mix": 0.0}, block)
    check(f"dry equals the input, blocks of {block}, latency {latency}",
          latency > 0 and without(dry, latency) < 1e-6)
wet, latency = render({"Wait for inference": 1.0})
check("waiting, there is wet sound", np.isfinite(wet).all() and without(wet, latency) > 1e-2)
check("and it is the same again", np.array_equal(wet, render({"Wait for inference": 1.0})[0]))
print("dawdreamer: all holds")

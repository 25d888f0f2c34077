#!/usr/bin/env python3
"""The values that the unit test `values_do_not_change` of vocoder::noise expects: ChaCha8
(Bernstein 2008) and the transform of Box & Muller in plain Python, f64. Prints them."""
import math
import struct


def chacha8(key, block, stream):
    """16 words of block `block` of stream `stream`, both 64 bits."""
    start = list(struct.unpack("<4I", b"expand 32-byte k")) + list(struct.unpack("<8I", key))
    start += [block & 0xFFFFFFFF, block >> 32, stream & 0xFFFFFFFF, stream >> 32]
    w = list(start)

    def quarter(a, b, c, d):
        for x, y, z, bits in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            w[x] = (w[x] + w[y]) & 0xFFFFFFFF
            mixed = w[z] ^ w[x]
            w[z] = ((mixed << bits) | (mixed >> (32 - bits))) & 0xFFFFFFFF

    for _ in range(4):
        for i in range(4):
            quarter(i, 4 + i, 8 + i, 12 + i)
        for i in range(4):
            quarter(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4)
    return [(a + b) & 0xFFFFFFFF for a, b in zip(w, start)]


def noise(seed, stream, position):
    key = struct.pack("<Q", seed) + b"vocoder gaussian noise 1"
    pair = position - position % 2
    radius_word, angle_word = chacha8(key, pair // 16, stream)[pair % 16 : pair % 16 + 2]
    radius = math.sqrt(-2 * math.log((radius_word + 0.5) / 2**32))
    angle = 2 * math.pi * angle_word / 2**32
    return radius * (math.cos(angle) if position % 2 == 0 else math.sin(angle))


print([noise(7, 0, position) for position in range(4)])
print([noise(7, 6, position) for position in range(1_000_001, 1_000_004)])

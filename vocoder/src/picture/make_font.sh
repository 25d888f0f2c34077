#!/bin/sh
# Makes labels.ttf: the glyphs of DejaVu Sans 2.37 that spectrogram labels use.
# Needs fonttools (PyPI) and DejaVuSans.ttf (Debian: fonts-dejavu-core).
#   sh make_font.sh /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf
set -eu
cd "$(dirname "$0")"
pyftsubset "$1" --unicodes='U+0020-007E,U+00A0-017F,U+2026,U+2013,U+2014,U+2018,U+2019,U+2212,U+00D7' \
    --layout-features='kern' --no-hinting --desubroutinize --output-file=labels.ttf

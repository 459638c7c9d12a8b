"""Make tracked pictures small: ``python .ci/shrink_pictures.py [FILE...]``, by default all PNG files that git tracks.

A palette of 32 colours is enough for diagrams, and a quarter of the bytes; texts that a picture carries are kept.
"""

import subprocess
import sys
from pathlib import Path

from PIL import Image, PngImagePlugin

COLOURS = 32


def with_palette(picture: Image.Image) -> Image.Image:
    """The same picture on white, in few colours."""
    opaque = Image.new("RGB", picture.size, "white")
    opaque.paste(picture, mask=picture.getchannel("A") if "A" in picture.mode else None)
    return opaque.quantize(COLOURS, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)


def shrink(path: Path) -> int:
    """Write the picture with a palette where that is smaller; the bytes saved."""
    before = path.stat().st_size
    with Image.open(path) as picture:
        if picture.mode == "P":
            return 0
        texts = PngImagePlugin.PngInfo()
        for name, value in getattr(picture, "text", {}).items():
            texts.add_text(name, value)
        small = with_palette(picture)
    beside = path.with_suffix(".small")
    small.save(beside, "PNG", optimize=True, pnginfo=texts)
    if beside.stat().st_size >= before:
        beside.unlink()
        return 0
    beside.replace(path)
    return before - path.stat().st_size


def main() -> None:
    tracked = subprocess.run(["git", "ls-files", "*.png"], capture_output=True, text=True, check=True).stdout.split()
    files = [Path(name) for name in sys.argv[1:] or tracked]
    saved = sum(shrink(path) for path in files)
    print(f"{len(files)} pictures, {saved / 1e3:.0f} kB saved")


if __name__ == "__main__":
    main()

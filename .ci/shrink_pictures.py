"""Make tracked pictures small: ``python .ci/shrink_pictures.py [FILE...]``, by default all PNG files that git tracks.

A palette of 32 colours is enough for diagrams and the bars of their colours, and a quarter of the bytes; those that fill no area, at the
edges of letters and lines, are merged into a few, which saves a tenth more. Texts that a picture carries are kept.
``oxipng`` afterwards saves a tenth more without loss.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin
from sklearn.cluster import KMeans

COLOURS = 32
AREA = 12  # squares of two by two pixels of one colour that make an area
MOST = 400  # pixels of a colour that count, so that white paper does not take the palette from small things


def with_palette(picture: Image.Image) -> Image.Image:
    """The same picture on white, in few colours: centres of clusters, each in its most frequent colour where one prevails."""
    opaque = Image.new("RGB", picture.size, "white")
    opaque.paste(picture, mask=picture.getchannel("A") if "A" in picture.mode else None)
    colours, place, count = np.unique(
        np.asarray(opaque).reshape(-1, 3), axis=0, return_inverse=True, return_counts=True
    )
    n_colours = min(COLOURS, len(colours))
    clusters = KMeans(n_colours, n_init=2, random_state=0).fit(colours, sample_weight=np.sqrt(np.minimum(count, MOST)))
    palette = clusters.cluster_centers_.round().astype(np.uint8)
    for cluster in range(n_colours):
        members = np.flatnonzero(clusters.labels_ == cluster)
        first = members[np.argmax(count[members])]
        if count[first] > 0.3 * count[members].sum():
            palette[cluster] = colours[first]
    return with_few_edges(palette, clusters.labels_[place.ravel()].reshape(opaque.height, opaque.width))


def with_few_edges(palette: np.ndarray, place: np.ndarray) -> Image.Image:
    """Of colours (C, 3) at the places (H, W), those that fill no area become five, or ten where next to none does."""
    corner, n_colours = place[:-1, :-1], len(palette)
    same = (corner == place[1:, :-1]) & (corner == place[:-1, 1:]) & (corner == place[1:, 1:])
    edges = np.flatnonzero(np.bincount(corner[same], minlength=n_colours) < AREA)
    n_areas = n_colours - len(edges)
    few = 5 if n_areas > 5 else 10 - n_areas
    if len(edges) > few:
        often = np.bincount(place.ravel(), minlength=n_colours)[edges]
        clusters = KMeans(few, n_init=4, random_state=0).fit(palette[edges], sample_weight=np.sqrt(often))
        palette[edges] = clusters.cluster_centers_[clusters.labels_].round()
        palette, joined = np.unique(palette, axis=0, return_inverse=True)
        place = joined.ravel()[place]
    small = Image.fromarray(place.astype(np.uint8), "P")
    small.putpalette(palette.ravel().tolist())
    return small


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

"""The gallery of the tutorials: a card for each notebook with its title, its first sentence and one of its pictures."""

import base64
import io
import json
import re
from pathlib import Path

WIDTH, HEIGHT = 360, 220
"""Of a thumbnail, in pixels."""
TAG = "thumbnail"
"""Tag of the cell whose picture is shown; without one, it is the first picture."""


def gallery(tutorials: Path, out: Path) -> str:
    """Cards of sphinx-design; the thumbnails are written to ``out/thumbnails``."""
    folder = out / "thumbnails"
    folder.mkdir(parents=True, exist_ok=True)
    cards = []
    for path in sorted(tutorials.glob("*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        title, sentence = heading(cells)
        lines = [f":::{{grid-item-card}} {title}", f":link: tutorials/{path.stem}", ":link-type: doc"]
        if picture(cells, folder / f"{path.stem}.png"):
            lines += [f":img-top: _include/thumbnails/{path.stem}.png", f":img-alt: {title}"]
        cards.append("\n".join([*lines, "", sentence, ":::"]))
    return "\n\n".join(["::::{grid} 1 2 3 3\n:gutter: 3", *cards, "::::\n"])


def heading(cells: list[dict]) -> tuple[str, str]:
    """Title of a notebook, and the first sentence below it."""
    text = "".join(cells[0]["source"])
    title, _, rest = text.partition("\n")
    paragraph = " ".join(rest.strip().split("\n\n")[0].split())
    return title.lstrip("# "), re.split(r"(?<=[.?!]) (?=[A-Z`])", paragraph)[0]


def picture(cells: list[dict], path: Path) -> bool:
    """Write the thumbnail, on white and in one shape for all; False if the notebook has no picture."""
    from PIL import Image, ImageOps

    tagged = [cell for cell in cells if TAG in cell["metadata"].get("tags", ())]
    for cell in tagged or cells:
        for output in cell.get("outputs", ()):
            encoded = output.get("data", {}).get("image/png")
            if encoded:
                with Image.open(io.BytesIO(base64.b64decode("".join(encoded)))) as whole:
                    ImageOps.pad(whole.convert("RGB"), (WIDTH, HEIGHT), color="white").save(path)
                return True
    return False

"""The pages of plotting functions show what they draw: `_static/pl/NAME.png`, above the parameters."""

from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

FOLDER = Path(__file__).parents[1] / "_static" / "pl"


def show(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Put the pictures of a function between its description and its parameters."""
    space, _, function = name.rpartition(".")
    if not space.endswith(".pl"):
        return
    found = sorted(FOLDER.glob(f"{function}.png")) + sorted(FOLDER.glob(f"{function}_*.png"))
    at = lines.index("Parameters") if "Parameters" in lines else len(lines)
    for path in reversed(found):
        lines[at:at] = [f".. image:: /_static/pl/{path.name}", f"   :alt: What scgim.pl.{function} draws", ""]


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("autodoc-process-docstring", show, priority=400)  # before napoleon, which rewrites the headings
    return {"parallel_read_safe": True, "parallel_write_safe": True}

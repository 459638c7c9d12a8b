"""Where long names may break: after a dot or an underscore, in the sidebar, in tables of the reference and in code in text.

Browsers break `metrics.structural_intervention_distance` anywhere or nowhere. The pages get a `<wbr>` where a reader would break it.
"""

import re
from pathlib import Path

from sphinx.application import Sphinx

LONG = 14
"""Shorter names are never broken."""
NAME = re.compile(rf'(<a class="[^"]*\binternal\b[^"]*"[^>]*>|<span class="pre">|<h1>)([\w.]{{{LONG},}})(?=<)')


def breakable(page: str) -> str:
    """The page with `<wbr>` in long names."""
    return NAME.sub(lambda found: found[1] + re.sub(r"(?<=[a-z0-9])([._])(?=\w)", r"\1<wbr>", found[2]), page)


def finish(app: Sphinx, exception: Exception | None) -> None:
    """Rewrite the pages that were made."""
    if exception is not None or app.builder.name != "html":
        return
    for path in Path(app.outdir).rglob("*.html"):
        page = path.read_text(encoding="utf-8")
        broken = breakable(page)
        if broken != page:
            path.write_text(broken, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("build-finished", finish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

"""Keep the section "Returns" of a docstring as it is written: prose, and lists of ``key : type`` with descriptions.

Napoleon reads the first line of that section as the type of the value. Types come from annotations here.
"""

from sphinx.application import Sphinx
from sphinx.ext.napoleon.docstring import NumpyDocstring


def _parse_returns_section(self: NumpyDocstring, section: str) -> list[str]:
    lines = self._dedent(self._consume_to_next_section())
    if lines and lines[0] == ":":  # left over from the heading
        lines = lines[1:]
    lines = self._format_block(":returns: ", lines)
    return [*lines, ""] if lines and lines[-1] else lines


def setup(app: Sphinx) -> dict[str, bool]:
    NumpyDocstring._parse_returns_section = _parse_returns_section
    return {"parallel_read_safe": True, "parallel_write_safe": True}

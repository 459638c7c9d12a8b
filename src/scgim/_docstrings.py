"""Text that several docstrings share, written once and spliced into them."""

import re
import textwrap
from collections.abc import Callable, Mapping
from typing import TypeVar

T = TypeVar("T")


def splice(snippets: Mapping[str, str]) -> Callable[[T], T]:
    """A decorator that puts text into the docstring of a function or class.

    Parameters
    ----------
    snippets
        Text by name; a line ``%(name)s`` of the docstring becomes the text, indented as the line was.
    """

    def decorate(thing: T) -> T:
        text = getattr(thing, "__doc__", None)
        if text is not None:  # as it is under python -OO
            thing.__doc__ = re.sub(r"^( *)%\((\w+)\)s$", _fill, text, flags=re.M)
        return thing

    def _fill(match: re.Match) -> str:
        return textwrap.indent(textwrap.dedent(snippets[match[2]]).strip("\n").rstrip(), match[1])

    return decorate

"""Text that docstrings share is written once and reaches all of them."""

import inspect
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import pytest

from scgim._docstrings import splice

NAMESPACES = ("datasets", "get", "metrics", "metrics.baselines", "pl", "pp", "tl")


def public() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Public functions by name."""
    for namespace in NAMESPACES:
        module = import_module(f"scgim.{namespace}")
        for name in module.__all__:
            if inspect.isfunction(getattr(module, name)):
                yield f"{namespace}.{name}", getattr(module, name)


@pytest.mark.parametrize(("name", "function"), list(public()), ids=lambda x: x if isinstance(x, str) else "")
def test_every_parameter_is_described(name, function):
    described = inspect.getdoc(function)
    assert "%(" not in described
    heads = {part.strip(" *") for line in described.splitlines() for part in line.split(",")}
    assert [p for p in inspect.signature(function).parameters if p not in heads] == []


def test_a_snippet_takes_the_indentation_of_its_line():
    @splice({"x": "x\n    What it is.", "more": "More."})
    def f(x):
        """Head.

        %(x)s
        100 %(x)s stays
            %(more)s
        """

    assert inspect.cleandoc(f.__doc__) == "Head.\n\nx\n    What it is.\n100 %(x)s stays\n    More."


def test_a_name_without_text_is_an_error():
    def f():
        """
        %(unknown)s
        """

    with pytest.raises(KeyError, match="unknown"):
        splice({})(f)

"""scgim: Generative Intervention Models :cite:p:`schneider2025` for single-cell perturbation data.

``import scgim`` is quick: each namespace below, and what it needs (scvi-tools, torch, anndata, matplotlib), is imported
when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from scgim._version import __version__

if TYPE_CHECKING:
    from scgim import datasets, get, metrics, model, pl, pp, tl

__all__ = ["__version__", "datasets", "get", "metrics", "model", "pl", "pp", "tl"]

_NAMESPACES = frozenset(__all__) - {"__version__"}


def __getattr__(name: str) -> Any:
    if name in _NAMESPACES:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)

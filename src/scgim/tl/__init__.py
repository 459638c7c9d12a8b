"""Fit, predict, intervene, compare, evaluate, diagnose, report."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scgim.tl._changes import changes
    from scgim.tl._diagnose import diagnose
    from scgim.tl._dose_curves import dose_curves
    from scgim.tl._evaluate import evaluate
    from scgim.tl._export_model import export_model
    from scgim.tl._export_predictions import export_predictions
    from scgim.tl._fit import fit
    from scgim.tl._intervene import intervene
    from scgim.tl._predict import predict
    from scgim.tl._report import report
    from scgim.tl._suggest import suggest
    from scgim.tl._suggest_experiments import suggest_experiments

__all__ = [
    "changes",
    "diagnose",
    "dose_curves",
    "evaluate",
    "export_model",
    "export_predictions",
    "fit",
    "intervene",
    "predict",
    "report",
    "suggest",
    "suggest_experiments",
]


def __getattr__(name: str) -> Any:
    """Functions when they are first used: the command line reads the signature of one of them without loading torch."""
    if name in __all__:
        return getattr(import_module(f"{__name__}._{name}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)

"""Fit, predict, evaluate, diagnose, report."""

from scgim.tl._diagnose import diagnose
from scgim.tl._evaluate import evaluate
from scgim.tl._fit import fit
from scgim.tl._predict import predict
from scgim.tl._report import report

__all__ = ["diagnose", "evaluate", "fit", "predict", "report"]

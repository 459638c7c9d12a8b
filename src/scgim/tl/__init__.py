"""Fit, predict, evaluate, diagnose."""

from scgim.tl._diagnose import diagnose
from scgim.tl._evaluate import evaluate
from scgim.tl._fit import fit
from scgim.tl._predict import predict

__all__ = ["diagnose", "evaluate", "fit", "predict"]

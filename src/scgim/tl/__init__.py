"""Fit, predict, evaluate, diagnose."""

from scgim.tl._fit import fit
from scgim.tl._predict import predict

__all__ = ["fit", "predict"]

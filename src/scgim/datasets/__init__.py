"""Simulated data with the truth inside, and loaders of public data."""

from scgim.datasets._sachs import sachs
from scgim.datasets._sciplex3 import sciplex3
from scgim.datasets._simulate import simulate

__all__ = ["sachs", "sciplex3", "simulate"]

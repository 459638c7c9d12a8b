"""Simulated data with the truth inside, and loaders of public data."""

from scgim.datasets import faults
from scgim.datasets._sachs import sachs
from scgim.datasets._sciplex3 import sciplex3
from scgim.datasets._screen import screen
from scgim.datasets._simulate import simulate

__all__ = ["faults", "sachs", "sciplex3", "screen", "simulate"]

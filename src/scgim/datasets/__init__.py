"""Simulated data with the truth inside, and loaders of public data."""

from scgim.datasets._simulate import simulate

__all__ = ["simulate"]

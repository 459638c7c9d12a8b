"""Plots of what :func:`scgim.tl.fit` has written."""

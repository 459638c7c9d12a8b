"""Fit, predict, evaluate, diagnose."""

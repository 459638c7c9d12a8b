"""Metrics of graphs, targets and predictions, and trivial baselines."""

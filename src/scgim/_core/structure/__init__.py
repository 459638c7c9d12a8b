"""Scores of parents, and searches over orders and graphs (layer `_core`)."""

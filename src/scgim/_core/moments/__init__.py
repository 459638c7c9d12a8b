"""Sums over cells, block by block, and the moments of contexts made of them (layer `_core`)."""

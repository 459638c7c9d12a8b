"""Graphs with feedback: scores, start and search."""

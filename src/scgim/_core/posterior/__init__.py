"""Targets, effects and dose curves, given the graph (layer `_core`)."""

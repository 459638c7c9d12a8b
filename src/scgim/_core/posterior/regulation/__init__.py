"""Regulators without a measured value, and the network that says what they act on."""

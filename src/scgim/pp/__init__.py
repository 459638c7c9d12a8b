"""Prepare data: genes, doses, combinations, fingerprints, splits."""

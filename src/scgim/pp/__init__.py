"""Prepare data: genes, doses, combinations, fingerprints, splits."""

from scgim.pp._encode_doses import encode_doses
from scgim.pp._fingerprints import fingerprints
from scgim.pp._select_genes import select_genes
from scgim.pp._split_combinations import split_combinations
from scgim.pp._split_contexts import split_contexts

__all__ = ["encode_doses", "fingerprints", "select_genes", "split_combinations", "split_contexts"]

"""Read what :func:`scgim.tl.fit` has written: no model is needed."""

from scgim.get._downstream import downstream
from scgim.get._gene_sets import gene_sets
from scgim.get._graph import graph
from scgim.get._network import network
from scgim.get._perturbations import perturbations
from scgim.get._targets import targets

__all__ = ["downstream", "gene_sets", "graph", "network", "perturbations", "targets"]

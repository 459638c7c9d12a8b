"""Read what :func:`scgim.tl.fit` has written: no model is needed."""

from scgim.get._graph import graph
from scgim.get._targets import targets

__all__ = ["graph", "targets"]

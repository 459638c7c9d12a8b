"""Pictures of what :func:`scgim.tl.fit` has written: neither the model nor torch is needed."""

from scgim.pl._diagnostics import diagnostics
from scgim.pl._dose_response import dose_response
from scgim.pl._graph import graph
from scgim.pl._history import history
from scgim.pl._mechanisms import mechanisms

__all__ = ["diagnostics", "dose_response", "graph", "history", "mechanisms"]

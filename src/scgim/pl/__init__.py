"""Pictures of what :func:`scgim.tl.fit` has written: neither the model nor torch is needed."""

from scgim.pl._calibration import calibration
from scgim.pl._diagnostics import diagnostics
from scgim.pl._dose_response import dose_response
from scgim.pl._drug_similarity import drug_similarity
from scgim.pl._graph import graph
from scgim.pl._history import history
from scgim.pl._mechanisms import mechanisms
from scgim.pl._predicted_vs_observed import predicted_vs_observed
from scgim.pl._regulators import regulators
from scgim.pl._targets import targets

__all__ = [
    "calibration",
    "diagnostics",
    "dose_response",
    "drug_similarity",
    "graph",
    "history",
    "mechanisms",
    "predicted_vs_observed",
    "regulators",
    "targets",
]

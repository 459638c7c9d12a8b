"""Kinds of intervention: what a drug may do to a gene (layer `_core`)."""

from scgim._core.kinds.activity import Activity
from scgim._core.kinds.base import Kind, ScoredKind
from scgim._core.kinds.hard import Hard
from scgim._core.kinds.shift import Shift

INTERVENTIONS: dict[str, tuple[Kind, ...]] = {
    "shift": (Shift(),),
    "hard": (Hard(),),
    "activity": (Activity(),),
    "auto": (Shift(), Activity()),
}
"""The kinds that each setting of ``intervention`` weighs, in the order in which ties are decided."""
KINDS: dict[str, Kind] = {kind.name: kind for kinds in INTERVENTIONS.values() for kind in kinds}
"""Every kind by its name."""


def add_kind(kind: Kind) -> None:
    """Makes a kind known, under its own name as the setting that weighs it alone."""
    INTERVENTIONS[kind.name] = (kind,)
    KINDS[kind.name] = kind


__all__ = ["INTERVENTIONS", "KINDS", "Kind", "ScoredKind", "add_kind"]

"""How a gene follows from its parents: one file a mechanism, and `MECHANISMS` with all of them by name (layer `_core`)."""

from scgim._core.mechanisms.additive import Additive
from scgim._core.mechanisms.base import Basis, Mechanism
from scgim._core.mechanisms.linear import Linear
from scgim._core.mechanisms.neural import Neural

MECHANISMS: dict[str, Mechanism] = {m.name: m for m in (Linear(), Additive(), Neural())}

__all__ = ["MECHANISMS", "Additive", "Basis", "Linear", "Mechanism", "Neural"]

"""The scvi-tools model: :class:`scgim.model.GIM`, its module, training plan and data modules."""

from scgim.model._gim import GIM

__all__ = ["GIM"]

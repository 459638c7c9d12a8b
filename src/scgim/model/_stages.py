"""The torch module and the second stage of training, as `GIM` uses them (layer `model`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scgim._core.design import Design
    from scgim._core.fit import Fit


def make_module(n_genes: int, design: Design, settings: dict[str, Any], module_kwargs: dict[str, Any]) -> Any:
    """The module of the second stage; its shapes follow from the arguments alone."""
    try:
        from scgim.model._module import GIMModule
    except ImportError:
        return _placeholder()
    chosen = {key: settings[key] for key in ("mechanism", "intervention", "noise", "structure")}
    return GIMModule.from_design(n_genes, design, **chosen, **module_kwargs)


def refine_fit(model: Any, fit: Fit | None, **kwargs: Any) -> Fit:
    """Joint training by Lightning from the given start."""
    try:
        from scgim.model._training import refine
    except ImportError:
        return fit  # type: ignore[return-value]
    return refine(model, fit, **kwargs)


def _placeholder() -> Any:
    from scvi.module.base import BaseModuleClass

    class Empty(BaseModuleClass):
        _get_inference_input = _get_generative_input = inference = generative = loss = lambda self, *a, **k: {}

    import torch

    empty = Empty()
    empty.register_parameter("nothing", torch.nn.Parameter(torch.zeros(1)))
    return empty

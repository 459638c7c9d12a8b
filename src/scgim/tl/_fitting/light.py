"""A light copy of the user's object: it shares the matrices, so that set-up can write into it and not into the original."""

from collections.abc import Mapping
from typing import Any

from scgim._warnings import quiet_mudata


def light_copy(data: Any, settings: Mapping[str, Any]) -> Any:
    """A new AnnData or MuData around the same matrices, with what set-up reads and nothing else.

    Parameters
    ----------
    data
        The user's object; it is not modified.
    settings
        Arguments of the set-up.
    """
    from anndata import AnnData

    if isinstance(data, AnnData):
        return _light_anndata(data, settings, settings.get("layer"))
    from mudata import MuData

    layer = settings.get("layer")
    parts = {
        name: _light_anndata(part, settings, layer.get(name) if isinstance(layer, Mapping) else layer)
        for name, part in data.mod.items()
    }
    with quiet_mudata():
        light = MuData(parts)
    for column in data.obs.columns:
        light.obs[column] = data.obs[column].to_numpy() if column not in light.obs else light.obs[column]
    _share(data, light, settings)
    return light


def _light_anndata(adata: Any, settings: Mapping[str, Any], layer: str | None) -> Any:
    from anndata import AnnData

    obs, var = adata.obs.copy(deep=False), adata.var[[]].copy()
    if layer is None or layer not in adata.layers:  # a wrong layer is refused by the set-up
        light = AnnData(X=adata.X, obs=obs, var=var, layers=None if layer is None else dict(adata.layers))
    else:
        light = AnnData(obs=obs, var=var, layers={layer: adata.layers[layer]})
    _share(adata, light, settings)
    return light


def _share(data: Any, light: Any, settings: Mapping[str, Any]) -> None:
    """Features and prior graphs, wherever they are."""
    features, prior = settings.get("features_key"), settings.get("graph_prior")
    if isinstance(features, str):
        if features in data.uns:
            light.uns[features] = data.uns[features]
        if features in data.obsm:
            light.obsm[features] = data.obsm[features]
    if isinstance(prior, str) and prior in data.varp:
        light.varp[prior] = data.varp[prior]

"""Fields of the AnnDataManager: expression, contexts, numeric covariates (layer `model`).

Their states are plain lists, numbers and arrays, so that a saved model opens with other versions of pandas.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import rich.table
from scvi.data.fields import BaseAnnDataField

from scgim.model._reading.columns import read_columns, read_numbers
from scgim.model._reading.keys import CONTEXT_KEY
from scgim.model._reading.spec import Spec
from scgim.model._reading.summary import Summary
from scgim.model._study.contexts import Contexts, derive_contexts, match_contexts
from scgim.model._study.features import Features, read_features


class _Field(BaseAnnDataField):
    """What the fields here share: where they live, and no state worth a table."""

    def __init__(self, registry_key: str, attr_name: str, attr_key: str | None, mod_key: str | None = None) -> None:
        super().__init__()
        self._registry_key, self._attr_name, self._attr_key, self._mod_key = registry_key, attr_name, attr_key, mod_key

    @property
    def registry_key(self) -> str:
        """Key under which minibatches carry the data."""
        return self._registry_key

    @property
    def attr_name(self) -> str:
        """Attribute of the object."""
        return self._attr_name

    @property
    def attr_key(self) -> str | None:
        """Key in that attribute."""
        return self._attr_key

    @property
    def mod_key(self) -> str | None:
        """Modality, for MuData."""
        return self._mod_key

    @property
    def is_empty(self) -> bool:
        """Never: absent columns get no field."""
        return False

    def validate_field(self, adata: Any) -> None:
        """Nothing beyond the checks before registration."""

    def get_summary_stats(self, state_registry: dict) -> dict:
        """No summary."""
        return {}

    def view_state_registry(self, state_registry: dict) -> rich.table.Table | None:
        """No table."""
        return None


class ExpressionField(_Field):
    """The modelled matrix, or the part of it in one modality."""

    def __init__(
        self, registry_key: str, layer: str | None, mod_key: str | None = None, summary: Summary | None = None
    ) -> None:
        super().__init__(registry_key, "X" if layer is None else "layers", layer, mod_key)
        self._counts = None if summary is None else summary.counts
        self._range = (None, None) if summary is None else (float(summary.low.min()), float(summary.high.max()))

    def register_field(self, adata: Any) -> dict:
        """Names and types of the columns."""
        part = adata if self.mod_key is None else adata.mod[self.mod_key]
        return {
            "n_obs": int(part.n_obs),
            "n_vars": int(part.n_vars),
            "column_names": [str(name) for name in part.var_names],
            "counts": self._counts,
            "smallest": self._range[0],
            "largest": self._range[1],
        }

    def transfer_field(self, state_registry: dict, adata_target: Any, **kwargs: Any) -> dict:
        """Refuse other genes, or genes in another order."""
        state = self.register_field(adata_target)
        expected, found = state_registry["column_names"], state["column_names"]
        if expected != found:
            absent = [name for name in expected if name not in set(found)]
            what = f"lacks {absent[:5]}" if absent else "has them in another order or has more"
            raise ValueError(
                f"adata: expected the {len(expected)} genes of the model in their order; the object {what}. "
                "Use adata = adata[:, genes].copy() with genes = model.genes; of a model on disk, GIM.load(dir_path, adata=False).genes."
            )
        return state | {key: state_registry.get(key) for key in ("counts", "smallest", "largest")}

    def get_summary_stats(self, state_registry: dict) -> dict:
        """Numbers of cells and variables, under the names of scvi-tools for the first matrix."""
        if self.registry_key == "X":
            return {"n_vars": state_registry["n_vars"], "n_cells": state_registry["n_obs"]}
        return {f"n_{self.registry_key}": state_registry["n_vars"]}


class ContextField(_Field):
    """Context of each cell, with the contexts table, the design and the features as its state."""

    def __init__(self, spec: Spec, contexts: Contexts | None = None, features: Features | None = None) -> None:
        super().__init__(CONTEXT_KEY, "obs", "_scvi_context")
        self._spec, self._validated = spec, None if contexts is None else (contexts, features)

    def register_field(self, adata: Any) -> dict:
        """Write the context of each cell; return the contexts and features."""
        if self._validated is not None:
            contexts, features = self._validated
            self._validated = None  # the object may have changed when fields are registered again
        else:
            contexts = derive_contexts(read_columns(adata, self._spec), self._spec)
            features = read_features(adata, self._spec.features, contexts)
        adata.obs[self.attr_key] = contexts.index
        return contexts.to_state() | {"features": None if features is None else features.to_state()}

    def transfer_field(self, state_registry: dict, adata_target: Any, **kwargs: Any) -> dict:
        """Find the cells' contexts among those of the model."""
        self._validated = None
        source = Contexts.from_state(state_registry)
        adata_target.obs[self.attr_key] = match_contexts(read_columns(adata_target, self._spec), self._spec, source)
        return state_registry

    def get_summary_stats(self, state_registry: dict) -> dict:
        """Numbers of contexts, drugs and groups."""
        design = state_registry["design"]
        return {
            "n_contexts": len(design["dose"]),
            "n_drugs": len(design["drugs"]),
            "n_groups": len(design["group_names"]),
        }


class NumericField(_Field):
    """Numeric columns of `.obs`, as a float array in `.obsm`."""

    def __init__(self, registry_key: str, spec: Spec, columns: tuple[str, ...]) -> None:
        super().__init__(registry_key, "obsm", f"_scvi_{registry_key}")
        self._spec, self._columns = spec, columns

    def register_field(self, adata: Any) -> dict:
        """Write the columns ``(N, q)``."""
        frame = read_columns(adata, self._spec)
        values = [read_numbers(frame[c], self._spec.arguments[c]) for c in self._columns]
        adata.obsm[self.attr_key] = np.column_stack(values)
        return {"columns": list(self._columns)}

    def transfer_field(self, state_registry: dict, adata_target: Any, **kwargs: Any) -> dict:
        """The same columns of another object."""
        return self.register_field(adata_target)

    def get_summary_stats(self, state_registry: dict) -> dict:
        """Number of columns."""
        return {f"n_{self.registry_key}": len(state_registry["columns"])}

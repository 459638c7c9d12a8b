"""A fit that is repeated from what a model keeps of it: choices, settings of the training, and the seed (layer `model`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from scvi.model.base import BaseModelClass

from scgim._warnings import warn_user
from scgim.model._saving.save import constructor

NOT_SETTINGS = ("self", "progress", "checkpoint", "trainer_kwargs")
"""Arguments of `GIM.train` that do not change its result, or gather others."""
LEFT_OUT = "left_out"
"""Names of what was given and cannot be kept."""


def as_kept(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of a training as they are kept in the model, and saved with it.

    Parameters
    ----------
    arguments
        Of `GIM.train`, with a Generator as ``rng`` from which nothing is spawned yet.

    Returns
    -------
    Numbers, text, arrays, lists and dicts of them; in place of the generator what it was made from.
    """
    given = {k: v for k, v in arguments.items() if k not in NOT_SETTINGS} | dict(arguments["trainer_kwargs"])
    seed: Any = given.pop("rng").bit_generator.seed_seq
    given["rng"] = {k: getattr(seed, k) for k in ("entropy", "spawn_key", "n_children_spawned")}
    left = [k for k, v in given.items() if not _is_plain(v) and not _is_own(v)]
    return {k: v for k, v in given.items() if _is_plain(v)} | {LEFT_OUT: left}


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(isinstance(k, str) and _is_plain(v) for k, v in value.items())
    if isinstance(value, np.ndarray):
        return value.dtype.kind in "biuf"
    return isinstance(value, bool | int | float | str | None)


def _is_own(value: Any) -> bool:
    """Callbacks of scgim, which show what a fit is doing."""
    return isinstance(value, list) and all(type(entry).__module__.startswith("scgim.") for entry in value)


class RefitMixin(BaseModelClass):
    """Fits again what was fitted."""

    def refit(self, **changes: Any) -> Self:
        """Fit again, with the same choices, settings and seed, on the data of this model.

        On the same machine, versions and number of threads the result is the same up to rounding. A search that `timeout` or
        Ctrl-C ended cannot be repeated, as its end depends on the speed of the machine.

        Parameters
        ----------
        **changes
            Arguments of :meth:`train` that shall differ, such as ``accelerator="cpu"`` or ``rng=1``.

        Returns
        -------
        A new model; this one stays as it is.

        Raises
        ------
        ValueError
            The model was not trained, has no data, or was saved by a version that did not keep how it was trained.

        Warns
        -----
        UserWarning
            Objects such as callbacks were given to the training, and are not kept; pass them again.

        Examples
        --------
        >>> again = scgim.model.GIM.load("model", adata).refit()
        """
        fitted: Any = self
        _ = fitted.fitted
        if self.adata is None:
            raise ValueError("adata: the model was loaded without data; use GIM.load(dir_path, adata).")
        kept = getattr(self, "train_params_", None)
        if not isinstance(kept, dict):
            raise ValueError(
                "model: was saved by a version of scgim that did not keep how it was trained; fit anew with GIM(adata, ...) and train."
            )
        left = [name for name in kept[LEFT_OUT] if name not in changes]
        if left:
            warn_user(f"refit: {left} were given to the training and are not kept; pass them again to repeat the fit.")
        settings = {k: v for k, v in kept.items() if k != LEFT_OUT} | changes
        if isinstance(settings["rng"], dict):
            settings["rng"] = np.random.default_rng(np.random.SeedSequence(**settings["rng"]))
        type(self).register_manager(self.adata_manager)  # a copy that was set up later has the same identity
        again: Any = type(self)(self.adata, **constructor(self.init_params_))
        again.train(**settings)
        return again

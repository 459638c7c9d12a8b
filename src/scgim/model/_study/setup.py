"""`GIM.setup_anndata` and `GIM.setup_mudata`: the public side of registration (layer `model`)."""

from __future__ import annotations

from difflib import get_close_matches
from inspect import signature
from typing import TYPE_CHECKING, Any

from anndata import AnnData
from scvi.data import AnnDataManager

from scgim._checks import LAYER, MODALITIES, TEXT, checked, or_none
from scgim._options import SETUP, SETUP_CHECKS, Columns, documented, takes_options_of
from scgim.model._reading.spec import refuse_taken
from scgim.model._study.study import anndata_spec, make_fields, mudata_spec
from scgim.model._study.validation import check_cells_paired, check_object

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mudata import MuData


class SetupMixin:
    """Registration of data with :class:`scgim.model.GIM`."""

    @classmethod
    @documented
    @checked(layer=or_none(TEXT), **SETUP_CHECKS)
    def setup_anndata(
        cls,
        adata: AnnData,
        *,
        perturbation_key: Columns,
        control: str,
        dose_key: Columns | None = None,
        features_key: str | None = None,
        layer: str | None = None,
        batch_key: str | None = None,
        categorical_covariate_keys: Columns | None = None,
        continuous_covariate_keys: Columns | None = None,
        size_factor_key: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Say which columns name the perturbation, its dose, the control, and what differs between cells besides.

        Everything is checked before anything is written. What is written is what scvi-tools models write: the context
        of each cell in ``adata.obs["_scvi_context"]``, continuous covariates in ``.obsm``, and identifiers in ``.uns``.

        Parameters
        ----------
        adata
            Cells x genes; dense, sparse, backed or lazy. Not a view.
        %(setup)s
        **kwargs
            Used by :meth:`load` to match the data with a saved model.

        Raises
        ------
        KeyError
            A column, layer or key is missing, or a drug has no features.
        TypeError, ValueError
            The data do not fit; the message names the argument, what was found, and what to do.

        Examples
        --------
        >>> scgim.model.GIM.setup_anndata(adata, perturbation_key="drug", dose_key="dose", control="control")
        """
        setup_method_args = cls._get_setup_method_args(**locals())  # type: ignore[attr-defined]
        _refuse_unknown(kwargs, setup_method_args["setup_args"])
        check_object(adata, AnnData)
        spec = anndata_spec(setup_method_args["setup_args"])
        cls._register(adata, spec, setup_method_args, kwargs)

    @classmethod
    @takes_options_of(setup_anndata.__func__)  # type: ignore[attr-defined]
    @documented
    @checked(modalities=or_none(MODALITIES))
    def setup_mudata(
        cls,
        mdata: MuData,
        *,
        layer: str | Mapping[str, str | None] | None = None,
        modalities: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """The same for MuData: variables of several modalities, such as genes and proteins, become one causal model.

        Parameters
        ----------
        mdata
            Modalities with the same cells in the same order. Not a view.
        %(setup)s
        %(modalities)s
        **kwargs
            Used by :meth:`load` to match the data with a saved model.

        Raises
        ------
        KeyError, TypeError, ValueError
            As :meth:`setup_anndata`; a column whose values differ between modalities is refused.

        Notes
        -----
        A variable name that occurs in two modalities is written ``modality:name`` in the joint model.

        Examples
        --------
        >>> scgim.model.GIM.setup_mudata(
        ...     mdata, perturbation_key="drug", control="control", modalities={"layer": ["rna", "protein"]}
        ... )
        """
        from mudata import MuData

        columns = {name: kwargs.pop(name) for name in SETUP if name in kwargs} | {"layer": layer}
        for name, value in columns.items():
            SETUP_CHECKS.get(name, LAYER)(name, value)
        _refuse_unknown(kwargs, dict.fromkeys([*SETUP, "modalities"]))
        for name in ("perturbation_key", "control"):
            if name not in columns:
                raise TypeError(f"{name}: is missing; setup_mudata() needs ['perturbation_key', 'control'].")
        bound = signature(cls.setup_mudata).bind(mdata, **columns, modalities=modalities)
        bound.apply_defaults()
        arguments = {name: value for name, value in bound.arguments.items() if name not in ("mdata", "kwargs")}
        setup_method_args = cls._get_setup_method_args(cls=cls, mdata=mdata, **arguments)  # type: ignore[attr-defined]
        arguments = setup_method_args["setup_args"]
        check_object(mdata, MuData)
        spec = mudata_spec(arguments, tuple(mdata.mod))
        check_cells_paired(mdata, spec)
        arguments["modalities"] = {**spec.modalities, "layer": list(spec.layers)}  # complete, for loading without data
        cls._register(mdata, spec, setup_method_args, kwargs)

    @classmethod
    def _register(cls, data: Any, spec: Any, setup_method_args: dict, kwargs: dict) -> None:
        setup_method_args["setup_args"] = {k: _plain(v) for k, v in setup_method_args["setup_args"].items()}
        source = kwargs.get("source_registry")
        if source is None:
            refuse_taken(spec)
        fields = make_fields(data, spec, source)
        manager = AnnDataManager(fields=fields, setup_method_args=setup_method_args)
        manager.register_fields(data, **kwargs)
        cls.register_manager(manager)  # type: ignore[attr-defined]


def _refuse_unknown(kwargs: Mapping[str, Any], arguments: Mapping[str, Any]) -> None:
    """Keywords that nothing reads, such as a misspelt one; those of scvi-tools come with a registry."""
    if "source_registry" in kwargs:
        return
    for name in kwargs:
        close = get_close_matches(name, list(arguments), n=1)
        raise TypeError(f"{name}: unknown argument; " + (f"did you mean {close[0]!r}?" if close else "leave it out"))


def check_set_up(cls: Any, adata: Any) -> None:
    """The object itself was registered.

    Raises
    ------
    ValueError
    """
    try:
        known = cls._get_most_recent_anndata_manager(adata) is not None
    except ValueError:
        known = False
    if not known:
        raise ValueError(
            "adata: expected data that were set up, found none, or a copy of some; run GIM.setup_anndata(adata, "
            "perturbation_key=..., control=...) on this object first."
        )


def _plain(value: Any) -> Any:
    """Arguments of set-up as str, lists and dicts, so that a registry opens anywhere."""
    if isinstance(value, dict) or hasattr(value, "items"):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, str) or value is None:
        return value if value is None else str(value)
    if hasattr(value, "__iter__"):
        return [_plain(v) for v in value]
    return value.item() if hasattr(value, "item") else value

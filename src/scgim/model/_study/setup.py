"""`GIM.setup_anndata` and `GIM.setup_mudata`: the public side of registration (layer `model`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anndata import AnnData
from scvi.data import AnnDataManager

from scgim.model._study.study import anndata_spec, make_fields, mudata_spec
from scgim.model._study.validation import check_cells_paired, check_object

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mudata import MuData


class SetupMixin:
    """Registration of data with :class:`scgim.model.GIM`."""

    @classmethod
    def setup_anndata(
        cls,
        adata: AnnData,
        *,
        perturbation_key: str | Sequence[str],
        control: str,
        dose_key: str | Sequence[str] | None = None,
        features_key: str | None = None,
        layer: str | None = None,
        batch_key: str | None = None,
        categorical_covariate_keys: Sequence[str] | None = None,
        continuous_covariate_keys: Sequence[str] | None = None,
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
        perturbation_key
            Column of ``adata.obs`` that names the drug; several columns for combinations, whose order does not matter.
        control
            Label of "no drug" in those columns. Cells with this label in all of them are the control cells.
        dose_key
            Columns with the doses, one for each of ``perturbation_key``; positive numbers. Doses of controls are ignored.
        features_key
            Key of ``adata.uns`` with a DataFrame of features, indexed by drug, or of ``adata.obsm`` with one row a cell,
            constant within a context :cite:p:`schneider2025`. Without it, drugs are known by name only.
        layer
            Layer with the expression to model; ``adata.X`` without it.
        batch_key, categorical_covariate_keys
            Columns such as batch, patient or cell line. Each combination of their values has a baseline of its own and
            needs control cells; mechanisms and interventions are shared (not from the paper).
        continuous_covariate_keys
            Columns such as cell-cycle scores, whose linear effect on each gene is removed before fitting (not from the
            paper).
        size_factor_key
            Column with the size factor of each cell, for ``noise="poisson_lognormal"``, in any unit: only ratios between
            cells matter. Without it, the sum of the modelled genes' counts.
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
        >>> scgim.model.GIM.setup_anndata(  # doctest: +SKIP
        ...     adata, perturbation_key="drug", dose_key="dose", control="DMSO"
        ... )
        """
        setup_method_args = cls._get_setup_method_args(**locals())  # type: ignore[attr-defined]
        check_object(adata, AnnData)
        spec = anndata_spec(setup_method_args["setup_args"])
        cls._register(adata, spec, setup_method_args, kwargs)

    @classmethod
    def setup_mudata(
        cls,
        mdata: MuData,
        *,
        perturbation_key: str | Sequence[str],
        control: str,
        dose_key: str | Sequence[str] | None = None,
        features_key: str | None = None,
        layer: str | Mapping[str, str | None] | None = None,
        batch_key: str | None = None,
        categorical_covariate_keys: Sequence[str] | None = None,
        continuous_covariate_keys: Sequence[str] | None = None,
        size_factor_key: str | None = None,
        modalities: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """The same for MuData: variables of several modalities, such as genes and proteins, become one causal model.

        Parameters
        ----------
        mdata
            Modalities with the same cells in the same order. Not a view.
        layer
            One layer for all modalities, or a layer by modality; ``.X`` where there is none.
        modalities
            ``modalities["layer"]``: the modalities to model, all of them by default. Other entries say in which modality
            the columns of an argument live, e.g. ``{"perturbation_key": "rna"}``. Without an entry, a column is looked
            for in ``mdata.obs``, then in all modalities.
        perturbation_key, control, dose_key, features_key, batch_key, categorical_covariate_keys
            See :meth:`setup_anndata`; ``features_key`` is a key of ``mdata.uns`` or ``mdata.obsm``.
        continuous_covariate_keys, size_factor_key, **kwargs
            See :meth:`setup_anndata`.

        Raises
        ------
        KeyError, TypeError, ValueError
            As :meth:`setup_anndata`; a column whose values differ between modalities is refused.

        Notes
        -----
        A variable name that occurs in two modalities is written ``modality:name`` in the joint model.

        Examples
        --------
        >>> scgim.model.GIM.setup_mudata(  # doctest: +SKIP
        ...     mdata, perturbation_key="drug", control="DMSO", modalities={"layer": ["rna", "protein"]}
        ... )
        """
        setup_method_args = cls._get_setup_method_args(**locals())  # type: ignore[attr-defined]
        from mudata import MuData

        check_object(mdata, MuData)
        arguments = setup_method_args["setup_args"]
        spec = mudata_spec(arguments, tuple(mdata.mod))
        check_cells_paired(mdata, spec)
        arguments["modalities"] = {**spec.modalities, "layer": list(spec.layers)}  # complete, for loading without data
        cls._register(mdata, spec, setup_method_args, kwargs)

    @classmethod
    def _register(cls, data: Any, spec: Any, setup_method_args: dict, kwargs: dict) -> None:
        setup_method_args["setup_args"] = {k: _plain(v) for k, v in setup_method_args["setup_args"].items()}
        fields = make_fields(data, spec, kwargs.get("source_registry"))
        manager = AnnDataManager(fields=fields, setup_method_args=setup_method_args)
        manager.register_fields(data, **kwargs)
        cls.register_manager(manager)  # type: ignore[attr-defined]


def _plain(value: Any) -> Any:
    """Arguments of set-up as str, lists and dicts, so that a registry opens anywhere."""
    if isinstance(value, dict) or hasattr(value, "items"):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, str) or value is None:
        return value if value is None else str(value)
    if hasattr(value, "__iter__"):
        return [_plain(v) for v in value]
    return value.item() if hasattr(value, "item") else value

"""Cells and means of perturbations that were not measured, in memory or streamed to disk (layer `model`)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData

from scgim import _keys
from scgim._checks import DATA, PATH, SEED, TABLE, ExistsError, checked, count
from scgim._writing import beside, check_room
from scgim.model._prediction.counterfactual import counterfactual_cells
from scgim.model._prediction.mixed import NAMES
from scgim.model._prediction.request import Request, make_request, read_new_features, warn_of_far_doses
from scgim.model._prediction.stream import write_stream

if TYPE_CHECKING:
    from scgim.model._prediction.components import Components
    from scgim.model._prediction.predictor import Predictor
    from scgim.model._study.study import Study


def _of_type(labels: np.ndarray, dtype: str) -> np.ndarray:
    """Labels as the numbers or booleans that were registered; text where one is none, as the name of a new drug may be."""
    if dtype == "bool":
        return labels == "True" if set(labels) <= {"True", "False"} else labels
    try:
        return labels.astype(dtype)
    except ValueError:
        return labels


def _picked(labels: np.ndarray, codes: np.ndarray, registered: tuple[str, bool] | None) -> Any:
    """Labels picked by code, as a column of the registered type, without building a string for each cell."""
    dtype, is_categorical = registered or ("str", True)
    values = _of_type(labels.astype(str), dtype)
    if not is_categorical and values.dtype.kind != "U":
        return values[codes]
    levels, inverse = np.unique(values, return_inverse=True)
    is_text = levels.dtype.kind == "U"
    return pd.Categorical.from_codes(inverse[codes], pd.Index(levels.tolist() if is_text else levels))


def labels(request: Request, data: Study, row: np.ndarray, group: np.ndarray) -> pd.DataFrame:
    """Registered columns of predicted cells; covariates that were left out are those of the drawn baseline group."""
    out: dict[str, Any] = {}
    for column in [*data.spec.columns, *data.spec.continuous]:
        if column in request.table:
            values = request.table[column].to_numpy()
            is_text = not pd.api.types.is_numeric_dtype(request.table[column])
            out[column] = _picked(values, row, data.types.get(column)) if is_text else values.astype(float)[row]
        elif column in data.groups:
            out[column] = _picked(data.groups[column].to_numpy(), group, data.types.get(column))
    return pd.DataFrame(out, index=pd.RangeIndex(len(row)).astype(str))


class ForecastMixin:
    """Prediction with a trained :class:`scgim.model.GIM`; needs neither the training data nor a GPU."""

    def _prepare(self, perturbations: Any, features: Any) -> tuple[Predictor, Request, Components]:
        predictor: Predictor = self._predictor()  # type: ignore[attr-defined]
        request = make_request(perturbations, predictor.data, self.adjustment_)  # type: ignore[attr-defined]
        warn_of_far_doses(request, predictor.data.design)
        values = read_new_features(features, predictor.data, request)
        return predictor, request, predictor.components(request, values)

    def _provenance(self, **extra: Any) -> dict[str, Any]:
        from importlib.metadata import PackageNotFoundError, version

        try:
            made_by = version("scgim")
        except PackageNotFoundError:
            made_by = "unknown"
        settings, learned = self.settings, self.fitted.settings  # type: ignore[attr-defined]
        shares = (
            "combination_share",
            *(f"{of}_weight" for of in NAMES),
        )  # of the sum of drugs, and of the model beside baselines
        extra |= {share: learned[share] for share in shares if share in learned}
        return {
            _keys.PREDICTION.name(): {
                _keys.PREDICTION.entry: {"predicted": True, "scgim": made_by, **settings, **extra}
            }
        }

    def _var(self) -> pd.DataFrame:
        data = self.study  # type: ignore[attr-defined]
        var = pd.DataFrame(index=pd.Index(data.genes, dtype=str))
        if data.modality[0] is not None:
            var["modality"] = pd.Categorical(data.modality)
        return var

    @checked(perturbations=TABLE, n_cells=count(), rng=SEED)
    def predict(
        self,
        perturbations: pd.DataFrame,
        *,
        features: Any = None,
        n_cells: int = 100,
        rng: int | np.random.Generator | None = 0,
    ) -> AnnData:
        """Cells under any perturbations: measured or new doses, combinations and, with features, new drugs.

        A fitted context uses its own posterior. Otherwise each drug of a row follows its dose curve, or, if it was not
        in the training data, what its features say, and the interventions of the drugs superpose. Every cell draws its
        targets and effects from the posterior, so the spread of the cells holds the uncertainty of the intervention.

        Parameters
        ----------
        perturbations
            DataFrame with the registered perturbation and dose columns. Columns of covariates may be left out; their
            baselines are then drawn in the proportions of the training cells. Continuous covariates are at their mean
            unless given.
        features
            Needed for unknown drugs that are not in the registered table: a DataFrame indexed by drug, or, where
            ``features_key`` was in ``.obsm``, one row for each row of `perturbations`.
        n_cells
            Cells for each row.
        rng
            Seed or generator.

        Returns
        -------
        AnnData with ``n_cells`` cells for each row, in their order, on the scale of the training data: counts for a count
        model, at size factors drawn from the control cells of the group, or those in the registered size factor column
        of `perturbations`. ``.obs`` holds the
        registered columns, ``.uns["scgim"]["prediction"]`` says that the cells are predicted and by what.

        Raises
        ------
        RuntimeError
            The model is not trained.
        KeyError
            A column is missing, or an unknown drug has no features; the message names it.
        TypeError, ValueError
            A value is of the wrong type or out of range, or a covariate has no baseline.

        Examples
        --------
        >>> new = pd.DataFrame({"drug": ["drug_1"], "dose": [1.25]})
        >>> cells = model.predict(new, n_cells=500)
        """
        n_cells = int(n_cells)
        predictor, request, components = self._prepare(perturbations, features)
        total = n_cells * len(request.table)
        x, rows, groups = np.empty((total, predictor.n_genes), np.float32), [], []
        start = 0
        for block, row, group in predictor.sample(request, components, n_cells, np.random.default_rng(rng)):
            x[start : start + len(block)] = block
            start += len(block)
            rows.append(row)
            groups.append(group)
        obs = labels(request, predictor.data, np.concatenate(rows), np.concatenate(groups))
        seed = rng if isinstance(rng, (int, np.integer)) else -1
        return AnnData(x, obs=obs, var=self._var(), uns=self._provenance(n_cells=n_cells, rng=int(seed)))

    @checked(perturbations=TABLE)
    def predict_mean(self, perturbations: pd.DataFrame, *, features: Any = None) -> pd.DataFrame:
        """Mean expression under any perturbations, without drawing cells where there is a closed form.

        Parameters
        ----------
        perturbations
            See :meth:`predict`. Left-out covariates are averaged over, in the proportions of the training cells.
        features
            See :meth:`predict`.

        Returns
        -------
        Rows of `perturbations` x genes, with the index of `perturbations`.

        Raises
        ------
        RuntimeError, KeyError, TypeError, ValueError
            See :meth:`predict`.

        Examples
        --------
        >>> model.predict_mean(pd.DataFrame({"drug": ["drug_1"], "dose": [1.25]}))
        """
        predictor, request, components = self._prepare(perturbations, features)
        return pd.DataFrame(
            predictor.mean(request, components), index=perturbations.index, columns=pd.Index(predictor.data.genes)
        )

    @checked(perturbations=TABLE, path=PATH, n_cells=count(), rng=SEED)
    def predict_to_disk(
        self,
        perturbations: pd.DataFrame,
        path: str | Path,
        *,
        features: Any = None,
        n_cells: int = 100,
        rng: int | np.random.Generator | None = 0,
    ) -> None:
        """The cells of :meth:`predict`, written to an ``.h5ad`` or ``.zarr`` store in blocks, so that memory stays flat.

        Parameters
        ----------
        perturbations, features, n_cells, rng
            See :meth:`predict`, whose cells are the same for the same seed.
        path
            New store; its ending chooses the format.

        Raises
        ------
        FileExistsError
            There is something at `path`.
        ValueError
            The ending is neither ``.h5ad`` nor ``.zarr``.
        RuntimeError, KeyError, TypeError
            See :meth:`predict`.

        Examples
        --------
        >>> model.predict_to_disk(screen, "predicted.h5ad", n_cells=1000)
        """
        path, n_cells = Path(path), int(n_cells)
        if path.suffix not in (".h5ad", ".zarr"):
            raise ValueError(f"path: expected an ending of .h5ad or .zarr, found {path.name!r}.")
        if path.exists():
            raise ExistsError(f"path: {path} exists; choose another, or remove it first.")
        predictor, request, components = self._prepare(perturbations, features)
        blocks = predictor.sample(request, components, n_cells, np.random.default_rng(rng))
        seed = rng if isinstance(rng, (int, np.integer)) else -1
        check_room(path.parent, 4 * n_cells * len(request.table) * predictor.n_genes)
        with beside(path) as stage:
            write_stream(
                stage,
                (n_cells * len(request.table), predictor.n_genes),
                blocks,
                lambda row, group: labels(request, predictor.data, row, group),
                self._var(),
                self._provenance(n_cells=n_cells, rng=int(seed)),
            )

    @checked(adata=DATA, perturbations=TABLE, rng=SEED)
    def counterfactual(
        self,
        adata: Any,
        perturbations: pd.DataFrame,
        *,
        features: Any = None,
        rng: int | np.random.Generator | None = 0,
    ) -> AnnData:
        """The given cells, had they been under another perturbation: abduction, action, prediction.

        The noise of each cell is what its mechanisms leave unexplained under the perturbation that it had; it is kept,
        the intervention is replaced, and expression follows along the graph. Interventions are posterior means. Counts whose
        rate falls are thinned, those whose rate rises gain what the posterior of their rate expects; zeros of
        zero-inflated values come and go with their probability. Not from the paper.

        Parameters
        ----------
        adata
            Cells with the genes, layer and columns that were registered; need not be set up.
        perturbations
            One row for all cells, or one row for each. Covariates are those of the cells.
        features
            See :meth:`predict`.
        rng
            Seed or generator, of counts and zeros; not used under gaussian noise.

        Returns
        -------
        AnnData of the same cells; ``.obs`` holds the registered columns of the new perturbation.

        Raises
        ------
        ValueError
            The cells were under a hard intervention, which hides the noise of its targets; or numbers of rows differ.
        RuntimeError, KeyError, TypeError
            See :meth:`predict`.

        Examples
        --------
        >>> model.counterfactual(
        ...     adata[adata.obs["drug"] == "control"], pd.DataFrame({"drug": ["drug_1"], "dose": [2.0]})
        ... )
        """
        x, request, group = counterfactual_cells(
            self._predictor(),  # type: ignore[attr-defined]
            self.adjustment_,  # type: ignore[attr-defined]
            adata,
            perturbations,
            features,
            np.random.default_rng(rng),
        )
        row = np.arange(len(x)) if len(request.table) == len(x) else np.zeros(len(x), int)
        obs = labels(request, self.study, row, group).set_index(adata.obs_names)  # type: ignore[attr-defined]
        return AnnData(x.astype(np.float32), obs=obs, var=self._var(), uns=self._provenance(counterfactual=True))

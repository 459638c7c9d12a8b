"""Questions that no drug answers: what if these genes were set, shifted, scaled or knocked out? (layer `model`; not from the paper)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData

from scgim._checks import DATA, NAMES, POPULATION, SEED, checked, count, or_none
from scgim._core.kinds.base import Moved
from scgim._core.kinds.cells import mean_cells
from scgim.model._asking.answer import Answer, DrawnAnswer, GivenAnswer
from scgim.model._asking.operation import Asked
from scgim.model._asking.population import ask_for, choose_cells, describe, read_cells

if TYPE_CHECKING:
    from scgim.model._prediction.predictor import Predictor

DRAWN_CELLS = 1000
"""Cells that are drawn where no number is named."""
Numbers = Mapping[str, float]
Population = str | Mapping[str, Any] | np.ndarray | pd.Series


class InterveneMixin:
    """Interventions on genes and regulators with a trained :class:`scgim.model.GIM`."""

    @checked(
        adata=or_none(DATA), knockout=or_none(NAMES), population=or_none(POPULATION), n_cells=or_none(count()), rng=SEED
    )
    def intervene(
        self,
        adata: Any = None,
        *,
        set: Numbers | None = None,
        shift: Numbers | None = None,
        scale: Numbers | None = None,
        knockout: str | Iterable[str] | None = None,
        regulators: Numbers | None = None,
        population: Population | None = None,
        n_cells: int | None = None,
        rng: int | np.random.Generator | None = 0,
    ) -> AnnData:
        """Cells whose genes are set, shifted, scaled or knocked out, see :func:`scgim.tl.intervene`.

        Parameters
        ----------
        adata, set, shift, scale, knockout, regulators, population, n_cells, rng
            See :func:`scgim.tl.intervene`.

        Returns
        -------
        AnnData, see :func:`scgim.tl.intervene`.

        Raises
        ------
        RuntimeError, KeyError, TypeError, ValueError
            See :func:`scgim.tl.intervene`.

        Examples
        --------
        >>> model.intervene(knockout="STAT1")
        """
        rng = np.random.default_rng(rng)
        asked, answer, who = self._answer(adata, (set, shift, scale, knockout, regulators), population, n_cells, rng)
        x, obs = answer.cells(DRAWN_CELLS if n_cells is None else n_cells, rng)
        obs = obs.assign(
            scgim_intervention=pd.Categorical([asked.text] * len(x)), scgim_population=pd.Categorical([who] * len(x))
        )
        var = self._var().join(_table(answer, self.study.genes, rng))  # type: ignore[attr-defined]
        uns = self._provenance(intervened=asked.text, population=who)  # type: ignore[attr-defined]
        return AnnData(x.astype(np.float32), obs=obs, var=var, uns=uns)

    @checked(adata=or_none(DATA), knockout=or_none(NAMES), population=or_none(POPULATION), rng=SEED)
    def intervene_mean(
        self,
        adata: Any = None,
        *,
        set: Numbers | None = None,
        shift: Numbers | None = None,
        scale: Numbers | None = None,
        knockout: str | Iterable[str] | None = None,
        regulators: Numbers | None = None,
        population: Population | None = None,
        rng: int | np.random.Generator | None = 0,
    ) -> pd.DataFrame:
        """Mean changes where genes are set, shifted, scaled or knocked out, without drawing cells.

        Parameters
        ----------
        adata, set, shift, scale, knockout, regulators, population, rng
            See :func:`scgim.tl.intervene`.

        Returns
        -------
        One row a gene: `mean_before`, `mean_after`, `change` and `change_sd`, as in ``.var`` of :func:`scgim.tl.intervene`.

        Raises
        ------
        RuntimeError, KeyError, TypeError, ValueError
            See :func:`scgim.tl.intervene`.

        Examples
        --------
        >>> model.intervene_mean(knockout="STAT1").sort_values("change")
        """
        rng = np.random.default_rng(rng)
        _, answer, _ = self._answer(adata, (set, shift, scale, knockout, regulators), population, None, rng)
        return _table(answer, self.study.genes, rng)  # type: ignore[attr-defined]

    def _answer(
        self,
        adata: Any,
        asked_for: tuple[Any, Any, Any, Any, Any],
        population: Any,
        n_cells: int | None,
        rng: np.random.Generator,
    ) -> tuple[Asked, Answer, str]:
        """What is asked, the answer, and the population in words."""
        predictor: Predictor = self._predictor()  # type: ignore[attr-defined]
        data, adjustment = predictor.data, self.adjustment_  # type: ignore[attr-defined]
        set_, shift, scale, knockout, regulators = asked_for
        fit, known = predictor.fit, predictor.fit.regulators.network.names
        asked = Asked.read(set_, shift, scale, knockout, data.genes, regulators=regulators, known=known)
        operation = asked.operation(data.genes, predictor.observation, data.smallest, lambda: control_mean(predictor))
        operation = asked.regulated(operation, known, fit.regulated) if asked.regulators else operation
        absent = asked.absent(data.genes)
        if adata is None and (population is None or isinstance(population, Mapping)):
            request = ask_for(population, predictor, adjustment)
            components = predictor.components(request, None)
            drawn = DrawnAnswer(predictor, request, components, operation, absent)
            return asked, drawn, describe(population, 0, given=False)
        if adata is None:
            adata = self.adata  # type: ignore[attr-defined]
            if adata is None:
                raise ValueError(
                    "adata: the model was loaded without data; pass the cells that population describes as adata."
                )
        chosen = choose_cells(adata, population, data.spec)
        if n_cells is not None:
            chosen = _some(chosen, n_cells, rng)
        given = read_cells(predictor, adjustment, adata, chosen)
        components = predictor.components(given.request, None)
        who = describe(population, len(given.x), given=True)
        return asked, GivenAnswer(predictor, given, components, operation, absent, rng), who


def _some(chosen: np.ndarray, n_cells: int, rng: np.random.Generator) -> np.ndarray:
    """As many of the chosen cells ``(N,)`` bool, at random."""
    at = np.flatnonzero(chosen)
    if n_cells > len(at):
        raise ValueError(f"n_cells: expected at most the {len(at)} cells of the population, found {n_cells}.")
    return np.isin(np.arange(len(chosen)), rng.permutation(at)[:n_cells])


def control_mean(predictor: Predictor) -> np.ndarray:
    """Mean ``(G,)`` of the causal layer in control cells, over baseline groups by their cells."""
    design, mechanisms = predictor.data.design, predictor.fit.mechanisms
    n_groups = len(design.group_names)
    size = np.bincount(design.group, weights=design.n_cells, minlength=n_groups)
    mean = mean_cells(mechanisms, Moved.nothing(n_groups, predictor.n_genes), np.arange(n_groups))
    return np.asarray(size @ mean / size.sum())


def _table(answer: Answer, genes: list[str], rng: np.random.Generator) -> pd.DataFrame:
    """Means and changes of the genes."""
    before, after = answer.means()
    columns = {"mean_before": before, "mean_after": after, "change": after - before, "change_sd": answer.error(rng)}
    return pd.DataFrame(columns, index=pd.Index(genes, dtype=str))

"""Interventions of new drugs from their features (layer `_core`; not from the paper).

:class:`FeatureModel` learns a backward map (features generated from sparse interventions), a forward map (kernel
regression) and the population of interventions, and weighs them by cross-validation over drugs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import chi2

from scgim._core.effects import Effects
from scgim._core.features.backward import Beliefs
from scgim._core.features.backward_map import BackwardMap, learn_backward
from scgim._core.features.choose import Choice, Propagate, calibrate_effects, calibrate_targets, choose, soften
from scgim._core.features.forward import ForwardMap, learn_forward
from scgim._core.features.prior import PopulationPrior
from scgim._core.features.rows import Description, Reader, Rows
from scgim._core.features.validate import Table, TrainingDrugs, cross_validate, read_rows, repeat
from scgim._core.mechanisms.total import total_effects
from scgim._core.posterior.effects.curves import DoseCurves
from scgim._core.posterior.effects.hill import hill
from scgim._core.state import savable
from scgim._warnings import warn_user

FEWEST_DRUGS = 4  # from which maps are learned
HOLDS = 1.3  # inflation of errors up to which a map holds as well as it claims
SMALLEST_SD = 1e-6  # of effects
UNLIKELY = 0.01  # p value at which features contradict a drug's cells
MOST_APART = 0.1  # share of drugs for which they may

WARNING = (
    "features: they do not predict the interventions of held-out drugs (cross-validated error {chosen:.3g}, against "
    "{none:.3g} without features). New drugs are given the training drugs' average intervention; check that the features "
    "describe the drugs, or add drugs."
)
UNTESTED = (
    "features: there are too few drugs with features to test whether these predict the interventions. New drugs are given the "
    "training drugs' average intervention; add drugs."
)


@savable
@dataclass(frozen=True)
class FeatureModel:
    """Map from features to interventions, chosen by cross-validation over drugs."""

    rows_are: str  # "drug", "context" or "none": what a row of features describes
    n_features: int  # number Q of features
    has_dose: bool  # whether effects depend on the dose
    readers: list[Reader]  # how the columns of each block are read
    # the maps; None where one could not be learned
    prior: PopulationPrior
    backward: BackwardMap | None
    forward: ForwardMap | None
    choice: Choice  # weights of the maps, errors, and whether the features are informative
    # calibration of the effects' standard deviations of the backward and the forward map, and of target probabilities
    sd_factor: float = 1.0
    forward_sd_factor: float = 1.0
    temperature: float = 1.0
    # training drugs' interventions given the cells and the features, (D, G) arrays; None unless the backward map is
    # chosen, explains held-out drugs as well as it claims, and contradicts the cells of few drugs
    known: Effects | None = None

    @property
    def score(self) -> dict[str, float]:
        """Cross-validated mean error of each map, of no change ("control") and of the choice ("chosen")."""
        return self.choice.score

    @property
    def informative(self) -> bool:
        """Whether the features predict interventions better than the population does."""
        return self.choice.informative

    @property
    def warning(self) -> str | None:
        """What to tell the user if the features are not informative."""
        if self.informative or self.rows_are == "none":
            return None
        tried = [e for name, e in self.score.items() if name not in ("none", "control", "chosen") and np.isfinite(e)]
        if not tried:
            return UNTESTED
        return WARNING.format(chosen=min(tried), none=self.score["none"])

    @classmethod
    def fit(
        cls,
        fit: Any,
        design: Any,
        features: np.ndarray | None,
        *,
        propagate: Propagate | None = None,
        rows_are: str | None = None,
        rng: int | np.random.Generator = 0,
        warn: bool = True,
    ) -> FeatureModel:
        """Learn the maps and choose among them.

        Parameters
        ----------
        fit
            Fitted interventions: `of_drug` (D, G), `curves` of the D drugs, and, where `propagate` is not given,
            `mechanisms` with `weights()`.
        design
            Design of the K contexts: `dose` (K, D), `has_dose`.
        features
            (D, Q) by drug, (K, Q) by context (rows of controls are not read), or None.
        propagate
            Mean change of all genes under shifts (n, G), whose error is the criterion of the choice. By default linear
            propagation along the fitted graph.
        rows_are
            "drug" or "context", needed only if D equals K.
        rng
            Seed or generator.
        warn
            Whether to warn if the features do not predict the interventions.

        Raises
        ------
        ValueError
            If the shape of `features` fits neither drugs nor contexts, or values are not finite.
        """
        features = None if features is None else np.asarray(features, float)
        rows_are = _rows_are(features, rows_are, np.shape(design.dose))
        has_dose = bool(getattr(design, "has_dose", True))
        single = _Singles.of(fit.curves, np.asarray(design.dose, float), has_dose=has_dose)
        table = _table(features, rows_are, single, fit.acting.expected)
        readers, rows, x = table.read(np.arange(len(single.n_contexts)))
        model = _learn(
            cls,
            _training(fit, single, rows, x),
            [single.factor[single.drug == d] if n else np.ones(1) for d, n in enumerate(single.n_contexts)],
            _default_propagate(fit) if propagate is None else propagate,
            np.random.default_rng(rng),
            usable=bool(readers),
            again=table if any(reader.bend is not None for reader in readers) else None,
        )
        model = replace(
            model,
            rows_are=rows_are,
            n_features=0 if features is None else features.shape[1],
            has_dose=has_dose,
            readers=readers,
        )
        if warn and model.warning is not None:
            warn_user(model.warning)
        return model

    def decode(
        self, features_new: np.ndarray | None, dose_new: np.ndarray, drug_ids_new: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Interventions of new contexts.

        Parameters
        ----------
        features_new
            (m, Q), one row a context, or None where the model has none.
        dose_new
            (m,) dose; not read without doses.
        drug_ids_new
            (m,) labels; rows with the same one are the same drug and share its targets.

        Returns
        -------
        Target probability, effect given target and its standard deviation, (m, G) each.
        """
        posterior, position = self.decode_drugs(features_new, dose_new, drug_ids_new)
        amplitude, sd = posterior.mean[position], posterior.sd[position]
        factor, spread = self._factor(np.asarray(dose_new, float))
        on = (factor > 0)[:, None]
        variance = factor[:, None] ** 2 * sd**2 + spread[:, None] ** 2 * (amplitude**2 + sd**2)
        return posterior.probability[position] * on, factor[:, None] * amplitude, np.sqrt(variance)

    def fraction(self, dose: np.ndarray) -> np.ndarray:
        """Expected fraction of the full effect of a new drug at doses ``(m,)``."""
        return self._factor(np.asarray(dose, float))[0]

    def decode_drugs(
        self, features: np.ndarray | None, dose: np.ndarray | None = None, drug: np.ndarray | None = None
    ) -> tuple[Effects, np.ndarray]:
        """Saturating interventions of new drugs.

        Parameters
        ----------
        features
            (n, Q), rows of drugs or of contexts as in :meth:`fit`.
        dose
            (n,) doses of contexts.
        drug
            (n,) labels; by default every row is a drug of its own.

        Returns
        -------
        Posterior of the distinct drugs in the order of their first rows, and (n,) the position of each row's drug in it.
        """
        n = next((len(given) for given in (features, drug, dose) if given is not None), 0)
        position, n_drugs = _positions(np.arange(n) if drug is None else np.asarray(drug))
        if self.rows_are == "none" or not self.informative:
            return self._population(n_drugs), position
        factor = np.ones(n) if dose is None or self.rows_are == "drug" else self.fraction(dose)
        rows, x = read_rows(self.readers, self._checked(features), position, factor, n_drugs)
        parts = {"none": self._population(n_drugs)}
        if self.choice.weights.get("forward", 0) > 0 and self.forward is not None:
            smooth = self.forward(x, self.prior)
            parts["forward"] = replace(smooth, sd=smooth.sd * self.forward_sd_factor)
        if self.choice.weights.get("backward", 0) > 0 and self.backward is not None:
            found = self.backward.decode(rows, n_drugs, self.prior)
            usual = self.prior.second_moment**0.5  # no effect is less certain than if nothing was read
            parts["backward"] = Effects(
                soften(found.probability, self.temperature, self.prior.probability),
                found.mean,
                np.minimum(found.sd * self.sd_factor, np.maximum(found.sd, usual)),
            )
        weights = np.array([self.choice.weights[m] for m in parts])
        return Effects.mix(weights / weights.sum(), list(parts.values())), position

    def _checked(self, features: np.ndarray | None) -> np.ndarray:
        """Features of new drugs ``(n, Q)``; a ValueError where they do not fit."""
        if features is None:
            raise ValueError("features: needed for new drugs, found None; pass one row for each row of perturbations.")
        features = np.asarray(features, float)
        if features.ndim != 2 or features.shape[1] != self.n_features or not np.isfinite(features).all():
            raise ValueError(
                f"features: expected finite numbers of shape (n, {self.n_features}), found {features.shape}."
            )
        return features

    def _population(self, n_drugs: int) -> Effects:
        return repeat(self.prior, n_drugs, shrink=self.choice.shrink)

    def _factor(self, dose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self.prior.factor(dose) if self.has_dose else (np.ones(len(dose)), np.zeros(len(dose)))


def _positions(labels: np.ndarray) -> tuple[np.ndarray, int]:
    """Number of each row's label ``(n,)`` in the order of first rows, and how many there are."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(first))
    return rank[inverse.ravel()], len(first)


def _rows_are(features: np.ndarray | None, rows_are: str | None, shape: tuple[int, ...]) -> str:
    """Whether rows of features are drugs or contexts."""
    if features is None:
        return "none"
    n_contexts, n_drugs = shape
    fits = {"drug": n_drugs, "context": n_contexts}
    if features.ndim != 2 or not np.isfinite(features).all():
        raise ValueError(
            f"features: expected a table of finite numbers, found shape {features.shape} or missing values."
        )
    if rows_are is None:
        rows_are = "drug" if len(features) == n_drugs else "context"
    if rows_are not in fits or len(features) != fits[rows_are]:
        raise ValueError(
            f"features: expected {n_drugs} rows (drugs) or {n_contexts} rows (contexts), found {len(features)} with "
            f"rows_are={rows_are!r}."
        )
    return rows_are


class _Singles(NamedTuple):
    """Contexts with one drug, n of them."""

    context: np.ndarray  # (n,)
    drug: np.ndarray  # (n,)
    dose: np.ndarray  # (n,)
    factor: np.ndarray  # (n,) fraction of the full effect
    n_contexts: np.ndarray  # (D,) of each drug
    doses: np.ndarray | None  # measured; None without doses

    @classmethod
    def of(cls, curves: DoseCurves, dose: np.ndarray, *, has_dose: bool) -> _Singles:
        """From doses ``(K, D)``."""
        present = dose > 0
        context, drug = np.nonzero(present & (present.sum(1) == 1)[:, None])
        own = dose[context, drug]
        factor = hill(own, curves.ec50[drug], curves.hill[drug]) if has_dose else np.ones(len(drug))
        n_contexts = np.bincount(drug, minlength=dose.shape[1])
        return cls(context, drug, own, factor, n_contexts, np.unique(own) if has_dose else None)


def _table(features: np.ndarray | None, rows_are: str, single: _Singles, effects: np.ndarray) -> Table:
    """Features of the drugs, or of their contexts, beside expected effects ``(D, G)``."""
    if features is None:
        return Table([], np.zeros((0, 0)), np.zeros(0, int), np.zeros(0), effects)
    if rows_are == "drug":
        ones = np.ones(len(effects))
        return Table.of(features, rows_are, np.arange(len(effects)), 0 * ones, ones, effects)
    return Table.of(features[single.context], rows_are, single.drug, single.dose, single.factor, effects)


def _training(fit: Any, single: _Singles, rows: list[Rows], x: Description) -> TrainingDrugs:
    """What maps are learned from: features, and what drugs change in single genes."""
    acting, curves = fit.acting, fit.curves
    beliefs = Beliefs(acting.probability, acting.mean, np.maximum(acting.sd, SMALLEST_SD) ** 2)
    return TrainingDrugs(
        rows, x, beliefs, curves.ec50, curves.hill, curves.axes if curves.axes.any() else None, single.doses
    )


def _default_propagate(fit: Any) -> Propagate:
    """Linear propagation along the fitted graph."""
    mechanisms = getattr(fit, "mechanisms", None)
    n_genes = fit.of_drug.shape[1]
    weights = np.zeros((n_genes, n_genes)) if mechanisms is None else np.asarray(mechanisms.weights(), float)
    total = total_effects(weights)
    return lambda shift: shift @ total


def _learn(
    cls: type[FeatureModel],
    data: TrainingDrugs,
    contexts: list[np.ndarray],
    propagate: Propagate,
    rng: np.random.Generator,
    *,
    usable: bool,
    again: Table | None,
) -> FeatureModel:
    """Cross-validate, choose, calibrate, and learn on all drugs."""
    prior, on = data.prior(), data.beliefs.probability > 0.5
    usable = usable and len(on) >= FEWEST_DRUGS and bool(on.any())
    held = cross_validate(data, rng, usable=usable, again=again)
    choice = choose(
        {m: p.expected for m, p in held.posterior.items()}, data.shift, contexts, propagate, p_value=held.p_value
    )
    model = cls("none", 0, True, [], prior, None, None, choice)
    if not usable:
        return model
    backward, refined = learn_backward(data.rows, data.beliefs, rng)
    back, smooth, sd = held.posterior["backward"], held.posterior["forward"], np.sqrt(data.beliefs.variance)
    known = None
    if choice.weights["backward"] > 0.5 and held.inflation < HOLDS:
        known = corrected(data.beliefs, refined)
    return replace(
        model,
        backward=replace(backward, inflation=held.inflation),
        forward=learn_forward(data.x, data.beliefs.probability, data.shift, prior),
        sd_factor=calibrate_effects(back, data.beliefs.mean, sd, on),
        forward_sd_factor=calibrate_effects(smooth, data.beliefs.mean, sd, on, called=False),
        temperature=calibrate_targets(back.probability, data.beliefs.probability, prior.probability),
        known=known,
    )


def corrected(cells: Beliefs, both: Beliefs) -> Effects | None:
    """Interventions of the training drugs given the cells and the features; those of the cells where features contradict them.

    Where both are right, effects move by less than their standard errors: a posterior mean moves by the variance that it
    loses. Where mechanisms are wrong, effects as seen in cells make up for that at other doses, and true ones do not.
    """
    sure = np.minimum(cells.probability, both.probability)  # (D, G)
    on = sure > 0.5
    moved = np.where(on, (both.mean - cells.mean) ** 2 / cells.variance, 0).sum(1)
    apart = moved > chi2.isf(UNLIKELY, np.maximum(on.sum(1), 1))  # (D,)
    if apart.sum() > MOST_APART * on.any(1).sum():
        return None
    parts = ((cells.probability, sure), (cells.mean, both.mean), (cells.variance, both.variance))
    probability, mean, variance = (np.where(apart[:, None], *part) for part in parts)
    return Effects(probability, mean, np.sqrt(variance))

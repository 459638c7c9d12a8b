"""Interventions of new drugs from their features (layer `_core`; not from the paper).

:class:`FeatureModel` learns a backward map (features generated from sparse interventions), a forward map (kernel
regression) and the population of interventions, and weighs them by cross-validation over drugs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from scgim._core.effects import Effects
from scgim._core.features.backward import Beliefs
from scgim._core.features.backward_map import BackwardMap, learn_backward
from scgim._core.features.choose import Choice, Propagate, calibrate_effects, calibrate_targets, choose, soften
from scgim._core.features.forward import ForwardMap, learn_forward
from scgim._core.features.prior import PopulationPrior
from scgim._core.features.rows import Reader
from scgim._core.features.validate import Table, Training, cross_validate, read_rows, repeat
from scgim._core.mechanisms.total import total_effects
from scgim._core.posterior.hill import hill
from scgim._core.state import savable
from scgim._warnings import warn_user

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
    # chosen and explains held-out drugs as well as it claims
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
        rng = np.random.default_rng(rng)
        dose, has_dose = np.asarray(design.dose, float), bool(getattr(design, "has_dose", True))
        features = None if features is None else np.asarray(features, float)
        rows_are = _rows_are(features, rows_are, dose.shape)
        acting = fit.acting
        beliefs = Beliefs(acting.probability, acting.mean, np.maximum(acting.sd, 1e-6) ** 2)
        ec50, exponent = fit.curves.ec50, fit.curves.hill
        propagate = _default_propagate(fit) if propagate is None else propagate
        context, drug = np.nonzero((dose > 0) & ((dose > 0).sum(1) == 1)[:, None])
        factor = hill(dose[context, drug], ec50[drug], exponent[drug]) if has_dose else np.ones(len(drug))
        table = Table([], np.zeros((0, 0)), np.zeros(0, int), np.zeros(0), acting.expected)
        if features is not None and rows_are == "drug":
            ones = np.ones(len(ec50))
            table = Table.of(features, rows_are, np.arange(len(ec50)), 0 * ones, ones, acting.expected)
        elif features is not None:
            table = Table.of(features[context], rows_are, drug, dose[context, drug], factor, acting.expected)
        readers, rows, x = table.read(np.arange(len(ec50)))
        axes = fit.curves.axes if fit.curves.axes.any() else None
        doses = np.unique(dose[context, drug]) if has_dose else None
        data = Training(rows, x, beliefs, ec50, exponent, axes, doses)
        contexts = [factor[drug == d] if (drug == d).any() else np.ones(1) for d in range(len(ec50))]
        usable = bool(readers) and len(ec50) >= 4 and bool((beliefs.probability > 0.5).any())
        again = table if any(reader.bend is not None for reader in readers) else None
        model = _learn(cls, data, contexts, propagate, rng, usable=usable, again=again)
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
        n = (
            len(features)
            if features is not None
            else len(drug if drug is not None else dose if dose is not None else [])
        )
        labels = np.arange(n) if drug is None else np.asarray(drug)
        _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
        rank = np.argsort(np.argsort(first))
        position, n_drugs = rank[inverse.ravel()], len(first)
        if self.rows_are == "none" or not self.informative:
            return self._population(n_drugs), position
        if features is None:
            raise ValueError("features: needed for new drugs, found None; pass one row for each row of perturbations.")
        features = np.asarray(features, float)
        if features.ndim != 2 or features.shape[1] != self.n_features or not np.isfinite(features).all():
            raise ValueError(
                f"features: expected finite numbers of shape (n, {self.n_features}), found {features.shape}."
            )
        factor = np.ones(n) if dose is None or self.rows_are == "drug" else self._factor(np.asarray(dose, float))[0]
        rows, x = read_rows(self.readers, features, position, factor, n_drugs)
        parts = {"none": self._population(n_drugs)}
        if self.choice.weights.get("forward", 0) > 0 and self.forward is not None:
            smooth = self.forward(x, self.prior)
            parts["forward"] = replace(smooth, sd=smooth.sd * self.forward_sd_factor)
        if self.choice.weights.get("backward", 0) > 0 and self.backward is not None:
            found = self.backward.decode(rows, n_drugs, self.prior)
            parts["backward"] = Effects(
                soften(found.probability, self.temperature, self.prior.probability),
                found.mean,
                found.sd * self.sd_factor,
            )
        weights = np.array([self.choice.weights[m] for m in parts])
        return Effects.mix(weights / weights.sum(), list(parts.values())), position

    def _population(self, n_drugs: int) -> Effects:
        return repeat(self.prior, n_drugs, shrink=self.choice.shrink)

    def _factor(self, dose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self.prior.factor(dose) if self.has_dose else (np.ones(len(dose)), np.zeros(len(dose)))


def _rows_are(features: np.ndarray | None, rows_are: str | None, shape: tuple[int, int]) -> str:
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


def _default_propagate(fit: Any) -> Propagate:
    mechanisms = getattr(fit, "mechanisms", None)
    n_genes = fit.of_drug.shape[1]
    weights = np.zeros((n_genes, n_genes)) if mechanisms is None else np.asarray(mechanisms.weights(), float)
    total = total_effects(weights)
    return lambda shift: shift @ total


def _learn(
    cls: type[FeatureModel],
    data: Training,
    contexts: list[np.ndarray],
    propagate: Propagate,
    rng: np.random.Generator,
    *,
    usable: bool,
    again: Table | None,
) -> FeatureModel:
    """Cross-validate, choose, calibrate, and learn on all drugs."""
    prior = data.prior()
    held = cross_validate(data, rng, usable=usable, again=again)
    on = data.beliefs.probability > 0.5
    choice = choose(
        {m: p.expected for m, p in held.posterior.items()}, data.shift, contexts, propagate, p_value=held.p_value
    )
    model = cls("none", 0, True, [], prior, None, None, choice)
    if not usable:
        return model
    backward, refined = learn_backward(data.rows, data.beliefs, rng)
    back, smooth, sd = held.posterior["backward"], held.posterior["forward"], np.sqrt(data.beliefs.variance)
    known = None
    if choice.weights["backward"] > 0.5 and held.inflation < 1.3:  # the map holds as well as it claims
        sure = np.minimum(data.beliefs.probability, refined.probability)
        known = Effects(sure, refined.mean, np.sqrt(refined.variance))
    return replace(
        model,
        backward=replace(backward, inflation=held.inflation),
        forward=learn_forward(data.x, data.beliefs.probability, data.shift, prior),
        sd_factor=calibrate_effects(back, data.beliefs.mean, sd, on),
        forward_sd_factor=calibrate_effects(smooth, data.beliefs.mean, sd, on, called=False),
        temperature=calibrate_targets(back.probability, data.beliefs.probability, prior.probability),
        known=known,
    )

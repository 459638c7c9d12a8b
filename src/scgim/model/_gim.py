"""The model class: registration, the two stages of training, and what follows from them (layer `model`)."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scvi.model.base import BaseModelClass
from threadpoolctl import threadpool_limits

from scgim._checks import DATA, FUNCTION, MAPPING, checked, or_none
from scgim._core.fit import Fit
from scgim._core.learn.base import learns_from_moments
from scgim._core.observation import from_state, to_state
from scgim._core.settings import Settings
from scgim._core.structure.watch import INTERRUPT, Progress
from scgim._options import (
    CHOICE_CHECKS,
    TRAINING_CHECKS,
    Devices,
    InterventionName,
    MechanismName,
    NoiseName,
    StructureName,
    documented,
)
from scgim.model._asking.experiments import ExperimentsMixin
from scgim.model._asking.intervene import InterveneMixin
from scgim.model._asking.suggest import SuggestMixin
from scgim.model._loading.splitter import GIMDataSplitter
from scgim.model._module.module import GIMModule
from scgim.model._module.options import TrainOptions, check_by_signature, module_parameters, parameters, refuse_unknown
from scgim.model._module.plan import GIMTrainingPlan
from scgim.model._prediction.feature_map import fit_feature_model
from scgim.model._prediction.forecast import ForecastMixin
from scgim.model._prediction.mixed import say_weights
from scgim.model._prediction.predictor import Predictor
from scgim.model._prediction.results import ResultsMixin
from scgim.model._published.fit import fit_published
from scgim.model._published.learner import Published
from scgim.model._published.plan import PublishedPlan
from scgim.model._reading.cells import Adjustment, Cells, fit_adjustment
from scgim.model._reading.keys import CONTEXT_KEY, SIZE_FACTOR_KEY
from scgim.model._saving.refit import RefitMixin, as_kept
from scgim.model._saving.save import SaveMixin
from scgim.model._study.knowledge import Knowledge, normalise_graph_prior, normalise_known_targets
from scgim.model._study.levels import level_names, with_levels
from scgim.model._study.observation import check_values
from scgim.model._study.regulators import check_penetrance, check_regulators, network_of, normalise_regulators
from scgim.model._study.screen import Screen
from scgim.model._study.setup import SetupMixin, check_set_up
from scgim.model._study.study import CONTINUOUS_KEY, Study
from scgim.model._training.choices import as_saved, read_candidates
from scgim.model._training.history import merge_history, table
from scgim.model._training.limits import check_checkpoint, check_timeout
from scgim.model._training.refine import refine, seeded_torch
from scgim.model._training.search import MomentSearch

if TYPE_CHECKING:
    from anndata import AnnData

    from scgim._core.design import Design
    from scgim._core.features import FeatureModel
    from scgim.model._published.maps import AmortisedMaps


class NotTrainedError(RuntimeError, AttributeError, ValueError):
    """A result was asked for before training; also an AttributeError, so that objects can be listed and saved."""


@documented
class GIM(
    SaveMixin,
    SetupMixin,
    ResultsMixin,
    ForecastMixin,
    InterveneMixin,
    SuggestMixin,
    ExperimentsMixin,
    RefitMixin,
    BaseModelClass,
):
    """Generative Intervention Model :cite:p:`schneider2025`: where drugs act on a causal graph, and what follows.

    Parameters
    ----------
    adata
        Data set up with :meth:`setup_anndata` or :meth:`setup_mudata`.
    registry
        Registry of a saved model, in place of data; used by :meth:`load`.
    %(choices)s
    **module_kwargs
        Settings of the torch module.

    Raises
    ------
    ValueError, TypeError, KeyError
        An argument is out of range, or the data do not fit `noise`.

    Examples
    --------
    >>> scgim.model.GIM.setup_anndata(adata, perturbation_key="drug", dose_key="dose", control="control")
    >>> model = scgim.model.GIM(adata)
    >>> model.train()
    >>> model.get_targets()
    """

    _module_cls = GIMModule
    _training_plan_cls = GIMTrainingPlan
    _data_splitter_cls = GIMDataSplitter

    @checked(adata=or_none(DATA), registry=or_none(MAPPING), **CHOICE_CHECKS)
    def __init__(
        self,
        adata: AnnData | None = None,
        registry: dict | None = None,
        *,
        mechanism: MechanismName = "linear",
        intervention: InterventionName | None = None,
        noise: NoiseName = "gaussian",
        structure: StructureName = "search",
        graph_prior: Any = None,
        known_targets: Any = None,
        regulators: Any = None,
        n_ensemble: int = 0,
        effects_by: str | None = None,
        weigh_baselines: bool = True,
        penetrance: bool = False,
        **module_kwargs: Any,
    ) -> None:
        refuse_unknown(module_kwargs, module_parameters(), also=parameters(GIM.__init__))
        check_by_signature(GIMModule.__init__, module_kwargs)
        if adata is not None:
            check_set_up(type(self), adata)
        super().__init__(adata, registry)
        data = self.study
        self._candidates = read_candidates(
            mechanism,
            intervention,
            noise,
            structure,
            effects_by=effects_by,
            n_ensemble=n_ensemble,
            graph_prior=graph_prior is not None,
            known_targets=known_targets is not None,
        )
        self._choices = self._candidates[0]
        # the arguments themselves: as they are now, they are saved with `init_params_`
        graph_prior = normalise_graph_prior(graph_prior, data.genes, adata)
        known_targets = normalise_known_targets(known_targets, self.drugs, data.genes)
        if regulators is not None:
            check_regulators(self._choices)
        regulators = normalise_regulators(regulators, data.genes)
        self.settings_ = self._named_settings(mechanism, weigh_baselines=weigh_baselines, penetrance=penetrance)
        if effects_by is not None:
            level_names(effects_by, data)
        if adata is not None:
            check_values(self._choices.observation, data)
        self._graph_prior, self._known_targets, self._network = graph_prior, known_targets, network_of(regulators)
        self._module_kwargs = module_kwargs
        self._begin()
        self.init_params_ = self._get_init_params(locals())

    def _named_settings(self, mechanism: str, *, weigh_baselines: bool, penetrance: bool) -> dict[str, Any]:
        """Names of what was chosen, as they are saved; those at their default were not saved before there were others."""
        named: dict[str, Any] = as_saved(self._choices) | {"mechanism": mechanism}
        if not weigh_baselines:
            named["weigh_baselines"] = False
        if penetrance:
            check_penetrance(self._choices)
            named["penetrance"] = True
        return named

    def _begin(self) -> None:
        """Everything that training changes, as it is before."""
        self.module = self._new_module()
        self.fit_: Fit | None = None
        self.adjustment_: Adjustment | None = None
        self.observation_: dict[str, Any] = to_state(self._choices.observation)
        self.feature_model_: FeatureModel | AmortisedMaps | None = None
        sizes = f"{len(self.genes)} genes, {len(self.study.table)} contexts of {len(self.drugs)} drugs"
        named = ", ".join(f"{key}: {value}" for key, value in self.settings_.items())
        self._model_summary_string = f"GIM with {sizes}; {named}"

    @property
    def study(self) -> Study:
        """What was registered, read from the registry."""
        cached = self.__dict__.get("_study")
        if cached is None or cached[0] is not self.registry_:
            cached = (self.registry_, Study.of(self.registry_))
            self.__dict__["_study"] = cached
        return cached[1]

    @property
    def genes(self) -> list[str]:
        """Names of the modelled genes."""
        return list(self.study.genes)

    @property
    def drugs(self) -> tuple[str, ...]:
        """Names of the drugs, without the control."""
        return self.study.design.drugs

    @property
    def design(self) -> Design:
        """Drugs and doses of the contexts, and the levels of the covariate by which effects differ."""
        return with_levels(self.study, self.settings_.get("effects_by"))

    @property
    def contexts(self) -> pd.DataFrame:
        """One row for each context, with the registered columns and `n_cells`."""
        return self.study.table.copy()

    @property
    def settings(self) -> dict[str, Any]:
        """Names of mechanism, intervention, noise and structure."""
        return dict(self.settings_)

    @property
    def fitted(self) -> Fit:
        """The fitted model; a RuntimeError before training."""
        if self.fit_ is None:
            raise NotTrainedError("model: not trained yet; run model.train() first.")
        return self.fit_

    @property
    def history(self) -> dict[str, pd.DataFrame] | None:
        """Objective of the search and metrics of the training, one DataFrame each."""
        if self.history_ is None:
            return None
        return {
            name: value if isinstance(value, pd.DataFrame) else table(value) for name, value in self.history_.items()
        }

    def _predictor(self) -> Predictor:
        observation = from_state(self.observation_)
        mixes = bool(self.settings_.get("weigh_baselines", True))
        return Predictor(self.fitted, self.study, self.feature_model_, observation, mixes)

    def cells(self) -> Cells:
        """The training cells, adjusted for continuous covariates, with their contexts; call the result for a pass over them."""
        if self.adata is None:
            raise ValueError("adata: the model was loaded without data; use GIM.load(dir_path, adata).")
        manager, data = self.adata_manager, self.study
        index = np.asarray(manager.get_from_registry(CONTEXT_KEY)).ravel().astype(np.int64)
        if not data.spec.continuous:
            return Cells(self.adata, data.spec, index)
        values = np.asarray(manager.get_from_registry(CONTINUOUS_KEY), dtype=float)
        cells = Cells(self.adata, data.spec, index, covariates=values)
        if self.adjustment_ is None:
            self.adjustment_ = fit_adjustment(cells, len(data.table))
        return replace(cells, adjustment=self.adjustment_)

    def _screen(self, cells: Cells) -> Screen:
        knowledge = Knowledge.of(self._graph_prior, self._known_targets, self.drugs, self.genes, self._network)
        return Screen(cells, self.design, tuple(self.genes), self.study.features, knowledge)

    @documented
    @checked(progress=or_none(FUNCTION), **TRAINING_CHECKS)
    def train(
        self,
        max_epochs: int | None = None,
        *,
        accelerator: str = "auto",
        devices: Devices = "auto",
        rng: int | np.random.Generator | None = 0,
        batch_size: int | None = None,
        train_size: float | None = None,
        balance: float | None = None,
        window: int | None = None,
        plan_kwargs: dict[str, Any] | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        timeout: float | None = None,
        progress: Progress | None = None,
        **trainer_kwargs: Any,
    ) -> None:
        """Learn the graph, mechanisms, targets and effects.

        First an exact search on moments of the cells (not for ``structure="gradient"``), then training of all parts
        together by Lightning, started from there.

        Parameters
        ----------
        %(training)s
        progress
            Called with the stage and its objective; where it has a method ``share(stage, done, total)``, that is told how
            much of a part whose length is known is done.
        **trainer_kwargs
            Of :class:`scvi.train.Trainer`, such as ``precision="bf16-mixed"`` or ``strategy="ddp"``.

        Warns
        -----
        UserWarning
            The search was ended by `timeout` or by Ctrl-C: the model is the best that was found until then, and is marked by
            ``model.fitted.settings["stopped"]``. A second Ctrl-C breaks off without a model.

        Raises
        ------
        TypeError
            A keyword is unknown; this is checked before anything is run.
        ValueError
            The model was loaded without data, or a setting of the minibatches is out of range.

        Examples
        --------
        >>> model.train(rng=0)
        """
        given, learner = dict(locals()), self._choices.learner
        options = TrainOptions.sort(
            GIMTrainingPlan if learner.searches else PublishedPlan,
            max_epochs,
            accelerator,
            devices,
            plan_kwargs,
            {"batch_size": batch_size, "train_size": train_size, "balance": balance, "window": window},
            trainer_kwargs,
            also=parameters(GIM.train),
        )
        check_timeout(timeout, self._choices)
        if checkpoint is not None:
            check_checkpoint(checkpoint, self._choices, max_epochs, rng, known=self._network is not None)
        rng = np.random.default_rng(rng)
        kept = as_kept(given | {"rng": rng})
        search_rng, train_rng, feature_rng = rng.spawn(3)
        self.adjustment_ = None
        screen = self._screen(self.cells())
        max_epochs = self._epochs_on_disk(screen.cells, options.max_epochs)
        options = replace(options, max_epochs=max_epochs, checkpoint=checkpoint)
        searched: list[dict[str, Any]] = []
        if learns_from_moments(learner):
            found = self._search(screen, progress, timeout, search_rng)
            searched = list(found.history)
            self.fit_ = self._refine(screen, found, options, train_rng, progress)
        else:
            with seeded_torch(train_rng):
                module = Published.module(self.study.features, **self._module_settings())
                self.fit_, self.feature_model_ = fit_published(screen, module, self, options, train_rng)
        trained: Any = self.history_
        self.history_: Any = merge_history(searched, trained)
        if learner.searches:  # the published estimator has trained its maps already
            with threadpool_limits(limits=1):
                self.feature_model_ = fit_feature_model(self.fitted, self.study, feature_rng)
        self.is_trained_, self.train_params_ = True, kept
        say_weights(self.fitted.settings if self.settings_.get("weigh_baselines", True) else {})

    def _search(
        self, screen: Screen, progress: Progress | None, timeout: float | None, rng: np.random.Generator
    ) -> Fit:
        """The fit from moments; what was chosen by evidence, and how cells are observed, is kept."""
        size = self.adata_manager.get_from_registry(SIZE_FACTOR_KEY) if self.study.spec.size_factor else None
        search = MomentSearch(screen, size, bool(self.settings_.get("penetrance")), progress, timeout)
        chosen, fit, observation = search.best(self._candidates, rng)
        self.observation_ = to_state(observation)
        if len(self._candidates) > 1:
            self._choose(chosen)
        return fit

    def _refine(
        self, screen: Screen, found: Fit, options: TrainOptions, rng: np.random.Generator, progress: Progress | None
    ) -> Fit:
        """The fit after training by minibatches, started from what the search has found; the same where that stands."""
        if found.settings.get("stopped") == INTERRUPT:  # who ends the search does not wish to train
            options = replace(options, max_epochs=0)
        is_known = self._network is not None  # of regulators, which no training by minibatches knows
        stands = self._choices.learner.exact or is_known or not self._choices.observation.direct
        with seeded_torch(rng):
            return refine(screen, found, self, options, rng, progress, stands=stands)

    def _choose(self, choices: Settings[Any]) -> None:
        """From now on, also in files, the mechanism is the one that was chosen by evidence."""
        self._choices, mechanism = choices, choices.mechanism.name
        self.settings_ |= {"mechanism": mechanism, "mechanism_by": "evidence"}
        given = self.init_params_["non_kwargs"]
        self.init_params_ = {**self.init_params_, "non_kwargs": {**given, "mechanism": mechanism}}
        self.module = self._new_module()

    def _new_module(self) -> GIMModule:
        """The module as it is before training; all shapes follow from what was registered and chosen."""
        learner = self._choices.learner
        if learner.searches:
            return GIMModule(**self._module_settings())
        return Published.module(self.study.features, **self._module_settings())

    def _module_settings(self) -> dict[str, Any]:
        named = self._choices.named()
        return {
            "n_genes": len(self.study.genes),
            "design": self.study.design,
            "mechanism": named["mechanism"],
            "intervention": named["intervention"],
            **self._module_kwargs,
        }

    def _epochs_on_disk(self, cells: Cells, max_epochs: int | None) -> int | None:
        """No second stage for expression on disk where the closed forms stand, unless it is asked for."""
        closed = self._choices.learner.searches and self._choices.mechanism.closed_form
        return 0 if max_epochs is None and closed and not cells.in_memory else max_epochs

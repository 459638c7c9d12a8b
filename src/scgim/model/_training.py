"""Second stage of a fit: the torch module trained by Lightning from the exact engine's start (layer `model`).

What `GIM` needs from here:

1. ``GIM._module_cls = GIMModule``, ``_training_plan_cls = GIMTrainingPlan``, ``_data_splitter_cls = GIMDataSplitter``.
2. In ``GIM.__init__``: ``self.module = GIMModule.from_design(n_genes, design, mechanism=..., intervention=...,
   noise=..., structure=..., **module_kwargs)``. All shapes follow from these arguments, so that ``load`` works; the
   context of each cell is registered under `CONTEXT_KEY` of ``_constants.py``.
3. In ``GIM.train``: ``fit = fit_search(...)`` and then
   ``fit = refine(self, fit, max_epochs=..., accelerator=..., devices=..., rng=..., plan_kwargs=..., **trainer_kwargs)``.
   `refine` runs scvi-tools' `TrainRunner`, so that ``self.history_``, ``self.is_trained_`` and ``self.trainer`` are set as
   in every scvi-tools model; it returns the refreshed `Fit` and never one that is worse on held-out cells.
   ``max_epochs=0`` skips training. For ``structure="gradient"`` pass ``fit=None``.
4. After ``load``: nothing; ``fit_`` holds plain arrays and prediction needs no module.
"""

"""`scvi.autotune` on Ray: what a trial asks of the model, and two trials where Ray is installed."""

import numpy as np
import pytest
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import CSVLogger

import systems
from scgim.model import GIM


@pytest.fixture
def cells():
    adata = systems.simulated(n_genes=4, n_drugs=4, n_control=120, n_cells=20, new_doses=(), features="noise")
    GIM.setup_anndata(adata, perturbation_key="drug", dose_key="dose", control="control")
    return adata


def test_a_trial_sees_the_loss_of_held_out_cells(cells, tmp_path):
    """A trial passes a logger and a callback of its own, and reads the metric from the trainer after each epoch."""

    class Read(Callback):
        seen = []

        def on_validation_end(self, trainer, plan):
            if not trainer.sanity_checking:
                self.seen.append(float(trainer.callback_metrics["validation_loss"]))

    read = Read()
    model = GIM(cells, mechanism="linear")
    model.train(
        max_epochs=2, accelerator="cpu", devices="auto", check_val_every_n_epoch=1, enable_progress_bar=False,
        logger=CSVLogger(tmp_path), callbacks=[read],
    )  # fmt: skip
    assert len(read.seen) == 2
    assert np.isfinite(read.seen).all()
    assert model.is_trained_


@pytest.mark.slow
def test_two_trials_on_ray(cells, tmp_path):
    ray = pytest.importorskip("ray")
    for name in ("hyperopt", "scib_metrics"):
        pytest.importorskip(name)
    from ray import tune
    from scvi import autotune

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        experiment = autotune.run_autotune(
            GIM,
            cells,
            metrics="validation_loss",
            mode="min",
            search_space={
                "model_params": {"mechanism": tune.grid_search(["linear", "additive"])},
                "train_params": {"max_epochs": 2, "plan_kwargs": {"lr": tune.loguniform(1e-4, 1e-3)}},
            },
            num_samples=1,
            scheduler="fifo",
            searcher="random",
            resources={"cpu": 1},
            seed=0,
            logging_dir=str(tmp_path),
            ignore_reinit_error=True,
        )
    finally:
        ray.shutdown()
    table = experiment.result_grid.get_dataframe()
    assert sorted(table["config/model_params/mechanism"]) == ["additive", "linear"]
    assert np.isfinite(table["validation_loss"]).all()
    assert experiment.result_grid.num_errors == 0

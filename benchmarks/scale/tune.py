"""Settings of neural mechanisms tuned by `scvi.autotune` on Ray; needs the extra `autotune`.

    python benchmarks/scale/tune.py                # three trials on 1,200 cells of 5 genes, two at a time
    python benchmarks/scale/tune.py --trials 20

Each trial sets up and trains a `GIM` in a process of its own, on one core, and is judged by the loss of held-out cells.
The table of all trials is printed, the best first.
"""

import argparse
import os
import tempfile
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

EPOCHS = 6


def tune_gim(trials: int, folder: str, seed: int = 0) -> Any:
    """Trials of width and learning rate, best first, as a DataFrame."""
    import ray
    from ray import tune
    from scvi import autotune

    import scgim

    adata = scgim.datasets.simulate(
        5,
        mechanism="neural",
        edges_per_gene=1.0,
        n_drugs=6,
        n_control=300,
        n_cells=30,
        new_doses=(),
        n_new_drugs=0,
        rng=seed,
    )
    scgim.model.GIM.setup_anndata(adata, perturbation_key="drug", dose_key="dose", control="control")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, ignore_reinit_error=True)
    try:
        experiment = autotune.run_autotune(
            scgim.model.GIM,
            adata,
            metrics="validation_loss",
            mode="min",
            search_space={
                "model_params": {"mechanism": "neural", "n_hidden": tune.choice([4, 16])},
                "train_params": {"max_epochs": EPOCHS, "plan_kwargs": {"lr": tune.loguniform(3e-4, 1e-2)}},
            },
            num_samples=trials,
            scheduler="asha",
            scheduler_kwargs={"max_t": EPOCHS, "grace_period": 2},
            searcher="random",
            resources={"cpu": 1},
            seed=seed,
            logging_dir=folder,
            ignore_reinit_error=True,
        )
    finally:
        ray.shutdown()
    table = experiment.result_grid.get_dataframe(filter_metric="validation_loss", filter_mode="min")
    columns = [
        "config/model_params/n_hidden",
        "config/train_params/plan_kwargs/lr",
        "training_iteration",
        "validation_loss",
    ]
    return (
        table[columns].rename(columns=lambda c: c.rsplit("/", 1)[-1]).sort_values("validation_loss", ignore_index=True)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(tune_gim(arguments.trials, folder, arguments.seed).to_string(index=False))


if __name__ == "__main__":
    main()

"""`scgim.datasets.simulate`: the synthetic systems of the published protocol, with the truth stored beside the cells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from scgim.datasets import _drugs
from scgim.datasets._graphs import causal_order, random_dag
from scgim.datasets._systems import System, random_system, sample
from scgim.datasets._truth import read_interventions

if TYPE_CHECKING:
    import anndata

CHUNK = 50_000  # cells drawn at a time


def simulate(
    n_genes: int = 20,
    *,
    graph: Literal["erdos_renyi", "scale_free"] | np.ndarray = "erdos_renyi",
    edges_per_gene: float = 2.0,
    mechanism: Literal["linear", "neural"] = "linear",
    intervention: Literal["shift", "hard", "activity"] = "shift",
    n_drugs: int = 40,
    doses: Sequence[float] = (0.5, 1.0, 1.5, 2.0),
    n_control: int = 800,
    n_cells: int = 50,
    new_doses: Sequence[float] = (0.25, 0.75, 1.25, 1.75, 2.25),
    n_new_drugs: int = 20,
    n_test_cells: int = 500,
    max_targets: int = 3,
    features: Literal["principal_components", "projection", "noise"] = "principal_components",
    n_features: int = 15,
    rng: int | np.random.Generator | None = 0,
) -> anndata.AnnData:
    """Simulate cells under drugs that modify a known causal system :cite:p:`schneider2025`.

    The defaults are the published protocol: 160 training contexts (40 drugs at 4 doses), 200 contexts of the same drugs at
    new doses, and 80 contexts of 20 new drugs. From the paper: the two families of graphs with 2 expected edges a gene,
    linear and neural mechanisms, the dose response ``lambda / (1 + (0.75 / dose)**4)`` with ``|lambda| ~ U(2, 6)`` at each
    target, the numbers of drugs, doses and training cells, and features that are the first 15 principal components of the
    true intervention parameters.

    Not from the paper, which does not state them: coefficients ``|w| ~ U(0.5, 1.5)`` with random sign, incoming ones
    rescaled so that the parents of a gene contribute a variance of 2 (neural: 1) in control cells; baselines
    ``U(-1, 1)``; log noise scale ``U(-0.7, 0.3)``, where genes without parents also get the variance that parents would
    have brought, so that no order can be read from the variances; hubs of scale-free graphs are causes; a neural mechanism
    is one network of 10 tanh units, standardised on control cells, drawn again while a parent hardly matters; 1 to 3
    targets a drug; 500 cells a test context; hard and activity interventions; ``projection`` and ``noise`` features.

    Parameters
    ----------
    n_genes
        Number of genes G.
    graph
        Family of random graphs, or a given acyclic graph, (G, G), where ``graph[i, j] != 0`` means that i acts on j.
    edges_per_gene
        Expected number of edges divided by G.
    mechanism
        Linear, or one small network a gene.
    intervention
        What drugs do to their targets: ``"shift"`` adds to the mechanism; ``"hard"`` replaces its mean, cutting the parents
        and keeping the noise; ``"activity"`` multiplies what the children see by ``1 + effect``, with effects at saturation
        between -1 and -0.5.
    n_drugs
        Number of training drugs.
    doses
        Doses of training drugs and of new drugs.
    n_control
        Number of control cells.
    n_cells
        Cells in each training context.
    new_doses
        Doses at which the training drugs are tested; may be empty.
    n_new_drugs
        Number of drugs in test contexts only.
    n_test_cells
        Cells in each test context.
    max_targets
        Largest number of targets of a drug.
    features
        What is known of a perturbation. ``"principal_components"``: of (I, psi) of the contexts, fitted on the perturbed
        training contexts, one row a cell in ``.obsm["features"]``. ``"projection"``: a random projection of each drug's
        effects at saturation, one row a drug in ``.uns["features"]``; the dose enters apart. ``"noise"``: as
        ``"projection"``, but independent of the effects.
    n_features
        Number Q of features. There are fewer principal components if the training contexts span fewer dimensions.
    rng
        Seed or generator.

    Returns
    -------
    AnnData of cells x genes with

    `.X` : float32
        Expression, on the scale of the system.
    `.obs["drug"]`, `.obs["dose"]`, `.obs["split"]`
        Drug (``"control"`` without drug), dose (0 for control), and ``"train"``, ``"new_dose"`` or ``"new_drug"``.
    `.obsm["features"]` or `.uns["features"]`
        See `features`.
    `.uns["truth"]` : dict
        ``graph`` (G, G) bool, ``weights`` (G, G; average slopes in control cells if neural), ``order``, ``noise_sd`` (G),
        ``baseline`` (C, G), ``network`` (neural only); ``drugs`` (D), ``drug_effect`` (D, G) at saturation, ``ec50`` and
        ``hill`` (D); ``contexts``, a table of K rows, and in its order ``targets`` (K, G) bool and ``effects`` (K, G); the
        settings. The context of each cell is in ``.obs["context"]`` (row of the table).

    Raises
    ------
    ValueError
        If an argument is outside its range, naming it.

    Examples
    --------
    >>> import scgim
    >>> adata = scgim.datasets.simulate(n_genes=5, edges_per_gene=1, n_drugs=3, n_new_drugs=1, n_test_cells=10)
    >>> train = adata[adata.obs["split"] == "train"].copy()
    """
    settings = dict(locals())
    _check(settings)
    streams = dict(
        zip(("graph", "system", "drugs", "features", "cells"), np.random.default_rng(rng).spawn(5), strict=True)
    )
    if isinstance(graph, str):
        structure, order = random_dag(graph, n_genes, edges_per_gene, streams["graph"])
    else:
        structure = np.asarray(graph) != 0
        order = causal_order(structure)
    system = random_system(structure, order, mechanism, np.zeros((1, n_genes)), streams["system"])
    effect = _drugs.random_drugs(n_drugs + n_new_drugs, structure, intervention, max_targets, streams["drugs"])
    contexts, amount = _plan(settings)
    truth = _truth(settings, system, effect, contexts, amount)
    return _assemble(settings, system, truth, streams)


def _check(settings: dict[str, Any]) -> None:
    """Refuse arguments outside their range, before anything is drawn."""
    choices = {
        "mechanism": ("linear", "neural"),
        "intervention": ("shift", "hard", "activity"),
        "features": ("principal_components", "projection", "noise"),
    }
    for name, allowed in choices.items():
        if settings[name] not in allowed:
            raise ValueError(f"{name} must be one of {list(allowed)}, found {settings[name]!r}.")
    least = {
        "n_genes": 1,
        "n_drugs": 1,
        "n_control": 2,
        "n_cells": 1,
        "n_new_drugs": 0,
        "n_test_cells": 1,
        "n_features": 1,
    }
    for name, low in least.items():
        if settings[name] < low:
            raise ValueError(f"{name} must be at least {low}, found {settings[name]}.")
    if not 1 <= settings["max_targets"] <= settings["n_genes"]:
        raise ValueError(f"max_targets must lie between 1 and n_genes, found {settings['max_targets']}.")
    for name in ("doses", "new_doses"):
        values = np.asarray(settings[name], float)
        if values.ndim != 1 or not np.all(values > 0) or not np.all(np.isfinite(values)):
            raise ValueError(f"{name} must be positive, finite numbers, found {settings[name]!r}.")
    if len(settings["doses"]) == 0:
        raise ValueError("doses must hold at least one dose, found none.")
    shape = np.shape(settings["graph"])
    if not isinstance(settings["graph"], str) and shape != (settings["n_genes"],) * 2:
        raise ValueError(f"graph must have shape (n_genes, n_genes) = {(settings['n_genes'],) * 2}, found {shape}.")


def _plan(settings: dict[str, Any]) -> tuple[pd.DataFrame, np.ndarray]:
    """Table of contexts (K rows, control first) and the dose of each drug in each, (K, D)."""
    n_drugs, n_all = settings["n_drugs"], settings["n_drugs"] + settings["n_new_drugs"]
    names = _drug_names(n_all)
    rows: list[tuple[int, float, str, int]] = [(-1, 0.0, "train", settings["n_control"])]
    rows += [(d, c, "train", settings["n_cells"]) for d in range(n_drugs) for c in settings["doses"]]
    rows += [(d, c, "new_dose", settings["n_test_cells"]) for d in range(n_drugs) for c in settings["new_doses"]]
    rows += [(d, c, "new_drug", settings["n_test_cells"]) for d in range(n_drugs, n_all) for c in settings["doses"]]
    amount = np.zeros((len(rows), n_all))
    for k, (d, c, _, _) in enumerate(rows):
        if d >= 0:
            amount[k, d] = c
    table = pd.DataFrame(
        {
            "drug": [names[d] if d >= 0 else "control" for d, _, _, _ in rows],
            "dose": [float(c) for _, c, _, _ in rows],
            "split": [s for _, _, s, _ in rows],
            "group": 0,
            "n_cells": [n for _, _, _, n in rows],
        },
        index=pd.Index([str(k) for k in range(len(rows))]),
    )
    return table, amount


def _drug_names(n: int) -> list[str]:
    """drug_01, drug_02, ..."""
    width = len(str(n))
    return [f"drug_{d + 1:0{width}d}" for d in range(n)]


def _truth(
    settings: dict[str, Any], system: System, effect: np.ndarray, contexts: pd.DataFrame, amount: np.ndarray
) -> dict[str, Any]:
    """What is stored in ``.uns["truth"]``: plain arrays, strings, numbers and one table."""
    response = _drugs.dose_response(amount)  # (K, D)
    truth: dict[str, Any] = {
        "graph": system.graph,
        "weights": system.weights,
        "order": np.asarray(system.order, int),
        "baseline": system.baseline,
        "noise_sd": system.noise_sd,
        "drugs": np.array(_drug_names(len(effect)), dtype=object),
        "drug_effect": effect,
        "ec50": np.full(len(effect), _drugs.EC50),
        "hill": np.full(len(effect), _drugs.HILL),
        "contexts": contexts,
        "targets": (amount > 0) @ (effect != 0),
        "effects": response @ effect,
        "mechanism": settings["mechanism"],
        "intervention": settings["intervention"],
        "features": settings["features"],
    }
    if system.network:
        truth["network"] = dict(system.network)
    return truth


def _assemble(
    settings: dict[str, Any], system: System, truth: dict[str, Any], streams: dict[str, np.random.Generator]
) -> anndata.AnnData:
    """Draw the cells and put everything into one AnnData."""
    import anndata

    contexts = truth["contexts"]
    row = np.repeat(np.arange(len(contexts)), contexts["n_cells"])
    group = contexts["group"].to_numpy()[row]
    do = read_interventions(truth)
    x = np.empty((len(row), settings["n_genes"]), np.float32)
    for start in range(0, len(row), CHUNK):
        part = slice(start, start + CHUNK)
        x[part] = sample(system, group[part], row[part], streams["cells"], **do)
    obs = pd.DataFrame(
        {
            "drug": pd.Categorical(
                contexts["drug"].to_numpy()[row], ["control", *truth["drugs"]]
            ).remove_unused_categories(),
            "dose": contexts["dose"].to_numpy()[row],
            "split": pd.Categorical(contexts["split"].to_numpy()[row]),
            "context": row,
        },
        index=[f"cell_{i}" for i in range(len(row))],
    )
    width = len(str(settings["n_genes"]))
    var = pd.DataFrame(index=[f"gene_{g + 1:0{width}d}" for g in range(settings["n_genes"])])
    adata = anndata.AnnData(x, obs=obs, var=var, uns={"truth": truth})
    if settings["features"] == "principal_components":
        fitted = ((contexts["split"] == "train") & (contexts["drug"] != "control")).to_numpy()
        table = _drugs.principal_components(truth["targets"], truth["effects"], fitted, settings["n_features"])
        adata.obsm["features"] = table[row]
    else:
        adata.uns["features"] = _drug_features(settings, truth, streams["features"])
    return adata


def _drug_features(settings: dict[str, Any], truth: dict[str, Any], rng: np.random.Generator) -> pd.DataFrame:
    """Features of drugs, one row a drug, new drugs included."""
    n_features = settings["n_features"]
    if settings["features"] == "projection":
        values = _drugs.projection(truth["drug_effect"], n_features, rng)
    else:
        values = rng.normal(size=(len(truth["drugs"]), n_features))
    return pd.DataFrame(values, index=pd.Index(truth["drugs"]), columns=[f"feature_{q + 1}" for q in range(n_features)])

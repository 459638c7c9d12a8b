"""`scgim.datasets.simulate`: the synthetic systems of the published protocol, with the truth stored beside the cells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from scgim._checks import SEED, checked, count, number, one_of
from scgim.datasets._simulator import drugs
from scgim.datasets._simulator.arguments import CHOICES, check, drug_names, gene_names
from scgim.datasets._simulator.assemble import assemble, disturb
from scgim.datasets._simulator.disturbance import Disturbance
from scgim.datasets._simulator.fault import Fault, World
from scgim.datasets._simulator.graphs import causal_order, random_dag
from scgim.datasets._simulator.plan import background_shifts, group_offsets, plan
from scgim.datasets._simulator.systems import REFERENCE, NetworkSize, System, random_system, sample

if TYPE_CHECKING:
    import anndata


@checked(
    n_genes=count(),
    edges_per_gene=number(0),
    n_drugs=count(),
    n_control=count(2),
    n_cells=count(),
    n_new_drugs=count(0),
    n_test_cells=count(),
    max_targets=count(),
    n_features=count(),
    n_pairs=count(0),
    train_pairs=number(0, 1),
    n_cell_lines=count(),
    cell_line_sd=number(0),
    cell_line_effect_sd=number(0),
    n_batches=count(),
    batch_sd=number(0),
    background_sd=number(0),
    zeros=number(0, 1),
    dropout=number(0, 1),
    hidden_units=count(),
    weight_sd=number(0, above=True),
    mechanism=one_of(*CHOICES["mechanism"]),
    intervention=one_of(*CHOICES["intervention"]),
    noise=one_of(*CHOICES["noise"]),
    activation=one_of(*CHOICES["activation"]),
    rng=SEED,
)
def simulate(
    n_genes: int = 20,
    *,
    graph: Literal["erdos_renyi", "scale_free"] | np.ndarray = "erdos_renyi",
    edges_per_gene: float = 2.0,
    mechanism: Literal["linear", "neural", "tanh", "relu", "square"] = "linear",
    intervention: Literal["shift", "hard", "activity"] = "shift",
    noise: Literal["gaussian", "counts", "zero_inflated_lognormal"] = "gaussian",
    n_drugs: int = 40,
    doses: Sequence[float] = (0.5, 1.0, 1.5, 2.0),
    n_control: int = 800,
    n_cells: int = 50,
    new_doses: Sequence[float] = (0.25, 0.75, 1.25, 1.75, 2.25),
    n_new_drugs: int = 20,
    n_test_cells: int = 500,
    max_targets: int = 3,
    effect_size: tuple[float, float] | None = None,
    features: Literal["principal_components", "projection", "noise"] | pd.DataFrame = "principal_components",
    n_features: int = 15,
    n_pairs: int = 0,
    train_pairs: float = 0.3,
    n_cell_lines: int = 1,
    cell_line_sd: float = 1.0,
    cell_line_effect_sd: float = 0.0,
    n_batches: int = 1,
    batch_sd: float = 0.5,
    background_sd: float = 0.0,
    zeros: float = 0.6,
    dropout: float = 0.0,
    hidden_units: int = 10,
    activation: Literal["tanh", "relu", "softplus", "sine"] = "tanh",
    weight_sd: float = 1.0,
    faults: Sequence[Fault] = (),
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
    targets a drug; 500 cells a test context; hard and activity interventions; ``projection`` and ``noise`` features; and all
    that the parameters from `n_pairs` on add, which is off by default.

    Parameters
    ----------
    n_genes
        Number of genes G.
    graph
        Family of random graphs, or a given acyclic graph, (G, G), where ``graph[i, j] != 0`` means that i acts on j.
    edges_per_gene
        Expected number of edges divided by G.
    mechanism
        ``"linear"``; ``"neural"``, one small network a gene; or the same curve for every edge, ``"tanh"``, ``"relu"`` or
        ``"square"`` (a straight line beyond 2) of the parent in its standard deviations from its mean among controls.
    intervention
        What drugs do to their targets: ``"shift"`` adds to the mechanism; ``"hard"`` replaces its mean, cutting the parents
        and keeping the noise; ``"activity"`` multiplies what the children see by ``1 + effect``, with effects at saturation
        between -1 and -0.5.
    noise
        ``"gaussian"``: the cells of the causal system as they are. ``"counts"``: Poisson counts with rate ``size_factor *
        exp(0.5 * x + offset)``. ``"zero_inflated_lognormal"``: ``exp(x)``, or 0 with a probability of the gene.
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
    effect_size
        Smallest and largest size of effects at saturation; None: 2 and 6, and 0.5 and 1 for ``"activity"``.
    features
        What is known of a perturbation. ``"principal_components"``: of (I, psi) of the contexts, fitted on the perturbed
        training contexts, one row a cell in ``.obsm["features"]``. ``"projection"``: a random projection of each drug's
        effects at saturation, one row a drug in ``.uns["features"]``; the dose enters apart. ``"noise"``: as
        ``"projection"``, but independent of the effects. A DataFrame, such as fingerprints, with drugs as index: kept as it
        is in ``.uns["features"]``, and a hidden rule derives targets and effects from it; which drugs are new is random.
    n_features
        Number Q of features. There are fewer principal components if the training contexts span fewer dimensions.
    n_pairs
        Number of pairs of training drugs that are given together, each at one random dose of both. Their effects add up.
    train_pairs
        Part of the pairs that is for training.
    n_cell_lines
        Number of cell lines. Baselines differ, mechanisms and targets are shared; every line gets every drug.
    cell_line_sd
        Standard deviation, over genes, of a line's difference from the first.
    cell_line_effect_sd
        Standard deviation of a line's effects at saturation around those of the drug, at its targets; shift and hard
        interventions only.
    n_batches
        Number of batches. Controls are in all of them, every other context in one.
    batch_sd
        Standard deviation, over genes, of a batch's difference from the first.
    background_sd
        Standard deviation of shifts of every gene in every perturbed context, in units of the gene's own among controls.
    zeros
        Expected part of zeros, if `noise` makes any. For counts it sets the depth.
    dropout
        Probability that a count is lost, beyond the Poisson zeros.
    hidden_units, activation, weight_sd
        Of neural mechanisms: size, function of the hidden units, and standard deviation of the weights of standardised
        parents.
    faults
        What real screens have and the protocol has not, from :mod:`scgim.datasets.faults`.
    rng
        Seed or generator.

    Returns
    -------
    AnnData of cells x genes with

    `.X` : float32
        Expression, on the scale of the system, or what `noise` makes of it.
    `.layers["latent"]` : float32
        Expression of the system, if `noise` is not Gaussian.
    `.obs["drug"]`, `.obs["dose"]`, `.obs["split"]`
        Drug (``"control"`` without drug), dose (0 for control), and ``"train"``, ``"new_dose"``, ``"new_drug"`` or
        ``"new_pair"``.
    `.obs["drug_1"]`, `.obs["drug_2"]`, `.obs["dose_1"]`, `.obs["dose_2"]`
        Instead of the dose, if there are pairs; ``"control"`` and 0 where there is no drug.
    `.obs["cell_line"]`, `.obs["batch"]`, `.obs["size_factor"]`
        If there are several, and for counts.
    `.obsm["features"]` or `.uns["features"]`
        See `features`.
    `.uns["truth"]` : dict
        ``graph`` (G, G) bool, ``weights`` (G, G; average slopes in control cells if neural), ``order``, ``noise_sd``
        (G), ``baseline`` (C, G), ``network`` (neural only); ``drugs`` (D), ``drug_effect`` (D, G) at saturation,
        ``ec50`` and ``hill`` (D); ``line_effect`` (L, D, G), if the effects of the lines differ; ``contexts``, a table
        of K rows, and in its order ``targets`` (K, G) bool and ``effects`` (K, G); the settings. The context of each
        cell is in ``.obs["context"]`` (row of the table). With faults also ``faults``, the parameters of each and what
        was drawn, and ``disturbance``, what they do to the contexts.
    `.obs["plate"]`, `.obs["true_plate"]`, `.obs["true_responder"]`, `.obsm["true_hidden"]`, `.varm["true_loadings"]`, `.varm["true_regulator_weights"]`, `.uns["network"]`
        What faults add, see there. Only ``plate`` and ``network`` are for a method to see.

    Raises
    ------
    TypeError
        If a fault is none.
    ValueError
        If an argument is outside its range, naming it.

    Examples
    --------
    >>> import scgim
    >>> adata = scgim.datasets.simulate(n_genes=5, edges_per_gene=1, n_drugs=3, n_new_drugs=1, n_test_cells=10)
    >>> train = adata[adata.obs["split"] == "train"].copy()

    Plates that nobody wrote down, and latent factors that drugs move:

    >>> from scgim.datasets import faults
    >>> screen = [faults.Plates(5, sd=0.2, key=False), faults.LatentFactors(2, drug_sd=1.0)]
    >>> adata = scgim.datasets.simulate(n_drugs=10, n_new_drugs=0, n_test_cells=10, faults=screen)
    """
    settings: dict[str, Any] = {
        "n_genes": n_genes,
        "graph": graph,
        "edges_per_gene": edges_per_gene,
        "mechanism": mechanism,
        "intervention": intervention,
        "noise": noise,
        "n_drugs": n_drugs,
        "doses": doses,
        "n_control": n_control,
        "n_cells": n_cells,
        "new_doses": new_doses,
        "n_new_drugs": n_new_drugs,
        "n_test_cells": n_test_cells,
        "max_targets": max_targets,
        "effect_size": effect_size,
        "features": features,
        "n_features": n_features,
        "n_pairs": n_pairs,
        "train_pairs": train_pairs,
        "n_cell_lines": n_cell_lines,
        "cell_line_sd": cell_line_sd,
        "cell_line_effect_sd": cell_line_effect_sd,
        "n_batches": n_batches,
        "batch_sd": batch_sd,
        "background_sd": background_sd,
        "zeros": zeros,
        "dropout": dropout,
        "hidden_units": hidden_units,
        "activation": activation,
        "weight_sd": weight_sd,
        "faults": faults,
        "rng": rng,
    }
    check(settings)
    settings["var_names"] = gene_names(n_genes)
    parent = np.random.default_rng(rng)
    spawned = parent.spawn(8)
    streams = dict(
        zip(("graph", "system", "drugs", "features", "cells", "plan", "groups", "observe"), spawned, strict=True)
    )
    of_faults = parent.spawn(len(faults))
    system = _system(settings, streams)
    names, effect = _drug_effects(settings, system.graph, streams)
    contexts, amount = plan(settings, names, streams["plan"])
    for fault, stream in zip(faults, of_faults, strict=True):
        effect = fault.change_drugs(effect)
        contexts, amount = fault.change_contexts(contexts, amount, settings, stream)
    truth = _truth(settings, system, names, effect, contexts, amount)
    if cell_line_effect_sd > 0:
        truth["line_effect"] = drugs.line_effects(effect, n_cell_lines, cell_line_effect_sd, streams["groups"])
        line = contexts["group"].to_numpy() // n_batches
        truth["effects"] = np.einsum("kd,kdg->kg", drugs.dose_response(amount), truth["line_effect"][line])
    if background_sd > 0:
        sd = _gene_sd(system, streams["groups"])
        truth["background"] = background_shifts(settings, contexts, sd, streams["groups"])
    disturbance = Disturbance()
    if faults:
        world = World(contexts, drugs.dose_response(amount), _gene_sd(system, of_faults[0]), settings)
        disturbance = disturb(truth, world, of_faults)
    return assemble(settings, system, truth, disturbance, streams)


def _system(settings: dict[str, Any], streams: dict[str, np.random.Generator]) -> System:
    """The causal system of the graph that is given, or of one of the family that is named."""
    graph = settings["graph"]
    if isinstance(graph, str):
        structure, order = random_dag(graph, settings["n_genes"], settings["edges_per_gene"], streams["graph"])
    else:
        structure = np.asarray(graph) != 0
        order = causal_order(structure)
    offsets = group_offsets(settings, streams["groups"])
    network = NetworkSize(settings["hidden_units"], settings["activation"], settings["weight_sd"])
    return random_system(structure, order, settings["mechanism"], offsets, streams["system"], network)


def _drug_effects(
    settings: dict[str, Any], graph: np.ndarray, streams: dict[str, np.random.Generator]
) -> tuple[list[str], np.ndarray]:
    """Names ``(D,)`` and effects at saturation ``(D, G)`` of drugs; those of a table of features are kept in the settings."""
    names, features = drug_names(settings), settings["features"]
    given = graph, settings["intervention"], settings["max_targets"], streams["drugs"], settings["effect_size"]
    if not isinstance(features, pd.DataFrame):
        return names, drugs.random_drugs(len(names), *given)
    features = features.iloc[streams["features"].permutation(len(features))[: len(names)]]
    settings["features"] = features
    return [str(name) for name in features.index], drugs.hidden_rule(features.to_numpy(float), *given)


def _gene_sd(system: System, rng: np.random.Generator) -> np.ndarray:
    """Standard deviation of the genes among control cells of the first group, (G,)."""
    return sample(system, np.zeros(REFERENCE, int), np.zeros(REFERENCE, int), rng).std(0)


def _truth(
    settings: dict[str, Any],
    system: System,
    names: list[str],
    effect: np.ndarray,
    contexts: pd.DataFrame,
    amount: np.ndarray,
) -> dict[str, Any]:
    """What is stored in ``.uns["truth"]``: plain arrays, strings, numbers and one table."""
    response = drugs.dose_response(amount)  # (K, D)
    truth: dict[str, Any] = {
        "graph": system.graph,
        "weights": system.weights,
        "order": np.asarray(system.order, int),
        "baseline": system.baseline,
        "noise_sd": system.noise_sd,
        "drugs": np.array(names, dtype=object),
        "drug_effect": effect,
        "ec50": np.full(len(effect), drugs.EC50),
        "hill": np.full(len(effect), drugs.HILL),
        "contexts": contexts,
        "targets": (amount > 0) @ (effect != 0),
        "effects": response @ effect,
        "mechanism": settings["mechanism"],
        "intervention": settings["intervention"],
        "noise": settings["noise"],
        "features": settings["features"] if isinstance(settings["features"], str) else "table",
    }
    return truth | system.mechanisms.stored()

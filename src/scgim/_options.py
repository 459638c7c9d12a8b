"""The options of a fit: what each may be and what it means, written once.

Signatures stand where a reader and a tool look for them (`GIM.setup_anndata`, `GIM`, `GIM.train`, `scgim.tl.fit`); the
descriptions are spliced into their docstrings by `documented`, and the command line is made from `scgim.tl.fit`. That names,
defaults and kinds of values agree is tested.
"""

import re
import textwrap
from collections.abc import Callable, Sequence
from inspect import cleandoc
from typing import Any, Literal, TypeVar

from scgim._checks import (
    COLUMNS,
    DEVICES,
    FLAG,
    LABEL,
    MAPPING,
    NAMES,
    PATH,
    SEED,
    TEXT,
    Check,
    count,
    number,
    or_none,
)
from scgim._docstrings import splice

Columns = str | Sequence[str]
"""One column of ``.obs`` or several."""
MechanismName = Literal["linear", "additive", "neural", "auto"]
InterventionName = Literal["shift", "hard", "activity", "auto"]
NoiseName = Literal["gaussian", "zero_inflated_lognormal", "poisson_lognormal"]
StructureName = Literal["search", "gradient", "cyclic"]
Devices = int | list[int] | str

WIDTH = 108  # of descriptions, which are indented by eight or twelve
T = TypeVar("T")

SETUP = {
    "perturbation_key": """
        Column of ``.obs`` that names the drug; several columns for combinations, whose order does not matter.""",
    "control": """
        Label of "no drug" in those columns. Cells with this label in all of them are the control cells.""",
    "dose_key": """
        Columns with the doses, one for each of `perturbation_key`; positive numbers. Doses of controls are ignored.""",
    "features_key": """
        Key of ``.uns`` with a DataFrame of features, indexed by drug, or of ``.obsm`` with one row a cell, constant within a
        context :cite:p:`schneider2025`. Without it, drugs are known by name only, and new drugs cannot be predicted.""",
    "layer": """
        Layer with the expression to model; ``.X`` without it. For MuData also a layer by modality.""",
    "batch_key": """
        Column such as batch or patient. Each value has a baseline of its own and needs control cells; mechanisms and
        interventions are shared (not from the paper).""",
    "categorical_covariate_keys": """
        Further columns such as cell line. Each combination of their values and the batch has a baseline of its own and
        needs control cells (not from the paper).""",
    "continuous_covariate_keys": """
        Columns such as cell-cycle scores, whose linear effect on each gene is removed before fitting (not from the
        paper).""",
    "size_factor_key": """
        Column with the size factor of each cell, for ``noise="poisson_lognormal"``, in any unit: only ratios between cells
        matter. Without it, the sum of the modelled genes' counts.""",
}
"""What cells are and how they were treated."""

MODALITIES = {
    "modalities": """
        For MuData. ``modalities["layer"]``: the modalities to model, all of them by default. Other entries say in which
        modality the columns of an argument live, such as ``{"perturbation_key": "rna"}``. Without an entry, a column is
        looked for in ``mdata.obs``, then in all modalities.""",
}

CHOICES = {
    "mechanism": """
        How genes act on their children: ``"linear"``, ``"additive"`` (a few basis functions a parent; not from the paper) or
        ``"neural"`` (one small network a gene; under changes of activity only where networks describe held-out cells better
        than additive mechanisms). ``"auto"`` fits linear and additive mechanisms and keeps those with more evidence, at the cost of both; it
        needs ``intervention="shift"``, ``structure="search"`` and ``noise="gaussian"`` (not from the paper).""",
    "intervention": """
        What a drug does to a target: ``"shift"`` adds to its mechanism, ``"hard"`` replaces it, ``"activity"`` scales its
        outgoing effects, from none to twice what they were, around the expression at which the gene is off, which is found from
        the data and is not zero (not from the paper). ``"auto"`` weighs shifts and changes of
        activity, drug by drug, by likelihood (not from the paper). All but ``"shift"`` keep second moments of every drug or
        context, which limits the number of genes. None is ``"shift"``.""",
    "noise": """
        How cells are observed: ``"gaussian"`` for log-normalised values; ``"poisson_lognormal"`` for raw counts;
        ``"zero_inflated_lognormal"`` for normalised values without logs, with more zeros than their spread explains. Under
        the last two the causal model is one of logarithms, and needs linear mechanisms, shifts and ``structure="search"``
        (estimation from moments is not from the paper).""",
    "structure": """
        ``"search"``: exact score and order search, then joint training (not from the paper). ``"gradient"``: the published
        estimator. ``"cyclic"``: genes may act on each other in cycles; for linear mechanisms and shifts (not from the paper).""",
    "graph_prior": """
        What is known of the graph: an edge list (DataFrame with `source`, `target` and perhaps `probability`), a ``(G, G)``
        matrix, dense or sparse, or a key of ``.varp``; row causes column. Without probabilities (booleans, zeros and ones,
        or a bare edge list) it is a mask, and edges outside it are forbidden. Not from the paper, nor with
        ``structure="gradient"``.""",
    "known_targets": """
        DataFrame with `drug` and `gene`, or a dict of genes by drug: targets that are known. Not from the paper, nor with ``structure="gradient"``.""",
    "regulators": """
        A network of regulators without a measured value, such as the activities of transcription factors: a DataFrame with
        `source`, `target` and `weight`, the format of decoupler. A drug may change their activity; they are weighed against
        shifts of genes. About a third of the edges may be wrong. Needs ``intervention="shift"``, ``structure="search"`` and
        linear or additive mechanisms. Not from the paper.""",
    "n_ensemble": """
        Bootstrap fits, whose probabilities are averaged with those of the fit.""",
    "effects_by": """
        One of the registered categorical covariates, or the batch key: targets are shared by its levels, but effects may
        differ between them, as far as the data say so (not from the paper). Needs ``intervention="shift"`` or ``"hard"``,
        and not ``structure="gradient"``.""",
    "weigh_baselines": """
        Whether predictions of new doses, of drugs in baseline groups where they were not measured, and of combinations are mixed with
        a simple baseline (interpolation in dose, mean change, sum of single drugs), with the weight that predicts measured
        contexts best when these are left out, and whether new doses get what the model misses at doses nearby. False leaves them to
        the model. Under shifts; not from the paper.""",
    "penetrance": """
        Whether to learn which share of the cells responds to each drug, from how much its targets vary between cells. The table of
        targets then says so, and predictions are of cells that respond and cells that do not. Needs
        ``intervention="shift"``, ``structure="search"``, ``noise="gaussian"`` and linear or additive mechanisms. Not from the paper.""",
}
"""What the model is."""

TRAINING = {
    "max_epochs": """
        Epochs of the training after the search; 0 skips it. None lets the model choose: none for expression on disk, where
        the closed forms of linear and additive mechanisms stand.""",
    "accelerator": """
        Where to train, as in :class:`lightning.pytorch.Trainer`: ``"auto"``, ``"cpu"``, ``"gpu"``.""",
    "devices": """
        Number of devices, or which, as in :class:`lightning.pytorch.Trainer`.""",
    "rng": """
        Seed or generator. The same seed gives the same result; the global seeds are as before afterwards.""",
    "batch_size": """
        Cells of a minibatch; a tenth of the cells by default, within limits.""",
    "train_size": """
        Share of each context's cells that is trained on; 0.9 by default.""",
    "balance": """
        From 0 (each cell once an epoch, the default) to 1 (each context equally often, with importance weights that keep the
        expected objective).""",
    "window": """
        Cells on disk that are in memory and shuffled together; 64 MB of them by default.""",
    "plan_kwargs": """
        Settings of the training plan, such as ``{"lr": 1e-3}``.""",
    "checkpoint": """
        Folder into which the training by minibatches writes its state while it runs. The same call after a kill or a power cut
        goes on from there and ends at the same result; the search before is repeated. Files of other data or settings are left
        alone; remove the folder when the fit is saved.""",
    "timeout": """
        Seconds for the search before the training, from the moments of the cells on; then the best that was found so far is
        taken, with a warning. None is for as long as it needs. Not with ``structure="gradient"``.""",
}
"""How it is trained."""

WRITING = {
    "key_added": """
        Start of the keys that are written.""",
}
"""Where results go."""

SETUP_CHECKS: dict[str, Check] = {
    "perturbation_key": COLUMNS,
    "control": LABEL,
    "dose_key": or_none(COLUMNS),
    "features_key": or_none(TEXT),
    "batch_key": or_none(TEXT),
    "categorical_covariate_keys": or_none(NAMES),
    "continuous_covariate_keys": or_none(NAMES),
    "size_factor_key": or_none(TEXT),
}
TRAINING_CHECKS: dict[str, Check] = {
    "max_epochs": or_none(count(0)),
    "accelerator": TEXT,
    "devices": DEVICES,
    "rng": SEED,
    "batch_size": or_none(count()),
    "train_size": or_none(number(0, 1, above=True)),
    "balance": or_none(number(0, 1)),
    "window": or_none(count()),
    "plan_kwargs": or_none(MAPPING),
    "checkpoint": or_none(PATH),
    "timeout": or_none(number(0, above=True)),
}
CHOICE_CHECKS: dict[str, Check] = {
    "n_ensemble": count(0),
    "effects_by": or_none(TEXT),
    "weigh_baselines": FLAG,
    "penetrance": FLAG,
}
"""What options may be, as far as it can be said without the data; names of choices are those of the objects that are known."""

OPTIONS = SETUP | MODALITIES | CHOICES | TRAINING | WRITING
GROUPS = {"setup": SETUP, "modalities": MODALITIES, "choices": CHOICES, "training": TRAINING}
"""Names that stand for several options in docstrings."""


def entries(names: Sequence[str]) -> str:
    """Numpydoc entries of options."""
    lines = []
    for name in names:
        text = " ".join(cleandoc(OPTIONS[name]).split())
        lines += [
            name,
            textwrap.indent(textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False), "    "),
        ]
    return "\n".join(lines)


documented = splice(
    {n: entries(list(g)) for n, g in GROUPS.items()} | {n: entries([n]) for n in OPTIONS if n not in GROUPS}
)
"""Splices the descriptions of options into a docstring: lines such as ``%(setup)s`` or ``%(dose_key)s``."""


def plain_text(description: str) -> str:
    """A description without the marks of reStructuredText, for terminals."""
    text = " ".join(cleandoc(description).split())
    text = re.sub(r" ?:\w+:p:`[^`]*`", "", text)  # citations
    text = re.sub(r":\w+:`~?([^`]*)`", r"\1", text)
    return text.replace("``", "").replace("`", "").replace(" (not from the paper)", "")


def takes_options_of(source: Callable[..., Any]) -> Callable[[T], T]:
    """Give a function that passes its keywords on the signature of the one that reads them.

    Parameters
    ----------
    source
        Function whose keyword-only parameters take the place of ``**kwargs``, where the function does not name them itself.
    """
    import inspect

    def decorate(function: T) -> T:
        own = inspect.signature(function)  # type: ignore[arg-type]
        named = list(own.parameters.values())
        gather = [p for p in named if p.kind is p.VAR_KEYWORD]
        kept = [p for p in named if p.kind is not p.VAR_KEYWORD]
        theirs = [
            p
            for name, p in inspect.signature(source).parameters.items()
            if p.kind is p.KEYWORD_ONLY and name not in own.parameters
        ]
        first = [p for p in kept if p.kind is not p.KEYWORD_ONLY]
        last = [p for p in kept if p.kind is p.KEYWORD_ONLY]
        function.__signature__ = own.replace(parameters=[*first, *theirs, *last, *gather])  # type: ignore[attr-defined]
        return function

    return decorate

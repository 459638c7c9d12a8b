"""Every key that scgim writes, in one place; the page "What scgim writes" of the documentation is made from it."""

from dataclasses import dataclass
from typing import Any

DEFAULT = "scgim"
"""The default of ``key_added``."""

CALLED = 0.5
"""Probability from which on a gene is called a target."""

NONE = "none"
"""Value of :data:`CELL_TARGET` in control cells."""

UNASSIGNED = "unassigned"
"""Value of :data:`CELL_TARGET` where no gene is a target with probability of at least 1/2."""

GENE_MARK = " (gene)"
"""What follows the name of a gene that is called as one of the two, in :data:`CELL_TARGET`."""
REGULATOR_MARK = " (regulator)"
"""What follows the name of a regulator there."""

RESULTS = frozenset(
    "n_cells gene kind probability log_odds effect effect_sd rank identified n_agree n_strata n_contexts false_sign_rate "
    "penetrance penetrance_low penetrance_high effect_of_responders symbol".split()
)
"""Columns of the tables of contexts and targets, which registered columns stand beside."""


def beside(column: str) -> str:
    """What a registered column is called in the table of targets: another name where a column of results has its own."""
    return f"obs_{column}" if column in RESULTS else column


@dataclass(frozen=True)
class Key:
    """One place in an AnnData or MuData that scgim writes."""

    slot: str  # attribute of the object: `"obs"`, `"varm"`, `"varp"` or `"uns"`
    suffix: str  # what follows `key_added` in the key
    entry: str  # name inside of `.uns[key_added]`, empty in other slots
    kind: str  # type and number format of the value
    shape: str  # its shape: N cells, G genes, K contexts
    description: str  # what it holds

    def name(self, key: str = DEFAULT) -> str:
        """The key in its slot."""
        return key + self.suffix

    def path(self, key: str = DEFAULT) -> str:
        """The place as written in Python, for documentation and messages."""
        place = f'.{self.slot}["{self.name(key)}"]'
        return f'{place}["{self.entry}"]' if self.entry else place

    def find(self, data: Any, key: str = DEFAULT) -> Any:
        """The value in ``data``; a KeyError that names the mend if it is not there."""
        try:
            value = getattr(data, self.slot)[self.name(key)]
            return value[self.entry] if self.entry else value
        except (KeyError, IndexError, TypeError):
            raise KeyError(
                f"key={key!r}: {self.path(key)} is not in the object; run "
                f"scgim.tl.fit(adata, ..., key_added={key!r}) first. Of a fitted object, anndata.concat keeps results with "
                "merge='unique', uns_merge='unique' alone."
            ) from None


PARAMS = Key(
    "uns",
    "",
    "params",
    "dict",
    "",
    "Every setting that changes the result, the seed, and the versions of the packages.",
)
CONTEXTS = Key(
    "uns",
    "",
    "contexts",
    "DataFrame",
    "(K, columns)",
    "One row a context: the values of the registered columns and `n_cells`. The order of the rows is the order of the "
    "columns of the `.varm` arrays.",
)
TARGETS = Key(
    "uns",
    "",
    "targets",
    "DataFrame",
    "(K' * G, columns)",
    "One row for each perturbed context and gene: the context's columns (one that is called as one of the following has `obs_` before its "
    "name), `gene`, `kind`, `probability`, `log_odds`, "
    "`effect`, `effect_sd`, `rank` (by log odds), and, where they were found, `identified`, `n_agree` and `n_strata`; with "
    "`penetrance=True` also `penetrance`, `penetrance_low`, `penetrance_high` and `effect_of_responders`.",
)
HISTORY = Key(
    "uns",
    "",
    "history",
    "DataFrame",
    "(steps, 4)",
    "The objective along the structure search and the training: `stage`, `metric`, `step`, `value`.",
)
TARGET_PROBABILITY = Key(
    "varm",
    "_target_probability",
    "",
    "float32 array",
    "(G, K)",
    "Probability that the context's perturbation targets the gene.",
)
EFFECT = Key(
    "varm",
    "_effect",
    "",
    "float32 array",
    "(G, K)",
    "Effect of the context's perturbation on the gene's mechanism if it is a target, in units of the modelled expression.",
)
REGULATED = Key(
    "varm",
    "_regulated",
    "",
    "float32 array",
    "(G, K)",
    "What regulators whose activity the context's perturbation changes add to the gene, in expectation, in units of the modelled "
    "expression.",
)
GRAPH = Key(
    "varp",
    "_graph",
    "",
    "sparse csr, float32",
    "(G, G)",
    "Edge weights; row causes column: entry [i, j] is the change of gene j per unit of gene i.",
)
GRAPH_PROBABILITY = Key(
    "varp", "_graph_probability", "", "sparse csr, float32", "(G, G)", "Probability of each edge; row causes column."
)
CELL_TARGET = Key(
    "obs",
    "_target",
    "",
    "categorical",
    "(N,)",
    f'The most probable target of the cell\'s perturbation; "{NONE}" in control cells, "{UNASSIGNED}" where no gene '
    'reaches a probability of 1/2; a regulator that alone does is written as "name (regulator)". Genes of these names are written as "none (gene)" and "unassigned (gene)".',
)
CELL_TARGET_PROBABILITY = Key(
    "obs", "_target_probability", "", "float32", "(N,)", "Probability of that target; 0 in control cells."
)

FIT: tuple[Key, ...] = (
    PARAMS,
    CONTEXTS,
    TARGETS,
    HISTORY,
    TARGET_PROBABILITY,
    EFFECT,
    GRAPH,
    GRAPH_PROBABILITY,
    CELL_TARGET,
    CELL_TARGET_PROBABILITY,
)
"""What :func:`scgim.tl.fit` writes."""

FIT_OF_REGULATORS: tuple[Key, ...] = (REGULATED,)
"""What it writes beside, where it was given a network of regulators."""

PREDICTION = Key(
    "uns",
    "",
    "prediction",
    "dict",
    "",
    "Where predicted cells come from: version, settings of the model, seed, number of cells asked for.",
)

PREDICT: tuple[Key, ...] = (PREDICTION,)
"""What the AnnData returned by :func:`scgim.tl.predict` carries besides ``X`` and the registered columns in ``.obs``."""


def markdown_table(keys: tuple[Key, ...] = FIT, key: str = DEFAULT) -> str:
    """The keys as a Markdown table, for the documentation."""
    rows = ["| where | what | type | shape |", "|---|---|---|---|"]
    rows += [f"| `{k.path(key)}` | {k.description} | {k.kind} | {k.shape} |" for k in keys]
    return "\n".join(rows)

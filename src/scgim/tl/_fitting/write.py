"""From a fit to the slots of an AnnData or MuData: the only place that writes what ``_keys.FIT`` lists."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from scgim import _keys


@dataclass
class Results:
    """What a fit says, as plain arrays and tables; K contexts, G genes, N cells."""

    genes: list[str]  # (G,), in the order of adata.var_names
    contexts: pd.DataFrame  # (K, columns)
    control: np.ndarray  # (K,) bool
    context_of_cell: np.ndarray  # (N,) int, row of contexts
    probability: np.ndarray  # (K, G)
    effect: np.ndarray  # (K, G)
    weights: Any  # (G, G) array or sparse
    graph_probability: Any  # (G, G) array or sparse
    targets: pd.DataFrame
    history: pd.DataFrame
    params: dict[str, Any] = field(default_factory=dict)
    modality: list[str | None] = field(default_factory=list)  # (G,) of a MuData, else empty
    regulated: np.ndarray | None = None  # (K, G), where regulators were given

    def check(self, n_obs: int, n_vars: int) -> None:
        """Raise if the shapes do not fit each other or the object: nothing is written by halves."""
        K = len(self.contexts)
        expected = {
            "genes": ((len(self.genes),), (n_vars,)),
            "control": (np.shape(self.control), (K,)),
            "context_of_cell": (np.shape(self.context_of_cell), (n_obs,)),
            "probability": (np.shape(self.probability), (K, n_vars)),
            "effect": (np.shape(self.effect), (K, n_vars)),
            "weights": (np.shape(self.weights), (n_vars, n_vars)),
            "graph_probability": (np.shape(self.graph_probability), (n_vars, n_vars)),
        }
        wrong = [f"{name}: expected shape {e}, found {found}" for name, (found, e) in expected.items() if found != e]
        if wrong:
            raise ValueError("adata: expected the object that the model was fitted on; " + "; ".join(wrong) + ".")
        numbers = {name: getattr(self, name) for name in ("probability", "effect", "weights", "graph_probability")}
        numbers |= {f"targets.{name}": self.targets[name] for name in self.targets.select_dtypes("number")}
        strange = [name for name, values in numbers.items() if not _is_finite(values)]
        if strange:
            raise ValueError(
                f"adata: the fit holds numbers in {strange} that are not finite, so nothing is written; bring the expression to "
                "an ordinary scale, such as that of scanpy.pp.log1p, and look for outliers."
            )


def _is_finite(values: Any) -> bool:
    """Whether all numbers are finite, also as 32-bit floats."""
    array = values.data if sparse.issparse(values) else np.asarray(values, dtype=float)
    return bool(np.all(np.abs(array) <= np.finfo(np.float32).max))


def write(data: Any, results: Results, *, key: str = _keys.DEFAULT) -> None:
    """Write ``results`` into an AnnData, or into a MuData and each of its modelled modalities.

    Parameters
    ----------
    data
        AnnData with the genes of the fit, or MuData with the modalities of the fit; its cells are those of the fit.
    results
        The fit.
    key
        The ``key_added`` of the fit.
    """
    if not hasattr(data, "mod"):
        results.check(data.n_obs, data.n_vars)
        _write_one(data, results, key)
        return
    results.check(data.n_obs, len(results.genes))
    joint = np.full(data.n_vars, -1)
    parts = []
    for name in dict.fromkeys(results.modality):
        genes = np.flatnonzero(np.array(results.modality, dtype=object) == name)
        if name not in data.mod or data.mod[name].n_vars != len(genes):
            raise ValueError(
                f"adata: expected the object that the model was fitted on; modality {name!r} is absent or has other variables."
            )
        cells = pd.Index(data.obs_names).get_indexer(data.mod[name].obs_names)
        parts.append((data.mod[name], take(results, genes, cells)))
        place = np.asarray(data.varmap[name]).ravel().astype(int)  # (n_vars,), counted from 1, 0 where absent
        joint[place > 0] = genes[place[place > 0] - 1]
    parts.append((data, take(results, joint, np.arange(data.n_obs))))
    for part, of_part in parts:
        _write_one(part, of_part, key)


def take(results: Results, genes: np.ndarray, cells: np.ndarray) -> Results:
    """The part of ``results`` for some genes and cells; -1 stands for one that the fit did not see."""
    kept = genes >= 0
    names = {results.genes[g] for g in genes[kept]}
    inside = results.targets["gene"].astype(str).isin(names)
    if "kind" in results.targets:
        inside |= results.targets["kind"] == "regulator"
    table = results.targets[inside].reset_index(drop=True)

    def rows(x: np.ndarray) -> np.ndarray:  # (K, G) -> (K, len(genes)), 0 where the gene was not modelled
        return np.where(kept, np.asarray(x)[:, genes], 0.0)

    def square(x: Any) -> sparse.csr_matrix:
        part = sparse.csr_matrix(x)[genes][:, genes]
        mask = sparse.diags(kept.astype(np.float64))
        return sparse.csr_matrix(mask @ part @ mask)

    return Results(
        genes=[results.genes[g] if g >= 0 else "" for g in genes],
        contexts=results.contexts,
        control=results.control,
        context_of_cell=np.where(cells >= 0, np.asarray(results.context_of_cell)[cells], -1),
        probability=rows(results.probability),
        effect=rows(results.effect),
        weights=square(results.weights),
        graph_probability=square(results.graph_probability),
        targets=table,
        history=results.history,
        params=results.params,
        regulated=None if results.regulated is None else rows(results.regulated),
    )


def _write_one(data: Any, results: Results, key: str) -> None:
    """Write into one object; everything is computed first, then assigned."""
    label, probability = cell_targets(results)
    uns = {
        _keys.PARAMS.entry: plain(results.params),
        _keys.CONTEXTS.entry: writable(results.contexts),
        _keys.TARGETS.entry: writable(results.targets),
        _keys.HISTORY.entry: writable(results.history),
    }
    varm = {
        _keys.TARGET_PROBABILITY: np.ascontiguousarray(np.asarray(results.probability, np.float32).T),
        _keys.EFFECT: np.ascontiguousarray(np.asarray(results.effect, np.float32).T),
    }
    varp = {
        _keys.GRAPH: compressed(results.weights),
        _keys.GRAPH_PROBABILITY: compressed(results.graph_probability),
    }
    if results.regulated is not None:
        varm[_keys.REGULATED] = np.ascontiguousarray(np.asarray(results.regulated, np.float32).T)
    elif _keys.REGULATED.name(key) in data.varm:  # of an earlier fit
        del data.varm[_keys.REGULATED.name(key)]
    data.uns[_keys.PARAMS.name(key)] = uns
    for place, array in varm.items():
        data.varm[place.name(key)] = array
    for place, matrix in varp.items():
        data.varp[place.name(key)] = matrix
    data.obs[_keys.CELL_TARGET.name(key)] = label
    data.obs[_keys.CELL_TARGET_PROBABILITY.name(key)] = probability


def cell_targets(results: Results) -> tuple[pd.Categorical, np.ndarray]:
    """The most probable target of each cell and its probability: categorical (N,), float32 (N,)."""
    if results.probability.shape[1] == 0:
        raise ValueError("model: expected genes, found none.")
    control, each = np.asarray(results.control, bool), np.arange(len(results.control))
    best = _surety(results).argmax(1)  # (K,)
    top = np.asarray(results.probability, np.float32)[each, best]
    regulators, chance = _regulators(results)  # (T,), (K, T)
    first = chance.argmax(1) if regulators else each * 0
    assigned = (top >= _keys.CALLED) & ~control
    regulated = (chance.max(1, initial=0.0) >= _keys.CALLED) & ~assigned & ~control
    top[regulated] = chance[regulated, first[regulated]]
    # categories: the genes that occur, in their order, regulators where no gene is called, then the two special values
    used, acting = np.unique(best[assigned]), np.unique(first[regulated])
    genes, nodes = [_label(results.genes[g]) for g in used], [f"{regulators[t]}{_keys.REGULATOR_MARK}" for t in acting]
    categories: list[object] = [*genes, *nodes, _keys.NONE, _keys.UNASSIGNED]
    code = np.where(control, len(categories) - 2, len(categories) - 1)
    code[assigned] = np.searchsorted(used, best[assigned])
    code[regulated] = len(used) + np.searchsorted(acting, first[regulated])
    top[control] = 0.0
    cell = np.asarray(results.context_of_cell)
    label = pd.Categorical.from_codes(np.where(cell >= 0, code[cell], -1), categories=pd.Index(categories))
    label = label.remove_unused_categories()  # which some pictures and tests of scanpy stumble over
    return label, np.where(cell >= 0, top[cell], np.nan).astype(np.float32)


def _regulators(results: Results) -> tuple[list[str], np.ndarray]:
    """Names of the regulators ``(T,)``, and the probability that each context changes their activity ``(K, T)``."""
    table, perturbed = results.targets, ~np.asarray(results.control, bool)
    own = table[table["kind"] == "regulator"] if "kind" in table else table.iloc[:0]
    names = list(dict.fromkeys(own["gene"].astype(str)))
    chance = np.zeros((len(perturbed), len(names)))
    if names:
        chance[perturbed] = own["probability"].to_numpy(float).reshape(-1, len(names))
    return names, chance


def _surety(results: Results) -> np.ndarray:
    """What genes are ranked by ``(K, G)``: log odds, which tell probabilities of 1 apart, where the table has them."""
    out = np.array(results.probability, dtype=float)
    table, perturbed = results.targets, ~np.asarray(results.control, bool)
    if "log_odds" in table:
        own = table[table["kind"] != "regulator"]
        if own["gene"].astype(str).tolist() == results.genes * int(perturbed.sum()):
            out[perturbed] = own["log_odds"].to_numpy(float).reshape(-1, len(results.genes))
    return out


def _label(gene: str) -> str:
    """What a gene is called among the labels of cells: its name, unless that is one of the two special values."""
    return f"{gene}{_keys.GENE_MARK}" if gene in (_keys.NONE, _keys.UNASSIGNED) else gene


def compressed(matrix: Any) -> sparse.csr_matrix:
    """Sparse csr float32 without stored zeros."""
    result = sparse.csr_matrix(matrix).astype(np.float32)
    result.eliminate_zeros()
    result.sort_indices()
    return result


def writable(table: pd.DataFrame) -> pd.DataFrame:
    """A copy of ``table`` that h5ad and zarr keep: text as categories, a plain index, text column names."""
    table = table.reset_index(drop=True)
    table.columns = [str(name) for name in table.columns]
    for name in table.columns:
        column = table[name]
        if isinstance(column.dtype, pd.CategoricalDtype):
            table[name] = column.cat.rename_categories([str(c) for c in column.cat.categories])
        elif not (pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column)):
            table[name] = pd.Categorical(column.astype(str))
    return table


def plain(value: Any) -> Any:
    """``value`` as something that can be written to ``.uns``: numbers, text, None, arrays, tables, dicts of these."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return {str(name).replace("/", "|"): plain(entry) for name, entry in value.items()}
    if isinstance(value, pd.DataFrame):
        return writable(value)
    if sparse.issparse(value):
        return sparse.csr_matrix(value)
    if isinstance(value, list | tuple | set | frozenset | pd.Index | pd.Series | np.ndarray):
        array = np.asarray(sorted(value, key=str) if isinstance(value, set | frozenset) else value)
        return array if array.dtype.kind in "biuf" else np.array([str(v) for v in array.ravel()], dtype=object)
    return getattr(value, "__qualname__", type(value).__qualname__)

"""From the tables that a fit has written to one row a perturbation: shared by `get` and `pl`."""

from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import numpy as np
import pandas as pd

from scgim import _keys
from scgim._warnings import warn_user

JOIN = " + "
"""What stands between the parts of a combination in its name."""


LIMIT = 1e-6
"""Probabilities are kept this far from 0 and 1 where log odds are made of them."""


def as_log_odds(probability: np.ndarray) -> np.ndarray:
    """Log odds of probabilities, elementwise, for results that have none of their own."""
    p = np.clip(probability, LIMIT, 1 - LIMIT)
    return np.log(p) - np.log1p(-p)


@dataclass
class Measured:
    """The perturbed contexts of a fit, pooled over batches: P perturbations at one dose each, or at every dose."""

    perturbation: list[str]  # (P,) names, the parts of a combination sorted and joined by " + "
    dose: np.ndarray  # (P,) total dose, nan where none was registered
    rows: list[np.ndarray]  # (P,) the contexts of each, as rows of the table of contexts
    n_cells: list[np.ndarray]  # (P,) the cells of each of these contexts

    def pool(self, values: np.ndarray) -> np.ndarray:
        """Means over the contexts of each perturbation, weighted by cells: ``(K, G)`` to ``(P, G)``."""
        if not self.rows:
            return np.zeros((0, values.shape[1]))
        pairs = zip(self.rows, self.n_cells, strict=True)
        return np.stack([np.average(values[rows], axis=0, weights=np.maximum(n, 1)) for rows, n in pairs])


def as_list(value: Any) -> list[str]:
    """One column or several as a list."""
    if value is None:
        return []
    return [value] if isinstance(value, str) else [str(v) for v in np.asarray(value, dtype=object).ravel()]


def check_names(adata: Any, key: str) -> None:
    """Refuse genes, and warn of drugs, that have other names than in the fit.

    Raises
    ------
    ValueError
        A gene of the fit has gone, and another has a name that the fit does not know.
    """
    table, genes = _keys.TARGETS.find(adata, key), adata.var_names.astype(str)
    own = table[table["kind"] != "regulator"] if "kind" in table else table
    fitted, present = [str(gene) for gene in own["gene"].unique()], set(genes)
    known = {*fitted, *(gene.partition(":")[2] for gene in fitted)}  # modalities hold names without theirs
    strange = [gene for gene in genes if gene not in known]
    lost = any(gene not in present and gene.partition(":")[2] not in present for gene in fitted)
    of_others = hasattr(adata, "mod") and len(strange) < len(genes)  # modalities that are not modelled
    if strange and lost and not of_others:
        raise ValueError(
            f"adata: {strange[0]!r} is no gene of the fit, expected such as {fitted[0]!r}; .var_names have changed since: give "
            "them their names back (gene_symbols= shows others), or run scgim.tl.fit anew."
        )
    params, contexts = _keys.PARAMS.find(adata, key), _keys.CONTEXTS.find(adata, key)
    columns = [column for column in as_list(params["perturbation_key"]) if column in adata.obs]
    labels = {label for column in columns for label in adata.obs[column].unique()}
    here = {str(label) for label in labels if not pd.isna(label)} - {str(params["control"])}
    before = {str(label) for column in columns for label in contexts[column].unique()} - {str(params["control"])}
    if here - before and before - here:
        warn_user(
            f"adata: .obs has {min(here - before)!r}, which is not in the fit, and no longer {min(before - here)!r}, which is. Results keep the "
            "names of the fit: run scgim.tl.fit anew if drugs were renamed."
        )


def warn_of_absent(adata: Any, key: str) -> None:
    """Warn where genes that were fitted are not here."""
    n_genes = _keys.PARAMS.find(adata, key).get("n_genes", 0)
    if adata.n_vars < n_genes:
        warn_user(
            f"adata: holds {adata.n_vars} of the {n_genes} genes of the fit, so that edges and targets of the others, and changes that pass "
            "through them, are left out; use the object that was fitted."
        )


def in_targets(params: Any) -> tuple[list[str], list[str]]:
    """What columns of perturbations and of doses are called in the table of targets."""
    columns, doses = (as_list(params.get(name)) for name in ("perturbation_key", "dose_key"))
    return [_keys.beside(c) for c in columns], [_keys.beside(c) for c in doses]


def perturbation_names(
    contexts: pd.DataFrame, columns: list[str], doses: list[str], control: str
) -> tuple[list[str], np.ndarray]:
    """The perturbation of each context ("" for control, parts of a combination joined by +) and its total dose."""
    parts = contexts[columns].astype(str).to_numpy()  # (K, columns)
    names = [JOIN.join(sorted(p for p in row if p != control)) for row in parts]
    if not doses:
        return names, np.full(len(names), np.nan)
    amount = np.where(parts != control, contexts[doses].to_numpy(float), 0.0)
    return names, amount.sum(1)


def measured(adata: Any, key: str, dose: str | float = "highest") -> Measured:
    """The perturbed contexts of a fit, one row a perturbation.

    Parameters
    ----------
    adata
        The fitted object.
    key
        The ``key_added`` of the fit.
    dose
        ``"highest"`` for the highest dose of each perturbation, ``"all"`` for one row a dose, or a dose.

    Raises
    ------
    ValueError
        No perturbation was measured at `dose`.
    """
    params, contexts = _keys.PARAMS.find(adata, key), _keys.CONTEXTS.find(adata, key)
    columns, doses = as_list(params["perturbation_key"]), as_list(params.get("dose_key"))
    names, total = perturbation_names(contexts, columns, doses, str(params["control"]))
    table = pd.DataFrame({"name": names, "dose": total, "n": contexts["n_cells"].to_numpy(float)})
    kept = table[table["name"] != ""]
    if dose == "highest":
        top = kept.groupby("name", sort=False)["dose"].transform("max")
        kept = kept[(kept["dose"] == top) | top.isna()]
    elif dose != "all":
        if isinstance(dose, str) or not doses:
            raise ValueError(
                f"dose: expected 'highest', 'all' or a number{'' if doses else ' (no dose was registered)'}, found {dose!r}."
            )
        kept = kept[np.isclose(kept["dose"], float(dose))]
        if kept.empty:
            raise ValueError(
                f"dose: no perturbation was measured at {dose!r}; found {sorted(set(table['dose'].dropna()))}."
            )
    groups = [(name, amount, part) for (name, amount), part in kept.groupby(["name", "dose"], sort=False, dropna=False)]
    return Measured(
        perturbation=[str(name) for name, _, _ in groups],
        dose=np.array([amount for _, amount, _ in groups], float),
        rows=[part.index.to_numpy() for _, _, part in groups],
        n_cells=[part["n"].to_numpy() for _, _, part in groups],
    )


@dataclass
class RegulatorTable:
    """Regulators of measured perturbations: P perturbations, T regulators."""

    names: list[str]  # (T,)
    # (P, T) that the perturbation changes the activity, and by how much
    probability: np.ndarray
    activity: np.ndarray


def regulators_of(adata: Any, key: str, dose: str | float = "highest") -> RegulatorTable:
    """The regulators of the perturbations of `measured`; none of them where no network was given."""
    table, rows = _keys.TARGETS.find(adata, key), measured(adata, key, dose)
    own = table[table["kind"] == "regulator"] if "kind" in table else table.iloc[:0]
    names = list(dict.fromkeys(own["gene"].astype(str)))
    params, contexts = _keys.PARAMS.find(adata, key), _keys.CONTEXTS.find(adata, key)
    called = perturbation_names(contexts, as_list(params["perturbation_key"]), [], str(params["control"]))[0]
    values = np.zeros((2, len(contexts), len(names)))  # of the contexts, in their order
    if names:
        values[:, [name != "" for name in called]] = (
            own[["probability", "effect"]].to_numpy().T.reshape(2, -1, len(names))
        )
    return RegulatorTable(names, *(rows.pool(v) for v in values))


def regulated(adata: Any, key: str, rows: Measured) -> np.ndarray | None:
    """What regulators add to the genes ``(P, G)``; None where no network was given, or the fit is older than this."""
    if _keys.REGULATED.name(key) not in adata.varm:
        return None
    return rows.pool(np.asarray(_keys.REGULATED.find(adata, key), float).T)


def acted_on(adata: Any, key: str, regulator: str) -> dict[int, float]:
    """Positions of the genes that a regulator acts on, with the weights of the network."""
    network = _keys.PARAMS.find(adata, key).get("regulators")
    if not isinstance(network, pd.DataFrame):
        return {}
    place = {str(gene): g for g, gene in enumerate(adata.var_names)}
    target = network["target"].astype(str)
    own = network[(network["source"].astype(str) == regulator) & target.isin(place)]
    sizes = own["weight"].astype(float) if "weight" in own else pd.Series(1.0, index=own.index)
    return dict(zip((place[g] for g in own["target"].astype(str)), sizes.tolist(), strict=True))


def find_perturbation(names: list[str], perturbation: str) -> int:
    """Row of a perturbation; the parts of a combination in any order, with or without blanks around the plus.

    Raises
    ------
    KeyError
        It was not fitted; the message lists near names.
    TypeError
        It is not text.
    """
    if not isinstance(perturbation, str):
        raise TypeError(
            f"perturbation: expected one name, as text, found {type(perturbation).__name__}; "
            "the parts of a combination are joined by ' + '."
        )
    wanted = {perturbation, JOIN.join(sorted(part.strip() for part in perturbation.split("+")))}
    for row, name in enumerate(names):
        if name in wanted or JOIN.join(sorted(part.strip() for part in name.split("+"))) in wanted:
            return row
    near = get_close_matches(perturbation, names, n=3) or names[:5]
    raise KeyError(f"perturbation={perturbation!r} is not among the fitted ones; did you mean one of {near}?")


def gene_names(adata: Any, gene_symbols: str | None) -> list[str]:
    """What genes are called: their index, or a column of ``adata.var`` (the index where that is empty).

    Raises
    ------
    KeyError
        `gene_symbols` is not a column of ``adata.var``.
    """
    if gene_symbols is None:
        return [str(gene) for gene in adata.var_names]
    if gene_symbols not in adata.var:
        raise KeyError(f"gene_symbols={gene_symbols!r} is not a column of adata.var; found {list(adata.var.columns)}.")
    column = adata.var[gene_symbols].astype(object).where(adata.var[gene_symbols].notna(), adata.var_names)
    return [str(gene) for gene in column]

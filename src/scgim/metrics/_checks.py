"""Shared input checks of the metrics: clear errors instead of broadcasting by accident."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np


def dense(name: str, values: Any) -> np.ndarray:
    """Numbers or booleans of an array, a sparse matrix or a table."""
    if hasattr(values, "obs_names") or isinstance(values, str | bytes | dict | set) or isinstance(values, Iterator):
        mend = "its values, such as adata.X" if hasattr(values, "obs_names") else "a numpy array"
        raise TypeError(f"{name}: expected an array of numbers, found {type(values).__name__}; pass {mend}.")
    try:
        array = np.asarray(values.toarray() if hasattr(values, "toarray") else values)
        return array if array.dtype.kind in "biuf" else array.astype(float)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"{name}: expected an array of numbers, found {type(values).__name__} ({str(error)[:80]}); pass a numpy array."
        ) from error


def two_graphs(true_graph: Any, graph: Any, name_of_second: str = "graph") -> tuple[np.ndarray, np.ndarray]:
    """Two square arrays of one shape, (G, G) each, with zero diagonals."""
    pair = dense("true_graph", true_graph), dense(name_of_second, graph)
    for name, value in zip(("true_graph", name_of_second), pair, strict=True):
        if value.ndim != 2 or value.shape[0] != value.shape[1] or not value.size:
            raise ValueError(f"{name}: expected a square (G, G) array, found shape {value.shape}.")
        if not np.all(np.isfinite(value)):
            raise ValueError(f"{name}: expected finite numbers, found NaN or infinite values.")
        if np.diag(value).any():
            raise ValueError(f"{name}: expected a zero diagonal, found a gene that acts on itself.")
    if pair[0].shape != pair[1].shape:
        raise ValueError(f"{name_of_second}: expected the shape of true_graph, {pair[0].shape}, found {pair[1].shape}.")
    return pair


def two_tables(names: tuple[str, str], first: Any, second: Any) -> tuple[np.ndarray, np.ndarray]:
    """Two arrays of one shape with finite numbers; vectors become one row, so (K, G) each."""
    pair = np.atleast_2d(dense(names[0], first)), np.atleast_2d(dense(names[1], second))
    if pair[0].shape != pair[1].shape:
        raise ValueError(f"{names[1]}: expected the shape of {names[0]}, {pair[0].shape}, found {pair[1].shape}.")
    for name, value in zip(names, pair, strict=True):
        if not value.size:
            raise ValueError(f"{name}: expected at least one context and gene, found an array of shape {value.shape}.")
        if not np.all(np.isfinite(value)):
            raise ValueError(f"{name}: expected finite numbers, found NaN or infinite values.")
    return pair


def of_each(name: str, values: Any, like: np.ndarray) -> np.ndarray:
    """One vector for all rows, or one for each: ``(G,)`` or ``(K, G)`` to the shape of `like`."""
    array = dense(name, values)
    if array.ndim > 2 or np.atleast_2d(array).shape not in (like.shape, (1, like.shape[1])):
        raise ValueError(f"{name}: expected shape {like.shape[1:]} or {like.shape}, found {array.shape}.")
    return np.broadcast_to(array, like.shape)


def two_changes(true_mean: Any, mean: Any, control_mean: Any) -> tuple[np.ndarray, np.ndarray]:
    """True and predicted changes of the mean against the control, (K, G) each."""
    true_mean, mean = two_tables(("true_mean", "mean"), true_mean, mean)
    _, control = two_tables(("true_mean", "control_mean"), true_mean, of_each("control_mean", control_mean, true_mean))
    return true_mean - control, mean - control


def two_samples(x: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
    """Two sets of cells, (n, G) and (m, G), float64."""
    pair = dense("x", x).astype(float), dense("y", y).astype(float)
    for name, value in zip(("x", "y"), pair, strict=True):
        if value.ndim != 2 or len(value) == 0:
            raise ValueError(f"{name}: expected cells x genes with at least one cell, found shape {value.shape}.")
        if not np.all(np.isfinite(value)):
            raise ValueError(f"{name}: expected finite numbers, found NaN or infinite values.")
    if pair[0].shape[1] != pair[1].shape[1]:
        raise ValueError(f"y: expected the genes of x, {pair[0].shape[1]}, found {pair[1].shape[1]}.")
    return pair


def probabilities(name: str, values: Any) -> np.ndarray:
    """Numbers between 0 and 1."""
    array = dense(name, values).astype(float)
    if not np.all((array >= 0) & (array <= 1)):
        raise ValueError(f"{name}: expected numbers between 0 and 1, found others or NaN.")
    return array


def average_precision(truth: np.ndarray, score: np.ndarray) -> float:
    """Area under the precision-recall steps, ties in one step; NaN if nothing is true."""
    truth = np.asarray(truth, bool).ravel()
    score = np.asarray(score, float).ravel()
    if not truth.any():
        return float("nan")
    rank = np.argsort(-score, kind="stable")
    hits = np.cumsum(truth[rank])
    last = np.flatnonzero(np.append(np.diff(score[rank]) != 0, True))  # last place of each run of equal scores
    precision = hits[last] / (last + 1)
    recall = hits[last] / hits[-1]
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))

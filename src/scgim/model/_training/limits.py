"""What a fit may take: memory, estimated before anything is allocated, and time (layer `model`)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from scgim._check_basics import TooLargeError
from scgim._core.design import Design
from scgim._core.kinds import INTERVENTIONS
from scgim._core.settings import Settings
from scgim._core.structure.watch import TIMEOUT
from scgim._warnings import warn_user
from scgim._writing import check_room

BYTES = 8  # of a number
COPIES = 3  # of second moments while they are standardised: sums, moments, and one at a time
SQUARES = (
    16  # matrices over all functions that a search keeps: covariances, correlations to screen, prices, probabilities
)
CHECKPOINT_ROOM = 10_000_000  # bytes, a guess: weights and their moments
NO_SEED = "checkpoint: expected a seed as rng, found None, with which no fit is the same again; give rng a number."
CGROUP = Path("/sys/fs/cgroup")
MEMINFO = Path("/proc/meminfo")


def warn_stopped(why: str | None, timeout: float | None) -> None:
    """Warns of a search that ended early, with what to do."""
    if why is None:
        return
    ended = f"timeout: the search was not done after {timeout:g} s" if why == TIMEOUT else "Ctrl-C ended the search"
    warn_user(
        f"{ended}. The model is the best that was found until then, marked by model.fitted.settings['stopped']; train again with "
        "more time (timeout=None for as long as it needs), or with fewer genes (scgim.pp.select_genes)."
    )


def pools_of(intervention: str, design: Design) -> np.ndarray | None:
    """Contexts whose second moments are kept together, ``(K,)``: those of a drug set, or each context alone; None for all."""
    pools = {"none": np.zeros(0, dtype=int), "drug_set": design.drug_set + 1, "context": np.arange(len(design.dose))}
    pool = max((pools[kind.scatter] for kind in INTERVENTIONS[intervention]), key=lambda p: p.max(initial=-1))
    return pool if len(pool) else None


def free_memory() -> float:
    """Bytes that can be had now, also inside of a container; infinite where the system does not say."""
    free = float("inf")
    if MEMINFO.is_file():
        lines = dict(line.split(":", 1) for line in MEMINFO.read_text().splitlines() if ":" in line)
        if "MemAvailable" in lines:
            free = 1024.0 * float(lines["MemAvailable"].split()[0])
    limit, used = CGROUP / "memory.max", CGROUP / "memory.current"
    if limit.is_file() and used.is_file() and (text := limit.read_text().strip()).isdigit():
        free = min(free, max(float(text) - float(used.read_text()), 0.0))
    return free


def check_memory(intervention: str, pool: np.ndarray | None, n_contexts: int, n_functions: int) -> None:
    """Raises where moments and search would need more memory than there is.

    Parameters
    ----------
    intervention
        Kinds of intervention, by the name of the setting.
    pool
        See `pools_of`.
    n_contexts, n_functions
        Numbers of contexts, and of basis functions of all genes.
    """
    n_pools = 0 if pool is None else int(pool.max()) + 1
    square = BYTES * float(n_functions) ** 2
    moments = COPIES * n_pools * square
    needed, free = moments + SQUARES * square + BYTES * 4.0 * n_contexts * n_functions, free_memory()
    if needed <= free:
        return
    left = free / (BYTES * (COPIES * n_pools + SQUARES))
    kept = f"second moments of {n_pools} drugs or contexts" if n_pools else "one matrix of second moments"
    raise TooLargeError(
        f"intervention: {intervention!r} keeps {kept} of {n_functions} basis functions of genes, about {needed / 1e9:.2g} GB, and there is "
        f"memory of {free / 1e9:.2g} GB. Select genes first (scgim.pp.select_genes), at most {int(left**0.5)} basis functions"
        + (", or use intervention='shift', which keeps one matrix." if n_pools else ".")
    )


def check_timeout(timeout: float | None, choices: Settings[Any]) -> None:
    """Raises ValueError for a limit of the search where nothing is searched."""
    if timeout is not None and not choices.learner.searches:
        raise ValueError(
            f"timeout: ends a search, and structure={choices.learner.structure!r} is trained without one, found {timeout!r}; limit its "
            "epochs by max_epochs, or leave timeout out."
        )


def check_checkpoint(
    folder: str | os.PathLike[str],
    choices: Settings[Any],
    max_epochs: int | None,
    rng: Any,
    *,
    known: bool,
) -> None:
    """Raises where there is nothing to write a checkpoint of, or where it could not be written or found again.

    Parameters
    ----------
    folder
        Of the checkpoints.
    choices
        What is fitted.
    max_epochs, rng
        Epochs and seed that were asked for.
    known
        Whether a network of regulators is known, which no training by minibatches reads.

    Raises
    ------
    ValueError, PermissionError, NotADirectoryError, OSError
    """
    nothing = None
    if max_epochs == 0:
        nothing = "max_epochs=0 trains nothing by minibatches"
    elif choices.learner.searches and (choices.learner.exact or known or not choices.observation.direct):
        nothing = "with these choices the search is the whole fit, and nothing is trained by minibatches"
    elif choices.learner.searches and choices.mechanism.closed_form and max_epochs is None:
        nothing = (
            f"mechanism={choices.mechanism.name!r} is trained for a few epochs at most unless max_epochs says more"
        )
    if nothing is not None:
        raise ValueError(f"checkpoint: {nothing}, so that there is nothing to go on from; leave it out.")
    if rng is None:
        raise ValueError(NO_SEED)
    try:
        check_room(folder, CHECKPOINT_ROOM)
    except OSError as error:
        raise type(error)(f"checkpoint: {error}") from error

"""A warning after a fit: drugs move genes beyond doubt and none is called."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scgim._warnings import warn_user

if TYPE_CHECKING:
    from scgim._core.design import Design
    from scgim._core.fit import Fit

LIKELY = 0.5  # probability of a target
BEYOND_DOUBT = 4.0  # standard errors of a drug's small effect on a gene
FEWEST = 3  # genes that a drug has to move


def warn_silent(fit: Fit, design: Design, *, network: bool) -> None:
    """Warn where a fit calls nothing, though drugs move genes: everything moves, and no gene stands out.

    Parameters
    ----------
    fit
        Just fitted.
    design
        Of its contexts: what is drawn of hidden causes has the sampling error of the cells.
    network
        Whether regulators were given.
    """
    largest = max((float(kind.of_drug.probability.max(initial=0.0)) for kind in fit.kinds), default=0.0)
    named = fit.regulators.probability.max(initial=0.0) if fit.regulators.probability.size else 0.0
    if max(largest, named) > LIKELY:
        return
    n_drug = np.array([design.n_cells[design.of(d)].sum() for d in range(len(fit.drugs))])  # (D,)
    sampling = np.sqrt(1 / np.maximum(n_drug, 1) + 1 / max(design.n_cells[design.control].sum(), 1))
    drift = fit.drift.of_drug
    error = np.maximum(drift.sd, sampling[:, None] * fit.mechanisms.noise_sd)  # (D, G)
    moved = (np.abs(drift.mean) > BEYOND_DOUBT * error) & (np.abs(drift.mean) > 0)  # (D, G)
    n = moved.sum(axis=1)
    if n.max(initial=0) < FEWEST:
        return
    d = int(n.argmax())
    alone, unregulated = len(design.group_names) < 2, not network
    mends = ["register batches or patients (batch_key), which tell consistent shifts from others"] * alone
    mends += ["give a network of regulators (regulators=), which may name a common cause"] * unregulated
    warn_user(
        f"no targets: no gene is more likely a target than not (largest probability {largest:.2g}), though {fit.drugs[d]} moves {n[d]} of "
        f"{len(fit.genes)} genes: none moves by much more than genes do anyway. Read the order (get.targets, log_odds) rather than the "
        f"probabilities{''.join(', or ' + mend for mend in mends)}."
    )

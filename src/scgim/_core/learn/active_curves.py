"""What is not known of the dose curves of changes of activity (layer `_core`; not from the paper)."""

from dataclasses import replace
from itertools import product

import numpy as np

from scgim._core.effects import KindFit
from scgim._core.kinds.activity import Activity, Children
from scgim._core.learn.active_fit import ActiveFit, Expected
from scgim._core.posterior.effects.targets import by_context


def along_curves(run: ActiveFit, children: list[Children]) -> KindFit:
    """Changes of activity, whose standard deviations hold what is not known of the curve, as those of shifts do (delta method).

    They are chosen already: at both ends of each axis the cells tell anew how large they are.
    """
    kind, shift, curves, G = run.activity, run.shift.found, run.activity.curves, run.moments.n_genes
    if kind.found is None or shift is None:
        raise RuntimeError("no round was run")
    if curves.axes is None:
        return kind.found
    of_drug, forms = kind.found.of_drug, run.forms(children, kind.background)
    on = np.concatenate([part.probability > 0.5 for part in (of_drug, shift.of_drug)], axis=1)  # (D, 2G)
    effect = np.concatenate([of_drug.expected, shift.of_drug.expected], axis=1)
    expected = Expected(len(run.moments.n), len(on), 2 * G)
    for d, rows in enumerate(run.rows):
        expected.set(d, rows, np.repeat(run.factors()[rows, d], G, axis=1) * effect[d])
    along = np.zeros((2, *of_drug.shape))
    moved = [np.zeros((2, len(rows), G)) for rows in run.rows]  # (2, L, G) of each drug, in its contexts
    h = run.factors()[:, :, 0]
    for axis, by in product(range(2), (0.5, -0.5)):
        kind.curves = curves.moved(axis, 2 * by)
        for d, _, factor, choice in run.choices(forms, expected):
            mean = choice.conditional(on[d])[1][:G]
            along[axis, d] += by * mean
            moved[d][axis] += by * factor[:, :G] * mean
    kind.curves = curves
    pieces = []
    for d, rows in enumerate(run.rows):
        of_rows = h[rows, d, None] * np.stack([of_drug.mean[d], of_drug.sd[d]])[:, None]  # (2, L, G)
        pieces.append((of_rows[0], np.sqrt(of_rows[1] ** 2 + (moved[d] ** 2).sum(axis=0))))
    of_context = by_context(of_drug.probability, run.rows, pieces, len(run.moments.n), Activity.together)
    of_drug = replace(of_drug, sd=np.sqrt(of_drug.sd**2 + (along**2).sum(axis=0)))
    return KindFit(kind.name, of_drug, of_context, of_drug[:, None], along, along[:, :, None])

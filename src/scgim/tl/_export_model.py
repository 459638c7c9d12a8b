"""A folder that holds a fitted model and its card, ready for the Hugging Face hub."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scgim._checks import FLAG, MODEL, PATH, TABLE, TEXT, checked, or_none
from scgim._version import __version__
from scgim._writing import check_free, together
from scgim.model._saving.save import write_model

if TYPE_CHECKING:
    from pathlib import Path

    from scgim.model import GIM

CARD_FILE = "README.md"  # the name under which the hub looks for a card
TAGS = ("biology", "genomics", "single-cell", "perturbation", "gene-regulatory-networks", "causal-inference", "scverse")
CHOICES: tuple[str, ...] = ("mechanism", "intervention", "noise", "structure")
MOST_NAMES = 40  # drugs or genes that a card lists; the file of the model holds all of them
SURE = 0.9  # probability from which targets and edges are counted


@checked(
    model=MODEL,
    path=PATH,
    license=TEXT,
    title=or_none(TEXT),
    data=or_none(TEXT),
    evaluation=or_none(TABLE),
    save_anndata=FLAG,
    overwrite=FLAG,
)
def export_model(
    model: GIM,
    path: str | Path,
    *,
    license: str,  # the name that the hub has for it
    title: str | None = None,
    data: str | None = None,
    evaluation: pd.DataFrame | None = None,
    save_anndata: bool = False,
    overwrite: bool = False,
) -> str:
    """Write a model and a card that says what it is, in a folder that can be uploaded as it stands.

    Nothing is sent anywhere. The folder holds ``model.npz`` (arrays and JSON, see :meth:`scgim.model.GIM.save`), ``README.md`` with the metadata of
    the hub, and the training data only if asked for.

    Parameters
    ----------
    model
        A fitted model; its data are not needed.
    path
        The folder.
    license
        Licence of the model as the hub writes it, such as ``"cc-by-4.0"``. It has no default: the data that the model was fitted to
        decide what is allowed.
    title
        First line of the card.
    data
        What the cells are, and where they come from: a sentence or a citation.
    evaluation
        Result of :func:`scgim.tl.evaluate`; medians over conditions go into the card.
    save_anndata
        Whether the training data are put beside the model.
    overwrite
        Whether files that are there are replaced.

    Returns
    -------
    The text of the card.

    Raises
    ------
    ValueError
        The folder holds something and `overwrite` is not set, or the data are asked for and not there.
    KeyError
        A column of `evaluation` is missing.

    Examples
    --------
    >>> scgim.tl.export_model(model, "to_upload", license="cc-by-4.0")
    >>> huggingface_hub.upload_folder(  # doctest: +SKIP
    ...     repo_id="me/my-model", folder_path="to_upload"
    ... )
    """
    text = card(model, license=license, title=title, data=data, evaluation=evaluation)
    if not overwrite:
        check_free(path)
    with together(path) as folder:
        write_model(model, folder, save_anndata=save_anndata)
        (folder / CARD_FILE).write_text(text, encoding="utf-8")
    return text


def card(model: GIM, *, license: str, title: str | None, data: str | None, evaluation: pd.DataFrame | None) -> str:
    """The card as Markdown with the metadata of the hub in front."""
    title = title or "Generative intervention model of a perturbation screen"
    scores = "" if evaluation is None else _scores(evaluation)
    metadata = {
        "license": license,
        "library_name": "scgim",
        "tags": [*TAGS, f"scgim_version:{__version__}", "model_cls_name:GIM"],
    }
    parts = [
        "\n".join(
            ["---", *(f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in metadata.items()), "---"]
        ),
        f"# {_line(title)}",
        "Where each drug acts, as probabilities and effects for every gene, and a causal graph over the genes. Fitted by "
        "[scgim](https://github.com/scgim/scgim) (generative intervention models, "
        "[arXiv:2411.14003](https://arxiv.org/abs/2411.14003)).",
        f"## Data\n\n{data or 'Not described by whoever exported the model.'}\n\n{_table(_of_data(model))}",
        f"## Model\n\n{_table(_of_model(model))}",
        f"## Evaluation\n\n{scores or 'None was given. Use scgim.tl.evaluate on held-out conditions before relying on predictions.'}",
        USE,
        LIMITS,
        f"## Drugs\n\n{_names(model.fitted.drugs)}\n\n## Genes\n\n{_names(model.fitted.genes)}",
    ]
    return "\n\n".join(parts) + "\n"


USE = """## Use

```python
import huggingface_hub
import pandas as pd
import scgim

folder = huggingface_hub.snapshot_download("OWNER/NAME")
model = scgim.model.GIM.load(folder, adata=False)
model.get_targets()
model.predict_mean(pd.DataFrame(...))  # one row a condition, with the columns above
```

The file of the model holds arrays and JSON; opening it runs no code."""
LIMITS = """## Limits

Probabilities hold under the model. A target is direct only among the genes that were modelled, and causes that were not measured can look
like targets or edges. Predictions for cells, doses or drugs unlike the data above are extrapolations."""


def _of_data(model: GIM) -> dict[str, str]:
    """What the model was fitted to."""
    contexts, design, spec = model.contexts, model.design, model.study.spec
    doses = np.unique(design.dose[design.dose > 0])
    rows = {
        "cells": f"{int(contexts['n_cells'].sum()):,}",
        "genes": f"{len(model.fitted.genes):,}",
        "drugs": f"{len(model.fitted.drugs):,}",
        "contexts": f"{len(contexts):,} (a drug or combination at a dose in a batch, or a control)",
        "perturbation columns": ", ".join(f"`{name}`" for name in spec.perturbation),
        "control": f"`{spec.control}`",
    }
    if design.has_dose and len(doses):
        names = ", ".join(f"`{name}`" for name in spec.dose)
        rows["dose columns"] = f"{names}; {len(doses)} doses from {doses[0]:g} to {doses[-1]:g}"
    if spec.covariates:
        rows["batches and covariates"] = ", ".join(f"`{name}`" for name in spec.covariates)
    if spec.features:
        rows["features"] = f"`{spec.features}`"
    return rows


def _of_model(model: GIM) -> dict[str, str]:
    """How it was fitted, and what was found."""
    settings, fit = model.settings, model.fitted
    rows: dict[str, str] = {name: f"`{settings[name]}`" for name in CHOICES if name in settings}
    rows[f"targets with a probability of at least {SURE:g}"] = f"{int((fit.of_drug.probability >= SURE).sum()):,}"
    rows[f"edges with a probability of at least {SURE:g}"] = f"{int((fit.graph.probability >= SURE).sum()):,}"
    rows["scgim"] = __version__
    return rows


def _scores(evaluation: pd.DataFrame) -> str:
    """Medians over held-out conditions, one row a metric, one column a method."""
    absent = [name for name in ("method", "context", "metric", "value") if name not in evaluation]
    if absent:
        raise KeyError(
            f"evaluation: columns {absent} are missing; pass the result of scgim.tl.evaluate(model, adata_test)."
        )
    wide = evaluation.groupby(["metric", "method"], sort=False)["value"].median().unstack()
    head = f"Medians over {evaluation['context'].nunique()} held-out conditions; `gim` is this model, the others are baselines."
    lines = ["| metric | " + " | ".join(map(str, wide.columns)) + " |", "|---" * (wide.shape[1] + 1) + "|"]
    lines += [
        f"| {name} | " + " | ".join(f"{value:.3g}" for value in row) + " |"
        for name, row in zip(wide.index, wide.to_numpy(), strict=True)
    ]
    return head + "\n\n" + "\n".join(lines)


def _table(rows: dict[str, str]) -> str:
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {_line(value)} |" for name, value in rows.items())])


def _names(names: tuple[str, ...]) -> str:
    shown = ", ".join(f"`{_line(name)}`" for name in names[:MOST_NAMES])
    return shown if len(names) <= MOST_NAMES else f"{shown} and {len(names) - MOST_NAMES:,} others"


def _line(text: str) -> str:
    """Text that stays within its line and its cell of a table."""
    return " ".join(str(text).split()).replace("|", "\\|")

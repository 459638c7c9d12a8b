"""Options are described once, and mean the same wherever they are taken."""

import inspect
from collections.abc import Callable, Sequence
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import pytest

import scgim
from scgim import _options
from scgim.cli._app import fit as command
from scgim.cli._options import NOT_TEXT, on_command_line
from scgim.model import GIM
from scgim.model._study import setup

OWN = {"layer", "modalities", "progress", "model_kwargs", "key_added", "accelerator", "devices", "rng"}
"""Options of `tl.fit` whose type is wider than the model's, or that it has alone."""


def named(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """Keyword-only parameters."""
    return {n: p for n, p in inspect.signature(function).parameters.items() if p.kind is p.KEYWORD_ONLY}


SOURCES = {
    "setup_anndata": named(GIM.setup_anndata),
    "GIM": named(GIM.__init__),
    "train": {n: p for n, p in inspect.signature(GIM.train).parameters.items() if n not in ("self", "trainer_kwargs")},
}


@pytest.mark.parametrize("source", SOURCES)
def test_fit_has_every_option_of_the_model_with_its_default(source):
    theirs, own = SOURCES[source], inspect.signature(scgim.tl.fit).parameters
    assert set(theirs) <= set(own)
    assert {n: own[n].default for n in theirs} == {n: p.default for n, p in theirs.items()}


@pytest.mark.parametrize(("source", "function"), [("setup_anndata", GIM.setup_anndata), ("GIM", GIM.__init__)])
def test_fit_takes_the_same_types_as_the_model(source, function):
    import numpy as np
    from anndata import AnnData

    names = {"AnnData": AnnData, "MuData": object, "np": np, "GIM": GIM}
    theirs = get_type_hints(function, vars(setup) | vars(_options) | names)
    own = get_type_hints(scgim.tl.fit, localns=names)
    options = set(SOURCES[source]) - OWN
    assert {n: own[n] for n in options} == {n: theirs[n] for n in options}


def test_fit_has_no_option_that_the_model_lacks():
    known = set().union(*SOURCES.values())
    assert set(named(scgim.tl.fit)) - known == {"modalities", "model_kwargs", "key_added"}


def test_setup_of_mudata_takes_what_setup_of_anndata_takes():
    wide, narrow = named(GIM.setup_mudata), named(GIM.setup_anndata)
    assert set(wide) == set(narrow) | {"modalities"}
    assert {n: wide[n].default for n in narrow} == {n: p.default for n, p in narrow.items()}


@pytest.mark.parametrize("function", [scgim.tl.fit, GIM.setup_anndata, GIM.setup_mudata, GIM, GIM.train, command])
def test_every_option_is_described(function):
    described = inspect.getdoc(function)
    assert "%(" not in described
    lines = described.splitlines()
    beside = {
        n for n, p in named(function).items() if any(getattr(m, "help", None) for m in get_args(p.annotation)[1:])
    }
    assert set(named(function)) - set(lines) - beside - {"registry"} == set()


def test_the_command_has_the_options_of_fit():
    theirs, own = named(scgim.tl.fit), named(command)
    assert set(theirs) - set(own) == set(NOT_TEXT) - {"adata"}
    assert {n: own[n].default for n in own if n in theirs} == {n: theirs[n].default for n in own if n in theirs}


@pytest.mark.parametrize(
    ("annotation", "text"),
    [
        (str | None, str | None),
        (_options.MechanismName, _options.MechanismName),
        (int | list[int] | str, int | str),
        (Any, str | None),
    ],
)
def test_types_of_the_command_line(annotation, text):
    found = on_command_line(annotation)
    assert (get_args(found)[0] if get_origin(found) is Annotated else found) == text


def test_columns_are_options_that_may_be_given_several_times():
    found = on_command_line(str | Sequence[str] | None)
    assert get_origin(found) is Annotated
    assert get_args(found)[0] == list[str] | None


def test_marks_are_taken_out_for_terminals():
    text = 'As in :class:`~scvi.train.Trainer`: ``"cpu"`` :cite:p:`schneider2025`, of `x`.'
    assert _options.plain_text(text) == 'As in scvi.train.Trainer: "cpu", of x.'


def test_functions_without_docstrings_stay_as_they_are():
    def bare(): ...

    assert _options.documented(bare) is bare
    assert bare.__doc__ is None


def test_every_option_of_the_command_line_can_be_given_a_value():
    """A type that is not text, a number or a choice (such as a quoted one) would take none."""
    for name, option in named(command).items():
        kept = option.annotation
        kept = get_args(kept)[0] if get_origin(kept) is Annotated else kept
        assert set(get_args(kept) or (kept,)) - {type(None), None}, name

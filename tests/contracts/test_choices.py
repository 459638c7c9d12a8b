"""What goes with what: one table, by which every combination is either taken or refused with a way out."""

import itertools
import re
from dataclasses import replace
from pathlib import Path

import pytest

from scgim._core.learn.base import pick
from scgim._core.mechanisms import MECHANISMS
from scgim._core.observation import OBSERVATIONS
from scgim._core.settings import Settings, together
from scgim.model._training.choices import LEARNERS, NAMES, what_goes_with_what

PAGE = Path(__file__).parents[2] / "docs" / "user_guide" / "choose.md"
EVERY = [dict(zip(NAMES, names, strict=True)) for names in itertools.product(*NAMES.values())]
ALLOWED = {  # structure, intervention: mechanisms under gaussian noise
    ("search", "shift"): {"linear", "additive", "neural"},
    ("search", "hard"): {"linear", "additive", "neural"},
    ("search", "activity"): {"linear", "additive", "neural"},
    ("search", "auto"): {"linear", "additive", "neural"},
    ("cyclic", "shift"): {"linear"},
    ("gradient", "shift"): {"linear", "additive", "neural"},
    ("gradient", "hard"): {"linear", "additive", "neural"},
}


def settings(mechanism="linear", intervention="shift", noise="gaussian", structure="search", **further):
    learner = pick(LEARNERS, structure, intervention)
    return Settings(MECHANISMS[mechanism], intervention, OBSERVATIONS[noise](), learner, **further)


@pytest.mark.parametrize("names", EVERY, ids=lambda names: "-".join(names.values()))
def test_every_combination_is_taken_or_refused_as_written_here(names):
    made = settings(**names)
    assert made.named() == names
    latent = names["noise"] != "gaussian"
    usual = ALLOWED.get((names["structure"], names["intervention"]), set())
    fits = names["mechanism"] in usual
    if latent:
        fits = (names["structure"], names["intervention"], names["mechanism"]) == ("search", "shift", "linear")
    if fits:
        made.check()
        return
    with pytest.raises(ValueError, match="needs .*, found .*; use ") as error:
        made.check()
    for line in str(error.value).splitlines():
        argument, value, other, found = re.match(r"(\w+): '(\w+)' needs (\w+)=.*, found '(\w+)'; use ", line).groups()
        assert (names[argument], names[other]) == (value, found)


@pytest.mark.parametrize("names", EVERY, ids=lambda names: "-".join(names.values()))
def test_the_table_says_the_same_as_the_check(names):
    made = settings(**names)
    allowed = together(made.learner, made.observation, NAMES)
    taken = allowed is not None and all(
        names[argument] in (limits or ()) for argument, limits in allowed.names().items()
    )
    assert taken == (list(made.problems()) == [])


@pytest.mark.parametrize(
    ("names", "unused"),
    [
        (
            {"structure": "gradient"},
            {"effects_by": "batch", "graph_prior": True, "known_targets": True, "n_ensemble": 2},
        ),
        ({"intervention": "auto"}, {"effects_by": "batch"}),
        ({"intervention": "activity"}, {"effects_by": "batch"}),
        ({"structure": "cyclic"}, {}),
        ({"intervention": "hard"}, {}),
        ({"noise": "poisson_lognormal"}, {}),
    ],
    ids=str,
)
def test_arguments_that_are_not_used_are_refused(names, unused):
    made = settings(**names)
    for argument, value in {"effects_by": "batch", "graph_prior": True, "known_targets": True, "n_ensemble": 2}.items():
        problems = list(replace(made, **{argument: value}).problems())
        assert len(problems) == (argument in unused)
        assert all(re.match(rf"{argument}: \w+='\w+' does not use it; leave it out, or use ", p) for p in problems)


def test_everything_that_is_wrong_is_said_at_once():
    with pytest.raises(ValueError, match="needs mechanism") as error:
        settings("additive", "shift", structure="cyclic", noise="poisson_lognormal").check()
    assert len(str(error.value).splitlines()) == 3


def test_the_page_on_choices_shows_the_table():
    assert what_goes_with_what() in PAGE.read_text(encoding="utf-8")

"""Epochs and batch sizes that are not given."""

from scgim.model._module.runner import default_batch_size, heuristic_epochs


def test_heuristics():
    assert heuristic_epochs("linear", 9000) == 5
    assert heuristic_epochs("neural", 10**6) == 5
    assert heuristic_epochs("neural", 9000) > 20
    assert default_batch_size("neural", 200) == 32
    assert default_batch_size("neural", 10**6) == 512

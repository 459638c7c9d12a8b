"""Seeds for the time of a fit, restored afterwards."""

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np


def as_seed(rng: "int | np.random.Generator | None") -> int:
    """An integer seed from what the user gave as ``rng``."""
    if rng is None:
        return int(np.random.default_rng().integers(2**31))
    if isinstance(rng, np.random.Generator):
        return int(rng.integers(2**31))
    return int(rng)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Set ``scvi.settings.seed`` (python, numpy and torch follow) and put everything back at the end."""
    import torch
    from scvi import settings

    variables = ("PL_GLOBAL_SEED", "PL_SEED_WORKERS", "XLA_FLAGS")
    environment = {name: os.environ.get(name) for name in variables}
    before = settings.seed
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    cudnn = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    try:
        settings.seed = seed
        yield
    finally:
        settings.seed = before
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        torch.set_rng_state(states[2])
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = cudnn
        for name, value in environment.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

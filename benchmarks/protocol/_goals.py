"""The bounds that the medians are held against; not from the paper."""

from __future__ import annotations

from dataclasses import dataclass

BASELINES = ("control", "training_mean", "ridge", "knn", "gp", "mlp")


@dataclass(frozen=True)
class Goal:
    """A bound on a median; `over`: on its ratio to the smallest median of these methods."""

    systems: str
    metric: str
    sign: str
    bound: float
    over: tuple[str, ...] = ()


INFORMATIVE = ("principal_components", "projection")
GOALS = [
    *(
        Goal(f"{graph}-linear-shift-principal_components", metric, sign, bound)
        for graph in ("er", "sf")
        for metric, sign, bound in (
            ("edge_f1", ">=", 0.98),
            ("shd", "<=", 1),
            ("target_f1", ">=", 0.98),
            ("seconds", "<=", 10),
        )
    ),
    Goal("er-neural-shift-principal_components", "edge_f1", ">=", 0.95),
    Goal("er-neural-shift-principal_components", "target_f1", ">=", 0.93),
    Goal("er-neural-shift-principal_components", "seconds", "<=", 300),
    *(
        Goal(f"{graph}-linear-hard-principal_components", metric, ">=", 0.95)
        for graph in ("er", "sf")
        for metric in ("edge_f1", "target_f1")
    ),
    *(
        Goal(f"{graph}-{mechanism}-shift-{features}", f"{metric}_new_doses", "<=", bound, BASELINES)
        for mechanism, bound in (("linear", 0.62), ("neural", 0.75))
        for graph in ("er", "sf")
        for features in INFORMATIVE
        for metric in ("mean_distance", "energy_distance")
    ),
    *(
        Goal(f"{graph}-{mechanism}-shift-{features}", metric, sign, bound, over)
        for mechanism, ratio, f1 in (("linear", 0.22, 0.94), ("neural", 0.4, 0.85))
        for graph in ("er", "sf")
        for features in INFORMATIVE
        for metric, sign, bound, over in (
            ("mean_distance_new_drugs", "<=", ratio, BASELINES),
            ("target_f1_new_drugs", ">=", f1, ()),
        )
    ),
    *(
        Goal(f"{graph}-{mechanism}-shift-noise", metric, sign, bound, over)
        for mechanism in ("linear", "neural")
        for graph in ("er", "sf")
        for metric, sign, bound, over in (
            ("mean_distance_new_drugs", "<=", 1.02, ("control", "training_mean")),
            ("warned_of_features", ">=", 1, ()),
        )
    ),
]
CALIBRATION = {"targets": 0.05, "edges": 0.10}

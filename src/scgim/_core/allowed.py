"""What goes with what: limits of learners and noise models as data, for errors and documentation (layer `_core`)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Allowed:
    """Settings that go with an option; None stands for all."""

    # names that `GIM(mechanism=..., intervention=..., noise=...)` may have beside it
    mechanisms: tuple[str, ...] | None = None
    interventions: tuple[str, ...] | None = None
    noises: tuple[str, ...] | None = None
    effects_by: bool = True  # whether effects may differ between the levels of a covariate
    knowledge: bool = True  # whether `graph_prior` and `known_targets` are used
    ensembles: bool = True  # whether fits to bootstrap samples can be averaged
    instead: str = ""  # what to use where a setting does not go with it, for messages

    def names(self) -> dict[str, tuple[str, ...] | None]:
        """The names that are allowed, by the argument of ``GIM``."""
        return {"mechanism": self.mechanisms, "intervention": self.interventions, "noise": self.noises}

    def uses(self) -> dict[str, bool]:
        """Whether further arguments of ``GIM`` are used, by the argument."""
        return {
            "effects_by": self.effects_by,
            "graph_prior": self.knowledge,
            "known_targets": self.knowledge,
            "n_ensemble": self.ensembles,
        }

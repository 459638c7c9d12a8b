"""Training plan of the published estimator: Adam, an augmented Lagrangian, and schedules (layer `model`).

From the paper :cite:p:`schneider2025`: Adam and the augmented Lagrangian. The numbers and schedules are not.
"""

from __future__ import annotations

from typing import Any

import torch

from scgim.model._module.plan import GIMTrainingPlan
from scgim.model._published.module import MAX_LOGIT, PublishedModule, acyclicity


class PublishedPlan(GIMTrainingPlan):
    """Adam with the augmented Lagrangian, whose multiplier grows with what is left of cycles.

    Parameters
    ----------
    module
        A `PublishedModule`.
    lr, lr_edges, lr_maps
        Of Adam: of mechanisms, baselines and noise; of the logits of edges; of the maps g and h.
    n_blocks
        Updates of the multiplier, before the order of the genes is fixed.
    quadratic, growth
        First weight of the squared constraint, and its growth at each update.
    tolerance
        Value of the constraint below which multiplier and weight stay.
    fix
        Share of the training after which the order is fixed.
    temperatures
        Of the Gumbel-sigmoid samples, at the start and from then on.
    target_factor
        Factor of the prior of targets at the start, which is 1 from then on; None for that of the kind of intervention.
    kwargs
        Of `GIMTrainingPlan`.
    """

    module: PublishedModule

    def __init__(
        self,
        module: PublishedModule,
        *,
        lr: float = 1e-2,
        lr_edges: float = 2e-2,
        lr_maps: float = 1e-2,
        n_blocks: int = 20,
        quadratic: float = 0.01,
        growth: float = 1.6,
        tolerance: float = 0.02,
        fix: float = 0.75,
        temperatures: tuple[float, float] = (1.0, 0.5),
        target_factor: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(module, lr=lr, keep_best=False, **kwargs)
        self.lr_edges, self.lr_maps = lr_edges, lr_maps
        self.n_blocks, self.growth, self.tolerance, self.fix = n_blocks, growth, tolerance, fix
        self.temperatures = temperatures
        usual = module.kind.first_factor
        self.target_factor = usual if target_factor is None else target_factor
        module.quadratic = quadratic
        self._block, self._steps = 0, 0

    def training_step(self, batch: dict[str, torch.Tensor], batch_idx: int) -> torch.Tensor:
        """Loss of a minibatch, at the temperature and the prior of the present step."""
        self._steps = self._steps or max(int(self.trainer.estimated_stepping_batches), 1)
        passed = min(self.global_step / self._steps / self.fix, 1.0)
        first, last = self.temperatures
        self.module.temperature = first * (last / first) ** passed
        self.module.target_factor = self.target_factor ** (1 - passed)
        _, out, loss = self.forward(batch, loss_kwargs=self.loss_kwargs)
        self._check_finite(loss, out["context"])
        self.log("train_loss", loss.loss.detach(), on_step=False, on_epoch=True, batch_size=loss.n_obs_minibatch,
                 sync_dist=self.use_sync_dist, prog_bar=True)  # fmt: skip
        return loss.loss

    def on_train_epoch_end(self) -> None:
        """Updates the multiplier, or fixes the order; there is no expectation step."""
        module, epochs = self.module, self.trainer.max_epochs or 1
        with torch.no_grad():
            module.edge_logits.clamp_(-MAX_LOGIT, MAX_LOGIT)
            cyclic = float(acyclicity(module.edge_probability()))
        self.log("acyclicity", cyclic, on_epoch=True, batch_size=1, rank_zero_only=True)
        passed = (self.current_epoch + 1) / epochs / self.fix
        if module.ordered:
            return
        if passed >= 1:
            module.fix_order()
        elif int(passed * self.n_blocks) > self._block and cyclic > self.tolerance:
            self._block = int(passed * self.n_blocks)
            module.multiplier += module.quadratic * cyclic
            module.quadratic *= self.growth

    def on_train_end(self) -> None:
        """Fixes the order where training stopped before that."""
        if not self.module.ordered:
            self.module.fix_order()

    def training_state(self) -> dict[str, Any]:
        """The last update of the multiplier."""
        return super().training_state() | {"block": self._block}

    def load_training_state(self, state: dict[str, Any]) -> None:
        """Takes it over."""
        super().load_training_state(state)
        self._block = state["block"]

    def configure_optimizers(self) -> dict[str, Any]:
        """Adam with a learning rate for each group of parameters, all of which fall along half a cosine."""
        rates = {"edge_logits": self.lr_edges, "g": self.lr_maps, "h": self.lr_maps}
        groups: dict[float, list[torch.nn.Parameter]] = {}
        for name, parameter in self.module.named_parameters():
            groups.setdefault(rates.get(name.partition(".")[0], float(self.lr)), []).append(parameter)
        optimizer = torch.optim.Adam(
            [{"params": group, "lr": lr} for lr, group in groups.items()], eps=self.eps, weight_decay=self.weight_decay
        )
        if not self.decay:
            return {"optimizer": optimizer}
        steps = max(int(self.trainer.estimated_stepping_batches), 1)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

"""Training plan: expectation maximisation with minibatches (layer `model`).

Differs from scvi-tools' plan in Adam's epsilon (theirs, 0.01, is larger than the gradients of sparse weights), in an
expectation step at the end of each epoch, in a guard against losses that are not finite, in clipped gradients, and in
metrics that are logged without inference mode, under which multi-process training fails.
"""

from typing import Any

import torch
from scvi.module.base import LossOutput
from scvi.train import TrainingPlan
from torch import distributed

from scgim.model._module.expectation import expectation
from scgim.model._module.module import GIMModule, as_residuals
from scgim.model._reading.keys import WEIGHT_KEY


class GIMTrainingPlan(TrainingPlan):
    """Trains a :class:`GIMModule`.

    Parameters
    ----------
    module
        To train.
    lr, weight_decay, eps
        Of Adam.
    gradient_clip
        Largest norm of the gradient, for each gene as a share of the square root of their number; None for no limit.
    decay
        Whether the learning rate falls to zero along half a cosine.
    learn_prior
        Whether the expectation step learns the prior of the interventions.
    keep_best
        Whether the weights of the epoch with the lowest held-out loss are kept, where some cells are held out.
    kwargs
        Of scvi-tools' plan.
    """

    module: GIMModule

    def __init__(
        self,
        module: GIMModule,
        *,
        lr: float = 3e-3,
        weight_decay: float = 0.0,
        eps: float = 1e-8,
        gradient_clip: float | None = 10.0,
        decay: bool = True,
        learn_prior: bool = True,
        keep_best: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(module, lr=lr, weight_decay=weight_decay, eps=eps, **kwargs)
        self.gradient_clip, self.decay, self.learn_prior, self.keep_best = gradient_clip, decay, learn_prior, keep_best
        self._sums: torch.Tensor | None = None
        self._best: tuple[float, dict[str, torch.Tensor]] | None = None

    def training_step(self, batch: dict[str, torch.Tensor], batch_idx: int) -> torch.Tensor:
        """Loss of a minibatch; its residuals are added to the sums of the epoch."""
        _, out, loss = self.forward(batch, loss_kwargs=self.loss_kwargs)
        self._check_finite(loss, out["context"])
        sums = self.module.residual_sums(out["residual"], out["z"], out["context"], batch.get(WEIGHT_KEY))
        self._sums = sums if self._sums is None else self._sums + sums
        self.log("train_loss", loss.loss.detach(), on_step=False, on_epoch=True, batch_size=loss.n_obs_minibatch,
                 sync_dist=self.use_sync_dist, prog_bar=True)  # fmt: skip
        self.compute_and_log_metrics(loss, self.train_metrics, "train")
        return loss.loss

    def _check_finite(self, loss: LossOutput, context: torch.Tensor) -> None:
        if bool(torch.isfinite(loss.loss)):
            return
        names = self.module.non_finite_contexts(loss.reconstruction_loss["reconstruction_loss"], context)
        where = f"cells of the contexts {names[:5]}" if names else "the parameters"
        raise FloatingPointError(
            f"loss: expected a finite number, found {float(loss.loss)} in epoch {self.current_epoch}, from {where}. Look for "
            "extreme values there, or train with plan_kwargs={'lr': " + f"{self.lr / 10:g}" + "}."
        )

    def on_train_epoch_end(self) -> None:
        """Closed-form posterior of the interventions, from the residuals of all processes."""
        if self._sums is None:
            return
        sums, self._sums = self._sums, None
        if distributed.is_available() and distributed.is_initialized():
            distributed.all_reduce(sums)
        module = self.module
        state = expectation(
            as_residuals(sums),
            module.drug_set,
            module.group.cpu().numpy(),
            module.prior,
            module.kind,
            learn_prior=self.learn_prior,
            probability=module.probability.double().cpu().numpy(),
        )
        module.apply_expectation(state)
        self.log("score", float(state.evidence.score.sum()), on_epoch=True, batch_size=1, rank_zero_only=True)

    def on_validation_epoch_end(self) -> None:
        """Keeps the weights of the epoch that describes held-out cells best."""
        super().on_validation_epoch_end()
        value = self.trainer.callback_metrics.get("validation_loss")
        if self.trainer.sanity_checking or not self.keep_best or value is None:
            return
        if self._best is None or float(value) < self._best[0]:
            self._best = (float(value), {k: v.detach().clone() for k, v in self.module.state_dict().items()})

    def on_train_end(self) -> None:
        """Returns to the best weights."""
        if self._best is not None:
            self.module.load_state_dict(self._best[1])

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """What is neither a weight nor of the optimizer."""
        checkpoint["plan"] = self.training_state() | self.module.training_state()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """The same, restored."""
        if "plan" in checkpoint:
            self.load_training_state(checkpoint["plan"])
            self.module.load_training_state(checkpoint["plan"])

    def training_state(self) -> dict[str, Any]:
        """The best epoch so far."""
        return {"best": None if self._best is None else list(self._best)}

    def load_training_state(self, state: dict[str, Any]) -> None:
        """Takes it over."""
        self._best = None if state["best"] is None else tuple(state["best"])

    def configure_optimizers(self) -> dict[str, Any]:
        """Adam, with a learning rate that falls along half a cosine."""
        config = super().configure_optimizers()
        for group in config["optimizer"].param_groups:
            group["fused"] = False  # a fused Adam refuses the clipping of gradients under mixed precision
        config["optimizer"]._step_supports_amp_scaling = False
        if self.decay and not self.reduce_lr_on_plateau:
            steps = max(int(self.trainer.estimated_stepping_batches), 1)
            schedule = torch.optim.lr_scheduler.CosineAnnealingLR(config["optimizer"], steps)
            config["lr_scheduler"] = {"scheduler": schedule, "interval": "step"}
        return config

    def configure_gradient_clipping(
        self, optimizer: Any, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        """Clips the gradient; a value given to the trainer has priority."""
        if gradient_clip_val is None and self.gradient_clip is not None:
            gradient_clip_val = self.gradient_clip * self.module.n_genes**0.5
        self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)

    def compute_and_log_metrics(self, loss_output: LossOutput, metrics: Any, mode: str) -> None:
        """The same as in scvi-tools, without inference mode."""
        with torch.no_grad():
            unwrapped = getattr(TrainingPlan.compute_and_log_metrics, "__wrapped__", None)
            (unwrapped or TrainingPlan.compute_and_log_metrics)(self, loss_output, metrics, mode)

"""Small networks of many genes at once, a piece of them at a time (layer `model`).

What a training step needs of all hidden units, ``M * n * H`` numbers several times over, goes through the memory of the machine
again and again where there are many networks. On a processor the step is therefore made for as many networks as stay in
its cache, and hidden units are computed anew for the derivatives instead of kept.
"""

from collections.abc import Iterator
from typing import Any

import torch

UNITS = 2**19
"""Numbers of hidden units that are worked on at once: 2 MB in single precision."""
Tensors = tuple[torch.Tensor, ...]


def pieces(u: torch.Tensor, n_hidden: int) -> Iterator[slice]:
    """Networks that are worked on together, for inputs ``(M, n, P)``."""
    step = max(1, UNITS // max(u.shape[1] * n_hidden, 1))
    return (slice(first, first + step) for first in range(0, len(u), step))


def activation(a: torch.Tensor, hinges: torch.Tensor) -> Tensors:
    """Hidden units of networks and their derivatives by `a`, ``(M, n, H)`` each; see `scgim._core.mechanisms.neural.activate` for hinges ``(M, H)``."""
    unit = torch.tanh(a)
    slope = 1 - unit.square()
    columns = torch.nonzero(hinges.any(0)).flatten()
    if len(columns):
        first = int(columns[0])  # hinges are the last units of a network
        b, hinge = a[:, :, first:], hinges[:, None, first:]
        root = (b.square() + 1).sqrt()
        unit[:, :, first:] = torch.where(hinge, 0.5 * (b + root), unit[:, :, first:])
        slope[:, :, first:] = torch.where(hinge, 0.5 + 0.5 * b / root, slope[:, :, first:])
    return unit, slope


class InPieces(torch.autograd.Function):
    """``outer_m act(inner_m u + bias_m) + skip_m u`` of all networks, ``(n, M)``, from inputs ``(M, n, P)``."""

    @staticmethod
    def forward(ctx: Any, u: torch.Tensor, *weights: torch.Tensor) -> torch.Tensor:
        """Weights ``(M, P, H)``, ``(M, H)``, ``(M, H)`` and ``(M, P)``, and the hinges ``(M, H)``."""
        ctx.save_for_backward(u, *weights)
        inner, bias, outer, skip, hinges = weights
        out = u.new_empty(u.shape[:2])
        for m in pieces(u, inner.shape[2]):
            unit, _ = activation(torch.baddbmm(bias[m, None], u[m], inner[m]), hinges[m])
            out[m] = (torch.bmm(unit, outer[m, :, None]) + torch.bmm(u[m], skip[m, :, None])).squeeze(2)
        return out.T

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Derivatives by inputs and weights."""
        u, inner, bias, outer, skip, hinges = ctx.saved_tensors
        grad = grads[0].T.contiguous()  # (M, n)
        of_u = torch.empty_like(u) if ctx.needs_input_grad[0] else None
        of_inner, of_bias, of_outer, of_skip = (torch.empty_like(w) for w in (inner, bias, outer, skip))
        for m in pieces(u, inner.shape[2]):
            x, g = u[m], grad[m, :, None]
            unit, slope = activation(torch.baddbmm(bias[m, None], x, inner[m]), hinges[m])
            of_outer[m] = torch.bmm(unit.transpose(1, 2), g).squeeze(2)
            of_skip[m] = torch.bmm(x.transpose(1, 2), g).squeeze(2)
            of_a = slope.mul_(torch.bmm(g, outer[m, None]))  # (m, n, H)
            of_inner[m] = torch.bmm(x.transpose(1, 2), of_a)
            of_bias[m] = of_a.sum(1)
            if of_u is not None:
                of_u[m] = torch.bmm(of_a, inner[m].transpose(1, 2)) + g * skip[m, None]
        return of_u, of_inner, of_bias, of_outer, of_skip, None

"""Text vectors and SNP numbers in, unit vectors of one space out: the GENEREL architecture in torch.

A text is ``W·LM(text) + b``, and if it is known a vector of its own beside that; a SNP is a two-layer MLP of
its row in a table plus its LD block's row. Tables are no torch parameters: a step touches few of their rows, so the
trainer takes these rows out, hands them in here, and moves them by itself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as functional
from torch import nn

__all__ = ["MAX_SCALE", "Generel", "RowTable"]

MAX_SCALE = 100.0  # 1 / temperature never goes above
FIRST_SCALE = 1 / 0.07
COMMON = "all tasks"


class Generel(nn.Module):
    """The heads: everything that has gradients in every step."""

    def __init__(
        self, lm_dimension: int, dimension: int, tasks: Sequence[str], *, add_rows: bool = False, common_scale: bool = False
    ) -> None:
        super().__init__()
        self.text = nn.Linear(lm_dimension, dimension)
        # an orthogonal start keeps the cosines of the language model: training begins at what it knows
        nn.init.orthogonal_(self.text.weight)
        nn.init.zeros_(self.text.bias)
        self.snp_mlp = _mlp(dimension, dimension, zero=add_rows)
        self.add_rows = add_rows
        self.common_scale = common_scale
        names = [COMMON] if common_scale else tasks
        self.log_scale = nn.ParameterDict({name: nn.Parameter(torch.tensor(math.log(FIRST_SCALE))) for name in names})

    def text_vectors(self, lm_vectors: torch.Tensor, residuals: torch.Tensor | None = None) -> torch.Tensor:
        """Project language-model vectors, which must have unit length."""
        projected: torch.Tensor = self.text(lm_vectors)
        return functional.normalize(projected if residuals is None else projected + residuals, dim=-1)

    def snp_vectors(self, rows: torch.Tensor) -> torch.Tensor:
        """Map table rows (with their block's row added) to the common space."""
        mapped = self.snp_mlp(rows)
        return functional.normalize(rows + mapped if self.add_rows else mapped, dim=-1)

    def scale(self, task: str) -> torch.Tensor:
        """Give 1 / temperature of a task."""
        log_scale: torch.Tensor = self.log_scale[COMMON if self.common_scale else task]
        return log_scale.clamp(max=math.log(MAX_SCALE)).exp()


def _mlp(inputs: int, outputs: int, *, zero: bool = False) -> nn.Sequential:
    """Make a two-layer MLP; with `zero` it begins by saying nothing."""
    last = nn.Linear(outputs, outputs)
    nn.init.zeros_(last.bias)
    if zero:
        nn.init.zeros_(last.weight)
    return nn.Sequential(nn.Linear(inputs, outputs), nn.SiLU(), last)


class RowTable:
    """A table of vectors whose touched rows are moved by Adam; a row's step count is its own.

    Dense Adam would read and write the whole table in every step. A row that is first touched late must not start with
    the bias correction of an old one, hence the count per row.
    """

    def __init__(
        self,
        n_rows: int,
        dimension: int,
        *,
        rate: float,
        spread: float,
        generator: torch.Generator,
        device: torch.device | None = None,
    ) -> None:
        rows = torch.empty(n_rows, dimension).normal_(0.0, spread, generator=generator) if spread else torch.zeros(n_rows, dimension)
        self.rows = rows.to(device or "cpu")
        self.steps = torch.zeros(n_rows, dtype=torch.int32, device=device)
        self._mean = torch.zeros(n_rows, dimension, device=device)
        self._square = torch.zeros(n_rows, dimension, device=device)
        self._rate = rate

    def state(self) -> dict[str, torch.Tensor]:
        """Give all that a checkpoint must hold; the tensors themselves, not copies."""
        return {"rows": self.rows, "steps": self.steps, "mean": self._mean, "square": self._square}

    def restore(self, state: Mapping[str, torch.Tensor]) -> None:
        """Take over what `state` gave."""
        for name, tensor in self.state().items():
            tensor.copy_(state[name])

    def take(self, ids: torch.Tensor) -> torch.Tensor:
        """Copy rows out, as a leaf that collects a gradient."""
        return self.rows[ids].requires_grad_()

    def step(self, ids: torch.Tensor, gradient: torch.Tensor, *, betas: tuple[float, float] = (0.9, 0.999), epsilon: float = 1e-8) -> None:
        """Move the rows `ids` (distinct) against their gradient."""
        self.steps[ids] += 1
        count = self.steps[ids].unsqueeze(1).to(gradient.dtype)
        mean = self._mean[ids].lerp_(gradient, 1 - betas[0])
        square = self._square[ids].mul_(betas[1]).addcmul_(gradient, gradient, value=1 - betas[1])
        self._mean[ids], self._square[ids] = mean, square
        denominator = square.div_(1 - betas[1] ** count).sqrt_().add_(epsilon)
        self.rows[ids] -= self._rate * mean.div_(1 - betas[0] ** count).div_(denominator)

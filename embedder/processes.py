"""Vectors of one process in, those of all out, with gradients: what lets several processes take one step together.

Every process draws the same batch from the same seed and computes a share of its distinct texts and SNPs. The vectors are
gathered, so that each process sees every negative and the same loss; gradients are added up, so that all take the same step.
Without `torchrun` there is one process, and nothing here does anything.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as distributed

from embedder.data import Integers

__all__ = ["Processes", "joined"]

Value = TypeVar("Value")


@dataclass(frozen=True)
class Processes:
    """Which process this is, of how many."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Tell whether this one writes files and reports."""
        return self.rank == 0

    @staticmethod
    def now() -> Processes:
        """Look at the process group that is open."""
        if distributed.is_available() and distributed.is_initialized():
            return Processes(distributed.get_rank(), distributed.get_world_size())
        return Processes()

    def owners(self, n: int) -> Integers:
        """Say which process computes which of n things."""
        return np.arange(n) % self.size

    def gather(self, part: torch.Tensor, owners: Integers) -> torch.Tensor:
        """Give the rows of all processes in the order of `owners`; `part` has this one's, in that order."""
        if self.size == 1:
            return part
        counts = np.bincount(owners, minlength=self.size)
        gathered: torch.Tensor = _Gather.apply(part, counts.tolist(), self)
        places = np.empty(len(owners), dtype=np.int64)
        places[np.argsort(owners, kind="stable")] = np.arange(len(owners))
        return gathered[torch.from_numpy(places).to(part.device)]

    def add_up(self, gradients: Sequence[torch.Tensor]) -> None:
        """Add up gradients of which each process has a share."""
        self._reduce(gradients, 1.0)

    def _reduce(self, tensors: Sequence[torch.Tensor], factor: float) -> None:
        if self.size == 1 or not tensors:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        distributed.all_reduce(flat)
        flat *= factor
        for tensor, part in zip(tensors, torch.split(flat, [tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(part.view_as(tensor))

    def agree(self, value: Value) -> Value:
        """Give what the first process says."""
        if self.size == 1:
            return value
        said = [value]
        distributed.broadcast_object_list(said, src=0)
        return said[0]

    def copy_first(self, tensors: Sequence[torch.Tensor]) -> None:
        """Give all processes the tensors of the first."""
        if self.size > 1:
            for tensor in tensors:
                distributed.broadcast(tensor, src=0)

    def wait(self) -> None:
        """Wait for the others."""
        if self.size > 1:
            distributed.barrier()


class _Gather(torch.autograd.Function):
    """All rows of all processes. Each has the whole loss, so the gradient of its own rows is its slice of what comes back."""

    @staticmethod
    def forward(ctx: Any, part: torch.Tensor, counts: list[int], processes: Processes) -> torch.Tensor:
        ctx.start, ctx.count = sum(counts[: processes.rank]), counts[processes.rank]
        padded = part.new_zeros(max(counts), part.shape[1])
        padded[: len(part)] = part
        parts = [torch.empty_like(padded) for _ in counts]
        distributed.all_gather(parts, padded)
        return torch.cat([rows[:count] for rows, count in zip(parts, counts, strict=True)])

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        return gradients[0][ctx.start : ctx.start + ctx.count], None, None


@contextmanager
def joined() -> Iterator[Processes]:
    """Join the processes that `torchrun` started; alone without it. A group that is open already is used and left open."""
    alone = int(os.environ.get("WORLD_SIZE", "1")) == 1
    if alone or distributed.is_initialized():
        yield Processes.now()
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield Processes.now()
    finally:
        distributed.destroy_process_group()

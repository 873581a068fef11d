"""The processes that train one policy together: this one alone, or those that torchrun started.

Each holds all weights and takes its part of every batch; gradients are averaged before a step
(data parallelism, as torch's DistributedDataParallel; all gradients are one vector here, so that
one call does it). Whoever steps is the same everywhere, bit for bit, so nothing else is exchanged.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import final

import torch
from torch import Tensor

GIVEN = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")  # by torchrun, and by hand on SLURM

PATIENCE = timedelta(days=1)  # the first may decode a large dataset; who dies is noticed at once


@final
@dataclass(frozen=True)
class Group:
    """This process's place among those that train together; the first keeps the run."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0  # among those on this machine

    def part(self, batch_size: int) -> int:
        """Return how many samples of a batch one process takes; raises ValueError for a remainder."""
        if batch_size % self.size:
            raise ValueError(
                f"--batch-size {batch_size} cannot be dealt evenly to {self.size} processes: take "
                f"{batch_size // self.size * self.size or self.size}, or another number of processes"
            )
        return batch_size // self.size

    def use_gpu(self) -> None:
        """Take one of this machine's GPUs for this process."""
        torch.cuda.set_device(self.local_rank % torch.cuda.device_count())

    def average(self, values: Tensor) -> None:
        """Put the mean over the processes into `values`, on each of them, with the same bits."""
        if self.size > 1:
            with self._others():
                torch.distributed.all_reduce(values)
            values /= self.size

    def wait(self) -> None:
        """Go on when every process has come here."""
        if self.size > 1:
            with self._others():
                torch.distributed.barrier()

    @contextmanager
    def one_at_first(self) -> Iterator[None]:
        """Let one process of each machine do what is within, then the others, who find it done."""
        if self.local_rank:
            self.wait()
        yield
        if not self.local_rank:
            self.wait()

    def require_same(self, what: str, facts: str, tensors: Iterable[Tensor] = ()) -> None:
        """Raise ValueError unless every process gives the same facts and tensors."""
        if self.size == 1:
            return
        digest = hashlib.blake2b(facts.encode(), digest_size=7)
        for tensor in tensors:
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        mine = torch.tensor([int.from_bytes(digest.digest())])
        found = [torch.empty_like(mine) for _ in range(self.size)]
        with self._others():
            torch.distributed.all_gather(found, mine)
        other = [rank for rank, value in enumerate(found) if not torch.equal(value, found[0])]
        if other:
            raise ValueError(
                f"process {other[0]} of {self.size} has {what} other than the first's: all must see "
                "the same files, and run the same versions"
            )

    @contextmanager
    def _others(self) -> Iterator[None]:
        """Say in plain words that another process is gone."""
        try:
            yield
        except RuntimeError as error:
            raise RuntimeError(
                f"process {self.rank} of {self.size} ends, because another one has, or does not answer: "
                f"{error}"
            ) from error


ALONE = Group()


@contextmanager
def joined() -> Iterator[Group]:
    """Join the processes that the environment names; it is this one alone where it names none."""
    if any(name not in os.environ for name in GIVEN) or os.environ["WORLD_SIZE"] == "1":
        yield ALONE
        return
    local = int(os.environ.get("LOCAL_RANK", os.environ.get("SLURM_LOCALID", "0")))
    torch.distributed.init_process_group(timeout=PATIENCE)
    yield Group(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]), local)
    torch.distributed.destroy_process_group()  # not after an error: the others would be waited for

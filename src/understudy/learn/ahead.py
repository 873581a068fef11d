"""Batches that are gathered while the step before is computed."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import final

from understudy.data.windows import Batch, Windows


@final
class Ahead:
    """The batches of consecutive steps; with cameras a thread gathers one beforehand.

    Vectors alone take less time to gather than a thread takes to be asked.
    """

    def __init__(self, windows: Windows, steps: int) -> None:
        self._windows, self._steps = windows, steps
        self._thread = ThreadPoolExecutor(1) if windows.spec.cameras else None
        self._next: Future[Batch] | None = None

    def take(self, step: int) -> Batch:
        """Return the batch of a step, the one after the last that was taken."""
        if self._thread is None:
            return self._windows.batch(step)
        coming = self._next or self._thread.submit(self._windows.batch, step)
        self._next = None
        batch = coming.result()
        if step + 1 < self._steps:
            self._next = self._thread.submit(self._windows.batch, step + 1)
        return batch

    def close(self) -> None:
        """Stop gathering."""
        if self._thread is not None:
            self._thread.shutdown(cancel_futures=True)

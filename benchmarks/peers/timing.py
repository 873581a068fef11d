"""How a peer's process is timed; runs on its Python, so it imports nothing of ours."""

import json
import resource
import time
from collections.abc import Callable


def report(value: float) -> None:
    """Print a figure and the peak of this process' memory in GiB, for the one who asked."""
    print(json.dumps([value, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20]))


def median_seconds(once: Callable[[], object], seconds: float) -> float:
    """Median of calls for so long, at least three, after two to warm up."""
    for _ in range(2):
        once()
    times: list[float] = []
    while sum(times) < seconds or len(times) < 3:
        began = time.perf_counter()
        once()
        times.append(time.perf_counter() - began)
    return sorted(times)[len(times) // 2]

"""Training windows from PushT's states: samples a second of ours, on one core, and of LeRobot's dataset.

    python benchmarks/windows.py --data pusht_lerobot_v30 --lerobot PYTHON

Both read the same LeRobot v3.0 folder and give what a Diffusion Policy takes: two observations and
sixteen actions, shuffled, in batches of 256. PYTHON is the interpreter of an environment with
lerobot 0.4.4; LeRobot's loader is measured without its cameras, which would only slow it down, with
0 and with 2 workers, and its better figure counts. The two are timed in turn, in one run.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from pathlib import Path

import results
import torch

from understudy.data.store import Dataset
from understudy.data.windows import BLOCK_SAMPLES, Windows

BATCH, HISTORY, HORIZON = 256, 2, 16
REPEATS = 5

PEER = """
import json, sys, time
import torch
from lerobot.datasets.lerobot_dataset import LeRobotDataset
torch.set_num_threads(1)
folder, workers, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
rate = 10
times = {"observation.state": [-1 / rate, 0.0], "action": [t / rate for t in range(16)]}
dataset = LeRobotDataset("pusht", root=folder, delta_timestamps=times)
for key in list(dataset.meta.camera_keys):  # states alone: no video is decoded
    dataset.meta.info["features"].pop(key)
loader = torch.utils.data.DataLoader(
    dataset, batch_size=256, shuffle=True, num_workers=workers, drop_last=True)
batches = iter(loader)
next(batches)
began, samples = time.perf_counter(), 0
for batch in batches:
    samples += len(batch["action"])
    if time.perf_counter() - began > seconds:
        break
print(json.dumps(samples / (time.perf_counter() - began)))
"""


def ours(folder: Path, block: int, seconds: float = 3.0) -> float:
    """Samples a second that `Windows.batch` gives."""
    import understudy.data.windows as module

    module.BLOCK_SAMPLES = block
    windows = Windows(
        Dataset.open(folder),
        history=HISTORY,
        horizon=HORIZON,
        batch_size=BATCH,
        spec=(spec := Dataset.open(folder).spec).only(spec.vectors),
    )
    windows.batch(0)
    began, step = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        for _ in range(100):
            step += 1
            windows.batch(step)
    return step * BATCH / (time.perf_counter() - began)


def theirs(python: str, folder: Path, workers: int) -> float:
    """Samples a second of LeRobot's dataset class behind PyTorch's loader."""
    answer = subprocess.run(
        [python, "-c", PEER, str(folder), str(workers), "8"],
        capture_output=True,
        text=True,
        check=True,
        env={"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HOME": str(Path.home())},
    )
    return float(json.loads(answer.stdout.splitlines()[-1]))


def main() -> None:
    """Time both in turn and write the rows."""
    parser = argparse.ArgumentParser(description="windows of PushT's states")
    parser.add_argument("--data", type=Path, required=True, help="LeRobot v3.0 folder of PushT")
    parser.add_argument("--lerobot", required=True, help="interpreter that has lerobot 0.4.4")
    options = parser.parse_args()
    torch.set_num_threads(1)
    fast, peer, ratios = [], [], []
    for _ in range(REPEATS):
        fast.append(ours(options.data, BLOCK_SAMPLES))
        peer.append(max(theirs(options.lerobot, options.data, workers) for workers in (0, 2)))
        ratios.append(fast[-1] / peer[-1])
    blocks = {block: ours(options.data, block, 1.0) for block in (256, 1024, 4096, 16384, 65536)}
    rows = [
        results.median_row("pusht-states", "samples_per_s", fast, "samples/s", [0]),
        results.median_row("pusht-states", "lerobot_samples_per_s", peer, "samples/s", [0]),
        results.median_row("pusht-states", "ratio_to_lerobot", ratios, "ratio", [0]),
        *(
            results.median_row(f"block-{block}", "samples_per_s", [rate], "samples/s", [0])
            for block, rate in blocks.items()
        ),
    ]
    command = f"python benchmarks/windows.py --data {options.data.name} --lerobot PYTHON"
    results.write("windows", command, rows)


if __name__ == "__main__":
    main()

"""From any LeRobot folder to training batches, in a loop of your own."""

from pathlib import Path

import numpy as np

from understudy.data.store import Dataset
from understudy.data.windows import Windows
from understudy.fleet import ExpertActor, Here
from understudy.tasks import make_task

# Stands for a folder of yours: LeRobot v3.0, v2.1 and v2.0 open in place, and ours is v3.0.
folder = Path("demonstrations")
task = make_task("mountain-car")
with Dataset.create(folder, task.spec) as dataset:
    for episode in Here().rollouts(task, ExpertActor(), seeds=range(5)):
        dataset.append(episode)

windows = Windows(Dataset.open(folder), history=2, horizon=8, batch_size=64, seed=0)
batch = windows.batch(step=0)  # a pure function of (seed, step): any order, any resume point
for key, values in batch.observations.items():
    print(f"{key}: {tuple(values.shape)}")
print(
    f"actions: {tuple(batch.actions.shape)}, inside their episode: {batch.valid.float().mean():.0%}"
)
print(
    "samples of an epoch:",
    len(windows),
    "mean state:",
    windows.statistics("observation.state").mean,
)
assert np.array_equal(batch.actions, windows.batch(step=0).actions)

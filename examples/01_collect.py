"""Record twenty demonstrations of mountain-car's expert, durably, and look at what was recorded."""

from pathlib import Path

from understudy.data.store import Dataset
from understudy.fleet import ExpertActor, Here
from understudy.tasks import make_task

task = make_task("mountain-car")
folder = Path("mountain-car-demonstrations")

with Dataset.create(folder, task.spec) as dataset:
    for episode in Here().rollouts(task, ExpertActor(), seeds=range(20)):
        dataset.append(episode)  # when it returns, a crash cannot lose the episode

recorded = Dataset.open(folder)
print(
    f"{len(recorded)} episodes, {recorded.lengths.sum()} ticks, fingerprint {recorded.fingerprint}"
)
print("first episode:", recorded[0].actions[:8].ravel(), "... success:", recorded[0].success)

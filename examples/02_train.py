"""Clone the expert: demonstrations in, a checkpoint out. Learning is a generator of reports."""

from pathlib import Path

import torch

from understudy.data.store import Dataset
from understudy.data.windows import Windows
from understudy.fleet import ExpertActor, Here
from understudy.learn.supervised import LearnConfig, averaged_weights, learn
from understudy.policies.checkpoint import save_checkpoint
from understudy.policies.mlp import MlpConfig
from understudy.tasks import make_task

task = make_task("mountain-car")
dataset = Dataset.create(Path("demonstrations"), task.spec)
for episode in Here().rollouts(task, ExpertActor(), seeds=range(20)):
    dataset.append(episode)

config = MlpConfig(width=64, depth=2, bins=32)
train, held_out = (
    Windows(dataset, history=config.history, horizon=config.horizon, episodes=episodes)
    for episodes in dataset.split(held_out=0.1, seed=0)
)
torch.manual_seed(0)
policy = config.build(dataset.spec)
policy.prepare(train)
report = None
for report in learn(policy, train, LearnConfig(steps=1000, validate_every=250), held_out):
    if report.held_out:
        print(f"step {report.step}: held-out loss {report.held_out['total']:.4f}")

assert report is not None
weights = averaged_weights(policy, report.state)
print("saved", save_checkpoint(Path("policy"), "mlp", policy, {"example": 2}, weights))

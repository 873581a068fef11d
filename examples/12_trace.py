"""A Panda learns to follow curves from inverse kinematics; traces.svg shows how well it does."""

import tempfile
from pathlib import Path

import torch

from understudy.data.store import Dataset
from understudy.evaluate.traces import draw_traces
from understudy.fleet import ExpertActor, Here
from understudy.learn.clone import clone
from understudy.learn.supervised import LearnConfig
from understudy.policies.mlp import MlpConfig
from understudy.policies.player import Chunks
from understudy.rollout import rollouts
from understudy.tasks.panda_trace import PandaTrace, measured_of

torch.set_num_threads(1)
shown = PandaTrace(spacing_m=0.03)  # the expert's freehand strokes, a point each 3 cm
with tempfile.TemporaryDirectory() as folder:
    demonstrations = Dataset.create(Path(folder) / "strokes", shown.spec)
    for episode in Here(worlds=1).rollouts(shown, ExpertActor(), range(150)):
        demonstrations.append(episode)
    config = MlpConfig(width=128, loss="l2")
    policy = clone(config, demonstrations, LearnConfig(steps=2000))

episodes = []
for curve in ("circle", "square", "freehand"):
    world = PandaTrace(curve=curve).build()
    episodes += rollouts([world], Chunks(policy), [100_001])
    print(f"{curve}: {measured_of(episodes[-1])}")
draw_traces(Path("traces.svg"), episodes)

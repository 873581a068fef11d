"""ACT: a transformer that predicts chunks; the first four actions of each are played."""

from pathlib import Path

from understudy.data.store import Dataset
from understudy.learn.clone import clone, learning_of
from understudy.policies.act import ActConfig
from understudy.policies.player import Chunks

dataset = Dataset.open(Path("mountain-car-demonstrations"))
config = ActConfig(horizon=8, width=64, encoder_layers=1, decoder_layers=2)
policy = clone(config, dataset, learning_of(config, steps=100, batch_size=32))
actor = Chunks(policy, execute=4)  # for understudy.rollout.rollouts

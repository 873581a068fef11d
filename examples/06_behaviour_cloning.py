"""Behaviour cloning in a few lines, from the demonstrations that example 1 records."""

from pathlib import Path

from understudy.data.store import Dataset
from understudy.learn.clone import clone
from understudy.learn.supervised import LearnConfig
from understudy.policies.checkpoint import save_checkpoint
from understudy.policies.mlp import MlpConfig

dataset = Dataset.open(Path("mountain-car-demonstrations"))
policy = clone(MlpConfig(bins=32), dataset, LearnConfig(steps=1000))
save_checkpoint(Path("policy"), "mlp", policy, {"example": 6})

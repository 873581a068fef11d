"""Augmentation: noise on vectors; colours and small shifts of frames, where there are any."""

from pathlib import Path

from understudy.data.augment import Augment, AugmentConfig
from understudy.data.store import Dataset
from understudy.learn.clone import clone, windows_of
from understudy.learn.supervised import LearnConfig
from understudy.policies.mlp import MlpConfig

dataset, usual = Dataset.open(Path("mountain-car-demonstrations")), AugmentConfig.usual()
policy = clone(MlpConfig(), dataset, LearnConfig(steps=300, augment=usual))
windows = windows_of(MlpConfig(), dataset)  # the same in a loop of your own: a changed copy
print(Augment(usual, windows)(windows.batch(0)).observations["observation.state"][0])

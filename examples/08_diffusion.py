"""Diffusion Policy: actions from noise in ten steps, with the small residual network."""

from pathlib import Path

from understudy.data.store import Dataset
from understudy.learn.clone import clone, learning_of
from understudy.policies.denoiser import DenoiserConfig
from understudy.policies.diffusion import DiffusionConfig

dataset = Dataset.open(Path("mountain-car-demonstrations"))
denoiser = DenoiserConfig(network="residual", width=64, depth=3)
config = DiffusionConfig(horizon=8, denoiser=denoiser, sampler="ddim", inference_steps=10)
policy = clone(config, dataset, learning_of(config, steps=300, batch_size=64))

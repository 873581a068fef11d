"""Learn to hold a pole up from ten demonstrations, without a reward and without asking the expert again."""

import tempfile
from pathlib import Path

import torch

from understudy.data.store import Dataset
from understudy.fleet import ExpertActor, Here
from understudy.learn.gail import GailConfig, begun, gail
from understudy.learn.ppo import PpoConfig
from understudy.learn.recipes import RECIPES
from understudy.policies.mlp import MlpConfig
from understudy.policies.player import Chunks
from understudy.rollout import rollouts
from understudy.tasks.cart_pole import CartPole

torch.set_num_threads(1)
task, recipe = CartPole(), RECIPES["cart-pole"]
config, practice = GailConfig(**recipe.gail), PpoConfig(**recipe.practice)
with tempfile.TemporaryDirectory() as folder:
    shown = Dataset.create(Path(folder) / "demonstrations", task.spec)
    for episode in Here().rollouts(task, ExpertActor(), range(10)):
        shown.append(episode)
    policy = begun(MlpConfig(width=64, depth=2), shown, config, seed=0)
    for report in gail(policy, shown, task, config, practice):
        print(
            f"{report.step:6,} steps: return {report.mean_return:5.1f}, "
            f"told apart {report.facts['accuracy']:.0%}, {report.steps_per_s:,.0f} steps/s"
        )

worlds = [task.build() for _ in range(10)]
likeliest = list(rollouts(worlds, Chunks(policy, width=10), range(100_000, 100_050)))
print("likeliest actions:", sum(float(e.rewards.sum()) for e in likeliest) / len(likeliest))

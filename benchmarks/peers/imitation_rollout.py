"""Time imitation's `generate_trajectories` on CartPole-v1: `PYTHON FILE JSON`, see fleet_peers.py.

Its loop, and the vector environments of Stable-Baselines3 that it uses, with a network of ours.
"""

import importlib
import json
import logging
import sys
import time
import warnings
from collections import Counter
from typing import Any

import gymnasium
import numpy as np
import torch
from network import Network, find_ours
from timing import report

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)
rollout: Any = importlib.import_module("imitation.data.rollout")
vec_env: Any = importlib.import_module("stable_baselines3.common.vec_env")


class Seeded(gymnasium.Wrapper):
    """Begins its episodes with the seeds that it is given, one after the other."""

    def __init__(self, env: gymnasium.Env, seeds: list[int]) -> None:
        super().__init__(env)
        self.seeds = iter(seeds)

    def reset(self, **_: Any) -> Any:
        return self.env.reset(seed=next(self.seeds, 0))


def main() -> None:
    asked = json.loads(sys.argv[1])
    find_ours(asked["paths"])
    torch.set_num_threads(asked["threads"])
    count, episodes = asked["worlds"], len(asked["returns"])
    seeds = range(asked["first_seed"], asked["first_seed"] + episodes)

    def world(slot: int) -> Any:
        return lambda: Seeded(gymnasium.make("CartPole-v1"), list(seeds[slot::count]))

    vector = vec_env.SubprocVecEnv if asked["async"] else vec_env.DummyVecEnv
    worlds = vector([world(slot) for slot in range(count)])
    network = Network(asked["checkpoint"])

    def act(seen: Any, state: Any, begins: Any) -> Any:
        actions = network.actions({"observation.state": torch.from_numpy(seen)})
        return actions[:, 0].numpy(), None

    began = time.perf_counter()
    found = rollout.generate_trajectories(
        act, worlds, rollout.make_min_episodes(episodes), np.random.default_rng(0)
    )
    seconds = time.perf_counter() - began
    theirs = Counter(float(trajectory.rews.sum()) for trajectory in found)
    others = Counter(asked["returns"]) - theirs
    # A slot that is done early plays some more, and the last of a slow one may not be begun. A choice
    # on the edge falls otherwise with another torch.
    if others.total() > episodes / 20:
        raise ValueError(f"other returns than ours: {others} of {episodes}")
    report(len(found) / seconds)
    worlds.close()


if __name__ == "__main__":
    main()

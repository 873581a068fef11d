"""Time imitation's GAIL to a return: `PYTHON FILE JSON`, see gail.py, which asks for it.

It learns from the same demonstrations, with settings close to its documentation's example on a cart-pole, and is
looked at after each round: twenty starts, the likeliest action, which no clock counts.
"""

import importlib
import json
import sys
import tempfile
import time
import warnings
from typing import Any

import gymnasium
import numpy as np
import torch

warnings.filterwarnings("ignore")

adversarial: Any = importlib.import_module("imitation.algorithms.adversarial.gail")
types: Any = importlib.import_module("imitation.data.types")
wrappers: Any = importlib.import_module("imitation.data.wrappers")
nets: Any = importlib.import_module("imitation.rewards.reward_nets")
logger: Any = importlib.import_module("imitation.util.logger")
networks: Any = importlib.import_module("imitation.util.networks")
baselines: Any = importlib.import_module("stable_baselines3")
vec_env: Any = importlib.import_module("stable_baselines3.common.vec_env")


def trajectories(file: str, discrete: bool) -> list[Any]:
    """The demonstrations that lie in an npz: observations of all ticks and ends, actions, lengths."""
    data = np.load(file, allow_pickle=False)
    found, first, row = [], 0, 0
    for length, ended in zip(data["lengths"], data["terminated"], strict=True):
        actions = data["actions"][first : first + length]
        found.append(
            types.Trajectory(
                obs=data["observations"][row : row + length + 1],
                acts=actions[:, 0] if discrete else actions,
                infos=None,
                terminal=bool(ended),
            )
        )
        first, row = first + length, row + length + 1
    return found


def mean_return(learner: Any, name: str, seeds: range) -> float:
    """Mean return of the likeliest actions."""
    total = 0.0
    for seed in seeds:
        world = gymnasium.make(name)
        seen, _ = world.reset(seed=seed)
        over = False
        while not over:
            action, _ = learner.predict(seen, deterministic=True)
            seen, reward, terminated, truncated, _ = world.step(action)
            total += float(reward)
            over = terminated or truncated
    return total / len(seeds)


def main() -> None:
    """Train until the return is there, or the steps are used up."""
    asked = json.loads(sys.argv[1])
    torch.set_num_threads(1)
    torch.manual_seed(asked["seed"])
    name = asked["environment"]
    worlds = vec_env.DummyVecEnv(
        [lambda: wrappers.RolloutInfoWrapper(gymnasium.make(name)) for _ in range(8)]
    )
    worlds.seed(asked["seed"])
    discrete = hasattr(worlds.action_space, "n")
    learner = baselines.PPO(
        "MlpPolicy", worlds, batch_size=64, ent_coef=0.0, learning_rate=4e-4, gamma=0.95, n_epochs=5,
        n_steps=256, seed=asked["seed"], device="cpu",
    )  # fmt: skip
    trainer = adversarial.GAIL(
        demonstrations=trajectories(asked["demonstrations"], discrete),
        demo_batch_size=1024,
        gen_replay_buffer_capacity=2048,
        n_disc_updates_per_round=8,
        venv=worlds,
        gen_algo=learner,
        reward_net=nets.BasicRewardNet(
            worlds.observation_space,
            worlds.action_space,
            normalize_input_layer=networks.RunningNorm,
        ),
        allow_variable_horizon=True,
        custom_logger=logger.configure(tempfile.mkdtemp(), format_strs=[]),
        log_dir=tempfile.mkdtemp(),
    )
    seeds = range(asked["first_start"], asked["first_start"] + 20)
    spent, steps, found, reached = 0.0, 0, float("-inf"), False
    while not reached and steps < asked["steps"]:
        began = time.process_time()
        trainer.train(trainer.gen_train_timesteps)
        spent += time.process_time() - began
        steps += trainer.gen_train_timesteps
        found = mean_return(learner, name, seeds)
        reached = found >= asked["target"]
    sys.stdout.write(json.dumps({"seconds": spent, "steps": steps, "return": found}) + "\n")


main()

"""Time DAgger of imitation 1.0.1 to a target: `PYTHON FILE JSON`, see dagger_speed.py.

Settings are those of its documentation where it has any: eight environments, at least 500 steps and
three episodes a round, four epochs of behaviour cloning a round at batch 32 and 1e-3, its default
network of two layers of 32. The expert is ours, as a rule over observations.
"""

import importlib
import json
import logging
import sys
import tempfile
import time
import warnings
from typing import Any

import gymnasium
import numpy as np
import torch

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)

bc: Any = importlib.import_module("imitation.algorithms.bc")
dagger: Any = importlib.import_module("imitation.algorithms.dagger")
types: Any = importlib.import_module("imitation.data.types")
wrappers: Any = importlib.import_module("imitation.data.wrappers")
logger: Any = importlib.import_module("imitation.util.logger")
policies: Any = importlib.import_module("stable_baselines3.common.policies")
vec_env: Any = importlib.import_module("stable_baselines3.common.vec_env")

GAINS = np.array([0.1, 0.3, 1.0, 0.6])
RULES = {
    "MountainCar-v0": lambda seen: 1 + np.sign(seen[:, 1]).astype(np.int64),
    "CartPole-v1": lambda seen: (seen @ GAINS > 0).astype(np.int64),
}
ENVIRONMENTS = 8


class Rule(policies.BasePolicy):
    """The expert as a policy of Stable-Baselines3."""

    def __init__(self, venv: Any, name: str) -> None:
        super().__init__(venv.observation_space, venv.action_space)
        self.rule = RULES[name]

    def _predict(self, observation: torch.Tensor, deterministic: bool = False) -> torch.Tensor:
        return torch.as_tensor(self.rule(observation.numpy()))

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        return self.rule(np.atleast_2d(observation)), state


def mean_return(policy: Any, name: str, seeds: list[int]) -> float:
    """Mean return of deterministic actions over seeded starts."""
    environments = [gymnasium.make(name) for _ in seeds]
    seen = np.stack([e.reset(seed=s)[0] for e, s in zip(environments, seeds, strict=True)])
    total, running = np.zeros(len(seeds)), np.ones(len(seeds), bool)
    while running.any():
        rows = np.flatnonzero(running)
        actions, _ = policy.predict(seen[rows], deterministic=True)
        for row, action in zip(rows, actions, strict=True):
            seen[row], reward, terminated, truncated, _ = environments[row].step(int(action))
            total[row] += reward
            running[row] = not (terminated or truncated)
    return float(total.mean())


def main() -> None:
    name, file, target, seed, seeds, most, threads = json.loads(sys.argv[1])
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    venv = vec_env.DummyVecEnv(
        [lambda: wrappers.RolloutInfoWrapper(gymnasium.make(name))] * ENVIRONMENTS
    )
    venv.seed(seed)
    data, quiet = np.load(file), logger.configure(tempfile.mkdtemp(), format_strs=[])
    ends = np.cumsum(data["lengths"])  # each episode has one state more than actions
    parts = enumerate(zip(ends - data["lengths"], ends, strict=True))
    shown = [
        types.Trajectory(obs=data["states"][first + i : last + i + 1], acts=data["actions"][first:last],
                   infos=None, terminal=True)
        for i, (first, last) in parts
    ]  # fmt: skip
    began, process, measured = time.perf_counter(), time.process_time(), [0.0, 0.0]
    rng = np.random.default_rng(seed)
    learner = bc.BC(observation_space=venv.observation_space, action_space=venv.action_space,
                    rng=rng, device="cpu", custom_logger=quiet)  # fmt: skip
    rounds, found = 0, -np.inf
    with tempfile.TemporaryDirectory() as folder:
        trainer = dagger.SimpleDAggerTrainer(venv=venv, scratch_dir=folder, expert_policy=Rule(venv, name),
                                      expert_trajs=shown, bc_trainer=learner, rng=rng,
                                      custom_logger=quiet)  # fmt: skip
        while found < target and rounds < most:
            trainer.train(1, rollout_round_min_episodes=3, rollout_round_min_timesteps=500,
                          bc_train_kwargs={"n_epochs": 4, "progress_bar": False,
                                           "log_rollouts_venv": None})  # fmt: skip
            rounds += 1
            paused = time.perf_counter(), time.process_time()
            found = mean_return(trainer.policy, name, seeds)
            measured[0] += time.perf_counter() - paused[0]
            measured[1] += time.process_time() - paused[1]
    seconds = time.perf_counter() - began - measured[0]
    processor = time.process_time() - process - measured[1]
    print(json.dumps([seconds, processor, rounds, found]))


main()

"""Behaviour cloning of cart-pole: samples a second of ours and of `imitation` 1.0.1, each on one core.

    python benchmarks/cloning_speed.py --imitation PYTHON

Both train a network of two layers of 32 units on the same 5,000 expert transitions for 10 epochs, at
batch 32 (imitation's default) and at batch 256, and both are then measured over the same 50 starts, so
that neither wins by learning less. Ours does more a step: clipping, a schedule, an average of the
weights. PYTHON is the interpreter of an environment with imitation 1.0.1. Timed in turn, in one run.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import results
import torch
from numpy.typing import NDArray

from understudy.data.windows import Windows
from understudy.episode import Episode
from understudy.fleet import ExpertActor, Here
from understudy.learn.supervised import LearnConfig, averaged_weights, learn
from understudy.policies.mlp import MlpConfig
from understudy.policies.player import Chunks
from understudy.rollout import rollouts
from understudy.spec import STATE, Spec
from understudy.tasks import make_task

TRANSITIONS, EPOCHS, STARTS, REPEATS = 5000, 10, 50, 5
LEARNING_RATE = 3e-3  # 1e-3 leaves the short runs unfinished: 478 of 500 on selection starts

PEER = """
import json, sys, tempfile, time
import gymnasium, numpy, torch
from imitation.algorithms import bc
from imitation.data.types import Transitions
from imitation.util import logger
torch.set_num_threads(1)
data, batch, epochs, starts = numpy.load(sys.argv[1]), *map(int, sys.argv[2:5])
n = len(data["actions"])
transitions = Transitions(obs=data["states"], acts=data["actions"], infos=numpy.array([{}] * n),
                          next_obs=data["states"], dones=numpy.zeros(n, bool))
env = gymnasium.make("CartPole-v1")
trainer = bc.BC(observation_space=env.observation_space, action_space=env.action_space,
                rng=numpy.random.default_rng(0), demonstrations=transitions, batch_size=batch,
                custom_logger=logger.configure(tempfile.mkdtemp(), format_strs=[]))
began = time.perf_counter()
trainer.train(n_epochs=epochs, progress_bar=False)
seconds = time.perf_counter() - began
returns = []
for seed in range(100000, 100000 + starts):
    seen, over, total = env.reset(seed=seed)[0], False, 0
    while not over:
        action = trainer.policy.predict(seen, deterministic=True)[0]
        seen, reward, terminated, truncated, _ = env.step(int(action))
        total, over = total + reward, terminated or truncated
    returns.append(total)
print(json.dumps([n * epochs / seconds, float(numpy.mean(returns))]))
"""


class Transitions:
    """The first transitions of some episodes, as columns in memory."""

    fingerprint = "in memory"

    def __init__(self, spec: Spec, episodes: list[Episode]) -> None:
        self.spec, self.tasks = spec, ["cart-pole"]
        self.lengths = np.array([TRANSITIONS])
        self._columns: Mapping[str, NDArray[Any]] = {
            STATE: np.concatenate([np.asarray(e.observations[STATE]) for e in episodes]),
            "action": np.concatenate([e.actions for e in episodes]),
            "label": np.concatenate([e.targets for e in episodes]),
        }

    def column(self, key: str) -> NDArray[Any]:
        """The first `TRANSITIONS` rows."""
        return self._columns[key][:TRANSITIONS]


def ours(data: Transitions, batch_size: int) -> tuple[float, float]:
    """Samples a second, and the mean return over the starts."""
    task = make_task("cart-pole")
    windows = Windows(data, history=1, horizon=1, batch_size=batch_size)
    steps = TRANSITIONS * EPOCHS // batch_size
    torch.manual_seed(0)
    began = time.perf_counter()
    policy = MlpConfig(width=32, depth=2).build(data.spec)
    policy.prepare(windows)
    *_, last = learn(
        policy,
        windows,
        LearnConfig(steps=steps, batch_size=batch_size, learning_rate=LEARNING_RATE),
    )
    policy.load_state_dict(averaged_weights(policy, last.state))
    seconds = time.perf_counter() - began
    worlds = [task.build() for _ in range(STARTS)]
    played = rollouts(worlds, Chunks(policy, width=STARTS), range(100_000, 100_000 + STARTS))
    return steps * batch_size / seconds, float(np.mean([e.rewards.sum() for e in played]))


def theirs(python: str, file: Path, batch_size: int) -> tuple[float, float]:
    """The same of imitation's `bc.BC`."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    answer = subprocess.run(
        [python, "-W", "ignore", "-c", PEER, str(file), *map(str, (batch_size, EPOCHS, STARTS))],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    rate, mean_return = json.loads(answer.stdout.splitlines()[-1])
    return rate, mean_return


def main() -> None:
    """Time both in turn at both batch sizes and write the rows."""
    parser = argparse.ArgumentParser(description="speed of behaviour cloning")
    parser.add_argument("--imitation", required=True, help="interpreter that has imitation 1.0.1")
    python = parser.parse_args().imitation
    torch.set_num_threads(1)
    task = make_task("cart-pole")
    data = Transitions(task.spec, list(Here().rollouts(task, ExpertActor(), range(12))))
    rows: list[results.Row] = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "transitions.npz"
        np.savez(file, states=data.column(STATE), actions=data.column("action")[:, 0])
        for batch_size in (32, 256):
            pairs = [
                (ours(data, batch_size), theirs(python, file, batch_size)) for _ in range(REPEATS)
            ]
            case = "cart-pole" if batch_size == 32 else f"cart-pole-batch-{batch_size}"
            for metric, values, unit in (
                ("ratio_to_imitation", [a[0] / b[0] for a, b in pairs], "ratio"),
                ("samples_per_s", [a[0] for a, _ in pairs], "samples/s"),
                ("imitation_samples_per_s", [b[0] for _, b in pairs], "samples/s"),
                ("return", [a[1] for a, _ in pairs], "return"),
                ("imitation_return", [b[1] for _, b in pairs], "return"),
            ):
                rows.append(results.median_row(case, metric, values, unit, [0]))
    results.write("cloning_speed", "python benchmarks/cloning_speed.py --imitation PYTHON", rows)


if __name__ == "__main__":
    main()

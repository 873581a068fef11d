"""Time LeRobot's `eval_policy`: `PYTHON FILE JSON`, see fleet_peers.py.

Its loop, and its vector environments as its `make_env` builds them, with worlds and networks of ours, but for
PushT's step, which is gym-pusht's own.
Each return has to be what ours is; LeRobot adds the reward after an episode's end to its sum.
"""

import importlib
import json
import logging
import os
import sys
import time
import warnings
from typing import Any

import gymnasium
import torch
from network import Network, find_ours
from timing import report

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)
os.environ["SLURM_JOB_ID"] = "0"  # it shows no bars there, which would cost time
script: Any = importlib.import_module("lerobot.scripts.lerobot_eval")
pretrained: Any = importlib.import_module("lerobot.policies.pretrained")
configs: Any = importlib.import_module("lerobot.configs.policies")
NAMES = {
    "observation.state": "agent_pos",
    "observation.environment_state": "environment_state",
    "observation.image": "pixels",
}


class World(gymnasium.Wrapper):
    """A world of ours with LeRobot's names for what is seen, and the limit that it asks for."""

    task_description = ""

    def __init__(self, env: gymnasium.Env, limit: int) -> None:
        super().__init__(env)
        self._max_episode_steps = limit
        spaces: Any = env.observation_space
        self.observation_space = gymnasium.spaces.Dict({NAMES[key]: spaces[key] for key in spaces})

    def reset(self, **options: Any) -> Any:
        seen, info = self.env.reset(**options)
        return {NAMES[key]: value for key, value in seen.items()}, info

    def step(self, action: Any) -> Any:
        seen, *rest = self.env.step(action)
        return {NAMES[key]: value for key, value in seen.items()}, *rest


class Ours(pretrained.PreTrainedPolicy):
    """A network of ours as a policy of LeRobot's."""

    config_class = configs.PreTrainedConfig
    name = "ours"

    def __init__(self, network: Network) -> None:
        torch.nn.Module.__init__(self)
        self.network = network

    def reset(self) -> None:
        self.network.reset()

    def select_action(self, batch: dict[str, Any], **_: Any) -> torch.Tensor:
        return self.network.actions(
            {key: batch[key] for key in self.network.policy.spec.observations}
        )

    def predict_action_chunk(self, batch: Any, **_: Any) -> Any:
        raise NotImplementedError

    def forward(self, batch: Any) -> Any:
        raise NotImplementedError

    def get_optim_params(self) -> Any:
        raise NotImplementedError


class Seeded:
    """The environments, telling the network which seeds they begin with: its noise is theirs.

    LeRobot looks into `envs`, which those in processes of their own do not have.
    """

    def __init__(self, worlds: Any, network: Network, env: World) -> None:
        self._worlds, self._network, self.envs = worlds, network, [env]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._worlds, name)

    def reset(self, seed: list[int]) -> Any:
        self._network.seeds = seed
        return self._worlds.reset(seed=seed)


def main() -> None:
    asked = json.loads(sys.argv[1])
    find_ours(asked["paths"])
    torch.set_num_threads(asked["threads"])
    task = importlib.import_module("understudy.tasks").make_task(asked["task"])
    vector: Any = (
        gymnasium.vector.AsyncVectorEnv if asked["async"] else gymnasium.vector.SyncVectorEnv
    )

    def world() -> World:
        env = task.build()
        vars(env.unwrapped).pop("_get_coverage", None)  # ours of PushT, which is quicker
        return World(env, asked["limit"])

    once = gymnasium.vector.AutoresetMode.SAME_STEP
    worlds = vector([world] * asked["worlds"], autoreset_mode=once)
    network = Network(asked["checkpoint"])
    returns: list[float] = asked["returns"]

    def same(batch: Any) -> Any:
        return batch

    began = time.perf_counter()
    found = script.eval_policy(
        Seeded(worlds, network, world()), Ours(network), same, same, same, same, len(returns),
        start_seed=asked["first_seed"],
    )  # fmt: skip
    seconds = time.perf_counter() - began
    pairs = [
        (row["sum_reward"], one) for row, one in zip(found["per_episode"], returns, strict=True)
    ]
    others = [(here, one) for here, one in pairs if abs(here - one) > 1 + 0.01 * abs(one)]
    if len(others) > len(pairs) / 10:  # contacts magnify the last bits, in which two torches differ
        raise ValueError(f"other returns than ours: {others}")
    report(len(returns) / seconds)
    worlds.close()


if __name__ == "__main__":
    main()

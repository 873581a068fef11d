"""Time a step or a prediction of LeRobot's ACT or Diffusion: `PYTHON FILE JSON`, see engine_policies.py."""

import importlib
import json
import logging
import sys
import warnings

import torch
from timing import median_seconds, report

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)
SIZE = 14


def main() -> None:
    kind, options, batch, threads, seconds = json.loads(sys.argv[1])
    torch.set_num_threads(threads)
    types = importlib.import_module("lerobot.configs.types")
    name = "ACT" if kind == "act" else "Diffusion"
    config_module = importlib.import_module(f"lerobot.policies.{kind}.configuration_{kind}")
    policy_module = importlib.import_module(f"lerobot.policies.{kind}.modeling_{kind}")
    rows, ahead = ((), 100) if kind == "act" else ((2,), 16)
    if kind == "act":
        options["pretrained_backbone_weights"] = None
    feature, kinds = types.PolicyFeature, types.FeatureType
    config = getattr(config_module, f"{name}Config")(
        input_features={
            "observation.state": feature(kinds.STATE, (SIZE,)),
            "observation.environment_state": feature(kinds.ENV, (SIZE,)),
        },
        output_features={"action": feature(kinds.ACTION, (SIZE,))},
        device="cpu",
        **options,
    )
    policy = getattr(policy_module, f"{name}Policy")(config)
    keys = ("observation.state", "observation.environment_state")
    if batch:
        data = {key: torch.randn(batch, *rows, SIZE) for key in keys}
        data["action"] = torch.randn(batch, ahead, SIZE).clamp(-1, 1)
        data["action_is_pad"] = torch.zeros(batch, ahead, dtype=torch.bool)
        optimizer = config.get_optimizer_preset().build(policy.get_optim_params())
        policy.train()

        def once() -> None:
            loss, _ = policy.forward(data)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(policy.parameters(), 10.0)
            optimizer.step()
            optimizer.zero_grad()
    else:
        policy.eval()
        seen = {key: torch.randn(1, SIZE) for key in keys}

        def once() -> None:
            policy.reset()
            policy.select_action(dict(seen))

    report(median_seconds(once, seconds))


main()

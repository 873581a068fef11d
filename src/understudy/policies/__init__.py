"""What is learnt, by name; installed packages add theirs by the entry point `understudy.policies`."""

from __future__ import annotations

from understudy.names import known, lookup

POLICIES: dict[str, str] = {
    "act": "understudy.policies.act:ActConfig",
    "cnn": "understudy.policies.cnn:CnnConfig",
    "diffusion": "understudy.policies.diffusion:DiffusionConfig",
    "flow": "understudy.policies.flow:FlowConfig",
    "gaussian": "understudy.policies.gaussian:GaussianConfig",
    "knn": "understudy.policies.knn:KnnConfig",
    "lstm": "understudy.policies.lstm:LstmConfig",
    "mlp": "understudy.policies.mlp:MlpConfig",
    "one_step": "understudy.policies.one_step:OneStepConfig",
    "regularised": "understudy.policies.regularised:RegularisedConfig",
}
# Other programs' policies, number for number, with what theirs do otherwise than ours.
INTERCHANGE: dict[str, str] = {
    "lerobot_act": "understudy.policies.lerobot_act:LerobotActConfig",
    "lerobot_diffusion": "understudy.policies.lerobot_diffusion:LerobotDiffusionConfig",
}
GROUP = "understudy.policies"


def policy_names() -> tuple[str, ...]:
    """Names of all policies that are installed."""
    return tuple(sorted(known(POLICIES | INTERCHANGE, GROUP)))


def find_policy(name: str) -> type:
    """Return a policy's configuration class; raises ValueError with the nearest valid name."""
    return lookup("policy", name, POLICIES | INTERCHANGE, GROUP)

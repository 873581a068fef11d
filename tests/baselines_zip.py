"""Zips as `model.save` of stable-baselines3 writes them, of perceptrons that are made here."""

import io
import json
import zipfile

import torch
from torch import nn

CART_POLE = [(4, 8), (8, 8), (8, 2)]
PENDULUM = [(3, 8), (8, 8), (8, 1)]
NAMES = {
    "ppo": ["mlp_extractor.policy_net.0", "mlp_extractor.policy_net.2", "action_net"],
    "sac": ["actor.latent_pi.0", "actor.latent_pi.2", "actor.mu"],
    "sac with sde": ["actor.latent_pi.0", "actor.latent_pi.2", "actor.mu.0"],
    "td3": ["actor.mu.0", "actor.mu.2", "actor.mu.4"],
}


def layers(sizes):
    torch.manual_seed(0)
    return [nn.Linear(*size) for size in sizes]


def weights_of(kind, linear):
    named = zip(NAMES[kind], linear, strict=True)
    found = {f"{n}.{k}": v for n, layer in named for k, v in layer.state_dict().items()}
    if kind == "ppo":  # what its zips hold beside
        found |= {"log_std": torch.zeros(1), "mlp_extractor.value_net.0.weight": torch.zeros(8, 4)}
    if kind == "sac with sde":
        found |= {"actor.log_std": torch.zeros(8, 1)}
    return found


def saved(path, weights, facts=None):
    """Write the zip; `weights` may be anything that torch.save takes."""
    content = io.BytesIO()
    torch.save(weights, content)
    facts = {"policy_class": {":type:": "<class 'abc.ABCMeta'>", ":serialized:": "gAWV"}} | (
        facts or {}
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("policy.pth", content.getvalue())
        archive.writestr("data", json.dumps(facts))
        archive.writestr("_stable_baselines3_version", "2.2.1")
    return path

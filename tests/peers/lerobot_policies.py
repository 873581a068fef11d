"""What LeRobot 0.4.4's own policies predict: `PYTHON_WITH_LEROBOT tests/peers/lerobot_policies.py FOLDER`.

With `--open`, opens the checkpoints in FOLDER and writes what they answer beside them. Else makes up
its own, one folder for each case: LeRobot's files of a checkpoint but for `model.safetensors`, whose
names and shapes are in `shapes.json` (the values are made up, made_up_weights.py), and in
`case.safetensors` what the policy is given and what it answers.
"""

import importlib
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from made_up_weights import frames, made_up
from safetensors.torch import save_file

# LeRobot is not in our environment.
types, act, act_options, diffusion, diffusion_options, factory = (
    importlib.import_module(f"lerobot.{name}")
    for name in (
        "configs.types",
        "policies.act.modeling_act",
        "policies.act.configuration_act",
        "policies.diffusion.modeling_diffusion",
        "policies.diffusion.configuration_diffusion",
        "policies.factory",
    )
)
STATE, ENVIRONMENT, ACTION = "observation.state", "observation.environment_state", "action"
ROWS = 2


@dataclass
class Case:
    """A small policy."""

    kind: str
    state: int = 3
    environment: int = 0
    cameras: tuple[tuple[int, int], ...] = ()
    action: int = 2
    options: dict[str, Any] = field(default_factory=dict)


ACT = {
    "chunk_size": 6,
    "n_action_steps": 6,
    "dim_model": 32,
    "n_heads": 4,
    "dim_feedforward": 48,
    "n_encoder_layers": 2,
    "n_vae_encoder_layers": 2,
    "latent_dim": 8,
    "pretrained_backbone_weights": None,
}
DIFFUSION = {
    "horizon": 8,
    "n_action_steps": 4,
    "down_dims": (16, 32),
    "diffusion_step_embed_dim": 16,
    "num_inference_steps": 5,
    "noise_scheduler_type": "DDIM",
}
CASES = {
    "act-states": Case("act", environment=4, options=ACT | {"n_decoder_layers": 2}),
    "act-cameras": Case("act", cameras=((64, 96), (64, 96)), options=ACT),
    "act-old": Case("act", environment=4, options=ACT),
    "diffusion-states": Case("diffusion", environment=4, options=DIFFUSION),
    "diffusion-cameras": Case(
        "diffusion",
        cameras=((96, 96), (96, 96)),
        options=DIFFUSION | {"crop_shape": (84, 84), "spatial_softmax_num_keypoints": 5},
    ),
    "diffusion-separate": Case(
        "diffusion",
        cameras=((64, 64), (64, 64)),
        environment=4,
        options=DIFFUSION
        | {
            "use_separate_rgb_encoder_per_camera": True,
            "use_group_norm": False,
            "spatial_softmax_num_keypoints": 5,
            "use_film_scale_modulation": False,
            "prediction_type": "sample",
        },
    ),
    "diffusion-ddpm": Case(
        "diffusion",
        environment=4,
        options=DIFFUSION
        | {"noise_scheduler_type": "DDPM", "num_inference_steps": None, "num_train_timesteps": 12},
    ),
}


def main(folder: Path) -> None:
    """Write all cases."""
    for name, case in CASES.items():
        make(folder / name, case, is_old=name.endswith("old"))


def make(place: Path, case: Case, is_old: bool) -> None:
    """Write one case."""
    place.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    features = {STATE: types.PolicyFeature(types.FeatureType.STATE, (case.state,))}
    if case.environment:
        features[ENVIRONMENT] = types.PolicyFeature(types.FeatureType.ENV, (case.environment,))
    for number, (rows, columns) in enumerate(case.cameras):
        features[f"observation.images.c{number}"] = types.PolicyFeature(
            types.FeatureType.VISUAL, (3, rows, columns)
        )
    action = {ACTION: types.PolicyFeature(types.FeatureType.ACTION, (case.action,))}
    config_class, policy_class = {
        "act": (act_options.ACTConfig, act.ACTPolicy),
        "diffusion": (diffusion_options.DiffusionConfig, diffusion.DiffusionPolicy),
    }[case.kind]
    config = config_class(
        input_features=features, output_features=action, device="cpu", **case.options
    )
    if case.environment:
        config.normalization_mapping["ENV"] = types.NormalizationMode.MEAN_STD
    policy = policy_class(config).eval()
    weights = {
        key: torch.from_numpy(made_up(key, tuple(value.shape)))
        if value.is_floating_point() and "pos_grid" not in key and "pos_enc" not in key
        else value
        for key, value in policy.state_dict().items()
    }
    policy.load_state_dict(weights)
    statistics = {key: stats(generator, f.shape) for key, f in (features | action).items()}
    before, after = factory.make_pre_post_processors(config, dataset_stats=statistics)
    policy.config.save_pretrained(place)
    shapes = {key: [str(value.dtype), list(value.shape)] for key, value in weights.items()}
    if is_old:
        kept = {f"normalize_inputs.buffer_{k.replace('.', '_')}": k for k in features}
        kept |= {
            "normalize_targets.buffer_action": ACTION,
            "unnormalize_outputs.buffer_action": ACTION,
        }
        old = {
            f"{prefix}.{stat}": statistics[key][stat].clone()
            for prefix, key in kept.items()
            for stat in ("mean", "std")
        }
        save_file(old, place / "old.safetensors")
    else:
        before.save_pretrained(place)
        after.save_pretrained(place)
    (place / "shapes.json").write_text(json.dumps(shapes, indent=0) + "\n")
    save_file(answers(policy, before, after), place / "case.safetensors")


def open_all(folder: Path) -> None:
    """Let LeRobot open each checkpoint, and write its answers."""
    for place in sorted(path for path in folder.iterdir() if path.is_dir()):
        kind = json.loads((place / "config.json").read_text())["type"]
        policy_class = {"act": act.ACTPolicy, "diffusion": diffusion.DiffusionPolicy}[kind]
        policy = policy_class.from_pretrained(place, strict=False).eval()
        before, after = factory.make_pre_post_processors(policy.config, pretrained_path=str(place))
        save_file(answers(policy, before, after), place / "case.safetensors")


@contextmanager
def drawn() -> Iterator[list[torch.Tensor]]:
    """Within, what torch.randn gives is noted in a list."""
    noises: list[torch.Tensor] = []
    real = torch.randn

    def noting(*sizes, **options):
        noises.append(real(*sizes, **options))
        return noises[-1]

    torch.randn = noting
    try:
        yield noises
    finally:
        torch.randn = real


def remember(policy, ready) -> None:
    """Fill the queues of an earlier tick, for which no action is asked."""
    images = [ready[key] for key in policy.config.image_features]
    if images:
        ready = {**ready, "observation.images": torch.stack(images, dim=-4)}
    for key, queue in policy._queues.items():
        if key in ready:
            queue.append(ready[key])


def stats(generator: np.random.Generator, shape: tuple[int, ...]) -> dict[str, torch.Tensor]:
    """Statistics of a signal, as a dataset would have them."""
    size = (shape[0], 1, 1) if len(shape) == 3 else shape
    low = generator.normal(size=size) if len(shape) < 3 else np.zeros(size)
    wide = generator.uniform(1, 3, size=size) if len(shape) < 3 else np.ones(size)
    made = {"min": low, "max": low + wide, "mean": low + wide / 2, "std": wide / 4}
    return {key: torch.from_numpy(value).float() for key, value in made.items()}


def answers(policy, before, after) -> dict[str, torch.Tensor]:
    """The vectors (K, D) that it is given, the noise that it draws, and its chunk, for each row.

    Frames are made up, `frames(key, row, tick)`.
    """
    generator = np.random.RandomState(1)
    history, features = policy.config.n_obs_steps, policy.config.input_features
    kept: dict[str, list[torch.Tensor]] = {}
    for row in range(ROWS):
        torch.manual_seed(row)
        policy.reset()
        for tick in range(history):
            seen: dict[str, torch.Tensor] = {}
            for key, feature in features.items():
                if feature.type is types.FeatureType.VISUAL:
                    frame = frames(f"{key}{row}{tick}", feature.shape[1:])
                    seen[key] = torch.from_numpy(frame).permute(2, 0, 1).float() / 255
                else:
                    vector = torch.from_numpy(generator.standard_normal(feature.shape)).float()
                    kept.setdefault(key, []).append(vector)
                    seen[key] = vector
            ready = before(seen)
            if policy.name == "diffusion":
                ready = {k: v for k, v in ready.items() if k in features}
                if tick < history - 1:
                    remember(policy, ready)
        with drawn() as noises:
            first = policy.select_action(ready)
        queue = policy._queues[ACTION] if policy.name == "diffusion" else policy._action_queue
        chunk = torch.stack([first, *queue], 1)[0]
        kept.setdefault("chunk", []).append(torch.stack([after(step[None])[0] for step in chunk]))
        if noises:
            kept.setdefault("noise", []).append(torch.cat(noises))
    return {
        key: torch.stack(values).unflatten(0, (ROWS, -1)).squeeze(1)
        if key in ("chunk", "noise")
        else torch.stack(values).unflatten(0, (ROWS, history))
        for key, values in kept.items()
    }


if __name__ == "__main__":
    run = open_all if "--open" in sys.argv else main
    run(Path(sys.argv[-1]))

"""How LeRobot 0.4.4 calls the weights and the options of its policies, and how ours are called."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, final

import torch
from torch import Tensor

from understudy.nn.vision import FrozenNorm, Resnet18, group_norm
from understudy.policies.lerobot_act import LerobotActConfig
from understudy.policies.lerobot_diffusion import LerobotDiffusionConfig
from understudy.spec import STATE, Spec


def _same(value: Tensor) -> Tensor:
    return value


@final
@dataclass(frozen=True)
class Weights:
    """One tensor of LeRobot's and those of ours that are its rows, one part after the other."""

    theirs: str
    ours: tuple[str, ...]
    read: Callable[[Tensor], Tensor] = _same
    written: Callable[[Tensor], Tensor] = _same


def act_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of LerobotActConfig from a config.json; raises ValueError for what it cannot do."""
    _require(
        options,
        vision_backbone="resnet18",
        replace_final_stride_with_dilation=0,
        pre_norm=False,
        feedforward_activation="relu",
        use_vae=True,
        n_obs_steps=1,
    )
    return {ours: options[theirs] for theirs, ours in ACT_OPTIONS.items() if theirs in options}


ACT_OPTIONS = {
    "n_action_steps": "execute",
    "chunk_size": "horizon",
    "dim_model": "width",
    "n_heads": "heads",
    "dim_feedforward": "hidden",
    "n_encoder_layers": "encoder_layers",
    "n_decoder_layers": "decoder_layers",
    "n_vae_encoder_layers": "shown_layers",
    "latent_dim": "latent",
    "kl_weight": "kl_weight",
    "dropout": "dropout",
}


def act_written(config: LerobotActConfig) -> dict[str, Any]:
    """The options of a config.json."""
    options = {theirs: getattr(config, ours) for theirs, ours in ACT_OPTIONS.items()}
    return options | {
        "n_action_steps": config.execute or config.horizon,
        "pretrained_backbone_weights": None,
    }


def act_weights(config: LerobotActConfig, spec: Spec) -> Iterator[Weights]:
    """Names of all weights of LeRobot's ACT."""
    pairs = {
        "vae_encoder_cls_embed.weight": "shown_first",
        "encoder_1d_feature_pos_embed.weight": "places",
        "decoder_pos_embed.weight": "queries",
    }
    layers = {
        "vae_encoder_action_input_proj": "shown_action",
        "vae_encoder_latent_output_proj": "shown_last",
        "encoder_latent_input_proj": "latent",
        "decoder.norm": "norm",
        "action_head": "last",
    }
    if STATE in spec.observations:
        layers["vae_encoder_robot_state_input_proj"] = "shown_state"
        layers["encoder_robot_state_input_proj"] = "tokens.observation_state"
    if len(spec.vectors) > (STATE in spec.observations):
        layers["encoder_env_state_input_proj"] = "tokens.observation_environment_state"
    if spec.cameras:
        layers["encoder_img_feat_input_proj"] = "narrow"
        with torch.device("meta"):
            names = Resnet18(FrozenNorm).state_dict()
        yield from (Weights(f"model.backbone.{name}", (f"backbone.{name}",)) for name in names)
    for number in range(config.shown_layers):
        yield from _encoder_layer(f"model.vae_encoder.layers.{number}", f"shown.{number}")
    for number in range(config.encoder_layers):
        yield from _encoder_layer(f"model.encoder.layers.{number}", f"encoder.{number}")
    for number in range(config.decoder_layers):
        yield from _decoder_layer(f"model.decoder.layers.{number}", f"decoder.{number}")
    for theirs, ours in pairs.items():
        yield Weights(f"model.{theirs}", (ours,))
    for theirs, ours in layers.items():
        yield from _linear(f"model.{theirs}", ours)


DIFFUSION_OPTIONS = {
    "n_obs_steps": "history",
    "down_dims": "widths",
    "kernel_size": "kernel",
    "n_groups": "groups",
    "diffusion_step_embed_dim": "time_features",
    "use_film_scale_modulation": "film_scales",
    "num_train_timesteps": "levels",
    "spatial_softmax_num_keypoints": "keypoints",
    "use_group_norm": "group_norm",
    "use_separate_rgb_encoder_per_camera": "encoder_each",
    "do_mask_loss_for_padding": "masked",
}
TARGETS = {"epsilon": "noise", "sample": "sample"}
SAMPLERS = {"DDPM": "ddpm", "DDIM": "ddim"}


def diffusion_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of LerobotDiffusionConfig from a config.json; raises ValueError for what it cannot do."""
    _require(
        options,
        vision_backbone="resnet18",
        beta_schedule="squaredcos_cap_v2",
        clip_sample=True,
        clip_sample_range=1.0,
    )
    found = {
        ours: options[theirs] for theirs, ours in DIFFUSION_OPTIONS.items() if theirs in options
    }
    found["widths"] = tuple(found["widths"])
    return found | {
        "horizon": int(options["horizon"]) - int(options["n_obs_steps"]) + 1,
        "execute": options["n_action_steps"],
        "target": TARGETS[options["prediction_type"]],
        "sampler": SAMPLERS[options["noise_scheduler_type"]],
        "inference_steps": options["num_inference_steps"] or options["num_train_timesteps"],
        "resize": tuple(options.get("resize_shape") or ()),
        "crop": tuple(options.get("crop_shape") or ()),
    }


def diffusion_written(config: LerobotDiffusionConfig) -> dict[str, Any]:
    """The options of a config.json."""
    options = {theirs: getattr(config, ours) for theirs, ours in DIFFUSION_OPTIONS.items()}
    return options | {
        "horizon": config.span,
        "n_action_steps": config.execute or config.horizon,
        "prediction_type": {ours: theirs for theirs, ours in TARGETS.items()}[config.target],
        "noise_scheduler_type": config.sampler.upper(),
        "num_inference_steps": config.inference_steps,
        "resize_shape": list(config.resize) or None,
        "crop_shape": list(config.crop) or None,
    }


def diffusion_weights(config: LerobotDiffusionConfig, spec: Spec) -> Iterator[Weights]:
    """Names of all weights of LeRobot's diffusion."""
    unet, levels = "diffusion.unet", len(config.widths)
    count = len(spec.cameras) if config.encoder_each else min(1, len(spec.cameras))
    for number in range(count):
        each = f".{number}" if config.encoder_each else ""
        yield from _camera(f"diffusion.rgb_encoder{each}", f"encoders.{number}", config)
    for theirs, ours in (("1", "0"), ("3", "2")):
        yield from _linear(f"{unet}.diffusion_step_encoder.{theirs}", f"network.time.{ours}")
    sizes = [spec.action.size, *config.widths]
    for level, (inputs, outputs) in enumerate(pairwise(sizes)):
        for part, first in enumerate((inputs, outputs)):
            names = f"{unet}.down_modules.{level}.{part}", f"network.down.{level}.{part}"
            yield from _block(*names, config.kernel, has_way=first != outputs)
        if level < levels - 1:
            yield from _convolution(f"{unet}.down_modules.{level}.2", f"network.shorten.{level}", 3)
    for part in range(2):
        names = f"{unet}.mid_modules.{part}", f"network.middle.{part}"
        yield from _block(*names, config.kernel, has_way=False)
    for level, (inputs, outputs) in enumerate(pairwise(reversed(config.widths))):
        for part, first in enumerate((2 * inputs, outputs)):
            names = f"{unet}.up_modules.{level}.{part}", f"network.up.{level}.{part}"
            yield from _block(*names, config.kernel, has_way=first != outputs)
        theirs, ours = f"{unet}.up_modules.{level}.2", f"network.lengthen.{level}"
        yield Weights(f"{theirs}.weight", (f"{ours}.weight",), _doubling, _transposed)
        yield Weights(f"{theirs}.bias", (f"{ours}.bias",))
    yield from _convolution(f"{unet}.final_conv.0.block.0", "network.last.0", config.kernel)
    yield from _linear(f"{unet}.final_conv.0.block.1", "network.last.1")
    yield from _product(f"{unet}.final_conv.1", "network.last.3")


def _camera(theirs: str, ours: str, config: LerobotDiffusionConfig) -> Iterator[Weights]:
    places = {"conv1": "0", "bn1": "1", **{f"layer{n}": str(n + 3) for n in (1, 2, 3, 4)}}
    with torch.device("meta"):
        names = Resnet18(group_norm if config.group_norm else FrozenNorm).state_dict()
    for name in names:
        part, _, rest = name.partition(".")
        yield Weights(f"{theirs}.backbone.{places[part]}.{rest}", (f"{ours}.backbone.{name}",))
    yield from _linear(f"{theirs}.pool.nets", f"{ours}.places.maps")
    yield from _linear(f"{theirs}.out", f"{ours}.last")


def _block(theirs: str, ours: str, kernel: int, has_way: bool) -> Iterator[Weights]:
    for their_half, our_half in (("conv1", "first"), ("conv2", "second")):
        yield from _convolution(f"{theirs}.{their_half}.block.0", f"{ours}.{our_half}.0", kernel)
        yield from _linear(f"{theirs}.{their_half}.block.1", f"{ours}.{our_half}.1")
    yield from _linear(f"{theirs}.cond_encoder.1", f"{ours}.film")
    if has_way:
        yield from _product(f"{theirs}.residual_conv", f"{ours}.around")


def _convolution(theirs: str, ours: str, kernel: int) -> Iterator[Weights]:
    """(O, I, K) there, (O, K * I) here."""
    yield Weights(
        f"{theirs}.weight",
        (f"{ours}.weight",),
        lambda value: value.permute(0, 2, 1).flatten(1),
        lambda value: value.unflatten(1, (kernel, -1)).permute(0, 2, 1),
    )
    yield Weights(f"{theirs}.bias", (f"{ours}.bias",))


def _product(theirs: str, ours: str) -> Iterator[Weights]:
    """A convolution over one step is a product."""
    yield Weights(
        f"{theirs}.weight", (f"{ours}.weight",), lambda v: v.squeeze(-1), lambda v: v.unsqueeze(-1)
    )
    yield Weights(f"{theirs}.bias", (f"{ours}.bias",))


def _doubling(value: Tensor) -> Tensor:
    """A transposed convolution (I, O, 4) as the rows of even and of odd steps, (2 O, 2 I)."""
    here, before, after, there = (value[:, :, tap].T for tap in (1, 3, 0, 2))
    return torch.cat([torch.cat([here, before], 1), torch.cat([there, after], 1)])


def _transposed(value: Tensor) -> Tensor:
    """The way back."""
    even, odd = value.chunk(2)
    (here, before), (there, after) = even.chunk(2, 1), odd.chunk(2, 1)
    return torch.stack([after.T, here.T, there.T, before.T], -1)


def _encoder_layer(theirs: str, ours: str) -> Iterator[Weights]:
    yield from _attention(f"{theirs}.self_attn", f"{ours}.attention")
    yield from _linear(f"{theirs}.linear1", f"{ours}.feedforward.layers.0")
    yield from _linear(f"{theirs}.linear2", f"{ours}.feedforward.layers.3")
    yield from _linear(f"{theirs}.norm1", f"{ours}.norm")
    yield from _linear(f"{theirs}.norm2", f"{ours}.feedforward.norm")


def _decoder_layer(theirs: str, ours: str) -> Iterator[Weights]:
    yield from _attention(f"{theirs}.self_attn", f"{ours}.among")
    yield from _attention(f"{theirs}.multihead_attn", f"{ours}.across")
    yield from _linear(f"{theirs}.linear1", f"{ours}.feedforward.layers.0")
    yield from _linear(f"{theirs}.linear2", f"{ours}.feedforward.layers.3")
    yield from _linear(f"{theirs}.norm1", f"{ours}.norms.0")
    yield from _linear(f"{theirs}.norm2", f"{ours}.norms.1")
    yield from _linear(f"{theirs}.norm3", f"{ours}.feedforward.norm")


def _attention(theirs: str, ours: str) -> Iterator[Weights]:
    parts = ("query", "key", "value")
    for end in ("weight", "bias"):
        yield Weights(f"{theirs}.in_proj_{end}", tuple(f"{ours}.{part}.{end}" for part in parts))
    yield from _linear(f"{theirs}.out_proj", f"{ours}.last")


def _linear(theirs: str, ours: str) -> Iterator[Weights]:
    for end in ("weight", "bias"):
        yield Weights(f"{theirs}.{end}", (f"{ours}.{end}",))


def _require(options: Mapping[str, Any], **only: Any) -> None:
    """Raise ValueError listing the options that ask for what does not exist here."""
    wrong = [
        f"{name} is {options[name]!r}, only {value!r} exists here"
        for name, value in only.items()
        if options.get(name, value) != value
    ]
    if wrong:
        raise ValueError("; ".join(wrong))

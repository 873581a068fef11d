"""ACT exactly as LeRobot 0.4.4 has it, so that its checkpoints run here and ours run there.

The network of Zhao et al. 2023 (arXiv 2304.13705) with LeRobot's choices: one decoder layer by
default, a decoder that begins with zeros, one ResNet-18 with frozen batch normalisation for all
cameras, L1 over the whole chunk divided by all of its steps, and statistics with 1e-8. `act` is our
own ACT.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from understudy.data.windows import Batch, Windows
from understudy.nn.draw import normal
from understudy.nn.transformer import DecoderLayer, EncoderLayer, line_positions, plane_positions
from understudy.nn.vision import FrozenNorm, Resnet18
from understudy.policies.base import Policy, PolicyConfig, Preset
from understudy.policies.lerobot_scale import ScaleModes, Scales, plain
from understudy.spec import STATE, Spec


@final
@dataclass(frozen=True, kw_only=True)
class LerobotActConfig(PolicyConfig):
    """LeRobot's ACT, number for number: to run, train on and give back its checkpoints."""

    presets: ClassVar[Mapping[str, Preset]] = MappingProxyType(
        {
            "small": Preset(learn={"batch_size": 32, "learning_rate": 1e-4, "precision": "auto"}),
            "paper": Preset(
                policy={
                    "horizon": 100,
                    "width": 512,
                    "heads": 8,
                    "hidden": 3200,
                    "encoder_layers": 4,
                    "shown_layers": 4,
                },
                learn={
                    "steps": 100_000,
                    "batch_size": 8,
                    "learning_rate": 1e-5,
                    "gradient_clip": 10.0,
                    "warmup_steps": 0,
                    "ema_decay": 0.0,
                },
            ),
        }
    )

    horizon: int = 16
    width: int = 128
    """Features of a token (dim_model)."""
    heads: int = 4
    """Attention heads (n_heads)."""
    hidden: int = 512
    """Units of the layers between attentions (dim_feedforward)."""
    encoder_layers: int = 2
    """Layers over what is seen (n_encoder_layers)."""
    decoder_layers: int = 1
    """Layers over the chunk (n_decoder_layers)."""
    shown_layers: int = 2
    """Layers of the encoder of shown chunks (n_vae_encoder_layers)."""
    latent: int = 32
    """Numbers that stand for how a chunk was shown (latent_dim)."""
    kl_weight: float = 10.0
    """Weight of the latent's divergence from a standard normal."""
    dropout: float = 0.1
    """Share of features switched off in training."""
    scales: ScaleModes = field(default_factory=ScaleModes)

    def __post_init__(self) -> None:
        PolicyConfig.__post_init__(self)
        counts = (self.width, self.heads, self.hidden, self.encoder_layers, self.decoder_layers)
        if min(*counts, self.shown_layers, self.latent) < 1 or self.width % 4:
            raise ValueError(f"sizes must be at least 1 and width a multiple of 4, got {self}")
        if self.history != 1 or self.tasks:
            raise ValueError("LeRobot's ACT sees one tick and no task: history 1, tasks none")

    def build(self, spec: Spec) -> Policy:
        """Build the network for these signals."""
        return LerobotAct(self, spec)


@final
class LerobotAct(Policy):
    """A chunk of actions from a transformer over everything that is seen."""

    config: LerobotActConfig

    def __init__(self, config: LerobotActConfig, spec: Spec) -> None:
        super().__init__(config, spec)
        self.config = config
        width, size = config.width, spec.action.size
        sizes = (width, config.heads, config.hidden, config.dropout)
        self.scales = Scales(spec, config.scales)
        self.tokens = nn.ModuleDict(
            {
                plain(key): nn.Linear(spec.observations[key].size, width)
                for key in self.scales.vectors
            }
        )
        self.latent = nn.Linear(config.latent, width)
        self.places = nn.Parameter(normal(1 + len(self.tokens), width))
        if spec.cameras:
            self.backbone = Resnet18(FrozenNorm)
            self.narrow = nn.Conv2d(512, width, 1)
        self.encoder = nn.ModuleList(EncoderLayer(*sizes) for _ in range(config.encoder_layers))
        self.decoder = nn.ModuleList(DecoderLayer(*sizes) for _ in range(config.decoder_layers))
        self.queries = nn.Parameter(normal(config.horizon, width))
        self.norm, self.last = nn.LayerNorm(width), nn.Linear(width, size)
        self.shown = nn.ModuleList(EncoderLayer(*sizes) for _ in range(config.shown_layers))
        self.shown_first = nn.Parameter(normal(1, width))
        self.shown_state = (
            nn.Linear(spec.observations[STATE].size, width) if STATE in spec.observations else None
        )
        self.shown_action = nn.Linear(size, width)
        self.shown_last = nn.Linear(width, 2 * config.latent)
        self._kept: tuple[tuple[tuple[int, int], ...], Tensor] | None = None
        for weight in (*self.encoder.parameters(), *self.decoder.parameters()):
            if weight.dim() > 1:
                nn.init.xavier_uniform_(weight)

    def prepare(self, windows: Windows) -> None:
        """Take the statistics of the training data; pixels have ImageNet's."""
        self.scales.prepare(windows)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """L1, 0 past the episode's end, and the divergence of the latent."""
        wanted = self.scales.action(batch.actions)
        mean, spread = self._shown(batch, wanted)
        drawn = mean + (spread / 2).exp() * torch.randn_like(mean) if self.training else mean
        errors = (self._chunk(batch.observations, drawn) - wanted).abs()  # (B, H, A)
        l1 = (errors * batch.valid[..., None]).mean()
        kl = 0.5 * (mean.square() + spread.exp() - 1 - spread).sum(-1).mean()
        return {"total": l1 + self.config.kl_weight * kl, "l1": l1.detach(), "kl": kl.detach()}

    def predict(self, observations: Mapping[str, Tensor], noise: Tensor) -> Tensor:
        """Return the chunk (B, H, A) for a latent of 0."""
        latent = torch.zeros(len(noise), self.config.latent, device=noise.device)
        return self.scales.action.inverse(self._chunk(observations, latent))

    def _chunk(self, observations: Mapping[str, Tensor], latent: Tensor) -> Tensor:
        """Normalised actions (B, H, A)."""
        seen = self.scales(observations)
        tokens = [self.latent(latent)[:, None]]
        for key, layer in zip(self.scales.vectors, self.tokens.values(), strict=True):
            tokens.append(layer(seen[key]))  # (B, 1, D)
        places: list[Tensor] = [self.places]
        for key in self.spec.cameras:
            pixels = self.narrow(self.backbone(seen[key][:, 0]))  # (B, D, y, x)
            where = plane_positions(pixels.shape[2], pixels.shape[3], pixels.shape[1])
            tokens.append(pixels.flatten(2).transpose(1, 2))
            places.append(where.to(pixels.device))
        values, place = torch.cat(tokens, 1), torch.cat(places)
        for layer in self.encoder:
            values = layer(values, place)
        first, *others = self.decoder
        assert isinstance(first, DecoderLayer)
        chunk = first.look(self._settled(len(values)), self.queries, values, place)
        for layer in others:
            chunk = layer(chunk, self.queries, values, place)
        return self.last(self.norm(chunk)).float()

    def _settled(self, count: int) -> Tensor:
        """What the decoder's first layer makes of the zeros that it begins with, (B, H, D).

        Nothing that is seen changes it: without dropout one row does for all, and in use it is kept
        for as long as the weights stay the same: 17.7 ms a prediction for 20.3, one thread, chunks of
        100 and 512 features.
        """
        layer = self.decoder[0]
        assert isinstance(layer, DecoderLayer)
        rows = count if self.training else 1
        zeros = torch.zeros(rows, *self.queries.shape, device=self.queries.device)
        if self.training or torch.is_grad_enabled():
            return layer.settle(zeros, self.queries).expand(count, -1, -1)
        weights = (self.queries, *layer.parameters())
        state = tuple((weight.data_ptr(), weight._version) for weight in weights)
        if self._kept is None or self._kept[0] != state:
            self._kept = (state, layer.settle(zeros, self.queries))
        return self._kept[1].expand(count, -1, -1)

    def _shown(self, batch: Batch, wanted: Tensor) -> tuple[Tensor, Tensor]:
        """The latent's mean and log variance, (B, L) each, from the state and the shown chunk."""
        parts = [self.shown_first.expand(len(wanted), 1, -1)]
        if self.shown_state is not None:
            parts.append(self.shown_state(self.scales(batch.observations)[STATE]))
        before = len(parts)
        values = torch.cat([*parts, self.shown_action(wanted)], 1)  # (B, S, D)
        ignored = torch.cat([batch.valid.new_zeros(len(values), before), ~batch.valid], 1)
        place = line_positions(values.shape[1], values.shape[2]).to(values.device)
        for layer in self.shown:
            values = layer(values, place, ignored)
        mean, spread = self.shown_last(values[:, 0]).float().chunk(2, -1)
        return mean, spread

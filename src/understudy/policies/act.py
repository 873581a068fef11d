"""ACT, action chunking with transformers (Zhao et al. 2023, arXiv 2304.13705).

A conditional variational autoencoder: in training an encoder sees the state and the H actions and
gives a latent, "how it was done"; a transformer makes the chunk of it and of what is seen; in play
the latent is 0. Matched: post-normalised layers, learned queries, sine positions (in two dimensions
for pixels), L1 over the valid steps, the KL divergence with weight 10, normalisation by mean and
deviation. Differences: every decoder layer is trained (the published code used the output of the
first of seven) and begins with the queries (there with zeros, of which the first attention among
them can learn nothing), the average of the weights is played, group for frozen batch normalisation, an
encoder for each camera, and a learned embedding tells cameras, ticks and the task apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from understudy.data.windows import TASK, Batch, Windows
from understudy.nn.draw import normal
from understudy.nn.transformer import DecoderLayer, EncoderLayer, line_positions, plane_positions
from understudy.nn.vision import FrameReader, VisionConfig
from understudy.policies.base import Policy, PolicyConfig, Preset
from understudy.policies.heads import ActionCode, masked_mean
from understudy.policies.observe import VectorInput, require_tasks, task_embedding
from understudy.spec import Spec


@final
@dataclass(frozen=True, kw_only=True)
class ActConfig(PolicyConfig):
    """ACT: long chunks from a transformer, for careful two-handed work and many cameras."""

    presets: ClassVar[Mapping[str, Preset]] = MappingProxyType(
        {
            "small": Preset(learn={"batch_size": 128, "learning_rate": 5e-4, "precision": "auto"}),
            "paper": Preset(
                policy={
                    "horizon": 100,
                    "width": 512,
                    "heads": 8,
                    "hidden": 3200,
                    "encoder_layers": 4,
                    "decoder_layers": 7,
                    "vision": VisionConfig(encoder="resnet18"),
                },
                learn={
                    "steps": 100_000,
                    "batch_size": 8,
                    "learning_rate": 1e-5,
                    "gradient_clip": 10.0,
                    "precision": "auto",
                },
            ),
        }
    )

    horizon: int = 16
    width: int = 128
    """Features of a token."""
    heads: int = 4
    """Attention heads."""
    hidden: int = 512
    """Units of the layers between attentions."""
    encoder_layers: int = 3
    """Layers over what is seen, and of the encoder of shown chunks."""
    decoder_layers: int = 3
    """Layers over the chunk."""
    latent: int = 32
    """Numbers that stand for how a chunk was shown."""
    kl_weight: float = 10.0
    """Weight of the latent's divergence from a standard normal."""
    dropout: float = 0.1
    """Share of features switched off in training."""
    vision: VisionConfig = field(default_factory=VisionConfig)

    def __post_init__(self) -> None:
        PolicyConfig.__post_init__(self)
        counts = (self.width, self.heads, self.hidden, self.encoder_layers, self.decoder_layers)
        if min(*counts, self.latent) < 1 or self.width % 4 or self.width % self.heads:
            raise ValueError(
                f"sizes must be at least 1 and width a multiple of 4 and of heads, got {self}"
            )
        if not 0 <= self.dropout < 1 or not self.kl_weight >= 0:
            raise ValueError(f"dropout must lie in 0..1 and kl_weight not below 0, got {self}")

    def build(self, spec: Spec) -> Policy:
        """Build the network for these signals."""
        return Act(self, spec)


@final
class Act(Policy):
    """A chunk of actions from a transformer over everything that is seen."""

    config: ActConfig

    def __init__(self, config: ActConfig, spec: Spec) -> None:
        super().__init__(config, spec)
        self.config = config
        width = config.width

        def layers(kind: type[EncoderLayer] | type[DecoderLayer], count: int) -> nn.ModuleList:
            sizes = (width, config.heads, config.hidden, config.dropout)
            return nn.ModuleList(kind(*sizes) for _ in range(count))

        self.seen = _Tokens(config, spec)
        self.action = ActionCode(spec.action, "mean_std")
        self.shown = _ShownChunk(config, self.seen.vectors.size, self.action.size)
        self.shown_layers = layers(EncoderLayer, config.encoder_layers)
        self.latent = nn.Linear(config.latent, width)
        self.latent_place = nn.Parameter(normal(1, width, over=10))
        self.encoder = layers(EncoderLayer, config.encoder_layers)
        self.decoder = layers(DecoderLayer, config.decoder_layers)
        self.queries = nn.Parameter(normal(config.horizon, width, over=10))
        self.last = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, self.action.size))

    def prepare(self, windows: Windows) -> None:
        """Fit the normalisers of observations and actions."""
        self.seen.prepare(windows)
        self.action.prepare(windows)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """L1 over the valid steps, and the divergence of the latent, summed over its numbers."""
        clean = self.action.encode(batch)
        vectors = self.seen.state(batch.observations)
        mean, spread = self.shown(vectors, clean, batch.valid, self.shown_layers)
        drawn = mean + (spread / 2).exp() * torch.randn_like(mean) if self.training else mean
        errors = (self._chunk(batch.observations, drawn) - clean).abs().mean(-1)  # (B, H)
        l1 = masked_mean(errors, batch.valid)
        kl = 0.5 * (mean.square() + spread.exp() - 1 - spread).sum(-1).mean()
        return {"total": l1 + self.config.kl_weight * kl, "l1": l1.detach(), "kl": kl.detach()}

    def predict(self, observations: Mapping[str, Tensor], noise: Tensor) -> Tensor:
        """Return the chunk (B, H, A) for a latent of 0."""
        latent = torch.zeros(len(noise), self.config.latent, device=noise.device)
        return self.action.decode(self._chunk(observations, latent))

    def _chunk(self, observations: Mapping[str, Tensor], latent: Tensor) -> Tensor:
        """Normalised actions (B, H, A)."""
        seen, place = self.seen(observations)
        tokens = torch.cat([self.latent(latent)[:, None], seen], 1)  # (B, S, D)
        place = torch.cat([self.latent_place, place])  # (S, D)
        for layer in self.encoder:
            tokens = layer(tokens, place)
        values = self.queries.expand(len(tokens), -1, -1)  # (B, H, D)
        for layer in self.decoder:
            values = layer(values, self.queries, tokens, place)
        return self.last(values).float()


@final
class _Tokens(nn.Module):
    """What is seen as tokens: one for the vectors of each tick, one for each pixel, one for the task."""

    def __init__(self, config: ActConfig, spec: Spec) -> None:
        super().__init__()
        self.tasks, width = config.tasks, config.width
        self.vectors = VectorInput(spec)
        self.state_token = nn.Linear(self.vectors.size, width) if spec.vectors else None
        self.cameras = spec.cameras
        readers = [FrameReader(config.vision, spec.observations[k].shape) for k in self.cameras]
        self.readers = nn.ModuleList(readers)
        self.narrow = nn.ModuleList(nn.Conv2d(r.channels, width, 1) for r in readers)
        self.task = task_embedding(self.tasks, width)
        groups = bool(spec.vectors) + len(self.cameras) + bool(self.tasks)
        self.place = nn.Parameter(normal(groups, config.history, width, over=10))

    def prepare(self, windows: Windows) -> None:
        """Fit the normalisers, and begin with the given weights of the cameras' encoders."""
        require_tasks(self.tasks, windows)
        self.vectors.prepare(windows)
        for reader in self.readers:
            reader.prepare()  # pyright: ignore[reportCallIssue]  # ModuleList forgets the class

    def state(self, observations: Mapping[str, Tensor]) -> Tensor:
        """Return the newest tick's vectors (B, 1, F), with F = 0 where there are none."""
        parts = self.vectors(observations)
        some = next(iter(observations.values()))
        return torch.cat(parts, -1)[:, -1:] if parts else torch.zeros(len(some), 1, 0)

    def forward(self, observations: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return tokens (B, S, D) and their positions (S, D)."""
        tokens, places, group = [], [], 0
        if self.state_token is not None:
            tokens.append(self.state_token(torch.cat(self.vectors(observations), -1)))  # (B, K, D)
            places.append(self.place[group])
            group += 1
        for key, reader, narrow in zip(self.cameras, self.readers, self.narrow, strict=True):
            frames = observations[key]
            pixels = narrow(reader(frames))  # (B * K, D, y, x)
            where = plane_positions(pixels.shape[2], pixels.shape[3], pixels.shape[1]).to(
                pixels.device
            )
            pixels = pixels.flatten(2).transpose(1, 2)  # (B * K, y * x, D)
            tokens.append(pixels.unflatten(0, frames.shape[:2]).flatten(1, 2))
            places.append((where + self.place[group][:, None]).flatten(0, 1))
            group += 1
        if self.task is not None:
            tokens.append(self.task(observations[TASK])[:, None])
            places.append(self.place[group][:1])
        return torch.cat(tokens, 1), torch.cat(places)


@final
class _ShownChunk(nn.Module):
    """The encoder of training: state and shown actions to the latent's mean and log variance."""

    def __init__(self, config: ActConfig, state: int, action: int) -> None:
        super().__init__()
        self.first = nn.Parameter(normal(1, config.width, over=10))
        self.state = nn.Linear(state, config.width) if state else None
        self.action = nn.Linear(action, config.width)
        self.last = nn.Linear(config.width, 2 * config.latent)

    def forward(
        self, state: Tensor, actions: Tensor, valid: Tensor, layers: nn.ModuleList
    ) -> tuple[Tensor, Tensor]:
        """(B, 1, F), (B, H, A), (B, H) -> mean and log variance, (B, L) each."""
        tokens = [self.first.expand(len(actions), -1, -1)]
        if self.state is not None:
            tokens.append(self.state(state))
        before = sum(part.shape[1] for part in tokens)
        values = torch.cat([*tokens, self.action(actions)], 1)  # (B, S, D)
        ignored = torch.cat([valid.new_zeros(len(valid), before), ~valid], 1)  # (B, S)
        place = line_positions(values.shape[1], values.shape[2]).to(values.device)
        for layer in layers:
            values = layer(values, place, ignored)
        mean, spread = self.last(values[:, 0]).float().chunk(2, -1)
        return mean, spread

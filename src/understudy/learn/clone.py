"""Behaviour cloning in one call: a configuration and a dataset in, a trained policy out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from understudy.data.frames import FrameCache
from understudy.data.store import Dataset
from understudy.data.stream import StreamedFrames
from understudy.data.symmetry import MirrorConfig, Mirrored, MirroredFrames
from understudy.data.windows import Columns, Frames, PastEnd, Windows
from understudy.learn.group import ALONE, Group
from understudy.learn.supervised import LearnConfig, averaged_weights, learn
from understudy.learn.taught import LearnFrom, taught
from understudy.policies.base import Policy, PolicyConfig


def clone(
    config: PolicyConfig,
    dataset: Dataset,
    learning: LearnConfig,
    mirror: MirrorConfig | None = None,
) -> Policy:
    """Train a policy on a dataset's selected episodes and return it with its averaged weights, ready to play.

    A dataset of several tasks makes a policy that tells them apart. For progress, a held-out loss,
    checkpoints and resuming iterate over `learn` yourself, or use `understudy train`.
    """
    config = with_tasks(config, dataset)
    windows = windows_of(
        config,
        dataset,
        mirror=mirror,
        batch_size=learning.batch_size,
        seed=learning.seed,
        past_end=learning.past_end,
    )
    torch.manual_seed(learning.seed)
    policy = config.build(windows.spec)
    policy.prepare(windows)
    *_, last = learn(policy, windows, learning)
    policy.load_state_dict(averaged_weights(policy, last.state))
    return policy.eval()


def learning_of(config: PolicyConfig, preset: str = "small", **changes: Any) -> LearnConfig:
    """Return how a preset of this policy is trained, as `understudy train` does, but for `changes`.

    Raises KeyError for an unknown preset, TypeError for a field that `LearnConfig` does not have.
    """
    return LearnConfig(**{**config.presets[preset].learn, **changes})


def with_tasks(config: PolicyConfig, dataset: Dataset) -> PolicyConfig:
    """Return `config` for a policy that tells apart the tasks of a dataset that has several."""
    tasks = tuple(sorted(set(dataset.tasks)))
    return replace(config, tasks=tasks) if len(tasks) > 1 and not config.tasks else config


def readable(config: PolicyConfig, dataset: Dataset) -> tuple[str, ...]:
    """Return the observations that the policy can read."""
    spec = dataset.spec
    return tuple(spec.observations) if config.reads_cameras else spec.vectors


def windows_of(
    config: PolicyConfig,
    dataset: Dataset,
    *,
    inputs: Sequence[str] = (),
    episodes: Sequence[int] | NDArray[np.int64] | None = None,
    mirror: MirrorConfig | None = None,
    batch_size: int = 256,
    seed: int = 0,
    past_end: PastEnd = "left_out",
    group: Group = ALONE,
    frame_bytes: int = 0,
    learn_from: LearnFrom = "labels",
    progress: Callable[[int, int], None] | None = None,
) -> Windows:
    """Return a policy's training windows; frames of the cameras it reads are decoded at the first time.

    `inputs` are the observations that it sees, all that it can read by default, and `episodes` those
    that it learns from, all that no annotation excludes by default; with a `mirror` the
    images of the episodes are learnt from as well. `batch_size` counts the samples of all processes
    of `group` together. Where decoded frames take more than `frame_bytes` (0: any number) of the
    disk, they are streamed, see `StreamedFrames`. Of a mixture's episodes only those ticks are learnt
    that `learn_from` says, see `taught`. `progress(done, total)` counts the frames. Raises ValueError
    where there is nothing that it can read.
    """
    part = group.part(batch_size)
    keys = tuple(inputs) or readable(config, dataset)
    if not keys:
        name = type(config).__name__
        raise ValueError(f"{name} can read none of {list(dataset.spec.observations)}")
    spec = dataset.spec.only(keys)
    episodes = dataset.selected if episodes is None else episodes
    chosen = taught(dataset, learn_from)
    frames: Frames | None = None
    block = 0
    if spec.cameras:
        if 0 < frame_bytes < sum(frame_sizes(dataset, keys, episodes)):
            frames = StreamedFrames(dataset, spec.cameras, frame_bytes, episodes=episodes)
            block = frames.block
        else:
            frames = FrameCache.build(dataset, spec.cameras, episodes=episodes, progress=progress)
    columns: Columns = dataset
    if mirror is not None and mirror != MirrorConfig():
        columns = Mirrored(dataset, mirror)
        episodes = columns.both(episodes)
        chosen = None if chosen is None else np.concatenate([chosen, chosen])
        if frames is not None:
            frames = MirroredFrames(frames, len(dataset), mirror.mirror_pictures)
    return Windows(
        columns,
        history=config.history,
        horizon=config.horizon - config.first_action,
        first_action=config.first_action,
        past_end=past_end,
        spec=spec,
        episodes=episodes,
        batch_size=part,
        seed=seed,
        rank=group.rank,
        world_size=group.size,
        frames=frames,
        block=block,
        taught=chosen,
    )


def frame_sizes(
    dataset: Dataset,
    inputs: Sequence[str],
    episodes: Sequence[int] | NDArray[np.int64] | None = None,
) -> list[int]:
    """Return how many bytes the decoded frames of each episode take, of `inputs` that are cameras."""
    cameras = dataset.spec.only(inputs).cameras
    return [*FrameCache(dataset, cameras, episodes=episodes).bytes_of.values()]

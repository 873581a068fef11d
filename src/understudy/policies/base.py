"""The one contract of everything that is learnt: K observations in, H actions out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, Protocol, final, runtime_checkable

from torch import Tensor, nn

from understudy.data.windows import Batch, Windows
from understudy.spec import Spec


@final
@dataclass(frozen=True, kw_only=True)
class Preset:
    """Values that belong together: fields of a policy's configuration, and of its training."""

    policy: Mapping[str, Any] = field(default_factory=dict)
    learn: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class PolicyConfig(ABC):
    """The configuration of one policy: plain numbers and words.

    `presets` has "small", which two processor cores train in minutes, and "paper", the sizes and
    the training that were published; the defaults of the fields are those of small.
    """

    reads_cameras: ClassVar[bool] = True
    presets: ClassVar[Mapping[str, Preset]] = MappingProxyType(
        {"small": Preset(), "paper": Preset()}
    )

    history: int = 1
    """Observations that are seen at once, K: the newest and K-1 before it."""
    horizon: int = 1
    """Actions that are predicted at once, H."""
    execute: int = 0
    """Of these, how many are played before the next prediction, unless told otherwise; 0: all."""
    tasks: tuple[str, ...] = ()
    """Texts of the tasks that the policy tells apart, as `Windows.tasks`; none: it does not."""

    def __post_init__(self) -> None:
        for name in ("history", "horizon"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.execute < 0:
            raise ValueError(f"execute must not be negative, got {self.execute}")
        if len(set(self.tasks)) < len(self.tasks):
            raise ValueError(f"tasks must differ, got {self.tasks}")

    @property
    def first_action(self) -> int:
        """Tick of the first target of a training window, counted from the current one: 0, or before."""
        return 0

    @abstractmethod
    def build(self, spec: Spec) -> Policy:
        """Build the untrained policy; raises ValueError where it cannot serve `spec`."""


@runtime_checkable
class Remarks(Protocol):
    """A policy that says what about its demonstrations it cannot learn."""

    @property
    def remarks(self) -> tuple[str, ...]:
        """Sentences, once it is prepared."""
        ...


class Policy(nn.Module, ABC):
    """A policy takes and gives raw units; its normalisers are part of its weights.

    `noise_shape` is the shape of the standard normal noise that one prediction takes, (0,) for
    none. `growing` names the buffers whose first dimension is that of the data (kNN's memory).
    `clips` says that no action leaves the -1..1 of the action's normaliser.
    """

    def __init__(
        self,
        config: PolicyConfig,
        spec: Spec,
        *,
        noise_shape: tuple[int, ...] = (0,),
        growing: tuple[str, ...] = (),
        clips: bool = False,
    ) -> None:
        super().__init__()
        self.config = config
        self.spec = spec
        self.noise_shape = noise_shape
        self.growing = growing
        self.clips = clips

    @abstractmethod
    def prepare(self, windows: Windows) -> None:
        """Look at the training data once and fit the normalisers, or whatever stands for them."""

    @abstractmethod
    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Return scalars; "total" is minimised, the rest are reported."""

    @abstractmethod
    def predict(self, observations: Mapping[str, Tensor], noise: Tensor) -> Tensor:
        """Return actions (B, H, A) in their own unit (int64 choices where the action is discrete).

        Observations are {key: (B, K, *shape)}, the ticks since the episode's beginning {"tick":
        (B, K)} int64 and the task's number in `config.tasks` {"task": (B,)} int64; noise is
        (B, *noise_shape).
        """

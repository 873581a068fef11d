"""Covariate shift on cart-pole: error against the horizon, and the states visited, cloned and corrected.

    python benchmarks/dagger_horizon.py

One expert episode is cloned; DAgger goes on from it with four episodes of one each round, which the learner
plays alone; `cloning-equal` is cloned from five expert episodes, so that all that differs from DAgger is whose
states were labelled. An error is a tick at which the policy does not do what the expert would there, and every
tick after the pole has fallen. 200 report starts, three training seeds. Writes docs/dagger-horizon.svg and
docs/dagger-states.svg besides the result file.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import matplotlib
import numpy as np
import results
import torch
from matplotlib import pyplot
from matplotlib.figure import Figure
from numpy.typing import NDArray

from understudy.data.store import Dataset
from understudy.episode import Episode
from understudy.fleet import ExpertActor, Here, PolicyActor
from understudy.learn.clone import clone
from understudy.learn.dagger import DaggerConfig, MixtureActor, Score, dagger
from understudy.learn.gates import BetaGate
from understudy.learn.supervised import LearnConfig
from understudy.policies.checkpoint import save_checkpoint
from understudy.policies.mlp import MlpConfig
from understudy.spec import STATE
from understudy.statistics import mean, pooled_mean
from understudy.tasks import make_task

SEEDS = [0, 1, 2]
STARTS = range(100_000, 100_200)
TICKS, ROUNDS = 500, 4
POLICY = MlpConfig(width=64, depth=2)
DOCS = Path(__file__).resolve().parents[1] / "docs"
TASK, FLEET = make_task("cart-pole"), Here(16)
CASES = {
    "cloning": ("cloned from 1 episode", "#b3472f"),
    "cloning-equal": ("cloned from 5 episodes", "#8a8a8a"),
    "dagger": ("DAgger: 1 episode, and 4 corrected", "#1f6f8b"),
}


def trained(folder: Path, dataset: Dataset, seed: int, number: int) -> Path:
    """Train anew from all of a dataset."""
    learning = LearnConfig(steps=300, batch_size=128, learning_rate=3e-3, seed=seed)
    return save_checkpoint(folder / f"policy-{number}", "mlp", clone(POLICY, dataset, learning), {})


def corrected(checkpoint: Path, seeds: Sequence[int]) -> Iterator[Episode]:
    """What a policy plays alone, with the expert's labels."""
    actor = MixtureActor(learner=PolicyActor(checkpoint=checkpoint), gate=BetaGate(share=0.0))
    return FLEET.rollouts(TASK, actor, seeds)


def shown(folder: Path, seeds: Sequence[int]) -> Dataset:
    """A dataset of the expert's own episodes."""
    dataset = Dataset.create(folder, TASK.spec)
    for episode in FLEET.rollouts(TASK, ExpertActor(), seeds):
        dataset.append(episode)
    return dataset


def policies(folder: Path, seed: int) -> dict[str, Path]:
    """Train the three cases from demonstrations of their own for each training seed."""
    first = 100 * seed
    equal = shown(folder / "equal", range(first, first + 1 + ROUNDS))
    found = {"cloning-equal": trained(folder / "cloned", equal, seed, 0)}
    dataset = shown(folder / "data", [first])
    rounds = dagger(
        dataset,
        DaggerConfig(rounds=ROUNDS, episodes=1),
        collect=lambda number, checkpoint, seeds: corrected(checkpoint, seeds),
        train=partial(trained, folder, dataset, seed),
        evaluate=lambda number, checkpoint: Score(None, mean([0.0])),  # nothing is chosen here
        first_seed=first + 1,
    )
    reports = list(rounds)
    equal.close()
    dataset.close()
    return found | {"cloning": reports[0].checkpoint, "dagger": reports[-1].checkpoint}


def errors(episodes: Sequence[Episode]) -> NDArray[np.float64]:
    """Errors up to each tick, (episodes, ticks)."""
    found = np.ones((len(episodes), TICKS))
    for row, episode in zip(found, episodes, strict=True):
        assert episode.labels is not None
        row[: len(episode)] = (episode.actions != episode.labels).any(axis=1)
    return found.cumsum(1)


def states(episodes: Sequence[Episode]) -> NDArray[np.float64]:
    """Angle in degrees and angular velocity of 400 ticks, drawn evenly, (400, 2)."""
    seen = np.concatenate([np.asarray(e.observations[STATE]) for e in episodes])
    drawn = seen[np.linspace(0, len(seen) - 1, 400).astype(int), 2:]
    return np.degrees(drawn.astype(np.float64))


def draw_horizon(curves: dict[str, NDArray[np.float64]]) -> None:
    """Mean errors against the horizon."""
    figure, axes = pyplot.subplots(figsize=(6.4, 3.6), layout="constrained")
    for case, curve in curves.items():
        label, colour = CASES[case]
        axes.plot(np.arange(1, TICKS + 1), curve, color=colour, label=label)
    axes.set(
        xlabel="horizon in ticks", ylabel="errors up to there", xlim=(0, TICKS), ylim=(0, None)
    )
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    save(figure, "dagger-horizon.svg")


def draw_states(seen: dict[str, NDArray[np.float64]]) -> None:
    """Where the expert was, and where each policy goes."""
    figure, row = pyplot.subplots(
        1, 3, figsize=(8.4, 2.9), layout="constrained", sharex=True, sharey=True
    )
    titles = {"cloning": "cloned from 1 episode", "dagger": "after DAgger"}
    for axes, case in zip(row, ("expert", "cloning", "dagger"), strict=True):
        colour = CASES[case][1] if case in CASES else "#3c3c3c"
        if case != "expert":
            axes.plot(*seen["expert"].T, ".", color="#c8c8c8", markersize=2)
        axes.plot(*seen[case].T, ".", color=colour, markersize=2)
        axes.set(title=titles.get(case, "the demonstration"), xlabel="angle in degrees")
        axes.spines[["top", "right"]].set_visible(False)
    row[0].set_ylabel("degrees per second")
    save(figure, "dagger-states.svg")


def save(figure: Figure, name: str) -> None:
    """Write the figure; the same numbers give the same file."""
    with matplotlib.rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
        figure.savefig(DOCS / name, metadata={"Date": None})
    pyplot.close(figure)


def main() -> None:
    """Train, play, draw, and write the rows."""
    torch.set_num_threads(1)
    matplotlib.use("Agg")
    found: dict[str, list[NDArray[np.float64]]] = {case: [] for case in CASES}
    lengths: dict[str, list[NDArray[np.float64]]] = {case: [] for case in CASES}
    seen: dict[str, NDArray[np.float64]] = {}
    with tempfile.TemporaryDirectory() as name:
        for seed in SEEDS:
            folder = Path(name) / str(seed)
            for case, checkpoint in policies(folder, seed).items():
                played = list(corrected(checkpoint, STARTS))
                found[case].append(errors(played))
                lengths[case].append(np.array([len(e) for e in played], np.float64))
                if seed == SEEDS[0]:
                    seen[case] = states(played[:20])
        seen["expert"] = states([Dataset.open(Path(name) / "0" / "data")[0]])
    draw_horizon({case: np.concatenate(found[case]).mean(0) for case in CASES})
    draw_states(seen)
    rows = [
        results.estimate_row(case, metric, pooled_mean(values), unit, SEEDS)
        for case in CASES
        for metric, values, unit in (
            ("errors_in_100_ticks", [each[:, 99] for each in found[case]], "1"),
            ("errors_in_500_ticks", [each[:, 499] for each in found[case]], "1"),
            ("return", lengths[case], "return"),
        )
    ]
    results.write("dagger_horizon", "python benchmarks/dagger_horizon.py", rows)


if __name__ == "__main__":
    main()

"""Configurations proposed by Optuna's tree-structured Parzen estimator (Bergstra et al. 2011).

What it knows lies in a journal file that needs no server and works on shared file systems. Each
proposal is drawn with a seed of its own number, so that a search that was interrupted goes on to the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, final

from understudy.learn.space import Axis, Choice, Range


@final
class OptunaSearch:
    """At most `trials` configurations, `at_once` at a time; `journal` may hold those of an earlier call."""

    def __init__(
        self, axes: Sequence[Axis], trials: int, at_once: int, seed: int, journal: Path
    ) -> None:
        self._optuna = _imported()
        self._axes, self._trials, self._at_once, self._seed = axes, trials, at_once, seed
        storages = self._optuna.storages
        self._study = self._optuna.create_study(
            study_name="sweep",
            storage=storages.JournalStorage(storages.journal.JournalFileBackend(str(journal))),
            direction="maximize",
            load_if_exists=True,
        )

    def next(self, known: Mapping[int, float | None]) -> Sequence[Choice]:
        """The next ones, knowing how those before did, by number; None: it failed. Empty: no more."""
        waiting = self._optuna.trial.TrialState.RUNNING
        for trial in self._study.get_trials(deepcopy=False):
            if trial.state == waiting and trial.number in known:
                value = known[trial.number]
                failed = self._optuna.trial.TrialState.FAIL if value is None else None
                self._study.tell(trial.number, value, state=failed)
        numbers = range(len(known), min(len(known) + self._at_once, self._trials))
        return [self._choice(number) for number in numbers]

    def _choice(self, number: int) -> Choice:
        """What was proposed under this number, or a new proposal."""
        there = self._study.get_trials(deepcopy=False)
        if number < len(there) and there[number].state.is_finished():
            trial: Any = self._optuna.trial.FixedTrial(there[number].params)
        elif number < len(there):
            trial = self._optuna.trial.Trial(self._study, there[number]._trial_id)
        else:
            seed = self._seed + 1000 * number
            sampler = self._optuna.samplers.TPESampler(seed=seed, constant_liar=True)
            self._study.sampler = sampler  # the liar keeps proposals of one call apart
            trial = self._study.ask()
        return {axis.option: _suggested(trial, axis) for axis in self._axes}


def _suggested(trial: Any, axis: Axis) -> str:
    if not isinstance(axis, Range):
        return str(trial.suggest_categorical(axis.option, list(axis.words)))
    if axis.is_whole:
        low, high = int(axis.low), int(axis.high)
        return str(trial.suggest_int(axis.option, low, high, log=axis.is_log))
    return axis.written(trial.suggest_float(axis.option, axis.low, axis.high, log=axis.is_log))


def _imported() -> Any:
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise ValueError(
            f"--search optuna needs {error.name}: pip install 'understudy[optuna]'"
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna

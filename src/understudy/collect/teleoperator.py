"""A person at keys, sliders or a gamepad, as an actor."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from understudy.actor import Decision, Verdict
from understudy.collect.person import START, STOP, UNDO, Person, help_of
from understudy.collect.source import Slider, Source
from understudy.spec import Spec
from understudy.tasks.base import Controls

END, REDO, DISCARD, TURN = "e", "r", "backspace", "t"
VERDICTS = {END: Verdict.END, REDO: Verdict.REDO, DISCARD: Verdict.DISCARD}
# A key that pushes comes up to its speed in this time, so that a tap moves little.
RAMP_S = 0.6
RECORDING = {END: "end", REDO: "begin again", DISCARD: "discard", STOP: "stop"}


@final
class Teleoperator:
    """Commands what the held keys and the sliders say; one world at a time.

    An episode waits for its start key. When the window loses the keyboard, all keys count as released:
    what moves while a key is held stops. What a slider says of an element holds until something else does.

    A person who `takes_turns` with a policy watches it, takes over with T and gives back with T. They begin with
    what the policy commanded last; an intervention is a tick at which they lead, and only such a tick has a label. Raises
    Stopped when the window is closed or the stop key pressed, and ValueError for controls with two meanings for one
    key or with an element that the action does not have.
    """

    source = "person"
    requests = ()

    def __init__(
        self,
        controls: Controls,
        spec: Spec,
        source: Source,
        undo: Callable[[], str] | None = None,
        with_sliders: bool = False,
        takes_turns: bool = False,
    ) -> None:
        _require_fitting(controls, spec, [TURN] if takes_turns else [])
        self._takes_turns, self._leads = takes_turns, not takes_turns
        self._controls, self._spec = controls, spec
        self._source, self.person = source, Person(source, undo)
        self._low, self._high = limits_of(spec)
        self._sliders = sliders_of(spec, controls.clock) if with_sliders else {}
        self._slider_at = {slider.name: element for element, slider in self._sliders.items()}
        self._slid: dict[int, float] = {}  # since the last tick
        self._rest: dict[int, float] = {}  # where sliders have put what keys hold
        self._held: dict[str, float] = {}  # how far, in the order in which they went down
        self._ticks: dict[str, int] = {}  # for how long each key has been held
        self._starts: dict[str, int] = {}  # where the part begins that each key leads
        self._verdict = Verdict.NONE
        self._is_waiting = True

    def reset(self, slots: NDArray[np.bool_], seeds: NDArray[np.int64]) -> None:
        """Wait for the start key before the first command."""
        if len(slots) != 1:
            raise ValueError(f"a person leads one world at a time, got {len(slots)}")
        self._seed = int(seeds[0])
        self._is_waiting, self._verdict = True, Verdict.NONE
        self._leads = not self._takes_turns
        self._chosen = next(iter(self._controls.choose), None)

    def act(
        self, observations: Mapping[str, NDArray[Any]], info: Mapping[str, NDArray[Any]]
    ) -> Decision:
        """Command (1, A) from the keys that are held and pressed."""
        if self._is_waiting:
            self._command = self._begin(observations)
            self._place()
            self._wait()
        tick = int(info["tick"][0])
        pressed = self._take()
        if self._takes_turns and TURN in pressed:
            self._leads = not self._leads
            self._slid.clear()
            self._rest.clear()
        if self._leads:
            self._follow(pressed, self._begin(observations))
        if self._controls.clock is not None:
            self._command[self._controls.clock] = (tick + 1) / self._spec.rate_hz
        self._command = self._command.clip(self._low, self._high)
        taking_turns = {TURN: "take over, give back"} if self._takes_turns else {}
        self._say(f"recording {tick / self._spec.rate_hz:.1f} s", {**taking_turns, **RECORDING})
        verdict = np.array([int(self._verdict)], np.int64)
        command = self._command.astype(self._spec.action.dtype)[None]
        if not self._takes_turns:
            return Decision(command=command, verdict=verdict)
        label = command if self._leads else np.full(command.shape, np.nan)
        return Decision(command, label, np.array([self._leads]), verdict)

    def overruled(self, slots: NDArray[np.bool_], command: NDArray[Any]) -> None:
        """Begin, when they take over, with what the policy commanded last."""
        if slots[0]:
            self._command = command[0].astype(np.float64)

    def _follow(self, pressed: Sequence[str], begin: NDArray[np.float64]) -> None:
        """Change the command as hands say."""
        controls = self._controls
        for key in pressed:
            if key in controls.put:
                element, values = controls.put[key]
                element += self._starts[key]
                self._command[element] = _next(values, self._command[element])
        self._rest |= self._slid
        for start, (element, _) in product(controls.starts, controls.hold.values()):
            place = start + element
            self._command[place] = self._rest.get(place, begin[place])
        for element, value in self._slid.items():
            self._command[element] = value
        self._slid.clear()
        self._ticks = {
            key: 1 if key in pressed else self._ticks.get(key, 0) + 1
            for key in {**self._held, **dict.fromkeys(pressed)}
        }
        for key, ticks in self._ticks.items():
            if key in controls.hold:
                element, value = controls.hold[key]
                self._command[self._starts[key] + element] = value
            elif key in controls.push:
                element, rate = controls.push[key]
                share = self._held.get(key, 1.0) * min(1.0, ticks / self._spec.rate_hz / RAMP_S)
                self._command[self._starts[key] + element] += share * rate / self._spec.rate_hz

    def _place(self) -> None:
        """Put the sliders where the command begins."""
        values = self._command.clip(self._low, self._high)
        placed = self._sliders.items()
        self._source.place([replace(one, value=float(values[e])) for e, one in placed])

    def _begin(self, observations: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
        parts = [
            part if isinstance(part, int | float) else observations[part[0]][0][part[1]]
            for part in self._controls.begin
        ]
        return np.array(parts, np.float64)

    def _wait(self) -> None:
        """Until the start key is pressed."""
        self._held.clear()
        self._ticks.clear()
        state = f"episode of seed {self._seed}: press Q to start"
        keys = {START: "start", **self.person.undoing, STOP: "stop"}
        self._say(state, keys)
        while self._is_waiting:
            pressed = self._take()
            if START in pressed:
                self._is_waiting = False
            elif any(self.person.undoes(key) for key in pressed):
                self._say(state, keys)
            if self._is_waiting:
                self._source.wait()
        self.person.notice, self._verdict = "", Verdict.NONE
        self._slid.clear()
        self._rest.clear()

    def _take(self) -> list[str]:
        """Follow the events; returns the keys that were pressed, in order."""
        pressed: list[str] = []
        for event in self.person.events():
            if event.what == "blur":
                self._held.clear()
            elif event.what == "up":
                self._held.pop(event.name, None)
            elif event.what == "lean" and event.name in self._held:
                self._held[event.name] = event.value
            elif event.what == "slide" and event.name in self._slider_at:
                self._slid[self._slider_at[event.name]] = event.value
            elif event.what == "down":
                self._held.pop(event.name, None)
                self._held[event.name] = event.value
                pressed.append(event.name)
                self._verdict = VERDICTS.get(event.name, self._verdict)
                self._choose(event.name)
        return pressed

    def _choose(self, key: str) -> None:
        """A key leads what was chosen when it went down, for as long as it is held."""
        if key in self._controls.choose:
            self._chosen = key
        self._starts[key] = self._controls.choose[self._chosen][1] if self._chosen else 0

    def _say(self, state: str, keys: Mapping[str, str]) -> None:
        if self._takes_turns:
            who = "you lead" if self._leads else "the policy leads"
            state = f"{state}: {who}"
        if self._chosen:
            state = f"{state}: keys lead {self._controls.choose[self._chosen][0]}"
        self.person.say([state, *self._controls.says, help_of(keys)])


def limits_of(spec: Spec) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Least and greatest value of each element of the command (A,)."""
    action = spec.action
    if action.choices is not None:
        return np.zeros(action.size), np.full(action.size, action.choices - 1.0)
    low = np.array(action.low or [-np.inf] * action.size)
    return low, np.array(action.high or [np.inf] * action.size)


def _next(values: Sequence[float], now: float) -> float:
    """The value after the present one; the first where that is none of them."""
    places = [place for place, value in enumerate(values) if value == now]
    return values[(places[0] + 1) % len(values)] if places else values[0]


def has_limits(spec: Spec) -> bool:
    """Whether each element of the command is a number between limits, which a slider can set."""
    return spec.action.choices is None and bool(spec.action.low and spec.action.high)


def sliders_of(spec: Spec, clock: int | None) -> dict[int, Slider]:
    """A slider in its middle for each element of an action but the clock; raises ValueError where there can be none."""
    action = spec.action
    if not has_limits(spec):
        kind = "choices" if action.choices is not None else "numbers without limits"
        raise ValueError(f"sliders set numbers between limits, the action here is {kind}")
    names = action.names or [f"action {element}" for element in range(action.size)]
    bounds = enumerate(zip(names, action.low, action.high, strict=True))
    return {
        element: Slider(name, low, high, (low + high) / 2, action.unit)
        for element, (name, low, high) in bounds
        if element != clock
    }


def _require_fitting(controls: Controls, spec: Spec, further: Sequence[str]) -> None:
    size = spec.action.size
    if len(controls.begin) != size:
        raise ValueError(f"controls begin {len(controls.begin)} elements, the action has {size}")
    for keys in (controls.push, controls.hold, controls.put):
        for start, (key, (element, _)) in product(controls.starts, keys.items()):
            if not 0 <= start + element < size:
                raise ValueError(
                    f"key {key!r} changes element {start + element} of an action of {size}"
                )
    if controls.clock is not None and not 0 <= controls.clock < size:
        raise ValueError(f"the clock is element {controls.clock} of an action of {size}")
    ours = (START, UNDO, STOP, *VERDICTS, *further)
    twice = {key for key in controls.keys if controls.keys.count(key) > 1 or key in ours}
    if twice:
        raise ValueError(f"keys with two meanings: {', '.join(sorted(twice))}")

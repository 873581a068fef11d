"""The keys that docs/collect.md and the tasks' pages tell of are those that do something."""

from pathlib import Path

import numpy as np
import pytest

from understudy.collect.person import GAP, Person, label
from understudy.collect.source import Event, Script
from understudy.collect.teleoperator import Teleoperator
from understudy.spec import STATE, Signal, Spec
from understudy.tasks import TASKS, make_task
from understudy.tasks.base import Controls

DOCS = Path(__file__).resolve().parents[2] / "docs"
ARROWS = ("left", "right", "up", "down")
NOTHING = Controls(begin=(0.0,))


def rows(heading):
    """Cells of the table with this heading in docs/collect.md, its first two lines left out."""
    after = (DOCS / "collect.md").read_text("utf-8").partition(heading)[2].splitlines()[2:]
    table = after[: after.index("")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


def keyed():
    tasks = {name: make_task(name) for name in TASKS}
    return {name: task for name, task in tasks.items() if task.controls and task.controls.keys}


def commanded(controls, names):
    """What keys do to the command: how fast, to which value, or to which in turn."""
    rates, values, found = {}, {}, []
    for element, rate in controls.push.values():
        elements = rates.setdefault(abs(rate), [])
        elements += [names[element]] if names[element] not in elements else []
    for element, value in controls.hold.values():
        values.setdefault(names[element], []).append(value)
    found += [f"{', '.join(elements)} by {rate:g} a second" for rate, elements in rates.items()]
    found += [f"{name} {', '.join(map('{:g}'.format, held))}" for name, held in values.items()]
    turns = [(names[element], values) for element, values in controls.put.values()]
    found += [f"{name} {', '.join(map('{:g}'.format, values))}" for name, values in turns]
    return "; ".join(found)


def test_the_table_of_keys_is_that_of_the_tasks():
    expected = []
    for name, task in sorted(keyed().items()):
        controls, names = task.controls, task.spec.action.names
        told = ", ".join(line.replace(GAP, ", ") for line in controls.says)
        names = [part.removeprefix("left_") for part in names] if controls.choose else names
        pad = "yes" if controls.pad else "no"
        expected.append([f"`{name}`", told, commanded(controls, names), pad])
    assert rows("| task | keys | what they command | gamepad |") == expected


@pytest.mark.parametrize("name", keyed())
def test_people_are_told_of_each_key_of_a_task(name):
    controls = make_task(name).controls
    told = " ".join(controls.says).replace(":", " ").split()
    told += ARROWS if "arrows" in told else []
    assert [key for key in controls.keys if label(key) not in told] == []


def test_the_table_of_keys_for_all_tasks_is_what_a_person_is_told():
    source = Script([(0, Event("down", "q")), (99, Event("quit"))])
    spec = Spec({STATE: Signal((1,))}, Signal((1,)), rate_hz=10.0, task="move")
    actor = Teleoperator(NOTHING, spec, source, takes_turns=True)
    actor.reset(np.array([True]), np.array([7]))
    actor.act({STATE: np.zeros((1, 1))}, {"tick": np.array([0])})
    told = {part for *_, keys in source.said for part in keys.split(GAP)}
    undoing = Person(source, lambda: "").undoing
    told |= {f"{label(key)} {does}" for key, does in undoing.items()}
    assert {f"{key} {does}" for key, does, _ in rows("| key | does | when |")} == told


PAGES = {name: DOCS / "tasks" / f"{name.replace('-', '_')}.md" for name in keyed()}


@pytest.mark.parametrize("name", [name for name, page in PAGES.items() if page.exists()])
def test_the_page_of_a_task_with_keys_shows_how_to_lead_it(name):
    commands = PAGES[name].read_text("utf-8").splitlines()
    assert any(
        f"collect --task {name}" in line and "--device keyboard" in line for line in commands
    )

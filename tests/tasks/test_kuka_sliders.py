"""Sliders: what is shown once is played back, and goes on wherever the arm is."""

import json
from dataclasses import replace

import numpy as np
import pytest

from understudy.actor import Replay
from understudy.cli import main
from understudy.data.store import Dataset
from understudy.fleet import ExpertActor, Here
from understudy.learn.clone import clone
from understudy.learn.supervised import LearnConfig
from understudy.physics.arms import IIWA
from understudy.policies.knn import KnnConfig
from understudy.policies.player import Chunks
from understudy.rollout import rollouts
from understudy.spec import ENVIRONMENT_STATE, STATE
from understudy.tasks import make_task
from understudy.tasks.kuka_sliders import TAPE, TRACES, KukaSliders

PLAYBACK = KnnConfig(
    k=1, scale="together", emphasis=("observation.environment_state=3", "observation.tape=2")
)


def shown(task, seed=0):
    """What the hands show."""
    (episode,) = Here(worlds=1).rollouts(task, ExpertActor(), [seed])
    return episode


def learnt(demonstration, task, folder, config=PLAYBACK):
    """The policy that has seen it once."""
    with Dataset.create(folder / "shown", task.spec) as dataset:
        dataset.append(demonstration)
    return clone(config, dataset, LearnConfig())


def played(policy, task, seed=100_000):
    """A playback, and what the world measured of it."""
    world = task.build()
    actor = Chunks(policy, 1, 1, "policy", task.spec.task)
    (episode,) = rollouts([world], actor, [seed])
    measured = world.measured()
    world.close()
    return episode, measured


def tip_m(episode):
    """Where the tip was at each tick (T, 3)."""
    return IIWA.chain.forward(np.asarray(episode.observations[STATE], np.float64))[0]


@pytest.mark.parametrize("trace", TRACES)
def test_each_trace_is_played_back_at_the_same_pace(trace, tmp_path):
    task = KukaSliders(trace=trace, seconds=2)
    demonstration = shown(task)
    assert demonstration.success
    episode, measured = played(learnt(demonstration, task, tmp_path), task)
    assert episode.success, measured
    apart_m = np.linalg.norm(tip_m(episode) - tip_m(demonstration), axis=1)
    assert np.sqrt(np.mean(apart_m**2)) < 0.005


def test_an_arm_that_was_disturbed_goes_on_from_where_it_is(tmp_path):
    task = KukaSliders(trace="figure-8", seconds=5)
    policy = learnt(shown(task), task, tmp_path)
    for disturb in ("push", "hold", "slow", "mid-start"):
        episode, measured = played(policy, replace(task, disturb=disturb))
        assert episode.success, (disturb, measured)


def test_blind_replay_does_not(tmp_path):
    task = KukaSliders(trace="figure-8", seconds=3)
    demonstration = shown(task)
    for disturb in ("hold", "mid-start"):
        world = replace(task, disturb=disturb).build()
        (episode,) = rollouts([world], Replay([demonstration]), [demonstration.seed])
        assert not episode.success, disturb


def test_neighbours_by_the_joints_alone_freeze_where_the_path_runs_back(tmp_path):
    task = KukaSliders(trace="raise-and-lower", seconds=3)
    joints_only = KnnConfig(emphasis=(f"{ENVIRONMENT_STATE}=0", f"{TAPE}=0"))
    policy = learnt(shown(task), task, tmp_path, joints_only)
    episode, measured = played(policy, task)
    assert not episode.success
    assert measured["span"] < 0.1


def test_both_engines_play_the_same_back(tmp_path):
    task = KukaSliders(trace="circle", engine="bullet", seconds=5)
    episode, measured = played(learnt(shown(task), task, tmp_path), replace(task, disturb="push"))
    assert episode.success, measured


def test_sliders_end_at_the_joints_limits_and_the_executed_command_says_so():
    world = KukaSliders(trace="free", seconds=1).build()
    world.reset(seed=0)
    far = world.action_space.high * 2
    seen, _, _, _, info = world.step(far)
    np.testing.assert_array_equal(seen[ENVIRONMENT_STATE], world.action_space.high[:-1])
    np.testing.assert_array_equal(info["executed_action"][:-1], world.action_space.high[:-1])
    assert seen[TAPE] == far[-1]
    assert "is_success" not in info


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match=r"seconds lies in 0.1..55.5, got 0"):
        KukaSliders(seconds=0)
    with pytest.raises(ValueError, match="disturb=slow needs a trace"):
        make_task("kuka-sliders:trace=free,disturb=slow")
    with pytest.raises(ValueError, match="got 'loop', expected one of free, ramp, raise-and-lower"):
        make_task("kuka-sliders:trace=loop")
    with pytest.raises(ValueError, match="expected one of nominal, wide, shifted or Randomisation"):
        make_task("kuka-sliders:world=odd")
    world = KukaSliders(trace="free").build()
    with pytest.raises(RuntimeError, match="choose a trace"):
        world.expert_action()


def test_an_expert_that_does_not_know_what_to_show_leaves_no_folder(tmp_path, capsys):
    out = tmp_path / "set"
    assert main(["collect", "--task", "kuka-sliders:trace=free", "--out", str(out)]) != 0
    assert "choose a trace" in " ".join(capsys.readouterr().err.split())
    assert not out.exists()


def test_what_hands_show_with_the_sliders_is_played_back(tmp_path):
    """Raised, held and lowered again, by a script in the place of hands."""
    ticks = range(1, 601)
    heights = [0.4 * min(1, tick / 240, (600 - tick) / 240) for tick in ticks]
    moved = [[tick, "slide", "joint2", round(h, 5)] for tick, h in zip(ticks, heights, strict=True)]
    script = tmp_path / "hands.json"
    script.write_text(json.dumps([[0, "down", "q"], *moved, [630, "down", "e"], [700, "quit"]]))
    words = ["collect", "--task", "kuka-sliders:trace=free", "--device", "sliders"]
    words += ["--episodes", "1", "--script", str(script), "--out", str(tmp_path / "set")]
    assert main(words) == 0
    demonstration = Dataset.open(tmp_path / "set")[0]
    assert demonstration.source == "person"
    policy = clone(PLAYBACK, Dataset.open(tmp_path / "set"), LearnConfig())
    world = KukaSliders(trace="free", seconds=2.2).build()
    (episode,) = rollouts([world], Chunks(policy, 1, 1, "policy", "play"), [100_000])
    count = min(len(episode), len(demonstration))
    apart_m = np.linalg.norm(tip_m(episode)[:count] - tip_m(demonstration)[:count], axis=1)
    assert np.sqrt(np.mean(apart_m**2)) < 0.005
    assert np.ptp(tip_m(demonstration)[:, 0]) > 0.3

"""Trace: what the world does beyond what every task must do."""

import numpy as np
import pytest

from understudy.fleet import ExpertActor, Here
from understudy.spec import ENVIRONMENT_STATE
from understudy.tasks import make_task
from understudy.tasks.panda_trace import CHAIN, PandaTrace, measured, measured_of, solved


def shown(options, seeds):
    task = make_task(f"panda-trace:{options}" if options else "panda-trace")
    return list(Here(worlds=4).rollouts(task, ExpertActor(), seeds))


@pytest.mark.parametrize("curve", ["circle", "square", "waypoints", "freehand"])
def test_the_expert_follows_every_kind_of_curve_well(curve):
    episodes = shown(f"curve={curve}", range(10_000, 10_010))
    assert all(episode.success for episode in episodes)
    assert max(measured_of(episode).max_mm for episode in episodes) < 0.02
    assert len({len(episode) for episode in episodes}) > 5


def test_equal_points_have_equal_angles_whatever_curve_they_lie_on():
    [episode] = shown("", [10_003])
    points = np.asarray(episode.observations[ENVIRONMENT_STATE], np.float64)
    order = np.random.default_rng(0).permutation(len(points))
    np.testing.assert_allclose(solved(points[order]), episode.actions[order], atol=2e-4)


def test_mixed_demonstrations_reach_every_point_and_hop_about_as_often_as_the_original():
    episodes = shown("demonstrations=mixed", range(10_000, 10_006))
    hops = [np.abs(np.diff(episode.actions, axis=0)).max(1) > 0.3 for episode in episodes]
    assert 0.08 < np.concatenate(hops).mean() < 0.16
    for episode in episodes:
        trace = measured_of(episode)
        assert trace.max_mm < 0.02
        assert trace.step_rad > 0.3
        assert not episode.success


def test_noisy_demonstrations_are_off_by_the_noise():
    [clean], [noisy] = shown("", [10_001]), shown("demonstrations=noisy", [10_001])
    assert 0.015 < (noisy.actions - clean.actions).std() < 0.025
    assert not noisy.success


def test_a_command_takes_effect_at_once_and_within_the_limits():
    world = PandaTrace().build()
    world.reset(seed=3)
    *_, info = world.step(np.full(7, 9.0, np.float32))
    np.testing.assert_allclose(info["executed_action"], CHAIN.high_rad, atol=1e-6)
    assert not info["is_success"]


def test_the_measure_is_that_of_a_slow_obvious_count():
    points = np.array([[0.4, 0.0, 0.4], [0.405, 0.0, 0.4], [0.415, 0.0, 0.4]])
    joints = solved(points)
    assert measured(points, joints).is_good
    moved = points + np.array([[0, 0, 0.003], [0, 0, 0], [0, 0.004, 0]])
    found = measured(moved, joints)
    assert found.rmse_mm == pytest.approx(np.sqrt(25 / 3), abs=0.01)
    assert found.max_mm == pytest.approx(4, abs=0.01)
    joints[2, 0] += 0.3
    turned = abs(joints[2, 0] - joints[1, 0])
    assert measured(points, joints).step_rad == pytest.approx(turned / 2, rel=1e-6)
    joints[0, 3] = 0.2
    assert measured(points, joints).violations == 1


def test_a_trace_that_misses_one_of_its_four_bounds_is_no_success():
    [episode] = shown("curve=circle", [10_000])
    points = np.asarray(episode.observations[ENVIRONMENT_STATE], np.float64)
    joints = np.asarray(episode.actions, np.float64)
    assert measured(points, joints).is_good
    assert not measured(points + np.array([0, 0, 0.0011]), joints).is_good
    one_off = points.copy()
    one_off[5] += [0, 0, 0.0031]
    assert not measured(one_off, joints).is_good
    sudden = joints.copy()
    sudden[5:] = solved(points[5:], swung=True)
    assert not measured(points, sudden).is_good


def test_a_curve_is_read_from_a_file_and_followed(tmp_path):
    file = tmp_path / "line.txt"
    file.write_text("# drawn\n0.4 -0.1 0.4\n0.4, 0.1, 0.4\n")
    [episode] = shown(f"curve=file,file={file}", [10_000])
    assert len(episode) == 41
    assert episode.success


def test_a_point_out_of_reach_is_refused_by_its_number(tmp_path):
    file = tmp_path / "line.txt"
    file.write_text("0.4 0 0.4\n0.9 0 0.9\n")
    with pytest.raises(RuntimeError, match="ValueError: point .* is out of reach by"):
        shown(f"curve=file,file={file}", [10_000])


def test_the_curve_is_seen_in_the_picture_and_the_arm_moves():
    world = PandaTrace(curve="circle").build(render_mode="rgb_array")
    world.reset(seed=10_000)
    before = world.render().astype(int)
    red, green, blue = np.moveaxis(before, -1, 0)
    assert ((red > 2 * green) & (red > 2 * blue)).sum() > 100
    world.step(world.expert_action())
    assert np.abs(world.render() - before).max() > 50
    world.close()


def blue(picture):
    red, green, blue = np.moveaxis(picture.astype(int), -1, 0)
    return (blue > 2 * red) & (blue > 1.5 * green)


def test_the_picture_shows_where_the_flange_has_been():
    world = PandaTrace(curve="circle").build(render_mode="rgb_array")
    world.reset(seed=10_000)
    assert not blue(world.render()).any()
    counts = []
    for _ in range(2):
        for _ in range(len(world.points) // 2):
            world.step(world.expert_action())
        counts.append(blue(world.render()).sum())
    assert counts[0] > 50
    assert counts[1] > 1.5 * counts[0]
    world.reset(seed=10_001)
    assert not blue(world.render()).any()
    world.close()


def test_the_way_that_is_drawn_is_the_flanges_and_not_the_curves():
    world = PandaTrace(curve="circle").build(render_mode="rgb_array")
    world.reset(seed=10_000)
    still = world.expert_action()
    for _ in range(10):
        world.step(still)
    assert 0 < blue(world.render()).sum() < 20
    world.close()


def test_after_the_end_of_the_curve_nothing_more_is_commanded():
    world = PandaTrace(spacing_m=0.2).build()
    world.reset(seed=10_000)
    while not world.step(world.expert_action())[2]:
        pass
    for late in (world.expert_action, lambda: world.step(CHAIN.home_rad)):
        with pytest.raises(RuntimeError, match="the curve is at its end; reset begins another"):
            late()
    world.reset(seed=10_000)
    world.step(world.expert_action())


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ("curve=spiral", "curve: got 'spiral'"),
        ("curve=file", "go together"),
        ("file=a.txt", "go together"),
        ("spacing_m=0", "spacing_m"),
    ],
)
def test_options_that_mean_nothing_are_refused(options, complaint):
    with pytest.raises(ValueError, match=complaint):
        make_task(f"panda-trace:{options}")

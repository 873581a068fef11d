"""CarRacing-v3 as a task: the same picture sooner, an expert that finds its way back, and the original's rules."""

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from understudy.data.formats.car_racing import (
    IMAGE,
    MIRROR_PICTURES,
    MIRROR_STATE,
    STATE_NAMES,
)
from understudy.data.symmetry import TURNS, Mirror, MirrorConfig
from understudy.fleet import ExpertActor, Here
from understudy.spec import ACTION, STATE
from understudy.tasks import make_task
from understudy.tasks.car_racing import CarRacing

GRASS_DIM = 2000 / 6 / 20

IDLE = np.zeros(3, np.float32)


def begun(options, seed):
    """A world at its beginning, and what is seen there."""
    world = make_task(f"car-racing{options}").build()
    return world, world.reset(seed=seed)[0]


def original(world):
    """The picture that Gymnasium draws of this moment."""
    return type(world.unwrapped)._render(world.unwrapped, "state_pixels")


def astray(world, seed, steps=120):
    """Let chance drive, each command for 30 steps."""
    draws = np.random.default_rng(seed)
    low, high = (-1, 0, 0), (1, 1, 0.3)
    for _ in range(steps // 30):
        command = draws.uniform(low, high).astype(np.float32)
        for _ in range(30):
            world.step(command)


def test_the_picture_is_gymnasiums_to_the_pixel_on_the_road_and_off_it():
    world, seen = begun("", 10_000)
    np.testing.assert_array_equal(seen[IMAGE], original(world))
    assert seen[IMAGE].std() > 20
    for step in range(150):
        seen = world.step(world.expert_action())[0]
        if step % 15 == 0:
            np.testing.assert_array_equal(seen[IMAGE], original(world))
    for seed in range(4):
        astray(world, seed, 30)
        seen = world.step(IDLE)[0]
        np.testing.assert_array_equal(seen[IMAGE], original(world))


def test_the_picture_is_gymnasiums_at_the_edge_of_the_field_and_while_the_camera_comes_near():
    world, _ = begun("", 10_001)
    car, race = world.unwrapped.car, world.unwrapped
    for place, angle, time_s in (((330, 10), 1.0, 5.0), ((-300, 320), -4.0, 5.0), ((9, 9), 0, 0.3)):
        for body in (car.hull, *car.wheels):
            body.position, body.angle = place, angle
        race.t = time_s
        np.testing.assert_array_equal(world._picture.paint(), original(world))


@pytest.mark.filterwarnings("ignore::UserWarning")  # gymnasium's advice on spaces, not errors
def test_gymnasiums_own_checker_finds_nothing_in_a_world_with_pictures():
    check_env(make_task("car-racing").build(), skip_render_check=True)


def test_pictures_are_the_same_alone_beside_others_and_in_a_world_that_was_used_before():
    task = make_task("car-racing:observe=both,limit_s=1,hold=2")
    seeds = [10_000, 10_001, 10_002]
    alone = [next(Here(1).rollouts(task, ExpertActor(), [seed])).id for seed in seeds]
    assert alone == [e.id for e in Here(1).rollouts(task, ExpertActor(), seeds)]
    assert alone == [e.id for e in Here(3).rollouts(task, ExpertActor(), seeds)]


def test_people_see_what_gymnasium_draws_for_them():
    world = make_task("car-racing").build("rgb_array")
    world.reset(seed=10_000)
    assert world.render().shape == (400, 600, 3)
    assert world.render().std() > 20


def test_it_begins_at_rest_at_the_start_with_the_camera_near_and_the_whole_limit_to_go():
    world, seen = begun(":observe=state,limit_s=0.2", 10_002)
    assert world.unwrapped.t == pytest.approx(1.0)
    assert np.abs(seen[STATE]).max() < 0.1
    ends = [world.step(IDLE)[3] for _ in range(10)]
    assert ends == [False] * 9 + [True]


def test_a_lap_is_worth_what_gymnasium_says_and_is_a_success():
    [episode] = Here().rollouts(make_task("car-racing:observe=state"), ExpertActor(), [10_003])
    assert episode.success
    assert episode.terminated
    assert episode.rewards.sum() == pytest.approx(1000 - 0.1 * len(episode), abs=0.01)


def test_leaving_the_field_ends_it_and_costs_a_hundred():
    world, _ = begun(":observe=state", 10_004)
    car = world.unwrapped.car
    for body in (car.hull, *car.wheels):
        body.position = (340.0, 0.0)
    _, reward, terminated, truncated, info = world.step(IDLE)
    assert (reward, terminated, truncated, info["is_success"]) == (-100, True, False, False)


def test_commands_beyond_the_limits_are_cut_and_what_was_done_is_told():
    world, _ = begun(":observe=state", 10_005)
    info = world.step(np.array([-3, 2, -1], np.float32))[4]
    np.testing.assert_array_equal(info["executed_action"], [-1, 1, 0])


def test_a_command_that_is_held_is_two_steps_with_the_rewards_of_both():
    single, _ = begun(":observe=both", 10_006)
    double, _ = begun(":observe=both,hold=2", 10_006)
    assert double.signals.rate_hz == single.signals.rate_hz / 2
    for _ in range(40):
        command = single.expert_action()
        np.testing.assert_array_equal(command, double.expert_action())
        rewards = [single.step(command)[1] for _ in range(2)]
        seen, reward, *_ = double.step(command)
        assert reward == pytest.approx(sum(rewards))
    np.testing.assert_array_equal(seen[IMAGE], original(single))


def test_the_state_says_what_the_dashboard_shows():
    world, _ = begun(":observe=both", 10_007)
    for command in ([0, 0.5, 0], [0.3, 0.1, 0]):
        for _ in range(40):
            seen = world.step(np.array(command, np.float32))[0]
    state = dict(zip(STATE_NAMES, seen[STATE], strict=True))
    assert state["speed"] > 20
    assert state["front_left"] * 0.54 == pytest.approx(state["speed"], rel=0.1)
    assert 0.2 < state["steering"] < 0.4
    assert state["yaw_rate"] > 0.5
    bar = seen[IMAGE][84:, 46:52].astype(int)  # of the steering, to the right of the middle
    assert (bar[..., 1] - bar[..., 0] > 100).any()


@pytest.mark.parametrize("seed", range(10_010, 10_014))
def test_the_expert_comes_back_to_the_road_from_wherever_another_has_left_off(seed):
    world, _ = begun(":observe=state", seed)
    astray(world, seed)
    visited = world.unwrapped.tile_visited_count
    for _ in range(250):
        world.step(world.expert_action())
    assert world.unwrapped.tile_visited_count > visited + 25
    assert all(wheel.tiles for wheel in world.unwrapped.car.wheels)


def test_the_expert_drives_back_from_the_edge_of_the_field_where_it_stood_the_wrong_way_round():
    world, _ = begun(":observe=state", 10_020)
    car = world.unwrapped.car
    offset = np.array([320.0, 0.0]) - car.hull.position
    for body in (car.hull, *car.wheels):
        body.position = tuple(offset + body.position)
    for _ in range(400):
        _, _, terminated, _, _ = world.step(world.expert_action())
        assert not terminated
    assert all(wheel.tiles for wheel in car.wheels)


def test_mirrored_commands_have_mirrored_effects_and_show_a_mirrored_picture_above_the_dashboard():
    mirror = Mirror(CarRacing(observe="both").spec, MirrorConfig(mirror=MIRROR_STATE))
    worlds = []
    for _ in range(2):
        world, _ = begun(":observe=both", 10_021)
        car = world.unwrapped.car
        offset = np.array([GRASS_DIM / 2, 0.0]) - car.hull.position
        for body in (car.hull, *car.wheels):  # among patches of grass that are alike to both sides
            place = offset + body.position - (GRASS_DIM / 2, 0)
            turned = car.hull.GetLocalVector(tuple(place))
            body.position = (turned[0] + GRASS_DIM / 2, turned[1])
        for body in (car.hull, *car.wheels):
            body.angle = 0.0
        worlds.append(world)
    command = np.array([0.3, 0.1, 0.0], np.float32)
    first, second = worlds
    for _ in range(40):
        seen = first.step(command)[0]
        image = second.step(mirror(ACTION, command))[0]
    np.testing.assert_allclose(mirror(STATE, seen[STATE]), image[STATE], rtol=0.01, atol=0.01)
    plain, mirrored = seen[IMAGE][:84].astype(int), image[IMAGE][:84].astype(int)
    assert np.abs(plain - mirrored).mean() > 2
    assert np.abs(TURNS[MIRROR_PICTURES](plain) - mirrored).mean() < 1


def test_what_is_out_of_range_is_refused():
    with pytest.raises(ValueError, match="hold"):
        make_task("car-racing:hold=0")
    with pytest.raises(ValueError, match="limit_s"):
        make_task("car-racing:limit_s=0.001")

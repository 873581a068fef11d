"""Schedules and samplers against diffusers', and against closed forms."""

import math

import numpy as np
import pytest
import torch

from understudy.nn.noise import Diffusion, draws, euler

# diffusers hands tensors to NumPy in a way that NumPy 2 warns of.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SCHEDULE = {"num_train_timesteps": 100, "beta_schedule": "squaredcos_cap_v2"}
NAMES = {"noise": "epsilon", "sample": "sample", "velocity": "v_prediction"}


def network(noisy, time):
    """Some smooth answer that depends on everything."""
    return torch.tanh(noisy * 0.7 + time[:, None, None]) - 0.2 * noisy.roll(1, 1)


def noise_of(steps):
    return torch.randn(3, steps, 8, 2, generator=torch.Generator().manual_seed(1))


def generated(scheduler, steps, noise, answers=network, **options):
    """What a scheduler of diffusers makes of a network's answers."""
    scheduler.set_timesteps(steps)
    noisy = noise
    for level in scheduler.timesteps:
        answer = answers(noisy, torch.full((len(noisy),), int(level)) / 100)
        noisy = scheduler.step(answer, level, noisy, **options).prev_sample
    return noisy


@pytest.mark.parametrize("target", sorted(NAMES))
def test_noising_and_targets_are_those_of_diffusers(target):
    from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

    theirs = DDPMScheduler(**SCHEDULE)
    ours = Diffusion(100, target)
    clean, noise = noise_of(2).unbind(1)
    level = torch.tensor([0, 40, 99])
    torch.testing.assert_close(ours.kept, theirs.alphas_cumprod, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(
        ours.add(clean, noise, level), theirs.add_noise(clean, noise, level), rtol=1e-5, atol=1e-5
    )
    expected = {
        "noise": noise,
        "sample": clean,
        "velocity": theirs.get_velocity(clean, noise, level),
    }[target]
    torch.testing.assert_close(ours.wanted(clean, noise, level), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("target", sorted(NAMES))
@pytest.mark.parametrize("steps", [1, 2, 10, 100])
def test_ddim_is_that_of_diffusers(target, steps):
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler

    theirs = DDIMScheduler(
        **SCHEDULE, prediction_type=NAMES[target], timestep_spacing="trailing", clip_sample=True
    )
    noise = noise_of(1)
    ours = Diffusion(100, target).sample(network, noise, "ddim", steps)
    expected = generated(theirs, steps, noise[:, 0], use_clipped_model_output=True)
    torch.testing.assert_close(ours, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("target", ["sample", "velocity"])
@pytest.mark.parametrize("steps", [2, 5, 16])
def test_dpm_solver_is_that_of_diffusers(target, steps):
    from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler

    theirs = DPMSolverMultistepScheduler(
        **SCHEDULE,
        prediction_type=NAMES[target],
        timestep_spacing="trailing",
        final_sigmas_type="zero",
        lower_order_final=False,
        thresholding=False,
    )
    noise = noise_of(1) * 0.05  # where no estimate is clipped, which their solver does not do

    def small(noisy, time):
        return 0.2 * network(noisy, time)

    expected = generated(theirs, steps, noise[:, 0], small)
    ours = Diffusion(100, target).sample(small, noise, "dpm", steps)
    assert ours.abs().max() < 1
    torch.testing.assert_close(ours, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("steps", [10, 100])
def test_ddpm_is_that_of_diffusers(steps, monkeypatch):
    from diffusers.schedulers import scheduling_ddpm
    from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

    theirs = DDPMScheduler(**SCHEDULE, timestep_spacing="trailing", clip_sample=True)
    noise = noise_of(draws("ddpm", steps))
    later = iter([*noise.unbind(1)[1:], torch.zeros(3, 8, 2)])  # the last is drawn and not used
    monkeypatch.setattr(scheduling_ddpm, "randn_tensor", lambda *_, **__: next(later))
    expected = generated(theirs, steps, noise[:, 0])
    ours = Diffusion(100, "noise").sample(network, noise, "ddpm", steps)
    torch.testing.assert_close(ours, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("sampler", ["ddpm", "ddim", "dpm"])
@pytest.mark.parametrize("target", sorted(NAMES))
def test_with_the_true_denoiser_samples_have_the_data_s_distribution(sampler, target):
    """For data N(0.2, 0.1^2) the best answer is known in closed form."""
    diffusion = Diffusion(100, target)

    def best(noisy, time):
        kept = diffusion.kept[(time * 100).round().long()][:, None, None]
        gain = kept.sqrt() * 0.01 / (kept * 0.01 + 1 - kept)
        clean = 0.2 + gain * (noisy - kept.sqrt() * 0.2)
        noise = (noisy - kept.sqrt() * clean) / (1 - kept).sqrt()
        velocity = kept.sqrt() * noise - (1 - kept).sqrt() * clean
        return {"noise": noise, "sample": clean, "velocity": velocity}[target]

    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(4000, draws(sampler, 100), 1, 1, generator=generator)
    samples = diffusion.sample(best, noise, sampler, 100)
    assert abs(samples.mean().item() - 0.2) < 0.01
    assert abs(samples.std().item() - 0.1) < 0.015  # DDPM's smaller variance is exact in the limit


def test_a_straight_flow_is_followed_exactly_in_any_number_of_steps():
    noise = noise_of(1)[:, 0]
    goal = torch.full_like(noise, 0.3)

    def network(values, time):
        return (goal - values) / (1 - time[:, None, None])

    for steps in (1, 2, 8):
        torch.testing.assert_close(euler(network, noise, steps), goal, rtol=1e-4, atol=1e-5)


def test_the_error_of_euler_falls_with_the_steps():
    noise = torch.ones(1, 1, 1)
    errors = [
        abs(euler(lambda values, time: values, noise, steps).item() - math.e)
        for steps in (1, 2, 4, 8)
    ]
    assert np.all(np.diff(errors) < 0)


@pytest.mark.parametrize("steps", [0, 101])
def test_more_steps_than_levels_are_refused(steps):
    with pytest.raises(ValueError, match="1..100"):
        Diffusion(100, "noise").sample(network, noise_of(1), "ddim", steps)

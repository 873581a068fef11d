import json

import numpy as np
import pytest

from understudy.spec import Signal, Spec


def spec(**changes) -> Spec:
    facts = {
        "observations": {"observation.state": Signal((2,), unit="m", names=("x", "y"))},
        "action": Signal((1,), low=(-1.0,), high=(1.0,)),
        "rate_hz": 10.0,
    }
    return Spec(**(facts | changes))


def test_check_converts_to_the_declared_dtype():
    assert Signal((2,)).check("s", [1, 2]).dtype == np.float32


@pytest.mark.parametrize(
    ("signal", "value", "complaint"),
    [
        (Signal((2,)), [1.0], "shape"),
        (Signal((1,)), [np.nan], "finite"),
        (Signal((1,)), [np.inf], "finite"),
        (Signal((1,), "int64", choices=3), [3], "outside 0..2"),
        (Signal((1,), "int64", choices=3), [-1], "outside 0..2"),
        (Signal((1,), "int64", choices=3), [1.5], "without loss"),
        (Signal((1,), "uint8"), [256], "without loss"),
        (Signal((1,)), ["a"], "numeric"),
    ],
)
def test_check_refuses_what_the_signal_does_not_allow(signal, value, complaint):
    with pytest.raises(ValueError, match=complaint):
        signal.check("s", np.array(value))


def test_check_names_the_first_value_that_is_not_finite():
    with pytest.raises(ValueError, match=r"arm: nan at index \(1, 0\)"):
        Signal((2,)).check("arm", np.array([[0.0, 1.0], [np.nan, 1.0]]), (2,))


def test_a_spec_survives_json_with_unlimited_bounds():
    before = spec(action=Signal((2,), low=(-np.inf, 0.0), high=(1.0, np.inf)))
    assert Spec.from_dict(json.loads(json.dumps(before.to_dict(), allow_nan=False))) == before


def test_require_lists_every_difference_at_once():
    other = spec(
        observations={"observation.state": Signal((3,), unit="mm", names=("x", "y", "z"))},
        action=Signal((2,)),
        rate_hz=20.0,
    )
    with pytest.raises(ValueError, match="do not fit together") as caught:
        spec().require(other)
    for part in ("(3,)", "mm", "action shape", "20.0"):
        assert part in str(caught.value)


def test_require_accepts_more_observations_and_blank_units():
    more = spec(
        observations={
            "observation.state": Signal((2,)),
            "observation.images.top": Signal((4, 4, 3), "uint8"),
        }
    )
    spec().require(more)


def test_only_keeps_the_chosen_observations_and_refuses_unknown_ones():
    assert list(spec().only(["observation.state"]).observations) == ["observation.state"]
    with pytest.raises(ValueError, match="observation.stat"):
        spec().only(["observation.stat"])


def test_names_and_limits_must_fit_the_shape():
    with pytest.raises(ValueError, match="names"):
        Signal((2,), names=("x",))
    with pytest.raises(ValueError, match="low"):
        Signal((2,), low=(0.0,))

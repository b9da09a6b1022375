import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from shortlist.ranking.moods import Moods, MoodSampler

USERS = np.array([0, 0, 0, 0, 2, 2], np.int32)
TIMES = np.array([10, 10, 40, 500, 10, 12], np.int64)


def covariance(scale: float) -> np.ndarray:
    near = np.exp(-np.abs(TIMES[:, None] - TIMES) / scale)
    return np.asarray(near * (USERS[:, None] == USERS))


@settings(deadline=None, max_examples=20)
@given(scale=st.sampled_from([1.0, 30.0, 1e4]), seed=st.integers(0, 2**32 - 1))
def test_what_is_expected_is_gaussian_process_regression(scale: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rest, weights = rng.normal(size=6), rng.uniform(0.5, 3, 6)
    sampler = MoodSampler(USERS, TIMES, [scale], rng)
    sampler.draw(rest, weights)  # with the variance it starts from, .05
    sampler.count()
    moods = sampler.answering(3)
    among = 0.05 * covariance(scale)
    want = among @ np.linalg.solve(among + np.diag(1 / weights), rest)
    assert_allclose(moods.means[0], want[[0, 2, 3, 4, 5]], atol=1e-6)
    # the usual lean: rows at 10, 10, 40, 500; user 1 has none, the last is a stranger
    assert_allclose(moods.usual, [want[:4].mean(), 0, want[4:].mean(), 0], atol=1e-6)


def test_draws_scatter_as_the_posterior_does() -> None:
    rng = np.random.default_rng(0)
    among = 0.05 * covariance(30.0)
    want = np.diag(np.linalg.inv(np.linalg.inv(among + 1e-9 * np.eye(6)) + 4 * np.eye(6)))
    drawn = []
    for _ in range(4000):
        sampler = MoodSampler(USERS, TIMES, [30.0], rng)
        sampler.draw(np.zeros(6), np.full(6, 4.0))
        drawn.append(sampler.of_rows())
    assert_allclose(np.var(drawn, axis=0), want, rtol=0.1)


def asked(times: list[float], users: list[int]) -> tuple[np.ndarray, np.ndarray]:
    moods = Moods(
        np.array([10.0]),
        np.array([0, 2, 2]),
        np.array([0, 20]),
        np.array([[1.0, 0.5]], np.float32),
        np.zeros((1, 2), np.float32),
        np.array([2.0]),
        np.array([0.7, 0.0, 0.0], np.float32),
    )
    return moods.at(np.array(users, np.int32), np.array(times))


def test_between_and_beyond_moments_by_hand() -> None:
    # user 0 leans 1 at 0 and .5 at 20; a process of scale 10 keeps e^-1 of it over 10
    mean, variance = asked([0, 20, 30, 10, 1e9, np.nan], [0] * 6)
    e = np.exp(-1)
    # halfway, both count alike: share s with s + s e^-2 = e^-1
    share = e / (1 + e**2)
    assert_allclose(mean, [1, 0.5, 0.5 * e, 1.5 * share, 0, 0.7], atol=1e-7)
    assert_allclose(variance, [0, 0, 2 * (1 - e**2), 2 * (1 - 2 * share * e), 2, 2], atol=1e-7)


@pytest.mark.parametrize("user", [1, -1])
def test_whoever_has_no_moment_has_no_lean(user: int) -> None:
    mean, variance = asked([5, np.nan], [user] * 2)
    assert_allclose(mean, 0)
    assert_allclose(variance, 2)

import numpy as np

from mtlbench.data.hashing import below, keyed, splitmix64


def test_splitmix64_gives_the_published_numbers() -> None:
    """First outputs of Vigna's splitmix64.c for the seeds 0, 1 and 1234567."""
    expected = [0xE220A8397B1DCDAF, 0x910A2DEC89025CC1, 6457827717110365317]
    assert splitmix64([0, 1, 1234567]).tolist() == expected


def test_a_key_depends_on_every_part_and_its_place() -> None:
    base = keyed(1, 2, 3)
    assert base == keyed(1, 2, 3)
    assert len({int(h[0]) for h in (base, keyed(2, 1, 3), keyed(1, 3, 2), keyed(1, 2, 4), keyed(1, 2))}) == 5


def test_keys_of_arrays_are_the_keys_of_their_entries() -> None:
    users = np.array([5, 6, 7])
    assert keyed(9, users, 1).tolist() == [int(keyed(9, u, 1)[0]) for u in users]


def test_draws_below_a_size_are_even() -> None:
    """Chi-square with 9 degrees of freedom stays below 30 (p = .0004)."""
    counts = np.bincount(below(splitmix64(np.arange(10_000)), [10]), minlength=10)
    assert len(counts) == 10
    assert ((counts - 1000) ** 2 / 1000).sum() < 30

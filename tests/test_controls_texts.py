"""The control `ngram` draws symbols that followed each context, smoothed as documented, and nothing after an end."""

from __future__ import annotations

import torch
from torch import Tensor

from genbench import datasets
from genbench.evaluation import controls, ngram

SMOOTHING = 0.01  # what is documented
TEXTS = torch.tensor([[1, 2, 1, 0], [1, 2, 2, 0], [1, 2, 1, 2], [2, 0, 0, 0]], dtype=torch.int16)


def shares(tokens: Tensor, levels: int = 3) -> list[float]:
    return (torch.bincount(tokens.long(), minlength=levels).double() / len(tokens)).tolist()


def near(found: list[float], expected: list[float], count: int) -> bool:
    """Whether each share is within 5 standard deviations of the expected one."""
    return all(
        abs(one - other) < 5 * (other * (1 - other) / count) ** 0.5 + 1e-12
        for one, other in zip(found, expected, strict=True)
    )


def smoothed(counts: list[int]) -> list[float]:
    return [(count + SMOOTHING) / (sum(counts) + 3 * SMOOTHING) for count in counts]


def test_symbols_are_drawn_as_often_as_they_followed_the_two_before_them() -> None:
    """Of aba, abb, abab and b, three begin with a, which b always follows; after ab, a comes twice and b once."""
    drawn = ngram.fit(TEXTS, 3).draw(60_000, 4, torch.Generator().manual_seed(0))
    assert drawn.dtype == torch.int16
    assert near(shares(drawn[:, 0]), smoothed([0, 3, 1]), len(drawn))
    begun = drawn[drawn[:, 0] == 1]
    assert near(shares(begun[:, 1]), smoothed([0, 0, 3]), len(begun))
    third = begun[begun[:, 1] == 2]
    assert near(shares(third[:, 2]), smoothed([0, 2, 1]), len(third))


def test_contexts_are_the_two_symbols_before() -> None:
    """As numbers in base 3: none, a, b, ab, ba and bb, of which the last is followed by an end."""
    model = ngram.fit(TEXTS, 3)
    assert model.contexts.tolist() == [0, 1, 2, 5, 7, 8]
    assert model.starts.diff().tolist() == [4, 3, 1, 3, 2, 1]
    last = model._next(torch.full((60_000,), 8), torch.Generator().manual_seed(1))
    assert near(shares(last), smoothed([1, 0, 0]), len(last))


def test_a_context_that_was_never_seen_uses_the_frequencies_over_all_contexts() -> None:
    """After bb, which was seen once, the text ends; after aa, which was never seen, any symbol can follow."""
    model = ngram.fit(TEXTS, 3)
    everywhere = [3, 5, 6]  # ends, a and b: the text of four symbols has no end
    assert sorted(model.followers.tolist()) == [0] * 3 + [1] * 5 + [2] * 6
    unseen = torch.full((60_000,), 1 * 3 + 1)  # a, a
    token = model._next(unseen, torch.Generator().manual_seed(1))
    assert near(shares(token), smoothed(everywhere), len(token))


def test_nothing_follows_an_end() -> None:
    drawn = ngram.fit(TEXTS, 3).draw(5000, 6, torch.Generator().manual_seed(0))
    ended = (drawn == 0).cumsum(1) > 0
    assert bool(ended.any())
    assert not bool(drawn[ended].any())


def test_it_knows_more_of_a_grammar_than_noise_and_less_than_the_data() -> None:
    data = datasets.load("grammar:count=2000,held_out=400")
    assert data.log_probability is not None
    valid = {}
    for name in ("real", "ngram", "noise", "copycat"):
        items = controls.draw(name, data, 400, torch.Generator().manual_seed(0))
        assert items.shape == (400, *data.shape)
        valid[name] = float((data.log_probability(items) > -torch.inf).double().mean())
    assert valid["real"] == valid["copycat"] == 1
    assert 0.001 < valid["ngram"] < 0.2
    assert valid["noise"] == 0

"""Metrics of text: closed forms, hand-computed cases and brute force on short texts; a copycat is caught."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from itertools import product

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from genbench.metrics import METRICS, Evidence, NotMeasurable, copied
from genbench.metrics.copied import copied_runs, novel
from genbench.metrics.distinct import distinct
from genbench.metrics.ngram_divergence import jensen_shannon, ngram_divergence
from genbench.metrics.oracle_cost import chain_log_probabilities, oracle_nats
from genbench.metrics.standard_errors import standard_error
from genbench.metrics.text_gaps import length_wasserstein, symbol_wasserstein
from genbench.metrics.text_likelihood import bits_per_character
from genbench.metrics.texts import character_counts, grams, padded_grams, symbol_counts


def tokens(*texts: str, length: int = 6) -> Tensor:
    """Texts of the letters a, b, c, ... as they are stored."""
    rows = [[ord(letter) - 96 for letter in text] + [0] * (length - len(text)) for text in texts]
    return torch.tensor(rows, dtype=torch.int16).view(len(texts), length)


def letters(texts: Tensor) -> list[str]:
    """The inverse of `tokens`."""
    counts = character_counts(texts).tolist()
    return ["".join(chr(96 + token) for token in row[:n]) for row, n in zip(texts.tolist(), counts, strict=True)]


def drawn(count: int, length: int, levels: int, seed: int) -> Tensor:
    """Texts of uniformly drawn symbols up to the end symbol, so of any length from 0."""
    texts = torch.randint(levels, (count, length), generator=torch.Generator().manual_seed(seed))
    return (texts * (texts != 0).long().cumprod(dim=1)).short()


def evidence_of(samples: Tensor, training: Tensor, held_out: Tensor | None = None, **more: object) -> Evidence:
    features = torch.zeros(1, 2)
    return Evidence(
        features,
        features,
        sample_items=samples,
        reference_items=training,
        held_out_items=held_out,
        **more,  # type: ignore[arg-type]
    )


def test_lengths_count_characters_and_symbols_the_end_too() -> None:
    texts = tokens("", "a", "abcde", "abcdef")
    assert character_counts(texts).tolist() == [0, 1, 5, 6]
    assert symbol_counts(texts).tolist() == [1, 2, 6, 6]
    after = torch.tensor([[1, 0, 2, 3]])  # what follows the end is not part of a text
    assert (character_counts(after).item(), symbol_counts(after).item()) == (1, 2)
    for wrong in (torch.zeros(2, 1, 3, 3, dtype=torch.uint8), torch.zeros(2, 3)):
        with pytest.raises(ValueError, match=r"^texts: expected tokens of shape \(N, L\), got"):
            character_counts(wrong)


@pytest.mark.parametrize("levels", [2, 5, 257, 2**15])
@pytest.mark.parametrize("n", [1, 2, 5, 9])
def test_codes_are_equal_for_equal_windows_alone(levels: int, n: int) -> None:
    """Up to 9 digits of 15 bits: codes that would exceed 62 bits are replaced by ranks on the way."""
    draw = torch.Generator().manual_seed(n)
    few = torch.randint(levels, (3,), generator=draw)  # three of many symbols, so that windows repeat
    texts = few[torch.randint(3, (40, 12), generator=draw)]
    texts[0, 0] = levels - 1
    codes = grams(texts, n)
    assert codes.shape == (40, 12 - n + 1)
    by_window: dict[tuple[int, ...], set[int]] = {}
    for row in range(40):
        for at in range(12 - n + 1):
            by_window.setdefault(tuple(texts[row, at : at + n].tolist()), set()).add(int(codes[row, at]))
    assert all(len(found) == 1 for found in by_window.values())
    assert len({next(iter(found)) for found in by_window.values()}) == len(by_window)


def test_a_text_shorter_than_n_has_no_window() -> None:
    assert grams(tokens("ab", length=3), 4).shape == (1, 0)
    assert grams(tokens(length=3), 2).shape == (0, 2)
    assert grams(tokens("", "", length=0), 1).shape == (2, 0)


def test_a_code_is_a_number_whose_digits_are_tokens_in_the_base_of_the_largest() -> None:
    """Decimal where the largest is 9, and binary where it is 1: 62 such digits fit."""
    assert grams(torch.tensor([[1, 2, 3, 9]]), 2).tolist() == [[12, 23, 39]]
    bits = torch.randint(2, (3, 62), generator=torch.Generator().manual_seed(0))
    assert grams(bits, 62)[:, 0].tolist() == [int("".join(map(str, row)), base=2) for row in bits.tolist()]


def padded(text: str, n: int, length: int) -> list[str]:
    """The n-grams of a text by hand: `<` marks its beginning and `>` its end."""
    whole = "<" * (n - 1) + text + (">" if len(text) < length else "")
    return [whole[at : at + n] for at in range(len(whole) - n + 1)]


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_a_text_has_as_many_ngrams_as_symbols(n: int) -> None:
    texts = drawn(60, 4, 3, seed=n)
    codes, inside = padded_grams(texts, n)
    assert inside.sum(dim=1).equal(symbol_counts(texts))
    windows = [window for text in letters(texts) for window in padded(text, n, 4)]
    pairs = set(zip(codes[inside].tolist(), windows, strict=True))
    assert len(pairs) == len({code for code, _ in pairs}) == len(set(windows))


# Likelihood


def test_bits_per_character_of_a_uniform_guess_are_the_bits_of_a_symbol() -> None:
    held_out = tokens("", "abc", "abcdef")
    nats = -symbol_counts(held_out) * math.log(27)
    found = METRICS["text_likelihood"].compute(evidence_of(held_out, held_out, held_out, log_likelihoods=nats))
    assert found == {"bits_per_char": pytest.approx(math.log2(27))}


def test_bits_per_character_are_a_ratio_of_sums() -> None:
    """Texts of 1 and 3 symbols that cost 4 bits each: 8 bits over 4 symbols, where the mean of ratios is 2.67."""
    nats = torch.tensor([-4.0, -4.0]) * math.log(2)
    assert bits_per_character(nats, torch.tensor([1, 3])) == pytest.approx(2)
    assert str(bits_per_character(torch.zeros(2), torch.tensor([1, 3]))) == "0.0", "not -0"
    rounded = torch.full((3001,), -0.1)  # their float32 sum would lack digits
    expected = -float(rounded[0]) / math.log(2)
    assert bits_per_character(rounded, torch.ones(3001, dtype=torch.int64)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("nats", "message"),
    [
        (torch.tensor([0.0, -math.inf]), r"expected \(N,\) finite numbers"),
        (torch.zeros(2, 1), r"expected \(N,\) finite numbers, got \(2, 1\)"),
        (torch.zeros(3), "expected one per text, got 3 for 2 texts"),
    ],
)
def test_faulty_likelihoods_are_refused(nats: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=f"^log-likelihoods: {message}"):
        bits_per_character(nats, torch.tensor([1, 3]))


def test_the_error_of_bits_per_character_is_that_of_a_ratio() -> None:
    """The delete-one jackknife of the ratio, leaving out each text in turn; the two agree to first order."""
    held_out = drawn(400, 20, 6, seed=1)
    symbols = symbol_counts(held_out)
    nats = -symbols * (1.5 + torch.rand(400, generator=torch.Generator().manual_seed(2))).double()
    evidence = evidence_of(held_out, held_out, held_out, log_likelihoods=nats)
    kept = ~torch.eye(400, dtype=torch.bool)
    left_out = torch.tensor([bits_per_character(nats[rows], symbols[rows]) for rows in kept], dtype=torch.float64)
    expected = math.sqrt(399 / 400 * float((left_out - left_out.mean()).square().sum()))
    assert standard_error("bits_per_char", evidence) == pytest.approx(expected, rel=0.01)


# The oracle


def every_text(levels: int, length: int) -> Tensor:
    """All texts of 0 to `length` characters."""
    texts = torch.tensor(list(product(range(levels), repeat=length)))
    return torch.unique(texts * (texts != 0).long().cumprod(dim=1), dim=0).short()


def test_the_oracle_s_mixture_is_a_distribution() -> None:
    """Its probabilities sum to 1 over all texts, whatever p is on its support, here only two texts."""
    texts = every_text(3, 3)
    assert len(texts) == 1 + 2 + 4 + 8
    known = torch.full((15,), -math.inf, dtype=torch.float64)
    known[3], known[7] = math.log(0.25), math.log(0.75)
    chain = chain_log_probabilities(texts, texts[:5], 3)
    assert float(chain.exp().sum()) == pytest.approx(1, abs=1e-12)
    for share in (0.001, 0.3, 1 - 1e-9):
        found = (-oracle_nats(known, chain, chain_share=share)).exp()
        assert float(found.sum()) == pytest.approx(1, abs=1e-12)
    by_hand = 0.999 * 0.25 + 0.001 * float(chain[3].exp())
    assert float((-oracle_nats(known, chain)).exp()[3]) == pytest.approx(by_hand)


def test_the_chain_counts_pairs_of_symbols_with_one_added_to_each() -> None:
    """In `ab`, `ab` and `b`, with symbols end, a and b: two texts begin with a; a precedes b twice, b the end."""
    reference = torch.tensor([[1, 2, 0], [1, 2, 0], [2, 0, 0]], dtype=torch.int16)
    texts = torch.tensor([[1, 2, 0], [2, 2, 2], [0, 0, 0]], dtype=torch.int16)
    begin, a, b = {0: 1, 1: 3, 2: 2}, {0: 1, 1: 1, 2: 3}, {0: 4, 1: 1, 2: 1}
    expected = [begin[1] / 6 * a[2] / 5 * b[0] / 6, begin[2] / 6 * b[2] / 6 * b[2] / 6, begin[0] / 6]
    assert chain_log_probabilities(texts, reference, 3).exp().tolist() == pytest.approx(expected)


def oracle(samples: Tensor, known: list[float], entropy: float) -> dict[str, float]:
    nats = torch.tensor(known, dtype=torch.float64).log()
    evidence = evidence_of(samples, samples, sample_log_probabilities=nats, entropy=entropy, levels=27)
    return METRICS["oracle"].compute(evidence)


def test_the_oracle_gives_a_perfect_sampler_the_entropy_and_one_that_collapsed_less() -> None:
    """p generates `a` with probability 0.8 and `b` with 0.2."""
    entropy = -0.8 * math.log(0.8) - 0.2 * math.log(0.2)
    perfect = oracle(tokens(*"aaaab"), [0.8] * 4 + [0.2], entropy)
    assert perfect["oracle_nll"] == pytest.approx(entropy, abs=0.0011)
    assert perfect["oracle_kl"] == pytest.approx(0, abs=0.0011)
    assert perfect["oracle_kl"] > 0  # each text costs up to -log(0.999) more
    collapsed = oracle(tokens(*"aaaaa"), [0.8] * 5, entropy)
    assert collapsed["oracle_kl"] == pytest.approx(-math.log(0.8) - entropy, abs=0.0011)
    assert collapsed["oracle_kl"] < -0.2
    assert perfect["valid_fraction"] == collapsed["valid_fraction"] == 1


def test_what_the_truth_makes_never_costs_the_chain_and_is_counted() -> None:
    samples = tokens("a", "zz")
    chain = chain_log_probabilities(samples, samples, 27)
    found = oracle(samples, [0.5, 0.0], 1.0)
    invalid = -math.log(0.001) - float(chain[1])
    assert found["valid_fraction"] == 0.5
    assert found["oracle_nll"] == pytest.approx((-math.log(0.999 * 0.5 + 0.001 * float(chain[0].exp())) + invalid) / 2)
    assert found["oracle_kl"] == pytest.approx(found["oracle_nll"] - 1)


@pytest.mark.parametrize("wrong", [math.nan, 0.1])
def test_log_probabilities_of_no_distribution_are_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match=r"^log-probabilities: expected \(2,\) numbers of at most 0"):
        oracle_nats(torch.tensor([-1.0, wrong]), torch.tensor([-2.0, -2.0]))
    with pytest.raises(ValueError, match=r"^log-probabilities: expected \(2,\)"):
        oracle_nats(torch.tensor([-1.0]), torch.tensor([-2.0, -2.0]))


def test_a_millionth_above_0_is_rounding_and_more_is_refused() -> None:
    limit, chain = torch.tensor([1e-6], dtype=torch.float64), torch.tensor([-2.0])
    assert oracle_nats(limit, chain).tolist() == pytest.approx([-math.log(0.999 + 0.001 * math.exp(-2))], abs=2e-6)
    with pytest.raises(ValueError, match=r"^log-probabilities: expected \(1,\) numbers of at most 0"):
        oracle_nats(limit * 1.001, chain)


# Divergence of n-grams, symbols and lengths


def test_jensen_shannon_is_scipy_s_squared() -> None:
    from scipy.spatial.distance import jensenshannon

    p, q = (np.random.default_rng(seed).dirichlet(np.ones(12)) for seed in (0, 1))
    p[3] = q[3] = q[4] = 0
    p, q = p / p.sum(), q / q.sum()
    found = jensen_shannon(torch.tensor(p), torch.tensor(q))
    assert found == pytest.approx(jensenshannon(p, q, base=2) ** 2, rel=1e-12)
    assert found == pytest.approx(jensen_shannon(torch.tensor(q), torch.tensor(p)))


def test_jensen_shannon_stays_within_its_range_whatever_the_rounding() -> None:
    """Of disjoint distributions it is 1, and of nearly equal ones 0; the sums end a few digits off."""
    draws = [torch.tensor(np.random.default_rng(seed).dirichlet(np.ones(40))) for seed in range(60)]
    none = torch.zeros(40, dtype=torch.float64)
    for p in draws:
        apart = jensen_shannon(torch.cat([p, none]), torch.cat([none, p]))
        near = jensen_shannon(p, p + 1e-9 * (p.roll(1) - p))
        assert 1 - 1e-12 < apart <= 1
        assert 0 <= near < 1e-12


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_the_divergence_of_ngrams_is_that_of_their_counts(n: int) -> None:
    samples, training = drawn(30, 5, 3, seed=1), drawn(50, 5, 4, seed=2)
    counts = [
        Counter(window for text in letters(side) for window in padded(text, n, 5)) for side in (samples, training)
    ]
    expected = 0.0
    for window in counts[0] | counts[1]:
        p, q = (of[window] / of.total() for of in counts)
        expected += sum(x / 2 * math.log2(2 * x / (p + q)) for x in (p, q) if x)
    assert ngram_divergence(samples, training, n) == pytest.approx(expected, rel=1e-12)
    found = METRICS["ngram_divergence"].compute(evidence_of(samples, training))
    assert found[f"ngram_js_{n}"] == pytest.approx(expected, rel=1e-12)


def test_order_is_seen_by_longer_ngrams_alone() -> None:
    """`ab` and `ba` have the same symbols; so do `aab` and `aba`, whose pairs are <a aa ab b> and <a ab ba a>."""
    assert ngram_divergence(tokens("ab"), tokens("ba"), 1) == 0
    assert ngram_divergence(tokens("ab"), tokens("ba"), 2) == 1
    assert ngram_divergence(tokens("aab"), tokens("aba"), 2) == pytest.approx(0.5)


def test_the_distance_of_lengths_is_scipy_s() -> None:
    samples, training = drawn(40, 7, 3, seed=1), drawn(70, 7, 9, seed=2)
    expected = stats.wasserstein_distance(character_counts(samples), character_counts(training))
    assert length_wasserstein(samples, training) == pytest.approx(expected, rel=1e-12)
    assert length_wasserstein(tokens("abc", "abcde"), tokens("a", "ab")) == pytest.approx(2.5)


def test_the_distance_of_symbols_is_the_share_that_would_have_to_be_others() -> None:
    """aab> has one a too many, 1/4 of its symbols; in bb>, b is 5/12 too frequent and the end 1/12."""
    assert symbol_wasserstein(tokens("aab"), tokens("abc")) == pytest.approx(1 / 4)
    assert symbol_wasserstein(tokens("bb"), tokens("abc")) == pytest.approx(5 / 12 + 1 / 12)
    assert symbol_wasserstein(tokens("ab", "ba"), tokens("ab")) == 0
    found = METRICS["text_statistics"].compute(evidence_of(tokens("bb"), tokens("abc")))
    assert found == {"length_w1": 1.0, "symbol_w1": pytest.approx(0.5)}


# Distinct


def test_distinct_ngrams_are_counted_among_equally_many() -> None:
    texts = tokens("abab", "ba", "cc", "aaaaa")
    assert distinct(texts, 2, count=4) == 2 / 4  # ab ba ab ba: none spans two texts
    assert distinct(texts, 2, count=5) == 3 / 5  # and cc
    assert distinct(texts, 2, count=9) == 4 / 9  # and aa four times
    assert distinct(texts, 2, count=10) is None
    assert distinct(texts, 1, count=13) == 3 / 13
    assert distinct(texts, 5, count=1) == 1
    assert distinct(texts, 6, count=1) is None
    assert distinct(texts, 7, count=1) is None


def test_distinct_is_one_over_the_count_where_all_are_alike() -> None:
    alike = METRICS["distinct"].compute(evidence_of(tokens("aaaaa").expand(2500, -1), tokens("a")))
    assert alike == {f"distinct_{n}": 1 / 5000 for n in (1, 2, 3, 4)}
    fewer = METRICS["distinct"].compute(evidence_of(tokens("aaaaa").expand(2499, -1), tokens("a")))
    assert fewer == {f"distinct_{n}": 1 / 5000 for n in (1, 2, 3)}  # 4,998 runs of 4
    with pytest.raises(NotMeasurable, match=r"^distinct: needs 5000 characters, but the samples have 4995; draw more"):
        METRICS["distinct"].compute(evidence_of(tokens("aaaaa").expand(999, -1), tokens("a")))


def test_a_sorted_file_gives_no_other_share_than_a_shuffled_one() -> None:
    """2,000 texts of one symbol come before 2,000 of eight: the first 5,000 characters would all be the same."""
    alike = tokens("aaaaa").expand(2000, -1)
    varied = torch.randint(1, 9, (2000, 6), generator=torch.Generator().manual_seed(0)).short()
    found = METRICS["distinct"].compute(evidence_of(torch.cat([alike, varied]), alike))
    assert found["distinct_1"] == 8 / 5000


def test_texts_are_read_in_the_order_of_the_seed() -> None:
    samples = drawn(3000, 6, 30, seed=1)
    found = []
    for seed in (3, 4):
        order = torch.randperm(3000, generator=torch.Generator().manual_seed(seed))
        found.append(METRICS["distinct"].compute(evidence_of(samples, samples, seed=seed)))
        assert found[-1] == {f"distinct_{n}": distinct(samples[order], n) for n in (1, 2, 3, 4)}
    assert found[0] != found[1]


# Copies


def longest(text: str, training: list[str]) -> int:
    """By trying every substring."""
    spans = [text[i:j] for i in range(len(text)) for j in range(i + 1, len(text) + 1)]
    return max((len(span) for span in spans if any(span in other for other in training)), default=0)


@pytest.mark.parametrize(("levels", "length"), [(3, 12), (4, 5), (6, 33), (3, 1)])
@pytest.mark.parametrize("block", [2**20, 100])
def test_the_longest_run_is_that_of_every_substring_tried(levels: int, length: int, block: int) -> None:
    for seed in range(3):
        texts = torch.cat([drawn(12, length, levels, seed), drawn(6, length, 40, seed)])
        training = torch.cat([drawn(25, length, levels, seed + 50), drawn(5, length, 40, seed + 50)])
        texts[0, : length // 2] = training[-1, : length // 2]
        texts[0] *= (texts[0] != 0).long().cumprod(dim=0).short()
        expected = [longest(text, letters(training)) for text in letters(texts)]
        assert copied_runs(texts, training, block=block).tolist() == expected


def test_runs_of_large_vocabularies_are_ranked_from_the_first_doubling_on() -> None:
    """At 15 bits per symbol, five symbols do not fit a code: all larger tables hold ranks."""
    draw = torch.Generator().manual_seed(0)
    training = torch.randint(1, 2**15, (20, 24), generator=draw)
    texts = torch.randint(1, 2**15, (4, 24), generator=draw)
    texts[0, 5:22] = training[7, 2:19]
    texts[1] = training[3]
    texts[2, :1] = training[9, 23:]
    found = copied_runs(texts, training)
    assert found[:3].tolist() == [17, 24, 1]


@pytest.mark.parametrize("length", [12, 40])
def test_ranks_tell_apart_what_differs_and_nothing_else(length: int) -> None:
    """Three symbols of 15 bits: long runs occur, and codes of more than four symbols are ranks."""
    symbols, draw = torch.tensor([0, 1, 2, 2**15 - 1]), torch.Generator().manual_seed(length)
    training = torch.randint(1, 4, (16, length), generator=draw)
    texts = torch.randint(1, 4, (length, length), generator=draw)
    for count in range(1, length):  # each text but the first has a run of this many
        row, at, of = (int(torch.randint(end, (1,), generator=draw)) for end in (16, *(length - count + 1,) * 2))
        texts[count, at : at + count] = training[row, of : of + count]
    training[::3, length - 3 :] = 0
    texts, training = symbols[texts], symbols[training]
    expected = [longest(text, letters(training)) for text in letters(texts)]
    assert len(set(expected)) > length / 2
    assert copied_runs(texts, training).tolist() == expected


def test_the_last_rank_after_one_is_not_the_first_after_the_next() -> None:
    """5999 comes right before 6888; of what follows four symbols, `most` is the last and an ending 1 the first."""
    most = [2**15 - 1] * 4
    text, training = [5, 9, 9, 9, *most], [6, 8, 8, 8, 1, 0, 0, 0]
    assert copied_runs(torch.tensor([text]), torch.tensor([training])).item() == 0


def test_training_texts_are_taken_in_blocks_of_so_many_positions_and_at_least_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken: list[int] = []
    runs = copied._runs

    def noted(texts: Tensor, training: Tensor) -> Tensor:
        taken.append(len(training))
        return runs(texts, training)

    monkeypatch.setattr(copied, "_runs", noted)
    for block, counts in ((5, [1, 1, 1]), (6, [1, 1, 1]), (17, [2, 1]), (18, [3])):
        taken.clear()
        found = copied_runs(tokens("abcd", "abc"), tokens("abd", "bcd", "bc"), block=block)
        assert found.tolist() == [3, 2]
        assert found.dtype == torch.int64
        assert taken == counts


def test_a_run_stands_within_one_training_text_and_ends_count_for_none() -> None:
    assert copied_runs(tokens("abcd"), tokens("ab", "cd")).item() == 2
    assert copied_runs(tokens("ab"), tokens("ab")).item() == 2
    assert copied_runs(tokens("", "xyz"), tokens("", "abc")).tolist() == [0, 0]
    assert copied_runs(tokens("", ""), tokens("")).tolist() == [0, 0]
    assert copied_runs(tokens("abbc", length=4), tokens("ccab", length=4)).item() == 2  # ab ends there, and b follows
    assert copied_runs(tokens(), tokens("a")).shape == (0,)
    assert copied_runs(tokens("a", "ab", length=2), tokens(length=2)).tolist() == [0, 0]


def test_a_text_is_new_unless_it_is_a_whole_training_text() -> None:
    training = tokens("abc", "abcdef", "")
    assert novel(tokens("abc", "ab", "abcd", "abcdef", "", "bc"), training).tolist() == [
        *(False, True, True, False, False, True),
    ]


def test_of_long_texts_of_many_symbols_every_position_counts() -> None:
    training = torch.randint(1, 257, (30, 100), generator=torch.Generator().manual_seed(0)).short()
    changed = training.repeat(4, 1)[:100].clone()
    rows = torch.arange(100)
    changed[rows, rows] = 256 - changed[rows, rows] + 1
    differs = (changed[rows, rows] != training[rows % 30, rows]).tolist()
    assert novel(changed, training).tolist() == differs
    assert sum(differs) > 95


def language(count: int, seed: int) -> Tensor:
    """Texts of a peaked distribution, so that fresh ones sometimes repeat a training text."""
    generator = torch.Generator().manual_seed(seed)
    chances = torch.tensor([0.1, 0.5, 0.25, 0.1, 0.05])
    texts = torch.multinomial(chances.expand(count, -1).repeat(8, 1), 1, generator=generator).view(count, 8)
    return (texts * (texts != 0).long().cumprod(dim=1)).short()


@pytest.mark.parametrize(
    ("kind", "flagged"), [("copies", True), ("half copies", True), ("fresh", False), ("real", False)]
)
def test_a_copycat_is_flagged_and_fresh_texts_are_not(kind: str, flagged: bool) -> None:
    training, held_out, fresh = (language(300, seed) for seed in (1, 2, 3))
    half = torch.cat([training[:150], fresh[:150]])
    samples = {"copies": training, "half copies": half, "fresh": fresh, "real": held_out}[kind]
    found = METRICS["novelty"].compute(evidence_of(samples, training, held_out, samples_held_out=kind == "real"))
    assert (found["novelty_p"] < 0.01) == flagged
    assert 0.2 < novel(held_out, training).double().mean() < 0.95
    if kind == "copies":
        assert found["novelty"] == 0
        assert found["copied_run"] == character_counts(training).double().mean()


def test_the_p_of_novelty_is_fisher_s_of_the_two_sides() -> None:
    training, held_out, fresh = (language(count, seed) for count, seed in ((60, 1), (41, 2), (35, 3)))
    flags = [novel(side, training) for side in (fresh, held_out)]
    table = [[int(side.sum()), int((~side).sum())] for side in flags]
    found = METRICS["novelty"].compute(evidence_of(fresh, training, held_out))
    assert found["novelty"] == table[0][0] / 35
    assert found["novelty_p"] == pytest.approx(stats.fisher_exact(table, alternative="less").pvalue, rel=1e-9)
    control = evidence_of(held_out, training, held_out, samples_held_out=True, seed=4)
    order = torch.randperm(41, generator=torch.Generator().manual_seed(4))
    halves = [flags[1][half] for half in order.tensor_split(2)]
    table = [[int(side.sum()), int((~side).sum())] for side in halves]
    expected = stats.fisher_exact(table, alternative="less").pvalue
    assert METRICS["novelty"].compute(control)["novelty_p"] == pytest.approx(expected, rel=1e-9)
    for without in (None, training[:0]):
        alone = METRICS["novelty"].compute(evidence_of(fresh, training, without))
        assert alone.keys() == {"novelty", "copied_run"}


def test_errors_are_those_of_means_and_shares() -> None:
    training, fresh = language(300, 1), language(200, 2)
    known = torch.linspace(-9, -1, 200, dtype=torch.float64).index_fill(0, torch.arange(20), -math.inf)
    evidence = evidence_of(fresh, training, sample_log_probabilities=known, entropy=2.0, levels=5)
    nats = -(0.999 * known.exp() + 0.001 * chain_log_probabilities(fresh, training, 5).exp()).log()
    error = float(nats.std()) / math.sqrt(200)
    assert standard_error("oracle_nll", evidence) == pytest.approx(error, rel=1e-9)
    assert standard_error("oracle_kl", evidence) == standard_error("oracle_nll", evidence)
    runs = copied_runs(fresh, training).double()
    assert standard_error("copied_run", evidence) == pytest.approx(float(runs.std()) / math.sqrt(200), rel=1e-9)
    for name, count in (("valid_fraction", 180), ("novelty", int(novel(fresh, training).sum()))):
        share = (count + 2) / 204
        assert standard_error(name, evidence) == pytest.approx(math.sqrt(share * (1 - share) / 204), rel=1e-9)
    few = dataclasses.replace(evidence, sample_items=fresh[:99])
    assert standard_error("novelty", few) is standard_error("ngram_js_1", evidence) is None

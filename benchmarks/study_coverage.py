"""Whether a study's claims are true: coverage of its intervals over simulated studies with known raters.

    python benchmarks/study_coverage.py --studies 1000

Each rater has their own error rates, spread around those of the models (a beta distribution), so the answers of one
rater resemble each other. Prints the share of studies whose 95% interval contains the true value, and the share of
tests that reject a true hypothesis. Takes about 40 seconds for 1,000 studies on one core.
"""

from __future__ import annotations

import argparse

import numpy as np

from genbench.study.clusters import Interval
from genbench.study.detection import Counts, deceived
from genbench.study.preference import Preferences, Votes, preferences

RATERS = 20
CONCENTRATION = 12.0  # of the beta distribution of the raters' rates: the standard deviation of a rate of 30% is 13%
_BOOTSTRAP = 0  # its seed: the same resamples serve every study, because they do not depend on the answers
STRENGTHS = {"first": 0.9, "second": 0.3, "third": -0.2, "fourth": -1.0}  # log-odds, of mean 0


def simulated_detection(
    generator: np.random.Generator, rates: tuple[float, float], shown: int = 20, raters: int = RATERS
) -> tuple[list[Counts], list[Counts]]:
    """Return raters' answers to `shown` real and as many fake items; `rates` are how often each is called real."""

    def side(rate: float) -> list[Counts]:
        own = generator.beta(rate * CONCENTRATION, (1 - rate) * CONCENTRATION, raters)
        return [Counts(int(count), shown) for count in generator.binomial(shown, own)]

    return side(rates[0]), side(rates[1])


def simulated_votes(
    generator: np.random.Generator, strengths: dict[str, float], each: int = 6, raters: int = RATERS, left: float = 0.0
) -> Votes:
    """Return raters' votes, `each` a pair, between models of known strengths.

    Raters differ in the log-odds of a pair by a normal deviation of 0.5; `left` is what being on the left adds to
    the log-odds. A tenth of the answers are ties.
    """
    level = np.array(list(strengths.values()))
    count = len(level)
    wins = np.zeros((raters, count, count))
    lefts, decided = np.zeros(raters), np.zeros(raters)
    for one in range(count):
        for other in range(one + 1, count):
            odds = (level[one] - level[other] + 0.5 * generator.normal(size=raters))[:, None]
            on_left = generator.random((raters, each)) < 0.5
            chance = 1 / (1 + np.exp(-(odds + np.where(on_left, left, -left))))
            won, tie = generator.random((raters, each)) < chance, generator.random((raters, each)) < 0.1
            wins[:, one, other] = np.where(tie, 0.5, won).sum(1)
            wins[:, other, one] = each - wins[:, one, other]
            lefts += ((won == on_left) & ~tie).sum(1)
            decided += (~tie).sum(1)
    asked = each * count * (count - 1) / 2
    return Votes(tuple(strengths), wins, lefts, decided, asked - decided)


def true_elo(strengths: dict[str, float], generator: np.random.Generator) -> dict[str, float]:
    """Return the result of a very large study: the raters' spread and ties pull strengths together."""
    found: Preferences = preferences(simulated_votes(generator, strengths, each=100, raters=1500), _BOOTSTRAP, draws=2)
    return {model: interval.value for model, interval in found.elo.items()}


def coverage(studies: int, seed: int, shown: int = 20, raters: int = RATERS) -> dict[str, float]:
    """Return the share of simulated studies whose interval contains the true value, by the quantity it is for."""
    generator = np.random.default_rng(seed)
    held: dict[str, list[bool]] = {}

    def note(what: str, interval: Interval, truth: float) -> None:
        held.setdefault(what, []).append(interval.holds(truth))

    elo = true_elo(STRENGTHS, generator)
    for _ in range(studies):
        for rates in ((0.7, 0.6), (0.8, 0.3), (0.9, 0.05)):
            real, fake = simulated_detection(generator, rates, shown, raters)
            found = deceived(real, fake, _BOOTSTRAP)
            note(
                f"error, real called real {rates[0]:.0%}, fake {rates[1]:.0%}",
                found.error,
                0.5 + (rates[1] - rates[0]) / 2,
            )
            note(f"fake called real, {rates[1]:.0%}", found.fake_as_real, rates[1])
        voted = preferences(simulated_votes(generator, STRENGTHS, raters=raters), _BOOTSTRAP, draws=1000)
        for model, interval in voted.elo.items():
            note(f"Elo of {model}", interval, elo[model])
        note("share of answers for the left side", voted.left, 0.5)
        note("share of ties", voted.ties, 0.1)
        rejected = voted.transitivity_p is not None and voted.transitivity_p < 0.05
        held.setdefault("transitivity not rejected", []).append(not rejected)
    return {what: float(np.mean(values)) for what, values in held.items()}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--raters", type=int, default=RATERS)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    print(f"{given.studies} studies of {given.raters} raters, seed {given.seed}")
    for what, share in coverage(given.studies, given.seed, raters=given.raters).items():
        print(f"{share:7.1%}  {what}")


if __name__ == "__main__":
    main()

"""A probabilistic grammar as an automaton that reads a text symbol by symbol: exact probabilities, entropy, draws."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache

import torch
from torch import Tensor

__all__ = ["Automaton", "Rules", "compiled"]

# Nonterminal -> its right-hand sides with their weights; what is no nonterminal is text.
Rules = Mapping[str, Sequence[tuple[int, tuple[str, ...]]]]
_Stack = tuple[str, ...]  # what is still to be written, leftmost first
_Heads = Mapping[tuple[str, _Stack], Fraction]  # the next symbol and what is left behind it
_State = tuple[tuple[_Stack, Fraction], ...]  # how probable each is, given what has been written; in order


@dataclass(frozen=True)
class Automaton:
    """A distribution over finitely many texts, as a table of states: one for all that can be written alike from there.

    Args:
        symbols: what each token stands for, the end's empty text first.
        log_chances: (S, V) float64: log-probability of each token in each state; minus infinity where there is none.
        following: (S, V) int64: the state behind it; 0, the beginning, where there is none.
    """

    symbols: tuple[str, ...]
    log_chances: Tensor
    following: Tensor

    def log_probability(self, items: Tensor) -> Tensor:
        """Return the log-probability of tokens (N, L) in nats, (N,) float64; minus infinity outside the support.

        One walk through the states, for the state behind a prefix is one: dynamic programming over derivations has
        been done when the table was made. A text that fills L has no end in it, and is asked for one here.
        """
        count = len(items)
        state = torch.zeros(count, dtype=torch.int64)
        total = torch.zeros(count, dtype=torch.float64)
        written = torch.ones(count, dtype=torch.bool)
        columns = [*items.long().unbind(1), torch.zeros(count, dtype=torch.int64)]
        for token in columns:
            total += torch.where(written, self.log_chances[state, token], 0.0)
            written &= token != 0
            state = self.following[state, token]
        return total

    def draw(self, count: int, length: int, generator: torch.Generator) -> Tensor:
        """Draw `count` texts, (count, length) int16 with nothing behind the end; `length` is `longest` or more."""
        cumulative = self.log_chances.exp().cumsum(1)
        uniform = torch.rand(count, length, generator=generator, dtype=torch.float64)
        items = torch.zeros(count, length, dtype=torch.int16)
        state, written = torch.zeros(count, dtype=torch.int64), torch.ones(count, dtype=torch.bool)
        for place in range(length):
            # Scaled by the sum, which is 1 but for rounding, so that no draw falls behind the last symbol.
            below = cumulative[state] <= (uniform[:, place] * cumulative[state, -1])[:, None]
            token = torch.where(written, below.sum(1), 0)
            items[:, place] = token.to(torch.int16)
            written &= token != 0
            state = self.following[state, token]
        return items

    @property
    def longest(self) -> int:
        """How many symbols the longest text has, without an end."""
        return self._visits[1]

    @property
    def entropy(self) -> float:
        """Entropy of a text in nats: that of the next symbol in each state, as often as the state is met."""
        chances = self.log_chances.exp()
        local = -torch.where(chances > 0, chances * self.log_chances, 0.0).sum(1)
        return float(self._visits[0] @ local)

    @property
    def expected_symbols(self) -> float:
        """How many symbols a text has in the mean, its end among them."""
        return float(self._visits[0].sum())

    @cached_property
    def _visits(self) -> tuple[Tensor, int]:
        """How often each state is met by one text, (S,) float64, and how many symbols the longest text has."""
        chances = self.log_chances.exp()[:, 1:].flatten()
        following = self.following[:, 1:].flatten()
        now = torch.zeros(len(self.log_chances), dtype=torch.float64)
        now[0] = 1.0
        met, steps = now.clone(), -1
        while bool(now.any()):
            moved = now.repeat_interleave(len(self.symbols) - 1) * chances
            now = torch.zeros_like(now).index_add_(0, following, moved)
            met += now
            steps += 1
        return met, steps


def compiled(rules: Rules, start: str) -> Automaton:
    """Return the distribution of the texts that a grammar derives from `start`.

    The weighted derivations are determinised: a state is the distribution over what is still to be written given what
    has been, in exact fractions, so that prefixes after which all is alike share one. A grammar may be ambiguous.

    Args:
        rules: without recursion, so that there are finitely many texts.
        start: the nonterminal.

    Raises:
        ValueError: a rule leads back to itself.

    Example:
        >>> coins = compiled({"S": [(1, ("H", "H")), (1, ("a",))], "H": [(1, ("a",)), (3, ("b",))]}, "S")
        >>> coins.symbols, coins.longest, round(float(coins.log_probability(torch.tensor([[1, 0]])).exp()), 6)
        (('', 'a', 'b'), 2, 0.5)
    """
    _require_finite(rules, start, ())
    symbols = (
        "",
        *sorted(
            {
                symbol
                for sides in rules.values()
                for _, side in sides
                for text in side
                if text not in rules
                for symbol in text
            }
        ),
    )
    numbers = {symbol: token for token, symbol in enumerate(symbols)}
    begin: _State = (((start,), Fraction(1)),)
    known, rows = {begin: 0}, list[dict[int, tuple[float, int]]]()
    heads = lru_cache(maxsize=None)(lambda stack: _heads(rules, stack))
    for state in (queue := [begin]):
        row = {}
        for symbol, (chance, after) in _moves(state, heads).items():
            if symbol and after not in known:
                known[after] = len(queue)
                queue.append(after)
            row[numbers[symbol]] = (math.log(chance), known[after] if symbol else 0)
        rows.append(row)
    log_chances = torch.full((len(rows), len(symbols)), -math.inf, dtype=torch.float64)
    following = torch.zeros(len(rows), len(symbols), dtype=torch.int64)
    for number, row in enumerate(rows):
        for token, (log_chance, target) in row.items():
            log_chances[number, token] = log_chance
            following[number, token] = target
    return Automaton(symbols, log_chances, following)


def _moves(state: _State, heads: Callable[[_Stack], _Heads]) -> dict[str, tuple[Fraction, _State]]:
    """Return what may be written next, how probable it is, and the state behind it; the empty text for the end."""
    found: dict[str, dict[_Stack, Fraction]] = {}
    for stack, chance in state:
        for (symbol, rest), share in heads(stack).items():
            behind = found.setdefault(symbol, {})
            behind[rest] = behind.get(rest, Fraction(0)) + chance * share
    moves = {}
    for symbol, behind in sorted(found.items()):  # so that states have the same numbers in every process
        total = sum(behind.values(), Fraction(0))
        moves[symbol] = total, tuple(sorted((rest, chance / total) for rest, chance in behind.items()))
    return moves


def _heads(rules: Rules, stack: _Stack) -> _Heads:
    """Return the first symbols that a stack may write, each with the stack that is left, and their probabilities."""
    if not stack:
        return {("", ()): Fraction(1)}
    first, rest = stack[0], stack[1:]
    if first not in rules:
        return (
            {(first[0], (first[1:], *rest) if len(first) > 1 else rest): Fraction(1)} if first else _heads(rules, rest)
        )
    found: dict[tuple[str, _Stack], Fraction] = {}
    whole = sum(weight for weight, _ in rules[first])
    for weight, side in rules[first]:
        for head, share in _heads(rules, (*side, *rest)).items():
            found[head] = found.get(head, Fraction(0)) + Fraction(weight, whole) * share
    return found


def _require_finite(rules: Rules, name: str, within: tuple[str, ...]) -> None:
    if name in within:
        raise ValueError(f"rule {name} leads back to itself, so there are infinitely many texts")
    for _, side in rules[name]:
        for part in side:
            if part in rules:
                _require_finite(rules, part, (*within, name))

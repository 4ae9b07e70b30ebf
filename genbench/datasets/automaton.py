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

# Nonterminal -> its right-hand sides with their weights; anything that is not a nonterminal is text.
Rules = Mapping[str, Sequence[tuple[int, tuple[str, ...]]]]
_Stack = tuple[str, ...]  # what is still to be written, leftmost first
_Heads = Mapping[tuple[str, _Stack], Fraction]  # the next symbol and the rest after it
_State = tuple[tuple[_Stack, Fraction], ...]  # the probability of each, given what has been written; ordered


@dataclass(frozen=True)
class Automaton:
    """A distribution over finitely many texts, as a table of states: prefixes with equal continuations share a state.

    Args:
        symbols: the text of each token; the end token's empty text comes first.
        log_chances: (S, V) float64: log-probability of each token in each state; minus infinity if it is impossible.
        following: (S, V) int64: the state that follows; 0, the initial state, if there is none.
    """

    symbols: tuple[str, ...]
    log_chances: Tensor
    following: Tensor

    def log_probability(self, items: Tensor) -> Tensor:
        """Return the log-probability of tokens (N, L) in nats, (N,) float64; minus infinity outside the support.

        A single walk through the states suffices, because each prefix leads to exactly one state: the dynamic
        programming over derivations was done when the table was built. A text that fills L contains no end token, so
        the probability of the end is included here.
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
        """Draw `count` texts, (count, length) int16, zero after the end; `length` is at least `longest`."""
        cumulative = self.log_chances.exp().cumsum(1)
        uniform = torch.rand(count, length, generator=generator, dtype=torch.float64)
        items = torch.zeros(count, length, dtype=torch.int16)
        state, written = torch.zeros(count, dtype=torch.int64), torch.ones(count, dtype=torch.bool)
        for place in range(length):
            # Scaled by the sum, which is 1 up to rounding, so that no draw falls beyond the last symbol.
            below = cumulative[state] <= (uniform[:, place] * cumulative[state, -1])[:, None]
            token = torch.where(written, below.sum(1), 0)
            items[:, place] = token.to(torch.int16)
            written &= token != 0
            state = self.following[state, token]
        return items

    @property
    def longest(self) -> int:
        """The number of symbols in the longest text, excluding the end."""
        return self._visits[1]

    @property
    def entropy(self) -> float:
        """Entropy of a text in nats: the next symbol's entropy in each state, weighted by the expected visits."""
        chances = self.log_chances.exp()
        local = -torch.where(chances > 0, chances * self.log_chances, 0.0).sum(1)
        return float(self._visits[0] @ local)

    @property
    def expected_symbols(self) -> float:
        """The mean number of symbols in a text, including its end."""
        return float(self._visits[0].sum())

    @cached_property
    def _visits(self) -> tuple[Tensor, int]:
        """The expected visits of a text to each state, (S,) float64, and the number of symbols in the longest text."""
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

    The weighted derivations are determinised: a state is the distribution, in exact fractions, over the remaining
    stacks given the prefix, so prefixes with the same distribution share a state. The grammar may be ambiguous.

    Args:
        rules: without recursion, so that the number of texts is finite.
        start: the start symbol, a nonterminal.

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
    """Return each possible next symbol, its probability and the state it leads to; the empty text is the end."""
    found: dict[str, dict[_Stack, Fraction]] = {}
    for stack, chance in state:
        for (symbol, rest), share in heads(stack).items():
            behind = found.setdefault(symbol, {})
            behind[rest] = behind.get(rest, Fraction(0)) + chance * share
    moves = {}
    for symbol, behind in sorted(found.items()):  # so that states are numbered alike in every process
        total = sum(behind.values(), Fraction(0))
        moves[symbol] = total, tuple(sorted((rest, chance / total) for rest, chance in behind.items()))
    return moves


def _heads(rules: Rules, stack: _Stack) -> _Heads:
    """Return the first symbols that a stack can produce, each with the remaining stack, and their probabilities."""
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

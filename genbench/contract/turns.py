"""Ranks that take turns within one process: each runs alone up to its next exchange, which makes runs deterministic."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from genbench.training.ranks.group import DisagreementError

__all__ = ["TurnGroup", "in_turns"]

Brought = tuple[int | None, list[Tensor]]  # the number that a rank announces at an exchange, and its tensors


@dataclass
class _Turns:
    """Whose turn it is, what each rank has contributed to each exchange, and which ranks have ended."""

    size: int
    now: int = 0
    ended: set[int] = field(default_factory=set)
    changed: threading.Condition = field(default_factory=threading.Condition)
    brought: list[list[Brought]] = field(default_factory=list)  # by rank, exchange by exchange

    def take(self, rank: int) -> None:
        """Wait until it is the turn of `rank`."""
        with self.changed:
            self.changed.wait_for(lambda: self.now == rank)

    def give(self, rank: int, ended: bool = False) -> None:
        """Let the next rank that has not ended continue; it may be `rank` itself."""
        with self.changed:
            if ended:
                self.ended.add(rank)
            order = [(rank + step) % self.size for step in range(1, self.size + 1)]
            self.now = next((each for each in order if each not in self.ended), -1)
            self.changed.notify_all()


class TurnGroup:
    """One rank of several that take turns; see `Group`."""

    def __init__(self, rank: int, turns: _Turns) -> None:
        self.rank, self.size, self.stepping = rank, turns.size, False
        self._turns = turns

    def add(self, tensors: Sequence[Tensor], said: int | None = None) -> None:
        """Sum each tensor over the ranks, in place; see `Group.add`."""
        own = self._turns.brought[self.rank]
        own.append((said, [tensor.clone() for tensor in tensors]))
        self._turns.give(self.rank)
        self._turns.take(self.rank)
        met = [brought[len(own) - 1] for brought in self._turns.brought if len(brought) >= len(own)]
        alike = {(word, tuple(tensor.shape for tensor in parts)) for word, parts in met}
        if len(met) < self.size or len(alike) > 1:
            raise DisagreementError("the ranks are at different points of their steps")
        for index, tensor in enumerate(tensors):
            tensor.zero_()
            for _, parts in met:
                tensor += parts[index]


def in_turns(size: int, work: Callable[[TurnGroup], None]) -> Exception | None:
    """Run `work` for each of `size` ranks; return an error of one of them, preferring a cause to its consequence."""
    turns = _Turns(size, brought=[[] for _ in range(size)])
    errors: list[Exception] = []

    def run(rank: int) -> None:
        turns.take(rank)
        try:
            work(TurnGroup(rank, turns))
        except Exception as error:  # a plugin's step may raise anything
            errors.append(error)
        turns.give(rank, ended=True)  # a rank that waits for this one then finds no contribution

    threads = [threading.Thread(target=run, args=(rank,), daemon=True) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    errors.sort(key=lambda error: isinstance(error.__cause__ or error, DisagreementError))
    return errors[0] if errors else None

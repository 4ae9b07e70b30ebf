"""Sentences drawn from a small grammar with exactly known probabilities: the text counterpart of `gaussians`."""

from __future__ import annotations

from functools import lru_cache

from genbench.datasets import texts
from genbench.datasets.automaton import Automaton, Rules, compiled
from genbench.datasets.dataset import Dataset, Split, fingerprint
from genbench.datasets.options import whole_numbers
from genbench.datasets.room import shortage
from genbench.datasets.source import Request
from genbench.kinds.text import Text
from genbench.seeding import generator

__all__ = ["RULES", "automaton", "load"]

_NOUNS = ("cat", "dog", "bird", "frog", "owl")
_NUMBERS = {"one": ("", "s"), "many": ("s", "")}  # the endings of a noun and of its verb
_WEIGHTS = (5, 4, 3, 2, 1)  # of the words in a list: the first is the most frequent


def _words(words: tuple[str, ...], ending: str = "") -> list[tuple[int, tuple[str, ...]]]:
    return [(weight, (f"{word}{ending}",)) for weight, word in zip(_WEIGHTS, words, strict=False)]


def _rules() -> Rules:
    """Return the rules: a subject and its verb, possibly an object; a relative clause may come in between.

    A verb agrees with its noun in number even across the clause, which no short context can capture.
    """
    rules: dict[str, list[tuple[int, tuple[str, ...]]]] = {
        "sentence": [(1, (f"sentence {number}",)) for number in _NUMBERS],
        "adjective": [(4, ()), *((weight, (f"{word} ",)) for weight, word in ((2, "big"), (1, "old"), (1, "red")))],
        "object": [(1, (f"object {number}",)) for number in _NUMBERS],
    }
    for number, (of_noun, of_verb) in _NUMBERS.items():
        counted = "a " if number == "one" else "two "
        rules |= {
            f"sentence {number}": [(1, (f"subject {number}", f"clause {number}", " ", f"verbs {number}"))],
            f"subject {number}": [(1, (f"article {number}", "adjective", f"noun {number}"))],
            f"object {number}": [(1, (f"article {number}", f"noun {number}"))],
            f"article {number}": [(2, ("the ",)), (1, (counted,))],
            f"noun {number}": _words(_NOUNS, of_noun),
            f"clause {number}": [
                (6, ()),
                (1, (" that ", f"verbs {number}")),
                *((1, (" that ", f"object {other}", " ", f"transitive {other}")) for other in _NUMBERS),
            ],
            f"verbs {number}": [(1, (f"intransitive {number}",)), (2, (f"transitive {number}", " ", "object"))],
            f"intransitive {number}": _words(("run", "sing", "sleep"), of_verb),
            f"transitive {number}": _words(("see", "like", "hear"), of_verb),
        }
    return rules


RULES = _rules()


def load(request: Request) -> Dataset:
    """Load sentences drawn from `RULES`, such as `the owls that a cat sees like two dogs`.

    Its `log_probability` and `entropy` are exact. `count=` and `held_out=` set the numbers of sentences, `seed=` the
    random stream; `length=` pads beyond the longest sentence.
    """
    texts.refuse_image_size(request)
    known = automaton()
    defaults = {"count": 20_000, "held_out": 5_000, "seed": 0, "length": known.longest}
    least = {"count": 1, "held_out": 1, "seed": 0, "length": known.longest}
    asked = whole_numbers(request, defaults, least)
    count, held_out, seed, length = (asked[name] for name in ("count", "held_out", "seed", "length"))
    if (fault := shortage(2 * (count + held_out) * (length + 5 * known.longest))) is not None:
        raise request.fault(f"its sentences {fault}")
    splits = []
    for name, number in (("train", count), ("held-out", held_out)):
        items = known.draw(number, length, generator(seed, "grammar", name))
        splits.append(Split(items, None, Text(known.symbols)))
    return Dataset(
        name=request.spec,
        train=splits[0],
        held_out=splits[1],
        class_names=None,
        licence=request.source.licence,
        fingerprint=fingerprint(*splits),
        log_probability=known.log_probability,
        entropy=known.entropy,
    )


@lru_cache(maxsize=1)
def automaton() -> Automaton:
    """Return the distribution of the sentences."""
    return compiled(RULES, "sentence")

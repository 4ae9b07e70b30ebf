"""Probabilistic grammars: the automaton's numbers for texts, compared with every derivation written out."""

from __future__ import annotations

import itertools
import math
import os
import re
import subprocess
import sys
from collections import Counter

import pytest
import torch
from torch import Tensor

from genbench.datasets import load
from genbench.datasets.automaton import Automaton, Rules, compiled
from genbench.datasets.grammar import RULES, automaton
from genbench.errors import InputError

GRAMMARS: dict[str, Rules] = {
    "one text": {"S": [(1, ("ab",))]},
    "nothing or something": {"S": [(2, ()), (1, ("a",))]},
    "choices": {"S": [(1, ("A", "b", "A")), (2, ("A",))], "A": [(3, ("a",)), (1, ("bb",)), (1, ())]},
    # "aa" has two derivations, "aaa" three, and prefixes are shared.
    "ambiguous": {
        "S": [(1, ("A", "A")), (1, ("aa",)), (2, ("A", "B"))],
        "A": [(1, ("a",)), (3, ("aa",))],
        "B": [(1, ("a",)), (1, ("b", "C")), (1, ())],
        "C": [(5, ("a",)), (1, ("", "b"))],
    },
}


def derivations(rules: Rules, parts: tuple[str, ...]) -> list[tuple[str, float]]:
    """Every derivation of the parts, as its text and its probability."""
    if not parts:
        return [("", 1.0)]
    head, heads = parts[0], [(parts[0], 1.0)]
    if head in rules:
        whole = sum(weight for weight, _ in rules[head])
        heads = [
            (text, weight / whole * chance) for weight, side in rules[head] for text, chance in derivations(rules, side)
        ]
    return [(text + tail, p * q) for text, p in heads for tail, q in derivations(rules, parts[1:])]


def probabilities(rules: Rules) -> dict[str, float]:
    total: dict[str, float] = {}
    for text, chance in derivations(rules, ("S",)):
        total[text] = total.get(text, 0.0) + chance
    return total


def tokens(known: Automaton, texts: list[str], length: int) -> Tensor:
    numbers = {symbol: token for token, symbol in enumerate(known.symbols)}
    return torch.tensor([[*(numbers[s] for s in text), *[0] * (length - len(text))] for text in texts]).to(torch.int16)


@pytest.fixture(params=GRAMMARS)
def rules(request: pytest.FixtureRequest) -> Rules:
    return GRAMMARS[request.param]


def test_probabilities_are_the_sums_over_derivations(rules: Rules) -> None:
    known, truth = compiled(rules, "S"), probabilities(rules)
    assert known.symbols[0] == ""
    longest = max(map(len, truth))
    every = ["".join(each) for n in range(longest + 2) for each in itertools.product(known.symbols[1:], repeat=n)]
    found = known.log_probability(tokens(known, every, longest + 1)).exp()
    assert found.dtype == torch.float64
    assert found.tolist() == pytest.approx([truth.get(text, 0.0) for text in every], abs=1e-14)
    assert known.longest == longest


def test_a_text_that_fills_its_row_has_the_probability_of_one_with_room(rules: Rules) -> None:
    known, truth = compiled(rules, "S"), probabilities(rules)
    for length in (known.longest, known.longest + 3):
        found = known.log_probability(tokens(known, list(truth), length)).exp()
        assert found.tolist() == pytest.approx(list(truth.values()), abs=1e-14)


def test_entropy_and_expected_symbols(rules: Rules) -> None:
    known, truth = compiled(rules, "S"), probabilities(rules)
    assert known.entropy == pytest.approx(-sum(p * math.log(p) for p in truth.values()), abs=1e-12)
    assert known.expected_symbols == pytest.approx(sum(p * (len(text) + 1) for text, p in truth.items()), abs=1e-12)


@pytest.mark.parametrize("spare", [0, 2])
def test_draws_have_their_probabilities(rules: Rules, spare: int) -> None:
    known, truth = compiled(rules, "S"), probabilities(rules)
    count = 20_000
    items = known.draw(count, known.longest + spare, torch.Generator().manual_seed(1))
    assert (items.shape, items.dtype) == ((count, known.longest + spare), torch.int16)
    met = Counter("".join(known.symbols[token] for token in row) for row in items.tolist())
    assert set(met) <= set(truth)
    chi_squared = sum((met[text] - count * p) ** 2 / (count * p) for text, p in truth.items())
    degrees = len(truth) - 1
    assert chi_squared <= degrees + 5 * math.sqrt(2 * degrees)


def test_what_follows_a_first_end_does_not_count() -> None:
    known = compiled(GRAMMARS["choices"], "S")
    clean, dirty = torch.tensor([[1, 0, 0, 0, 0]]), torch.tensor([[1, 0, 2, 1, 0]])
    assert torch.equal(known.log_probability(clean), known.log_probability(dirty))


@pytest.mark.parametrize(
    ("rules", "name"),
    [
        ({"S": [(1, ("S",)), (1, ("a",))]}, "S"),
        ({"S": [(1, ("a", "A"))], "A": [(1, ()), (1, ("b", "B"))], "B": [(1, ("A", "a"))]}, "A"),
    ],
)
def test_recursion_is_refused(rules: Rules, name: str) -> None:
    with pytest.raises(ValueError, match=f"^rule {name} leads back to itself"):
        compiled(rules, "S")


# The built-in grammar


def test_the_mean_of_log_probabilities_of_its_draws_is_the_entropy() -> None:
    dataset = load("grammar:count=20000,held_out=1")
    nats = -dataset.log_probability(dataset.train.items)
    assert nats.isfinite().all()
    error = float(nats.std()) / math.sqrt(len(nats))
    assert abs(float(nats.mean()) - dataset.entropy) < 4 * error
    lengths = (dataset.train.items != 0).sum(1).double() + 1
    assert abs(float(lengths.mean()) - automaton().expected_symbols) < 4 * float(lengths.std()) / math.sqrt(len(nats))


def sentences(spec: str) -> list[str]:
    dataset = load(spec)
    return dataset.kind.texts(torch.cat([dataset.train.items, dataset.held_out.items]))  # type: ignore[attr-defined]


def test_a_verb_agrees_with_its_noun_across_the_clause() -> None:
    verbs = r"(runs?|sings?|sleeps?|sees?|likes?|hears?)"
    relative = rf"(?: that (?:(?:the|a|two) \w+ )?{verbs}(?: (?:the|a|two) \w+)?)?"
    seen = Counter()
    for sentence in sentences("grammar:count=2000,held_out=500"):
        match = re.match(rf"(the|a|two) (?:(?:big|old|red) )?(\w+){relative} {verbs}(?: (?:the|a|two) \w+)?$", sentence)
        assert match, sentence
        article, noun, _, verb = match.groups()
        assert noun.endswith("s") != verb.endswith("s"), sentence
        assert (article, noun.endswith("s")) not in {("a", True), ("two", False)}, sentence
        seen[(noun.endswith("s"), " that " in sentence)] += 1
    assert len(seen) == 4


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("the cat runs", "the cat run"),
        ("two owls that a cat sees like two dogs", "two owls that a cat sees likes two dogs"),
        ("a big dog sleeps", "a big dogs sleep"),
        ("the red owl sees the cat", "the red owl sees the"),
    ],
)
def test_what_the_grammar_holds_and_what_it_does_not(right: str, wrong: str) -> None:
    known = automaton()
    found = known.log_probability(tokens(known, [right, wrong], known.longest))
    assert found.isfinite().tolist() == [True, False]


def test_the_probability_of_one_sentence_is_the_product_of_its_choices() -> None:
    known = automaton()
    # singular, the article, no adjective, the noun, no clause, an intransitive verb, and which one
    chance = 1 / 2 * 2 / 3 * 4 / 8 * 5 / 15 * 6 / 9 * 1 / 3 * 5 / 12
    found = known.log_probability(tokens(known, ["the cat runs"], 20))
    assert float(found) == pytest.approx(math.log(chance), abs=1e-12)
    assert {name for name in RULES if name.startswith("sentence")} == {"sentence", "sentence one", "sentence many"}


def test_room_behind_the_longest_sentence_changes_no_probability() -> None:
    dataset = load("grammar:count=50,held_out=10")
    longer = load("grammar:count=50,held_out=10,length=60")
    assert (dataset.shape, longer.shape) == (torch.Size((49,)), torch.Size((60,)))
    padded = torch.nn.functional.pad(dataset.train.items, (0, 11))
    expected = dataset.log_probability(dataset.train.items)
    assert torch.equal(dataset.log_probability(padded), expected)
    assert longer.log_probability(longer.train.items).isfinite().all()
    assert dataset.entropy == longer.entropy


def test_sentences_are_the_same_for_a_seed_and_others_for_another() -> None:
    spec = "grammar:count=40,held_out=40"
    first, again, other = load(spec), load(f"{spec},seed=0"), load(f"{spec},seed=1")
    assert first.fingerprint == again.fingerprint != other.fingerprint
    assert not torch.equal(first.train.items, first.held_out.items)
    assert (first.data.kind, first.data.count, first.classes) == ("text", 40, None)


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("length=48", "length must be at least 49, not 48"),
        ("count=0", "count must be at least 1, not 0"),
        ("cuont=3", "no option is called 'cuont'; did you mean count?"),
        ("symbols=byte", "no option is called 'symbols'; known: count, fraction, held_out, length, seed"),
        ("seed=1,seed=1", "option seed is given twice"),
        ("count=2147483647", "its sentences need "),
    ],
)
def test_a_wrong_option_of_the_grammar_is_one_line(argument: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        load(f"grammar:{argument}")
    assert str(caught.value).startswith(f"dataset 'grammar:{argument}': {message}")
    assert "\n" not in str(caught.value)


def test_an_image_size_has_no_effect_on_sentences() -> None:
    with pytest.raises(InputError, match="--image-size 8 has no effect on texts; leave it out"):
        load("grammar", image_size=8)


def test_states_have_the_same_numbers_in_every_process(capsys: pytest.CaptureFixture[str]) -> None:
    """Otherwise sums over them, such as the entropy, could differ in the last digit when a run is resumed."""
    program = (
        "from genbench.datasets.grammar import automaton; import hashlib; found = automaton();"
        "print(repr(found.entropy), hashlib.sha256(found.following.numpy().tobytes()).hexdigest())"
    )
    elsewhere = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONHASHSEED": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    exec(program, {})  # where the hashes of texts are others
    assert elsewhere.stdout == capsys.readouterr().out

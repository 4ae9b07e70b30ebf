"""Records in compact form: a record's own values are arrays and bytes; what many records share is stored once."""

from __future__ import annotations

import hashlib
import marshal
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

from genbench.records.curve import StoredCurve, layout_of, packed

__all__ = [
    "Entry",
    "Known",
    "LeanRecord",
    "Packed",
    "Template",
    "distinct",
    "entries",
    "entry_kinds",
    "lean",
    "packed_record",
    "per_template",
    "seed_of",
    "shared_cell",
]

_TEXTS = frozenset({"id", "sha256", "started_at", "finished_at"})
_MAPPINGS = frozenset({"cost", "artifacts", "failure"})


class Packed(NamedTuple):
    """A record in plain values that can be sent between processes; many have the same `template` and `layout`."""

    template: bytes
    layout: bytes
    seed: Any
    own: tuple[Any, ...]
    numbers: bytes
    points: int
    curve: bytes


class Entry(NamedTuple):
    """A number of a record; in a template, the positions of its value and standard error in the record's values."""

    name: str
    recipe: str
    value: Any
    standard_error: Any


class Template:
    """The part of a record that many records share.

    Args:
        fields: the names of a record's fields in order; True if the record has its own.
        shared: the values of the others.
        cell: the cell, whatever its seed.
        numbers: the fields of each number, as (name, True, None) for a value of the record's own, or (name, False,
            value).
        usual: whether all values and standard errors are floats or null.
    """

    def __init__(
        self, fields: Mapping[str, bool], shared: Mapping[str, Any], cell: Any, numbers: Any, *, usual: bool
    ) -> None:
        self.fields, self.shared, self.cell, self._numbers = fields, shared, cell, numbers
        self.own = {name: place for place, name in enumerate(name for name, own in fields.items() if own)}
        self.numbers = [*_places(numbers)] if usual else None

    def read_numbers(self, content: bytes) -> dict[str, dict[str, Any]]:
        """Return the numbers of a record from its values."""
        values = iter(memoryview(content).cast("d"))
        return {
            name: {field: next(values) if own else value for field, own, value in fields}
            for name, fields in self._numbers
        }


def _places(numbers: Any) -> Iterator[Entry]:
    place = 0
    for name, fields in numbers:
        own: dict[str, int] = {}
        for field, is_own, _ in fields:
            if is_own:
                own[field], place = place, place + 1
        recipe = next(value for field, _, value in fields if field == "recipe")
        yield Entry(name, recipe, own.get("value"), own.get("standard_error"))


class LeanRecord(Mapping[str, Any]):
    """A record whose parts are decoded on each access; nothing in them may be modified."""

    __slots__ = ("_curve", "_numbers", "_own", "seed", "template")

    def __init__(self, template: Template, seed: Any, own: tuple[Any, ...], numbers: bytes, curve: StoredCurve) -> None:
        self.template, self.seed, self._own, self._numbers, self._curve = template, seed, own, numbers, curve

    @property
    def floats(self) -> memoryview[float]:
        """The values of the numbers, as `template.numbers` says, unless that is None."""
        return memoryview(self._numbers).cast("d")

    def __getitem__(self, name: str) -> Any:
        template = self.template
        place = template.own.get(name)  # ids and costs are asked for most often
        if place is not None:
            value = self._own[place]
            return marshal.loads(value) if type(value) is bytes else value
        if name == "curve":
            return self._curve
        if name in template.shared:
            return template.shared[name]
        if name == "cell":
            return {**template.cell, "seed": self.seed}
        if name == "numbers":
            return template.read_numbers(self._numbers)
        raise KeyError(name)

    def get(self, name: str, default: Any = None) -> Any:
        """Return a field, or the default if the record does not have it."""
        return self[name] if name in self.template.fields else default

    def __iter__(self) -> Iterator[str]:
        return iter(self.template.fields)

    def __len__(self) -> int:
        return len(self.template.fields)


T = TypeVar("T")


def per_template(find: Callable[[Mapping[str, Any]], T]) -> Callable[[Mapping[str, Any]], T]:
    """Return a function that calls `find` once per template; `find` may only read what records share."""
    known: dict[Template, T] = {}

    def found(record: Mapping[str, Any]) -> T:
        if not isinstance(record, LeanRecord):
            return find(record)
        if record.template not in known:
            known[record.template] = find(record)
        return known[record.template]

    return found


def distinct(records: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Yield the first of the records that differ only in seeds, values and times, in order."""
    seen: set[Template] = set()
    for record in records:
        if isinstance(record, LeanRecord):
            if record.template in seen:
                continue
            seen.add(record.template)
        yield record


def shared_cell(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a record's cell, faster than `record["cell"]`; its seed may be that of another record."""
    cell: Mapping[str, Any] = record.template.cell if isinstance(record, LeanRecord) else record["cell"]
    return cell


def seed_of(record: Mapping[str, Any]) -> int:
    """Return a record's training seed."""
    seed: int = record.seed if isinstance(record, LeanRecord) else record["cell"]["seed"]
    return seed


def entries(record: Mapping[str, Any]) -> list[Entry]:
    """Return the numbers of a record, null as None."""
    held = record.template.numbers if isinstance(record, LeanRecord) else None
    if held is None:
        numbers = record["numbers"].items()
        return [Entry(name, one["recipe"], one["value"], one.get("standard_error")) for name, one in numbers]
    values = [*record.floats.tolist(), None]  # type: ignore[attr-defined]
    return [
        Entry(name, recipe, values[-1 if value is None else value], values[-1 if error is None else error])
        for name, recipe, value, error in held
    ]


def entry_kinds(records: Iterable[Mapping[str, Any]]) -> list[Entry]:
    """Return which numbers occur, under which recipes, and whether each has a value and a standard error."""
    found: dict[Entry, None] = {}
    for record in distinct(records):
        held = record.template.numbers if isinstance(record, LeanRecord) else None
        for name, recipe, value, error in entries(record) if held is None else held:
            found[Entry(name, recipe, value is not None, error is not None)] = None
    return [*found]


class Known:
    """Builds records from their parts; equal parts are stored once."""

    def __init__(self) -> None:
        self._templates: dict[bytes, Template] = {}
        self._parts: dict[bytes, Any] = {}

    def record(self, one: Packed) -> LeanRecord:
        """Return the record that was packed."""
        key = hashlib.blake2b(one.template, digest_size=16).digest()
        template = self._templates.get(key) or self._templates.setdefault(key, self._template(one.template))
        curve = StoredCurve.stored(one.points, layout_of(one.layout) if one.layout else None, one.curve)
        return LeanRecord(template, one.seed, one.own, one.numbers, curve)

    def _template(self, content: bytes) -> Template:
        fields, shared, cell, usual, numbers = marshal.loads(content)
        cell |= {name: self._once(cell[name]) for name in ("dataset", "plugin") if name in cell}
        shared |= {name: self._once(shared[name]) for name in ("environment", "recipes") if name in shared}
        return Template(fields, shared, cell, numbers, usual=usual)

    def _once(self, value: Any) -> Any:
        # Later versions of marshal may encode equal values differently.
        return self._parts.setdefault(marshal.dumps(value, 2), value)


def lean(records: Iterable[Mapping[str, Any]]) -> Iterator[LeanRecord]:
    """Yield the records in compact form."""
    known = Known()
    return (known.record(packed_record(record)) for record in records)


def packed_record(record: Mapping[str, Any]) -> Packed:
    """Split a record into what it may share with others and what is its own."""
    fields: dict[str, bool] = {}
    shared: dict[str, Any] = {}
    own: list[str | bytes] = []
    for name, value in record.items():
        fields[name] = True
        if name in _TEXTS and type(value) is str:
            own.append(value)
        elif name in _MAPPINGS and value:
            own.append(marshal.dumps(value))
        else:
            fields[name] = False
            if name not in _APART:
                shared[name] = value
    cell, curve = record["cell"], record["curve"]
    usual, layout, numbers = _split(record["numbers"])
    points, curve_layout, values = packed(curve)
    template = marshal.dumps((fields, shared, {**cell, "seed": 0}, usual, layout), 2)
    return Packed(template, curve_layout, cell["seed"], tuple(own), numbers, points, values)


_APART = frozenset({"cell", "curve", "numbers"})
_OF_NUMBER = frozenset({"value", "standard_error"})


def _split(numbers: Mapping[str, Mapping[str, Any]]) -> tuple[bool, Any, bytes]:
    """Return whether a record's numbers are usual, their layout and their values, as `Template` describes them."""
    usual, layout, values = True, [], array("d")
    for name, number in numbers.items():
        fields = []
        for field, value in number.items():
            is_own = type(value) is float
            if is_own:
                values.append(value)
            elif field in _OF_NUMBER and value is not None:
                usual = False
            fields.append((field, is_own, None if is_own else value))
        layout.append((name, tuple(fields)))
    return usual, tuple(layout), values.tobytes()

"""Records in compact form: what is theirs alone as arrays and bytes, and what many share, which is most, once."""

from __future__ import annotations

import hashlib
import marshal
from array import array
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from genbench.records.curve import StoredCurve, layout_of, packed

__all__ = [
    "Entry",
    "Known",
    "LeanRecord",
    "Packed",
    "Template",
    "entries",
    "entry_kinds",
    "lean",
    "packed_record",
    "shared_cell",
]

_TEXTS = frozenset({"id", "sha256", "started_at", "finished_at"})
_MAPPINGS = frozenset({"cost", "artifacts", "failure"})


class Packed(NamedTuple):
    """A record in plain values that another process can send: `template` and `layout` are those of many records."""

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
    """What many records share.

    Args:
        fields: the names of a record's fields in order; True if the record has its own.
        shared: the values of the others.
        cell: the cell, whatever its seed.
        numbers: the fields of each number, as (name, True, None) for a value of the record's own, or (name, False,
            value); None if a record stores them differently.
    """

    def __init__(self, fields: Mapping[str, bool], shared: Mapping[str, Any], cell: Any, numbers: Any) -> None:
        self.fields, self.shared, self.cell, self._numbers = fields, shared, cell, numbers
        self.own = {name: place for place, name in enumerate(name for name, own in fields.items() if own)}
        self.numbers = None if numbers is None else [*_places(numbers)]

    def read_numbers(self, content: bytes) -> dict[str, dict[str, Any]]:
        """Return the numbers of a record from its values."""
        values = iter(memoryview(content).cast("d"))
        return {
            name: {field: next(values) if own else value for field, own, value in fields}  # type: ignore[misc]
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

    __slots__ = ("_curve", "_numbers", "_own", "_seed", "template")

    def __init__(self, template: Template, seed: Any, own: tuple[Any, ...], numbers: bytes, curve: StoredCurve) -> None:
        self.template, self._seed, self._own, self._numbers, self._curve = template, seed, own, numbers, curve

    @property
    def values(self) -> memoryview:
        """The values of the numbers, as `template.numbers` says, unless that is None."""
        return memoryview(self._numbers).cast("d")

    def __getitem__(self, name: str) -> Any:
        template = self.template
        if name in template.shared:
            return template.shared[name]
        if name == "cell":
            return {**template.cell, "seed": self._seed}
        if name == "curve":
            return self._curve
        if name == "numbers":
            return marshal.loads(self._numbers) if template.numbers is None else template.read_numbers(self._numbers)
        value = self._own[template.own[name]]
        return marshal.loads(value) if type(value) is bytes else value

    def get(self, name: str, default: Any = None) -> Any:
        """Return a field, or the default if the record does not have it."""
        return self[name] if name in self.template.fields else default

    def __iter__(self) -> Iterator[str]:
        return iter(self.template.fields)

    def __len__(self) -> int:
        return len(self.template.fields)


def shared_cell(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a record's cell, in which the seed may be another one: most uses do not need it, and this is faster."""
    cell: Mapping[str, Any] = record.template.cell if isinstance(record, LeanRecord) else record["cell"]
    return cell


def entries(record: Mapping[str, Any]) -> list[Entry]:
    """Return the numbers of a record, null as None."""
    if isinstance(record, LeanRecord) and record.template.numbers is not None:
        values = [*record.values.tolist(), None]
        places = (
            (name, recipe, *(-1 if at is None else at for at in held))
            for name, recipe, *held in record.template.numbers
        )
        return [Entry(name, recipe, values[value], values[error]) for name, recipe, value, error in places]
    numbers = record["numbers"].items()
    return [Entry(name, one["recipe"], one["value"], one.get("standard_error")) for name, one in numbers]


def entry_kinds(records: Iterable[Mapping[str, Any]]) -> list[Entry]:
    """Return which numbers occur in records, under which recipes, and whether they have a value and a standard error."""
    found: dict[Entry, None] = {}
    seen = set()
    for record in records:
        held = record.template.numbers if isinstance(record, LeanRecord) else None
        if held is None or id(held) not in seen:
            seen.add(id(held))
            for name, recipe, value, error in entries(record) if held is None else held:
                found[Entry(name, recipe, value is not None, error is not None)] = None
    return [*found]


class Known:
    """Makes records of their parts, of which equal ones are stored once."""

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
        fields, shared, cell, numbers = marshal.loads(content)
        cell |= {name: self._once(cell[name]) for name in ("dataset", "plugin") if name in cell}
        shared |= {name: self._once(shared[name]) for name in ("environment", "recipes") if name in shared}
        return Template(fields, shared, cell, numbers)

    def _once(self, value: Any) -> Any:
        # Later versions of marshal may encode equal values differently.
        return self._parts.setdefault(marshal.dumps(value, 2), value)


def lean(records: Iterable[Mapping[str, Any]]) -> Iterator[LeanRecord]:
    """Yield the records in compact form."""
    known = Known()
    return (known.record(packed_record(record)) for record in records)


def packed_record(record: Mapping[str, Any]) -> Packed:
    """Return the parts of a record: what it may have in common with others, and what is its own."""
    fields: dict[str, bool] = {}
    shared, own = {}, []
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
    layout, numbers = _split(record["numbers"])
    points, curve_layout, values = packed(curve)
    template = marshal.dumps((fields, shared, {**cell, "seed": 0}, layout), 2)
    return Packed(template, curve_layout, cell["seed"], tuple(own), numbers, points, values)


_APART = frozenset({"cell", "curve", "numbers"})
_OF_NUMBER = frozenset({"value", "standard_error"})


def _split(numbers: Mapping[str, Mapping[str, Any]]) -> tuple[Any, bytes]:
    """Return the layout and the values of a record's numbers; without a layout, the bytes hold all of them."""
    layout, values = [], array("d")
    for name, number in numbers.items():
        fields = []
        for field, value in number.items():
            is_own = type(value) is float
            if is_own:
                values.append(value)
            elif field in _OF_NUMBER and value is not None:
                whole: Any = numbers
                return None, marshal.dumps(whole)
            fields.append((field, is_own, None if is_own else value))
        layout.append((name, tuple(fields)))
    return tuple(layout), values.tobytes()

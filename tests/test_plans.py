from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from genbench.errors import InputError
from genbench.records.plans import missing_cells, write_plan


def cell(label: str, seed: int, **fields: Any) -> dict[str, Any]:
    return {"label": label, "role": "model", "seed": seed, "budget": "9steps", "dataset": {"name": "digits"}} | fields


def record(cell_id: str, described: dict[str, Any], status: str = "finished") -> dict[str, Any]:
    return {"id": cell_id, "status": status, "cell": described}


PLAN = [(f"{label}{seed}", cell(label, seed)) for label in ("gan", "vae") for seed in range(3)]


def test_what_was_planned_and_has_no_record_is_missing_and_what_failed_is_not(tmp_path: Path) -> None:
    write_plan(tmp_path, PLAN)
    records = [record("gan0", cell("gan", 0)), record("vae2", cell("vae", 2), "failed")]
    missing = missing_cells(tmp_path, records)
    assert [(each["label"], each["seed"]) for each in missing] == [("gan", 1), ("gan", 2), ("vae", 0), ("vae", 1)]
    assert missing_cells(tmp_path, [record(*each) for each in PLAN]) == []


def test_a_folder_without_a_plan_lacks_nothing(tmp_path: Path) -> None:
    assert missing_cells(tmp_path, [record("gan0", cell("gan", 0))]) == []


def test_the_same_request_writes_one_plan_and_another_one_beside_it(tmp_path: Path) -> None:
    write_plan(tmp_path, PLAN[:3])
    write_plan(tmp_path, PLAN[:3])
    assert len(list((tmp_path / "plans").iterdir())) == 1
    write_plan(tmp_path, PLAN)
    assert len(list((tmp_path / "plans").iterdir())) == 2
    assert len(missing_cells(tmp_path, [])) == 6  # what both plans contain is missing once


def test_a_cell_from_before_its_models_source_changed_is_not_missing_once_the_new_one_ran(tmp_path: Path) -> None:
    write_plan(tmp_path, PLAN)
    again = [record(f"new-{cell_id}", described) for cell_id, described in PLAN]
    assert missing_cells(tmp_path, again) == []
    other = [record("other", cell("gan", 0, budget="8steps"))]
    assert len(missing_cells(tmp_path, other)) == 6  # a different budget makes a different cell


def test_a_cell_that_ran_under_another_label_is_not_missing(tmp_path: Path) -> None:
    write_plan(tmp_path, PLAN)
    renamed = [record(cell_id, {**described, "label": f"my {described['label']}"}) for cell_id, described in PLAN]
    assert missing_cells(tmp_path, renamed) == []


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": 3, "cells": []}', '{"schema": 1, "cells": [{"id": "x"}]}'])
def test_a_damaged_plan_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "plans").mkdir()
    (tmp_path / "plans" / "a.json").write_text(text)
    with pytest.raises(InputError, match=r"a\.json cannot be read; delete it") as error:
        missing_cells(tmp_path, [])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: os.symlink(path, path)])
def test_what_is_no_file_is_no_plan(tmp_path: Path, make: Any) -> None:
    (tmp_path / "plans").mkdir()
    make(tmp_path / "plans" / "a.json")
    with pytest.raises(InputError, match=r"a\.json cannot be read; delete it"):  # opening a pipe would block
        missing_cells(tmp_path, [])


def test_a_plan_of_which_one_cell_lacks_a_field_cannot_be_read(tmp_path: Path) -> None:
    write_plan(tmp_path, PLAN)
    (path,) = (tmp_path / "plans").iterdir()
    document = json.loads(path.read_text())
    del document["cells"][-1]["seed"]
    path.write_text(json.dumps(document))
    with pytest.raises(InputError, match="cannot be read; delete it"):
        missing_cells(tmp_path, [])

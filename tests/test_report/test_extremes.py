"""Numbers at the limits of a float, as found in diverged models and forged records, can be shown."""

from __future__ import annotations

import io
import math
from typing import Any

import pytest

from genbench.report.curves import loss_figure, quality_figure, rows_with_losses, rows_with_quality
from genbench.report.drawing import plain_style, styles
from genbench.report.machines import machines
from genbench.report.rows import measured
from genbench.report.sections import sections
from genbench.report.speed_figures import trade_off_figure
from genbench.report.speeds import trade_off
from genbench.report.tables import evaluation_table, quality_table


@pytest.mark.parametrize(
    ("value", "everywhere"), [(1.7e308, False), (-1e155, True), (5e-324, False), (math.inf, False), (None, True)]
)
def test_a_report_has_room_for_any_number(make: Any, value: float | None, everywhere: bool) -> None:
    records = [make(label, seed) for label in ("gan", "vae") for seed in range(2)]
    for record in records:
        record["curve"] = record["curve"][::4]
    for record in records if everywhere else records[:1]:
        for number in record["numbers"].values():
            number |= {"value": value, "standard_error": value}
        for point in record["curve"]:
            point["losses"] = dict.fromkeys(point["losses"], value)
            point["numbers"] = dict.fromkeys(point["numbers"], value)
    (section,) = sections(records)
    assert quality_table(section)
    assert isinstance(evaluation_table(section), str)
    colours = styles(row.name for row in section.models)
    chart = trade_off(section, machines(records))
    with plain_style():
        for figure in (
            rows_with_quality(section) and quality_figure(section, colours),
            rows_with_losses(section) and loss_figure(section),
            chart and trade_off_figure(chart, section, colours),
        ):
            if figure:
                figure.savefig(io.BytesIO(), format="png", dpi=20)


def test_what_has_overflowed_is_no_number_and_what_vanishes_is_zero() -> None:
    assert [measured(value) for value in (2.5, -1e99, 5e-324, -0.0)] == [2.5, -1e99, 0.0, 0.0]
    assert all(math.isnan(measured(value)) for value in (1e101, -1e308, math.inf, math.nan, None))

from __future__ import annotations

import base64
import itertools
import json
import random
import re
import shlex
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from genbench.api import Report
from genbench.machine.atomic import TEMPORARY_PREFIX
from genbench.records.plans import write_plan
from genbench.records.record import write_record
from genbench.report import render, render_directory
from genbench.report.machines import machines
from genbench.report.model import markdown as joined
from genbench.report.order import in_order
from genbench.report.pages import page_parts
from genbench.report.pictures import Pictures
from genbench.report.sections import sections

Record = dict[str, Any]
Make = Callable[..., Record]
Grids = Callable[[Path, Iterable[Record]], None]

markdown = MarkdownIt("commonmark").enable("table")


def tokens(report: str) -> list[Token]:
    return [inner for token in markdown.parse(report) for inner in (token, *(token.children or []))]


def tables(report: str) -> list[list[list[str]]]:
    """Return the cells of every table, as Markdown."""
    blocks = re.findall(r"(?:^\|.*\|\n)+", report, re.MULTILINE)
    return [[[cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines()] for block in blocks]


def written(records: Iterable[Record], command: str | None = None) -> str:
    """Return the page without drawing the figures, which take most of the time."""
    ordered = in_order(records)
    drawn = [(made, Pictures()) for made in sections(ordered)]
    return joined(page_parts(Path("nowhere"), ordered, drawn, machines(ordered), command)) + "\n"


def contents(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory, benchmark_records: list[Record]) -> Path:
    directory = tmp_path_factory.mktemp("rendered")
    render(directory, benchmark_records)
    return directory


@pytest.fixture(scope="module")
def report(rendered: Path) -> str:
    return (rendered / "report.md").read_text()


def test_it_writes_tables_figures_and_the_page(rendered: Path) -> None:
    kinds = ("quality", "throughput", "trade-off", "losses")
    pages = {"report.md", "report.html", "results.csv", "curves.csv"}
    expected = {*pages, *(f"figures/digits-{kind}.png" for kind in kinds)}
    assert contents(rendered).keys() == expected


def test_every_local_link_and_picture_is_there(tmp_path: Path, benchmark_records: list[Record], grids: Grids) -> None:
    grids(tmp_path, benchmark_records)
    text = render(tmp_path, benchmark_records).read_text()
    targets = [str(token.attrs.get("href") or token.attrs.get("src")) for token in tokens(text) if token.attrs]
    links = [target for target in targets if not target.startswith(("#", "http", "None"))]
    assert [link for link in links if not (tmp_path / link).is_file()] == []
    assert {"figures/digits-samples.png", "figures/digits-reconstructions.png"} <= set(links)
    assert sum("seed2.png" in link for link in links) == 8
    assert text.index("digits-samples.png") < text.index("is better than") < text.index("digits-quality.png")


def test_the_same_records_give_the_same_bytes_in_any_order(
    rendered: Path, tmp_path: Path, benchmark_records: list[Record]
) -> None:
    shuffled = json.loads(json.dumps(benchmark_records))
    random.Random(0).shuffle(shuffled)
    render(tmp_path, shuffled)
    again = contents(tmp_path)
    assert again == contents(rendered)
    assert not [name for name in again if TEMPORARY_PREFIX in name]
    # The plotting library's own tag would change with its version.
    assert not [name for name, data in again.items() if name.endswith(".png") and b"Software" in data]


def test_the_table_ranks_models_and_shows_controls_below(report: str) -> None:
    header, _, *rows = tables(report)[0]
    assert header[:5] == ["rank", "model", "seeds", "fd ↓", "classifier score ↑"]
    assert [row[:3] for row in rows[:4]] == [
        ["**1**", "**`gan`**", "3"],
        ["2", "`ae`", "3"],
        ["3", "`dcgan`", "3"],
        ["4", "`vae`", "3"],
    ]
    assert [row[:2] for row in rows[4:]] == [["", f"*{name}*"] for name in ("copycat", "real", "gaussian", "noise")]
    assert all(re.fullmatch(r"\d+(\.\d+)? ± \d+(\.\d+)?", row[3]) for row in rows)
    assert [row[header.index("bits/dim ↓")] == "–" for row in rows] == [True] * 3 + [False] + [True] * 4


def test_the_page_says_what_is_resolved_and_how_sure(report: str) -> None:
    assert re.search(
        r"- `gan` is better than `ae` in fd by \d+(\.\d+)? ± \d+(\.\d+)? \(p [=<] 0\.\d+, Holm\)\.", report
    )
    assert "p is corrected for the 6 pairs compared" in report
    assert re.search(r"Held-out images of the dataset itself have fd 1\d\.\d+ ± 0\.\d+ \(control \*real\*\)", report)


def test_an_unresolved_difference_is_called_so_and_shares_ranks(make: Make) -> None:
    records = [make(label, seed) for label in ("gan", "ae") for seed in range(3)]
    for record, value in zip(records, (20, 30, 25, 26, 22, 29), strict=True):
        record["numbers"]["fd"]["value"] = float(value)
    text = written(records)
    assert re.search(r"`gan` and `ae` are not resolved in fd: they differ by 1 ± \d+ \(p = 0\.\d+, Holm\)", text)
    assert [row[0] for row in tables(text)[0][2:]] == ["1–2", "1–2"]
    assert "better than" not in text


def test_where_higher_is_better_the_higher_one_is_called_better(make: Make) -> None:
    records = [make(label, seed) for label in ("gan", "vae") for seed in range(3)]
    for record in records:
        del record["numbers"]["fd"]
    assert "`gan` is better than `vae` in classifier score by 1." in written(records)


def whole(records: Iterable[Record], **more: Any) -> str:
    """Return the page with the text of every picture, without drawing any."""
    ordered = in_order(records)
    kinds = ("samples", "reconstructions", "quality", "throughput", "trade-off", "losses")
    pictures = Pictures({kind: f"{kind}.png" for kind in kinds})
    made = [(section, pictures) for section in sections(ordered)]
    return joined(page_parts(Path("nowhere"), ordered, made, machines(ordered), None, **more)) + "\n"


def test_one_seed_is_spoken_of_as_one_seed_on_the_whole_page(make: Make) -> None:
    one, three = ([make(label, seed) for label in ("gan", "vae", "real") for seed in range(count)] for count in (1, 3))
    for record in (*one, *three):
        record["numbers"]["fd"]["standard_error"] = 0.5
    words = r"\b[Mm]eans?\b (over|and)|±|95% interval|over seeds|each seed|training seeds|of the seeds|share ranks"
    assert len(re.findall(words, whole(three))) > 10
    assert re.findall(words, whole(one)) == []
    assert "each from one training seed (0)" in whole(one)
    assert "Each number comes from a single training seed, so none has an interval" in whole(one)
    assert whole(one).count("Evaluation time is not included") == 1


def test_where_nothing_was_measured_nothing_is_said_of_the_numbers(make: Make, failed: Callable[..., Record]) -> None:
    page = whole([failed(make("gan", seed)) for seed in range(3)])
    assert "each from 3 training seeds (0, 1 and 2)." in page
    assert "Quality is measured" not in page
    assert "Each number comes from" not in page


def test_models_whose_threads_waited_for_a_processor_are_named_beside_their_costs(make: Make) -> None:
    records = [make(model, seed) for model in ("vae", "gan", "ae") for seed in (0, 1)]
    for record, share in zip(records, (0.0, 0.09, None, 0.1, 0.492, 0.2), strict=True):
        record["cost"]["waited_share"] = share
    costs = whole(records).partition("### Cost")[2]
    assert "**Contended:** while `gan` (up to 10% of the time) and `ae` (up to 49% of the time) trained, " in costs
    for record in records:
        record["cost"]["waited_share"] = 0.09
    assert "Contended" not in whole(records)


def test_models_whose_later_steps_cost_other_flops_than_assumed_are_named_beside_their_costs(make: Make) -> None:
    records = [make(model, seed) for model in ("vae", "gan") for seed in (0, 1)]
    usual = "steps 0 to 19 counted; later steps are as the last"
    for record, how in zip(records, (usual, None, usual, f"{usual}, but steps 190 to 199 are not free"), strict=True):
        record["cost"]["flops_counted"] = how
    costs = whole(records).partition("### Cost")[2]
    assert (
        f"**Assumed:** the training FLOPs of `gan` ({usual}, but steps 190 to 199 are not free) are not exact." in costs
    )
    records[-1]["cost"]["flops_counted"] = usual
    assert "Assumed" not in whole(records)


def test_the_first_table_says_with_what_and_on_how_many_images_it_was_measured(make: Make) -> None:
    records = [make(label, seed) for label in ("gan", "vae") for seed in range(2)]
    for record in records:
        for recipe in record["recipes"].values():
            if recipe["metric"] in {"reconstruction_mse", "psnr", "ssim", "bits_per_dim"}:
                for name in ("extractor", "samples", "reference_split", "reference_count"):
                    del recipe[name]
                recipe |= {"split": "held-out", "images": 500}
    before = whole(records).partition("| rank |")[0].strip().splitlines()[-1]
    assert before == (
        "fd and classifier score in features of `digits-cnn`, 500 samples against 1,297 training images; "
        "reconstruction MSE, PSNR (dB), SSIM and bits/dim on 500 held-out images. "
        "fd applies FID's formula to other features: it is not FID."
    )


def test_a_caption_tells_fid_with_its_profile_and_a_second_recipe_apart(make: Make) -> None:
    inception = {"extractor": "inception", "profile": "clean-fid", "reference_split": "test"}
    records = [make("gan", seed, recipe_changes=inception) for seed in range(2)]
    for record in records:
        record["numbers"]["fid"] = record["numbers"].pop("fd")
    other = records[0]["numbers"]["classifier_score"]
    records[0]["recipes"]["0badcafe"] = records[0]["recipes"][other["recipe"]] | {"samples": 100, "extractor": "`x`"}
    other["recipe"] = "0badcafe"
    text = whole(records)
    assert (
        "FID and classifier score in features of `inception` (clean-fid), 500 samples against 1,297 test images" in text
    )
    assert "classifier score in features of <code>&#96;x&#96;</code> (clean-fid), 100 samples against" in text
    assert "not FID" not in text


def test_a_partial_report_says_how_many_of_how_many_cells_have_run_and_which_have_not(make: Make) -> None:
    records = [make("gan", 0), make("real", 0)]
    cell = {"dataset": "digits", "role": "model", "budget": "3000steps"}
    missing = [cell | {"id": "x", "label": label, "seed": seed} for label, seed in (("gan", 2), ("gan", 1), ("a|b", 0))]
    text = whole(records, missing=missing)
    assert (
        "**Partial report: 2 of 5 planned cells have run.** Missing: `gan` on digits, seeds 1 and 2; "
        "<code>a&#124;b</code> on digits, seed 0. The command under [How to reproduce](#how-to-reproduce) runs them."
    ) in text
    assert "Partial" not in whole(records)
    again = make("gan", 0, metrics={"frechet_distance": 1})
    assert "2 of 5 planned cells" in whole([*records, again], missing=missing)  # one cell, measured twice
    text = whole(records, missing=[*missing, missing[0] | {"budget": "60s"}])
    assert "`gan` on digits for `60s`, seed 2" in text


def test_a_folder_with_a_plan_is_reported_as_partial_until_all_has_run(make: Make, tmp_path: Path) -> None:
    records = [_bare(make("gan", seed, budget="9steps")) for seed in range(2)]
    write_plan(tmp_path, [(record["id"], record["cell"]) for record in records])
    write_record(tmp_path, records[0])
    assert "1 of 2 planned cells have run" in render_directory(tmp_path).read_text()
    write_record(tmp_path, records[1])
    assert "planned" not in render_directory(tmp_path).read_text()


def test_every_file_of_a_run_is_named(report: str) -> None:
    listed = report.partition("\n## Files\n")[2]
    for name in ("results.csv", "curves.csv", "samples/", "figures/", "logs/", "records/", "plans/"):
        assert f"`{name}`" in listed


def test_one_seed_has_no_interval_and_no_rank(make: Make) -> None:
    text = written([make(label) for label in ("gan", "vae", "real")])
    assert tables(text)[0][0][:2] == ["model", "seeds"]
    assert not re.search(r"\d ± \d", text)
    assert "With one training seed there is no interval, so nothing is ranked" in text
    assert "is better than" not in text


def test_recipes_that_differ_have_tables_of_their_own_and_a_sentence(make: Make) -> None:
    change = {"extractor": "random-conv", "samples": 100}
    records = [make("gan", seed) for seed in range(2)] + [make("gan", seed, recipe_changes=change) for seed in (2, 3)]
    text = written(records)
    first, second = (record["numbers"]["fd"]["recipe"] for record in (records[0], records[2]))
    assert "fd was measured under 2 recipes, so it is in 2 tables that are never averaged or ranked" in text
    (sentence,) = re.findall("They differ in (.*)", text)
    for recipe, extractor, samples in ((first, "digits-cnn", 500), (second, "random-conv", 100)):
        assert f"{extractor} (`{recipe}`)" in sentence
        assert f"{samples} (`{recipe}`)" in sentence
        assert f"## digits / fd recipe {recipe}" in text
    assert "dtype" not in sentence
    assert [row[1] for table in tables(text) if table[0][0] == "model" and "fd ↓" in table[0] for row in table[2:]] == [
        "2",
        "2",
    ]
    assert "The floor is unknown here" in text


def test_failures_stand_with_stage_reason_and_traceback(make: Make, failed: Make) -> None:
    records = [make("gan", 0), failed(make("gan", 1), traceback="Traceback:\n```\nboom\n```", log_tail="last words")]
    text = written(records)
    assert "**1 of 2 cells failed**" in text
    (table,) = [table for table in tables(text) if "reason" in table[0]]
    assert table[2] == ["`gan`", "digits", "1", "genbench-gan 0.1.0", "training", "loss is not finite"]
    fences = [token.content for token in tokens(text) if token.type == "fence"]
    assert "Traceback:\n```\nboom\n```\n" in fences
    assert "last words\n" in fences
    assert tables(text)[0][2][1] == "1 of 2"


def test_a_traceback_that_ends_the_log_is_shown_once(make: Make, failed: Make) -> None:
    text = written([failed(make("gan", 0), traceback="Traceback …\nboom", log_tail="step 12\nTraceback …\nboom\n")])
    fences = [token.content for token in tokens(text) if token.type == "fence"]
    assert "step 12\n" in fences
    assert text.count("boom") == 1
    text = written([failed(make("gan", 0), traceback="Traceback …\nboom\n", log_tail="Traceback …\nboom\n")])
    assert text.count("boom") == 1
    assert "Log:" not in text


def test_a_log_of_megabytes_does_not_fill_the_page(make: Make, failed: Make) -> None:
    records = [failed(make("gan", seed), log_tail="noise " * 10**6 + "last words") for seed in range(60)]
    text = written(records)
    assert len(text) < 700_000
    assert text.count("last words") == 50
    assert "The other 10 tracebacks are in the records." in text


EVIL = "x|y <script>alert(1)</script> `a` [l](http://e.vil) ![i](http://e.vil/i.png) $m$ www.e.vil\n\n# h"


def test_nothing_a_plugin_says_becomes_markup(tmp_path: Path, make: Make, failed: Make) -> None:
    records = []
    for seed in range(3):
        record = make("gan", seed, label=f"gan:{EVIL}", summary=EVIL, options={EVIL: EVIL}, model=EVIL)
        record["cell"]["plugin"] |= {"distribution": EVIL, "version": EVIL}
        record["cell"]["dataset"] |= {"name": EVIL, "licence": EVIL}
        for point in record["curve"]:
            point["losses"] = {EVIL: 1.0}
        records.append(record)
    broken = make("vae", 0, label=EVIL)
    broken["cell"]["dataset"] |= {"name": EVIL}
    records += [failed(broken, stage=EVIL, reason=EVIL, traceback=EVIL, log_tail=EVIL)]
    text = render(tmp_path, records).read_text()
    found = tokens(text)
    tags = {tag for token in found if token.type.startswith("html") for tag in re.findall(r"<[^>]*>", token.content)}
    assert tags == {"<code>", "</code>", "<details>", "</details>", "<summary>", "</summary>"}
    targets = {str(token.attrs.get("href") or token.attrs.get("src")) for token in found if token.attrs} - {
        "sh",
        "json",
    }
    assert all(
        re.match(r"figures/|results\.csv$|curves\.csv$|#|https://(arxiv|doi)\.org/", target)
        for target in targets - {"None"}
    ), targets
    headings = [after.content for token, after in itertools.pairwise(found) if token.type == "heading_open"]
    assert "h" not in headings
    assert all(len(row) == len(table[0]) for table in tables(text) for row in table)
    for path in tmp_path.rglob("*"):
        assert re.fullmatch(r"[a-z0-9._-]+", path.name)
        assert path.parent in {tmp_path, tmp_path / "figures"}


def test_several_machines_are_told_apart_and_their_times_not_averaged(make: Make) -> None:
    records = [make("gan", seed) for seed in range(4)]
    for record in records[2:]:
        record["environment"] |= {"processor": "another", "commit": "fedcba"}
        record["cost"]["train_items_per_s"] = {"median": 1.0, "p5": 1.0, "p95": 1.0, "windows": 1}
    text = written(records)
    (cost,) = [table for table in tables(text) if "machine" in table[0]]
    assert [row[:2] for row in cost[2:]] == [["`gan`", "A"], ["`gan`", "B"]]
    assert cost[3][2] == "1 ± 0"
    assert "The cells ran on 2 machines" in text
    assert "| processor | AMD EPYC 7B13 | another |" in text
    assert tables(text)[0][2][:2] == ["`gan`", "4"]  # quality does not depend on the machine


@pytest.mark.parametrize(
    "field",
    [
        *("device", "device_name", "processor", "cores", "threads", "jobs", "platform"),
        *("python", "torch", "genbench"),
    ],
)
def test_whatever_decides_how_fast_a_cell_runs_makes_another_machine(make: Make, field: str) -> None:
    records = [make("gan", seed) for seed in range(3)]
    records[1]["environment"][field] = 7
    assert [machine.record_ids for machine in machines(records)] == [
        {records[0]["id"], records[2]["id"]},
        {records[1]["id"]},
    ]


def test_a_commit_alone_makes_no_second_machine(make: Make) -> None:
    records = [make("gan", seed) for seed in range(2)]
    records[1]["environment"]["commit"] = "fedcba98"
    text = written(records)
    assert "| commit | 0123abcd, fedcba98 |" in text
    assert "machines" not in text


def test_the_command_is_the_given_one_or_is_built_from_the_cells(make: Make) -> None:
    records = [make("vae:beta=4", seed) for seed in range(2)] + [make("gan", 0), make("real", 0)]
    assert "```sh\ngenbench run benchmarks/digits.toml\n```" in written(records, "genbench run benchmarks/digits.toml")
    (line,) = re.findall("^genbench run .*", written(records), re.MULTILINE)
    assert shlex.split(line)[2:] == [
        *("-m", "gan", "-m", "vae:beta=4", "-d", "digits", "--budget", "3000steps", "--batch-size", "64"),
        *("--evaluations", "5", "--samples", "500", "--training-precision", "fp32", "--device", "cpu", "--seeds", "2"),
    ]


def test_a_built_command_is_quoted_for_the_shell(make: Make) -> None:
    text = written([make("gan", 0, options={"name": "a; rm -rf ~"})])
    assert "'gan:name=a; rm -rf ~'" in text


def test_recipes_stand_whole_and_shared_fields_once(report: str, benchmark_records: list[Record]) -> None:
    (whole,) = [json.loads(token.content) for token in tokens(report) if token.type == "fence" and token.info == "json"]
    known: Record = {}
    for record in benchmark_records:
        known |= record["recipes"]
    assert whole == known
    (table,) = [table for table in tables(report) if table[0][0] == "recipe"]
    assert table[0] == ["recipe", "metric", "reference split", "reference count", "own settings"]
    # Only two of the six have an extractor: a column for it would be mostly dashes.
    assert {row[1]: row[4] for row in table[2:]}["fd"] == "extractor digits-cnn; weights sha256 `d6581523…`"
    assert {row[1]: row[4] for row in table[2:]}["psnr"] == "–"
    assert len(table) == 2 + len(known)
    assert "samples 500" in report


def test_the_page_says_what_models_are_and_where_data_and_numbers_come_from(report: str) -> None:
    assert "- `vae`: What vae says of itself in one line. (genbench-vae 0.1.0, source `abababab`)" in report
    assert "CC BY 4.0, E. Alpaydin and C. Kaynak" in report
    assert "| device name | AMD EPYC 7B13 |" in report
    assert "each from 3 training seeds (0, 1 and 2)" in report


def _bare(record: Record) -> Record:
    return record | {"curve": [], "cost": {}, "artifacts": {}, "numbers": {}, "recipes": {}}


@pytest.mark.parametrize(
    "case", ["nothing", "one model", "controls", "failed", "bare", "not a number", "two data sets"]
)
def test_thin_benchmarks_render(tmp_path: Path, make: Make, failed: Make, case: str) -> None:
    blank = make("gan", 0)
    blank["numbers"]["fd"]["value"] = float("nan")
    other = make("gan", 0, dataset=make("gan")["cell"]["dataset"] | {"name": "shapes", "fingerprint": "ee"})
    records, said = {
        "nothing": ([], "# An empty benchmark"),
        "one model": ([make("gan", seed) for seed in range(3)], "# gan on digits"),
        "controls": ([make("real", 0), make("noise", 0)], "# controls on digits"),
        "failed": ([failed(make("gan", 0))], "**1 of 1 cells failed**"),
        "bare": ([_bare(make("gan", 0))], "No cell has a number yet."),
        "not a number": ([blank, make("gan", 1), make("vae", 0), make("vae", 1)], "(n = 1)"),
        "two data sets": ([make("gan", 0), other], "# gan on digits and shapes"),
    }[case]
    text = render(tmp_path, records).read_text()
    assert said in text
    assert not re.search(r"\bnan\b|None", text)
    assert all(len(row) == len(table[0]) for table in tables(text) for row in table)


def test_many_models_have_all_pairs_in_a_fold(make: Make) -> None:
    records = [make("gan", seed, label=f"gan:latent={model}") for model in range(40) for seed in range(2)]
    text = written(records)
    assert len(tables(text)[0]) == 42
    assert "All 780 pairs" in text


def test_old_records_render_where_torch_is_not_installed(tmp_path: Path, benchmark_records: list[Record]) -> None:
    (tmp_path / "records.json").write_text(json.dumps(benchmark_records[:3]))
    program = (
        "import json, pathlib, sys; sys.modules['torch'] = None\n"
        "from genbench.report import render\n"
        "render(pathlib.Path('.'), json.loads(pathlib.Path('records.json').read_text()))\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)
    assert (tmp_path / "report.md").is_file()


def test_a_section_whose_numbers_are_all_beyond_the_first_table_names_no_recipes_above_them(make: Make) -> None:
    record = make("gan", 0)
    number = record["numbers"].pop("fd")
    record["numbers"] = {"novelty": number}
    for point in record["curve"]:
        point["numbers"] = {}
    report = written([record])
    assert "[Recipes](#recipes): " not in report
    assert f"| novelty | {number['value']:.4g} | `{number['recipe']}` |" in report


def test_numbers_beyond_the_first_table_stand_one_a_line_with_their_recipe(make: Make) -> None:
    records = [make("gan", seed) for seed in range(2)] + [make("real", 0)]
    for record in records:
        fields = {"metric": "precision_recall", "k": 3}
        record["recipes"]["0badcafe"] = fields
        record["numbers"] |= {
            name: {"value": 0.5, "recipe": "0badcafe"} for name in ("recall", "precision", "unheard_of")
        }
    text = written(records)
    (table,) = [table for table in tables(text) if table[0][0] == "number"]
    assert table[0] == ["number", "`gan`", "*real*", "recipe"]
    assert [row[0] for row in table[2:]] == ["precision ↑", "recall ↑", "unheard of"]
    assert table[2][1:] == ["0.5 ± 0", "0.5", "`0badcafe`"]
    assert "- precision ↑, recall ↑: share of samples inside the data's manifold" in text


@pytest.mark.parametrize(
    ("held", "said"), [([0.0, 0.0, 0.0], "no"), ([1.0, 1.0], "yes"), ([1.0, 0.0, 1.0], "yes in 67%"), ([1.0], "yes")]
)
def test_what_holds_or_does_not_is_said_in_words(make: Make, held: list[float], said: str) -> None:
    records = [make("gan", seed) for seed in range(len(held))]
    for record, value in zip(records, held, strict=True):
        record["recipes"]["0badcafe"] = {"metric": "frechet_diagnostics"}
        record["numbers"]["fewer_than_dimensions"] = {"value": value, "recipe": "0badcafe"}
    (table,) = [table for table in tables(written(records)) if table[0][0] == "number"]
    assert table[2][:2] == ["fewer samples than dimensions", said]


def test_a_report_shows_itself_with_its_pictures(
    tmp_path: Path, benchmark_records: list[Record], grids: Grids, monkeypatch: pytest.MonkeyPatch
) -> None:
    grids(tmp_path, benchmark_records)
    render(tmp_path, benchmark_records)
    monkeypatch.setattr("genbench.report.render_directory", lambda directory: directory / "report.md")
    report = Report(tmp_path)
    page, shown = (tmp_path / "report.md").read_text(), report._repr_markdown_()
    pictures = re.findall(r"!\[[^]]*\]\(([^)]*)\)", page)
    assert len(pictures) == 6
    inlined = re.findall(r"!\[[^]]*\]\(data:image/png;base64,([^)]*)\)", shown)
    assert [base64.b64decode(each) for each in inlined] == [(tmp_path / name).read_bytes() for name in pictures]
    assert repr(report) == f"Report({str(tmp_path)!r})"


def test_a_page_that_was_edited_shows_no_file_from_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret.png").write_bytes(b"secret")
    folder = tmp_path / "report"
    folder.mkdir()
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    page = "![a](../secret.png) ![b](/etc/x.png) ![c](%2e%2e/secret.png) ![d](link.png) ![e](missing.png)\n"
    (folder / "report.md").write_text(page)
    monkeypatch.setattr("genbench.report.render_directory", lambda directory: directory / "report.md")
    assert Report(folder)._repr_markdown_() == page


def test_the_error_of_an_evaluation_stands_apart_from_the_interval_over_seeds(make: Make) -> None:
    records = [make(label, seed) for label in ("gan", "vae") for seed in range(2)]
    before = written(records)
    assert "Precision of one evaluation" not in before  # older records
    for record, error in zip(records, (3.0, 4.0, 0.123, 0.123), strict=True):
        record["numbers"]["fd"]["standard_error"] = error
    after = written(records)
    note, table = after.partition("### Precision of one evaluation\n\n")[2].split("\n\n")[:2]
    assert "95% interval over training seeds" in note
    assert tables(table + "\n")[0][2][:3] in (["fd ↓", "3.5", "0.12"], ["fd ↓", "0.12", "3.5"])
    assert tables(before)[0] == tables(after)[0]


def test_the_command_draws_beside_itself_and_writes_the_same_bytes(
    tmp_path: Path, benchmark_records: list[Record], grids: Grids
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for directory in (here, there):
        grids(directory, benchmark_records)
        for record in benchmark_records:
            write_record(directory, record)
    render_directory(here)
    # Counted in a hook of the interpreter: nothing of the command itself is replaced.
    counted = "import sys; sys.addaudithook(lambda name, _: name == 'os.fork' and print('forked'));"
    main = f"{counted} from genbench.cli import main; sys.argv = ['genbench', 'report', {str(there)!r}]; main()"
    done = subprocess.run([sys.executable, "-c", main], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.splitlines() == [*(["forked"] if sys.platform == "linux" else []), str(there / "report.md")]
    found, expected = contents(there), contents(here)
    del found[".report.json"], expected[".report.json"]  # they name artifacts with their times
    assert found == expected


def test_artists_imported_without_documentation_are_the_same_artists() -> None:
    code = """
        from genbench.machine.matplotlib_import import undocumented

        with undocumented():
            from matplotlib.lines import Line2D
        from matplotlib import artist

        assert "dash_joinstyle" not in Line2D.set.__doc__
        assert "dash_joinstyle" in artist.kwdoc(Line2D)
        line = Line2D([], [])
        line.set(linewidth=3)
        assert line.get_linewidth() == 3
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, timeout=60)

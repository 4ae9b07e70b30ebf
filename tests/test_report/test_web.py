"""report.html in a real Chromium: what a reader does with it, and what a hostile record cannot do."""

from __future__ import annotations

import io
import json
import math
import re
import shutil
import wave
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from genbench.records.statistics import summarise
from genbench.report import web
from genbench.report.chart import Chart, Extent, Mark, Panel
from genbench.report.drawing import styles
from genbench.report.escape import one_line
from genbench.report.formatting import interval
from genbench.report.machines import Machine, machines
from genbench.report.merging import merged
from genbench.report.model import Picture, markdown
from genbench.report.order import in_order
from genbench.report.pages import page_parts
from genbench.report.pictures import Pictures
from genbench.report.sections import Section, sections
from genbench.report.speeds import throughput, trade_off
from genbench.report.web import Watched
from genbench.report.web.facts import script_safe

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--mute-audio"]
AXE = Path(__file__).parents[1] / "assets" / "axe.min.js"
SLOWER = 1.1  # each seed takes this many times as long as the one before
HOSTILE = (
    "</script><script>window.owned=1</script>",
    '<img src=x onerror="window.owned=1">',
    '" onmouseover="window.owned=1" x="',
    "' `${window.owned=1}` \\ \u2028 <!--",
    "[a](javascript:window.owned=1)",
    "\u202e {{x}} &lt;b&gt; $$ %",
)

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield opened
        opened.close()


class Opened:
    """A page opened from disk, with its messages and its requests."""

    def __init__(self, browser: Any, path: Path, **context: Any) -> None:
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page = browser.new_context(**context).new_page()
        self.page.set_default_timeout(10_000)
        self.page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(path.as_uri())

    def check_quiet(self) -> None:
        """Check that no message was logged and only the file itself was requested."""
        assert self.said == []
        assert [url for url in self.asked[1:] if not url.startswith("data:")] == []


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory, toys: Any) -> Path:
    """A benchmark with images, failures and clips."""
    folder = tmp_path_factory.mktemp("web")
    records = [toys.make_record(label, seed) for label in ("gan", "vae", "real") for seed in range(3)]
    for record in records[:6]:
        record["cost"]["train_s"] *= SLOWER ** record["cell"]["seed"]
    toys.draw_grids(folder, records)
    clips = [toys.make_record("silence", seed) for seed in range(2)]
    toys.draw_grids(folder, clips)  # as after a run: spectrograms, and the first of the clips that they show
    for record in clips:
        for number in (1, 2):
            name = f"samples/silence-{record['cell']['seed']}-{number}.wav"
            record["artifacts"][f"samples, {number}"] = name
            (folder / name).write_bytes(clip())
    lost = toys.fail(toys.make_record("dcgan", 0), traceback="Traceback\nValueError: </script><b>lost</b>")
    write(folder, [*records, *clips, lost], missing=[planned("gan", 7)])
    return folder


def write(
    folder: Path,
    records: list[dict[str, Any]],
    missing: Sequence[Any] = (),
    watched: Watched | None = None,
) -> None:
    """Write both pages as `render` does, without the drawings, which take most of its time."""
    every = in_order(records)
    made, known = sections(in_order(merged(every))), machines(every)
    drawn = [(section, pictures(section, known)) for section in made]
    across = beyond([row.name for row in made[0].models])
    parts = page_parts(folder, every, drawn, known, HOSTILE[0], missing, across)
    colours = styles(row.name for section in made for row in section.models)
    (folder / "report.html").write_text(web.page(parts, folder, made, colours, known, watched), encoding="utf-8")
    (folder / "report.md").write_text(markdown(parts), encoding="utf-8")


def pictures(section: Section, known: Sequence[Machine]) -> Pictures:
    charts = {"throughput": throughput(section, known), "trade-off": trade_off(section, known)}
    names = {kind: f"figures/{kind}.png" for kind in ("quality", "losses", *charts)}
    return Pictures(names, charts={kind: chart for kind, chart in charts.items() if chart})


def beyond(names: Sequence[str]) -> list[str]:
    """The other kinds of chart: a row for each dataset, ranks with a clique, and steps with a band."""
    first = names[0]
    half, whole = Extent(0.5, 0.25, 0.75), Extent(1.0)
    steps = {name: [Mark(Extent(0.1 * place), whole), Mark(Extent(2.0), half)] for place, name in enumerate(names)}
    scores = {name: [Mark(Extent(0.5, 0.2, 0.8), row, [(7, 0.5, None)]) for row in (0, 1)] for name in names}
    ranks = {name: [Mark(Extent(1.0 + place), place)] for place, name in enumerate(names)}
    ranks[first].append(Mark(Extent(1.0, 1.0, 2.0), len(names)))
    panels = [
        Panel("points", f"score {first}", "", scores, [first, "b"], uprights=[(first, 0.5)], interval=first),
        Panel("ranks", "mean rank ←", "", ranks, [*names, "not resolved"]),
        Panel("steps", "τ", f"share {first}", steps, interval="band", most=7),
    ]
    return ["## Across datasets", Picture(first, "figures/x.png", "across", chart=Chart(panels, 7))]


def clip() -> bytes:
    held = io.BytesIO()
    with wave.open(held, "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(b"\0\0" * 800)
    return held.getvalue()


def planned(label: str, seed: int) -> dict[str, Any]:
    return {"id": "x", "label": label, "dataset": "digits", "role": "model", "seed": seed, "budget": "3000steps"}


@pytest.fixture(scope="module")
def opened(browser: Any, directory: Path) -> Iterator[Opened]:
    found = Opened(browser, directory / "report.html", viewport={"width": 1200, "height": 900})
    yield found
    found.check_quiet()


@pytest.fixture
def page(opened: Opened) -> Iterator[Any]:
    yield opened.page
    opened.page.keyboard.press("Escape")
    opened.page.locator("dialog").first.wait_for(state="detached")
    opened.page.get_by_label("Models").fill("")
    hidden(opened.page).first.wait_for(state="detached")  # filtering is delayed: it must not reach the next test
    opened.check_quiet()


def column(page: Any, table: int, place: int) -> list[str]:
    """Return what a column of a table shows, from top to bottom, without hidden rows."""
    script = """([table, place]) => [...document.querySelectorAll(".table > table")[table].tBodies[0].rows]
        .filter((row) => !row.hidden).map((row) => row.cells[place].textContent.trim())"""
    return list(page.evaluate(script, [table, place]))


def headings(page: Any, table: int) -> list[str]:
    script = "(n) => [...document.querySelectorAll('.table > table')[n].tHead.rows[0].cells].map((c) => c.textContent)"
    return list(page.evaluate(script, table))


def test_a_table_sorts_by_the_value_and_not_by_its_text(page: Any) -> None:
    place = headings(page, 0).index("fd ↓")
    heading = page.locator(".table > table").first.get_by_role("button", name="fd ↓", exact=True)
    for sign in (1, -1):
        heading.click()
        shown = [
            float(cell.partition(" ± ")[0].replace(",", "")) for cell in column(page, 0, place) if cell[0].isdigit()
        ]
        assert len(shown) >= 4
        assert shown == sorted(shown, reverse=sign < 0)
        assert not column(page, 0, place)[-1][0].isdigit(), "rows without a number come last in both orders"
    assert page.locator("th[aria-sort=descending]").count() == 1
    place = headings(page, 0).index("SSIM ↑")  # only vae has it
    for _ in range(2):
        page.locator(".table > table").first.get_by_role("button", name="SSIM ↑", exact=True).click()
        assert [cell == "–" for cell in column(page, 0, place)] == [False, *[True] * (len(column(page, 0, 0)) - 1)]


def test_an_amount_sorts_by_what_it_stands_for(page: Any, toys: Any) -> None:
    cost = page.locator(".table > table", has=page.get_by_role("button", name="parameters"))
    cost.get_by_role("button", name="parameters").click()
    models = cost.locator("tbody tr").evaluate_all("(rows) => rows.map((row) => row.dataset.m)")
    held = {model: toys.make_record(model, 0)["cost"]["parameters"] for model in models}
    assert len(held) == 3
    assert models == sorted(held, key=held.__getitem__)
    assert models != sorted(held), "an order that any sort gives would prove nothing"


def hidden(page: Any) -> Any:
    """Return the rows of the first table that a filter has hidden."""
    return page.locator(".table > table").first.locator("tbody tr[hidden]")


def test_models_are_filtered_in_every_table_and_gallery(page: Any) -> None:
    before = column(page, 0, 1)
    page.get_by_label("Models").fill("VAE, real")
    hidden(page).first.wait_for(state="attached")
    assert sorted(column(page, 0, 1)) == ["real", "vae"]
    assert page.locator(".made:visible h4").all_text_contents()[:3] == ["data", "vae", "real"]
    assert (
        page.locator(".legend button[data-m=gan]").count() == 0
        or not page.locator(".legend button[data-m=gan]").first.is_visible()
    )
    page.get_by_label("Models").fill("")
    hidden(page).first.wait_for(state="detached")
    assert sorted(column(page, 0, 1)) == sorted(before)


def test_what_failed_is_shown_alone_or_hidden_and_has_its_traceback(page: Any) -> None:
    page.get_by_label("Failed").select_option("only")
    assert column(page, 0, 1) == ["dcgan"]
    page.get_by_label("Failed").select_option("without")
    assert "dcgan" not in column(page, 0, 1)
    page.get_by_label("Failed").select_option("all")
    # By keyboard: charts that are drawn as the page scrolls there would move it from under the pointer.
    page.locator("summary").filter(has_text="dcgan on digits, seed 0").focus()
    page.keyboard.press("Enter")
    page.get_by_text("ValueError: </script><b>lost</b>").wait_for(state="visible")


def pasted(page: Any) -> str:
    """Return the clipboard's contents, pasted as a reader would."""
    page.evaluate("document.body.append(Object.assign(document.createElement('textarea'), {id: 'pasted'}))")
    page.locator("#pasted").focus()
    page.keyboard.press("Control+V")
    found = str(page.locator("#pasted").input_value())
    page.evaluate("document.getElementById('pasted').remove()")
    return found


@pytest.mark.parametrize("form", ["Markdown", "LaTeX", "CSV"])
def test_a_table_is_copied_as_it_is_shown(page: Any, form: str, directory: Path) -> None:
    page.get_by_label("Models").fill("vae")
    hidden(page).first.wait_for(state="attached")
    page.locator(".tools").first.get_by_role("button", name=form).click()
    page.get_by_text(f"Copied 1 row as {form}").wait_for()
    lines = pasted(page).rstrip("\n").split("\n")
    report = (directory / "report.md").read_text()
    row = next(line for line in report.splitlines() if re.match(r"\|[^|]*\| \**`vae`", line))
    cells = [cell.strip("* ") for cell in row.strip("|").split("|")]
    values = [cell.partition(" ± ") for cell in cells[3:]]
    if form == "Markdown":
        assert [cell.strip() for cell in lines[2].strip("|").split("|")] == cells
    elif form == "LaTeX":
        assert lines[0].startswith("\\begin{tabular}{ll")
        assert (lines[1].strip(), lines[3].strip(), lines[-2].strip()) == ("\\toprule", "\\midrule", "\\bottomrule")
        assert "\\texttt{vae}" in lines[4]
        assert f"{values[0][0]} $\\pm$ {values[0][2]}" in lines[4]
        assert lines[4].count("&") == len(cells) - 1
    else:
        assert "fd ↓,fd ↓ ±" in lines[0]
        assert lines[1].split(",")[3:5] == [values[0][0], values[0][2]]


def test_a_number_tells_its_seeds_its_recipe_and_its_curve(page: Any, toys: Any) -> None:
    page.locator("tr[data-m=gan] button.n").first.click()
    box = page.locator("dialog")
    value = toys.make_record("gan", 1)["numbers"]["fd"]
    assert (
        f"{value['value']:.4g}" in box.locator("tr", has=page.locator("th", has_text=re.compile("^1$"))).text_content()
    )
    assert box.locator("h3 code").first.text_content() == value["recipe"]
    assert box.locator("dt", has_text="extractor").count() == 1
    assert box.locator("canvas").count() == 1
    page.keyboard.press("Escape")
    page.locator("dialog").wait_for(state="detached")


def test_a_curve_is_read_off_by_the_pointer_and_by_keys(page: Any, toys: Any) -> None:
    chart = page.locator("figure[data-chart=quality]")
    chart.scroll_into_view_if_needed()
    canvas = chart.locator(".canvas")
    canvas.wait_for()
    box = chart.locator(".u-over").bounding_box()
    page.mouse.move(box["x"] + box["width"] - 2, box["y"] + box["height"] / 2)
    note = chart.locator(".note")
    note.wait_for(state="visible")
    ends = [toys.make_record("gan", seed)["numbers"]["fd"]["value"] for seed in range(3)]
    canvas.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    heard = chart.locator(".heard").text_content()
    assert "95% interval" in heard
    assert "192,000 images" in heard
    while not heard.startswith("gan"):
        page.keyboard.press("ArrowDown")
        heard = chart.locator(".heard").text_content()
    summary = summarise(ends)
    assert f"{interval(summary.mean, summary.half_width)}, mean of 3 seeds" in heard
    before = heard
    page.keyboard.press("ArrowLeft")
    assert chart.locator(".heard").text_content() != before
    page.keyboard.press("Escape")
    assert not note.is_visible()


def test_lines_are_switched_by_the_legend_and_axes_are_logarithmic(page: Any) -> None:
    chart = page.locator("figure[data-chart=quality]")
    chart.scroll_into_view_if_needed()
    entry = chart.locator(".legend button[data-m=gan]")
    label = chart.locator(".canvas").get_attribute("aria-label")
    assert "gan from" in label
    entry.click()
    assert entry.get_attribute("aria-pressed") == "false"
    assert "gan from" not in chart.locator(".canvas").get_attribute("aria-label")
    chart.get_by_label("log x").check()
    chart.get_by_label("log y").set_checked(not chart.get_by_label("log y").is_checked())
    chart.get_by_role("combobox", name="Against").select_option("elapsed_s")
    chart.get_by_role("button", name="Zoom in").click()
    assert "training seconds" in chart.locator(".canvas").get_attribute("aria-label")
    entry.click()
    assert chart.locator("canvas").count() == 1


def drawn(page: Any, kind: str) -> Any:
    """Scroll to a chart of single values, and return it once it is drawn."""
    chart = page.locator(f"figure[data-chart={kind}]")
    chart.scroll_into_view_if_needed()
    chart.locator(".canvas").nth(1).wait_for()
    chart.locator(".canvas").first.scroll_into_view_if_needed()
    return chart


def read_off(chart: Any, panel: int, model: str) -> str:
    """Return what the keys read off for a model in a panel."""
    canvas = chart.locator(".canvas").nth(panel)
    canvas.focus()
    for _ in range(20):
        canvas.press("ArrowDown")
        heard = str(chart.locator(".heard").nth(panel).text_content())
        if heard.startswith(f"{model} "):
            return heard
    raise AssertionError(f"{model} is not in {canvas.get_attribute('aria-label')}")


def test_a_rate_is_read_off_with_its_seeds_and_windows(page: Any, toys: Any) -> None:
    chart = drawn(page, "throughput")
    windows = [toys.make_record("gan", seed)["cost"]["train_items_per_s"] for seed in range(3)]
    low, middle, high = (sum(each[part] for each in windows) / 3 for part in ("p5", "median", "p95"))
    heard = read_off(chart, 0, "gan")
    found = re.fullmatch(r"gan training images/s: (\S+) \((\S+) to (\S+)\), mean of 3 seeds, 5th to 95th .*", heard)
    assert found
    shown = [float(number.replace(",", "")) for number in found.groups()]
    assert shown == pytest.approx([middle, low, high], rel=0.01)
    note = str(chart.locator(".note").first.text_content())
    for seed, each in enumerate(windows):
        assert f"seed {seed}: {each['median']:,.0f}" in note
    box = chart.locator(".u-over").nth(1).bounding_box()
    page.mouse.move(box["x"] + 3, box["y"] + 3)  # the first row: the best model
    assert str(chart.locator(".note").nth(1).text_content()).startswith("gansampling images/s: ")
    assert chart.locator(".note").nth(1).is_visible()


def test_quality_against_cost_is_read_off_with_both_intervals(page: Any, toys: Any) -> None:
    chart = drawn(page, "trade-off")
    records = [toys.make_record("gan", seed) for seed in range(3)]
    quality = summarise(record["numbers"]["fd"]["value"] for record in records)
    times = [record["cost"]["train_s"] * SLOWER**seed for seed, record in enumerate(records)]
    logs = summarise(map(math.log, times))
    assert quality.half_width is not None
    assert logs.half_width is not None
    heard = read_off(chart, 0, "gan")
    found = re.match(r"gan training seconds: (\S+) \((\S+) to (\S+)\): fd: (.*), mean of 3 seeds, 95% interval$", heard)
    assert found
    ends = [math.exp(logs.mean + side * logs.half_width) for side in (0, -1, 1)]
    assert [float(number) for number in found.groups()[:3]] == pytest.approx(ends, rel=0.02)
    assert found[4] == interval(quality.mean, quality.half_width)
    note = str(chart.locator(".note").first.text_content())
    for seed, (time, record) in enumerate(zip(times, records, strict=True)):
        assert f"seed {seed}: {time:.4g}, {record['numbers']['fd']['value']:.4g}" in note
    chart.locator(".canvas").first.press("Escape")
    assert not chart.locator(".note").first.is_visible()
    centre = chart.locator(".u-over").first.bounding_box()
    page.mouse.move(centre["x"] + centre["width"] / 2, centre["y"] + centre["height"] / 2)
    assert chart.locator(".note").first.is_visible()


@pytest.mark.parametrize("kind", ["throughput", "trade-off"])
def test_a_legend_hides_a_model_in_both_panels(page: Any, kind: str) -> None:
    chart = drawn(page, kind)
    entry = chart.locator(".legend button[data-m=gan]")
    labels = "(canvases) => canvases.map((each) => each.getAttribute('aria-label').includes('gan '))"
    heights = "(canvases) => canvases.map((each) => each.clientHeight)"
    assert chart.locator(".canvas").evaluate_all(labels) == [True, True]
    before = chart.locator(".canvas").evaluate_all(heights)
    entry.click()
    assert entry.get_attribute("aria-pressed") == "false"
    assert chart.locator(".canvas").evaluate_all(labels) == [False, False]
    after = chart.locator(".canvas").evaluate_all(heights)
    assert [one - other for one, other in zip(before, after, strict=True)] == [26 * (kind == "throughput")] * 2
    entry.press("Enter")
    assert chart.locator(".canvas").evaluate_all(labels) == [True, True]
    chart.get_by_role("button", name="none", exact=True).click()
    assert "nothing is shown" in chart.locator(".canvas").first.get_attribute("aria-label")
    chart.get_by_role("button", name="all", exact=True).click()
    chart.get_by_label("log x").set_checked(not chart.get_by_label("log x").is_checked())
    chart.get_by_label("seeds").check()
    chart.get_by_role("button", name="Zoom in").click()
    chart.get_by_text("This chart as a table").click()
    chart.locator("table").nth(1).wait_for(state="attached")  # a fold tells that it was opened later
    assert chart.locator("table").count() == 2
    assert chart.locator("tbody").first.locator("th").all_text_contents() == ["gan", "silence", "vae"]


def test_rows_ranks_and_steps_are_read_off(page: Any) -> None:
    chart = drawn(page, "across")
    assert read_off(chart, 0, "gan") == "gan b: score gan: 0.50 ± 0.30, seed 7, gan"
    canvas = chart.locator(".canvas").first
    canvas.press("ArrowLeft")
    assert chart.locator(".heard").first.text_content() == "gan score gan: 0.50 ± 0.30, seed 7, gan"
    assert read_off(chart, 1, "gan") == "gan mean rank: 1"
    chart.locator(".canvas").nth(1).press("ArrowRight")
    heard = chart.locator(".heard").nth(1).text_content()
    assert heard == "gan not resolved: mean rank: 1.00 (1.00 to 2.00), 95% interval"
    assert read_off(chart, 2, "gan") == "gan τ: 2: share gan: 0.50 ± 0.25, band"
    box = chart.locator(".u-over").nth(2).bounding_box()
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 3)
    assert re.match(r"ganτ: 0share gan: 1", str(chart.locator(".note").nth(2).text_content())), "the step goes up to 2"


def test_charts_follow_the_filter(page: Any) -> None:
    chart = drawn(page, "throughput")
    page.get_by_label("Models").fill("vae")
    hidden(page).first.wait_for(state="attached")
    assert chart.locator(".legend button[data-m]:visible").all_text_contents() == ["vae"]
    assert "gan" not in chart.locator(".canvas").first.get_attribute("aria-label")
    page.get_by_label("Models").fill("")
    hidden(page).first.wait_for(state="detached")
    assert "gan" in chart.locator(".canvas").first.get_attribute("aria-label")


def test_a_picture_is_enlarged_in_whole_multiples_and_keys_move_on(page: Any) -> None:
    page.locator(".made[data-m=gan] button.larger").first.click()
    large = page.locator("dialog img")
    assert large.get_attribute("alt") == "samples of gan, seed 0"
    widths = large.evaluate("(image) => [image.width, image.naturalWidth]")
    assert widths[0] % widths[1] == 0
    page.keyboard.press("ArrowRight")
    assert large.get_attribute("alt") == "samples of gan, seed 1"


def test_a_clip_plays(page: Any) -> None:
    shown = page.locator("section.made[data-m=silence]").first
    assert shown.locator("figure").count() == shown.locator("img").count() == 2
    assert shown.locator("audio").count() == 4
    first = page.locator("audio").first
    assert first.get_attribute("aria-label") == "samples of silence, seed 0, clip 1"
    first.scroll_into_view_if_needed()
    first.evaluate("async (clip) => { await clip.play(); }")
    assert first.evaluate("(clip) => clip.duration") == pytest.approx(0.1, abs=0.02)
    first.evaluate("(clip) => clip.pause()")


def test_a_partial_report_says_so_at_its_top(page: Any) -> None:
    assert "Partial report: 12 of 13 planned cells have run" in page.locator("header").text_content()


def test_all_is_reached_by_keys_and_no_serious_violation_is_found(browser: Any, directory: Path) -> None:
    found = Opened(browser, directory / "report.html", viewport={"width": 400, "height": 800}, color_scheme="dark")
    assert found.page.evaluate("document.documentElement.scrollWidth") <= 400
    found.page.keyboard.press("Tab")
    assert found.page.evaluate("document.activeElement.className") == "skip"
    for chart in found.page.locator("figure.chart").all():
        chart.scroll_into_view_if_needed()
        chart.locator("canvas").first.wait_for()
    found.page.evaluate(AXE.read_text(encoding="utf-8"))
    rules = found.page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    serious = [
        (each["id"], [node["html"][:90] for node in each["nodes"][:3]])
        for each in rules
        if each["impact"] in ("serious", "critical")
    ]
    assert serious == []
    found.check_quiet()


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory, toys: Any) -> Path:
    """A model for each hostile name, which is in every name and text that a plugin or a dataset can set."""
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "samples").mkdir()
    records = []
    for place, name in enumerate(HOSTILE):
        (folder / "samples" / f"{place}.txt").write_text(f"{name}\n")
        for seed in range(2):
            record = toys.make_record("gan", seed)
            cell = {"label": name, "model": name, "summary": f"{name} \ud800"}
            record["cell"] |= cell | {"dataset": record["cell"]["dataset"] | {"name": HOSTILE[place % 2]}}
            record["cell"]["plugin"] = record["cell"]["plugin"] | {"distribution": name, "version": name}
            for point in record["curve"]:
                point["losses"] = {f"{name} \ud800": 1.0} if point["losses"] else {}
            for recipe in record["recipes"].values():
                recipe[name] = name
            record["environment"] = record["environment"] | {name: name}
            record["artifacts"] = {"samples": f"samples/{place}.txt"}
            record["id"] = f"{place}{seed}"
            records.append(record)
        lost = toys.make_record("vae", place, label=name)
        records.append(toys.fail(lost, stage=name, reason=name, traceback=f"{name}\ud800", log_tail=name))
    write(
        folder,
        records,
        missing=[planned(HOSTILE[0], 9) | {"dataset": HOSTILE[1]}],
        watched=Watched(*HOSTILE[:1], HOSTILE, 1),
    )
    return folder


@pytest.mark.parametrize("scripts", [True, False])
def test_hostile_records_show_what_they_say_and_do_nothing(browser: Any, hostile: Path, scripts: bool) -> None:
    found = Opened(
        browser, hostile / "report.html", java_script_enabled=scripts, viewport={"width": 400, "height": 800}
    )
    page = found.page
    assert "onerror" in page.locator("h1").text_content()
    assert page.locator("script").count() == 2
    assert page.locator("img:not([src^='data:'])").count() == 0
    assert page.locator("a[href^='javascript' i]").count() == 0
    assert page.locator("[onerror], [onmouseover], [x]").count() == 0
    if scripts:
        names = set(page.evaluate("[...document.querySelectorAll('tr[data-m]')].map((row) => row.dataset.m)"))
        assert {one_line(name) for name in HOSTILE} <= names
        for each in page.locator("button.n").all()[:: len(HOSTILE)][:3]:
            each.click()
            page.locator("dialog").wait_for()
            page.keyboard.press("Escape")
        for chart in page.locator("figure.chart").all():
            chart.scroll_into_view_if_needed()
            chart.locator("canvas").first.wait_for()
        for canvas in page.locator(".canvas").all():
            canvas.press("ArrowUp")
        for fold in page.locator("figure.chart summary").all():
            fold.click()
        page.locator(".legend button").last.click()
        page.locator("[data-m]").first.dispatch_event("mouseover")
        assert page.evaluate("window.owned") is None
        assert page.evaluate("document.documentElement.scrollWidth") <= 400
    found.check_quiet()


def test_all_curves_are_there_on_paper(browser: Any, directory: Path) -> None:
    found = Opened(browser, directory / "report.html", viewport={"width": 800, "height": 300}, color_scheme="dark")
    assert found.page.locator("canvas").count() == 0, "charts are drawn only once they are in view"
    found.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert found.page.locator("figure[data-chart=quality] canvas").count() == 1
    assert found.page.locator("figure[data-chart=losses] canvas").count() == 3
    colours = "getComputedStyle(document.body).backgroundColor"
    assert found.page.evaluate(colours) == "rgb(255, 255, 255)"
    found.page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert found.page.evaluate(colours) != "rgb(255, 255, 255)"
    widest = "Math.max(...[...document.querySelectorAll('.uplot')].map((each) => each.offsetWidth))"
    assert found.page.evaluate(widest) > 704, "it should be as wide as the window"
    found.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert found.page.evaluate(widest) <= 704, "it should be as wide as a page of paper"
    found.check_quiet()


def test_what_a_script_element_holds_cannot_end_it() -> None:
    held = {"</script>": ["<!--", "\u2028", "\ud800", float("1e-7")]}
    written = script_safe(held)
    assert "<" not in written
    assert written.isascii()
    assert json.loads(written) == held

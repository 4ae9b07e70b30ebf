"""The page in a browser: what people see and press, and that nothing is lost or sent."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from genbench.study.answers import read_answers
from genbench.study.making import Wish
from genbench.study.order import form_of, is_swapped, order_of
from genbench.study.reading import read_study

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")

KEYS = {"fake": "ArrowLeft", "real": "ArrowRight", "left": "ArrowLeft", "right": "ArrowRight", "same": "ArrowDown"}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(
            executable_path=BROWSER, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        yield opened
        opened.close()


class Visit:
    """A tab with a study's page and its own clock, and what a rater does there."""

    def __init__(self, context: Any, asked: Any, hour: int = 8) -> None:
        self.asked, self.faults, self.requests = asked, [], []
        self.page = context.new_page()
        self.page.on("console", lambda message: self.faults.append(message.text))
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.clock.install(time=f"2026-11-26T{hour:02}:00:00Z")
        self.page.goto(asked.made.page.resolve().as_uri())
        self.page.clock.pause_at(f"2026-11-26T{hour:02}:59:00Z")  # from here on, time passes only when a test lets it

    def begin(self, rater: str) -> None:
        self.page.fill("#rater", rater)
        self.page.press("#rater", "Enter")

    def question(self) -> str:
        """Wait until a question is shown, and return it."""
        for _ in range(200):
            self.page.clock.run_for(40)  # time for the frames in which it is painted
            name = self.page.evaluate("document.getElementById('main').dataset.ready ?? ''")
            if name and self.page.query_selector(".choices button[name]") and name != self.page.evaluate("window.seen"):
                self.page.evaluate("name => { window.seen = name; }", name)
                return str(name)
        raise AssertionError("no question is shown")

    def press(self, choice: str, after_ms: int = 400) -> None:
        self.page.clock.run_for(after_ms)
        self.page.keyboard.press(KEYS[choice])

    def train(self, choice: str) -> list[str]:
        """Answer all training questions; return the feedback to each."""
        said = []
        for _ in self.page.evaluate("study.training"):
            self.question()
            self.press(choice)
            said.append(self.page.inner_text(".said"))
            self.page.keyboard.press("Enter")
        return said

    def download(self, path: Path) -> dict[str, Any]:
        with self.page.expect_download() as download:
            self.page.keyboard.press("Enter")
        download.value.save_as(path)
        return dict(json.loads(path.read_text()))


def right(asked: Any, question: str) -> str:
    return "fake" if asked.key["questions"][question]["models"] != ["real"] else "real"


def form_for(asked: Any, rater: str) -> list[str]:
    forms = asked.key["forms"]
    return list(forms[form_of(asked.key["study"], rater, len(forms))])


def right_sides(visit: Visit, asked: Any) -> set[str]:
    """Return what the page has to say about the practice questions, in which real is always right."""
    said = set()
    for place, one in enumerate(visit.page.evaluate("study.training")):
        question = asked.key["questions"][one["question"]]
        assert question["models"][0] == "real"
        swapped = is_swapped(asked.key["study"], "somebody", place) != question["turned"]
        said.add("the right one." if swapped else "the left one.")
    return said


def test_a_study_is_answered_by_keys_and_closing_the_tab_loses_nothing(
    browser: Any, finished: Callable[..., Path], asked: Callable[..., Any], tmp_path: Path
) -> None:
    study = asked(finished("real", "noise", "one"), Wish("real-or-fake", 6))
    context = browser.new_context(accept_downloads=True)
    rater = "<img src=x onerror=alert(1)> é"
    visit = Visit(context, study)
    visit.begin(rater)
    said = visit.train("real")
    assert sorted(line.split(".")[0] for line in said) == ["Not quite", "Not quite", "Right", "Right"]
    expected = order_of(study.key["study"], rater, form_for(study, rater))
    for name in expected[:5]:
        assert visit.question() == name
        visit.press(right(study, name))
    assert "5 of 14 answered" in visit.page.inner_text("main")
    visit.page.close()

    again = Visit(context, study, hour=9)
    assert f"{rater} has answered 5 of 14 questions" in again.page.inner_text("main")
    again.page.keyboard.press("Enter")
    assert again.question() == expected[5]
    again.page.keyboard.press("ArrowLeft")  # too soon after the last answer to be meant for this question
    again.page.clock.run_for(30)
    assert "5 of 14 answered" in again.page.inner_text("main")
    again.press(right(study, expected[5]))
    for name in expected[6:]:
        assert again.question() == name
        again.press(right(study, name))
    document = again.download(tmp_path / "answers.json")
    assert (document["rater"], document["sessions"]) == (rater, 2)
    assert [one["question"] for one in document["answers"]] == expected
    assert all(400 <= one["ms"] < 500 for one in document["answers"])
    assert set(document["screen"]) == {"width", "height", "window_width", "window_height", "pixel_ratio_percent"}
    assert read_answers(tmp_path / "answers.json").rater == rater
    found = read_study(study.made.key, [tmp_path / "answers.json"])
    assert found.left_out == ()
    assert found.results["results"]["models"]["one"]["error"]["value"] == 0.0
    for one in (visit, again):
        assert one.faults == []
        assert [url for url in one.requests if not url.startswith(("data:", "file:", "blob:"))] == []
    context.close()


def test_two_items_are_shown_on_the_sides_that_the_key_says_and_hidden_in_time(
    browser: Any, finished: Callable[..., Path], asked: Callable[..., Any], tmp_path: Path
) -> None:
    study = asked(finished("real", "noise", "one", "two"), Wish("preference", 4, time_limit_ms=300, magnification=64))
    context = browser.new_context(accept_downloads=True, viewport={"width": 400, "height": 800})
    visit = Visit(context, study)
    visit.begin("somebody")
    assert {line.split("The answer is: ")[1] for line in visit.train("same")} == right_sides(visit, study)
    form = form_for(study, "somebody")
    for count in range(9):
        name = visit.question()
        if count == 0:
            sizes = visit.page.eval_on_selector_all("img", "all => all.map(one => [one.clientWidth, one.clientHeight])")
            assert sizes == [[192, 256], [192, 256]]  # 3 × 4 pixels, magnified
            places = visit.page.eval_on_selector_all(
                ".item", "all => all.map(one => [one.innerText, one.offsetTop, one.querySelector('img').alt])"
            )
            assert [(place[0], place[2]) for place in places] == [("left", "the left one"), ("right", "the right one")]
            assert places[0][1] == places[1][1]  # side by side, even on a phone
            shown = visit.page.eval_on_selector_all("img", "all => all.map(one => one.src)")
            ids = visit.page.evaluate("name => study.questions[name].map(one => study.items[one].content)", name)
            swapped = is_swapped(study.key["study"], "somebody", form.index(name))
            assert [one.split(",")[1] for one in shown] == (ids[::-1] if swapped else ids)
            assert visit.page.evaluate("getComputedStyle(document.querySelector('img')).imageRendering") == "pixelated"
            visit.page.clock.run_for(310)
            assert visit.page.query_selector("img") is None
            assert len(visit.page.query_selector_all("canvas")) == 2
        # The first item of a question always wins: in catch trials, that is the real one.
        turned = study.key["questions"][name]["turned"]
        visit.press("right" if is_swapped(study.key["study"], "somebody", form.index(name)) != turned else "left")
    visit.download(tmp_path / "answers.json")
    found = read_study(study.made.key, [tmp_path / "answers.json"])
    assert found.left_out == ()
    (pair,) = found.results["results"]["pairs"]
    assert pair["share"]["value"] == 1.0
    assert visit.faults == []
    context.close()


def test_buttons_do_what_keys_do_and_everything_has_a_name(
    browser: Any, finished: Callable[..., Path], asked: Callable[..., Any]
) -> None:
    study = asked(finished("real", "noise", "one", kind="text"), Wish("real-or-fake", 6))
    context = browser.new_context(viewport={"width": 400, "height": 700})
    visit = Visit(context, study)
    visit.begin("somebody")
    visit.train("fake")
    name = visit.question()
    texts = visit.page.evaluate("name => study.questions[name].map(one => study.items[one].content)", name)
    assert [visit.page.inner_text("pre")] == texts
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= 400
    visit.page.clock.run_for(300)
    visit.page.get_by_role("button", name="made by a program").click()
    assert visit.question() != name
    assert visit.page.get_by_role("progressbar", name="answered questions").get_attribute("value") == "1"
    assert visit.faults == []
    context.close()


def test_clips_are_played_by_keys(
    browser: Any, finished: Callable[..., Path], write_clips: Callable[..., None], asked: Callable[..., Any]
) -> None:
    directory = finished()
    for label in ("real", "noise", "one", "two"):
        write_clips(directory, label)
    study = asked(directory, Wish("preference", 2))
    context = browser.new_context()
    visit = Visit(context, study)
    visit.begin("somebody")
    visit.question()

    def played() -> list[int]:
        return list(visit.page.eval_on_selector_all("audio", "all => all.map(one => one.played.length)"))

    def wait_for(expected: list[int]) -> None:
        for _ in range(100):
            if played() == expected:
                return
            visit.page.wait_for_timeout(30)
        raise AssertionError(played())

    assert played() == [0, 0]
    visit.page.keyboard.press("2")
    wait_for([0, 1])
    visit.page.get_by_role("button", name="Play the left one").click()
    wait_for([1, 1])
    assert visit.faults == []
    context.close()

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genbench.changes import ExpressionError, check_names, parse


def test_terms_are_read_with_percents_signs_exponents_and_blanks() -> None:
    terms = parse(" fd>5% ,train_items_per_s < -10 %,kid>1e-3,ssim<-.02,x>0,y<-0%")
    assert [(term.name, term.sign, term.bound, term.relative) for term in terms] == [
        ("fd", ">", 0.05, True),
        ("train_items_per_s", "<", -0.1, True),
        ("kid", ">", 0.001, False),
        ("ssim", "<", -0.02, False),
        ("x", ">", 0.0, False),
        ("y", "<", 0.0, True),
    ]
    assert terms[1].text == "train_items_per_s<-10%"


def test_a_term_may_name_its_model_with_options_and_dataset() -> None:
    terms = parse("dcgan:fd>1%, vae:beta=4,width=2:fd < -3 ,./my model.py:w=1@folder:faces:ssim<-.02,kid>1")
    assert [(term.model, term.name, term.sign, term.bound) for term in terms] == [
        ("dcgan", "fd", ">", 0.01),
        ("vae:beta=4,width=2", "fd", "<", -3.0),
        ("./my model.py:w=1@folder:faces", "ssim", "<", -0.02),
        ("", "kid", ">", 1.0),
    ]
    assert terms[1].text == "vae:beta=4,width=2:fd<-3"


@pytest.mark.parametrize(
    ("expression", "position", "fault"),
    [
        ("vae:fd", 7, "expected > or < after 'fd', but it ends there"),
        ("vae:beta=4:>5%", 12, "expected a name, such as fd, found '>'"),
        ("vae:beta=4>5%", 9, "expected > or < after 'beta', found '='"),
        (":fd>5%", 1, "expected a name"),
        ("fd,vae:fd>5%", 3, "expected > or < after 'fd', found ','"),
        ("fd>5%,vae:ssim<2%", 16, "write 'vae:ssim>2%' or 'vae:ssim<-2%'"),
        ("", 1, "expected a name"),
        ("fd", 3, "expected > or < after 'fd', but it ends there"),
        ("fd=5%", 3, "expected > or < after 'fd', found '='"),
        ("fd>=5%", 4, "expected a number after 'fd>'"),
        ("fd>", 4, "but it ends there"),
        ("fd>5%,", 7, "expected a name"),
        ("fd>5%%", 6, "put a comma between terms"),
        ("fd>5%; kid>1", 6, "put a comma between terms"),
        ("fd>nan", 4, "expected a number"),
        ("fd>1e999", 4, "too large"),
        ("5%<fd", 1, "expected a name"),
        ("fd>5%,ssim<2%", 12, "would fail without any change; write 'ssim>2%' or 'ssim<-2%'"),
        ("fd>-5%", 4, "would fail without any change; write 'fd>5%' or 'fd<-5%'"),
        ("fd<+5", 4, "would fail without any change; write 'fd>5' or 'fd<-5'"),
    ],
)
def test_what_cannot_be_read_is_said_with_its_position(expression: str, position: int, fault: str) -> None:
    with pytest.raises(ExpressionError) as error:
        parse(expression)
    assert error.value.position == position
    assert fault in str(error.value)
    assert f"at character {position}" in str(error.value)
    assert "\n" not in str(error.value)
    shown, caret = error.value.pointer.splitlines()
    assert shown == f"  {expression}"
    assert caret.index("^") == 2 + position - 1


@pytest.mark.parametrize(
    ("expression", "shown", "caret"),
    [
        ("fd>5%\n,zz", "  fd>5% ,zz", 11),
        ("fd\t>5%,日", "  fd >5%,日", 9),
        ("日\x1b[31m", "  日�[31m", 2),
        ("fd>1,x日", "  fd>1,x日", 8),
        ("fd>5%," * 500 + "zz", f"  …>5%,{'fd>5%,' * 4}zz", 33),
        ("fd>" + "9" * 5000, f"  fd>{'9' * 30}…", 5),
        ("a" * 31, f"  …{'a' * 30}", 33),
        ("a" * 30, f"  {'a' * 30}", 32),
        ("5" + "x" * 29, f"  5{'x' * 29}", 2),
        ("5" + "x" * 30, f"  5{'x' * 29}…", 2),
        ("日:fd", "  日:fd", 7),  # two columns wide
        ("Ａ:fd", "  Ａ:fd", 7),
    ],
)
def test_the_place_is_shown_in_one_short_line(expression: str, shown: str, caret: int) -> None:
    with pytest.raises(ExpressionError) as error:
        parse(expression)
    first, second = error.value.pointer.splitlines()
    assert (first, second.index("^")) == (shown, caret)
    assert len(str(error.value)) < 200


@given(st.text(alphabet="fd_5.%<>,-+e:@= \t\n", max_size=20))
def test_any_text_is_read_or_refused_at_a_place_within_it(expression: str) -> None:
    try:
        terms = parse(expression)
    except ExpressionError as refused:
        place = refused.position
    else:
        place = terms[-1].offset + 1
    assert 1 <= place <= len(expression) + 1


def test_a_name_that_no_record_has_is_refused_with_the_nearest() -> None:
    expression = "fd>5%, train_image_per_s<-10%"
    with pytest.raises(ExpressionError, match=r"did you mean train_items_per_s\?") as error:
        check_names(expression, parse(expression), {"fd", "train_items_per_s"}, ())
    assert error.value.position == 8


@pytest.mark.parametrize(
    ("expression", "position", "fault"),
    [
        ("fd>5%, dcgam:fd>1%", 8, "no record of either set is of the model 'dcgam'; did you mean dcgan?"),
        ("dcgan@shapes:fd>1%", 1, "known: dcgan, dcgan@digits, vae, vae@digits"),
        ("dcgan@digits:fdd>1%", 14, "no record of either set has 'fdd'; did you mean fd?"),
    ],
)
def test_a_model_that_no_record_has_is_refused_with_the_nearest(expression: str, position: int, fault: str) -> None:
    with pytest.raises(ExpressionError) as error:
        check_names(expression, parse(expression), {"fd"}, {"dcgan", "dcgan@digits", "vae", "vae@digits"})
    assert error.value.position == position
    assert fault in str(error.value)

"""Formulas: good ones are NumPy's values, bad ones are refused with a sentence and a place."""

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bsqh_core.errors import UserError
from bsqh_core.selection import Expression, ExpressionError

y = np.linspace(0.05, 0.95, 7)[:, None]
z = np.linspace(0.1, 0.9, 5)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", 1 + 0 * y * z),
        ("exp(-(y - z)**2 / 0.02)", np.exp(-((y - z) ** 2) / 0.02)),
        ("  sin(2*pi*y)\n + cos(pi*z)*e ", np.sin(2 * np.pi * y) + np.cos(np.pi * z) * np.e),
        ("minimum(y, z) - maximum(y, 0.5)", np.minimum(y, z) - np.maximum(y, 0.5)),
        ("(y < z) + (0.2 < y <= 0.5)", (y < z) * 1.0 + ((y > 0.2) & (y <= 0.5))),
        ("abs(y - z)*sign(y - 0.5) + sqrt(y)*log(z) - tanh(+z)", None),
        ("-y**2", -(y**2) + 0 * z),
        ("2**-y", 2**-y + 0 * z),
        ("y >= z", (y >= z) * 1.0),
    ],
)
def test_good_formulas(text: str, expected: np.ndarray | None) -> None:
    if expected is None:
        expected = np.abs(y - z) * np.sign(y - 0.5) + np.sqrt(y) * np.log(z) - np.tanh(z)
    np.testing.assert_allclose(Expression(text, ["y", "z"])({"y": y, "z": z}), expected, rtol=1e-14)


@pytest.mark.parametrize(
    ("text", "said", "position"),
    [
        ("", "is empty", None),
        (" \n ", "is empty", None),
        ("y" * 301, "at most 300", None),
        ("y +", "cannot be read", 3),
        ("2y", "products have *", 1),
        ("sin y", "cannot be read", 5),
        ("(y", "cannot be read", 1),
        ("y; z", "cannot be read", 2),
        ("y := 3", "cannot be read", 3),
        ("y\0", "cannot be read", None),
        ("1 + y^2", "with **, not with ^", 6),
        ("1 + y.real", "Only numbers, variables", 5),
        ("y.__class__.__mro__", "Only numbers, variables", 1),
        ("__import__('os')", "no function “__import__”", 1),
        ("(lambda: y)()", "There is no function;", 1),
        ("open(y)", "no function “open”", 1),
        ("y(1)", "no function “y”", 1),
        ("[y][0]", "Only numbers, variables", 1),
        ("y if z else 1", "Only numbers, variables", 1),
        ("y and z", "Only numbers, variables", 1),
        ("f'{y}'", "Only numbers, variables", 1),
        ("'a' * 9", "Only real numbers", 1),
        ("True", "Only real numbers", 1),
        ("y + 1j", "Only real numbers", 5),
        ("...", "Only real numbers", 1),
        ("1e999", "too large", 1),
        ("1" * 299, None, None),
        ("y % 2", "Only + - * / and **", 3),
        ("(y) // 2", "Only + - * / and **", 5),
        ("not y", "Only + - * / and **", 1),
        ("~y", "Only + - * / and **", 1),
        ("y # z", "no comments", 3),
        ("y\n# z\n+ 1", "no comments", 3),
        ("y == 1", "Only < <= > and >=", 1),
        ("y < z == 1", "Only < <= > and >=", 1),
        ("1 + q", "“q” is unknown; use y and z", 5),
        ("π*q", "“π” is unknown", 1),
        ("y*é + q", "“é” is unknown", 3),
        ("sin", "in parentheses", 1),
        ("sin(y, z)", "takes 1 argument", 1),
        ("minimum(y)", "takes 2 arguments", 1),
        ("sin(x=y)", "takes 1 argument", 1),
        ("sin(*y)", "Only numbers, variables", 5),
        ("-" * 60 + "y", "More than 30 operations", None),
        ("(" * 145 + "y" + ")" * 145, None, None),
        ("y**1000", "Exponents are from -100 to 100", 4),
        ("9**9**9", "Exponents are from -100 to 100", 5),
        ("2**(z*5000)", "Exponents are from -100 to 100", 6),
        ("1/(y - y)", "is not a finite number at y = 0.05", None),
        ("1/0", "is not a finite number;", None),
        ("log(-z)", "is not a finite number at z = 0.1", None),
        ("(y - 2)**0.5", "is not a finite number", None),
        ("y < log(-z)", "is not a finite number at y = 0.05, z = 0.1", None),
        ("log(-z) < y", "is not a finite number at y = 0.05, z = 0.1", None),
        ("exp(1000 + y)", "is not a finite number", None),
    ],
)
def test_bad_formulas(text: str, said: str | None, position: int | None) -> None:
    if said is None:  # strange but harmless
        assert np.isfinite(Expression(text, ["y", "z"])({"y": y, "z": z})).all()
        return
    with pytest.raises(ExpressionError) as caught:
        Expression(text, ["y", "z"])({"y": y, "z": z})
    message = str(caught.value)
    assert said in message
    assert message.endswith(".")
    assert isinstance(caught.value, UserError)
    if position is not None:
        assert caught.value.position == position


def test_a_value_that_is_not_finite_only_somewhere_is_named() -> None:
    with pytest.raises(ExpressionError, match=r"at y = 0\.5, z = 0\.5"):
        Expression("1/(y - z)", ["y", "z"])({"y": np.array([[0.25], [0.5]]), "z": np.array([0.1, 0.5])})


@pytest.mark.filterwarnings("ignore::SyntaxWarning")
@given(st.text(alphabet="yz+-*/()<>=.,0123456789e^ sincolgxpt_[]", max_size=40))
def test_any_text_is_a_value_or_an_expression_error(text: str) -> None:
    value = np.zeros(())
    with contextlib.suppress(ExpressionError):
        value = Expression(text, ["y", "z"])({"y": 0.5, "z": 0.25})
    assert np.isfinite(value)

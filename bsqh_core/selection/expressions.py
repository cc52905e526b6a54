"""Formulas typed by people, as "exp(-(y - z)**2)": read by Python's grammar, and never run as Python.

Whatever is not on a short list of operations is refused.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from bsqh_core.errors import UserError

MOST_CHARACTERS = 300
MOST_DEPTH = 30
"""Operations inside one another."""
LARGEST_EXPONENT = 100

CONSTANTS = {"pi": math.pi, "e": math.e}

FUNCTIONS: dict[str, tuple[Callable[..., Any], int]] = {
    "exp": (np.exp, 1),
    "sin": (np.sin, 1),
    "cos": (np.cos, 1),
    "tanh": (np.tanh, 1),
    "abs": (np.abs, 1),
    "sqrt": (np.sqrt, 1),
    "log": (np.log, 1),
    "sign": (np.sign, 1),
    "minimum": (np.minimum, 2),
    "maximum": (np.maximum, 2),
}
"""What may be called, and with how many arguments."""

_OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
    ast.Pow: np.power,
    ast.USub: np.negative,
    ast.UAdd: np.positive,
    ast.Lt: np.less,
    ast.LtE: np.less_equal,
    ast.Gt: np.greater,
    ast.GtE: np.greater_equal,
}


class ExpressionError(UserError, ValueError):
    """A formula that cannot be used.

    Attributes
    ----------
    position : int | None
        Character where it goes wrong, from 1; None if it is the formula as a whole.
    """

    def __init__(self, message: str, position: int | None = None) -> None:
        super().__init__(message)
        self.position = position


class Expression:
    """A formula in some variables. Comparisons are 1 where they hold and 0 elsewhere.

    Parameters
    ----------
    text : str
        As "1 + sin(2*pi*y)".
    names : Sequence[str]
        The variables that it may use.

    Raises
    ------
    ExpressionError
        If it is empty, too long or too deep, cannot be read, or uses anything else.
    """

    def __init__(self, text: str, names: Sequence[str]) -> None:
        self.text = " ".join(text.split())
        self.names = tuple(names)
        self._tree = self._parsed()
        self._check(self._tree, 1)
        self.uses = frozenset(node.id for node in ast.walk(self._tree) if isinstance(node, ast.Name)) & set(names)
        """The variables that occur."""

    def __call__(self, values: Mapping[str, Any]) -> np.ndarray:
        """The formula at `values`, which are numbers or arrays that NumPy broadcasts; float64.

        Raises
        ------
        ExpressionError
            If a value is not finite, or an exponent too large.
        """
        point = {name: np.asarray(values[name], dtype=np.float64) for name in self.names}
        with np.errstate(all="ignore"):
            result = np.asarray(self._value(self._tree, point), dtype=np.float64)
        shape = np.broadcast_shapes(*(value.shape for value in point.values()))
        result = np.broadcast_to(result, shape)
        if not np.isfinite(result).all():
            raise ExpressionError(self._not_finite(result, point))
        return result.copy()

    def _parsed(self) -> ast.expr:
        if not self.text:
            raise ExpressionError(f"The formula is empty; write one in {self._variables()}, or a number.")
        if "#" in self.text:
            raise self._error("There are no comments in a formula", self.text.index("#") + 1)
        if len(self.text) > MOST_CHARACTERS:
            raise ExpressionError(
                f"The formula has {len(self.text):,} characters; at most {MOST_CHARACTERS} are allowed."
            )
        try:
            return ast.parse(self.text, mode="eval").body
        except SyntaxError as error:
            # Python says 0 where the formula ends too early.
            position = min(error.offset or len(self.text), len(self.text))
            complaint = (
                "The formula cannot be read; see that nothing is missing, products have *, and parentheses match"
            )
            raise self._error(complaint, position) from error
        except (ValueError, MemoryError, RecursionError) as error:
            raise ExpressionError("The formula cannot be read; write it simpler.") from error

    def _check(self, node: ast.expr, depth: int) -> None:
        """Refuse whatever is not on the list."""
        if depth > MOST_DEPTH:
            raise self._error(f"More than {MOST_DEPTH} operations are inside one another", self._position(node))
        complaint = self._complaint(node)
        if complaint:
            raise self._error(complaint, self._position(node))
        for child in _operands(node):
            self._check(child, depth + 1)

    def _complaint(self, node: ast.expr) -> str:
        """What is wrong with this node alone; empty if nothing is."""
        match node:
            case ast.Constant(value=value):
                return _about_constant(value)
            case ast.Name(id=name):
                return self._about_name(name)
            case ast.Call():
                return _about_call(node)
            case ast.BinOp(op=ast.BitXor()):
                return "Powers are written with **, not with ^"
            case ast.BinOp(op=operator) | ast.UnaryOp(op=operator):
                return "" if type(operator) in _OPERATORS else "Only + - * / and ** are allowed between terms"
            case ast.Compare(ops=operators):
                allowed = all(type(operator) in _OPERATORS for operator in operators)
                return "" if allowed else "Only < <= > and >= compare"
        return "Only numbers, variables, + - * / **, comparisons and functions are allowed"

    def _about_name(self, name: str) -> str:
        if name in self.names or name in CONSTANTS:
            return ""
        if name in FUNCTIONS:
            return f"The function {name} needs its argument in parentheses"
        return f"“{name}” is unknown; use {self._variables()}, pi, e and numbers"

    def _value(self, node: ast.expr, point: Mapping[str, np.ndarray]) -> Any:
        match node:
            case ast.Constant(value=int() | float() as value):
                return np.float64(value)
            case ast.Name(id=name):
                return point[name] if name in point else np.float64(CONSTANTS[name])
            case ast.Compare():
                terms = [self._value(term, point) for term in _operands(node)]
                pairs = zip(node.ops, terms, terms[1:], strict=False)
                return math.prod((_compared(op, a, b) for op, a, b in pairs), start=1)
        values = [self._value(operand, point) for operand in _operands(node)]
        match node:
            case ast.BinOp(op=ast.Pow()) if np.abs(values[1]).max() > LARGEST_EXPONENT:
                raise self._error(
                    f"Exponents are from -{LARGEST_EXPONENT} to {LARGEST_EXPONENT}", self._position(node.right)
                )
            case ast.Call(func=ast.Name(id=name)):
                return FUNCTIONS[name][0](*values)
            case ast.BinOp(op=operator) | ast.UnaryOp(op=operator):
                return _OPERATORS[type(operator)](*values)
        raise AssertionError(ast.dump(node))

    def _not_finite(self, result: np.ndarray, point: Mapping[str, np.ndarray]) -> str:
        index = tuple(np.argwhere(~np.isfinite(result))[0])
        where = ", ".join(
            f"{name} = {np.broadcast_to(point[name], result.shape)[index]:.4g}" for name in sorted(self.uses)
        )
        at = f" at {where}" if where else ""
        return (
            f"“{self.text}” is not a finite number{at}; avoid division by zero, overflow, roots of negative numbers "
            "and logarithms of what is not positive."
        )

    def _variables(self) -> str:
        return " and ".join(filter(None, [", ".join(self.names[:-1]), self.names[-1]]))

    def _position(self, node: ast.expr) -> int:
        """Of its operator if it has two terms, else of its beginning."""
        # Python counts bytes of UTF-8; people count characters from 1.
        text = self.text.encode()
        if not isinstance(node, ast.BinOp):
            return len(text[: node.col_offset].decode()) + 1
        rest = text[node.left.end_col_offset :].decode()
        return len(self.text) - len(rest.lstrip(" )")) + 1

    def _error(self, complaint: str, position: int) -> ExpressionError:
        return ExpressionError(f"{complaint} (character {position} of “{self.text}”).", position)


def _compared(operator: ast.cmpop, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """1 where the comparison holds, 0 elsewhere, and not a number where one of the terms is none."""
    return np.where(np.isnan(a) | np.isnan(b), np.nan, _OPERATORS[type(operator)](a, b))


def _operands(node: ast.expr) -> list[ast.expr]:
    """The terms that this one is made of, from left to right."""
    match node:
        case ast.BinOp(left=left, right=right):
            return [left, right]
        case ast.UnaryOp(operand=operand):
            return [operand]
        case ast.Compare(left=left, comparators=others):
            return [left, *others]
        case ast.Call(args=arguments):
            return arguments
    return []


def _about_constant(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "Only real numbers are allowed"
    try:
        finite = math.isfinite(float(value))
    except OverflowError:
        finite = False
    return "" if finite else "This number is too large"


def _about_call(node: ast.Call) -> str:
    if not isinstance(node.func, ast.Name) or node.func.id not in FUNCTIONS:
        name = f" “{node.func.id}”" if isinstance(node.func, ast.Name) else ""
        return f"There is no function{name}; there are {', '.join(FUNCTIONS)}"
    count = FUNCTIONS[node.func.id][1]
    if node.keywords or len(node.args) != count:
        return f"The function {node.func.id} takes {count} argument{'s' if count > 1 else ''}"
    return ""

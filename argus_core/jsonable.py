"""Values as JSON can carry them: what training scripts hold, made plain before it is an event."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any

__all__ = ["clean_text", "jsonable"]

_MAX_DEPTH = 32
_MAX_VALUES = 100_000
_MAX_ARRAY_SIZE = 1000
_MAX_INTEGER_BITS = 63
_ABSENT = object()


def jsonable(value: Any) -> tuple[Any, list[str]]:
    """Return `value` as JSON can carry it, and the paths of what had to be left out.

    NaN and the infinities become strings; NumPy, torch, JAX and TensorFlow scalars become numbers;
    their small arrays, tuples and sets become lists; paths, dates and enum members become strings;
    integers of more than 63 bits become floats; what is not Unicode in a text becomes `?`. Mapping
    keys become strings. What is nested deeper than 32 levels, contains itself, comes after the first
    100,000 values, or is of any other kind is left out and named, as `config.optimizer` for example.
    """
    if type(value) is dict and _is_plain(plain := value.copy()):
        return plain, []
    cleaner = _Cleaner()
    cleaned = cleaner.clean(value, "", _MAX_DEPTH)
    return (None if cleaned is _ABSENT else cleaned), cleaner.dropped


def _is_plain(mapping: dict[Any, Any]) -> bool:
    """Whether a mapping holds nothing to clean, as that of nearly every epoch: this is the fast way."""
    for key, value in mapping.items():
        if type(key) is not str or not key.isascii():
            return False
        kind = type(value)
        if kind is float:
            is_plain = isfinite(value)
        elif kind is int:
            is_plain = value.bit_length() <= _MAX_INTEGER_BITS
        elif kind is str:
            is_plain = value.isascii()
        else:
            is_plain = value is None or kind is bool
        if not is_plain:
            return False
    return len(mapping) <= _MAX_VALUES


def clean_text(text: str) -> str:
    """Return a text that every database and every JSON parser takes: without lone surrogates."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


class _Cleaner:
    """One pass over one value. Bounded in depth and in the number of values."""

    def __init__(self) -> None:
        self.dropped: list[str] = []
        self._left = _MAX_VALUES
        self._inside: set[int] = set()

    def clean(self, value: Any, path: str, depth: int) -> Any:
        kind = type(value)
        if kind is float:
            return value if isfinite(value) else _non_finite(value)
        if kind is bool or value is None:
            return value
        if kind is str:
            return clean_text(value)
        if kind is int:
            return value if value.bit_length() <= _MAX_INTEGER_BITS else self._large(value, path)
        if depth == 0 or id(value) in self._inside:
            return self._drop(path)
        if isinstance(value, (Mapping, list, tuple, set, frozenset)):
            self._inside.add(id(value))
            try:
                if len(value) > self._left:
                    return self._drop(path)
                self._left -= len(value)
                return self._clean_container(value, path, depth - 1)
            except Exception:  # noqa: BLE001 - a lazy mapping may raise anything when it is read
                return self._drop(path)
            finally:
                self._inside.discard(id(value))
        return self._clean_object(value, path, depth - 1)

    def _drop(self, path: str) -> Any:
        self.dropped.append(path)
        return _ABSENT

    def _large(self, value: int, path: str) -> Any:
        try:
            return float(value)
        except OverflowError:
            return self._drop(path)

    def _clean_container(self, value: Any, path: str, depth: int) -> Any:
        if isinstance(value, Mapping):
            cleaned = {}
            for key in list(value):
                name = _key_text(key)
                place = f"{path}.{name}" if path else name
                try:
                    item = value[key]
                except Exception:  # noqa: BLE001 - this key alone
                    self.dropped.append(place)
                    continue
                child = self.clean(item, place, depth)
                if child is not _ABSENT:
                    cleaned[name] = child
            return cleaned
        children = [self.clean(item, f"{path}[{i}]", depth) for i, item in enumerate(value)]
        return [child for child in children if child is not _ABSENT]

    def _clean_object(self, value: Any, path: str, depth: int) -> Any:
        """Clean what is none of JSON's own types: numeric libraries' scalars and arrays, text-likes."""
        for convert in (_as_number, _as_list, _as_text):
            try:
                plain = convert(value)
            except Exception:  # noqa: BLE001, S112 - a foreign object may raise anything
                continue
            if plain is not _ABSENT:
                return self.clean(plain, path, depth)
        return self._drop(path or type(value).__name__)


def _key_text(key: Any) -> str:
    try:
        return clean_text(key if type(key) is str else str(key))
    except Exception:  # noqa: BLE001 - a foreign object may raise anything
        return type(key).__name__


def _as_number(value: Any) -> Any:
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    if _element_count(value) != 1:
        return _ABSENT
    item: Callable[[], Any] | None = getattr(value, "item", None)
    if item is not None:
        return item()
    if hasattr(value, "numpy"):
        return value.numpy().item()
    return float(value) if hasattr(value, "__float__") else _ABSENT


def _element_count(value: Any) -> int:
    """Return how many numbers an array-like holds: 1 for a scalar of any numeric library."""
    shape = getattr(value, "shape", ())
    return math.prod(int(size) for size in shape)


def _as_list(value: Any) -> Any:
    if _element_count(value) > _MAX_ARRAY_SIZE:
        return _ABSENT
    array = value.numpy() if hasattr(value, "numpy") and not hasattr(value, "tolist") else value
    return array.tolist() if hasattr(array, "tolist") else _ABSENT


def _as_text(value: Any) -> Any:
    if isinstance(value, str):  # a subclass: an enum member, numpy.str_
        return str(getattr(value, "value", value))
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return getattr(value, "name", _ABSENT) if hasattr(type(value), "__members__") else _ABSENT


def _non_finite(value: float) -> str:
    return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"

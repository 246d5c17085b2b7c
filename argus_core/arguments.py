"""Whether an argument makes sense; what makes none is said with its name and its value, when it is given."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from numbers import Real
from typing import Any, TypeVar

__all__ = ["seconds", "sensible", "switch", "wrong_kind"]

T = TypeVar("T")

logger = logging.getLogger(__name__)


def sensible(check: Callable[[str, Any], T], argument: str, value: Any, otherwise: T) -> T:
    """Return what `check` makes of a value. One that makes no sense is said in the log and is `otherwise`.

    For what training scripts call: nothing is raised.
    """
    try:
        return check(argument, value)
    except Exception as error:  # noqa: BLE001 - also what a foreign object raises when it is looked at
        # The user's mistake, so no traceback; what a foreign object raises does not name the argument.
        logger.error("argus: %s; %s counts as not given", error, argument)  # noqa: TRY400
        return otherwise


def switch(argument: str, value: Any) -> bool:
    """Return a switch; a text is none, `"false"` would be on.

    Raises:
        TypeError: it is neither True nor False.
    """
    if not _is_switch(value):
        raise wrong_kind(argument, "True or False", value)
    return bool(value)


def _is_switch(value: Any) -> bool:
    try:
        return value in (True, False)
    except Exception:  # noqa: BLE001 - an array for one cannot say what it is equal to
        return False


def seconds(argument: str, value: Any) -> float:
    """Return a length of time.

    Raises:
        TypeError: it is no number.
        ValueError: it is below 0, or NaN.
    """
    if not isinstance(value, Real) or isinstance(value, bool):
        raise wrong_kind(argument, "a number of seconds", value)
    if math.isnan(value) or value < 0:
        raise ValueError(f"{argument} is 0 seconds or more, got {value!r}")
    return float(value)


def wrong_kind(argument: str, wanted: str, value: object) -> TypeError:
    """Return the error of an argument that is something else than wanted."""
    return TypeError(f"{argument} is {wanted}, got {value!r:.100} ({type(value).__name__})")

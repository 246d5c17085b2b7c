"""Load the plugins, and call each of them in isolation from the others."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import pluggy

from argus_core import hookspecs
from argus_core.errors import ArgusError
from argus_core.events import Event
from argus_core.guard import swallowed
from argus_core.hookspecs import DROP

__all__ = ["call_each", "implements", "merge", "modify", "register", "unregister"]

logger = logging.getLogger(__name__)

_BUILT_IN = "argus_core.builtin.provenance"
_CONSOLE = "argus_core.builtin.console"

_lock = threading.RLock()
_manager: pluggy.PluginManager | None = None


def _renew_lock() -> None:
    """Give a forked child a lock of its own: another thread of its parent may have held ours."""
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


class PluginError(ArgusError):
    """A plugin returned what its hook does not take; the message names both."""


def register(plugin: object, name: str | None = None) -> None:
    """Add a plugin to this process. Any thread.

    Raises:
        ValueError: it is registered already, or implements a hook with arguments that it does not have.
    """
    try:
        _plugins().register(plugin, name)
    except pluggy.PluginValidationError as error:
        if _plugins().is_registered(plugin):  # older releases of pluggy keep its name
            _plugins().unregister(plugin)
        raise ValueError(str(error)) from error


def unregister(plugin: object) -> None:
    """Take a plugin out again."""
    _plugins().unregister(plugin)


def implements(hook: str) -> bool:
    """Whether any plugin implements `hook`: lets a hot path skip what nobody observes."""
    return bool(getattr(_plugins().hook, hook).get_hookimpls())


def call_each(hook: str, **arguments: Any) -> list[Any]:
    """Call `hook` on every plugin, the last registered first; one that raises is logged and passed over.

    Returns:
        What the plugins returned, but None.
    """
    return [result for _, result in _results(hook, arguments)]


def _results(hook: str, arguments: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for implementation in reversed(getattr(_plugins().hook, hook).get_hookimpls()):
        try:
            result = implementation.function(*(arguments[name] for name in implementation.argnames))
        except Exception as error:
            swallowed(error, f"{hook} of plugin {implementation.plugin_name}")
            continue
        if result is not None:
            yield implementation.plugin_name, result


def merge(hook: str, own: Mapping[str, Any], **arguments: Any) -> dict[str, Any]:
    """Return `own` and what the plugins add to it; `own` wins, then the plugin that comes first.

    A clash of two values is warned about, by the key and the plugin that lost; what is built in is only a
    default, and may lose.
    """
    merged = dict(own)
    for plugin, result in _results(hook, arguments):
        if not isinstance(result, Mapping):
            _wrong_result(hook, plugin, "a mapping", result)
            continue
        for key, value in result.items():
            if key not in merged:
                merged[key] = value
            elif plugin != _name_of(_BUILT_IN) and merged[key] is not value and merged[key] != value:
                logger.warning("argus: %s of plugin %s is left out, the key has a value already", key, plugin)
    return merged


def modify(event: Event) -> Event | None:
    """Return the event as the plugins want it written, None to drop it."""
    hook = "argus_modify_event"
    for implementation in reversed(_plugins().hook.argus_modify_event.get_hookimpls()):
        try:
            result = implementation.function(*(event for _ in implementation.argnames))
        except Exception as error:
            swallowed(error, f"{hook} of plugin {implementation.plugin_name}")
            continue
        if result is DROP:
            return None
        if isinstance(result, Event):
            event = result
        elif result is not None:
            _wrong_result(hook, implementation.plugin_name, "an Event, DROP or None", result)
    return event


def _wrong_result(hook: str, plugin: str, wanted: str, result: object) -> None:
    where = f"{hook} of plugin {plugin}"
    swallowed(PluginError(f"{where} must return {wanted}, got {result!r:.200}"), where)


def _plugins() -> pluggy.PluginManager:
    """Return the manager, made and filled on first use."""
    global _manager
    if _manager is None:
        with _lock:
            if _manager is None:
                manager = pluggy.PluginManager("argus")
                manager.add_hookspecs(hookspecs)
                _load(manager)
                _manager = manager
    return _manager


def _load(manager: pluggy.PluginManager) -> None:
    """Register the built-in plugins, then those of the entry points, so that these win.

    The console is left out where nobody asks for it: it would cost every event a call.
    """
    from importlib import import_module
    from importlib.metadata import entry_points

    is_asked_for = os.environ.get("ARGUS_PROGRESS", "") not in ("", "0")
    for name in (_BUILT_IN, _CONSOLE) if is_asked_for else (_BUILT_IN,):
        manager.register(import_module(name), _name_of(name))
    for entry_point in entry_points(group="argus"):
        try:
            if not manager.has_plugin(entry_point.name):
                manager.register(entry_point.load(), entry_point.name)
        except Exception as error:
            swallowed(error, f"loading plugin {entry_point.name}")


def _name_of(module: str) -> str:
    return module.rpartition(".")[2]

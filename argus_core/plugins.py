"""Load the plugins, and call each of them in isolation from the others."""

from __future__ import annotations

import threading
from typing import Any

import pluggy

from argus_core import hookspecs
from argus_core.guard import swallowed

__all__ = ["call_each", "implements", "register", "unregister"]

_lock = threading.Lock()
_manager: pluggy.PluginManager | None = None


def register(plugin: object, name: str | None = None) -> None:
    """Add a plugin to this process. Any thread.

    Raises:
        ValueError: it is registered already.
    """
    _plugins().register(plugin, name)


def unregister(plugin: object) -> None:
    """Take a plugin out again."""
    _plugins().unregister(plugin)


def implements(hook: str) -> bool:
    """Whether any plugin implements `hook`: lets a hot path skip what nobody observes."""
    return bool(getattr(_plugins().hook, hook).get_hookimpls())


def call_each(hook: str, **arguments: Any) -> None:
    """Call `hook` on every plugin, in pluggy's order; one that raises is logged and passed over."""
    implementations = getattr(_plugins().hook, hook).get_hookimpls()
    for implementation in reversed(implementations):
        try:
            implementation.function(*(arguments[name] for name in implementation.argnames))
        except Exception as error:
            swallowed(error, f"{hook} of plugin {implementation.plugin_name}")


def _plugins() -> pluggy.PluginManager:
    """Return the manager, made and filled from the entry points on first use."""
    global _manager
    with _lock:
        if _manager is None:
            manager = pluggy.PluginManager("argus")
            manager.add_hookspecs(hookspecs)
            _load_entry_points(manager)
            _manager = manager
    return _manager


def _load_entry_points(manager: pluggy.PluginManager) -> None:
    from importlib.metadata import entry_points

    for entry_point in entry_points(group="argus"):
        try:
            if not manager.has_plugin(entry_point.name):
                manager.register(entry_point.load(), entry_point.name)
        except Exception as error:
            swallowed(error, f"loading plugin {entry_point.name}")

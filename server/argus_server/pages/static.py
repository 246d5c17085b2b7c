"""The files that pages load: each under a name with its hash, packed once, kept by browsers for ever."""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import re
from functools import cache, cached_property
from importlib import resources
from pathlib import Path

from litestar import Request, Response, get
from litestar.exceptions import NotFoundException

from argus_server.auth import public
from argus_server.threads import in_thread

__all__ = ["PLOTLY", "STATIC_ROUTES", "StaticFile", "plotly_styles", "static_files"]

PLOTLY = "plotly.min.js"
_TYPES = {"css": "text/css", "svg": "image/svg+xml", "js": "text/javascript"}  # Litestar adds the charset
_STYLE_ID = re.compile(rb'document\.getElementById\("([0-9a-f]{64})"\)')


class StaticFile:
    """A file that travels in a package; `name` carries its hash, so it may be cached for ever."""

    def __init__(self, plain_name: str, content: bytes) -> None:
        stem, _, ending = plain_name.rpartition(".")
        self.name = f"{stem}.{hashlib.sha256(content).hexdigest()[:12]}.{ending}"
        self.content = content
        self.media_type = _TYPES[ending]

    @cached_property
    def packed(self) -> bytes:
        """The content as gzip: made when it is first asked for, and once."""
        return gzip.compress(self.content, 6, mtime=0)


@cache
def static_files() -> dict[str, StaticFile]:
    """Return the static files by their plain names; Plotly among them where its package is installed."""
    files = {}
    for entry in sorted(resources.files("argus_server").joinpath("static").iterdir(), key=lambda e: e.name):
        if entry.name.rpartition(".")[2] in _TYPES:
            files[entry.name] = StaticFile(entry.name, entry.read_bytes())
    if (content := _plotly()) is not None:
        files[PLOTLY] = StaticFile(PLOTLY, content)
    return files


def _plotly() -> bytes | None:
    """Return the script in the wheel `plotly`, without an import of the package, which takes a second."""
    found = importlib.util.find_spec("plotly")
    for folder in (found.submodule_search_locations or ()) if found is not None else ():
        script = Path(folder) / "package_data" / PLOTLY
        if script.is_file():
            return script.read_bytes()
    return None


@cache
def plotly_styles() -> list[str]:
    """Return the ids under which Plotly looks for styles of its own before it adds them.

    A strict policy forbids them. Plotly leaves each out where an element has its id: `templates/curves.html`
    gives the one of all charts to `static/plotly.css`, and the others, of maps, to nothing.
    """
    file = static_files().get(PLOTLY)
    return sorted({name.decode() for name in _STYLE_ID.findall(file.content)}) if file is not None else []


@get("/static/{name:str}", guards=[public], opt={"uncompressed": True})
@in_thread
def static_file(request: Request) -> Response[bytes]:  # type: ignore[type-arg]
    """Return a file whose name carries its hash; browsers may keep it for ever."""
    name = request.path_params["name"]
    file: StaticFile | None = request.app.state.static.get(name)
    if file is None:
        raise NotFoundException(detail=f"no static file {name!r}")
    headers = {"Cache-Control": "public, max-age=31536000, immutable", "Vary": "Accept-Encoding"}
    if "gzip" not in request.headers.get("accept-encoding", ""):
        return Response(file.content, media_type=file.media_type, headers=headers)
    headers["Content-Encoding"] = "gzip"
    return Response(file.packed, media_type=file.media_type, headers=headers)


STATIC_ROUTES = [static_file]

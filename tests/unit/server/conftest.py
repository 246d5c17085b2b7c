from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import statements  # noqa: F401 - its import is what counts
from litestar.testing import TestClient
from unit.server.spare_apps import SpareApps
from unit.server.wire import NOW_US

from argus_server.settings import Limits, Settings


class Server:
    """A running application with a token of each scope, and a client that uses them."""

    def __init__(self, client: TestClient) -> None:
        self.client = client
        self.store = client.app.state.store
        self.store.queries.clock = lambda: NOW_US
        credentials = self.store.credentials
        self.tokens = {scope: credentials.create_token(scope) for scope in ("report", "read", "admin")}

    def request(self, method: str, path: str, *, scope: str | None = "admin", html: bool = False, **more):
        headers = dict(more.pop("headers", {}))
        if scope is not None:
            headers["Authorization"] = f"Bearer {self.tokens.get(scope, scope)}"
        if html:
            headers["Accept"] = "text/html"
        return self.client.request(method, path, headers=headers, follow_redirects=False, **more)

    def get(self, path: str, **more):
        return self.request("GET", path, **more)

    def page(self, path: str) -> str:
        answer = self.get(path, html=True)
        assert answer.status_code == 200, answer.text
        return answer.text

    def post(self, path: str, **more):
        return self.request("POST", path, scope=more.pop("scope", "report"), **more)

    def send(self, *events) -> list[dict]:
        answer = self.post("/api/events/batch", json={"events": list(events)})
        assert answer.status_code == 200, answer.text
        return answer.json()["results"]


@pytest.fixture(scope="session")
def spare_apps() -> SpareApps:
    return SpareApps()


@contextmanager
def _servers(path: Path, new_sqlite: Callable[[Path], str], spare_apps: SpareApps) -> Iterator:
    """Yield a function that starts servers with one database between them; they end with the context."""
    clients: list[TestClient] = []

    def make(**changes) -> Server:
        settings = Settings(database=str(path) if path.exists() else new_sqlite(path), **changes)
        clients.append(TestClient(spare_apps.take(settings), base_url="http://127.0.0.1:8421"))
        return Server(clients[-1].__enter__())

    yield make
    for client in clients:
        client.__exit__(None, None, None)
        spare_apps.give_back(client.app)


@pytest.fixture
def make_server(tmp_path: Path, new_sqlite, spare_apps) -> Iterator:
    with _servers(tmp_path / "argus.sqlite3", new_sqlite, spare_apps) as make:
        yield make


@pytest.fixture(scope="module")
def make_board(tmp_path_factory, new_sqlite, spare_apps) -> Iterator:
    """Return what starts servers for all tests of a module: filled once, they are only read."""
    with _servers(tmp_path_factory.mktemp("board") / "argus.sqlite3", new_sqlite, spare_apps) as make:
        yield make


@pytest.fixture
def server(make_server) -> Server:
    return make_server()


@pytest.fixture
def small_server(make_server) -> Server:
    return make_server(
        page_rows=2, limits=Limits(body_bytes=20_000, expanded_bytes=40_000, metrics=5, key_length=20)
    )

"""Views with a name, whichever database keeps them."""

import pytest
from unit.server.wire import done

from argus_server.errors import BadView, UnknownProject


@pytest.fixture
def views(store):
    store.add_events([done("j", MSE=1.0), done("j", project="other", MSE=1.0)])
    return store.saved_views


def named(views, project="p", page="leaderboard"):
    return [(view.name, view.query) for view in views.of(project, page)]


def test_a_view_is_saved_saved_over_renamed_and_deleted(views):
    views.save("p", "leaderboard", "Fast ones", "sort=Latency_P50")
    views.save("p", "leaderboard", "Best", "")
    views.save("p", "leaderboard", "Fast ones", "sort=Latency_P95")
    assert named(views) == [("Fast ones", "sort=Latency_P95"), ("Best", "")]

    views.rename("p", "leaderboard", "Fast ones", "Küche ⚡")
    assert named(views) == [("Küche ⚡", "sort=Latency_P95"), ("Best", "")]

    views.delete("p", "leaderboard", "Küche ⚡")
    assert named(views) == [("Best", "")]


def test_views_of_other_projects_and_pages_are_others(views):
    for project, page in (("p", "leaderboard"), ("p", "matrix"), ("other", "leaderboard")):
        views.save(project, page, "one", f"q={project}{page}")

    views.rename("p", "leaderboard", "one", "two")
    views.delete("p", "matrix", "one")

    assert named(views) == [("two", "q=pleaderboard")]
    assert named(views, "p", "matrix") == []
    assert named(views, "other") == [("one", "q=otherleaderboard")]


def test_a_name_is_taken_once_and_what_is_not_there_is_named(views):
    views.save("p", "leaderboard", "one", "q=1")
    views.save("p", "leaderboard", "two", "q=2")

    with pytest.raises(BadView, match="there is a view 'one' already"):
        views.rename("p", "leaderboard", "two", "one")
    with pytest.raises(BadView, match="no saved view 'three'"):
        views.rename("p", "leaderboard", "three", "four")
    with pytest.raises(BadView, match="no saved view 'three'"):
        views.delete("p", "leaderboard", "three")
    assert named(views) == [("one", "q=1"), ("two", "q=2")]


@pytest.mark.parametrize("name", ["", " ", "a\nb", "a\x00", "x" * 81, "\u202eabc", "\ud800"])
def test_a_name_is_one_line_that_can_be_read(views, name):
    with pytest.raises(BadView, match="is no name for a view"):
        views.save("p", "leaderboard", name, "")
    assert named(views) == []


def test_there_is_an_end_to_the_views_of_a_project(views):
    for number in range(100):
        views.save("p", "leaderboard", f"view {number}", "")

    with pytest.raises(BadView, match="100 saved views"):
        views.save("p", "leaderboard", "one more", "")
    with pytest.raises(BadView, match="8000 are the most"):
        views.save("p", "leaderboard", "view 0", "q=" + "x" * 8000)
    views.save("p", "leaderboard", "view 7", "q=1")
    assert len(named(views)) == 100


def test_a_project_that_nobody_has_named_has_no_views(views):
    for ask in (
        lambda: views.of("nope", "leaderboard"),
        lambda: views.save("nope", "leaderboard", "one", ""),
    ):
        with pytest.raises(UnknownProject):
            ask()

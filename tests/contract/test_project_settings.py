"""What a project's settings do to its board, and that they can be taken back, on both databases."""

import msgspec
import pytest
from unit.server.wire import done, job, start

from argus_server.errors import BadSettings, UnknownProject
from argus_server.ranking.rank import rank
from argus_server.ranking.registry import Correction, MetricSetting, Settings
from argus_server.ranking.view import View


@pytest.fixture
def filled(store):
    store.add_events([*job("a", "m1", MSE=0.3, R2=0.5), *job("b", "m2", mse=0.2), *job("c", "m3", MSE=400.0)])
    return store


def board(store, view=None, project="p"):
    view = view or View()
    with store.queries.board(project, view) as found:
        return rank(view, found)


def setting(store, **metrics):
    return store.settings.change("p", lambda known: msgspec.structs.replace(known, metrics=metrics))


def values(table, key="MSE"):
    return {row.job_id: row.cells[key].number for row in table.rows}


def everything(store):
    return [
        repr(board(store, View(sort=sort, group=group)))
        for sort in ("", "MSE", "R2")
        for group in ("job", "cell")
    ]


def test_an_alias_ranks_under_its_metric_and_can_be_taken_back(filled):
    before = everything(filled)

    setting(filled, mse=MetricSetting(alias_of="MSE"))

    table = board(filled)
    assert values(table) == {"b": 0.2, "a": 0.3, "c": 400.0}
    assert [row.rank for row in table.rows] == [1, 2, 3]
    assert "mse" not in [column.key for column in table.columns]

    setting(filled)
    assert everything(filled) == before


def test_the_events_and_the_registry_keep_what_was_sent(filled):
    setting(filled, mse=MetricSetting(alias_of="MSE"))

    assert filled.queries.job("p", "b", "b").metrics == {"mse": 0.2}
    assert [(item.key, item.count) for item in filled.settings.registry("p")] == [
        ("MSE", 2),
        ("R2", 1),
        ("mse", 1),
    ]


def test_a_name_that_nobody_sent_may_be_what_others_are_aliases_of(filled):
    setting(filled, mse=MetricSetting(alias_of="error"), MSE=MetricSetting(alias_of="error"))

    table = board(filled, View(sort="error"))

    assert values(table, "error") == {"b": 0.2, "a": 0.3, "c": 400.0}


def test_a_job_that_sent_both_names_keeps_the_value_of_the_name_itself(filled):
    filled.add_events(job("d", "m4", MSE=0.1, mse=9.0))

    setting(filled, mse=MetricSetting(alias_of="MSE"))

    assert values(board(filled))["d"] == 0.1


def test_a_correction_changes_the_values_it_takes_and_can_be_taken_back(filled):
    before = everything(filled)

    setting(filled, MSE=MetricSetting(corrections=(Correction(0.001, over=100.0),)))

    assert values(board(filled)) == {"a": 0.3, "c": 0.4, "b": None}

    setting(filled)
    assert everything(filled) == before


def test_a_correction_may_hold_for_some_batches_only(filled):
    setting(filled, MSE=MetricSetting(corrections=(Correction(2.0, batches=("other",)),)))

    assert values(board(filled))["a"] == 0.3


def test_results_that_come_after_the_settings_rank_by_them(filled):
    setting(filled, mse=MetricSetting(alias_of="MSE"))

    filled.add_events(job("late", "m5", mse=0.1))

    assert values(board(filled))["late"] == 0.1


def test_projections_made_anew_follow_the_settings(filled):
    setting(filled, mse=MetricSetting(alias_of="error"), MSE=MetricSetting(corrections=(Correction(10.0),)))
    before = everything(filled)

    filled.rebuild("p")

    assert everything(filled) == before


def test_values_within_the_resolution_share_their_rank(filled):
    filled.add_events(job("d", "m4", MSE=0.31))  # 0.31 − 0.3 is 0.010000000000000009

    setting(filled, MSE=MetricSetting(resolution=0.01))

    table = board(filled)
    assert {row.job_id: row.rank for row in table.rows} == {"a": 1, "d": 1, "c": 3, "b": None}
    assert {row.job_id: row.cells["MSE"].mark for row in table.rows} == {
        "a": "best",
        "d": "best",
        "c": "",
        "b": "",
    }


def test_what_is_set_of_a_metric_wins_over_what_jobs_declare(filled):
    filled.add_events([start("d"), done("d", R2=0.9)])

    setting(
        filled,
        MSE=MetricSetting(direction="higher", label="Error", unit="m²"),
        R2=MetricSetting(role="hidden"),
    )

    table = board(filled)
    (column,) = [item for item in table.columns if item.key == "MSE"]
    assert (column.direction, column.label, column.unit) == ("higher", "Error", "m²")
    assert "R2" not in [item.key for item in table.columns]
    assert table.rows[0].job_id == "c"


def test_the_primary_metric_ranks_when_the_url_names_none(filled):
    filled.settings.change("p", lambda known: msgspec.structs.replace(known, primary="R2"))

    assert board(filled).ranked_by == "R2"


@pytest.mark.parametrize(
    ("metrics", "named"),
    [
        ({"a": MetricSetting(alias_of="a")}, "'a' cannot be another name of itself"),
        ({"a": MetricSetting(alias_of="b"), "b": MetricSetting(alias_of="c")}, "which is one itself"),
        ({"a": MetricSetting(resolution=-1.0)}, "-1.0 is no resolution"),
        ({"a": MetricSetting(corrections=(Correction(0.0),))}, "0.0 is no factor"),
    ],
)
def test_settings_that_contradict_themselves_change_nothing(filled, metrics, named):
    with pytest.raises(BadSettings, match=named):
        setting(filled, **metrics)

    assert filled.settings.read("p") == Settings()


def test_a_change_gives_the_project_a_new_version_and_none_does_not(filled):
    version = filled.queries.version("p")

    setting(filled)
    assert filled.queries.version("p") == version

    setting(filled, MSE=MetricSetting(label="Error"))
    assert filled.queries.version("p") != version


def test_a_project_that_nobody_named_has_no_settings(filled):
    with pytest.raises(UnknownProject):
        filled.settings.change("nobody", lambda known: known)
    with pytest.raises(UnknownProject):
        filled.settings.read("nobody")

"""The validation loss of many jobs at once is that of each job's own page, thinned."""

import math

from unit.server.wire import done, epoch, start


def own(store, batch, job):
    """Return what the page of one job draws."""
    losses = [(item.epoch, item.data.get("val_loss")) for item in store.queries.job("p", batch, job).epochs]
    return tuple((number, loss) for number, loss in losses if isinstance(loss, float) and math.isfinite(loss))


def test_short_curves_come_whole_and_long_ones_keep_both_ends(store):
    store.add_events([start("short"), *(epoch("short", i, at=i, val_loss=1 / (i + 1)) for i in range(16))])
    store.add_events([start("long"), *(epoch("long", i, at=i, val_loss=1 / (i + 1)) for i in range(500))])
    store.add_events([start("none"), done("none", MSE=1.0), start("other"), epoch("other", 0, val_loss=0.5)])

    found = store.queries.val_losses("p", [("b", "short"), ("b", "long"), ("b", "none"), ("b", "absent")])

    assert set(found) == {("b", "short"), ("b", "long")}
    assert found["b", "short"] == own(store, "b", "short")
    long = found["b", "long"]
    assert set(long) <= set(own(store, "b", "long"))
    assert (long[0][0], long[-1][0]) == (0, 499)
    assert 10 <= len(long) <= 20


def test_what_is_no_finite_number_is_left_out(store):
    values = [0.5, "NaN", None, "Infinity", "-Infinity", None, 0.25]
    store.add_events([start("j"), *(epoch("j", i, at=i, val_loss=value) for i, value in enumerate(values))])

    assert store.queries.val_losses("p", [("b", "j")]) == {("b", "j"): ((0, 0.5), (6, 0.25))}


def test_a_job_that_was_tried_again_shows_the_curve_of_its_page(store):
    first = [start("j"), *(epoch("j", i, at=i + 1, val_loss=1.0 + i) for i in range(90))]
    second = [start("j", at=200), *(epoch("j", i, at=200 + i, val_loss=0.5) for i in range(40, 60))]
    store.add_events([*first, *second])

    found = store.queries.val_losses("p", [("b", "j")])["b", "j"]

    assert set(found) <= set(own(store, "b", "j"))
    assert 10 <= len(found) <= 20
    assert (found[0], found[-1]) == ((0, 1.0), (59, 0.5))
    assert all((loss > 0.5) == (number < 40) for number, loss in found)


def test_a_curve_that_was_looked_at_takes_in_what_comes_later(store):
    jobs = [("b", "j"), ("b", "other")]

    def looked():
        return store.queries.val_losses("p", jobs)

    store.add_events(
        [start("j"), epoch("j", 0, val_loss=1.0), start("other"), epoch("other", 0, val_loss=4.0)]
    )
    assert looked() == {("b", "j"): ((0, 1.0),), ("b", "other"): ((0, 4.0),)}
    store.add_events([epoch("j", 1, at=2, val_loss=0.5), done("j", MSE=1.0)])
    assert looked() == {("b", "j"): ((0, 1.0), (1, 0.5)), ("b", "other"): ((0, 4.0),)}
    store.add_events([start("j", at=20), epoch("j", 0, at=21, val_loss=2.0)])
    assert looked()["b", "j"] == ((0, 2.0),)
    store.forget("p", "jobs", 2**60)
    store.add_events([start("third", at=30)])
    assert looked() == {name: own(store, *name) for name in looked()}

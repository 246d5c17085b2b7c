"""What a job costs: time, throughput, memory, utilisation, as columns of the leaderboard.

::

    with Footprint(model=model, seed=0) as footprint:
        with footprint.train():
            for epoch in range(epochs):
                with footprint.epoch():
                    for x, y in loader:
                        train_step(x, y)
                        footprint.step(samples=x)  # or the whole batch, or a number
        with footprint.test():
            for x, y in test_loader:
                with footprint.batch(samples=x):
                    model(x)
    job.done({"MSE": mse, **footprint.metrics()})

Times are in seconds, memory in MB (10^6 bytes), utilisation in percent. What cannot be measured is absent and
never 0. Memory stays constant for any number of batches. Training is never synchronised with a GPU;
frameworks are only looked up in `sys.modules`.
"""

from __future__ import annotations

from argus_core.footprint.clocks import SyncCuda
from argus_core.footprint.footprint import Footprint
from argus_core.footprint.model_size import model_footprint
from argus_core.footprint.quantiles import Quantiles
from argus_core.footprint.samples import samples_in
from argus_core.footprint.stages import BatchCount

__all__ = ["BatchCount", "Footprint", "Quantiles", "SyncCuda", "model_footprint", "samples_in"]

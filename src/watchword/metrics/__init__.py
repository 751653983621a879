"""Counts and measurements of a process: a port of two verbs.

    catalog     every metric that there is: name, labels, help, kind
    pages       the numbers of all workers, in memory that they share
    exposition  a scrape: text or OpenMetrics
    stores      the stores of the engine, counted
    levels      what goes up and down in one process
    charts      the figures of each minute that the console shows
    figures     what writes them
    measured    what measures a process that has a page

The engine counts by `Metrics`, with nothing behind it unless a server asks for it.
"""

from watchword.metrics.port import NO_METRICS as NO_METRICS
from watchword.metrics.port import Metrics as Metrics

"""How long a test waits for what must come.

Not how fast it should come: a machine with other work to do may be ten times as slow.
A test that has waited so long hangs. What the product promises in seconds is tested by
its own clock, or by the order of events.
"""

from typing import Final

PATIENCE: Final = 300.0

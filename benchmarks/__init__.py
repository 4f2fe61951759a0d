"""One script for each published figure. Before torch, the helpers say how its threads wait."""

import helpers  # noqa: F401

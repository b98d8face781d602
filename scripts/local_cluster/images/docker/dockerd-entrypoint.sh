#!/bin/sh
# The published image's program of this name prepares cgroups and TLS; what the chart needs of it is to run its arguments.
exec tini -g -- "$@"

#!/bin/sh
# Bounds what the steps of all Dockerfiles of a docker-api pod take together. Kubernetes runs it when dockerd's container
# starts, and the pod takes no build before it has ended. dockerd has no such option for builds: BuildKit puts each step
# into a control group of its own, all of them below the group "buildkit", which is bounded here. The daemon is outside
# of that group, so it goes on where a step is refused a process or is killed for its memory.
#
# PROCESSES       how many processes the steps may have, threads included; 0 for no bound
# STEPS_MEMORY    how many bytes of memory; empty for no bound
# PARENT          dockerd's --cgroup-parent
# CGROUPS         where the control groups are mounted
set -eu

attempts=100

fail() {
  # The second place is the log of the pod: Kubernetes keeps what a hook prints to itself.
  echo "docker-api-limits: $*. To run builds without bounds, set dockerApi.maxProcesses to 0 and dockerApi.resources without a memory limit." |
    tee /proc/1/fd/2 >&2
  exit 1
}

# v2: give a controller to the children of each group above "buildkit". The kernel refuses while the root has processes;
# the image's entry point moves them away at this time.
delegate() {
  folder=$CGROUPS
  echo "+$1" >"$folder/cgroup.subtree_control" || return
  for name in $(echo "$PARENT" | tr / ' '); do
    folder=$folder/$name
    echo "+$1" >"$folder/cgroup.subtree_control" || return
  done
}

# bound CONTROLLER FILE_V1 FILE_V2 VALUE
bound() {
  group=$CGROUPS/$1/$PARENT/buildkit file=$2
  [ ! -e "$CGROUPS/cgroup.controllers" ] || group=$CGROUPS/$PARENT/buildkit file=$3
  mkdir -p "$group" 2>/dev/null || fail "the group $group cannot be made; is the container privileged"
  if [ -e "$CGROUPS/cgroup.controllers" ]; then
    until delegate "$1" 2>/dev/null; do
      attempts=$((attempts - 1))
      [ "$attempts" -gt 0 ] || fail "the controller $1 cannot be given to $group"
      sleep 0.1
    done
  fi
  (echo "$4" >"$group/$file") 2>/dev/null || fail "$4 cannot be written to $group/$file"
}

[ "$PROCESSES" = 0 ] || bound pids pids.max pids.max "$PROCESSES"
[ -z "${STEPS_MEMORY-}" ] || bound memory memory.limit_in_bytes memory.max "$STEPS_MEMORY"

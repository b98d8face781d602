#!/bin/sh
# Keeps room on the disk of a docker-api pod: when more than HIGH percent are used, it removes images, those first that
# were not built for the longest, until less than LOW percent are. Each decision is one line.
#
# DATA           the daemon's data root
# SOCKET         the daemon's socket; a build on this node holds a shared lock on the directory around it
# HIGH, LOW      percent of the disk, or of LIMIT_KIB
# KEEP_SECONDS   images that were built within this time stay
# INTERVAL       seconds between two looks
# LIMIT_KIB      how much the daemon may have, in KiB, where its volume is bounded and its disk is not; 0 for the disk
set -u

# shellcheck disable=SC2016 # it is docker that expands them
FORMAT='{{json .Metadata.LastTagTime}} {{.Id}}={{range $i, $name := .RepoTags}}{{if $i}},{{end}}{{$name}}{{end}}'
RUNNING=75 # exit code of `remove` for "a build runs"; EX_TEMPFAIL of sysexits.h

say() {
  echo "$(date -u +%Y-%m-%dT%H:%M:%SZ) $*"
}

daemon() {
  docker --host "unix://$SOCKET" "$@"
}

# The used part of the disk, in percent; nothing where that cannot be told.
used() {
  if [ "$LIMIT_KIB" -gt 0 ]; then
    kib=$(du -sk "$DATA" 2>/dev/null | cut -f 1)
    echo $((kib * 100 / LIMIT_KIB))
  else
    df -Pk "$DATA" | awk 'NR == 2 { sub("%", "", $5); print $5 }'
  fi
}

# Images that may go, the longest unused first, each as "id=names". The daemon notes when a build gave an image its name,
# also where the build found all of it in the cache; an image's date of creation does not change then.
old_images() {
  before=$(date -u -d "@$(($(date +%s) - KEEP_SECONDS))" +%Y-%m-%dT%H:%M:%S)
  ids=$(daemon image ls --quiet --no-trunc) || return
  # shellcheck disable=SC2086 # one word for each
  [ -z "$ids" ] || images=$(daemon image inspect --format "$FORMAT" $ids) || return
  echo "${images-}" | tr -d '"' | sort -u | awk -v before="$before" '$1 < before { print $2 }'
}

# Each removal by itself, so that a build that comes waits for one image at most.
remove() (
  flock -x -n 9 || exit "$RUNNING"
  daemon image rm --force "$1" >/dev/null
) 9<"${SOCKET%/*}"

look() {
  if ! daemon version >/dev/null 2>&1; then
    say "skipped: the daemon does not answer"
    return
  fi
  first=$(used)
  if [ -z "$first" ]; then
    say "skipped: nobody can tell how full the disk of $DATA is"
    return
  fi
  if [ "$first" -le "$HIGH" ]; then
    say "nothing to do: $first % used, and $HIGH % may be"
    return
  fi
  if ! images=$(old_images); then
    say "skipped: the daemon does not tell its images"
    return
  fi
  for image in $images; do
    now=$(used)
    if [ "${now:-0}" -lt "$LOW" ]; then
      say "done: $first % were used, now $now % are"
      return
    fi
    words=$(remove "${image%%=*}" 2>&1)
    case $? in
      0) say "removed $image: $now % were used, and less than $LOW % is wanted" ;;
      "$RUNNING")
        say "skipped: a build runs on this node; $now % used, and $HIGH % may be"
        return
        ;;
      *) say "kept $image: $words" ;;
    esac
  done
  say "done: $first % were used, now $(used) % are; no image is left that was not built within $KEEP_SECONDS s"
}

trap 'exit 0' TERM INT
while true; do
  look
  sleep "$INTERVAL" &
  wait $!
done

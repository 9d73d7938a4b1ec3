#!/usr/bin/env bash
# Modes of the container:
#   train [OPTIONS]   train, in $REDOX_EXPERIMENTS/${REDOX_RUN:-first} unless --checkpoint-dir is given, and resume
#                     that run; refused with one line and exit code 78 where it could not work
#   smoke [SECONDS]   half a minute of real training on the embedded core
#   shell [...]       bash
#   anything else     a command of redox: doctor, report, design, ...
set -euo pipefail

EXIT_CONFIG=78       # of sysexits.h: a restart would not help
SMOKE_S=30           # seconds by default
LEAST_SHM=88000000   # bytes: Ray's smallest object store, and a tenth
DEFAULT_ACTORS=2     # of redox train
OLD_SPILL_MIN=1440   # minutes; objects spilled by a killed training are useless to the next

refuse() {
    echo "redox: $*" >&2
    exit "$EXIT_CONFIG"
}

# option NAME DEFAULT ARGUMENT...: the value that the last --name VALUE or --name=VALUE gives
option() {
    local name=$1 value=$2
    shift 2
    while (($#)); do
        case $1 in
        "$name") value=${2-} ;;
        "$name="*) value=${1#*=} ;;
        esac
        shift
    done
    echo "$value"
}

# Upper bounds of the trainer's own checks (see runs/preflight.py).
files_needed() { echo $((100 + 6 * $1)); }
processes_needed() { echo $((250 + 39 * $1)); }

# check_limit NAME LETTER NEEDED WANTED FOR: refuse a limit that is too low, warn of one below the settings
check_limit() {
    local limit
    limit=$(ulimit "-H$2")
    [[ $limit == unlimited ]] && return
    ((limit >= $3)) || refuse "$1 is $limit, $5 need $3: docker run --ulimit $1=$4:$4"
    ((limit >= $4)) || echo "redox: warning: $1 is $limit, the settings ask for $4: docker run --ulimit $1=$4:$4" >&2
}

check_shared_memory() {
    local size needed=$LEAST_SHM
    [[ $1 =~ ^[0-9]+$ ]] && (($1 * 11 / 10 > needed)) && needed=$(($1 * 11 / 10))
    size=$(df --block-size=1 --output=size /dev/shm | tail -n 1)
    ((size >= needed)) || refuse "/dev/shm has $size bytes, the object store needs $needed: docker run --shm-size $needed"
}

check_folder() {
    local trial
    { mkdir -p "$1" && trial=$(mktemp -p "$1" .writable.XXXXXX) && rm "$trial"; } 2>/dev/null ||
        refuse "$1 cannot be written by user $(id -u): mount a volume there, chown -R $(id -u) its folder, or free some disk"
}

check_clock() {
    (($(date +%s) >= REDOX_COMMIT_TIME)) ||
        refuse "the clock is at $(date -u +%FT%TZ), before this program was written: set the host's clock (timedatectl)"
}

train() {
    local actors cells processes who run spill=${RAY_object_spilling_directory:?}
    actors=$(option --num-actors "$DEFAULT_ACTORS" "$@")
    cells=$(option --cells 1 "$@")
    if [[ $actors =~ ^[0-9]{1,6}$ && $cells =~ ^[0-9]{1,6}$ ]]; then # otherwise the trainer reports the mistake
        processes=$actors who="$actors actors"
        ((cells <= 1)) || processes=$((actors + cells)) who+=" and $cells cells"
        check_limit nofile n "$(files_needed "$processes")" "$REDOX_NOFILE" "$who"
        check_limit nproc u "$(processes_needed "$processes")" "$REDOX_NPROC" "$who"
        ((actors == 0)) || check_shared_memory "$(option --object-store-bytes 0 "$@")"
    fi
    run=$(option --checkpoint-dir "" "$@")
    if [[ -z $run ]]; then
        run=$REDOX_EXPERIMENTS/${REDOX_RUN:-first}
        set -- "$@" --checkpoint-dir "$run"
    fi
    check_folder "$run"
    check_folder "$spill"
    check_clock
    find "$spill" -mindepth 1 -maxdepth 1 -name 'ray_spilled_objects_*' \
        -mmin "+$OLD_SPILL_MIN" -exec rm -rf {} +
    [[ -n $(option --resume "" "$@") ]] || set -- "$@" --resume auto
    echo "$run" >/tmp/redox-run # for the health check
    exec redox train "$@"
}

smoke() {
    local run seconds=${1:-$SMOKE_S}
    check_clock
    check_shared_memory 0
    run=$(mktemp -d)
    # In the foreground, or it sends the signal to the trainer and to its group: the second one ends it at once.
    timeout --foreground --preserve-status --signal TERM "$seconds" \
        redox train --timesteps 1000000000 --num-actors 2 --checkpoint-dir "$run" --json
    [[ -e $run/latest/manifest.json ]] || refuse "the training wrote no checkpoint within $seconds s"
}

mode=${1:-train}
case $mode in
train) train "${@:2}" ;;
smoke) smoke "${@:2}" ;;
shell) exec bash "${@:2}" ;;
*) exec redox "$@" ;;
esac

#!/bin/sh
# Measures every engine: ./measure.sh FOLDER ENGINE... (default: all three). The folder's disk is what is measured; it
# needs 10 GB. As root, reads of a store that is larger than memory run in a control group of 256 MB.
set -eu
export RUST_BACKTRACE=0
folder=$1
shift
[ $# -gt 0 ] || set -- sqlite redb fjall
here=$(dirname "$0")
cargo build --release --quiet --manifest-path "$here/Cargo.toml"
run="$here/target/release/engines"
limited() { "$@"; }
group=/sys/fs/cgroup/memory/myelin-engines
if mkdir "$group" 2>/dev/null; then
    echo 268435456 >"$group/memory.limit_in_bytes"
    limited() { sh -c 'echo $$ >"$0/cgroup.procs"; exec "$@"' "$group" "$@"; }
fi
"$run" sqlite fsync "$folder/fsync"
for engine; do
    for measure in commit1 commit32 commit1 commit32 fill:100000 read mixed; do
        echo "== $engine $measure"
        "$run" "$engine" "$measure" "$folder/$engine"
    done
    echo "== $engine, a larger store"
    "$run" "$engine" fill:400000 "$folder/$engine"
    echo "== $engine, in 256 MB"
    limited "$run" "$engine" pages "$folder/$engine"
    echo "== $engine, killed while it commits"
    "$run" "$engine" commit32 "$folder/$engine" >/dev/null &
    sleep 4
    kill -9 $!
    wait $! 2>/dev/null || true
    "$run" "$engine" open "$folder/$engine"
    echo "== $engine, backup"
    "$run" "$engine" backup "$folder/$engine"
    rm -rf "$folder/$engine/backup"
    echo "== $engine, range delete"
    "$run" "$engine" delete "$folder/$engine"
    rm -rf "$folder/$engine"
done
[ ! -d "$group" ] || rmdir "$group"

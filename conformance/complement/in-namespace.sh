#!/bin/sh
# Runs a program in mount and network namespaces of its own, where the ports that Complement's servers use are free and
# hosts files can be mounted: in-namespace.sh program [argument...]. As root, or in a user namespace where that is allowed.
set -eu

if [ "${IN_NAMESPACE:-}" != yes ]; then
    export IN_NAMESPACE=yes
    if [ "$(id -u)" -eq 0 ]; then
        exec unshare --mount --net -- "$0" "$@"
    fi
    exec unshare --user --map-root-user --mount --net -- "$0" "$@"
fi

ip link set lo up
exec "$@"

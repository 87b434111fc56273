#!/bin/sh
# Runs a program while the folder $SMALL_DISK is a disk of $SMALL_DISK_SIZE of its own, which nobody else sees. Needs root, as
# mounting does.
exec unshare --mount sh -c 'mount -t tmpfs -o "size=$SMALL_DISK_SIZE" tmpfs "$SMALL_DISK" && exec "$@"' sh "$CHROMIUM_PROGRAM" "$@"

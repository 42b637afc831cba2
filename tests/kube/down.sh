#!/usr/bin/env bash
# Take away all that up.sh started in FOLDER: processes, containers, mounts, control groups. The
# folder itself is the caller's. Whatever is missing already is no fault.
folder=$1
cd "$folder" || exit
for name in kubelet proxy scheduler controllers apiserver etcd; do
    [ -e $name.pid ] && kill -9 "$(cat $name.pid)" 2>/dev/null
done
containers() { timeout 20 ctr --address "$folder/containerd.sock" --namespace k8s.io "$@" 2>/dev/null; }
for task in $(containers tasks list --quiet); do
    containers tasks kill --signal SIGKILL --all "$task"
    containers tasks delete --force "$task" >/dev/null
done
for container in $(containers containers list --quiet); do containers containers delete "$container"; done
[ -e containerd.pid ] && kill "$(cat containerd.pid)" 2>/dev/null
for _ in $(seq 50); do
    kill -0 "$(cat containerd.pid 2>/dev/null)" 2>/dev/null || break
    sleep 0.1
done
awk -v folder="$folder/" 'index($2, folder) == 1 || $2 ~ "^/run/netns/cni-" {print $2}' /proc/mounts \
    | sort -r | while read -r mount; do umount "$mount" 2>/dev/null; done
rm -f /run/netns/cni-*
find /sys/fs/cgroup -depth -type d \( -path '*/kubepods*' -o -path '*/k8s.io*' \) \
    -exec rmdir {} + 2>/dev/null
[ -e sysctl.before ] && sysctl --quiet --load=sysctl.before
true

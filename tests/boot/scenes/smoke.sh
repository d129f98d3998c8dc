#!/bin/bash
# What every other scene rests on: systemd, the buses, polkit, the journal, credentials, and managers of users.
. /agentd/boot/lib.sh

equal "PID 1 is systemd" systemd "$(cat /proc/1/comm)"
check "systemd is up and no unit has failed" systemctl is-system-running
equal "the mode of the control groups is the one that was asked for" "$AGENTD_CGROUP" "$(unified && echo unified || echo hybrid)"
check "the system bus answers" busctl --quiet call org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus GetId
says "polkit answers" org.freedesktop.systemd1.manage-units \
    busctl call org.freedesktop.PolicyKit1 /org/freedesktop/PolicyKit1/Authority org.freedesktop.PolicyKit1.Authority EnumerateActions s C
check "a transient unit runs" systemd-run --quiet --wait true
refute "and its failure is told" systemd-run --quiet --wait false
systemd-run --quiet --wait -p LogNamespace=agentd-scene echo said-in-a-namespace
wait_until "the journal has namespaces" 10 sh -c 'journalctl --namespace=agentd-scene -o cat | grep -qx said-in-a-namespace'
silent "which are apart" said-in-a-namespace journalctl -o cat -t echo
equal "there is no network but lo" lo "$(sed -n '3,$s/^ *\([^:]*\):.*/\1/p' /proc/net/dev | xargs)"

useradd --create-home alice
uid=$(id -u alice)
refute "an ordinary user may start no unit of the system" as_user alice systemd-run --quiet --wait true
check "a user may linger" loginctl enable-linger alice
await "and then has a manager of its own" 20 active "user@$uid.service"
wait_until "which the user may ask" 20 as_user alice systemctl --user is-system-running
check "which runs units of the user" as_user alice systemd-run --user --quiet --wait true
end

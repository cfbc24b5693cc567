# shellcheck shell=bash
# What run-lab and run-tests share: packages, SDK, libvirtd, kernel setting, build. Sourced, never run.
# What is changed on the host is written down under $record first, so that it can be put back, also by a later run.

: "${record:?is the folder for what is to be put back}"
repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
configuration=Release
export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1 DOTNET_CLI_WORKLOAD_UPDATE_NOTIFY_DISABLE=1

packages=(qemu-system-x86 qemu-utils libvirt-daemon-system libvirt-daemon-driver-qemu libvirt-clients dnsmasq-base nftables iptables
    iproute2 ovmf seabios ipxe-qemu busybox-static cpio linux-image-cloud-amd64 dmidecode
    ca-certificates curl jq e2fsprogs kmod procps util-linux xz-utils perl-base
    qemu-guest-agent)   # for the lab's guests

[ -d /run/systemd/system ] || packages+=(tini)   # see start_libvirt

if [ -t 1 ] || [ "${WEAVE_COLOR:-}" = always ]; then bold=$'\e[1m' dim=$'\e[2m' plain=$'\e[0m'; else bold='' dim='' plain=''; fi
step() { printf '\n%s== %s%s\n' "$bold" "$*" "$plain"; }
say() { printf '   %s\n' "$*"; }
note() { printf '%s   %s%s\n' "$dim" "$*" "$plain"; }
die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

need_root() {
    [ "$(id -u)" = 0 ] && return
    command -v sudo > /dev/null || die "needs root (libvirt's system daemon, network namespaces): run it as root"
    exec sudo --preserve-env=PATH,HOME,DOTNET_ROOT,NUGET_PACKAGES "$0" "$@"
}

# --- what this run changed -------------------------------------------------------------------------------------------

# A process id means nothing after a reboot or when the number was given out again: start time and boot say which one it is.
process_mark() { echo "$1 $(sed 's/.*) //' "/proc/$1/stat" 2> /dev/null | cut -d' ' -f20) $(cat /proc/sys/kernel/random/boot_id)"; }
# Prints the id of the process that a mark names, if it still runs.
marked_process() {
    local pid
    [ -s "$1" ] || return 1
    pid=$(cut -d' ' -f1 "$1")
    [ -e "/proc/$pid/stat" ] && [ "$(process_mark "$pid")" = "$(cat "$1")" ] && echo "$pid"
}
stop_marked() {
    local pid
    if pid=$(marked_process "$1"); then
        kill "$pid" 2> /dev/null || true
        for _ in $(seq 300); do [ "$(marked_process "$1")" ] || break; sleep 0.1; done
        if marked_process "$1" > /dev/null; then return 1; fi
    fi
    rm -f "$1"
}
remember() { [ -e "$record/$1" ] || { mkdir -p "$record"; printf '%s\n' "$2" > "$record/$1"; }; }

# --- packages and SDK ------------------------------------------------------------------------------------------------

install_packages() {
    local missing=() package
    for package in "${packages[@]}"; do
        # shellcheck disable=SC2016  # a format of dpkg-query
        [ "$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2> /dev/null)" = 'ii ' ] || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    command -v apt-get > /dev/null || die "these Debian packages (or their like) are needed: ${missing[*]}"
    say "installing ${missing[*]}"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" > /dev/null
}

find_dotnet() {
    local folder
    for folder in "${DOTNET_ROOT:-}" /usr/local/share/dotnet "$HOME/.dotnet"; do
        if ! command -v dotnet > /dev/null && [ -n "$folder" ] && [ -x "$folder/dotnet" ]; then PATH=$folder:$PATH; fi
    done
    if ! command -v dotnet > /dev/null; then
        say "installing the .NET SDK in /usr/local/share/dotnet"
        local script
        script=$(mktemp)
        curl -fsSL --retry 3 -o "$script" https://dot.net/v1/dotnet-install.sh
        bash "$script" --channel 10.0 --install-dir /usr/local/share/dotnet > /dev/null
        rm -f "$script"
        PATH=/usr/local/share/dotnet:$PATH
    fi
    DOTNET_ROOT=$(dirname "$(readlink -f "$(command -v dotnet)")")
    export PATH DOTNET_ROOT
    # Without the ICU library the SDK starts only in this mode.
    ldconfig -p | grep -q libicuuc || export DOTNET_SYSTEM_GLOBALIZATION_INVARIANT=1
    (cd "$repo" && dotnet --version > /dev/null) || die "no .NET SDK that fits global.json; install .NET 10"
}

# --- libvirt ---------------------------------------------------------------------------------------------------------

virsh() { command virsh -q -c qemu:///system "$@"; }
libvirt_answers() { timeout 20 virsh -q -c qemu:///system version > /dev/null 2>&1; }

start_libvirt() {
    libvirt_answers && return
    remember firewall-before "$(nft list tables 2> /dev/null || true)"
    remember ip-forward "$(cat /proc/sys/net/ipv4/ip_forward)"
    remember boot "$(cat /proc/sys/kernel/random/boot_id)"
    if [ -d /run/systemd/system ]; then
        say "starting libvirtd (systemd)"
        remember libvirtd.unit libvirtd
        systemctl start libvirtd
    else
        say "starting virtlogd and libvirtd"
        local name
        for name in virtlogd libvirtd; do
            # A daemon that runs already is not ours, even when it does not answer yet.
            if [ -s "/run/$name.pid" ] && [ "$(cat "/proc/$(cat "/run/$name.pid")/comm" 2> /dev/null)" = $name ]; then continue; fi
            # Descriptors of ours (a lock, a pipe to tee) must not live on in a daemon.
            if [ $name = libvirtd ] && command -v tini > /dev/null; then
                # Machines are orphans of libvirtd, and ending one waits until it has been buried: a first process that is no init system may take seconds for that.
                setsid tini -s -- libvirtd > /dev/null 2>&1 < /dev/null 9>&- &
            else
                $name -d > /dev/null 2>&1 < /dev/null 9>&- || die "$name does not start; try '$name' in a terminal to see why"
            fi
            for _ in $(seq 100); do [ "$(cat "/proc/$(cat "/run/$name.pid" 2> /dev/null)/comm" 2> /dev/null)" = $name ] && break; sleep 0.1; done
            mkdir -p "$record"
            process_mark "$(cat "/run/$name.pid")" > "$record/$name.pid"
        done
    fi
    for _ in $(seq 100); do libvirt_answers && return; sleep 0.2; done
    die "libvirtd was started and does not answer on qemu:///system"
}

# Stops the daemons if start_libvirt started them, and nobody else has come to use them.
stop_libvirt() {
    [ -e "$record/libvirtd.unit" ] || [ -e "$record/libvirtd.pid" ] || [ -e "$record/virtlogd.pid" ] || return 0
    if [ -n "$(timeout 20 virsh list --name 2> /dev/null)" ]; then
        say "libvirtd stays: other machines run on it"
        return 1
    fi
    if [ -n "$(timeout 20 virsh net-list --name 2> /dev/null)" ]; then
        say "libvirtd stays: other networks are active on it"
        return 1
    fi
    if [ -e "$record/libvirtd.unit" ]; then
        systemctl stop libvirtd.service libvirtd.socket libvirtd-ro.socket libvirtd-admin.socket virtlogd.service virtlogd.socket virtlogd-admin.socket 2> /dev/null || true
        rm -f "$record/libvirtd.unit"
    fi
    stop_marked "$record/libvirtd.pid" || { say "libvirtd does not stop"; return 1; }
    stop_marked "$record/virtlogd.pid" || { say "virtlogd does not stop"; return 1; }
    if [ "$(cat "$record/boot" 2> /dev/null)" = "$(cat /proc/sys/kernel/random/boot_id)" ]; then
        grep -qE 'table ip6? (filter|nat|mangle)$' "$record/firewall-before" || forget_firewall
        # libvirt turns forwarding on with its first NAT network and never off again.
        cat "$record/ip-forward" > /proc/sys/net/ipv4/ip_forward
    fi
    rm -f "$record/firewall-before" "$record/ip-forward" "$record/boot"
}

# libvirt leaves its chains behind when it ends; only for a host that had none of these tables before.
forget_firewall() {
    local family table save
    for family in ip ip6; do
        save=iptables-save
        [ $family = ip6 ] && save=ip6tables-save
        for table in filter nat mangle; do
            nft list table $family $table > /dev/null 2>&1 || continue
            # Whoever else has put rules, chains or policies there meanwhile keeps them.
            if $save -t $table 2> /dev/null | grep -qvE '^(#|COMMIT|\*|:[A-Z]+ ACCEPT |:LIBVIRT_|-A .*LIBVIRT_)'; then continue; fi
            nft delete table $family $table
        done
    done
}

# --- kernel setting --------------------------------------------------------------------------------------------------

userfaultfd=/proc/sys/vm/unprivileged_userfaultfd
allow_userfaultfd() {
    [ -e $userfaultfd ] || { note "this kernel has no userfaultfd: snapshots of memory pause the machines longer"; return 0; }
    [ "$(cat $userfaultfd)" = 1 ] && return
    say "setting vm.unprivileged_userfaultfd=1 (was $(cat $userfaultfd)): QEMU needs it to save memory while the machine runs"
    remember userfaultfd "$(cat $userfaultfd) $(cat /proc/sys/kernel/random/boot_id)"
    echo 1 > $userfaultfd || note "the kernel refuses it: snapshots of memory pause the machines longer"
}
restore_userfaultfd() {
    [ -e "$record/userfaultfd" ] || return 0
    local old boot
    read -r old boot < "$record/userfaultfd"
    if [ "$boot" = "$(cat /proc/sys/kernel/random/boot_id)" ]; then
        echo "$old" > $userfaultfd
        say "vm.unprivileged_userfaultfd is $old again"
    fi
    rm -f "$record/userfaultfd"
}

# --- build -----------------------------------------------------------------------------------------------------------

# Puts the command and the service side by side under bin/app, and the launcher at bin/weave.
build_weave() {
    local project
    for project in src/Service src/Cli; do
        # Compiled ahead for this machine: the service is ready in half of the time, and each command a third sooner.
        # Its compiler and nodes live on for the next build, and would hold a lock of the caller's (9) as long.
        (cd "$repo" && dotnet publish -v q --nologo -c $configuration --use-current-runtime --self-contained false -p:PublishReadyToRun=true -o bin/app "$project" 9>&-) || die "$project does not build"
    done
    write_launcher
}
write_launcher() {
    cat > "$repo/bin/weave.new" << X
#!/bin/bash
export DOTNET_ROOT=\${DOTNET_ROOT:-$DOTNET_ROOT}
exec "\$(dirname "\$(readlink -f "\$0")")/app/weave" "\$@"
X
    chmod 755 "$repo/bin/weave.new"
    mv "$repo/bin/weave.new" "$repo/bin/weave"
}
environments() { "$repo/bin/weave" env list --json | jq -r '(.items? // .)[] | .name'; }

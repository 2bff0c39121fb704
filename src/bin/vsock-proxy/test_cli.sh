#!/bin/sh
# The command line of vsock-proxy, in TAP: exit status and text of each refusal, SIGTERM in order.
# Usage: test_cli.sh PROGRAM
proxy=$1
n=0
dir=$(mktemp -d /tmp/nitroseal-t-XXXXXX) || exit 1
trap 'rm -rf "$dir"' EXIT

report() { # CONDITION NAME
    n=$((n + 1))
    if [ "$1" = 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2"; fi
}

refused() { # STATUS TEXT ARGS...
    status=$1 text=$2
    shift 2
    out=$("$proxy" --vsock "unix:$dir" "$@" 2>&1 >/dev/null)
    got=$?
    [ "$got" = "$status" ] && [ "$out" = "$text" ]
    report $? "$* gives $status: $text"
    [ "$out" = "$text" ] || echo "# got $got: $out"
}

refused 1 'Error: "Local port is not valid"' x localhost 443
refused 1 'Error: "Local port is not valid"' 4294967296 localhost 443
refused 1 'Error: "Remote port is not valid"' 8000 localhost 65536
refused 1 'Error: "Number of workers must not be 0"' -w 0 8000 localhost 443
refused 1 'Error: "Could not listen for connections: the address is of the other IP version"' \
    -6 8000 127.0.0.1 443
refused 2 'vsock-proxy: --ipv4 and --ipv6 exclude each other' -4 -6 8000 localhost 443
"$proxy" 8000 localhost >/dev/null 2>&1
[ $? = 2 ]
report $? "two arguments are a usage fault"
"$proxy" --help | grep -q -- --num_workers
report $? "--help shows the original's option"

"$proxy" --vsock "unix:$dir" -c /etc/hosts 8000 127.0.0.1 1 2>"$dir/log" &
pid=$!
for _ in 1 2 3 4 5 6 7 8 9 10; do
    [ -S "$dir/3.vsock_8000" ] && break
    sleep 0.1
done
refused 1 'Error: "Could not listen for connections: address already in use"' 8000 127.0.0.1 1
kill -TERM $pid
wait $pid
report $? "SIGTERM ends it with status 0"
[ ! -e "$dir/3.vsock_8000" ]
report $? "its socket is gone"
grep -q 'listening at="vsock 3:8000" remote=127.0.0.1 port=1' "$dir/log"
report $? "says where it listens"
grep -q 'allowlist is not enforced' "$dir/log"
report $? "says that the allowlist is not enforced"
echo "1..$n"

#!/bin/sh
# The command line of vsock-proxy, in TAP: exit status and text of each refusal, SIGTERM in order.
# Usage: test_cli.sh PROGRAM
proxy=$1
n=0
dir=$(mktemp -d /tmp/nitroseal-t-XXXXXX) || exit 1
trap 'rm -rf "$dir"' EXIT
unset NITROSEAL_VSOCK NITROSEAL_LOG NOTIFY_SOCKET LISTEN_PID LISTEN_FDS
cat >"$dir/list.yaml" <<'END'
allowlist:
- {address: localhost, port: 443}
- {address: 127.0.0.1, port: 1}
- {address: "::1", port: 1}
END

report() { # CONDITION NAME
    n=$((n + 1))
    if [ "$1" = 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2"; fi
}

refused() { # STATUS TEXT ARGS...
    status=$1 text=$2
    shift 2
    out=$("$proxy" --vsock "unix:$dir" --config "$dir/list.yaml" "$@" 2>&1 >/dev/null)
    got=$?
    [ "$got" = "$status" ] && [ "$out" = "$text" ]
    report $? "$* gives $status: $text"
    [ "$out" = "$text" ] || echo "# got $got: $out"
}

with_list() { # TEXT-OF-LIST ERROR
    printf '%b' "$1" >"$dir/other.yaml"
    refused 1 "Error: \"Error at checking the allowlist: $2\"" --config "$dir/other.yaml" 8000 127.0.0.1 1
}

refused 1 'Error: "Local port is not valid"' x localhost 443
refused 1 'Error: "Local port is not valid"' 4294967296 localhost 443
refused 1 'Error: "Remote port is not valid"' 8000 localhost 65536
ascii='Error: "Remote address is not valid: letters outside ASCII are written in their xn-- form (IDNA), here and in the allowlist"'
refused 1 "$ascii" 8000 kms.münchen.example 443
refused 1 "$ascii" 8000 'kms. example' 443
refused 1 "$ascii" 8000 '' 443
refused 1 'Error: "Number of workers must not be 0"' -w 0 8000 localhost 443
refused 1 'Error: "Number of workers is not valid"' --num_workers=four 8000 localhost 443
refused 1 'Error: "Error at checking the allowlist: the address is of the other IP version"' -6 8000 127.0.0.1 1
refused 2 'vsock-proxy: --ipv4 and --ipv6 exclude each other' -4 -6 8000 localhost 443
refused 2 'vsock-proxy: LOCAL_PORT REMOTE_ADDR REMOTE_PORT belong together, and 1 words are left' \
    8000 localhost 443 8001
denied='Error: "Error at checking the allowlist: The given address and port are not allowed"'
refused 1 "$denied" 8000 localhost 444
refused 1 "$denied" 8000 127.0.0.2 1
refused 1 "$denied" 8000 localhost 443 8001 127.0.0.2 1
out=$("$proxy" -c "$dir/none" 8000 localhost 443 2>&1 >/dev/null)
[ $? = 1 ] && [ "${out##*
}" = 'Error: "Error at checking the allowlist: Could not open the file"' ]
report $? "no allowlist: AWS's text comes last"
case $out in *" error vsock-proxy allowlist not read file=$dir/none why=\"no such file or folder\" see=\"--config FILE\""*) true ;; *) false ;; esac
report $? "and before it which file, and what is wrong with it"
with_list 'allowlist: [' 'Bad yaml format'
with_list 'list: []' 'No allowlist field'
with_list 'allowlist:\n- {port: 1}\n' 'No address field'
with_list 'allowlist:\n- {address: 127.0.0.1}\n' 'No port field or invalid type'
"$proxy" 8000 localhost >/dev/null 2>&1
[ $? = 2 ]
report $? "two arguments are a usage fault"
"$proxy" --help | grep -q -- --num_workers
report $? "--help shows the original's option"
"$proxy" -V | grep -q '^vsock-proxy [0-9]'
report $? "-V prints the version"

"$proxy" --vsock "unix:$dir" -c "$dir/list.yaml" 8000 127.0.0.1 1 8001 localhost 443 2>"$dir/log" &
pid=$!
for _ in 1 2 3 4 5 6 7 8 9 10; do
    [ -S "$dir/3.vsock_8001" ] && break
    sleep 0.1
done
refused 1 'Error: "Could not listen for connections: Could not bind to VsockAddr: address already in use"' 8000 127.0.0.1 1
kill -TERM $pid
wait $pid
report $? "SIGTERM ends it with status 0"
[ ! -e "$dir/3.vsock_8000" ] && [ ! -e "$dir/3.vsock_8001" ]
report $? "its sockets are gone"
grep -q 'listening at="vsock 3:8000" remote=127.0.0.1 port=1' "$dir/log" &&
    grep -q 'listening at="vsock 3:8001" remote=localhost port=443' "$dir/log"
report $? "says where it listens"

# The list that is shipped: well formed, no entry twice, and it allows KMS everywhere without asking for names.
shipped=$(dirname "$0")/../../../systemd/vsock-proxy.yaml
[ "$(grep -cvE '^(#.*|allowlist:|- \{address: kms(-fips)?\.[a-z]{2,4}(-[a-z]+)+-[0-9]+\.(amazonaws\.(com(\.cn)?|eu)|api\.(aws|amazonwebservices\.(com\.cn|eu))), port: 443\})$' "$shipped")" = 0 ] &&
    [ -z "$(sort "$shipped" | uniq -d)" ]
report $? "the shipped allowlist is well formed"
"$proxy" --vsock "unix:$dir" -c "$shipped" --dns 127.0.0.1:1 8000 kms.us-east-1.amazonaws.com 443 8001 kms-fips.us-gov-west-1.amazonaws.com 443 \
    8002 kms.cn-north-1.amazonaws.com.cn 443 8003 kms.eu-central-1.api.aws 443 8004 kms.eusc-de-east-1.amazonaws.eu 443 2>"$dir/log" &
pid=$!
for _ in 1 2 3 4 5 6 7 8 9 10; do
    [ -S "$dir/3.vsock_8004" ] && break
    sleep 0.1
done
kill -TERM $pid
wait $pid && grep -q 'at="vsock 3:8004"' "$dir/log"
report $? "the shipped allowlist allows KMS of five kinds"
refused 1 "$denied" -c "$shipped" --dns 127.0.0.1:1 8000 127.0.0.1 443
DESTDIR=$dir/root
export DESTDIR
mkdir -p "$DESTDIR/share" && cp "$shipped" "$DESTDIR/share/vsock-proxy.yaml"
install=$(dirname "$shipped")/install-allowlist
"$install" /share/vsock-proxy.yaml && cmp -s "$shipped" "$DESTDIR/etc/nitro_enclaves/vsock-proxy.yaml"
report $? "it is installed to the default path"
echo mine >"$DESTDIR/etc/nitro_enclaves/vsock-proxy.yaml"
"$install" /share/vsock-proxy.yaml && [ "$(cat "$DESTDIR/etc/nitro_enclaves/vsock-proxy.yaml")" = mine ]
report $? "and never over one that is there"
echo "1..$n"

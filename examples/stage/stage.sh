# The stage on which examples play, to be sourced: a folder that goes away, certificates that nobody else trusts, APIs on loopback.
# It needs keygress (in the PATH, or named in KEYGRESS), curl, openssl and Python 3, and no network.
set -eu
umask 077

stop() {
    printf 'error: %s\n' "$1" >&2
    exit 1
}

for program in curl openssl python3; do
    command -v "$program" >/dev/null || stop "this example needs \`$program\`: apt-get install $program"
done
keygress=$(command -v "${KEYGRESS:-keygress}") || stop "no keygress: put it into the PATH, or name it with KEYGRESS=target/release/keygress"

# The callers of these examples run under your own user; a machine of yours gives keygress a user of its own.
export KEYGRESS_UNSAFE_SAME_UID=true
unset http_proxy https_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY all_proxy NO_PROXY no_proxy
stage=$(mktemp -d)
mkdir "$stage/secrets"
started=

leave() {
    for id in $started; do
        kill "$id" 2>/dev/null || true
    done
    wait
    rm -rf "$stage"
}
trap leave EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# begin NAME COMMAND…: in the background, until the example ends; what it prints is in $stage/NAME.log.
begin() {
    log=$stage/$1.log
    : >"$log"
    shift
    "$@" >"$log" 2>&1 &
    started="$started $!"
}

# told FILE SCRIPT: what this sed script finds in $stage/FILE, once it is there; at most a minute.
told() {
    tries=0
    while [ "$tries" -lt 600 ]; do
        found=$(sed -n "$2" "$stage/$1" | head -n 1)
        if [ -n "$found" ]; then
            printf '%s\n' "$found"
            return
        fi
        tries=$((tries + 1))
        sleep 0.1
    done
    cat "$stage/$1" >&2
    stop "what was expected in $1 did not come"
}

# ready NAME: a keygress that was begun answers, and has all that it starts with.
ready() {
    tries=0
    until "$keygress" health --admin-socket "$stage/$1.sock" >/dev/null 2>&1; do
        tries=$((tries + 1))
        if [ "$tries" -eq 600 ]; then
            cat "$stage/$1.log" >&2
            stop "$1 did not become ready"
        fi
        sleep 0.1
    done
}

# secret NAME PREFIX: a random key that starts like this, in $stage/secrets/NAME.
secret() {
    printf '%s%s' "$2" "$(openssl rand -hex 16)" >"$stage/secrets/$1"
}

# An authority for everybody in this example, in $stage/ca.pem.
authority() {
    cat >"$stage/ca.cnf" <<END
[req]
distinguished_name = name
x509_extensions = ca
prompt = no
[name]
CN = the authority of an example
[ca]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
END
    openssl req -x509 -config "$stage/ca.cnf" -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
        -keyout "$stage/ca.key" -out "$stage/ca.pem" 2>/dev/null
}

# certificate FILE NAME: for a subject alternative name such as DNS:localhost, in $stage/FILE.pem and $stage/FILE.key.
certificate() {
    printf 'subjectAltName = %s\n' "$2" >"$stage/$1.ext"
    openssl req -new -subj "/CN=$1" -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
        -keyout "$stage/$1.key" -out "$stage/$1.csr" 2>/dev/null
    openssl x509 -req -in "$stage/$1.csr" -CA "$stage/ca.pem" -CAkey "$stage/ca.key" -CAcreateserial -days 2 \
        -extfile "$stage/$1.ext" -out "$stage/$1.pem" 2>/dev/null
}

# api NAME SECRET: an API at https://localhost that the key in $stage/secrets/SECRET opens; its log says `ready PORT`.
api() {
    [ -e "$stage/api.pem" ] || certificate api DNS:localhost
    begin "$1" python3 -u "$(dirname "$0")/../stage/api.py" "$stage/api.pem" "$stage/api.key" "$stage/secrets/$2"
}

# answer CURL-ARGUMENTS…: the status, then what the API says, or the code of the refusal.
answer() {
    curl --silent --show-error --max-time 60 --output "$stage/answer" --write-out '%{http_code} ' "$@"
    printf '%s\n' "$(sed 's/.*"code": *"\([a-z_]*\)".*/keygress: \1/' "$stage/answer")"
}

# step TEXT: what comes next.
step() {
    printf '\n%s\n' "$1"
}

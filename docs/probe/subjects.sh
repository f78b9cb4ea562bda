#!/usr/bin/env bash
# Starts servers that are not ours, and some that are, one after the other, and probes each.
#
#   docs/probe/subjects.sh            all that are installed
#   docs/probe/subjects.sh redis      those whose name contains a word
#
# It needs `loadgen` and `server` in PATH (cargo build, then PATH=$PWD/target/debug:$PATH) and looks
# for the others there: python3, gunicorn, nginx, redis-server, socat, ncat, inetd, xinetd, apache2.
set -u
here=$(cd "$(dirname "$0")" && pwd)
only=${1-}
port=${PORT:-7300}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
PATH=$PATH:/usr/sbin

# subject NAME COMMAND [FLAGS OF THE PROBE...]; {port} in COMMAND stands for the port.
subject() {
    local name=$1 command=$2
    shift 2
    [[ $name == *"$only"* ]] || return 0
    command -v "${command%% *}" >/dev/null || { echo "# $name: not installed"; return 0; }
    port=$((port + 1))
    command=${command//\{port\}/$port}
    printf '# %s\n$ %s &\n$ loadgen probe :%s%s\n' "$name" "$(shown "$command")" "$port" "$(quoted "$@")"
    # In its own group, so that its children end with it.
    (cd "$here" && exec setsid $command) >"$scratch/log" 2>&1 &
    local pid=$!
    until (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do
        kill -0 $pid 2>/dev/null || { cat "$scratch/log"; return 0; }
        sleep 0.05
    done
    loadgen probe ":$port" "$@"
    echo
    kill -- -$pid 2>/dev/null
    wait $pid 2>/dev/null
}

# The command without the name of the scratch folder.
shown() { sed "s| --dir $scratch||; s|$scratch/||g" <<<"$1"; }
quoted() { (($#)) && printf ' %s' "${@@Q}" | sed "s/'\([A-Za-z0-9-]*\)'/\1/g"; }
# config NAME: the configuration on stdin, for the port of the next subject.
config() { sed "s/{port}/$((port + 1))/" >"$scratch/$1"; }

ours="--backlog 128"
for mode in sequential thread-per-connection async; do
    subject "server $mode" "server :{port} --mode $mode $ours"
done
for workers in 1 2 4 8 16; do
    for mode in thread-pool rayon process-pool; do
        subject "server $mode $workers" "server :{port} --mode $mode --workers $workers $ours"
    done
    subject "python ThreadPoolExecutor $workers" "python3 pool.py threads {port} $workers"
    subject "python ProcessPoolExecutor $workers" "python3 pool.py processes {port} $workers"
done
subject "python asyncio" "python3 pool.py asyncio {port}"

subject "socat, a process each" "socat TCP-LISTEN:{port},reuseaddr,fork PIPE"
subject "socat, 4 processes" "socat TCP-LISTEN:{port},reuseaddr,fork,max-children=4,backlog=16 PIPE"
subject "ncat, 4 connections" "ncat -l 127.0.0.1 {port} --keep-open --max-conns 4 --exec /bin/cat"

config inetd.conf <<'END'
127.0.0.1:{port} stream tcp nowait.100000 root /bin/cat cat
END
subject "inetd" "inetd -i $scratch/inetd.conf"

config xinetd.conf <<'END'
service cat
{
    type = UNLISTED
    bind = 127.0.0.1
    port = {port}
    socket_type = stream
    wait = no
    user = root
    server = /bin/cat
    instances = 4
    cps = 100000 1
}
END
subject "xinetd, 4 instances" "xinetd -dontfork -f $scratch/xinetd.conf"

http=(--protocol http)
subject "gunicorn sync" "gunicorn --bind 127.0.0.1:{port} --workers 4 --backlog 128 web:app" "${http[@]}"
subject "gunicorn gthread" \
    "gunicorn --bind 127.0.0.1:{port} --worker-class gthread --threads 4 web:app" "${http[@]}"
subject "python http.server" "python3 web.py {port}" "${http[@]}"

config nginx.conf <<END
daemon off;
pid $scratch/nginx.pid;
error_log $scratch/error.log;
worker_processes 1;
events {}
http {
    access_log off;
    server { listen 127.0.0.1:{port}; location / { return 200 "hello\n"; } }
}
END
subject "nginx" "nginx -c $scratch/nginx.conf" "${http[@]}"

for mpm in prefork event; do
    config apache-$mpm.conf <<END
LoadModule mpm_${mpm}_module /usr/lib/apache2/modules/mod_mpm_$mpm.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
ServerName localhost
Listen 127.0.0.1:{port}
PidFile $scratch/apache.pid
ErrorLog $scratch/error.log
DocumentRoot $here
StartServers 1
$([[ $mpm == event ]] && echo 'ThreadsPerChild 4')
MaxRequestWorkers 4
END
    subject "apache $mpm" "apache2 -DFOREGROUND -f $scratch/apache-$mpm.conf" \
        "${http[@]}" --path /web.py
done

subject "redis" "redis-server --port {port} --bind 127.0.0.1 --dir $scratch" \
    --protocol exchange --send 'PING\r\n' --until '+PONG\r\n'
subject "redis, 10 clients" "redis-server --port {port} --bind 127.0.0.1 --dir $scratch --maxclients 10" \
    --protocol exchange --send 'PING\r\n' --until '+PONG\r\n'

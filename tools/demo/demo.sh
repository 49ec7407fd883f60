#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Shows the main job: HTTP backends, a control plane that serves a folder, the agent, and a client in a
# cgroup of its own. Everything lives in namespaces that end with this script. Exits with 0 only if
# every claim was right.
set -euo pipefail

build=$(realpath "${1:?usage: demo.sh BUILD_DIRECTORY}")
here=$(realpath "$(dirname "$0")")

if [ "$(id -u)" -ne 0 ]; then
  echo "The demo loads BPF programs: run it as root." >&2
  exit 1
fi
# Own network, mount and PID namespaces, so that the demo's processes and mounts end with the demo.
if [ -z "${SOCKMESH_DEMO_INSIDE:-}" ]; then
  v2root=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
  [ -n "$v2root" ] || { echo "no cgroup v2 is mounted" >&2; exit 1; }
  cgroup="$v2root/sockmesh-demo-$$"
  # Removes what a demo that was killed with -9 left behind.
  for stale in "$v2root"/sockmesh-demo-* /tmp/sockmesh-demo-*; do
    if [ -d "$stale" ] && ! kill -0 "${stale##*-}" 2>/dev/null; then
      rmdir "$stale" 2>/dev/null || rm -rf "$stale" 2>/dev/null || true
    fi
  done
  mkdir "$cgroup"
  work=/tmp/sockmesh-demo-$$
  mkdir -m 700 "$work"
  child=
  finish() {
    status=$?
    set +e
    trap '' INT TERM HUP
    trap - EXIT
    if [ -n "$child" ]; then kill -KILL "$child" 2>/dev/null; wait "$child" 2>/dev/null; fi
    for _ in $(seq 100); do rmdir "$cgroup" 2>/dev/null && break; sleep 0.02; done
    rm -rf "$work"
    exit "$status"
  }
  trap finish EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  # If this script is killed with -9, its children are killed as well.
  SOCKMESH_DEMO_INSIDE=1 setpriv --pdeathsig KILL unshare --net --mount --pid --fork --kill-child --mount-proc \
    "$0" "$build" "$cgroup" "$work" &
  child=$!
  wait "$child" && status=0 || status=$?
  child=
  exit "$status"
fi

cgroup=$2 work=$3
bpffs=$work/bpf admin=127.0.0.1:18077
wrong=0

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
check() { # check DESCRIPTION COMMAND...
  if "${@:2}"; then echo "  ok: $1"; else echo "  WRONG: $1"; wrong=1; fi
}
await() { # await SECONDS WHAT COMMAND...: tries until the command succeeds
  local until=$((SECONDS + $1))
  until "${@:3}" >/dev/null 2>&1; do
    [ $SECONDS -lt $until ] || { echo "  gave up waiting for $2"; cat "$work"/*.log; exit 1; }
    sleep 0.05
  done
}
ctl() { "$build/bin/sockmeshctl" --bpffs-root "$bpffs" --admin-address "$admin" "$@"; }
client() { (echo $BASHPID >"$cgroup/cgroup.procs"; exec python3 "$here/http_peers.py" request "$@"); }
answers() { awk -v name="$1" '$1 == name { print $2 }' "$2"; }
between() { [ "${1:-0}" -ge "$2" ] && [ "${1:-0}" -le "$3" ]; }
get() { curl -fsS --max-time 2 "http://$admin$1"; }

resources() { # resources WEIGHT_A WEIGHT_B WEIGHT_C
  cat >"$work/xds/.next" <<YAML
resources:
- "@type": type.googleapis.com/envoy.config.listener.v3.Listener
  name: shop
  address: { socket_address: { address: 10.96.0.80, port_value: 80 } }
  filter_chains:
  - filters:
    - name: envoy.filters.network.tcp_proxy
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
        stat_prefix: shop
        cluster: shop
- "@type": type.googleapis.com/envoy.config.cluster.v3.Cluster
  name: shop
  type: EDS
  connect_timeout: 1s
  outlier_detection: { interval: 1s, base_ejection_time: 4s, consecutive_5xx: 3, max_ejection_percent: 34 }
  eds_cluster_config: { eds_config: { ads: {} } }
- "@type": type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment
  cluster_name: shop
  endpoints:
  - lb_endpoints:
    - load_balancing_weight: $1
      endpoint: { address: { socket_address: { address: 127.80.0.1, port_value: 8080 } } }
    - load_balancing_weight: $2
      endpoint: { address: { socket_address: { address: 127.80.0.2, port_value: 8080 } } }
    - load_balancing_weight: $3
      endpoint: { address: { socket_address: { address: 127.80.0.3, port_value: 8080 } } }
YAML
  mv "$work/xds/.next" "$work/xds/shop.yaml"
}
start_agent() {
  "$build/bin/sockmeshd" --config "$work/sockmeshd.yaml" >>"$work/agent.log" 2>&1 &
  agent=$!
  await 20 "the agent" get /readyz
}
start_backend() { # start_backend NAME ADDRESS: its process id is in backend_NAME
  python3 "$here/http_peers.py" serve "$1=$2" >"$work/backend-$1.log" 2>&1 &
  eval "backend_$1=$!"
  await 10 "backend $1" grep -q ready "$work/backend-$1.log"
}
metric() { get /metrics | awk -v name="$1" 'index($1, name) == 1 { print $2; exit }'; }
metric_is() { [ "$(metric "$1")" = "$2" ]; }
weights_applied() { ctl endpoint list --no-headers | awk -v want="$2" '$1 == "'"$1"'" { found = $5 == want } END { exit !found }'; }

ip link set lo up
mkdir -p "$work/xds"

say "1. Three HTTP backends, sockmesh-xds on a folder, sockmeshd. The VIP 10.96.0.80:80 exists nowhere."
start_backend a 127.80.0.1:8080
start_backend b 127.80.0.2:8080
start_backend c 127.80.0.3:8080
resources 1 1 1
"$build/bin/sockmesh-xds" --listen 127.0.0.1:18000 "$work/xds" >"$work/xds.log" 2>&1 &
cat >"$work/sockmeshd.yaml" <<YAML
node: { id: demo }
ads: { address: "127.0.0.1:18000" }
datapath: { cgroup_root: $cgroup, bpffs_root: $bpffs }
admin: { address: "$admin", socket: $work/admin.sock }
outlier_detection: { event_log_path: $work/ejections.log }
YAML
start_agent
ctl service list

say "2. 300 requests to the VIP, one connection each. Who answered?"
client 10.96.0.80:80 300 | tee "$work/even" || wrong=1
for name in a b c; do check "$name answered 100" between "$(answers $name "$work/even")" 100 100; done

say "3. The weights change in the file: a 8, b 1, c 1."
resources 8 1 1
await 10 "the new weights" weights_applied 127.80.0.1:8080 8
client 10.96.0.80:80 300 | tee "$work/weighted" || wrong=1
check "a answered 240" between "$(answers a "$work/weighted")" 240 240
check "b answered 30" between "$(answers b "$work/weighted")" 30 30
ctl endpoint list

say "4. The backend b dies. Its third refused connection in a row is its last."
resources 1 1 1
await 10 "the old weights" weights_applied 127.80.0.1:8080 1
kill -KILL "$backend_b"
wait "$backend_b" 2>/dev/null || true
client 10.96.0.80:80 300 >"$work/dying" || true
cat "$work/dying"
check "3 requests failed, then none" [ "$(answers failed "$work/dying")" = 3 ]
for name in a c; do check "$name answered its half" between "$(answers $name "$work/dying")" 145 152; done
ctl ejection list
active='sockmesh_outlier_detection_ejections_active{cluster="shop"}'
echo "  $active $(metric "$active")"
check "the metrics count one ejection" metric_is "$active" 1
echo "  b comes back; it stays out for its 4 seconds, and to the agent's next sweep:"
start_backend b 127.80.0.2:8080
await 15 "the return of b" metric_is "$active" 0
client 10.96.0.80:80 30 | tee "$work/returned" || wrong=1
check "b answers its share again" between "$(answers b "$work/returned")" 9 11
ctl ejection list --returned
grep -E '"action":' "$work/ejections.log" || wrong=1

say "5. The agent is killed with -9 while requests go on, and started again."
client 10.96.0.80:80 400 --until "$work/enough" --started "$work/started" >"$work/through" &
requests=$!
await 10 "the first requests" [ -e "$work/started" ]
kill -KILL "$agent"
wait "$agent" 2>/dev/null || true
echo "  the agent is dead; sockmeshctl reads the kernel's maps:"
ctl endpoint list
start_agent
touch "$work/enough"
wait "$requests" || wrong=1
cat "$work/through"
check "no request failed through kill and restart" [ "$(answers failed "$work/through")" = 0 ]
check "the restarted agent found its maps as it wants them" \
  grep -q "adopted 1 services and 3 endpoints, 0 writes" "$work/agent.log"

say "6. What sockmeshctl and /metrics say."
ctl status || wrong=1
get /metrics | grep -E '^sockmesh_connections_(selected|established|failed)_total' | head -n 12
selected=$(get /metrics | awk '/^sockmesh_connections_selected_total/ { n += $2 } END { print n + 0 }')
[ -z "${SOCKMESH_DEMO_METRICS:-}" ] || get /metrics >"$SOCKMESH_DEMO_METRICS"
check "the metrics count every request (at least 1000)" between "$selected" 1000 100000000

say "7. Cleaning up: the agent ends and its datapath is removed."
kill -TERM "$agent"
wait "$agent" || wrong=1
"$build/bin/sockmeshd" --config "$work/sockmeshd.yaml" --cleanup || wrong=1
check "no pins are left" [ -z "$(compgen -G "$bpffs/sockmesh-*")" ]
if client 10.96.0.80:80 1 >/dev/null 2>&1; then wrong=1; echo "  WRONG: the VIP still answers"; else
  echo "  ok: the VIP leads nowhere again"
fi

if [ $wrong -eq 0 ]; then say "The demo showed what it should."; else say "Something was WRONG, see above."; fi
exit $wrong

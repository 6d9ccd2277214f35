# shellcheck shell=bash
# The only file of the cases that knows this product: its command line, its configuration, its folders.
# Needs $OSIER (the binary), $W (the case's folder) and, for a_start, $URL.

a_osier() { # NODE ARGS...
    local node=$1; shift
    "$OSIER" --config "$W/$node.toml" --color never "$@"
}

# a_start NODE [url=U] [interval=1s] [section.key=TOML ...]: prints the pid, returns when the daemon answers.
a_start() {
    local node=$1 url=$URL interval=1s extra="" setting; shift
    for setting in "$@"; do
        case $setting in
            url=*) url=${setting#*=} ;;
            interval=*) interval=${setting#*=} ;;
            *) extra+="${setting%%=*} = ${setting#*=}"$'\n' ;;
        esac
    done
    { # dotted keys at the top, so that a case can set any of them
        printf 'node.name = "%s"\nnode.data_dir = "%s"\n' "$node" "$W/$node"
        printf 'repo.url = "%s"\nrepo.branch = "main"\nrepo.reconcile_interval = "%s"\n' "$url" "$interval"
        printf 'console.listen = ""\n%s' "$extra"
    } >"$W/$node.toml"
    a_spawn "$node"
    echo "$PID"
    wait_until 20 "a_answers $node" || { echo "$node does not answer" >&2; return 1; }
}

# a_spawn NODE: starts the daemon as it was configured, does not wait. Sets PID.
a_spawn() {
    # The program itself, not a function: its pid has to be the daemon's.
    "$OSIER" --config "$W/$1.toml" --color never daemon >>"$W/$1.log" 2>&1 </dev/null &
    PID=$!
    echo "$PID" >"$W/$1.pid"
    grep -qx "$1" "$W/nodes" 2>/dev/null || echo "$1" >>"$W/nodes"
}

a_answers() { a_osier "$1" status -o json >"$W/$1.answer" 2>/dev/null || [ $? = 1 ]; }
a_pid() { cat "$W/$1.pid"; }
a_log() { echo "$W/$1.log"; }
a_data() { echo "$W/$1"; }

# The keeper of a node: the process that runs `osier keeper` for its data folder.
a_keeper() {
    local file
    for file in $(grep -lzxF keeper /proc/[0-9]*/cmdline 2>/dev/null); do
        grep -zxF "$W/$1" "$file" >/dev/null 2>&1 && cut -d/ -f3 <<<"$file"
    done || true
}

# SIGTERM: the daemon leaves, its apps stay.
a_stop() { kill -TERM "$(a_pid "$1")" 2>/dev/null; wait_until 20 "! alive $(a_pid "$1")"; }
a_kill() { kill -KILL "$(a_pid "$1")" 2>/dev/null; wait_until 5 "! alive $(a_pid "$1")"; }
a_stop_apps() { a_osier "$1" stop --all -y >/dev/null; }

a_path() { echo "apps/$1/app.json"; }

# a_spec NAME k=v ...: the text of a spec.
a_spec() {
    local name=$1 spec setting key value; shift
    spec=$(jq -n --arg name "$name" '{name: $name, version: "1.0.0", source: {type: "none"}}')
    for setting in "$@"; do
        key=${setting%%=*} value=${setting#*=}
        spec=$(jq --arg key "$key" --arg value "$value" '
            if $key == "cmd" then .command = ($value | fromjson)
            elif $key | startswith("env.") then .env[$key[4:]] = $value
            elif $key == "depends_on" then .depends_on = ($value | split(","))
            elif $key == "http" then .health = {type: "http", port: ($value | split("/")[0] | tonumber),
                path: ($value | "/" + (split("/")[1:] | join("/"))), interval: "1s", timeout: "1s"}
            elif $key == "tcp" then .health = {type: "tcp", port: ($value | tonumber), interval: "1s", timeout: "1s"}
            elif $key == "health_timeout" then .upgrade.health_timeout = $value
            elif $key == "grace" then .stop.timeout = $value + "s"
            elif $key == "restart" then .restart.type = $value
            elif $key == "intensity" then .restart.intensity = ($value | tonumber)
            elif $key == "period" then .restart.period = $value + "s"
            elif $key == "backoff" then .restart.backoff = {initial: $value, max: $value}
            elif $key == "url" then .source = {type: "release", url: $value, sha256: .source.sha256}
            elif $key == "sha256" then .source.sha256 = $value
            else .[$key] = $value end' <<<"$spec") || return 1
    done
    printf '%s\n' "$spec"
}

# a_status NODE: {revision, state, error, blocked, apps: {NAME: {state, pid, restarts, version, desired, error}}}
a_status() {
    local status apps
    status=$(a_osier "$1" status -o json) || [ $? = 1 ] || return 1
    apps=$(a_osier "$1" apps -o json) || [ $? = 1 ] || return 1
    jq -n --argjson status "$status" --argjson apps "$apps" '
        def word: if . == "running" or . == "stopped" or . == "failed" then .
            elif . == "invalid" then "failed" else "pending" end;
        {revision: $status.last_commit, state: $status.status, error: $status.reason, blocked: $status.blocked,
         apps: ($apps | map_values({state: (.status | word), raw: .status, pid: .os_pid, restarts, version, health, sync,
            desired: .desired_version,
            error: (.last_error | if . == null then null
                else ([.file, .line, .column | values | tostring + ":"] | join("")) + " " + .message end)}))}'
}

# a_events NODE: one JSON a line {ts, kind, app, ...}
a_events() {
    a_osier "$1" events -o jsonl | jq -c '{ts: .timestamp, kind: (.event[1:] | join(".")), app: .metadata.app,
        duration_ms: .measurements.duration_ms, metadata: .metadata}'
}

a_reconcile() { a_osier "$1" reconcile --wait --timeout 20s -o json >/dev/null; }

# The operator's word for a history that was rewritten, or for many removals at once.
a_accept() {
    case $(a_status "$1" | jq -r '.blocked.kind // "none"') in
        prune) a_osier "$1" reconcile --prune --wait --timeout 20s -o json >/dev/null ;;
        *) a_osier "$1" reconcile --accept "$2" --wait --timeout 20s -o json >/dev/null ;;
    esac
}

a_logs() { a_osier "$1" logs "$2" "${@:3}"; }
a_show() { a_osier "$1" show "app/$2" -o json; }
a_validate() { "$OSIER" validate "$1" --color never "${@:2}"; }

# Lines of an app's output that were thrown away.
a_dropped() { a_show "$1" "$2" | jq '[.. | objects | to_entries[] | select(.key | test("dropped")) | .value | numbers] | add // 0'; }

# Folders that the cases look into: the git cache, an app's data, an app's logs.
a_cache() { echo "$W/$1/repo/current"; }
a_app_data() { echo "$W/$1/apps/$2/data"; }
a_app_logs() { echo "$W/$1/apps/$2/logs"; }

# What an app may find in its environment besides what its spec names.
a_documented_env="PATH HOME LANG OSIER_NODE OSIER_APP OSIER_VERSION OSIER_DATA OSIER_INSTANCE LISTEN_FDS LISTEN_PID LISTEN_FDNAMES NOTIFY_SOCKET WATCHDOG_USEC"

# Where downloaded artefacts lie.
a_artefacts() { mkdir -p "$W/$1/artefacts"; echo "$W/$1/artefacts"; }

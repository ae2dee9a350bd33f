# Rendered by Launchplane; run by a manual schedule on the docker host.
set -euo pipefail

compose_project='shop-testing'

fail() {
	echo "error: $1" >&2
	exit 1
}

container_of() {
	local found
	found=$(docker ps -aq \
		--filter "label=com.docker.compose.project=${compose_project}" \
		--filter "label=com.docker.compose.service=$1")
	found=${found%%$'\n'*}
	[[ -n $found ]] || fail "compose project ${compose_project} has no container of service $1"
	printf '%s\n' "$found"
}

# What cannot be told is not "stopped": web could be writing while it is captured.
is_running() {
	local state
	state=$(docker inspect --format '{{.State.Running}}' "$1") || fail "container $1 cannot be inspected"
	[[ $state == true ]]
}

start_when_stopped() {
	is_running "$1" || docker start "$1" >/dev/null
}

# A data workflow, a dump or an archive is at work, whoever started it.
is_busy() {
	local processes
	processes=$(docker top "$runner" || true; docker top "$database" || true)
	[[ $processes == *run_odoo_data_workflows.py* || $processes == *pg_dump* || $processes == *"tar -czf"* ]]
}

web=$(container_of web)
guard=

# Whatever happens from here on, web runs when this script ends.
leave() {
	local status=$?
	trap - EXIT
	if ! docker start "$web" >/dev/null; then
		echo "error: web could not be started again" >&2
		[[ $status -ne 0 ]] || status=1
	fi
	[[ -z $guard ]] || kill "$guard" 2>/dev/null || true
	exit "$status"
}
trap leave EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

database=$(container_of database)
runner=$(container_of script-runner)

# A SIGKILL leaves no time for the trap: the guard outlives it, and starts web when nothing is at work any more.
stop_web() {
	is_running "$web" || return 0
	export -f is_busy
	export web database runner
	# shellcheck disable=SC2016 # the guard's own shell expands it
	setsid bash -c 'while kill -0 "$1" || is_busy; do sleep 2; done; docker start "$web"' guard "$$" \
		</dev/null >/dev/null 2>&1 &
	guard=$!
	docker stop "$web" >/dev/null
}

# Web is down because of a run that lost its end. It may still be at work: web must not start below its hands.
for ((waited = 0; waited < 3600; waited += 5)); do
	is_busy || break
	sleep 5
done
docker start "$web" >/dev/null || fail "web could not be started"

echo "web started"

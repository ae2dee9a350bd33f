# Rendered by Launchplane; run by a manual schedule on the docker host.
set -euo pipefail

compose_project='shop-testing-abc123'

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

database_name='shop_db'
filestore_root='/volumes/data/filestore'
lock_file='/volumes/data/.data_workflow_in_progress'
clear_stale_lock=no
workflow_arguments=('--bootstrap')
workflow_environment=('ODOO_DB_NAME=shop_db' 'ODOO_FILESTORE_PATH=/volumes/data/filestore' 'ODOO_DATA_WORKFLOW_LOCK_FILE=/volumes/data/.data_workflow_in_progress' 'ODOO_INSTANCE_OVERRIDES_PAYLOAD_B64=e30=' 'LAUNCHPLANE_INSTANCE_OVERRIDES_REQUIRED=' 'LAUNCHPLANE_WEBSITE_BOOTSTRAP_REQUIRED=')
required_keys=('ODOO_DB_NAME' 'ODOO_DB_USER' 'ODOO_DB_PASSWORD' 'ODOO_OVERRIDE_SECRET__A')
protected_shop_keys=()

start_when_stopped "$database"
start_when_stopped "$runner"

# Before web goes down: what would make the run fail anyway.
for key in ${required_keys[@]+"${required_keys[@]}"}; do
	docker exec "$runner" /bin/sh -c 'eval "value=\${$1:-}"; [ -n "$value" ]' sh "$key" ||
		fail "script-runner lacks the environment key ${key}"
done

# A run that the provider lost sight of may still be at work; its lock is stale only when it is not.
! is_busy || fail "a data workflow or a backup is still running in the lane's containers"
if [[ $clear_stale_lock == yes ]]; then
	docker exec --user root "$runner" rm -f -- "$lock_file"
fi

stop_web

# The workflow's user is who owns /volumes/data; its ssh directory must not be readable by others.
docker exec --user root "$runner" /bin/sh -c '
	set -eu
	directory=$1/$2
	mkdir -p "$directory"
	chown --reference=/volumes/data "$1" "$directory"
	chmod --reference=/volumes/data "$1" "$directory"
	rm -rf /tmp/launchplane-ssh
	mkdir -m 700 /tmp/launchplane-ssh
	for name in known_hosts id_rsa id_ed25519; do
		if [ -f "/root/.ssh/$name" ]; then
			cp "/root/.ssh/$name" "/tmp/launchplane-ssh/$name"
			chmod 600 "/tmp/launchplane-ssh/$name"
		fi
	done
	chown -R --reference=/volumes/data /tmp/launchplane-ssh
' sh "$filestore_root" "$database_name"

exec_environment=(
	--env DATA_WORKFLOW_SSH_DIR=/tmp/launchplane-ssh
	--env DATA_WORKFLOW_SSH_KNOWN_HOSTS=/tmp/launchplane-ssh/known_hosts
)
for assignment in ${workflow_environment[@]+"${workflow_environment[@]}"}; do
	exec_environment+=(--env "$assignment")
done

# Its markers go to the schedule's log, line by line.
docker exec "${exec_environment[@]}" "$runner" \
	python3 -u /volumes/scripts/run_odoo_data_workflows.py \
	${workflow_arguments[@]+"${workflow_arguments[@]}"} 2>&1

# A lane that must not talk to a shop must not have come out of the run with that shop's address.
if [[ ${#protected_shop_keys[@]} -gt 0 ]]; then
	# shellcheck disable=SC2016 # the container's shell expands it
	shop_key=$(docker exec "$database" /bin/sh -c \
		'psql -X -At -v ON_ERROR_STOP=1 -U "$POSTGRES_USER" -d "$1" -c "$2"' sh "$database_name" \
		"SELECT lower(btrim(value)) FROM ir_config_parameter WHERE key = 'shopify.shop_url_key'")
	for key in "${protected_shop_keys[@]}"; do
		[[ $shop_key != "$key" ]] || fail "the database points at a protected shop"
	done
fi

echo "data workflow ended"

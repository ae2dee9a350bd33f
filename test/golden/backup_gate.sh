# Rendered by Launchplane; run by a manual schedule on the docker host.
set -euo pipefail

compose_project='shop-prod-abc123'

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

database_name='shop_prod'
filestore_root='/volumes/data/filestore'
backup_directory='/volumes/data/backups/launchplane/shop_prod/gate-1'
dump_name='shop_prod.dump'
archive_name='shop_prod-filestore.tar.gz'
backup_record_id='gate-1'
dump_path='/volumes/data/backups/launchplane/shop_prod/gate-1/shop_prod.dump'
archive_path='/volumes/data/backups/launchplane/shop_prod/gate-1/shop_prod-filestore.tar.gz'

start_when_stopped "$database"
start_when_stopped "$runner"
! is_busy || fail "a data workflow or a backup is still running in the lane's containers"

in_runner() {
	docker exec --user root "$runner" "$@"
}

in_runner test -d "${filestore_root}/${database_name}" || fail "the filestore has no directory of the database"

stop_web

# Everything is captured beside its place, so that a directory of the right name is a whole backup.
partial=${backup_directory}.partial
in_runner /bin/sh -c 'umask 077 && rm -rf -- "$1" && mkdir -p -- "$1" && chmod 700 -- "$1"' sh "$partial"

# shellcheck disable=SC2016 # the containers' shells expand it
docker exec "$database" /bin/sh -c 'pg_dump --format=custom --username="$POSTGRES_USER" --dbname="$1"' sh "$database_name" |
	docker exec --interactive --user root "$runner" /bin/sh -c 'umask 077 && cat >"$1"' sh "${partial}/${dump_name}"
in_runner test -s "${partial}/${dump_name}" || fail "the database dump is empty"

in_runner tar -czf "${partial}/${archive_name}" -C "$filestore_root" "$database_name"
in_runner test -s "${partial}/${archive_name}" || fail "the filestore archive is empty"

dump_size=$(in_runner stat -c %s "${partial}/${dump_name}")
archive_size=$(in_runner stat -c %s "${partial}/${archive_name}")
captured_at=$(date -u +%Y-%m-%dT%H:%M:%SZ)
printf '{"backup_record_id": "%s", "database_name": "%s", "backup_dir": "%s", "database_dump_path": "%s", "filestore_archive_path": "%s", "database_dump_size": "%s", "filestore_archive_size": "%s", "captured_at": "%s"}\n' \
	"$backup_record_id" "$database_name" "$backup_directory" "$dump_path" "$archive_path" \
	"$dump_size" "$archive_size" "$captured_at" |
	docker exec --interactive --user root "$runner" /bin/sh -c 'umask 077 && cat >"$1"' sh "${partial}/manifest.json"

in_runner /bin/sh -c 'rm -rf -- "$2" && mv -- "$1" "$2" && sync' sh "$partial" "$backup_directory"

echo "database_dump_size=${dump_size}"
echo "filestore_archive_size=${archive_size}"
echo "captured_at=${captured_at}"
echo "backup captured"

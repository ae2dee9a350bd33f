#!/usr/bin/env bash
# Reconciles the grants that a deploy keeps, through the service's grant routes. docs/authorization.md says which variables
# it reads; --dry-run shows what would change.
set -euo pipefail
exec python3 "$(dirname -- "${BASH_SOURCE[0]}")/ensure_authz_grants.py" "$@"

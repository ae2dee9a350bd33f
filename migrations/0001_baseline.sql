-- Every record family of the control plane: one table each, the document in payload, and beside it the columns that are
-- searched, sorted or constrained. The columns repeat what the document says; the document is what is served.
--
-- All of this must be harmless on a database that has the tables already (see storage/migrate.h), therefore "if not
-- exists" throughout. Its payload columns may then be jsonb instead of json: queries work with both.
--
-- Text is never null: absent is ''. Timestamps are RFC 3339 UTC text, which sorts as time.

-- Core evidence and read model

create table if not exists launchplane_backup_gates (
  record_id text not null,
  context text not null,
  instance text not null,
  created_at text not null,
  status text not null,
  payload json not null,
  primary key (record_id)
);
create index if not exists launchplane_backup_gates_context_instance_idx
  on launchplane_backup_gates (context, instance, created_at desc);

create table if not exists launchplane_deployments (
  record_id text not null,
  context text not null,
  instance text not null,
  artifact_id text not null,
  source_git_ref text not null,
  deploy_started_at text not null,
  deploy_finished_at text not null,
  payload json not null,
  primary key (record_id)
);
create index if not exists launchplane_deployments_context_instance_idx
  on launchplane_deployments (context, instance, deploy_finished_at desc, deploy_started_at desc);

create table if not exists launchplane_promotions (
  record_id text not null,
  context text not null,
  from_instance text not null,
  to_instance text not null,
  artifact_id text not null,
  deploy_started_at text not null,
  deploy_finished_at text not null,
  payload json not null,
  primary key (record_id)
);
create index if not exists launchplane_promotions_context_path_idx
  on launchplane_promotions (context, from_instance, to_instance, deploy_finished_at desc, deploy_started_at desc);

create table if not exists launchplane_inventory (
  context text not null,
  instance text not null,
  artifact_id text not null,
  source_git_ref text not null,
  updated_at text not null,
  deployment_record_id text not null,
  promotion_record_id text not null,
  promoted_from_instance text not null,
  payload json not null,
  primary key (context, instance)
);

create table if not exists launchplane_preview_records (
  preview_id text not null,
  context text not null,
  anchor_repo text not null,
  anchor_pr_number integer not null,
  state text not null,
  updated_at text not null,
  payload json not null,
  primary key (preview_id)
);
create index if not exists launchplane_preview_records_lookup_idx
  on launchplane_preview_records (context, anchor_repo, anchor_pr_number, updated_at desc);

create table if not exists launchplane_preview_generations (
  generation_id text not null,
  preview_id text not null,
  sequence integer not null,
  state text not null,
  requested_at text not null,
  finished_at text not null,
  artifact_id text not null,
  payload json not null,
  primary key (generation_id)
);
create index if not exists launchplane_preview_generations_preview_idx
  on launchplane_preview_generations (preview_id, sequence desc, requested_at desc);

create table if not exists launchplane_preview_enablement (
  record_id text not null,
  context text not null,
  anchor_repo text not null,
  anchor_pr_number integer not null,
  pr_state text not null,
  updated_at text not null,
  payload json not null,
  primary key (record_id)
);
create index if not exists launchplane_preview_enablement_context_idx
  on launchplane_preview_enablement (context, updated_at desc);
create index if not exists launchplane_preview_enablement_anchor_idx
  on launchplane_preview_enablement (anchor_repo, anchor_pr_number, updated_at desc);

create table if not exists launchplane_artifact_manifests (
  artifact_id text not null,
  source_commit text not null,
  image_repository text not null,
  image_digest text not null,
  payload json not null,
  primary key (artifact_id)
);
create index if not exists launchplane_artifact_manifests_artifact_idx
  on launchplane_artifact_manifests (artifact_id desc);

create table if not exists launchplane_release_tuples (
  context text not null,
  channel text not null,
  tuple_id text not null,
  artifact_id text not null,
  minted_at text not null,
  provenance text not null,
  payload json not null,
  primary key (context, channel)
);
create index if not exists launchplane_release_tuples_minted_idx
  on launchplane_release_tuples (minted_at desc);

create table if not exists launchplane_idempotency_records (
  record_id text not null,
  scope text not null,
  route_path text not null,
  idempotency_key text not null,
  request_fingerprint text not null,
  response_status_code integer not null,
  response_trace_id text not null,
  recorded_at text not null,
  payload json not null,
  primary key (record_id)
);
create unique index if not exists launchplane_idempotency_scope_route_key_idx
  on launchplane_idempotency_records (scope, route_path, idempotency_key);

create table if not exists launchplane_authz_policies (
  record_id text not null,
  status text not null,
  source text not null,
  updated_at text not null,
  policy_sha256 text not null,
  payload json not null,
  primary key (record_id)
);
create index if not exists launchplane_authz_policies_updated_idx
  on launchplane_authz_policies (updated_at desc);

create table if not exists launchplane_human_sessions (
  session_id text not null,
  login text not null,
  github_id integer not null,
  role text not null,
  created_at text not null,
  expires_at text not null,
  payload json not null,
  primary key (session_id)
);
create index if not exists launchplane_human_sessions_login_idx
  on launchplane_human_sessions (login, created_at desc);
create index if not exists launchplane_human_sessions_expires_idx
  on launchplane_human_sessions (expires_at desc);

-- Preview lifecycle

create table if not exists launchplane_preview_inventory_scans (
  scan_id text not null,
  context text not null,
  scanned_at text not null,
  source text not null,
  status text not null,
  preview_count integer not null,
  payload json not null,
  primary key (scan_id)
);
create index if not exists launchplane_preview_inventory_scans_context_idx
  on launchplane_preview_inventory_scans (context, scanned_at desc);

create table if not exists launchplane_preview_desired_states (
  desired_state_id text not null,
  product text not null,
  context text not null,
  discovered_at text not null,
  repository text not null,
  status text not null,
  desired_count integer not null,
  payload json not null,
  primary key (desired_state_id)
);
create index if not exists launchplane_preview_desired_states_context_idx
  on launchplane_preview_desired_states (context, discovered_at desc);

create table if not exists launchplane_preview_lifecycle_plans (
  plan_id text not null,
  product text not null,
  context text not null,
  planned_at text not null,
  status text not null,
  inventory_scan_id text not null,
  payload json not null,
  primary key (plan_id)
);
create index if not exists launchplane_preview_lifecycle_plans_context_idx
  on launchplane_preview_lifecycle_plans (context, planned_at desc);

create table if not exists launchplane_preview_lifecycle_cleanups (
  cleanup_id text not null,
  product text not null,
  context text not null,
  plan_id text not null,
  requested_at text not null,
  status text not null,
  payload json not null,
  primary key (cleanup_id)
);
create index if not exists launchplane_preview_lifecycle_cleanups_context_idx
  on launchplane_preview_lifecycle_cleanups (context, requested_at desc);
create index if not exists launchplane_preview_lifecycle_cleanups_plan_idx
  on launchplane_preview_lifecycle_cleanups (plan_id, requested_at desc);

create table if not exists launchplane_preview_pr_feedback (
  feedback_id text not null,
  product text not null,
  context text not null,
  anchor_repo text not null,
  anchor_pr_number integer not null,
  requested_at text not null,
  status text not null,
  delivery_status text not null,
  payload json not null,
  primary key (feedback_id)
);
create index if not exists launchplane_preview_pr_feedback_context_idx
  on launchplane_preview_pr_feedback (context, requested_at desc);
create index if not exists launchplane_preview_pr_feedback_anchor_idx
  on launchplane_preview_pr_feedback (anchor_repo, anchor_pr_number, requested_at desc);

create table if not exists launchplane_preview_pr_feedback_notification_policies (
  policy_id text not null,
  product text not null,
  context text not null,
  repository text not null,
  status text not null,
  updated_at text not null,
  payload json not null,
  primary key (policy_id)
);
create index if not exists launchplane_preview_pr_feedback_policies_scope_idx
  on launchplane_preview_pr_feedback_notification_policies (product, context, repository, status, updated_at desc);

create table if not exists launchplane_preview_pr_feedback_notification_attempts (
  attempt_id text not null,
  feedback_id text not null,
  event text not null,
  destination_kind text not null,
  delivery_status text not null,
  attempted_at text not null,
  payload json not null,
  primary key (attempt_id)
);
create index if not exists launchplane_preview_pr_feedback_attempts_feedback_idx
  on launchplane_preview_pr_feedback_notification_attempts (feedback_id, event, attempted_at desc);
create index if not exists launchplane_preview_pr_feedback_attempts_destination_idx
  on launchplane_preview_pr_feedback_notification_attempts (destination_kind, attempted_at desc);

-- Configuration, targets, secrets

create table if not exists launchplane_product_profiles (
  product text not null,
  display_name text not null,
  repository text not null,
  driver_id text not null,
  updated_at text not null,
  payload json not null,
  primary key (product)
);
create index if not exists launchplane_product_profiles_driver_idx
  on launchplane_product_profiles (driver_id, updated_at desc);

create table if not exists launchplane_runtime_environments (
  scope text not null,
  context text not null,
  instance text not null,
  updated_at text not null,
  payload json not null,
  primary key (scope, context, instance)
);
create index if not exists launchplane_runtime_environments_updated_idx
  on launchplane_runtime_environments (updated_at desc);

create table if not exists launchplane_runtime_environment_delete_events (
  event_id text not null,
  scope text not null,
  context text not null,
  instance text not null,
  recorded_at text not null,
  payload json not null,
  primary key (event_id)
);
create index if not exists launchplane_runtime_environment_delete_events_lane_idx
  on launchplane_runtime_environment_delete_events (scope, context, instance, recorded_at desc);

create table if not exists launchplane_runtime_key_safety_policies (
  record_id text not null,
  status text not null,
  source text not null,
  updated_at text not null,
  payload json not null,
  primary key (record_id)
);
create index if not exists launchplane_runtime_key_safety_policies_updated_idx
  on launchplane_runtime_key_safety_policies (updated_at desc);

create table if not exists launchplane_dokploy_targets (
  context text not null,
  instance text not null,
  updated_at text not null,
  payload json not null,
  primary key (context, instance)
);
create index if not exists launchplane_dokploy_targets_updated_idx
  on launchplane_dokploy_targets (updated_at desc);

create table if not exists launchplane_dokploy_target_ids (
  context text not null,
  instance text not null,
  target_id text not null,
  updated_at text not null,
  payload json not null,
  primary key (context, instance)
);
create index if not exists launchplane_dokploy_target_ids_updated_idx
  on launchplane_dokploy_target_ids (updated_at desc);

create table if not exists launchplane_provider_targets (
  context text not null,
  instance text not null,
  provider_id text not null,
  target_category text not null,
  target_id text not null,
  display_name text not null,
  provider_target_type text not null,
  updated_at text not null,
  payload json not null,
  primary key (context, instance)
);
create index if not exists launchplane_provider_targets_provider_idx
  on launchplane_provider_targets (provider_id, updated_at desc);
create index if not exists launchplane_provider_targets_updated_idx
  on launchplane_provider_targets (updated_at desc);

create table if not exists launchplane_odoo_instance_overrides (
  context text not null,
  instance text not null,
  updated_at text not null,
  payload json not null,
  primary key (context, instance)
);
create index if not exists launchplane_odoo_instance_overrides_updated_idx
  on launchplane_odoo_instance_overrides (updated_at desc);

create table if not exists launchplane_secrets (
  secret_id text not null,
  scope text not null,
  integration text not null,
  name text not null,
  context text not null,
  instance text not null,
  status text not null,
  current_version_id text not null,
  updated_at text not null,
  payload json not null,
  primary key (secret_id)
);
create unique index if not exists launchplane_secrets_scope_name_idx
  on launchplane_secrets (scope, integration, name, context, instance);
create index if not exists launchplane_secrets_integration_idx
  on launchplane_secrets (integration, context, instance, updated_at desc);

create table if not exists launchplane_secret_versions (
  version_id text not null,
  secret_id text not null,
  created_at text not null,
  payload json not null,
  primary key (version_id)
);
create index if not exists launchplane_secret_versions_secret_idx
  on launchplane_secret_versions (secret_id, created_at desc);

create table if not exists launchplane_secret_bindings (
  binding_id text not null,
  secret_id text not null,
  integration text not null,
  binding_key text not null,
  context text not null,
  instance text not null,
  status text not null,
  updated_at text not null,
  payload json not null,
  primary key (binding_id)
);
create index if not exists launchplane_secret_bindings_lookup_idx
  on launchplane_secret_bindings (integration, context, instance, binding_key, updated_at desc);

create table if not exists launchplane_secret_audit_events (
  event_id text not null,
  secret_id text not null,
  event_type text not null,
  recorded_at text not null,
  payload json not null,
  primary key (event_id)
);
create index if not exists launchplane_secret_audit_events_secret_idx
  on launchplane_secret_audit_events (secret_id, recorded_at desc);

-- Ingress and health monitoring

create table if not exists launchplane_public_ingress_observations (
  record_id text not null,
  product text not null,
  context text not null,
  instance text not null,
  status text not null,
  observed_at text not null,
  payload json not null,
  primary key (record_id)
);
create index if not exists launchplane_public_ingress_observations_lane_idx
  on launchplane_public_ingress_observations (product, context, instance, observed_at desc);
create index if not exists launchplane_public_ingress_observations_status_idx
  on launchplane_public_ingress_observations (status, observed_at desc);

create table if not exists launchplane_public_ingress_incidents (
  incident_id text not null,
  product text not null,
  context text not null,
  instance text not null,
  status text not null,
  opened_at text not null,
  latest_observed_at text not null,
  payload json not null,
  primary key (incident_id)
);
create index if not exists launchplane_public_ingress_incidents_lane_idx
  on launchplane_public_ingress_incidents (product, context, instance, status, opened_at desc);
create index if not exists launchplane_public_ingress_incidents_status_idx
  on launchplane_public_ingress_incidents (status, opened_at desc);

create table if not exists launchplane_public_ingress_notification_policies (
  policy_id text not null,
  product text not null,
  context text not null,
  instance text not null,
  status text not null,
  updated_at text not null,
  payload json not null,
  primary key (policy_id)
);
create index if not exists launchplane_public_ingress_notification_policies_lane_idx
  on launchplane_public_ingress_notification_policies (product, context, instance, status, updated_at desc);

create table if not exists launchplane_public_ingress_notification_attempts (
  attempt_id text not null,
  incident_id text not null,
  event text not null,
  destination_kind text not null,
  delivery_status text not null,
  attempted_at text not null,
  payload json not null,
  primary key (attempt_id)
);
create index if not exists launchplane_public_ingress_notification_attempts_incident_idx
  on launchplane_public_ingress_notification_attempts (incident_id, event, attempted_at desc);
create index if not exists launchplane_public_ingress_attempts_destination_idx
  on launchplane_public_ingress_notification_attempts (destination_kind, attempted_at desc);

create table if not exists launchplane_private_health_endpoints (
  endpoint_key text not null,
  product text not null,
  context text not null,
  instance text not null,
  url text not null,
  status text not null,
  updated_at text not null,
  payload json not null,
  primary key (endpoint_key)
);
create index if not exists launchplane_private_health_endpoints_lane_idx
  on launchplane_private_health_endpoints (product, context, instance, status);

create table if not exists launchplane_edge_endpoints (
  endpoint_key text not null,
  provider text not null,
  server_name text not null,
  upstream_host text not null,
  upstream_scheme text not null,
  upstream_port integer not null,
  status text not null,
  updated_at text not null,
  payload json not null,
  primary key (endpoint_key)
);
create index if not exists launchplane_edge_endpoints_provider_idx
  on launchplane_edge_endpoints (provider, status, endpoint_key);

create table if not exists launchplane_ingress_canary_routes (
  canary_key text not null,
  product text not null,
  context text not null,
  domain_name text not null,
  expected_host_id integer not null,
  edge_endpoint_key text not null,
  certificate_id text not null,
  status text not null,
  updated_at text not null,
  payload json not null,
  primary key (canary_key)
);
create index if not exists launchplane_ingress_canary_routes_product_idx
  on launchplane_ingress_canary_routes (product, context, status, canary_key);

create table if not exists launchplane_ingress_route_audits (
  record_id text not null,
  product text not null,
  context text not null,
  mode text not null,
  status text not null,
  provider_host_id integer,
  recorded_at text not null,
  payload json not null,
  primary key (record_id)
);
create index if not exists launchplane_ingress_route_audits_product_idx
  on launchplane_ingress_route_audits (product, context, recorded_at desc);
create index if not exists launchplane_ingress_route_audits_status_idx
  on launchplane_ingress_route_audits (status, recorded_at desc);

-- Operations, runners, automation

create table if not exists launchplane_odoo_stable_bootstrap_operations (
  operation_id text not null,
  product text not null,
  context text not null,
  instance text not null,
  idempotency_key text not null,
  status text not null,
  phase text not null,
  created_at text not null,
  updated_at text not null,
  payload json not null,
  primary key (operation_id)
);
create index if not exists launchplane_odoo_stable_bootstrap_lane_idx
  on launchplane_odoo_stable_bootstrap_operations (product, context, instance, status, updated_at desc);
create index if not exists launchplane_odoo_stable_bootstrap_idempotency_idx
  on launchplane_odoo_stable_bootstrap_operations (idempotency_key, updated_at desc);
create unique index if not exists launchplane_odoo_stable_bootstrap_active_lane_idx
  on launchplane_odoo_stable_bootstrap_operations (product, context, instance)
  where status in ('pending', 'running');

create table if not exists launchplane_odoo_stable_target_replacement_operations (
  operation_id text not null,
  product text not null,
  context text not null,
  instance text not null,
  idempotency_scope text not null,
  idempotency_key text not null,
  status text not null,
  phase text not null,
  created_at text not null,
  updated_at text not null,
  payload json not null,
  primary key (operation_id)
);
create index if not exists launchplane_odoo_stable_target_replacement_lane_idx
  on launchplane_odoo_stable_target_replacement_operations (product, context, instance, status, updated_at desc);
create index if not exists launchplane_odoo_stable_target_replacement_idempotency_idx
  on launchplane_odoo_stable_target_replacement_operations (idempotency_scope, idempotency_key, updated_at desc);
create unique index if not exists launchplane_odoo_stable_target_replacement_active_lane_idx
  on launchplane_odoo_stable_target_replacement_operations (product, context, instance)
  where status in ('pending', 'running');

create table if not exists launchplane_runner_host_hygiene_audits (
  audit_record_key text not null,
  host_name text not null,
  action text not null,
  status text not null,
  mutate integer not null,
  payload json not null,
  primary key (audit_record_key)
);
create index if not exists launchplane_runner_host_hygiene_audits_host_idx
  on launchplane_runner_host_hygiene_audits (host_name, audit_record_key desc);
create index if not exists launchplane_runner_host_hygiene_audits_status_idx
  on launchplane_runner_host_hygiene_audits (status, audit_record_key desc);

create table if not exists launchplane_runner_lane_registration_audits (
  audit_record_key text not null,
  repository text not null,
  host_name text not null,
  lane_name text not null,
  status text not null,
  mutate integer not null,
  payload json not null,
  primary key (audit_record_key)
);
create index if not exists launchplane_runner_lane_registration_audits_repository_idx
  on launchplane_runner_lane_registration_audits (repository, audit_record_key desc);
create index if not exists launchplane_runner_lane_registration_audits_host_idx
  on launchplane_runner_lane_registration_audits (host_name, audit_record_key desc);
create index if not exists launchplane_runner_lane_registration_audits_status_idx
  on launchplane_runner_lane_registration_audits (status, audit_record_key desc);

create table if not exists launchplane_agent_write_intents (
  record_id text not null,
  recorded_at text not null,
  trace_id text not null,
  intent text not null,
  mode text not null,
  status text not null,
  authz_action text not null,
  product text not null,
  context text not null,
  payload json not null,
  primary key (record_id)
);
create index if not exists launchplane_agent_write_intents_product_idx
  on launchplane_agent_write_intents (product, context, recorded_at desc);
create index if not exists launchplane_agent_write_intents_status_idx
  on launchplane_agent_write_intents (status, recorded_at desc);

create table if not exists launchplane_every_code_work_requests (
  request_id text not null,
  source text not null,
  state text not null,
  repository text not null,
  issue_number integer not null,
  trigger_label text not null,
  updated_at text not null,
  claimed_by_host text not null,
  payload json not null,
  primary key (request_id)
);
create index if not exists launchplane_every_code_work_requests_state_idx
  on launchplane_every_code_work_requests (state, updated_at desc);
create index if not exists launchplane_every_code_work_requests_issue_idx
  on launchplane_every_code_work_requests (repository, issue_number);

create table if not exists launchplane_every_code_pr_feedback (
  feedback_id text not null,
  request_id text not null,
  repository text not null,
  pr_number integer not null,
  feedback_kind text not null,
  github_delivery_id text not null,
  actor text not null,
  received_at text not null,
  status text not null,
  payload json not null,
  primary key (feedback_id)
);
create index if not exists launchplane_every_code_pr_feedback_request_idx
  on launchplane_every_code_pr_feedback (request_id, received_at desc);
create index if not exists launchplane_every_code_pr_feedback_pr_idx
  on launchplane_every_code_pr_feedback (repository, pr_number, received_at desc);
create index if not exists launchplane_every_code_pr_feedback_status_idx
  on launchplane_every_code_pr_feedback (status, received_at desc);

create table if not exists launchplane_every_code_preview_gates (
  gate_id text not null,
  request_id text not null,
  repository text not null,
  issue_number integer not null,
  pr_number integer not null,
  head_sha text not null,
  status text not null,
  updated_at text not null,
  payload json not null,
  primary key (gate_id)
);
create index if not exists launchplane_every_code_preview_gates_request_idx
  on launchplane_every_code_preview_gates (request_id, updated_at desc);
create index if not exists launchplane_every_code_preview_gates_pr_idx
  on launchplane_every_code_preview_gates (repository, pr_number, updated_at desc);
create index if not exists launchplane_every_code_preview_gates_status_idx
  on launchplane_every_code_preview_gates (status, updated_at desc);

create table if not exists launchplane_every_code_notification_policies (
  policy_id text not null,
  repository text not null,
  status text not null,
  updated_at text not null,
  payload json not null,
  primary key (policy_id)
);
create index if not exists launchplane_every_code_notification_policies_repository_idx
  on launchplane_every_code_notification_policies (repository, status, updated_at desc);

create table if not exists launchplane_every_code_notification_attempts (
  attempt_id text not null,
  request_id text not null,
  event text not null,
  destination_kind text not null,
  delivery_status text not null,
  attempted_at text not null,
  payload json not null,
  primary key (attempt_id)
);
create index if not exists launchplane_every_code_notification_attempts_request_idx
  on launchplane_every_code_notification_attempts (request_id, event, attempted_at desc);
create index if not exists launchplane_every_code_notification_attempts_destination_idx
  on launchplane_every_code_notification_attempts (destination_kind, attempted_at desc);

create table if not exists launchplane_merge_train_policies (
  record_id text not null,
  status text not null,
  source text not null,
  updated_at text not null,
  policy_sha256 text not null,
  payload json not null,
  primary key (record_id)
);
create index if not exists launchplane_merge_train_policies_status_idx
  on launchplane_merge_train_policies (status, updated_at desc);

create table if not exists launchplane_merge_train_runs (
  run_id text not null,
  recorded_at text not null,
  trace_id text not null,
  repository text not null,
  base_branch text not null,
  mode text not null,
  status text not null,
  intended_next_action text not null,
  selected_pr_number integer,
  policy_key text not null,
  policy_sha256 text not null,
  payload json not null,
  primary key (run_id)
);
create index if not exists launchplane_merge_train_runs_branch_idx
  on launchplane_merge_train_runs (repository, base_branch, recorded_at desc);
create index if not exists launchplane_merge_train_runs_status_idx
  on launchplane_merge_train_runs (status, recorded_at desc);

create table if not exists launchplane_merge_train_pr_feedback (
  feedback_id text not null,
  repository text not null,
  base_branch text not null,
  pull_request_number integer not null,
  event text not null,
  delivery_status text not null,
  recorded_at text not null,
  payload json not null,
  primary key (feedback_id)
);
create index if not exists launchplane_merge_train_pr_feedback_pr_idx
  on launchplane_merge_train_pr_feedback (repository, base_branch, pull_request_number, recorded_at desc);

create table if not exists launchplane_merge_train_batch_candidates (
  record_id text not null,
  status text not null,
  source text not null,
  updated_at text not null,
  repository text not null,
  base_branch text not null,
  batch_id text not null,
  candidate_status text not null,
  payload json not null,
  primary key (record_id)
);
create index if not exists launchplane_merge_train_batch_candidates_branch_idx
  on launchplane_merge_train_batch_candidates (repository, base_branch, updated_at desc);
create index if not exists launchplane_merge_train_batch_candidates_status_idx
  on launchplane_merge_train_batch_candidates (status, updated_at desc);

create table if not exists launchplane_merge_train_batch_landing_plans (
  record_id text not null,
  status text not null,
  source text not null,
  updated_at text not null,
  repository text not null,
  base_branch text not null,
  batch_id text not null,
  plan_id text not null,
  payload json not null,
  primary key (record_id)
);
create index if not exists launchplane_merge_train_batch_landing_plans_branch_idx
  on launchplane_merge_train_batch_landing_plans (repository, base_branch, updated_at desc);
create index if not exists launchplane_merge_train_batch_landing_plans_status_idx
  on launchplane_merge_train_batch_landing_plans (status, updated_at desc);

create table if not exists launchplane_generic_web_rollback_plans (
  plan_id text not null,
  payload json not null,
  primary key (plan_id)
);

create table if not exists launchplane_merge_train_stack_collapse_plans (
  record_id text not null,
  status text not null,
  source text not null,
  updated_at text not null,
  repository text not null,
  base_branch text not null,
  collapse_id text not null,
  root_pull_request_number integer not null,
  plan_status text not null,
  payload json not null,
  primary key (record_id)
);
create index if not exists launchplane_merge_train_stack_collapse_plans_branch_idx
  on launchplane_merge_train_stack_collapse_plans (repository, base_branch, updated_at desc);
create index if not exists launchplane_merge_train_stack_collapse_plans_status_idx
  on launchplane_merge_train_stack_collapse_plans (status, updated_at desc);

-- What was added to some tables later, so a database that is taken over may lack it.

alter table launchplane_idempotency_records
  add column if not exists state text not null default 'completed',
  add column if not exists lease_owner text not null default '',
  add column if not exists lease_expires_at text not null default '',
  add column if not exists attempt integer not null default 0,
  add column if not exists reconciliation_key text not null default '',
  add column if not exists created_at text not null default '',
  add column if not exists updated_at text not null default '';
alter table launchplane_human_sessions
  add column if not exists csrf_generation integer not null default 0;
alter table launchplane_odoo_stable_bootstrap_operations
  add column if not exists lease_owner text not null default '',
  add column if not exists lease_expires_at text not null default '',
  add column if not exists heartbeat_at text not null default '',
  add column if not exists attempt integer not null default 0;
alter table launchplane_odoo_stable_target_replacement_operations
  add column if not exists lease_owner text not null default '',
  add column if not exists lease_expires_at text not null default '',
  add column if not exists heartbeat_at text not null default '',
  add column if not exists attempt integer not null default 0;
alter table launchplane_every_code_work_requests
  add column if not exists lease_expires_at text not null default '',
  add column if not exists fencing_token integer not null default 0,
  add column if not exists attempt integer not null default 0;

-- And what was dropped: a label that is still there must not refuse our rows.

do $$
begin
  if exists (select 1 from pg_attribute
              where attrelid = 'launchplane_preview_desired_states'::regclass and attname = 'label' and not attisdropped) then
    alter table launchplane_preview_desired_states alter column label drop not null;
  end if;
end
$$;

-- One preview for a pull request, one generation for a number. Only the way ids are made kept them single before, so a
-- database that is taken over may hold duplicates: they stay, and the index is missing until they are gone.

do $$
begin
  create unique index if not exists launchplane_preview_records_anchor_key
    on launchplane_preview_records (context, anchor_repo, anchor_pr_number);
exception when unique_violation then
  raise warning 'launchplane_preview_records holds two previews of one pull request: its unique index was not made';
end
$$;
do $$
begin
  create unique index if not exists launchplane_preview_generations_sequence_key
    on launchplane_preview_generations (preview_id, sequence);
exception when unique_violation then
  raise warning 'launchplane_preview_generations holds a number twice: its unique index was not made';
end
$$;

-- The inventory is the hot table: documents of up to 8 KB stay in the row, and pages keep room, so that an update writes
-- no index entry and no TOAST. An index on updated_at would undo that, since every update changes it, and is not made:
-- there is one row for each lane, which sorts in no time.

alter table launchplane_inventory set (toast_tuple_target = 8160, fillfactor = 70);

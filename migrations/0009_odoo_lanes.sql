-- Automatic promotion of a lane is held after a rollback until somebody lifts the hold: automation must not bring back what was
-- just taken away. Rows are kept: they say who rolled back and who lifted, why and when.

create table if not exists launchplane_promotion_holds (
  record_id text not null primary key,
  product text not null,
  context text not null,
  instance text not null,
  promotion_record_id text not null default '',
  operation_id text not null default '',
  reason text not null default '',
  held_by json not null default '{}',
  held_at text not null,
  lifted_by json,
  lifted_at text not null default '',
  lift_reason text not null default '',
  constraint launchplane_promotion_holds_lifted_with_reason
    check ((lifted_at = '') = (lifted_by is null) and (lifted_at = '' or lift_reason <> ''))
);
create unique index if not exists launchplane_promotion_holds_active_key
  on launchplane_promotion_holds (context, instance) where lifted_at = '';
create index if not exists launchplane_promotion_holds_lane_idx
  on launchplane_promotion_holds (context, instance, held_at desc);

create or replace function launchplane_promotion_hold_document(h launchplane_promotion_holds) returns json
    language sql stable parallel safe
    return json_build_object(
        'record_id', h.record_id, 'product', h.product, 'context', h.context, 'instance', h.instance,
        'promotion_record_id', h.promotion_record_id, 'operation_id', h.operation_id, 'reason', h.reason,
        'held_by', h.held_by, 'held_at', h.held_at, 'is_held', h.lifted_at = '',
        'lifted_by', h.lifted_by, 'lifted_at', h.lifted_at, 'lift_reason', h.lift_reason);

-- What may be shown of a lane's typed settings: keys, counts, labels and times, never values or binding ids.
create or replace function launchplane_odoo_override_summary(o json) returns json
    language sql immutable parallel safe
    return json_build_object(
        'context', o ->> 'context', 'instance', o ->> 'instance', 'updated_at', coalesce(o ->> 'updated_at', ''),
        'source_label', coalesce(o ->> 'source_label', ''),
        'apply_on', coalesce(o -> 'apply_on', '["deploy", "promotion"]'::json),
        'last_apply_status', coalesce(o #>> '{last_apply,status}', 'skipped'),
        'last_apply_at', coalesce(o #>> '{last_apply,applied_at}', ''),
        'config_parameter_keys', (
            select coalesce(json_agg(p ->> 'key' order by (p ->> 'key') collate "C"), '[]')
              from json_array_elements(case json_typeof(o -> 'config_parameters') when 'array' then o -> 'config_parameters'
                                       else '[]' end) p),
        'addon_settings', (
            select coalesce(json_agg((s ->> 'addon') || '.' || (s ->> 'setting')
                                     order by ((s ->> 'addon') || '.' || (s ->> 'setting')) collate "C"), '[]')
              from json_array_elements(case json_typeof(o -> 'addon_settings') when 'array' then o -> 'addon_settings'
                                       else '[]' end) s),
        'config_parameter_count', case json_typeof(o -> 'config_parameters')
                                  when 'array' then json_array_length(o -> 'config_parameters') else 0 end,
        'addon_setting_count', case json_typeof(o -> 'addon_settings')
                               when 'array' then json_array_length(o -> 'addon_settings') else 0 end,
        'website_bootstrap', coalesce(json_typeof(o -> 'website_bootstrap') = 'object', false));

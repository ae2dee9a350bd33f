-- One lock on a lane is enough; what is shown of a target is no secret.
-- What no two operations of a context and instance may hold, no two of a product, context and instance can:
-- launchplane_operations_active_place_key says it all.
drop index if exists launchplane_operations_active_lane_key;

-- A Git URL that was recorded by an earlier product may carry user and password; they are not shown.
create or replace function launchplane_target_summary(target jsonb, target_id jsonb) returns json
    language sql immutable parallel safe
    return (((target - 'env')
        || case when target ->> 'custom_git_url' like '%://%@%'
                then jsonb_build_object('custom_git_url',
                                        regexp_replace(target ->> 'custom_git_url', '://[^/?#]*@', '://[redacted]@'))
                else '{}' end
        || jsonb_build_object(
        'target_id', coalesce(target_id ->> 'target_id', ''),
        'env_keys', (select coalesce(jsonb_agg(k order by k), '[]')
                       from jsonb_object_keys(coalesce(nullif(target -> 'env', 'null'), '{}')) as k),
        'env_value_count', (select count(*) from jsonb_object_keys(coalesce(nullif(target -> 'env', 'null'), '{}')))))::json);

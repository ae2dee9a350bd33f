-- Functions that PostgreSQL planned anew in every statement that calls them, at each place.

-- to_char() is stable: the body of a function that claims to be immutable cannot be put into the statement. What it gives depends on
-- its argument alone all the same.
create or replace function launchplane_utc(moment timestamptz) returns text
  language sql stable parallel safe
  return coalesce(to_char(moment at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), '');

-- An aggregate cannot be put there either; plpgsql keeps its plan for the session.
create or replace function launchplane_keys(j json) returns json language plpgsql immutable parallel safe as $$
begin
  return (select coalesce(json_agg(k order by k), '[]'::json)
            from json_object_keys(case when json_typeof(j) = 'object' then j else '{}'::json end) k);
end
$$;

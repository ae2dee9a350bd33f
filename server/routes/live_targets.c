/* What live targets show: inspection, preflight, logs (facts/config-health.md 5.3, 5.4, 9.3). */
#include "drivers/dokploy/target_inspect.h"
#include "drivers/dokploy/target_log.h"
#include "server/routes/tables.h"
#include "storage/codes.h"
#include "storage/config.sql.h"
#include "storage/target.sql.h"

#include <stdlib.h>

/* ---- query parameters ---- */

struct wanted {
	const char *context, *instance, *target_type, *target_id;
};

static bool read_text(struct call *c, const char *name, const char **out, struct err *err)
{
	const char *text;
	if (!request_query(c->rq, name, &text, err))
		return false;
	*out = text ? trimmed(c->arena, text) : "";
	return true;
}

static bool read_wanted(struct call *c, struct wanted *out, struct err *err)
{
	if (!read_text(c, "context", &out->context, err) || !read_text(c, "instance", &out->instance, err) ||
	    !read_text(c, "target_type", &out->target_type, err) || !read_text(c, "target_id", &out->target_id, err))
		return false;
	out->context = lowered(c->arena, out->context);
	out->instance = lowered(c->arena, out->instance);
	out->target_type = lowered(c->arena, out->target_type);
	bool lane = out->context[0] && out->instance[0], target = out->target_type[0] && out->target_id[0];
	bool any_lane = out->context[0] || out->instance[0], any_target = out->target_type[0] || out->target_id[0];
	if ((lane && !any_target) || (target && !any_lane))
		return true;
	return err_set(err, &E_invalid_dokploy_target_inspect,
	               "give either context and instance, or target_type and target_id");
}

static bool type_named(const char *name, enum target_type *out, struct err *err)
{
	for (int i = 0; target_type_names[i]; i++)
		if (strcmp(target_type_names[i], name) == 0) {
			*out = (enum target_type)i;
			return true;
		}
	return err_set(err, &E_invalid_dokploy_target_inspect, "target_type: must be compose or application");
}

/* ---- inspect ---- */

static bool as_inspect_error(struct err *err)
{
	if (err_is(err, &E_not_found) || err_is(err, &E_provider_refused))
		err->code = &E_invalid_dokploy_target_inspect;
	return false;
}

/* The tracked records of a lane, and the target they name. */
static SUSPENDS bool resolve(struct call *c, struct wanted *w, struct json *tracked, struct json *provider_row,
                             struct err *err)
{
	struct rows rows;
	if (!db_query(c->t, &Q_target_tracked, PARAMS(P_TEXT(w->context), P_TEXT(w->instance)), &rows, err))
		return false;
	if (rows.n == 0)
		return err_set(err, &E_invalid_dokploy_target_inspect, "%s/%s has no tracked target", w->context,
		               w->instance);
	const char *text = row_text(&rows, 0, 0), *row = row_text(&rows, 0, 1);
	if (!json_parse(c->arena, text, strlen(text), "the tracked target", tracked, err))
		return false;
	*provider_row = json_object();
	json_set_str(c->arena, provider_row, "status", "missing");
	if (row && !json_parse(c->arena, row, strlen(row), "the provider target", provider_row, err))
		return false;
	w->target_type = json_str(tracked, "target_type", "compose");
	w->target_id = json_str(tracked, "target_id", "");
	return w->target_id[0] || err_set(err, &E_invalid_dokploy_target_inspect, "%s/%s has no tracked target id",
	                                  w->context, w->instance);
}

static SUSPENDS bool target_inspect_route(struct call *c, struct err *err)
{
	struct wanted w;
	struct json tracked, row, provider, inspect = json_object();
	enum target_type type;
	if (!read_wanted(c, &w, err))
		return false;
	bool lane = w.context[0] != '\0';
	if (lane && !resolve(c, &w, &tracked, &row, err))
		return false;
	if (!type_named(w.target_type, &type, err))
		return false;
	if (!target_inspect(c->t, type, w.target_id, &provider, err))
		return as_inspect_error(err);
	json_set_str(c->arena, &inspect, "status", "ok");
	json_set_str(c->arena, &inspect, "target_type", w.target_type);
	json_set_str(c->arena, &inspect, "target_id", w.target_id);
	json_set(c->arena, &inspect, "provider_payload_redacted", json_of_bool(true));
	json_set(c->arena, &inspect, "provider", provider);
	if (lane) {
		json_set(c->arena, &inspect, "tracked_target", tracked);
		json_set(c->arena, &inspect, "provider_target_record", row);
	}
	return call_answer_member(c, "inspect", json_text(c->arena, &inspect));
}

static SUSPENDS bool target_preflight_route(struct call *c, struct err *err)
{
	struct wanted w;
	struct json tracked, row, preflight;
	enum target_type type;
	if (!read_wanted(c, &w, err) || (w.context[0] && !resolve(c, &w, &tracked, &row, err)) ||
	    !type_named(w.target_type, &type, err))
		return false;
	if (!target_preflight(c->t, type, w.target_id, &preflight, err))
		return as_inspect_error(err);
	return call_answer_member(c, "preflight", json_text(c->arena, &preflight));
}

/* ---- logs ---- */

static bool read_log_wish(struct call *c, struct dokploy_log_wish *out, struct err *err)
{
	const char *lines;
	char *end = NULL;
	if (!read_text(c, "lines", &lines, err) || !read_text(c, "since", &out->since, err) ||
	    !read_text(c, "search", &out->search, err))
		return false;
	out->lines = lines[0] ? strtoll(lines, &end, 10) : 200;
	if ((end && *end) || out->lines < 1 || out->lines > TARGET_LOG_LINES_MOST)
		return err_set(err, &E_invalid_query, "lines must be a whole number from 1 to %d",
		               TARGET_LOG_LINES_MOST);
	if (!out->since[0])
		out->since = "all";
	if (!target_log_since_ok(out->since))
		return err_set(err, &E_invalid_query, "since must be all, or digits and one of s, m, h, d: 15m");
	return target_log_search_ok(out->search) ||
	       err_set(err, &E_invalid_query,
	               "search may hold letters, digits, blanks, dots, underscores and hyphens, at most %d of them",
	               TARGET_LOG_SEARCH_MOST);
}

static SUSPENDS bool target_logs_route(struct call *c, struct err *err)
{
	struct dokploy_log_wish wish;
	struct rows rows;
	struct dokploy_target target;
	struct dokploy_target_id id;
	struct json logs;
	const char *context = lowered(c->arena, call_param(c, "context")),
	           *instance = lowered(c->arena, call_param(c, "instance"));
	if (!call_authorize(c, c->route->action, "launchplane", context, err) || !read_log_wish(c, &wish, err) ||
	    !db_query(c->t, &Q_target_read, PARAMS(P_TEXT(context), P_TEXT(instance)), &rows, err))
		return false;
	const char *t = row_text(&rows, 0, 0), *i = row_text(&rows, 0, 1);
	if (!t || !i)
		return err_field(err, "instance", "%s/%s has no tracked %s", context, instance,
		                 t ? "target id" : "target");
	if (!contract_read_text(c->arena, &dokploy_target_contract, t, strlen(t), "the stored target record", &target,
	                        err) ||
	    !contract_read_text(c->arena, &dokploy_target_id_contract, i, strlen(i), "the stored target id", &id,
	                        err) ||
	    !target_log_read(c->t, &target, &id, &wish, &logs, err))
		return false;
	return call_answer_members(c, json_text(c->arena, &logs));
}

const struct route live_target_routes[] = {
	{ HTTP_GET, "/v1/dokploy-targets/inspect", "What a live Dokploy target looks like, without values",
	  target_inspect_route, .callers = CALLERS_READ, .action = "dokploy_target.inspect", .product = "=launchplane",
	  .context = "=launchplane" },
	{ HTTP_GET, "/v1/dokploy-targets/preflight", "Whether the control plane could run on a Dokploy target",
	  target_preflight_route, .callers = CALLERS_READ, .action = "dokploy_target.inspect",
	  .product = "=launchplane", .context = "=launchplane" },
	{ HTTP_GET, "/v1/contexts/{context}/instances/{instance}/logs", "The last lines of a lane's log, redacted",
	  target_logs_route, .callers = CALLERS_READ, .action = "target_logs.read", .product = "handler",
	  .context = "handler" },
	{ 0 },
};

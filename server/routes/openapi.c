/* GET /v1/openapi.json: OpenAPI 3.1, generated from the route and contract tables. */
#include "server/routes/list.h"
#include "server/routes/tables.h"

#include <stdio.h>

static const char *const caller_words[] = {
	[CALLERS_ANYONE] = "Anybody.",
	[CALLERS_READ] = "Workflows, people, terminal agents and local tokens with a matching grant.",
	[CALLERS_WRITE] = "Workflows and local tokens with a matching grant.",
	[CALLERS_WRITE_HUMAN] = "Workflows, signed-in people and local tokens with a matching grant.",
};

static void parameter(struct json_out *o, const char *name, size_t n, const char *where, bool required,
                      const char *help)
{
	char text[80];
	snprintf(text, sizeof(text), "%.*s", (int)n, name);
	jo_open(o, '{');
	jo_kv(o, "name", text);
	jo_kv(o, "in", where);
	jo_kv_bool(o, "required", required);
	if (help)
		jo_kv(o, "description", help);
	jo_key(o, "schema");
	jo_raw(o, "{\"type\":\"string\"}", 17);
	jo_close(o, '}');
}

static void parameters(struct json_out *o, const struct route *r)
{
	jo_key(o, "parameters");
	jo_open(o, '[');
	for (const char *p = strchr(r->path, '{'); p; p = strchr(p + 1, '{'))
		parameter(o, p + 1, strcspn(p + 1, "}"), "path", true, NULL);
	for (const struct list_filter *f = r->list ? r->list->filters : NULL; f && f->name; f++)
		parameter(o, f->name, strlen(f->name), "query", f->is_required, f->help);
	if (r->list) {
		parameter(o, "limit", 5, "query", false, "How many at most; 50 unless told, 200 at most");
		parameter(o, "cursor", 6, "query", false, "next_cursor of the page before");
	}
	if (r->callers == CALLERS_WRITE_HUMAN)
		parameter(o, "X-CSRF-Token", 12, "header", false,
		          "With a session cookie: the token that GET /v1/auth/session shows; it serves once");
	if (r->idempotency != IDEMPOTENCY_NONE)
		parameter(o, "Idempotency-Key", 15, "header", r->idempotency == IDEMPOTENCY_OWN_REQUIRED,
		          "The same key and body get the same answer again");
	jo_close(o, ']');
}

static void envelope_member(struct json_out *o, const char *key, const char *schema)
{
	jo_key(o, key);
	jo_raw(o, schema, strlen(schema));
}

/* The answer's members beside the envelope: schemas, or what an example shows of them. */
static void answer_members(struct json_out *o, const struct route *r, bool is_example)
{
	if (r->list) {
		envelope_member(o, r->list->member,
		                is_example ? "[]" : "{\"type\":\"array\",\"items\":{\"type\":\"object\"}}");
		envelope_member(o, "next_cursor", is_example ? "null" : "{\"type\":[\"string\",\"null\"]}");
	}
	if (!r->record)
		return;
	jo_key(o, r->record_key ? r->record_key : "record");
	if (is_example)
		contract_example(o, r->record);
	else
		contract_schema(o, r->record);
}

static void success_example(struct json_out *o, const struct route *r)
{
	bool is_read = r->method == HTTP_GET || r->success == 200;
	jo_key(o, "example");
	jo_open(o, '{');
	jo_kv(o, "status", is_read ? "ok" : "accepted");
	jo_kv(o, "trace_id", "launchplane_req_0123456789abcdef0123456789abcdef");
	if (!is_read)
		envelope_member(o, "records", "{}");
	answer_members(o, r, true);
	jo_close(o, '}');
}

static void success(struct json_out *o, const struct route *r)
{
	bool is_read = r->method == HTTP_GET || r->success == 200;
	jo_key(o, r->success == 302 ? "302" : is_read ? "200" : "202");
	jo_open(o, '{');
	if (r->success == 302) {
		jo_kv(o, "description", "Goes on at Location");
		jo_close(o, '}');
		return;
	}
	jo_kv(o, "description", is_read ? "The answer" : "Accepted and committed");
	jo_key(o, "content");
	jo_open(o, '{');
	jo_key(o, "application/json");
	jo_open(o, '{');
	jo_key(o, "schema");
	jo_open(o, '{');
	jo_kv(o, "type", "object");
	jo_key(o, "properties");
	jo_open(o, '{');
	envelope_member(o, "status", is_read ? "{\"const\":\"ok\"}" : "{\"const\":\"accepted\"}");
	envelope_member(o, "trace_id", "{\"type\":\"string\"}");
	if (!is_read) {
		envelope_member(o, "records", "{\"type\":\"object\",\"additionalProperties\":{\"type\":\"string\"}}");
		envelope_member(o, "result", "{\"type\":\"object\"}");
		envelope_member(o, "replayed", "{\"const\":true}");
		envelope_member(o, "original_trace_id", "{\"type\":\"string\"}");
	}
	answer_members(o, r, false);
	jo_close(o, '}');
	envelope_member(o, "required", is_read ? "[\"status\",\"trace_id\"]" : "[\"status\",\"trace_id\",\"records\"]");
	jo_close(o, '}');
	success_example(o, r);
	jo_close(o, '}');
	jo_close(o, '}');
	jo_close(o, '}');
}

static void failure(struct json_out *o, const char *status, const char *description)
{
	jo_key(o, status);
	jo_open(o, '{');
	jo_kv(o, "description", description);
	jo_key(o, "content");
	static const char content[] =
	        "{\"application/json\":{\"schema\":{\"$ref\":\"#/components/schemas/Rejected\"}}}";
	jo_raw(o, content, sizeof(content) - 1);
	jo_close(o, '}');
}

static void operation(struct json_out *o, const struct route *r)
{
	jo_key(o, r->method == HTTP_GET ? "get" : "post");
	jo_open(o, '{');
	jo_kv(o, "summary", r->summary);
	jo_kv(o, "description",
	      r->decides_itself ? arena_printf(o->buf->arena, "%s The action that the body asks about decides.",
	                                       caller_words[r->callers])
	      : r->action       ? arena_printf(o->buf->arena, "%s Action: %s%s%s.", caller_words[r->callers], r->action,
                                         r->apply_action ? ", to apply " : "", r->apply_action ? r->apply_action : "")
	                        : caller_words[r->callers]);
	parameters(o, r);
	if (r->callers != CALLERS_ANYONE) {
		jo_key(o, "security");
		static const char token_only[] = "[{\"bearer\":[]}]",
		                  token_or_cookie[] = "[{\"bearer\":[]},{\"session\":[]}]";
		if (r->callers == CALLERS_WRITE)
			jo_raw(o, token_only, sizeof(token_only) - 1);
		else
			jo_raw(o, token_or_cookie, sizeof(token_or_cookie) - 1);
	}
	if (r->body) {
		jo_key(o, "requestBody");
		jo_open(o, '{');
		jo_kv_bool(o, "required", true);
		jo_key(o, "content");
		jo_open(o, '{');
		jo_key(o, "application/json");
		jo_open(o, '{');
		jo_key(o, "schema");
		contract_schema(o, r->body);
		jo_key(o, "example");
		contract_example(o, r->body);
		jo_close(o, '}');
		jo_close(o, '}');
		jo_close(o, '}');
	}
	jo_key(o, "responses");
	jo_open(o, '{');
	success(o, r);
	if (r->callers != CALLERS_ANYONE) {
		failure(o, "400", "The request is wrong; error.path names the field");
		failure(o, "401", "No credential, or one that is not accepted");
		failure(o, "403", "The caller's grants do not allow this");
	}
	if (strchr(r->path, '{'))
		failure(o, "404", "There is no such record");
	if (r->idempotency != IDEMPOTENCY_NONE)
		failure(o, "409", "The Idempotency-Key was used with another request, or the lane is busy");
	failure(o, "503", "Try again after the time in Retry-After");
	jo_close(o, '}');
	jo_close(o, '}');
}

static bool seen_before(const struct route *const *tables, const struct route *r)
{
	for (const struct route *const *t = tables; *t; t++)
		for (const struct route *other = *t; other->path; other++) {
			if (other == r)
				return false;
			if (strcmp(other->path, r->path) == 0)
				return true;
		}
	return false;
}

static void paths(struct json_out *o)
{
	jo_key(o, "paths");
	jo_open(o, '{');
	for (const struct route *const *t = all_routes; *t; t++)
		for (const struct route *r = *t; r->path; r++) {
			if (seen_before(all_routes, r))
				continue; /* its other methods were written with the first row of the path */
			jo_key(o, r->path);
			jo_open(o, '{');
			for (const struct route *const *t2 = all_routes; *t2; t2++)
				for (const struct route *other = *t2; other->path; other++)
					if (strcmp(other->path, r->path) == 0)
						operation(o, other);
			jo_close(o, '}');
		}
	jo_close(o, '}');
}

void openapi_write(struct buf *b)
{
	struct json_out o = { .buf = b };
	static const char components[] =
	        "{\"securitySchemes\":{\"bearer\":{\"type\":\"http\",\"scheme\":\"bearer\",\"bearerFormat\":\"JWT\"},"
	        "\"session\":{\"type\":\"apiKey\",\"in\":\"cookie\",\"name\":\"launchplane_session\"}},"
	        "\"schemas\":{\"Rejected\":{\"type\":\"object\",\"required\":[\"status\",\"trace_id\",\"error\"],"
	        "\"properties\":{\"status\":{\"const\":\"rejected\"},\"trace_id\":{\"type\":\"string\"},"
	        "\"error\":{\"type\":\"object\",\"required\":[\"code\",\"message\"],\"properties\":{"
	        "\"code\":{\"type\":\"string\"},\"message\":{\"type\":\"string\"},\"path\":{\"type\":\"string\"}}}}}}}";
	jo_open(&o, '{');
	jo_kv(&o, "openapi", "3.1.0");
	jo_key(&o, "info");
	jo_open(&o, '{');
	jo_kv(&o, "title", "Launchplane");
	jo_kv(&o, "version", "1");
	jo_kv(&o, "description", "What runs where, changed safely and proved afterwards.");
	jo_close(&o, '}');
	paths(&o);
	jo_key(&o, "components");
	jo_raw(&o, components, sizeof(components) - 1);
	jo_close(&o, '}');
}

static bool openapi(struct call *c, struct err *err)
{
	(void)err;
	struct buf b = buf_in(c->arena);
	openapi_write(&b);
	c->rs->status = 200;
	response_body(c->rs, "application/json", b.p, b.n);
	return true;
}

const struct route openapi_routes[] = {
	{ HTTP_GET, "/v1/openapi.json", "This description, OpenAPI 3.1", openapi },
	{ 0 },
};

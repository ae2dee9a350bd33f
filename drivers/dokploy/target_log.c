#include "drivers/dokploy/target_log.h"

#include "core/redact.h"
#include "drivers/dokploy/credentials.h"
#include "storage/codes.h"

#include <ctype.h>
#include <strings.h>

bool target_log_since_ok(const char *since)
{
	if (strcmp(since, "all") == 0)
		return true;
	size_t digits = strspn(since, "0123456789");
	return digits > 0 && digits <= 9 && since[digits] && strchr("smhd", since[digits]) && !since[digits + 1];
}

bool target_log_search_ok(const char *search)
{
	for (const char *p = search; *p; p++)
		if (!isalnum((unsigned char)*p) && !strchr(" ._-", *p))
			return false;
	return strlen(search) <= TARGET_LOG_SEARCH_MOST;
}

/* ---- lines ---- */

static void add_text(struct buf *b, const char *text)
{
	buf_str(b, text);
	if (b->n && b->p[b->n - 1] != '\n')
		buf_char(b, '\n');
}

static void add_any(struct buf *b, const struct json *j, int depth)
{
	static const char *const members[] = { "message", "line", "logs", "log", "lines", "output", "raw" };
	if (j->type == JSON_STRING)
		add_text(b, j->string);
	for (uint32_t i = 0; j->type == JSON_ARRAY && depth < 4 && i < j->n; i++)
		add_any(b, &j->items[i], depth + 1);
	for (size_t i = 0; j->type == JSON_OBJECT && depth < 4 && i < countof(members); i++)
		if (json_get(j, members[i]))
			add_any(b, json_get(j, members[i]), depth + 1);
}

void target_log_lines(struct arena *a, const struct json *answer, const struct dokploy_log_wish *wish,
                      struct strings *out)
{
	struct buf b = buf_in(a);
	struct strings all = { 0 };
	add_any(&b, answer, 0);
	/* As a whole: a key or a quoted value may span lines. */
	char *text = redact(a, buf_cstr(&b));
	size_t room = 1;
	for (const char *p = text; *p; p++)
		room += *p == '\n';
	all.v = arena_array(a, room, sizeof(*all.v));
	for (char *line = text; line && *line;) {
		char *end = strchr(line, '\n');
		if (end)
			*end = '\0';
		size_t n = strlen(line);
		if (n && line[n - 1] == '\r')
			line[n - 1] = '\0';
		if (!wish->search[0] || strcasestr(line, wish->search))
			all.v[all.n++] = line;
		line = end ? end + 1 : NULL;
	}
	size_t skip = all.n > (size_t)wish->lines ? all.n - (size_t)wish->lines : 0;
	*out = (struct strings){ all.n - skip, all.v + skip };
}

/* ---- containers ---- */

/* "shop-testing-ab12cd-web-1": the last word before the trailing number. */
static bool is_web(const char *name)
{
	size_t n = strlen(name), number = n;
	while (number && isdigit((unsigned char)name[number - 1]))
		number--;
	if (number < n && number && strchr("-_.", name[number - 1]))
		n = number - 1;
	return n >= 3 && strncasecmp(name + n - 3, "web", 3) == 0 && (n == 3 || strchr("-_./", name[n - 4]));
}

const struct dokploy_container *target_log_container(const struct dokploy_containers *list)
{
	const struct dokploy_container *first = NULL;
	for (size_t i = 0; i < list->n; i++) {
		if (!list->v[i].id[0])
			continue;
		if (is_web(list->v[i].name))
			return &list->v[i];
		first = first ? first : &list->v[i];
	}
	return first;
}

/* ---- reading ---- */

struct log_source {
	const char *app_name, *server_id;
};

static SUSPENDS bool read_compose(struct task *t, struct dokploy *d, const char *id,
                                  const struct dokploy_log_wish *wish, struct log_source *source, struct json *out,
                                  struct err *err)
{
	struct dokploy_compose compose;
	struct dokploy_containers containers;
	if (!dokploy_compose_one(t, d, id, &compose, err))
		return false;
	*source = (struct log_source){ compose.app_name, compose.server_id };
	if (!dokploy_containers(t, d, compose.app_name, compose.server_id, &containers, err))
		return false;
	const struct dokploy_container *chosen = target_log_container(&containers);
	if (!chosen)
		return err_set(err, &E_target_logs_unavailable, "the target has no container whose log could be read");
	return dokploy_compose_log(t, d, id, chosen->id, wish, out, err);
}

static SUSPENDS bool read_application(struct task *t, struct dokploy *d, const char *id,
                                      const struct dokploy_log_wish *wish, struct log_source *source, struct json *out,
                                      struct err *err)
{
	struct dokploy_application application;
	if (!dokploy_application_one(t, d, id, &application, err))
		return false;
	*source = (struct log_source){ application.app_name, application.server_id };
	return dokploy_application_log(t, d, id, wish, out, err);
}

static void write_answer(struct arena *a, const struct dokploy_target *target, const struct dokploy_target_id *id,
                         const struct dokploy_log_wish *wish, const struct log_source *source,
                         const struct strings *lines, struct json *out)
{
	struct json shown = json_object(), request = json_object(), logs = json_object(), list = json_array();
	json_set_str(a, &shown, "target_id", id->target_id);
	json_set_str(a, &shown, "target_type", target_type_names[target->target_type]);
	json_set_str(a, &shown, "target_name", target->target_name);
	json_set_str(a, &shown, "app_name", source->app_name);
	json_set_str(a, &shown, "server_id", source->server_id);
	json_set_str(a, &shown, "source_label", target->source_label);
	json_set(a, &request, "line_count", json_of_int(wish->lines));
	json_set_str(a, &request, "since", wish->since);
	json_set_str(a, &request, "search", wish->search);
	for (size_t i = 0; i < lines->n; i++)
		json_push(a, &list, json_of_str(lines->v[i]));
	json_set(a, &logs, "line_count", json_of_int((int64_t)lines->n));
	json_set(a, &logs, "lines", list);
	json_set(a, &logs, "redacted", json_of_bool(true));
	*out = json_object();
	json_set_str(a, out, "context", target->context);
	json_set_str(a, out, "instance", target->instance);
	json_set(a, out, "target", shown);
	json_set(a, out, "request", request);
	json_set(a, out, "logs", logs);
}

bool target_log_read(struct task *t, const struct dokploy_target *target, const struct dokploy_target_id *id,
                     const struct dokploy_log_wish *wish, struct json *out, struct err *err)
{
	struct dokploy d;
	struct log_source source;
	struct json answer;
	struct strings lines;
	if (!dokploy_open(t, &d, err))
		return false;
	bool ok = target->target_type == TARGET_COMPOSE
	                  ? read_compose(t, &d, id->target_id, wish, &source, &answer, err)
	                  : read_application(t, &d, id->target_id, wish, &source, &answer, err);
	if (!ok) {
		if (!err_is(err, &E_cancelled))
			err->code = &E_target_logs_unavailable;
		return false;
	}
	target_log_lines(t->arena, &answer, wish, &lines);
	write_answer(t->arena, target, id, wish, &source, &lines, out);
	return true;
}

#include "drivers/odoo/route_evidence.h"

#include "core/digest.h"

static const char *const required_services[] = { "web", "database", "script-runner" };
const struct strings odoo_required_services = { countof(required_services), (const char **)required_services };

/* ---- lines ---- */

struct line {
	size_t indent;
	const char *text; /* without indentation and trailing blanks */
};

static bool next_line(struct arena *a, const char **yaml, struct line *out)
{
	while (**yaml) {
		size_t n = strcspn(*yaml, "\n");
		const char *p = *yaml;
		*yaml += n + (p[n] == '\n');
		size_t indent = strspn(p, " ");
		while (n > indent && (p[n - 1] == ' ' || p[n - 1] == '\r' || p[n - 1] == '\t'))
			n--;
		if (n <= indent || p[indent] == '#')
			continue;
		*out = (struct line){ indent, arena_strndup(a, p + indent, n - indent) };
		return true;
	}
	return false;
}

/* A scalar without its quotes. */
static const char *unquoted(struct arena *a, const char *s)
{
	size_t n = strlen(s);
	if (n >= 2 && s[0] == '"' && s[n - 1] == '"') {
		struct json j;
		struct err ignored = { 0 };
		if (json_parse(a, s, n, "label", &j, &ignored) && j.type == JSON_STRING)
			return j.string;
	}
	if (n >= 2 && (s[0] == '"' || s[0] == '\'') && s[n - 1] == s[0])
		return arena_strndup(a, s + 1, n - 2);
	return s;
}

/* ---- labels ---- */

struct router {
	const char *name, *rule, *entries;
};
struct labels {
	size_t routers_n, router_labels, service_labels;
	struct router *routers;
	bool enables, names_network;
};

static struct router *router_named(struct arena *a, struct labels *l, const char *name)
{
	for (size_t i = 0; i < l->routers_n; i++)
		if (strcmp(l->routers[i].name, name) == 0)
			return &l->routers[i];
	struct router *v = arena_array(a, l->routers_n + 1, sizeof(*v));
	if (l->routers_n)
		memcpy(v, l->routers, l->routers_n * sizeof(*v));
	l->routers = v;
	v[l->routers_n] = (struct router){ name, "", "" };
	return &v[l->routers_n++];
}

static void read_router_label(struct arena *a, struct labels *l, const char *rest)
{
	const char *equals = strchr(rest, '=');
	if (!equals)
		return;
	const char *key = arena_strndup(a, rest, (size_t)(equals - rest));
	const char *dot = strchr(key, '.');
	if (!dot)
		return;
	struct router *r = router_named(a, l, arena_strndup(a, key, (size_t)(dot - key)));
	if (strcasecmp(dot, ".rule") == 0)
		r->rule = equals + 1;
	else if (strcasecmp(dot, ".entrypoints") == 0)
		r->entries = equals + 1;
}

static struct labels read_labels(struct arena *a, const char *yaml)
{
	static const char routers[] = "traefik.http.routers.", services[] = "traefik.http.services.";
	struct labels l = { 0 };
	struct line line;
	while (next_line(a, &yaml, &line)) {
		if (strncmp(line.text, "- ", 2) != 0)
			continue;
		const char *label = unquoted(a, trimmed(a, line.text + 2));
		if (strncmp(label, routers, sizeof(routers) - 1) == 0) {
			l.router_labels++;
			read_router_label(a, &l, label + sizeof(routers) - 1);
		} else if (strncmp(label, services, sizeof(services) - 1) == 0) {
			l.service_labels++;
		} else if (strcmp(label, "traefik.enable=true") == 0) {
			l.enables = true;
		} else if (strcmp(label, "traefik.docker.network=dokploy-network") == 0) {
			l.names_network = true;
		}
	}
	return l;
}

static bool has_entry(const char *entries, const char *entry)
{
	while (*entries) {
		size_t n = strcspn(entries, ",");
		if (n == strlen(entry) && strncmp(entries, entry, n) == 0)
			return true;
		entries += n + (entries[n] == ',');
	}
	return false;
}

static bool has_router(struct arena *a, const struct labels *l, const char *host, const char *entry)
{
	const char *rule = arena_printf(a, "Host(`%s`)", host);
	for (size_t i = 0; i < l->routers_n; i++)
		if (has_entry(l->routers[i].entries, entry) && strcasestr(l->routers[i].rule, rule))
			return true;
	return false;
}

bool route_evidence_has_router(struct arena *a, const char *yaml, const char *host, const char *entry)
{
	struct labels l = read_labels(a, yaml);
	return has_router(a, &l, host, entry);
}

static void set(struct arena *a, struct text_map *out, const char *prefix, const char *name, const char *value)
{
	map_set(a, out, arena_printf(a, "%s%s", prefix, name), value);
}

static const char *yes_no(bool b)
{
	return b ? "true" : "false";
}

void route_evidence_add(struct arena *a, const char *prefix, const char *yaml, const struct strings *hosts,
                        struct text_map *out)
{
	struct labels l = read_labels(a, yaml);
	char *sha = arena_alloc(a, SHA256_HEX);
	struct buf names = buf_in(a);
	sha256_hex(yaml, strlen(yaml), sha);
	for (size_t i = 0; i < hosts->n; i++)
		buf_printf(&names, "%s%s", i ? "," : "", hosts->v[i]);
	set(a, out, prefix, "compose_sha256", sha);
	set(a, out, prefix, "domain_hosts", buf_cstr(&names));
	set(a, out, prefix, "traefik_router_label_count", arena_printf(a, "%zu", l.router_labels));
	set(a, out, prefix, "traefik_service_label_count", arena_printf(a, "%zu", l.service_labels));
	set(a, out, prefix, "traefik_enable_label_present", yes_no(l.enables));
	set(a, out, prefix, "dokploy_network_label_present", yes_no(l.names_network));
	for (size_t i = 0; i < hosts->n; i++) {
		const char *h = hosts->v[i];
		set(a, out, prefix, arena_printf(a, "domain_%s_http_rule_present", h),
		    yes_no(has_router(a, &l, h, "web")));
		set(a, out, prefix, arena_printf(a, "domain_%s_https_rule_present", h),
		    yes_no(has_router(a, &l, h, "websecure")));
	}
}

/* ---- services ---- */

/* The key of a "key:" or "key: value" line, "" of any other. */
static const char *mapping_key(struct arena *a, const char *text)
{
	const char *colon = strstr(text, ": ");
	size_t n = colon ? (size_t)(colon - text) : strlen(text);
	if (!colon && (n == 0 || text[--n] != ':'))
		return "";
	return unquoted(a, arena_strndup(a, text, n));
}

struct strings compose_missing_services(struct arena *a, const char *yaml, const struct strings *names)
{
	struct strings found = { 0 }, missing = { 0 };
	struct line line;
	bool inside = false;
	size_t depth = 0;
	while (next_line(a, &yaml, &line)) {
		if (line.indent == 0) {
			inside = strcmp(mapping_key(a, line.text), "services") == 0;
			depth = 0;
		} else if (inside) {
			if (!depth)
				depth = line.indent;
			if (line.indent == depth)
				strings_add(a, &found, mapping_key(a, line.text));
		}
	}
	for (size_t i = 0; i < names->n; i++)
		if (!strings_have(&found, names->v[i]))
			strings_add(a, &missing, names->v[i]);
	return missing;
}

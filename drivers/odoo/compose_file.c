#include "drivers/odoo/compose_file.h"

#include "core/digest.h"
#include "drivers/odoo/template.h"
#include "odoo_templates.h"

#define SLUG_MAX 48

/* facts/odoo.md 5.2, after the database's own keys. */
static const struct {
	const char *key, *fallback;
} environment[] = {
	{ "ODOO_STACK_NAME", "" },
	{ "ODOO_PROJECT_NAME", "" },
	{ "PLATFORM_CONTEXT", "" },
	{ "PLATFORM_INSTANCE", "" },
	{ "ODOO_ADMIN_LOGIN", "" },
	{ "ODOO_ADMIN_PASSWORD", "" },
	{ "ODOO_DEV_MODE", "" },
	{ "ODOO_INSTALL_MODULES", "" },
	{ "ODOO_INSTANCE_OVERRIDES_PAYLOAD_B64", "" },
	{ "LAUNCHPLANE_INSTANCE_OVERRIDES_REQUIRED", "" },
	{ "LAUNCHPLANE_WEBSITE_BOOTSTRAP_REQUIRED", "" },
	{ "ODOO_DB_MAXCONN", "44" },
	{ "ODOO_MAX_CRON_THREADS", "2" },
	{ "ODOO_WORKERS", "6" },
	{ "ODOO_LIMIT_TIME_CPU", "600" },
	{ "ODOO_LIMIT_TIME_REAL", "1800" },
	{ "ODOO_LIMIT_TIME_REAL_CRON", "1800" },
	{ "ODOO_LIMIT_MEMORY_SOFT", "671088640" },
	{ "ODOO_LIMIT_MEMORY_HARD", "805306368" },
	{ "ODOO_UPDATE_MODULES", "AUTO" },
	{ "ODOO_ADDONS_PATH", "/opt/project/addons,/opt/extra_addons,/opt/enterprise,/odoo/addons" },
	{ "ODOO_SERVER_WIDE_MODULES", "base,web,launchplane_runtime_health" },
	{ "ODOO_DATA_WORKFLOW_LOCK_FILE", "/volumes/data/.data_workflow_in_progress" },
	{ "ODOO_DATA_WORKFLOW_LOCK_TIMEOUT_SECONDS", "7200" },
};

/* facts/odoo.md 5.1: each through POSTGRES_<KEY>. */
static const struct {
	const char *setting, *key, *fallback;
} postgres_settings[] = {
	{ "max_connections", "POSTGRES_MAX_CONNECTIONS", "100" },
	{ "max_files_per_process", "POSTGRES_MAX_FILES_PER_PROCESS", "4096" },
	{ "shared_buffers", "POSTGRES_SHARED_BUFFERS", "1GB" },
	{ "effective_cache_size", "POSTGRES_EFFECTIVE_CACHE_SIZE", "4GB" },
	{ "work_mem", "POSTGRES_WORK_MEM", "32MB" },
	{ "maintenance_work_mem", "POSTGRES_MAINTENANCE_WORK_MEM", "256MB" },
	{ "max_wal_size", "POSTGRES_MAX_WAL_SIZE", "1GB" },
	{ "min_wal_size", "POSTGRES_MIN_WAL_SIZE", "80MB" },
	{ "checkpoint_timeout", "POSTGRES_CHECKPOINT_TIMEOUT", "5min" },
	{ "random_page_cost", "POSTGRES_RANDOM_PAGE_COST", "4" },
	{ "effective_io_concurrency", "POSTGRES_EFFECTIVE_IO_CONCURRENCY", "1" },
};

/* A string for YAML that compose does not interpolate. */
static const char *quoted(struct arena *a, const char *s)
{
	struct buf plain = buf_in(a), b = buf_in(a);
	for (; *s; s++) {
		if (*s == '$')
			buf_char(&plain, '$');
		buf_char(&plain, *s);
	}
	json_write_str(&b, buf_cstr(&plain), plain.n);
	return b.p;
}

static const char *environment_lines(struct arena *a)
{
	struct buf b = buf_in(a);
	for (size_t i = 0; i < countof(environment); i++)
		buf_printf(&b, "  %s: ${%s:-%s}\n", environment[i].key, environment[i].key, environment[i].fallback);
	buf_str(&b, "  IMAGE_ODOO_ENTERPRISE_LOCATION: /opt/enterprise\n"
	            "  IMAGE_EXTRA_ADDONS_LOCATION: /opt/extra_addons");
	return b.p;
}

static const char *postgres_lines(struct arena *a)
{
	struct buf b = buf_in(a);
	for (size_t i = 0; i < countof(postgres_settings); i++)
		buf_printf(&b, "%s      - -c\n      - %s=${%s:-%s}", i ? "\n" : "", postgres_settings[i].setting,
		           postgres_settings[i].key, postgres_settings[i].fallback);
	return b.p;
}

static const char *ports_lines(const struct compose_wish *wish)
{
	if (!wish->publishes_ports)
		return "    ports: []";
	return "    ports:\n"
	       "      - ${ODOO_WEB_HOST_PORT:-8069}:8069\n"
	       "      - ${ODOO_LONGPOLL_HOST_PORT:-8072}:8072";
}

char *compose_route_name(struct arena *a, const char *host)
{
	char slug[SLUG_MAX + 1], hex[SHA1_HEX];
	size_t n = 0;
	for (const char *p = host; *p && n < SLUG_MAX; p++) {
		bool is_plain = (*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9');
		if (is_plain)
			slug[n++] = *p;
		else if (n && slug[n - 1] != '-')
			slug[n++] = '-';
	}
	while (n && slug[n - 1] == '-')
		n--;
	slug[n] = '\0';
	sha1_hex(host, strlen(host), hex);
	return arena_printf(a, "launchplane-odoo-web-%s-%.8s", slug, hex);
}

static void add_label(struct arena *a, struct buf *b, const char *label)
{
	buf_printf(b, "%s      - %s", b->n ? "\n" : "", quoted(a, label));
}

static void add_router(struct arena *a, struct buf *b, const char *route, const char *entry, const char *host,
                       int64_t port, bool has_tls, bool letsencrypt)
{
	const char *name = arena_printf(a, "%s-%s", route, entry);
	add_label(a, b, arena_printf(a, "traefik.http.routers.%s.rule=Host(`%s`)", name, host));
	add_label(a, b, arena_printf(a, "traefik.http.routers.%s.entrypoints=%s", name, entry));
	add_label(a, b, arena_printf(a, "traefik.http.routers.%s.service=%s", name, name));
	if (has_tls)
		add_label(a, b, arena_printf(a, "traefik.http.routers.%s.tls=true", name));
	if (letsencrypt)
		add_label(a, b, arena_printf(a, "traefik.http.routers.%s.tls.certresolver=letsencrypt", name));
	add_label(a, b,
	          arena_printf(a, "traefik.http.services.%s.loadbalancer.server.port=%lld", name, (long long)port));
}

static const char *label_lines(struct arena *a, const struct compose_wish *wish, const struct strings *hosts,
                               const struct strings *letsencrypt)
{
	struct buf b = buf_in(a);
	add_label(a, &b, "traefik.enable=true");
	add_label(a, &b, "traefik.docker.network=dokploy-network");
	for (size_t i = 0; i < hosts->n; i++) {
		const char *host = hosts->v[i], *route = compose_route_name(a, host);
		add_router(a, &b, route, "web", host, wish->runtime_port, false, false);
		add_router(a, &b, route, "websecure", host, wish->runtime_port, true, strings_have(letsencrypt, host));
	}
	return b.p;
}

bool compose_hosts(struct arena *a, const struct strings *hosts, struct strings *out, struct err *err)
{
	*out = (struct strings){ 0 };
	for (size_t i = 0; i < hosts->n; i++) {
		const char *host = lowered(a, trimmed(a, hosts->v[i]));
		for (const char *p = host; *p; p++)
			if (*p == '`' || (unsigned char)*p <= ' ' || *p == 0x7f)
				return err_set(err, &E_invalid_request,
				               "The host \"%.100s\" cannot be routed: it has a backtick or a blank",
				               host);
		if (!host[0])
			return err_set(err, &E_invalid_request, "A blank host cannot be routed");
		if (!strings_have(out, host))
			strings_add(a, out, host);
	}
	return true;
}

bool compose_file_render(struct arena *a, const struct compose_wish *wish, const char **yaml, struct err *err)
{
	struct strings hosts, letsencrypt;
	if (!compose_hosts(a, &wish->hosts, &hosts, err) ||
	    !compose_hosts(a, &wish->letsencrypt_hosts, &letsencrypt, err))
		return false;
	if (hosts.n == 0)
		return err_set(err, &E_invalid_request, "A compose file needs at least one host to route");
	if (is_blank(wish->image_reference))
		return err_set(err, &E_invalid_request, "A compose file needs an image reference");
	if (wish->runtime_port < 1 || wish->runtime_port > 65535)
		return err_set(err, &E_invalid_request, "A compose file needs the product's runtime port, 1 to 65535");
	const struct template_value values[] = {
		{ "image", quoted(a, wish->image_reference) },
		{ "environment", environment_lines(a) },
		{ "ports", ports_lines(wish) },
		{ "labels", label_lines(a, wish, &hosts, &letsencrypt) },
		{ "postgres_settings", postgres_lines(a) },
	};
	*yaml = template_fill(a, odoo_compose_yml, values, countof(values));
	return true;
}

/* What previews a product has at the provider, whatever the records say (facts/odoo.md 15.4; web-verireel-previews.md
 * 3.8, 5.5). Isolated ones are compose services of a preview's name; staged ones are domains of the template lane's
 * compose target whose host is a slug of the profile's template. */
#include "drivers/dokploy/credentials.h"
#include "drivers/odoo/preview.h"
#include "drivers/odoo/replacement_facts.h"
#include "storage/codes.h"

#include <stdlib.h>
#include <strings.h>

static const struct field scan_fields[] = {
	F_SCHEMA_VERSION(preview_inventory_scan),
	F_STR(preview_inventory_scan, scan_id, REQUIRED | NON_BLANK),
	F_STR(preview_inventory_scan, context, REQUIRED | NON_BLANK),
	F_STR(preview_inventory_scan, scanned_at, REQUIRED | NON_BLANK),
	F_STR(preview_inventory_scan, source, REQUIRED | NON_BLANK),
	F_STR(preview_inventory_scan, status, REQUIRED),
	F_INT(preview_inventory_scan, preview_count, REQUIRED),
	F_STRINGS(preview_inventory_scan, preview_slugs, 0),
	F_STR(preview_inventory_scan, error_message, 0),
	F_END,
};
const struct contract preview_inventory_scan_contract =
        CONTRACT(preview_inventory_scan, scan_fields, "What previews were found at the provider");

/* ---- reading ---- */

bool preview_host_is_stable(const struct dokploy_target *target, const struct lane *lane, const char *host)
{
	const char *base = strstr(lane->base_url, "://");
	size_t n = base ? strcspn(base + 3, ":/") : 0;
	for (size_t i = 0; i < target->domains.n; i++)
		if (strcasecmp(target->domains.v[i], host) == 0)
			return true;
	return n && n == strlen(host) && strncasecmp(base + 3, host, n) == 0;
}

static SUSPENDS bool read_staged(struct task *t, struct dokploy *d, const struct product_profile *p,
                                 struct preview_inventory *out, struct err *err)
{
	struct dokploy_target target;
	struct dokploy_target_id id;
	struct dokploy_compose live;
	struct dokploy_domains domains;
	bool has_target = false, has_id = false;
	size_t lanes;
	const struct lane *lane = product_profile_lane(p, p->preview.template_instance, &lanes);
	if (lane && !read_target(t, lane, &target, &has_target, &id, &has_id, err))
		return false;
	if (!has_target || !has_id || target.target_type != TARGET_COMPOSE)
		return err_set(err, &E_tracked_target_not_found,
		               "the template lane %s, which previews are staged on, has no tracked compose target",
		               p->preview.template_instance);
	if (!dokploy_compose_one(t, d, id.target_id, &live, err) ||
	    !dokploy_domains_of_compose(t, d, id.target_id, &domains, err))
		return false;
	out->v = arena_array(t->arena, domains.n + 1, sizeof(*out->v));
	for (size_t i = 0; i < domains.n; i++) {
		const char *host = lowered(t->arena, domains.v[i].host);
		if (!preview_host_is_of(t->arena, p->preview.slug_template, host) ||
		    preview_host_is_stable(&target, lane, host))
			continue;
		out->v[out->n++] = (struct preview_found){ .slug = arena_strndup(t->arena, host, strcspn(host, ".")),
			                                   .provider_type = "compose-domain",
			                                   .service_id = id.target_id,
			                                   .service_name = live.name,
			                                   .domain_id = domains.v[i].id,
			                                   .domain_host = host };
	}
	return true;
}

static SUSPENDS bool read_isolated(struct task *t, struct dokploy *d, const struct product_profile *p,
                                   struct preview_inventory *out, struct err *err)
{
	struct dokploy_services services;
	const char *prefix = preview_compose_name(t->arena, p->product, "");
	size_t n = strlen(prefix);
	if (!dokploy_project_all(t, d, &services, err))
		return false;
	out->v = arena_array(t->arena, services.n + 1, sizeof(*out->v));
	for (size_t i = 0; i < services.n; i++) {
		const struct dokploy_service *one = &services.v[i];
		struct dokploy_domains domains;
		if (!one->is_compose || strncmp(one->name, prefix, n) != 0 ||
		    preview_number_of(p->preview.slug_template, one->name + n) == 0)
			continue;
		if (!dokploy_domains_of_compose(t, d, one->service_id, &domains, err)) {
			if (!err_is(err, &E_not_found))
				return false;
			memset(err, 0, sizeof(*err)); /* taken down while we looked */
			continue;
		}
		out->v[out->n++] =
		        (struct preview_found){ .slug = lowered(t->arena, one->name + n),
			                        .provider_type = "compose",
			                        .service_id = one->service_id,
			                        .service_name = one->name,
			                        .domain_id = domains.n ? domains.v[0].id : "",
			                        .domain_host = domains.n ? lowered(t->arena, domains.v[0].host) : "" };
	}
	return true;
}

static int by_slug(const void *x, const void *y)
{
	const struct preview_found *a = x, *b = y;
	int order = strcmp(a->slug, b->slug);
	return order ? order : strcmp(a->domain_id, b->domain_id);
}

bool preview_inventory_read(struct task *t, const struct product_profile *p, struct preview_inventory *out,
                            struct err *err)
{
	struct dokploy d;
	*out = (struct preview_inventory){ .is_staged = preview_is_staged(p) };
	if (!dokploy_open(t, &d, err) ||
	    !(out->is_staged ? read_staged(t, &d, p, out, err) : read_isolated(t, &d, p, out, err)))
		return false;
	if (out->n > 1)
		qsort(out->v, out->n, sizeof(*out->v), by_slug);
	return true;
}

/* ---- the documents ---- */

void preview_inventory_scan_of(struct arena *a, const struct preview_inventory *found, const char *context,
                               const char *source, const char *now, const char *mark,
                               struct preview_inventory_scan *out)
{
	*out = (struct preview_inventory_scan){
		.schema_version = 1,
		.scan_id = arena_printf(a, "preview-inventory-scan-%s-%s-%s", context, utc_compact(a, now), mark),
		.context = context,
		.scanned_at = now,
		.source = source,
		.status = "pass",
		.error_message = "",
	};
	for (size_t i = 0; i < found->n; i++)
		if (!strings_have(&out->preview_slugs, found->v[i].slug))
			strings_add(a, &out->preview_slugs, found->v[i].slug);
	out->preview_count = (int64_t)out->preview_slugs.n;
}

struct json preview_inventory_json(struct arena *a, const struct preview_inventory *found)
{
	struct json list = json_array();
	for (size_t i = 0; i < found->n; i++) {
		const struct preview_found *one = &found->v[i];
		struct json o = json_object();
		json_set_str(a, &o, "applicationId", one->service_id);
		json_set_str(a, &o, "applicationName", one->service_name);
		json_set_str(a, &o, "previewSlug", one->slug);
		json_set_str(a, &o, "providerType", one->provider_type);
		json_set_str(a, &o, "domainId", one->domain_id);
		json_set_str(a, &o, "domainHost", one->domain_host);
		json_push(a, &list, o);
	}
	return list;
}

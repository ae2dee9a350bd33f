/* drivers/odoo/route_evidence.h - what a compose text says about routes, as evidence of a deployment
 * (facts/odoo.md 4.6).
 *
 * Reads our own rendering as well as Dokploy's re-written one: labels in list form, quoted or plain, any indentation.
 * It looks at text and judges nothing. Pure. */
#pragma once

#include "core/contract.h"

/* Sets <prefix>compose_sha256, domain_hosts, traefik_router_label_count, traefik_service_label_count,
 * traefik_enable_label_present, dokploy_network_label_present, domain_<host>_http_rule_present,
 * domain_<host>_https_rule_present in out. prefix ends with '_': "rendered_". */
void route_evidence_add(struct arena *a, const char *prefix, const char *yaml, const struct strings *hosts,
                        struct text_map *out);
/* Whether the text has a router of this entry point ("web", "websecure") for the host. */
bool route_evidence_has_router(struct arena *a, const char *yaml, const char *host, const char *entry);
/* Those of names that are no service in the text. */
struct strings compose_missing_services(struct arena *a, const char *yaml, const struct strings *names);
extern const struct strings odoo_required_services; /* web, database, script-runner */

/* drivers/odoo/compose_file.h - renders the raw compose file of an Odoo target (facts/odoo.md 5).
 *
 * Services web, database and script-runner from templates/compose.yml.in, plus an HTTP and an HTTPS router a host under
 * names that cannot collide with Dokploy's own, so that the lane stays reachable when domain rows and source drift
 * apart. Every given value is written as a JSON string, which is YAML too, with '$' doubled: compose interpolates
 * nothing in it. Pure; the same wish gives the same bytes. */
#pragma once

#include "core/contract.h"

struct compose_wish {
	const char *image_reference;      /* <repository>@<digest> */
	struct strings hosts;             /* of the lane; lower-cased and de-duplicated here, order kept */
	struct strings letsencrypt_hosts; /* those whose domain row asks for a letsencrypt certificate */
	int64_t runtime_port;
	bool publishes_ports; /* on the docker host; not for previews */
};

/* Refuses, naming it, a host with a backtick or blank, no host, a blank image and a port that is none. */
bool compose_file_render(struct arena *a, const struct compose_wish *wish, const char **yaml, struct err *err);
/* The hosts as they are rendered. */
bool compose_hosts(struct arena *a, const struct strings *hosts, struct strings *out, struct err *err);
/* launchplane-odoo-web-<slug, at most 48>-<8 hex of SHA-1 of the host>; host as it is rendered. */
char *compose_route_name(struct arena *a, const char *host);

/* drivers/dokploy/deployment_watch.h - which deployment row is ours, and what its status means (facts/dokploy.md 6).
 *
 * Dokploy answers a deploy without an id, and the row appears only when the job starts. A caller therefore gives each
 * attempt its own title and finds the row by it; where Dokploy chooses the title (schedules, git sources) the keys
 * noted before the trigger tell a new row from an old one. Pure: lists in any order, results point into them. */
#pragma once

#include "drivers/dokploy/dokploy.h"

enum deployment_class {
	DEPLOYMENT_UNKNOWN, /* no status, or a word not known: neither a success nor a reason to stop waiting */
	DEPLOYMENT_RUNNING,
	DEPLOYMENT_SUCCESS,
	DEPLOYMENT_FAILURE, /* cancelled too: Dokploy lost sight of it, it may still run */
};
extern const char *const deployment_class_names[];

enum deployment_class deployment_class_of(const char *status);
/* The newest by createdAt, then id; NULL when there is none. */
const struct dokploy_deployment *deployment_latest(const struct dokploy_deployments *list);
/* The newest with exactly this title. */
const struct dokploy_deployment *deployment_titled(const struct dokploy_deployments *list, const char *title);
/* The oldest whose id is not in before: with one writer the run that was triggered, not one that came after it. */
const struct dokploy_deployment *deployment_new(const struct dokploy_deployments *list, const struct strings *before);
/* The ids, to be kept before a trigger. */
struct strings deployment_ids(struct arena *a, const struct dokploy_deployments *list);
bool deployment_any_running(const struct dokploy_deployments *list);

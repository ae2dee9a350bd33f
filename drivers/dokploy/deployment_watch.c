#include "drivers/dokploy/deployment_watch.h"

const char *const deployment_class_names[] = { "unknown", "running", "success", "failure", NULL };

static const struct {
	const char *status;
	enum deployment_class class;
} classes[] = {
	/* clang-format off */
	{ "done", DEPLOYMENT_SUCCESS },     { "success", DEPLOYMENT_SUCCESS },   { "succeeded", DEPLOYMENT_SUCCESS },
	{ "completed", DEPLOYMENT_SUCCESS },{ "healthy", DEPLOYMENT_SUCCESS },   { "finished", DEPLOYMENT_SUCCESS },
	{ "error", DEPLOYMENT_FAILURE },    { "failed", DEPLOYMENT_FAILURE },    { "cancelled", DEPLOYMENT_FAILURE },
	{ "canceled", DEPLOYMENT_FAILURE }, { "killed", DEPLOYMENT_FAILURE },    { "unhealthy", DEPLOYMENT_FAILURE },
	{ "timeout", DEPLOYMENT_FAILURE },
	{ "running", DEPLOYMENT_RUNNING },  { "pending", DEPLOYMENT_RUNNING },   { "queued", DEPLOYMENT_RUNNING },
	{ "in_progress", DEPLOYMENT_RUNNING }, { "starting", DEPLOYMENT_RUNNING },
	/* clang-format on */
};

enum deployment_class deployment_class_of(const char *status)
{
	for (size_t i = 0; i < countof(classes); i++)
		if (strcmp(classes[i].status, status) == 0)
			return classes[i].class;
	return DEPLOYMENT_UNKNOWN;
}

static bool is_newer(const struct dokploy_deployment *x, const struct dokploy_deployment *y)
{
	int order = strcmp(x->created_at, y->created_at);
	return order > 0 || (order == 0 && strcmp(x->id, y->id) > 0);
}

const struct dokploy_deployment *deployment_latest(const struct dokploy_deployments *list)
{
	const struct dokploy_deployment *best = NULL;
	for (size_t i = 0; i < list->n; i++)
		if (!best || is_newer(&list->v[i], best))
			best = &list->v[i];
	return best;
}

const struct dokploy_deployment *deployment_titled(const struct dokploy_deployments *list, const char *title)
{
	const struct dokploy_deployment *best = NULL;
	for (size_t i = 0; i < list->n; i++)
		if (strcmp(list->v[i].title, title) == 0 && (!best || is_newer(&list->v[i], best)))
			best = &list->v[i];
	return best;
}

const struct dokploy_deployment *deployment_new(const struct dokploy_deployments *list, const struct strings *before)
{
	const struct dokploy_deployment *best = NULL;
	for (size_t i = 0; i < list->n; i++)
		if (!strings_have(before, list->v[i].id) && (!best || is_newer(best, &list->v[i])))
			best = &list->v[i];
	return best;
}

struct strings deployment_ids(struct arena *a, const struct dokploy_deployments *list)
{
	struct strings ids = { 0 };
	for (size_t i = 0; i < list->n; i++)
		strings_add(a, &ids, list->v[i].id);
	return ids;
}

bool deployment_any_running(const struct dokploy_deployments *list)
{
	for (size_t i = 0; i < list->n; i++)
		if (deployment_class_of(list->v[i].status) == DEPLOYMENT_RUNNING)
			return true;
	return false;
}

#include "drivers/dokploy/deployment_watch.h"

#include "core/redact.h"
#include "drivers/dokploy/credentials.h"
#include "storage/codes.h"

#define WATCH_MS 3000
#define REQUESTS 5 /* how often a deploy is asked for when it is proved that no earlier request arrived */

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

/* ---- asking ---- */

static SUSPENDS bool send_request(struct task *t, struct dokploy *d, const struct deploy_order *o, struct err *err)
{
	return o->is_application
	               ? dokploy_application_deploy(t, d, o->service_id, o->title, o->description, o->rebuild, err)
	               : dokploy_compose_deploy(t, d, o->service_id, o->title, o->description, o->rebuild, err);
}

NO_ROLE_CHECK enum phase_outcome deploy_ask(struct task *t, struct operation *op, const struct deploy_order *order,
                                            struct deploy_watch *w, struct err *err)
{
	struct dokploy d;
	w->absent_since_ms = 0;
	w->acknowledged = false;
	if (operation_is_rerun(op))
		return PHASE_DONE;
	if (w->requests >= REQUESTS) {
		err_set(err, &E_upstream_lost,
		        "Dokploy was asked %lld times for the deploy of %s and none arrived; look at Dokploy, then "
		        "submit again%s",
		        (long long)w->requests, order->name, order->aftermath);
		return PHASE_FAILED;
	}
	if (!dokploy_open(t, &d, err) || (order->may_ask && !order->may_ask(t, op, err)))
		return PHASE_FAILED;
	w->requests++;
	if (send_request(t, &d, order, err)) {
		w->acknowledged = true;
		operation_event(t, op, "deploy_requested", NULL);
		return PHASE_DONE;
	}
	if (err->code == &E_cancelled)
		return PHASE_FAILED; /* stopping: the next run looks for what came of it */
	if (d.maybe_done) {
		operation_event(t, op, "deploy_unanswered", NULL);
		return PHASE_DONE;
	}
	if (!dokploy_may_retry(err))
		return PHASE_FAILED;
	return operation_goto(op, op->phase->name, 2000u << w->requests); /* it certainly did not arrive */
}

/* ---- following ---- */

static SUSPENDS bool read_runs(struct task *t, struct dokploy *d, const struct deploy_order *o,
                               struct dokploy_deployments *out, struct err *err)
{
	struct dokploy_application application;
	if (!o->is_application)
		return dokploy_deployments_of_compose(t, d, o->service_id, out, err);
	if (!dokploy_application_one(t, d, o->service_id, &application, err))
		return false;
	*out = application.deployments;
	return true;
}

static SUSPENDS bool anything_runs(struct task *t, struct dokploy *d, bool *out, struct err *err)
{
	struct dokploy_services services;
	if (!dokploy_project_all(t, d, &services, err))
		return false;
	*out = false;
	for (size_t i = 0; i < services.n; i++)
		*out |= strcmp(services.v[i].status, "running") == 0;
	return true;
}

/* No row carries our title. If Dokploy answered the request, its queue holds the job or lost it: wait, and give up at
 * the limit. If it did not, the request may never have arrived: an idle queue proves it. */
static SUSPENDS enum phase_outcome is_absent(struct task *t, struct operation *op, struct dokploy *d,
                                             const struct deploy_order *o, struct deploy_watch *w, const char *asking,
                                             struct err *err)
{
	int64_t now = loop_wall_ms(t->loop);
	bool busy;
	if (operation_is_overdue(t, op)) {
		err_set(err, &E_upstream_lost,
		        "Dokploy %s the deploy of %s but no run titled %s appeared within %lld seconds; look at it "
		        "in Dokploy, then submit again%s",
		        w->acknowledged ? "accepted" : "may have received", o->name, o->title, (long long)o->limit_s,
		        o->aftermath);
		return PHASE_FAILED;
	}
	if (w->acknowledged)
		return operation_again(op, WATCH_MS);
	if (!anything_runs(t, d, &busy, err))
		return PHASE_FAILED;
	if (busy || w->absent_since_ms == 0)
		w->absent_since_ms = now;
	if (now - w->absent_since_ms < DOKPLOY_SETTLE_MS)
		return operation_again(op, WATCH_MS);
	operation_event(t, op, "deploy_never_arrived", NULL);
	return operation_goto(op, asking, 0);
}

static enum phase_outcome has_failed(struct task *t, const struct dokploy_deployment *run, const struct deploy_order *o,
                                     struct err *err)
{
	err_set(err, &E_deploy_failed,
	        "Dokploy ended the deploy of %s with %s%s%.200s; read its log, deployment %s, in Dokploy, then submit "
	        "again%s",
	        o->name, run->status, run->error_message[0] ? ": " : "", redact(t->arena, run->error_message), run->id,
	        o->aftermath);
	return PHASE_FAILED;
}

static SUSPENDS enum phase_outcome follow(struct task *t, struct operation *op, const struct deploy_order *o,
                                          struct deploy_watch *w, bool until_end, const char *asking, struct err *err)
{
	struct dokploy d;
	struct dokploy_deployments runs;
	if (!dokploy_open(t, &d, err) || !read_runs(t, &d, o, &runs, err))
		return PHASE_FAILED;
	const struct dokploy_deployment *run = deployment_titled(&runs, o->title);
	if (!run && w->acknowledged && !until_end)
		return PHASE_DONE;
	if (!run)
		return is_absent(t, op, &d, o, w, asking, err);
	w->acknowledged = true;
	w->deployment_id = run->id;
	switch (deployment_class_of(run->status)) {
	case DEPLOYMENT_SUCCESS:
		return PHASE_DONE;
	case DEPLOYMENT_FAILURE:
		return until_end ? has_failed(t, run, o, err) : PHASE_DONE;
	case DEPLOYMENT_RUNNING:
	case DEPLOYMENT_UNKNOWN:
		break;
	}
	if (!until_end)
		return PHASE_DONE;
	if (!operation_is_overdue(t, op))
		return operation_again(op, WATCH_MS);
	err_set(err, &E_timeout,
	        "the deploy of %s did not end within %lld seconds; it may still be running: look at it in "
	        "Dokploy before submitting again%s",
	        o->name, (long long)o->limit_s, o->aftermath);
	return PHASE_FAILED;
}

enum phase_outcome deploy_follow(struct task *t, struct operation *op, const struct deploy_order *order,
                                 struct deploy_watch *w, const char *asking, struct err *err)
{
	return follow(t, op, order, w, true, asking, err);
}

enum phase_outcome deploy_see_begun(struct task *t, struct operation *op, const struct deploy_order *order,
                                    struct deploy_watch *w, const char *asking, struct err *err)
{
	return follow(t, op, order, w, false, asking, err);
}

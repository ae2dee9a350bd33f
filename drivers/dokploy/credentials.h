/* drivers/dokploy/credentials.h - the one way to a Dokploy client: host and token are managed secrets, DOKPLOY_HOST and
 * DOKPLOY_TOKEN of integration dokploy in global scope. Missing ones are a hard error; nothing else is looked at. */
#pragma once

#include "drivers/dokploy/dokploy.h"

SUSPENDS bool dokploy_open(struct task *t, struct dokploy *out, struct err *err);

/* server/routes/dispatch.h - what the HTTP server calls: from a request's head to its answer, along the route's row. */
#pragma once

#include "server/http/server.h"

extern const struct http_app launchplane_app; /* its app_data is a struct app */

/* core/banned.h - calls that block the loop, overflow, or share hidden state: including this makes them compile errors.
 * meson.build includes it in every C file of the product. */
#pragma once

#include <curl/curl.h>
#include <libpq-fe.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

/* With clang the fortified headers make macros of these, and a macro cannot be poisoned. */
#undef sprintf
#undef vsprintf
#pragma GCC poison strcpy strcat sprintf vsprintf gets strtok localtime gmtime asctime ctime
#pragma GCC poison PQexec PQexecParams PQexecPrepared PQconnectdb PQprepare curl_easy_perform
#pragma GCC poison getaddrinfo gethostbyname sleep usleep system popen

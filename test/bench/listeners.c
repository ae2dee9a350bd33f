/* Many clients of one event stream: bench-listeners PORT PATH COUNT, with the bearer token in BENCH_TOKEN.
 *
 * Opens COUNT connections one after the other in small groups and asks each for PATH; prints "ready" when all have
 * their answer's head. Then, for each line on standard input, it notes the time and prints in milliseconds when the
 * clients had their next bytes: {"n": ..., "median_ms": ..., "p99_ms": ..., "max_ms": ...}. Ends at the end of its
 * input. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define AT_ONCE 200
#define GIVE_UP 20.0

static int epoll, *sockets;
static double *heard;

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void fail(const char *what)
{
	fprintf(stderr, "bench-listeners: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void ask(int i, const struct sockaddr_in *to, const char *request)
{
	sockets[i] = socket(AF_INET, SOCK_STREAM, 0);
	if (sockets[i] < 0 || connect(sockets[i], (const struct sockaddr *)to, sizeof(*to)) != 0)
		fail("connect");
	if (write(sockets[i], request, strlen(request)) != (ssize_t)strlen(request))
		fail("write");
	struct epoll_event event = { .events = EPOLLIN, .data.u32 = (unsigned)i };
	epoll_ctl(epoll, EPOLL_CTL_ADD, sockets[i], &event);
}

/* Until each of the first count clients was heard since began. */
static int listen_for(int count, double began)
{
	struct epoll_event events[256];
	char bytes[2048];
	int left = 0;
	for (int i = 0; i < count; i++)
		left += heard[i] < began;
	double start = now();
	while (left && now() - start < GIVE_UP) {
		int n = epoll_wait(epoll, events, 256, 1000);
		double at = now();
		for (int k = 0; k < n; k++) {
			unsigned i = events[k].data.u32;
			if (recv(sockets[i], bytes, sizeof(bytes), MSG_DONTWAIT) <= 0) {
				fprintf(stderr, "bench-listeners: a stream ended\n");
				exit(1);
			}
			left -= heard[i] < began;
			heard[i] = at;
		}
	}
	return left;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static void tell(int count, double began)
{
	double *took = calloc((size_t)count, sizeof(*took));
	for (int i = 0; i < count; i++)
		took[i] = 1000 * (heard[i] - began);
	qsort(took, (size_t)count, sizeof(*took), by_size);
	printf("{\"n\": %d, \"median_ms\": %.3f, \"p99_ms\": %.3f, \"max_ms\": %.3f}\n", count, took[count / 2],
	       took[count * 99 / 100], took[count - 1]);
	fflush(stdout);
	free(took);
}

int main(int argc, char **argv)
{
	struct rlimit limit;
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	const char *token = getenv("BENCH_TOKEN");
	if (argc != 4 || !token)
		return 2;
	int count = atoi(argv[3]);
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1])) };
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	size_t size = strlen(token) + strlen(argv[2]) + 200;
	char *request = malloc(size);
	snprintf(request, size,
	         "GET %s HTTP/1.1\r\nHost: bench\r\nAccept: text/event-stream\r\nAuthorization: Bearer %s\r\n\r\n",
	         argv[2], token);
	epoll = epoll_create1(0);
	sockets = calloc((size_t)count, sizeof(*sockets));
	heard = calloc((size_t)count, sizeof(*heard));
	for (int i = 0; i < count; i++) {
		ask(i, &to, request);
		if ((i + 1) % AT_ONCE == 0 && listen_for(i + 1, 1e-9) != 0)
			fail("no answer");
	}
	if (listen_for(count, 1e-9) != 0)
		fail("no answer");
	puts("ready");
	fflush(stdout);
	char line[64];
	while (fgets(line, sizeof(line), stdin)) {
		double began = now();
		puts("go");
		fflush(stdout);
		if (listen_for(count, began) != 0)
			fail("not everybody heard it");
		tell(count, began);
	}
	return 0;
}

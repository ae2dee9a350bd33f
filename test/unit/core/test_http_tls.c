#include "core/http_client.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/wait.h>

#include <cmocka.h>

/* A server with a certificate nobody vouches for but itself. Says its port, serves until it is killed. */
static const char script[] =
        "import ssl,subprocess,http.server,sys\n"
        "d=sys.argv[1]\n"
        "subprocess.run(['openssl','req','-x509','-newkey','rsa:2048','-nodes','-days','2','-subj','/CN=localhost',\n"
        "  '-addext','subjectAltName=DNS:localhost','-keyout',d+'/key.pem','-out',d+'/cert.pem'],check=True,\n"
        "  stderr=subprocess.DEVNULL,stdout=subprocess.DEVNULL)\n"
        "class H(http.server.BaseHTTPRequestHandler):\n"
        "  protocol_version='HTTP/1.1'\n"
        "  def do_GET(self):\n"
        "    "
        "self.send_response(200);self.send_header('Content-Length','6');self.end_headers();self.wfile.write(b'secure')"
        "\n"
        "  def log_message(self,*a): pass\n"
        "s=http.server.ThreadingHTTPServer(('127.0.0.1',0),H)\n"
        "c=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER);c.load_cert_chain(d+'/cert.pem',d+'/key.pem')\n"
        "s.socket=c.wrap_socket(s.socket,server_side=True)\n"
        "print(s.server_port,flush=True)\n"
        "s.serve_forever()\n";

static pid_t server;
static int port;
static char dir[] = "/tmp/launchplane-tls-XXXXXX";

static int start(void **state)
{
	(void)state;
	int fds[2];
	if (!mkdtemp(dir) || pipe(fds) != 0)
		return -1;
	server = fork();
	if (server == 0) {
		dup2(fds[1], STDOUT_FILENO);
		execl("/usr/bin/python3", "python3", "-c", script, dir, (char *)NULL);
		_exit(127);
	}
	close(fds[1]);
	char text[16] = "";
	ssize_t n = read(fds[0], text, sizeof(text) - 1);
	close(fds[0]);
	port = n > 0 ? atoi(text) : 0;
	return port ? 0 : -1;
}

static int stop(void **state)
{
	(void)state;
	char path[64];
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
	static const char *const names[] = { "key.pem", "cert.pem" };
	for (size_t i = 0; i < countof(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		unlink(path);
	}
	return rmdir(dir);
}

struct visit {
	const char *host;
	bool ok, is_finished, maybe_sent;
	char body[16];
	struct err err;
};

static SUSPENDS void visit_task(struct task *t, void *arg)
{
	struct visit *v = arg;
	const struct http_call call = { .url = arena_printf(t->arena, "https://%s:%d/", v->host, port),
		                        .what = "Dokploy" };
	struct http_answer answer;
	v->ok = http_fetch(t, &call, &answer, &v->err);
	v->maybe_sent = answer.maybe_sent;
	snprintf(v->body, sizeof(v->body), "%s", answer.body);
	v->is_finished = true;
}

static void visit(struct visit *v, const char *ca_file)
{
	struct loop l;
	struct err err = { 0 };
	assert_true(loop_init(&l, NULL, &err));
	struct http_client *c = http_client_new(&l);
	http_client_set_ca_file(c, ca_file);
	task_spawn(&l, "visits", visit_task, v);
	while (!v->is_finished)
		uv_run(&l.uv, UV_RUN_ONCE);
	http_client_free(c);
	loop_done(&l);
}

static void a_certificate_nobody_vouches_for_is_refused(void **state)
{
	(void)state;
	struct visit v = { .host = "localhost" };
	visit(&v, NULL);
	assert_false(v.ok);
	assert_false(v.maybe_sent);
	assert_ptr_equal(v.err.code, &E_upstream_failed);
	assert_non_null(strstr(v.err.message, "its TLS certificate is not trusted"));
}

static void a_given_ca_file_is_trusted(void **state)
{
	(void)state;
	char path[64];
	snprintf(path, sizeof(path), "%s/cert.pem", dir);
	struct visit v = { .host = "localhost" };
	visit(&v, path);
	assert_true(v.ok);
	assert_string_equal(v.body, "secure");
}

static void a_certificate_of_another_name_is_refused(void **state)
{
	(void)state;
	char path[64];
	snprintf(path, sizeof(path), "%s/cert.pem", dir);
	struct visit v = { .host = "127.0.0.1" };
	visit(&v, path);
	assert_false(v.ok);
	assert_false(v.maybe_sent);
	assert_non_null(strstr(v.err.message, "its TLS certificate is not trusted"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_certificate_nobody_vouches_for_is_refused),
		cmocka_unit_test(a_given_ca_file_is_trusted),
		cmocka_unit_test(a_certificate_of_another_name_is_refused),
	};
	return cmocka_run_group_tests_name("http_tls", tests, start, stop);
}

/* replay TARGET DIRECTORY...: runs every kept input of a fuzz target, and each one cut short at every length. */
#include "fuzz.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define INPUT_MAX    ((size_t)1 << 20)
#define CUT_BELOW    512 /* longer inputs are cut at every 37th byte */
#define CUT_STEP     37
#define REPORT_WIDTH 63

static size_t read_input(const char *path, uint8_t *to)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, to, INPUT_MAX);
	if (n < 0) {
		perror(path);
		exit(1);
	}
	close(fd);
	return (size_t)n;
}

static void replay(const uint8_t *data, size_t n)
{
	LLVMFuzzerTestOneInput(data, n);
	for (size_t cut = 0; cut < n; cut += n < CUT_BELOW ? 1 : CUT_STEP)
		LLVMFuzzerTestOneInput(data, cut);
}

int main(int argc, char **argv)
{
	static uint8_t data[INPUT_MAX];
	size_t count = 0;
	for (int i = 2; i < argc; i++) {
		DIR *dir = opendir(argv[i]);
		if (!dir) {
			perror(argv[i]);
			return 1;
		}
		for (const struct dirent *e; (e = readdir(dir));) {
			char path[4096];
			if (e->d_name[0] == '.')
				continue;
			snprintf(path, sizeof(path), "%s/%s", argv[i], e->d_name);
			replay(data, read_input(path, data));
			count++;
		}
		closedir(dir);
	}
	if (count == 0) {
		printf("FAIL %s: no input\n", argc > 1 ? argv[1] : "");
		return 1;
	}
	printf("ok  fuzz_corpus_%.*s\n", REPORT_WIDTH, argv[1]);
	return 0;
}
